package ingest

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"aoc/internal/audit"
)

const (
	// MaxBackfillHours bounds a backfill: thirty days.
	MaxBackfillHours = 720
	// maxFollowed is how many of the newest jobs the timer looks after.
	maxFollowed = 100
)

// Backfill plans the last hours, at least 1 and at most MaxBackfillHours, of every
// feed as far as that feed can still be listed. Windows that are in the ledger
// already are listed again.
func (p *Planner) Backfill(ctx context.Context, hours int) (audit.Job, error) {
	now := time.Now().UTC()
	if p.Periodic {
		// The timer plans from the newest window that was run well, so what it has
		// not planned yet must be in the ledger before this adds newer windows.
		if err := p.planNew(ctx, now); err != nil {
			return audit.Job{}, fmt.Errorf("start a backfill: %w", err)
		}
	}
	job := audit.Job{ID: rand.Text(), Kind: kindBackfill, By: audit.PrincipalOf(ctx).Key(), State: audit.JobRunning, CreatedAt: now, Hours: min(max(hours, 1), MaxBackfillHours)}
	for _, feed := range p.Feeds {
		job.Spans = append(job.Spans, reachable(feed, job.Hours, now))
	}
	rows, err := p.rows(ctx, job)
	if err != nil {
		return audit.Job{}, fmt.Errorf("start a backfill: %w", err)
	}
	for _, row := range rows {
		job.Before = job.Before.Add(row.Counts)
	}
	if p.Purview {
		if err := p.startPurview(ctx, &job); err != nil {
			return audit.Job{}, fmt.Errorf("start a backfill: %w", err)
		}
	}
	if err := p.Store.AddJob(ctx, job); err != nil {
		return audit.Job{}, fmt.Errorf("start a backfill: %w", err)
	}
	if err := p.planSpans(ctx, job.Spans, now); err != nil {
		return audit.Job{}, fmt.Errorf("start a backfill: %w", err)
	}
	return p.progress(ctx, job)
}

func (p *Planner) planSpans(ctx context.Context, spans []audit.Span, now time.Time) error {
	for _, span := range spans {
		if _, err := p.Store.Plan(ctx, grid(span.Source, span.Start, span.End, now)); err != nil {
			return err
		}
	}
	return nil
}

// followUp ends backfills that nobody watches, plans the windows of those whose
// planning was cut off, and queues the other jobs to be gone on with.
func (p *Planner) followUp(ctx context.Context, now time.Time) ([]Item, error) {
	jobs, err := p.Store.Jobs(ctx, maxFollowed)
	if err != nil {
		return nil, err
	}
	var items []Item
	for _, job := range jobs {
		switch {
		case job.State != audit.JobRunning:
		case job.Kind != kindBackfill:
			items = append(items, Item{Job: job.ID})
		default:
			if err := p.followBackfill(ctx, job, now); err != nil {
				return nil, err
			}
		}
	}
	return items, nil
}

func (p *Planner) followBackfill(ctx context.Context, job audit.Job, now time.Time) error {
	rows, err := p.rows(ctx, job)
	if err != nil {
		return err
	}
	if progressOf(job, rows).Windows > len(rows) {
		if err := p.planSpans(ctx, job.Spans, now); err != nil {
			return err
		}
	}
	_, err = p.progress(ctx, job)
	return err
}

// reachable is the part of the last hours that a feed still lists.
func reachable(feed Feed, hours int, now time.Time) audit.Span {
	oldest, note := feed.Reach(now)
	end := audit.WindowOf(now).Add(audit.WindowLength)
	start := audit.WindowOf(now.Add(-time.Duration(hours) * time.Hour))
	span := audit.Span{Source: feed.Source(), Start: start, End: end}
	if first := audit.WindowOf(oldest.Add(audit.WindowLength - 1)); first.After(start) {
		span.Start, span.Note = first, note
	}
	return span
}

// Job returns a job with its progress, or audit.ErrNotFound.
func (p *Planner) Job(ctx context.Context, id string) (audit.Job, error) {
	job, err := p.Store.Job(ctx, id)
	if err != nil {
		return audit.Job{}, fmt.Errorf("job: %w", err)
	}
	return p.progress(ctx, job)
}

// Jobs returns the newest jobs with their progress.
func (p *Planner) Jobs(ctx context.Context, limit int) ([]audit.Job, error) {
	jobs, err := p.Store.Jobs(ctx, limit)
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	for i, job := range jobs {
		if jobs[i], err = p.progress(ctx, job); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// progress reads a running job off the ledger, and writes down the end of one
// that has ended, so that later runs of its windows do not change its figures.
func (p *Planner) progress(ctx context.Context, job audit.Job) (audit.Job, error) {
	if job.State == audit.JobDone || job.Kind != kindBackfill {
		return job, nil
	}
	rows, err := p.rows(ctx, job)
	if err != nil {
		return audit.Job{}, fmt.Errorf("job %s: %w", job.ID, err)
	}
	job.Progress = progressOf(job, rows)
	if job.Progress.Done < job.Progress.Windows {
		return job, nil
	}
	job.State, job.DoneAt = audit.JobDone, time.Now().UTC()
	if err := p.Store.SaveJob(ctx, job); err != nil {
		return audit.Job{}, fmt.Errorf("job %s: %w", job.ID, err)
	}
	return job, nil
}

func progressOf(job audit.Job, rows []audit.Window) audit.Progress {
	var p audit.Progress
	for _, span := range job.Spans {
		p.Windows += int(span.End.Sub(span.Start) / audit.WindowLength)
	}
	var now audit.Counts
	for _, row := range rows {
		now = now.Add(row.Counts)
		switch {
		case row.State == audit.Lost || !row.ListedAt.Before(job.CreatedAt) && row.Attempts == 0 && row.State != audit.Listed:
			p.Done++
		case row.NextAt.IsZero(): // too old to be listed again, and stored before
			p.Done++
		case row.Attempts > 0 && !row.FailedAt.Before(job.CreatedAt):
			p.Failing++
		}
	}
	p.Counts = now.Sub(job.Before)
	return p
}

// rows reads the ledger's rows of a job.
func (p *Planner) rows(ctx context.Context, job audit.Job) ([]audit.Window, error) {
	var all []audit.Window
	for _, span := range job.Spans {
		rows, err := p.Store.Windows(ctx, audit.LedgerQuery{Sources: []audit.Source{span.Source}, Start: span.Start, End: span.End, Limit: maxRows})
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}
