package main

import (
	"log/slog"
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
)

// openFeeds makes the client and the feeds that are switched on. It calls nobody.
func openFeeds(config Config, log *slog.Logger) (*source.Client, []ingest.Feed, error) {
	transport, err := source.NewTransport(config.CAFile)
	if err != nil {
		return nil, nil, err
	}
	credential, err := source.NewCredential(source.CredentialConfig{
		TenantID: config.TenantID, ClientID: config.ClientID, ClientSecret: config.ClientSecret,
		AuthorityHost: config.Authority, Transport: transport,
	})
	if err != nil {
		return nil, nil, err
	}
	client, err := source.Open(source.Config{
		TenantID: config.TenantID, Credential: credential, Transport: transport, Log: log, UserAgent: "AOC/" + version,
		GraphBaseURL: config.GraphBaseURL, ManagementBaseURL: config.ManagementBaseURL,
		GraphResource: config.GraphResource, ManagementResource: config.ManagementResource,
		PublisherIdentifier: config.PublisherIdentifier,
		Limits: source.Limits{
			Management: limit.NewWindow(config.ManagementPerMinute, time.Minute),
			Reports:    limit.NewWindow(reportsCalls, reportsSpan),
			Intune:     limit.NewWindow(intuneCalls, intuneSpan),
			Directory:  limit.NewWindow(directoryCalls, directorySpan),
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
