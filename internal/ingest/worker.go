package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"aoc/internal/audit"
	"aoc/internal/normalize"
)

const (
	leaseTTL   = time.Minute
	leaseBeat  = 15 * time.Second
	maxItem    = 24 * time.Hour
	maxRunTime = 8 * time.Minute
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
	feed, err := w.feed(item)
	if err != nil || feed == nil {
		return err
	}
	name := "ingest/" + string(item.Source) + "/" + day(item.Start)
	if _, busy := w.running.LoadOrStore(name, true); busy {
		return nil
	}
	defer w.running.Delete(name)
	lease, err := w.Store.Acquire(ctx, name, w.Holder, leaseTTL)
	if errors.Is(err, audit.ErrBusy) {
		w.Log.DebugContext(ctx, "another worker has it", "source", item.Source, "start", item.Start)
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := w.keepAlive(ctx, lease)
	defer stop()
	err = w.runDue(ctx, feed, lease, item)
	if errors.Is(err, audit.ErrFenced) || errors.Is(context.Cause(ctx), audit.ErrFenced) {
		return nil // another has taken over, and the ledger is theirs
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

// runDue runs the item's windows that are due, neighbours together.
func (w *Worker) runDue(ctx context.Context, feed Feed, lease audit.Lease, item Item) error {
	rows, err := w.Store.Windows(ctx, audit.LedgerQuery{Sources: []audit.Source{item.Source}, Start: item.Start, End: item.End, Limit: maxRows})
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	var stretch []audit.Window
	for i, row := range rows {
		if !row.NextAt.IsZero() && !row.NextAt.After(now) {
			stretch = append(stretch, row)
		}
		ends := i == len(rows)-1 || !rows[i+1].Start.Equal(row.End())
		if due := len(stretch) > 0 && stretch[len(stretch)-1].Start.Equal(row.Start); len(stretch) > 0 && (ends || !due) {
			if err := w.run(ctx, feed, lease, stretch); err != nil {
				return err
			}
			stretch = nil
		}
	}
	return nil
}
