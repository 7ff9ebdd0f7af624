// Package storetest is the contract of AOC's stores and the suite that holds
// each of them to it. It knows no engine: a store's own tests hand it one.
//
// Times that a store is given are whole ticks of 100 ns, and come back equal, in
// UTC, the zero time as the zero time.
package storetest

import (
	"context"
	"time"

	"aoc/internal/audit"
)

// Store is everything that a store must do. No consumer sees it whole: each
// declares the few methods that it needs.
type Store interface {
	Events
	Trail
	Quarantine
	Ledger
	Blobs
	Leases
	Jobs
	Upkeep
	Names
	Quotas
	Instances
	// Ping says whether the store can be reached, within the context's time.
	Ping(ctx context.Context) error
	// Close releases what the store holds. Nothing may be called after it.
	Close() error
}

// Events is the part of a store that answers questions about events.
type Events interface {
	// Insert makes a batch durable: for each the raw bytes first, then the event.
	// An event whose id is there already, or came earlier in the batch, is known:
	// the stored one stays as it is. When it fails, any part of the batch may be
	// stored; inserting it again completes it. The counts are exact where no one
	// else inserts the same events at that moment.
	Insert(ctx context.Context, batch []audit.Stored) (audit.Inserted, error)
	// Event returns one event, or audit.ErrNotFound where it is not there or not
	// in the scope. Any text may be asked for as an id; what is none is not there.
	Event(ctx context.Context, scope audit.Scope, id string) (audit.Event, error)
	// Raw returns an event's evidence under the same rule.
	Raw(ctx context.Context, scope audit.Scope, id string) (audit.Raw, error)
	// Search answers a valid query, newest first (audit.Query.Matches is the rule).
	// A page is full unless nothing comes after it. Page.Next is its last event's
	// position, and nil when nothing comes after the page.
	Search(ctx context.Context, q audit.Query) (audit.Page, error)
}

// Trail is the part of a store that everything after it reads.
type Trail interface {
	// After returns up to limit events with a sequence number above seq, in
	// insertion order: numbers grow, and what is inserted after another Insert has
	// returned has higher ones. It returns none when there is nothing to read now.
	// A reader that goes on from the last number it was given
	// gets every event at least once, whatever the writers did: numbers that an
	// unfinished writer may still use hold readers back, until that writer is
	// given up; what it stores later is numbered anew.
	After(ctx context.Context, seq int64, limit int) ([]audit.Sequenced, error)
	// Facets returns the combinations of values that events in the scope have,
	// in no order, 10,000 at most. One whose last event was deleted or replaced may
	// be among them still.
	Facets(ctx context.Context, scope audit.Scope) ([]audit.Facet, error)
}

// Quarantine is where records wait that could not be made events.
type Quarantine interface {
	// SetAside keeps bad records, each id once, and says how many were not there yet.
	SetAside(ctx context.Context, records []audit.Quarantined) (int, error)
	// Quarantined returns up to limit of them with an id above after, by id.
	Quarantined(ctx context.Context, after string, limit int) ([]audit.Quarantined, error)
}

// Ledger is the part of a store that knows what was collected and what was not.
type Ledger interface {
	// Plan adds windows that are not there yet and says how many it added. Of
	// those that are there it moves NextAt forward to the given one where that is
	// earlier than theirs, or theirs is zero and the window is not lost; so a
	// backfill lists settled windows again. A given NextAt of zero moves nothing.
	// It touches nothing else of them.
	Plan(ctx context.Context, windows []audit.Window) (int, error)
	// HandOut returns up to limit windows of the sources that are due, those with
	// the oldest NextAt first (ties: newest Start first), and holds them until
	// now+hold, so that the next call does not hand them out again before that.
	// It touches no window of another source; of no sources there are none.
	HandOut(ctx context.Context, sources []audit.Source, now time.Time, hold time.Duration, limit int) ([]audit.Window, error)
	// SaveWindows writes the outcome of a run over the rows with these keys
	// (source and start), all fields; Fence is set to the lease's. A row that is
	// not there is added, with the fields and the lease's fence. A row that has
	// seen a higher fence is left alone, and audit.ErrFenced returned after the
	// others were written.
	SaveWindows(ctx context.Context, lease audit.Lease, windows []audit.Window) error
	// Windows lists rows of the ledger.
	Windows(ctx context.Context, q audit.LedgerQuery) ([]audit.Window, error)
	LedgerSums
}

// LedgerSums are the figures that are read off the ledger.
type LedgerSums interface {
	// Held counts the windows that are handed out at the moment now.
	Held(ctx context.Context, now time.Time) (int, error)
	// Feeds sums up the ledger, one for each source that has a row, by source. A
	// window's last run failed when its Attempts are above zero, lost or not; it
	// was run well when its ListedAt is not zero.
	Feeds(ctx context.Context) ([]audit.FeedState, error)
}

// Blobs is the ledger's account of content blobs: a row each, from when it was
// first heard of until it is folded. A blob's id is unique within its source,
// and opaque.
type Blobs interface {
	// AddBlobs adds rows that are not there yet, by source and id, and says how
	// many; those that are there, or came earlier in the same call, stay as they
	// are. Some thousand are no trouble.
	AddBlobs(ctx context.Context, rows []audit.BlobRow) (int, error)
	// HandOutBlobs returns up to limit blobs of the sources that are due (NextAt is
	// set and not after now, HeldTill is not after now), those with the oldest
	// NextAt first, and holds them until now+hold, as HandOut does with windows.
	HandOutBlobs(ctx context.Context, sources []audit.Source, now time.Time, hold time.Duration, limit int) ([]audit.BlobRow, error)
	// SaveBlobs writes rows whole, as SaveWindows does with windows: Fence is set to
	// the lease's, a row that is not there is added, one that has seen a higher
	// fence is left alone, and audit.ErrFenced returned after the others were
	// written.
	SaveBlobs(ctx context.Context, lease audit.Lease, rows []audit.BlobRow) error
	BlobAccount
}

// BlobAccount is what is read off the blobs' rows, and how it ends.
type BlobAccount interface {
	// Blobs lists rows by source, Created and id, ascending; the query's times bound
	// Created.
	Blobs(ctx context.Context, q audit.LedgerQuery) ([]audit.BlobRow, error)
	// FoldBlobs deletes the rows of a source with Created at or after start and
	// before end that are not Listed, and says how many.
	FoldBlobs(ctx context.Context, source audit.Source, start, end time.Time) (int, error)
}

// Leases let one of several instances do a thing at a time.
type Leases interface {
	// Acquire claims a name for a holder until now+ttl by the clock that the store
	// was opened with; at that moment it is free again. It returns audit.ErrBusy while another's claim lasts; the same
	// holder acquiring again gets a new, higher fence.
	Acquire(ctx context.Context, name, holder string, ttl time.Duration) (audit.Lease, error)
	// Renew makes a lease last until now+ttl, or returns audit.ErrFenced when a
	// newer one was given out. A lease that ran out and that nobody took since can
	// be renewed.
	Renew(ctx context.Context, lease audit.Lease, ttl time.Duration) (audit.Lease, error)
	// Release ends a lease early. Releasing one that has ended is no error and ends
	// no newer one. The next fence of the name is higher all the same.
	Release(ctx context.Context, lease audit.Lease) error
}

// Jobs is what people asked for and follow.
type Jobs interface {
	// AddJob keeps a new job. It fails when its ID is there already.
	AddJob(ctx context.Context, job audit.Job) error
	// SaveJob overwrites a job that is there, or returns audit.ErrNotFound.
	SaveJob(ctx context.Context, job audit.Job) error
	// Job returns one, or audit.ErrNotFound.
	Job(ctx context.Context, id string) (audit.Job, error)
	// Jobs returns the newest by CreatedAt, newest first, up to limit.
	Jobs(ctx context.Context, limit int) ([]audit.Job, error)
}

// Upkeep is what maintenance does to what is stored. It is given up to some
// hundred ids or events in one call. What is no id is not there.
type Upkeep interface {
	// Raws returns the evidence of those events that are there, by id.
	Raws(ctx context.Context, ids []string) (map[string]audit.Raw, error)
	// Replace overwrites the event and the index of those that are there, and says
	// how many it found, the same id counted once and the last of it written. Raw
	// bytes, sequence number and Tags stay as they are. One that differs in nothing
	// costs no write.
	Replace(ctx context.Context, batch []audit.Stored) (int, error)
	// Delete removes events with their raw bytes and index, and says how many were
	// there. At no moment can an event be read whose raw bytes are gone, and what a
	// crash in the middle leaves is removed by the same call again. The caller must
	// keep the same events from being inserted meanwhile. See Trail.Facets for what
	// stays.
	Delete(ctx context.Context, ids []string) (int, error)
	Removal
}

// Removal ends what has served its turn.
type Removal interface {
	// Unquarantine removes quarantined records by id, and says how many.
	Unquarantine(ctx context.Context, ids []string) (int, error)
	// DeleteJobs removes jobs that ended before a moment, and says how many.
	DeleteJobs(ctx context.Context, before time.Time) (int, error)
}

// Names keeps what a directory said of ids, misses too.
type Names interface {
	// KnownNames returns what is kept of ids and still believed: its Until is after now.
	KnownNames(ctx context.Context, ids []string, now time.Time) (map[string]audit.KnownName, error)
	// KeepNames adds or overwrites.
	KeepNames(ctx context.Context, names map[string]audit.KnownName) error
}

// Quotas counts what callers ask of AOC.
type Quotas interface {
	// Take decides by audit.Quota.Slide whether one more request of a caller may
	// pass at the moment now, and counts it if so; one that is refused counts for
	// nothing. Slots are of the quota's length, from 1970 on. Callers, and quotas of
	// another name or length, are counted apart. However many ask at once, through
	// however many stores, no slot ever lets more through than the quota; the sum
	// with the slot before is exact where the callers' clocks agree. Counters that
	// say nothing any more go as others are made.
	Take(ctx context.Context, q audit.Quota, who string, now time.Time) (audit.Decision, error)
}

// Instances is what running processes tell of themselves.
type Instances interface {
	// SaveInstance keeps what an instance tells, in the place of what it told
	// before, and forgets those that told last more than a day ago, by the clock that
	// the store was opened with.
	SaveInstance(ctx context.Context, instance audit.Instance) error
	// Instances returns those that told at or after since, the latest first, ties by
	// ID descending, 200 at most.
	Instances(ctx context.Context, since time.Time) ([]audit.Instance, error)
}
