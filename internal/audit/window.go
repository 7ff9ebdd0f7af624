package audit

import "time"

// WindowLength is the grid of the ledger: every feed's windows are whole hours
// of UTC, for timer and backfill alike.
const WindowLength = time.Hour

// WindowState is how far a window has come.
type WindowState string

// The states of a window. A window whose hour is not over, or too young to
// trust, goes back to planned after each good run.
const (
	Planned WindowState = "planned" // to be listed
	Listed  WindowState = "listed"  // the feed said what there is
	Fetched WindowState = "fetched" // all that was listed has been read
	Kept    WindowState = "stored"  // all of it is durable; settle passes are still to come
	Settled WindowState = "settled" // durable, and listed for the last time
	Lost    WindowState = "lost"    // cannot be had any more, because of Window.Reason
)

// Counts is what runs of a window have read so far, summed over its runs.
type Counts struct {
	Blobs       int `json:"blobs"`
	Read        int `json:"read"`
	New         int `json:"new"`
	Known       int `json:"known"`
	Quarantined int `json:"quarantined"`
}

// Add returns the sum of both.
func (c Counts) Add(o Counts) Counts {
	return Counts{c.Blobs + o.Blobs, c.Read + o.Read, c.New + o.New, c.Known + o.Known, c.Quarantined + o.Quarantined}
}

// Sub returns what c has more than o.
func (c Counts) Sub(o Counts) Counts {
	return Counts{c.Blobs - o.Blobs, c.Read - o.Read, c.New - o.New, c.Known - o.Known, c.Quarantined - o.Quarantined}
}

// Window is a row of the ledger: one hour of one feed. The hour is of
// publication for the Management API and of the event for Graph.
type Window struct {
	Source   Source      `json:"source"`
	Start    time.Time   `json:"start"`              // a whole hour, UTC
	State    WindowState `json:"state"`              //
	Reason   string      `json:"reason,omitempty"`   // why it is lost, for people
	Passes   int         `json:"passes"`             // good runs after the hour was over and old enough to trust
	Attempts int         `json:"attempts"`           // failed runs since the last good one
	Error    string      `json:"error,omitempty"`    // the last failure in words, a second line says what to do; "" after a good run
	NextAt   time.Time   `json:"next_at,omitzero"`   // when it is due; zero: never again
	HeldTill time.Time   `json:"held_till,omitzero"` // handed out to a worker until then
	ListedAt time.Time   `json:"listed_at,omitzero"` // end of the last good run
	FailedAt time.Time   `json:"failed_at,omitzero"` // end of the last failed run
	Counts   Counts      `json:"counts"`
	Late     int         `json:"late"`                // records that came to be known after the first good run
	Lags     Lags        `json:"lags"`                // of its records
	Deleted  time.Time   `json:"deleted_at,omitzero"` // when retention deleted its events on purpose
	Fence    int64       `json:"fence"`               // of the lease under which it was last written
}

// End is where the window ends, exclusive.
func (w Window) End() time.Time { return w.Start.Add(WindowLength) }

// Due reports whether the window is to be run at the moment now.
func (w Window) Due(now time.Time) bool {
	return !w.NextAt.IsZero() && !w.NextAt.After(now) && !w.HeldTill.After(now)
}

// WindowOf returns the start of the window that a moment lies in.
func WindowOf(t time.Time) time.Time { return t.UTC().Truncate(WindowLength) }

// LedgerQuery asks for windows of the ledger, by source and start, ascending.
type LedgerQuery struct {
	Sources    []Source  // any of these; empty: all
	Start, End time.Time // windows that start at or after Start and before End; zero: no bound
	Limit      int       // rows at most; must be set
}

// FeedState is a feed's summary, read off its windows.
type FeedState struct {
	Source      Source
	LastSuccess time.Time // newest ListedAt
	CaughtUpTo  time.Time // newest End of a window that was run well; zero: none was
	FailedAt    time.Time // newest FailedAt of the windows whose last run failed
	LastError   string    // that window's Error
	Failing     int       // windows whose last run failed
	Waiting     int       // windows that were never run well and are not lost
	Lost        int       // windows lost
	Windows     int       // windows in all
	Counts      Counts    // of all windows
}

// Lease is a claim on a name. Fence grows with each new holder, and a store
// refuses ledger writes under a lower fence than the row has seen.
type Lease struct {
	Name    string
	Holder  string
	Fence   int64
	Expires time.Time
}
