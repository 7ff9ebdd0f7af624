package ingest

import (
	"context"
	"fmt"
	"time"

	"aoc/internal/audit"
)

// listAfterPush is when a window that something was pushed for is listed at the
// latest; pushes come often, and each alone is no reason to list.
const listAfterPush = 5 * time.Minute

// Push puts blobs that the Management API has told of into the ledger, due at
// once; they are durable when it returns. Polling remains the truth: what is
// never pushed is found by listing.
func (p *Planner) Push(ctx context.Context, blobs []audit.Blob) error {
	now := time.Now().UTC()
	rows := make([]audit.BlobRow, 0, len(blobs))
	var windows []audit.Window
	for _, b := range blobs {
		rows = append(rows, audit.BlobRow{Blob: b, State: audit.Listed, NextAt: now, Late: now.Sub(audit.WindowOf(b.Created)) > audit.WindowLength+trust})
		windows = append(windows, audit.Window{Source: b.Source, Start: audit.WindowOf(b.Created), State: audit.Planned, NextAt: now.Add(listAfterPush)})
	}
	if len(rows) == 0 {
		return nil
	}
	// The window first: without a row there would be no account of the blob.
	if _, err := p.Store.Plan(ctx, windows); err != nil {
		return fmt.Errorf("push: %w", err)
	}
	if _, err := p.Store.AddBlobs(ctx, rows); err != nil {
		return fmt.Errorf("push: %w", err)
	}
	return nil
}

// leastRetention is the youngest that an event can be deleted on purpose.
const leastRetention = 7 * 24 * time.Hour

// StartJob keeps a job for the planner to queue. A retention job must say since
// when, and not delete the last week.
func (p *Planner) StartJob(ctx context.Context, kind string, options audit.JobOptions) (audit.Job, error) {
	if kind == KindRetention && (options.Since.IsZero() || time.Since(options.Since) < leastRetention) {
		return audit.Job{}, audit.Invalid("since", "expected a time at least seven days ago: what is older than it is deleted")
	}
	job, err := NewJob(kind, options)
	if err != nil {
		return audit.Job{}, err
	}
	job.By = audit.PrincipalOf(ctx).Key()
	if err := p.Store.AddJob(ctx, job); err != nil {
		return audit.Job{}, fmt.Errorf("start a job: %w", err)
	}
	return job, nil
}
