package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"aoc/internal/audit"
	"aoc/internal/normalize"
)

const (
	leaseTTL  = time.Minute
	leaseBeat = 15 * time.Second
	maxItem   = 24 * time.Hour
	// After softRunTime no further blob is begun; what is left stays due. The
	// host ends an invocation after ten minutes.
	softRunTime = 6 * time.Minute
	maxRunTime  = 8 * time.Minute
)

// Names puts names beside ids in a batch, as far as it can.
type Names interface {
	Fill(ctx context.Context, batch []audit.Stored) error
}

// Worker runs items. Its outcome, good or bad, is in the ledger when Run
// returns nil; an error means that the ledger could not be written.
type Worker struct {
	Store      Store
	Feeds      []Feed
	Normalizer *normalize.Normalizer
	Names      Names
	Queries    Queries // nil: Purview is not asked
	Schedule   Schedule
	Holder     string // names this instance in leases; the same after a restart where no other can run
	Log        *slog.Logger

	running sync.Map // leases held by this process, by name
}

// Run lists the item's due windows and stores what they hold. Two workers with
// the same item do not disturb each other: one runs it, the other returns.
func (w *Worker) Run(ctx context.Context, item Item) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("run %s from %s: %w", item.Source, item.Start.UTC().Format(time.RFC3339), err)
		}
	}()
	if item.Job != "" {
		return w.RunJob(ctx, item.Job)
	}
	feed, err := w.feed(item)
	if err != nil || feed == nil {
		return err
	}
	name := "ingest/" + string(item.Source) + "/" + day(item.Start)
	return w.alone(ctx, name, func(ctx context.Context, lease audit.Lease) error {
		return w.runDue(ctx, feed, lease, item)
	})
}

// alone runs do under the lease of a name. Where another holds it, here or in
// another instance, or takes it over, that is no failure: the work is theirs.
func (w *Worker) alone(ctx context.Context, name string, do func(context.Context, audit.Lease) error) error {
	if _, busy := w.running.LoadOrStore(name, true); busy {
		return nil
	}
	defer w.running.Delete(name)
	lease, err := w.Store.Acquire(ctx, name, w.Holder, leaseTTL)
	if errors.Is(err, audit.ErrBusy) {
		w.Log.DebugContext(ctx, "another worker has it", "lease", name)
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := w.keepAlive(ctx, lease)
	defer stop()
	err = do(ctx, lease)
	if errors.Is(err, audit.ErrFenced) || errors.Is(context.Cause(ctx), audit.ErrFenced) {
		return nil
	}
	return err
}

// feed finds the item's feed: nil where it was switched off since the item was
// queued, which trying again would not change.
func (w *Worker) feed(item Item) (Feed, error) {
	if !item.Start.Before(item.End) || item.End.Sub(item.Start) > maxItem {
		return nil, audit.Invalid("item", "expected a span of at most a day")
	}
	for _, f := range w.Feeds {
		if f.Source() == item.Source {
			return f, nil
		}
	}
	return nil, nil
}

// keepAlive renews the lease until stop is called, and ends the context when
// it is lost. stop also releases it.
func (w *Worker) keepAlive(parent context.Context, lease audit.Lease) (_ context.Context, stop func()) {
	ctx, cancelTime := context.WithTimeout(parent, maxRunTime)
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		beat := time.NewTicker(leaseBeat)
		defer beat.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-beat.C:
				if _, err := w.Store.Renew(ctx, lease, leaseTTL); errors.Is(err, audit.ErrFenced) {
					cancel(audit.ErrFenced)
				}
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
		cancelTime()
		release, cancelRelease := context.WithTimeout(context.WithoutCancel(parent), 10*time.Second)
		defer cancelRelease()
		if err := w.Store.Release(release, lease); err != nil {
			w.Log.WarnContext(parent, "a lease was not released and has to run out", "lease", lease.Name, "error", err)
		}
	}
}

// runDue lists the windows of the item's day that are due and reads the blobs
// that are, and then writes what became of the windows. It takes the whole day:
// another item for it finds this worker at it and is dropped.
func (w *Worker) runDue(ctx context.Context, feed Feed, lease audit.Lease, item Item) error {
	item.Start = item.Start.UTC().Truncate(24 * time.Hour)
	item.End = item.Start.Add(24 * time.Hour)
	span := audit.LedgerQuery{Sources: []audit.Source{item.Source}, Start: item.Start, End: item.End, Limit: maxRows}
	rows, err := w.Store.Windows(ctx, span)
	if err != nil {
		return err
	}
	began, uris := time.Now().UTC(), map[string]string{}
	for _, stretch := range dueStretches(rows, began) {
		listed, err := w.list(ctx, feed, lease, stretch, uris)
		if err != nil {
			return err
		}
		for _, row := range listed {
			rows[slices.IndexFunc(rows, func(r audit.Window) bool { return r.Start.Equal(row.Start) })] = row
		}
	}
	span.Limit = maxBlobs
	blobs, err := w.Store.Blobs(ctx, span)
	if err != nil {
		return err
	}
	for i := range blobs { // a blob can have moved since it was first heard of
		if uri, listed := uris[blobs[i].ID]; listed {
			blobs[i].URI = uri
		}
	}
	now := time.Now() // later than began: what was listed just now is due
	due := slices.DeleteFunc(slices.Clone(blobs), func(b audit.BlobRow) bool { return b.NextAt.IsZero() || b.NextAt.After(now) })
	if len(due) > 0 {
		if err := w.fetchDue(ctx, feed, lease, due); err != nil {
			return err
		}
		if blobs, err = w.Store.Blobs(ctx, span); err != nil {
			return err
		}
	}
	return w.finish(ctx, lease, item, rows, blobs, began)
}

// dueStretches returns the runs of neighbouring windows that are due.
func dueStretches(rows []audit.Window, now time.Time) [][]audit.Window {
	var stretches [][]audit.Window
	for i, row := range rows {
		if row.NextAt.IsZero() || row.NextAt.After(now) {
			continue
		}
		if n := len(stretches) - 1; i > 0 && n >= 0 && last(stretches[n]).Start.Equal(rows[i-1].Start) && last(stretches[n]).Start.Add(audit.WindowLength).Equal(row.Start) {
			stretches[n] = append(stretches[n], row)
		} else {
			stretches = append(stretches, []audit.Window{row})
		}
	}
	return stretches
}

func last[T any](list []T) T { return list[len(list)-1] }

// finish writes the windows under a time limit of its own, so that what was
// done is told of though the run took all its time, and lets go of the blobs of
// windows that are settled for good.
func (w *Worker) finish(ctx context.Context, lease audit.Lease, item Item, rows []audit.Window, blobs []audit.BlobRow, began time.Time) error {
	if errors.Is(context.Cause(ctx), audit.ErrFenced) {
		return audit.ErrFenced
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	hours := map[time.Time][]audit.BlobRow{}
	for _, b := range blobs {
		hour := audit.WindowOf(b.Created)
		hours[hour] = append(hours[hour], b)
	}
	var settled []audit.Window
	var total audit.Counts
	failing := 0
	for i := range rows {
		row := &rows[i]
		before := row.Counts
		account(row, hours[row.Start])
		row.HeldTill = time.Time{}
		total = total.Add(row.Counts.Sub(before))
		if row.Attempts > 0 {
			failing++
		}
		if row.NextAt.IsZero() && len(hours[row.Start]) > 0 && row.State != audit.Listed {
			settled = append(settled, *row)
		}
	}
	if err := w.Store.SaveWindows(ctx, lease, rows); err != nil {
		return err
	}
	for _, row := range settled {
		if _, err := w.Store.FoldBlobs(ctx, row.Source, row.Start, row.End()); err != nil {
			return err
		}
	}
	w.Log.InfoContext(ctx, "windows run", "source", item.Source, "start", item.Start, "windows", len(rows), "failing", failing,
		"blobs", total.Blobs, "read", total.Read, "new", total.New, "known", total.Known, "quarantined", total.Quarantined,
		"took", time.Since(began).Round(time.Millisecond).String())
	return nil
}
