package audit

import "time"

// Blob is one unit that a feed lists: a content blob of the Management API, or
// one span of a Graph collection. Its records are read together.
type Blob struct {
	Source  Source    `json:"source"`
	ID      string    `json:"id"`               // the source's content id, opaque
	URI     string    `json:"uri,omitempty"`    // where it is read, opaque
	Created time.Time `json:"created"`          // decides the window that it counts for, or the start of a span
	Until   time.Time `json:"until,omitzero"`   // end of the span of event time that it stands for (Graph); else zero
	Expires time.Time `json:"expires,omitzero"` // when the source forgets it; zero: not said
}

// BlobRow is a row of the ledger: one content blob of the Management API. It is
// there from the moment the blob was first heard of until its window is settled
// for good and folded.
type BlobRow struct {
	Blob
	State    WindowState `json:"state"`              // Listed, Kept or Lost
	Reason   string      `json:"reason,omitempty"`   // why it is lost, for people
	Late     bool        `json:"late"`               // first heard of after its window had been listed well
	Attempts int         `json:"attempts"`           // failed readings
	Error    string      `json:"error,omitempty"`    // the last failure, in words, a second line says what to do; "" once stored
	NextAt   time.Time   `json:"next_at,omitzero"`   // when it is due; zero: never again
	HeldTill time.Time   `json:"held_till,omitzero"` // handed out to a worker until then
	StoredAt time.Time   `json:"stored_at,omitzero"` // when all of it was durable
	FailedAt time.Time   `json:"failed_at,omitzero"`
	Counts   Counts      `json:"counts"` // of the reading that stored it
	Lags     Lags        `json:"lags"`   // of its records
	Fence    int64       `json:"fence"`  // of the lease under which it was last written
}

// lagBounds are the upper bounds of the classes of Lags; the last is open.
var lagBounds = [...]time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 24 * time.Hour, 72 * time.Hour,
}

// Lags counts records by how long after the event they were stored, in classes
// up to 1, 2, 5, 10, 15, 30 minutes, 1, 2, 6, 24, 72 hours and beyond, so that
// percentiles can be told of any sum of windows.
type Lags [len(lagBounds) + 1]int

// Observe counts one record.
func (l *Lags) Observe(lag time.Duration) {
	for i, bound := range lagBounds {
		if lag <= bound {
			l[i]++
			return
		}
	}
	l[len(lagBounds)]++
}

// Plus returns the sum of both.
func (l Lags) Plus(o Lags) Lags {
	for i := range l {
		l[i] += o[i]
	}
	return l
}

// Percentile returns the upper bound of the class in which the p-th percent of
// the records lies; ok is false where there is none, or it lies beyond 72 hours.
func (l Lags) Percentile(p int) (bound time.Duration, ok bool) {
	total := 0
	for _, n := range l {
		total += n
	}
	left := (total*p + 99) / 100
	for i, n := range l {
		if left -= n; left <= 0 && total > 0 && i < len(lagBounds) {
			return lagBounds[i], true
		}
	}
	return 0, false
}
