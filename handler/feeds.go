package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"aoc/internal/ingest"
	"aoc/internal/limit"
	"aoc/internal/source"
)

// Microsoft's bounds on our calls, each for one app in one tenant.
const (
	reportsCalls, reportsSpan     = 5, 10 * time.Second
	intuneCalls, intuneSpan       = 1000, 20 * time.Second
	directoryCalls, directorySpan = 1000, 10 * time.Second // getByIds costs 3 of a small tenant's 3,500 units
	riskCalls, riskSpan           = 1, time.Second         // of all apps of the tenant
	purviewCalls, purviewSpan     = 100, time.Minute       // no bound is documented but for queries a day
)

// openFeeds makes the client and the feeds that are switched on. It calls nobody.
func openFeeds(config Config, kept secrets, transport http.RoundTripper, limits *limit.Limits, log *slog.Logger) (*source.Client, []ingest.Feed, error) {
	credential, err := openCredential(config, kept, transport, log)
	if err != nil {
		return nil, nil, err
	}
	client, err := source.Open(source.Config{
		TenantID: config.TenantID, Credential: credential, Transport: transport, Log: log, UserAgent: "AOC/" + version,
		GraphBaseURL: config.GraphBaseURL, ManagementBaseURL: config.ManagementBaseURL,
		GraphResource: config.GraphResource, ManagementResource: config.ManagementResource,
		PublisherIdentifier: config.PublisherIdentifier, Webhook: webhookOf(config, kept),
		Limits: source.Limits{
			Management: limits.Limiter("management", config.ManagementPerMinute, time.Minute),
			Reports:    limits.Limiter("reports", reportsCalls, reportsSpan),
			Intune:     limits.Limiter("intune", intuneCalls, intuneSpan),
			Directory:  limits.Limiter("directory", directoryCalls, directorySpan),
			Risk:       limits.Limiter("risk", riskCalls, riskSpan),
			Purview:    limits.Limiter("purview", purviewCalls, purviewSpan),
		},
	})
	if err != nil {
		return nil, nil, err
	}
	opened, err := client.Feeds(config.Sources...)
	if err != nil {
		return nil, nil, err
	}
	feeds := make([]ingest.Feed, len(opened))
	for i, feed := range opened {
		feeds[i] = feed
	}
	return client, feeds, nil
}

// webhookOf is where the Management API is to push, where there is an address
// and a secret for it.
func webhookOf(config Config, kept secrets) source.Webhook {
	if config.PublicURL == "" || kept.webhook == nil {
		return source.Webhook{}
	}
	return source.Webhook{Address: config.PublicURL + "/api/webhooks/o365", AuthID: kept.webhook}
}

// purview is source's Purview in the words of ingest, which must not know the
// Graph SDK.
type purview struct{ *source.Purview }

func (p purview) Status(ctx context.Context, id string) (ingest.QueryStatus, error) {
	s, err := p.Purview.Status(ctx, id)
	if errors.Is(err, source.ErrGone) {
		return ingest.QueryStatus{Over: true, Failed: true}, nil // forgotten: it is to be submitted again
	}
	return ingest.QueryStatus{
		Over: s.State.Over(), Failed: s.State.Over() && s.State != source.QuerySucceeded, Limited: s.Limited, Records: s.Approximate,
	}, err
}
