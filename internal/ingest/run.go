package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aoc/internal/audit"
	"aoc/internal/normalize"
)

// A batch is what is made durable together.
const (
	batchRecords = 500
	batchBytes   = 4 << 20
	maxBlobs     = 200_000         // of one listing; a tenant with more in a day is listed by the hour
	saveEvery    = 3 * time.Second // progress that people watch
)

// run is one listing of neighbouring windows.
type run struct {
	*Worker
	feed  Feed
	lease audit.Lease
	began time.Time
	saved time.Time
	rows  []audit.Window
	seen  []audit.Counts // by row: what this run has read
	errs  []error        // by row: its first failure

	batch   []audit.Stored
	owner   []int // by place in batch: its row
	bytes   int
	rejects []audit.Quarantined
}

// run lists the rows, reads what is listed and writes the outcome. An error
// means that a store failed or the lease is gone; a feed's failures are outcomes.
func (w *Worker) run(ctx context.Context, feed Feed, lease audit.Lease, rows []audit.Window) error {
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
	if len(gone) > 0 {
		if err := w.Store.SaveWindows(ctx, lease, gone); err != nil {
			return err
		}
	}
	if len(here) == 0 {
		return nil
	}
	r := &run{
		Worker: w, feed: feed, lease: lease, began: now, saved: now, rows: here,
		seen: make([]audit.Counts, len(here)), errs: make([]error, len(here)),
	}
	if err := r.read(ctx, maxTime(here[0].Start, oldest), now); err != nil {
		return err
	}
	return r.finish(ctx)
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

// read lists and fetches. The feed's failures are kept by row.
func (r *run) read(ctx context.Context, from, now time.Time) error {
	to := earlier(r.rows[len(r.rows)-1].End(), now)
	if !from.Before(to) {
		return nil
	}
	blobs, err := r.list(ctx, from, to)
	if stopped(ctx) {
		return ctx.Err()
	}
	if err != nil {
		r.failAll(err)
		return nil
	}
	if err := r.save(ctx); err != nil {
		return err
	}
	for _, blob := range blobs {
		err := r.fetch(ctx, blob)
		if err == nil {
			continue
		}
		var feedErr feedError
		if !errors.As(err, &feedErr) || stopped(ctx) {
			return err
		}
		if r.fail(blob, feedErr.error); ctx.Err() != nil || hasRetryTime(feedErr.error) {
			r.failAll(feedErr.error)
			break
		}
	}
	return r.flush(ctx)
}

// stopped reports whether the run was broken off from outside, which says
// nothing of the feed and must not count against it.
func stopped(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// feedError marks a failure of the feed, which is an outcome for the ledger.
type feedError struct{ error }

func (e feedError) Unwrap() error { return e.error }

func (r *run) list(ctx context.Context, from, to time.Time) ([]audit.Blob, error) {
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
	for i := range r.rows {
		if r.rows[i].State == audit.Planned {
			r.rows[i].State = audit.Listed
		}
	}
	return blobs, nil
}

// fetch reads one blob. What came before a failure is kept.
func (r *run) fetch(ctx context.Context, blob audit.Blob) error {
	r.seen[r.row(blob.Created)].Blobs++
	for rec, err := range r.feed.Fetch(ctx, blob) {
		if err != nil {
			return feedError{fmt.Errorf("read %s: %w", blobName(blob), err)}
		}
		if err := r.take(ctx, blob, rec); err != nil {
			return err
		}
	}
	return nil
}

func blobName(blob audit.Blob) string {
	if blob.Until.IsZero() {
		return "blob " + blob.ID
	}
	return "the records"
}

// take normalises a record into the batch or sets it aside.
func (r *run) take(ctx context.Context, blob audit.Blob, rec audit.Record) error {
	stored, err := r.Normalizer.Normalize(rec)
	row := r.row(blob.Created)
	if err != nil {
		r.seen[row].Read++
		r.seen[row].Quarantined++
		r.rejects = append(r.rejects, normalize.Quarantine(rec, err, time.Now().UTC()))
	} else {
		if !blob.Until.IsZero() {
			row = r.row(stored.Event.Time)
		}
		r.seen[row].Read++
		r.batch = append(r.batch, stored)
		r.owner = append(r.owner, row)
	}
	r.bytes += len(rec.Raw)
	if len(r.batch)+len(r.rejects) < batchRecords && r.bytes < batchBytes {
		return nil
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	if time.Since(r.saved) < saveEvery {
		return nil
	}
	return r.save(ctx)
}

// row is the row that a moment counts for; what lies outside counts for the nearest.
func (r *run) row(at time.Time) int {
	i := int(at.Sub(r.rows[0].Start) / audit.WindowLength)
	return max(0, min(i, len(r.rows)-1))
}

// flush makes the batch durable.
func (r *run) flush(ctx context.Context) error {
	if len(r.rejects) > 0 {
		if _, err := r.Store.SetAside(ctx, r.rejects); err != nil {
			return err
		}
		r.rejects = nil
	}
	if len(r.batch) > 0 {
		r.name(ctx)
		if err := r.insert(ctx); err != nil {
			return err
		}
	}
	r.batch, r.owner, r.bytes = nil, nil, 0
	return nil
}

// name fills names in and describes the events. Without the directory they go
// on without names.
func (r *run) name(ctx context.Context) {
	if err := r.Names.Fill(ctx, r.batch); err != nil {
		r.Log.WarnContext(ctx, "events are stored without some names", "source", r.feed.Source(), "error", err)
	}
	for i := range r.batch {
		r.Normalizer.Describe(&r.batch[i])
	}
}

// insert stores the batch, row by row so that each row's counts are its own.
func (r *run) insert(ctx context.Context) error {
	for row := range r.rows {
		var part []audit.Stored
		for i, owner := range r.owner {
			if owner == row {
				part = append(part, r.batch[i])
			}
		}
		if len(part) == 0 {
			continue
		}
		if err := r.insertFor(ctx, row, part); err != nil {
			return err
		}
	}
	return nil
}

// insertFor stores events that count for a row. A store refuses a batch for one
// event that it can never take; then each is tried alone, and that one set aside.
func (r *run) insertFor(ctx context.Context, row int, part []audit.Stored) error {
	done, err := r.Store.Insert(ctx, part)
	switch {
	case err == nil:
		r.seen[row].New += done.New
		r.seen[row].Known += done.Known
		return nil
	case !errors.Is(err, audit.ErrInvalid):
		return err
	case len(part) > 1:
		for i := range part {
			if err := r.insertFor(ctx, row, part[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	r.seen[row].Quarantined++
	e := &part[0].Event
	_, err = r.Store.SetAside(ctx, []audit.Quarantined{{
		ID: audit.QuarantineID(e.TenantID, e.Source, part[0].Raw.Bytes), TenantID: e.TenantID, Source: e.Source,
		Reason: "the store cannot take it: it is too large", At: time.Now().UTC(),
	}})
	return err
}

func (r *run) fail(blob audit.Blob, err error) {
	if !blob.Until.IsZero() {
		r.failAll(err)
		return
	}
	if row := r.row(blob.Created); r.errs[row] == nil {
		r.errs[row] = err
	}
}

func (r *run) failAll(err error) {
	for i := range r.errs {
		if r.errs[i] == nil {
			r.errs[i] = err
		}
	}
}

// save writes how far the rows have come, and keeps them held.
func (r *run) save(ctx context.Context) error {
	r.saved = time.Now()
	rows := make([]audit.Window, len(r.rows))
	for i, row := range r.rows {
		row.Counts = row.Counts.Add(r.seen[i])
		row.HeldTill = r.saved.UTC().Add(hold)
		rows[i] = row
	}
	return r.Store.SaveWindows(ctx, r.lease, rows)
}

// finish writes the outcome of every row, under a context of its own so that a
// run that was stopped is told as such.
func (r *run) finish(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), audit.ErrFenced) {
		return audit.ErrFenced
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	now := time.Now().UTC()
	total, failed := audit.Counts{}, 0
	for i := range r.rows {
		row := &r.rows[i]
		row.Counts = row.Counts.Add(r.seen[i])
		row.HeldTill = time.Time{}
		total = total.Add(r.seen[i])
		if r.errs[i] != nil {
			failed++
			r.failed(row, r.errs[i], now)
			continue
		}
		r.done(row, now)
	}
	if err := r.Store.SaveWindows(ctx, r.lease, r.rows); err != nil {
		return err
	}
	r.Log.InfoContext(ctx, "windows run", "source", r.feed.Source(), "start", r.rows[0].Start, "windows", len(r.rows),
		"failed", failed, "blobs", total.Blobs, "read", total.Read, "new", total.New, "known", total.Known,
		"quarantined", total.Quarantined, "took", time.Since(r.began).Round(time.Millisecond))
	return nil
}

func (r *run) done(row *audit.Window, now time.Time) {
	row.State, row.NextAt = r.Schedule.next(row.End(), r.began)
	if row.State != audit.Planned {
		row.Passes++
	}
	row.ListedAt, row.Attempts, row.Error = now, 0, ""
}

func (r *run) failed(row *audit.Window, err error, now time.Time) {
	row.Attempts++
	row.FailedAt, row.Error = now, words(err)
	row.NextAt = retryAt(now, row.Attempts)
	if at, ok := retryTime(err); ok && at.After(row.NextAt) {
		row.NextAt = at.UTC()
	}
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

func hasRetryTime(err error) bool {
	_, ok := retryTime(err)
	return ok
}
