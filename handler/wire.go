package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"aoc/internal/api"
	"aoc/internal/audit"
	"aoc/internal/enrich"
	"aoc/internal/ingest"
	"aoc/internal/limit"
	"aoc/internal/normalize"
	"aoc/internal/source"
	"aoc/internal/store/mongo"
	"aoc/internal/store/sqlite"
)

// store is what the program needs of a store, whichever it is.
type store interface {
	ingest.Store
	enrich.Cache
	api.Events
	Take(ctx context.Context, q audit.Quota, who string, now time.Time) (audit.Decision, error)
	SaveInstance(ctx context.Context, i audit.Instance) error
	Instances(ctx context.Context, since time.Time) ([]audit.Instance, error)
	Ping(ctx context.Context) error
	Close() error
}

// app is the wired program.
type app struct {
	store     store
	client    *source.Client
	limits    *limit.Limits
	planner   *ingest.Planner
	worker    *ingest.Worker
	api       *api.API
	reporter  *reporter
	secrets   secrets
	transport http.RoundTripper
	log       *slog.Logger
	retention time.Duration
}

func (a *app) close() {
	if err := errors.Join(a.store.Close(), a.limits.Close()); err != nil {
		a.log.Error("the store did not close well", "error", err)
	}
}

// wire builds everything and dials nothing.
func wire(config Config, log *slog.Logger) (*app, error) {
	normalizer, err := openNormalizer(config)
	if err != nil {
		return nil, err
	}
	limits, err := limit.Open(limit.Config{RedisURL: config.RedisURL, Scope: config.TenantID + ":" + config.ClientID, Log: log})
	if err != nil {
		return nil, err
	}
	transport, err := source.NewTransport(config.CAFile)
	if err != nil {
		return nil, err
	}
	kept, err := openSecrets(config, transport, log)
	if err != nil {
		return nil, err
	}
	client, feeds, err := openFeeds(config, kept, transport, limits, log)
	if err != nil {
		return nil, err
	}
	st, err := openStore(config, kept)
	if err != nil {
		return nil, err
	}
	if config.AIAsked {
		log.Warn("AI_FEATURES_ENABLED is set, but this version has no such features: they are off")
	}
	a := &app{store: st, client: client, limits: limits, secrets: kept, transport: transport, log: log, retention: config.Retention}
	a.planner = &ingest.Planner{Store: st, Feeds: feeds, Periodic: config.PeriodicFetch, QueueGone: config.Alone, Purview: config.PurviewBackfill}
	a.worker = &ingest.Worker{
		Store: st, Feeds: feeds, Normalizer: normalizer, Names: enrich.New(client, nameCaches(config, limits, st)...),
		Schedule: ingest.Schedule{Interval: config.FetchInterval}, Holder: holder(config), Log: log,
	}
	if config.PurviewBackfill {
		a.worker.Queries = purview{client.Purview()}
	}
	a.reporter = newReporter(st, limits, log)
	a.api, err = openAPI(config, a, normalizer)
	return a, err
}

// openAPI wires the REST interface.
func openAPI(config Config, a *app, normalizer *normalize.Normalizer) (*api.API, error) {
	callers, err := openCallers(config, a)
	if err != nil {
		return nil, err
	}
	return &api.API{
		Events: a.store, Jobs: a.planner, Ledger: a.store, Preflight: a.preflight(config), Push: a.planner,
		Callers: callers, Limiter: openQuotas(a), OwnLog: openOwnLog(config, a.store, normalizer),
		WebhookAuthID: a.secrets.webhook, Version: versionOf(), SignIn: signInOf(config),
		MaxHours: ingest.MaxBackfillHours, Retention: config.Retention, LateAfter: 2*audit.WindowLength + config.FetchInterval,
		TrustedOrigins: config.CORSOrigins, TrustedProxies: config.TrustedProxies, BehindHost: true, DocsEnabled: config.DocsEnabled, LocalNames: config.Alone && !config.Auth.Enabled,
		MetricsAllowed: config.MetricsAllowed, Instances: a.store, Dependencies: a.dependencies(config),
		Quotas: api.DefaultQuotas(config.RateRequests, config.RateWindow), Log: a.log,
		Features: api.Features{
			Demo: config.Demo, AuthEnabled: config.Auth.Enabled, PeriodicFetch: config.PeriodicFetch, TenantID: config.TenantID, Sources: config.Sources,
		},
	}, nil
}

func (a *app) preflight(config Config) preflight {
	return preflight{client: a.client, vault: a.secrets.vault, publicURL: config.PublicURL}
}

// openOwnLog is where AOC's own acts go. A file that is replayed is looked at as
// it is, and what its owner does to it is nobody's to know.
func openOwnLog(config Config, st store, normalizer *normalize.Normalizer) api.OwnLog {
	if config.Replay {
		return unlogged{}
	}
	return &ingest.OwnLog{Store: st, Normalizer: normalizer, TenantID: config.TenantID}
}

type unlogged struct{}

func (unlogged) Note(context.Context, audit.Act) error { return nil }

// nameCaches are where directory names are kept: Redis where there is one, and
// the store.
func nameCaches(config Config, limits *limit.Limits, st store) []enrich.Cache {
	if client := limits.Redis(); client != nil {
		return []enrich.Cache{redisNames{client, "aoc:name:" + config.TenantID + ":"}, st}
	}
	return []enrich.Cache{st}
}

// holder names this instance in leases. Alone on a machine it keeps its name,
// and takes up what it held when it was killed.
func holder(config Config) string {
	if config.Alone {
		return "alone"
	}
	return rand.Text()
}

func openNormalizer(config Config) (*normalize.Normalizer, error) {
	if config.MappingsPath == "" {
		return normalize.New(normalize.DefaultMappings()), nil
	}
	text, err := os.ReadFile(config.MappingsPath)
	if err != nil {
		return nil, fmt.Errorf("MAPPINGS_PATH: %w", err)
	}
	mappings, err := normalize.ParseMappings(text)
	if err != nil {
		return nil, fmt.Errorf("MAPPINGS_PATH: %s: %w", config.MappingsPath, err)
	}
	return normalize.New(mappings), nil
}

func openStore(config Config, kept secrets) (store, error) {
	if kept.mongoURI != nil {
		return mongo.OpenWith(kept.mongoURI, config.MongoDB), nil
	}
	if config.MongoURI != "" {
		return mongo.Open(config.MongoURI, config.MongoDB)
	}
	return sqlite.Open(config.SQLitePath)
}
