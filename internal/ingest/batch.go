package ingest

import (
	"context"
	"errors"
	"time"

	"aoc/internal/audit"
)

// A batch is what is made durable together.
const (
	batchRecords = 500
	batchBytes   = 2 << 20
)

// tally is what the reading of one owner, a window or a blob, has come to.
type tally struct {
	audit.Counts
	lags audit.Lags
	hour time.Time // the window that it counts for
}

// batch collects records of several owners until they are stored together.
type batch struct {
	*Worker
	source  audit.Source
	owners  []tally
	stored  []audit.Stored
	owner   []int // by place in stored
	rejects []audit.Quarantined
	bytes   int
}

func (w *Worker) newBatch(source audit.Source, hours []time.Time) *batch {
	b := &batch{Worker: w, source: source, owners: make([]tally, len(hours))}
	for i, hour := range hours {
		b.owners[i].hour = hour
	}
	return b
}

// full reports whether the batch is to be flushed.
func (b *batch) full() bool {
	return len(b.stored)+len(b.rejects) >= batchRecords || b.bytes >= batchBytes
}

// add takes an event that counts for an owner.
func (b *batch) add(owner int, s audit.Stored) {
	b.owners[owner].Read++
	b.stored = append(b.stored, s)
	b.owner = append(b.owner, owner)
	b.bytes += len(s.Raw.Bytes)
}

// reject takes a record that is none.
func (b *batch) reject(owner int, q audit.Quarantined) {
	b.owners[owner].Read++
	b.owners[owner].Quarantined++
	b.rejects = append(b.rejects, q)
	b.bytes += len(q.Raw)
}

// flush makes the batch durable and empties it.
func (b *batch) flush(ctx context.Context) error {
	if len(b.rejects) > 0 {
		if _, err := b.Store.SetAside(ctx, b.rejects); err != nil {
			return err
		}
	}
	if len(b.stored) > 0 {
		if err := b.describe(ctx); err != nil {
			return err
		}
		if err := b.insert(ctx); err != nil {
			return err
		}
	}
	b.stored, b.owner, b.rejects, b.bytes = nil, nil, nil, 0
	return nil
}

// describe fills names in and makes summary and tokens. Without the directory
// events go on without names, which are asked for again later.
func (b *batch) describe(ctx context.Context) error {
	if err := b.Names.Fill(ctx, b.stored); err != nil && !stopped(ctx) {
		b.Log.WarnContext(ctx, "events are stored without some names for now", "source", b.source, "error", err)
		if err := b.askLater(ctx); err != nil {
			return err
		}
	}
	for i := range b.stored {
		b.Normalizer.Describe(&b.stored[i])
	}
	return nil
}

// insert stores the events, window by window, so that what was new is known of
// each window. Of the blobs of one window the first in the batch is told it all:
// nobody asks for it by the blob, and a transaction for each would cost more.
func (b *batch) insert(ctx context.Context) error {
	for len(b.stored) > 0 {
		first := b.owner[0]
		var part, rest []audit.Stored
		var owners []int
		for i, s := range b.stored {
			if b.owners[b.owner[i]].hour.Equal(b.owners[first].hour) {
				part = append(part, s)
			} else {
				rest, owners = append(rest, s), append(owners, b.owner[i])
			}
		}
		if err := b.insertFor(ctx, first, part); err != nil {
			return err
		}
		now := time.Now()
		for i := range part {
			b.owners[first].lags.Observe(now.Sub(part[i].Event.Time))
		}
		b.stored, b.owner = rest, owners
	}
	return nil
}

// insertFor stores events that count for an owner. A store refuses a batch for
// one event that it can never take; then each is tried alone, and that one set aside.
func (b *batch) insertFor(ctx context.Context, owner int, part []audit.Stored) error {
	done, err := b.Store.Insert(ctx, part)
	switch {
	case err == nil:
		b.owners[owner].New += done.New
		b.owners[owner].Known += done.Known
		return nil
	case !errors.Is(err, audit.ErrInvalid):
		return err
	case len(part) > 1:
		for i := range part {
			if err := b.insertFor(ctx, owner, part[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	b.owners[owner].Quarantined++
	e := &part[0].Event
	_, err = b.Store.SetAside(ctx, []audit.Quarantined{{
		ID: audit.QuarantineID(e.TenantID, e.Source, part[0].Raw.Bytes), TenantID: e.TenantID, Source: e.Source,
		Reason: "the store cannot take it: it is too large", At: time.Now().UTC(),
	}})
	return err
}
