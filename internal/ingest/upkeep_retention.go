package ingest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"aoc/internal/audit"
)

// The parts of a retention job, in their order, partDoomed between those of the
// first. Job.After holds the part and, after a space, how far the job has come in it.
const (
	partEvents     = ""
	partQuarantine = "quarantine"
	partJobs       = "jobs"
	partLedger     = "ledger"
)

const (
	// dryJobs is how many of the newest jobs a dry run looks at.
	dryJobs = 1000
	// daysMarked is how many days of the ledger one step marks: each takes a lease.
	daysMarked = 31
)

// retentionStep deletes the next part of what is older than Options.Since:
// events, quarantined records, jobs that have ended, and when none of the events
// is left, it says so in the ledger. A limit is of events and quarantined
// records together. Of the job's figures Changed counts these, Quarantined the
// latter of them, Windows the rows of the ledger and Done those of them that
// were marked.
func (w *Worker) retentionStep(ctx context.Context, job *audit.Job) (done bool, err error) {
	if cutoff := job.Options.Since; cutoff.IsZero() || cutoff.After(job.CreatedAt) {
		job.Notes = append(job.Notes, "nothing was deleted: the job does not say from when on events are to be kept, or that moment was still to come")
		return true, nil
	}
	next := draft(job)
	part, at, _ := strings.Cut(job.After, " ")
	switch part {
	case partEvents:
		err = w.retainEvents(ctx, &next, at)
	case partDoomed:
		err = w.deleteDoomed(ctx, &next, at)
	case partQuarantine:
		err = w.retainQuarantine(ctx, &next, at)
	case partJobs:
		err = w.retainJobs(ctx, &next)
	default:
		done, err = w.retainLedger(ctx, &next, at)
	}
	if err != nil {
		return false, err
	}
	*job = next
	return done || !strings.HasPrefix(job.After, partDoomed) && atLimit(job), nil
}

// atLimit ends a retention job that has deleted all that it may.
func atLimit(job *audit.Job) bool {
	if room(job, job.Progress.Changed) > 0 {
		return false
	}
	job.Notes = append(job.Notes, "it ended at its limit: there may be more to delete")
	return true
}

// retainEvents finds events for the next step to delete. A dry run goes on by the
// query's cursor instead.
func (w *Worker) retainEvents(ctx context.Context, job *audit.Job, cursor string) (err error) {
	q := audit.Query{Scope: audit.Everything(), End: job.Options.Since, Limit: room(job, job.Progress.Changed)}
	if cursor != "" {
		if q.After, err = q.ParseCursor(cursor); err != nil {
			return err
		}
	}
	page, err := w.Store.Search(ctx, q)
	if err != nil {
		return err
	}
	n := len(page.Events)
	switch {
	case n == 0:
		job.After = partQuarantine
	case job.Options.DryRun && page.Next == nil:
		job.After = partQuarantine
	case job.Options.DryRun:
		job.After = partEvents + " " + q.Cursor(*page.Next)
	default:
		job.After = partDoomed + " " + strings.Join(idsOf(page.Events), " ")
	}
	job.Progress.Scanned += n
	job.Progress.Changed += n
	return nil
}

func (w *Worker) retainQuarantine(ctx context.Context, job *audit.Job, after string) error {
	page, err := w.Store.Quarantined(ctx, after, stepRaws)
	if err != nil {
		return err
	}
	if len(page) == 0 {
		job.After = partJobs
		return nil
	}
	var old []string
	for _, q := range page {
		if len(old) == room(job, job.Progress.Changed) {
			break
		}
		job.After = partQuarantine + " " + q.ID
		job.Progress.Scanned++
		if q.At.Before(job.Options.Since) {
			old = append(old, q.ID)
		}
	}
	if len(old) > 0 && !job.Options.DryRun {
		if _, err := w.Store.Unquarantine(ctx, old); err != nil {
			return err
		}
	}
	job.Progress.Changed += len(old)
	job.Progress.Quarantined += len(old)
	return nil
}

func (w *Worker) retainJobs(ctx context.Context, job *audit.Job) (err error) {
	job.After = partLedger
	if !job.Options.DryRun {
		n, err := w.Store.DeleteJobs(ctx, job.Options.Since)
		tell(job, n, "jobs deleted that had ended")
		return err
	}
	jobs, err := w.Store.Jobs(ctx, dryJobs)
	n := 0
	for _, j := range jobs {
		if !j.DoneAt.IsZero() && j.DoneAt.Before(job.Options.Since) {
			n++
		}
	}
	tell(job, n, fmt.Sprintf("jobs of the newest %d that have ended and would be deleted", dryJobs))
	return err
}

// retainLedger marks the next windows of which no event is left, for a feed
// publishes nothing before it happens. Windows that are marked stay so: what a
// backfill reads into them again, the next job deletes again.
func (w *Worker) retainLedger(ctx context.Context, job *audit.Job, at string) (done bool, err error) {
	source, start, err := w.ledgerPlace(ctx, at)
	if err != nil || source == "" {
		return err == nil, err
	}
	rows, err := w.Store.Windows(ctx, audit.LedgerQuery{Sources: []audit.Source{source}, Start: start, End: job.Options.Since, Limit: maxRows})
	if err != nil {
		return false, err
	}
	if len(rows) == 0 {
		job.After = partLedger + " " + string(source)
		return false, nil
	}
	days := 0
	for _, row := range rows {
		first := row.Start.UTC().Truncate(24 * time.Hour)
		if row.Start.Before(start) || !unmarked(&row, job.Options.Since) {
			continue // of a day that is done, or marked long ago
		}
		if days == daysMarked {
			start = row.Start
			break
		}
		start = first.Add(24 * time.Hour)
		days++
		if err := w.markDay(ctx, job, source, first); err != nil {
			return false, err
		}
	}
	if days < daysMarked {
		start = last(rows).Start.Add(audit.WindowLength)
	}
	job.After = partLedger + " " + string(source) + " " + start.UTC().Format(time.RFC3339)
	return false, nil
}

// ledgerPlace reads where in the ledger a job is: at a moment of a feed, or past
// a feed and so at the beginning of the next. There is no feed when it is through.
func (w *Worker) ledgerPlace(ctx context.Context, at string) (source audit.Source, start time.Time, err error) {
	name, moment, within := strings.Cut(at, " ")
	if within {
		start, err = time.Parse(time.RFC3339, moment)
		return audit.Source(name), start, err
	}
	feeds, err := w.Store.Feeds(ctx)
	for _, feed := range feeds {
		if string(feed.Source) > name {
			return feed.Source, time.Time{}, err
		}
	}
	return "", time.Time{}, err
}

func unmarked(row *audit.Window, cutoff time.Time) bool {
	return row.Deleted.IsZero() && !row.End().After(cutoff)
}

// markDay says in the ledger which windows of a day had their events deleted. It
// goes under the lease of whoever runs them; while another has it, they wait for
// the next job.
func (w *Worker) markDay(ctx context.Context, job *audit.Job, source audit.Source, first time.Time) error {
	span := audit.LedgerQuery{Sources: []audit.Source{source}, Start: first, End: first.Add(24 * time.Hour), Limit: maxRows}
	mark := func(ctx context.Context, lease audit.Lease) error {
		rows, err := w.Store.Windows(ctx, span)
		if err != nil {
			return err
		}
		now := time.Now().UTC()
		var marked []audit.Window
		for _, row := range rows {
			if unmarked(&row, job.Options.Since) {
				row.Deleted = now
				marked = append(marked, row)
			}
		}
		job.Progress.Windows += len(marked)
		if job.Options.DryRun || len(marked) == 0 {
			return nil
		}
		if err := w.Store.SaveWindows(ctx, lease, marked); err != nil {
			return err
		}
		job.Progress.Done += len(marked)
		return nil
	}
	if job.Options.DryRun {
		return mark(ctx, audit.Lease{})
	}
	return w.alone(ctx, "ingest/"+string(source)+"/"+day(first), mark)
}
