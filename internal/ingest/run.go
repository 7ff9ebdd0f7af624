package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aoc/internal/audit"
	"aoc/internal/normalize"
)

const (
	maxBlobs  = 200_000         // of one listing; a tenant with more in a day is listed by the hour
	saveEvery = 3 * time.Second // progress that people watch
)

// run is one listing of neighbouring windows.
type run struct {
	*Worker
	feed  Feed
	lease audit.Lease
	began time.Time
	saved time.Time
	rows  []audit.Window
	errs  []error // by row: its first failure
	batch *batch  // of the records of spans, which have no rows of their own
	uris  map[string]string
}

// list runs the windows: a feed of spans is read whole, a feed of content
// blobs has what it lists put into the ledger. It returns the rows that were
// run, their outcome in them and not yet written, and puts into uris where the
// content blobs are read now. An error means that a store failed or that the run
// was broken off; a feed's failures are outcomes.
func (w *Worker) list(ctx context.Context, feed Feed, lease audit.Lease, rows []audit.Window, uris map[string]string) ([]audit.Window, error) {
	now := time.Now().UTC()
	oldest, note := feed.Reach(now)
	var gone, here []audit.Window
	for _, row := range rows {
		if row.End().After(oldest) {
			here = append(here, row)
		} else {
			gone = append(gone, giveUp(row, note))
		}
	}
	if len(here) == 0 {
		return gone, nil
	}
	r := &run{Worker: w, feed: feed, lease: lease, began: now, saved: now, rows: here, errs: make([]error, len(here)), uris: uris}
	hours := make([]time.Time, len(here))
	for i := range here {
		hours[i] = here[i].Start
	}
	r.batch = w.newBatch(feed.Source(), hours)
	if err := r.read(ctx, maxTime(here[0].Start, oldest), now); err != nil {
		return nil, err
	}
	r.finish()
	return append(gone, r.rows...), nil
}

// giveUp ends a window that is too old to be listed: lost where it was never
// read whole, else stored for good without its last settle passes.
func giveUp(row audit.Window, note string) audit.Window {
	row.NextAt, row.HeldTill = time.Time{}, time.Time{}
	if row.Passes == 0 {
		row.State = audit.Lost
		row.Reason = "it was not read while the feed still listed it: " + note
	}
	return row
}

// read lists, and fetches what has no row. The feed's failures are kept by row.
func (r *run) read(ctx context.Context, from, now time.Time) error {
	to := earlier(r.rows[len(r.rows)-1].End(), now)
	if !from.Before(to) {
		return nil
	}
	blobs, err := r.listed(ctx, from, to)
	if stopped(ctx) {
		return ctx.Err()
	}
	if err != nil {
		r.failAll(err)
		return nil
	}
	if err := r.addContent(ctx, blobs); err != nil {
		return err
	}
	for _, blob := range blobs {
		if blob.Until.IsZero() {
			continue
		}
		var feedErr feedError
		if err := r.fetch(ctx, blob); err != nil && (!errors.As(err, &feedErr) || stopped(ctx)) {
			return err
		} else if err != nil {
			r.failAll(feedErr.error)
			break
		}
	}
	return r.batch.flush(ctx)
}

// stopped reports whether the run was broken off from outside, which says
// nothing of the feed and must not count against it.
func stopped(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// feedError marks a failure of the feed, which is an outcome for the ledger.
type feedError struct{ error }

func (e feedError) Unwrap() error { return e.error }

func (r *run) listed(ctx context.Context, from, to time.Time) ([]audit.Blob, error) {
	var blobs []audit.Blob
	for blob, err := range r.feed.List(ctx, from, to) {
		if err != nil {
			return nil, fmt.Errorf("list: %w", err)
		}
		if len(blobs) == maxBlobs {
			return nil, fmt.Errorf("list: more than %d blobs", maxBlobs)
		}
		blobs = append(blobs, blob)
	}
	return blobs, nil
}

// addContent puts content blobs that are new into the ledger, due at once.
func (r *run) addContent(ctx context.Context, blobs []audit.Blob) error {
	var rows []audit.BlobRow
	for _, blob := range blobs {
		if blob.Until.IsZero() {
			r.uris[blob.ID] = blob.URI
			rows = append(rows, audit.BlobRow{Blob: blob, State: audit.Listed, NextAt: r.began, Late: r.rows[r.row(blob.Created)].Passes > 0})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	_, err := r.Store.AddBlobs(ctx, rows)
	return err
}

// fetch reads the records of a span. What came before a failure is kept.
func (r *run) fetch(ctx context.Context, blob audit.Blob) error {
	r.batch.owners[r.row(blob.Created)].Blobs++
	for rec, err := range r.feed.Fetch(ctx, blob) {
		if err != nil {
			return feedError{fmt.Errorf("read the records: %w", err)}
		}
		if stored, err := r.Normalizer.Normalize(rec); err != nil {
			r.batch.reject(r.row(blob.Created), normalize.Quarantine(rec, err, time.Now().UTC()))
		} else {
			r.batch.add(r.row(stored.Event.Time), stored)
		}
		if !r.batch.full() {
			continue
		}
		if err := r.batch.flush(ctx); err != nil {
			return err
		}
		if err := r.progress(ctx); err != nil {
			return err
		}
	}
	return nil
}

// row is the row that a moment counts for; what lies outside counts for the nearest.
func (r *run) row(at time.Time) int {
	i := int(at.Sub(r.rows[0].Start) / audit.WindowLength)
	return max(0, min(i, len(r.rows)-1))
}

func (r *run) failAll(err error) {
	for i := range r.errs {
		if r.errs[i] == nil {
			r.errs[i] = err
		}
	}
}

// progress writes now and then how far the rows have come, and keeps them held.
func (r *run) progress(ctx context.Context) error {
	if time.Since(r.saved) < saveEvery {
		return nil
	}
	r.saved = time.Now()
	rows := make([]audit.Window, len(r.rows))
	for i, row := range r.rows {
		row.Counts = row.Counts.Add(r.batch.owners[i].Counts)
		row.HeldTill = r.saved.UTC().Add(hold)
		rows[i] = row
	}
	return r.Store.SaveWindows(ctx, r.lease, rows)
}

// finish puts the outcome of the listing into every row.
func (r *run) finish() {
	now := time.Now().UTC()
	for i := range r.rows {
		row := &r.rows[i]
		row.Counts = row.Counts.Add(r.batch.owners[i].Counts)
		row.Lags = row.Lags.Plus(r.batch.owners[i].lags)
		if row.Passes > 0 {
			row.Late += r.batch.owners[i].New
		}
		row.HeldTill = time.Time{}
		if r.errs[i] != nil {
			failed(row, r.errs[i], now)
			continue
		}
		row.State, row.NextAt = r.Schedule.next(row.End(), r.began)
		if row.State != audit.Planned {
			row.Passes++
		}
		row.ListedAt, row.Attempts, row.Error = now, 0, ""
	}
}

func failed(row *audit.Window, err error, now time.Time) {
	row.Attempts++
	row.FailedAt, row.Error = now, words(err)
	row.NextAt = comeBack(err, now, row.Attempts)
}

// comeBack is when to try again: after a while, and not before the other side
// said.
func comeBack(err error, now time.Time, attempts int) time.Time {
	next := retryAt(now, attempts)
	if at, ok := retryTime(err); ok && at.After(next) {
		return at.UTC()
	}
	return next
}

// words is a failure as people read it: what happened, and on a second line
// what to do where the error knows it.
func words(err error) string {
	const most = 600
	text := err.Error()
	if len(text) > most {
		text = text[:most] + "…"
	}
	var advised interface{ Advice() string }
	if errors.As(err, &advised) && advised.Advice() != "" {
		text += "\n" + advised.Advice()
	}
	return text
}

// retryTime is the moment that the other side asked us to come back at.
func retryTime(err error) (time.Time, bool) {
	var told interface{ RetryAt() time.Time }
	if errors.As(err, &told) && !told.RetryAt().IsZero() {
		return told.RetryAt(), true
	}
	return time.Time{}, false
}
