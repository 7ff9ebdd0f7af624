// Package ingest plans the windows of the ledger, runs them and keeps the
// ledger's account of them. It knows feeds, normalisation and stores only by
// what it asks of them; nothing that comes after the store hangs off it.
package ingest

import (
	"context"
	"iter"
	"math/rand/v2"
	"time"

	"aoc/internal/audit"
)

// Feed is one audit trail of a tenant, as ingest reads it.
type Feed interface {
	Source() audit.Source
	// Reach says what the oldest moment is that can still be listed, and in a
	// note for people, what decides it.
	Reach(now time.Time) (oldest time.Time, note string)
	// List yields the blobs of [from, to).
	List(ctx context.Context, from, to time.Time) iter.Seq2[audit.Blob, error]
	// Fetch yields the records of a blob as they came. An error ends it.
	Fetch(ctx context.Context, blob audit.Blob) iter.Seq2[audit.Record, error]
}

// Ledger is what is kept of windows.
type Ledger interface {
	Plan(ctx context.Context, windows []audit.Window) (int, error)
	HandOut(ctx context.Context, sources []audit.Source, now time.Time, hold time.Duration, limit int) ([]audit.Window, error)
	SaveWindows(ctx context.Context, lease audit.Lease, windows []audit.Window) error
	Windows(ctx context.Context, q audit.LedgerQuery) ([]audit.Window, error)
}

// Sums are the ledger's figures that planning needs.
type Sums interface {
	Held(ctx context.Context, now time.Time) (int, error)
	Feeds(ctx context.Context) ([]audit.FeedState, error)
}

// Blobs is what is kept of content blobs.
type Blobs interface {
	AddBlobs(ctx context.Context, rows []audit.BlobRow) (int, error)
	HandOutBlobs(ctx context.Context, sources []audit.Source, now time.Time, hold time.Duration, limit int) ([]audit.BlobRow, error)
	SaveBlobs(ctx context.Context, lease audit.Lease, rows []audit.BlobRow) error
	BlobReader
}

// BlobReader reads the rows of blobs, and lets go of those that are done with.
type BlobReader interface {
	Blobs(ctx context.Context, q audit.LedgerQuery) ([]audit.BlobRow, error)
	FoldBlobs(ctx context.Context, source audit.Source, start, end time.Time) (int, error)
}

// Leases keep two workers off one stretch of the ledger.
type Leases interface {
	Acquire(ctx context.Context, name, holder string, ttl time.Duration) (audit.Lease, error)
	Renew(ctx context.Context, lease audit.Lease, ttl time.Duration) (audit.Lease, error)
	Release(ctx context.Context, lease audit.Lease) error
}

// Events is where records become durable.
type Events interface {
	Insert(ctx context.Context, batch []audit.Stored) (audit.Inserted, error)
	SetAside(ctx context.Context, records []audit.Quarantined) (int, error)
}

// Jobs is where backfills are remembered.
type Jobs interface {
	AddJob(ctx context.Context, job audit.Job) error
	SaveJob(ctx context.Context, job audit.Job) error
	Job(ctx context.Context, id string) (audit.Job, error)
	Jobs(ctx context.Context, limit int) ([]audit.Job, error)
}

// Upkeep is what is done to events that are stored.
type Upkeep interface {
	Raws(ctx context.Context, ids []string) (map[string]audit.Raw, error)
	Replace(ctx context.Context, batch []audit.Stored) (int, error)
	Delete(ctx context.Context, ids []string) (int, error)
	DeleteJobs(ctx context.Context, before time.Time) (int, error)
}

// Quarantine is where bad records wait.
type Quarantine interface {
	Quarantined(ctx context.Context, after string, limit int) ([]audit.Quarantined, error)
	Unquarantine(ctx context.Context, ids []string) (int, error)
}

// Readings are the ways in which maintenance reads events.
type Readings interface {
	After(ctx context.Context, seq int64, limit int) ([]audit.Sequenced, error)
	Search(ctx context.Context, q audit.Query) (audit.Page, error)
}

// Store is all that ingest asks of a store.
type Store interface {
	Ledger
	Sums
	Blobs
	Leases
	Events
	Jobs
	Upkeep
	Quarantine
	Readings
}

// Item is one piece of work on the queue: neighbouring windows of one feed
// within one UTC day, so that a feed is listed once for up to 24 hours.
type Item struct {
	Source audit.Source `json:"source,omitempty"`
	Start  time.Time    `json:"start,omitzero"` // of the first window
	End    time.Time    `json:"end,omitzero"`   // of the last window, exclusive
	Job    string       `json:"job,omitempty"`  // instead of the three: a job to go on with
}

// Schedule says when windows are due. It is the same for planner and worker.
type Schedule struct {
	Interval time.Duration // how often a window is listed while its hour runs
}

// trust is how long after its end a window's listing may still change from one
// call to the next: the Management API is inconsistent in recent minutes and
// Graph publishes some minutes late, so no earlier run counts as the window's.
const trust = 15 * time.Minute

// settle is when a window is listed again, counted from its end. Late blobs
// are real: hours are common, days happen.
var settle = []time.Duration{trust, 4 * time.Hour, 24 * time.Hour, 6 * 24 * time.Hour}

// next returns the state and the due time of a window after a good run at the
// moment now; a zero time means that the window is never due again.
func (s Schedule) next(end, now time.Time) (audit.WindowState, time.Time) {
	age := now.Sub(end)
	if age < trust {
		return audit.Planned, earlier(now.Add(s.Interval), maxTime(end.Add(trust), now))
	}
	for _, offset := range settle {
		if age < offset {
			return audit.Kept, end.Add(offset)
		}
	}
	return audit.Settled, time.Time{}
}

// retryAt returns when a thing is due after its n-th failure in a row: after 1,
// 2, 4 … minutes, an hour at most, and up to a quarter sooner, so that what
// failed together does not come back together.
func retryAt(now time.Time, n int) time.Time {
	wait := min(time.Minute<<min(n-1, 6), time.Hour)
	return now.Add(wait - rand.N(wait/4))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
