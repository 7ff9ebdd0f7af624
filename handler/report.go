package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"aoc/internal/api"
	"aoc/internal/audit"
	"aoc/internal/limit"
)

// reportEvery is how often a process that plans or collects tells of itself.
const reportEvery = 30 * time.Second

// reporter tells through the store what this process's limiters did: the API
// that serves /metrics may be another process.
type reporter struct {
	store   store
	limits  *limit.Limits
	log     *slog.Logger
	id      string
	started time.Time

	mu   sync.Mutex
	last time.Time
}

func newReporter(st store, limits *limit.Limits, log *slog.Logger) *reporter {
	return &reporter{store: st, limits: limits, log: log, id: rand.Text(), started: time.Now().UTC()}
}

// report tells, unless it has just told. A failure costs a look at the metrics
// and nothing else.
func (r *reporter) report(ctx context.Context) {
	now := time.Now().UTC()
	r.mu.Lock()
	due := now.Sub(r.last) >= reportEvery
	if due {
		r.last = now
	}
	r.mu.Unlock()
	if !due {
		return
	}
	err := r.store.SaveInstance(ctx, audit.Instance{ID: r.id, Started: r.started, At: now, Version: version, Limiters: r.limits.Stats()})
	if err != nil {
		r.log.WarnContext(ctx, "this process cannot tell of itself", "error", err)
	}
}

// tickLate is how long ago a process that plans may have told of itself before
// collection is called late: the timer fires every half a minute.
const tickLate = 10 * time.Minute

// dependencies are what /health/ready looks at.
func (a *app) dependencies(config Config) []api.Dependency {
	return []api.Dependency{
		{Name: "database", Required: true, Check: func(ctx context.Context) (string, error) { return "ok", a.store.Ping(ctx) }},
		{Name: "redis", Required: true, Check: func(ctx context.Context) (string, error) {
			if config.RedisURL == "" {
				return "unused", nil // the limits are in the database
			}
			return "ok", a.limits.Ping(ctx)
		}},
		{Name: "collection", Check: func(ctx context.Context) (string, error) {
			told, err := a.store.Instances(ctx, time.Now().UTC().Add(-tickLate))
			if err == nil && len(told) == 0 {
				return "late", nil
			}
			return "ok", err
		}},
	}
}
