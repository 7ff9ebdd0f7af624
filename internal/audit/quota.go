package audit

import "time"

// Quota is how many requests of a kind one caller may make in any span of a
// length.
type Quota struct {
	Name     string // of the kind: default, fetch, ask, write
	Requests int    // at least 1
	Window   time.Duration
}

// Decision is what became of one request under a Quota.
type Decision struct {
	OK        bool
	Remaining int           // requests that are left now
	Reset     time.Duration // until the whole quota is free again, as near as is known
	Retry     time.Duration // until the next request may succeed; 0 where OK
}

// Slide decides by a sliding window: so many requests were let through in the
// running slot of the quota's length, so many in the one before, and the
// running slot began so long ago. The older slot counts by the part of it that
// still lies within the window. Whoever counts (Redis, a store) decides by this
// arithmetic, so that all answer alike.
func (q Quota) Slide(current, previous int, elapsed time.Duration) Decision {
	elapsed = min(max(elapsed, 0), q.Window)
	left := q.Window - elapsed
	used := current + int(int64(previous)*int64(left)/int64(q.Window))
	d := Decision{OK: used < q.Requests, Reset: left}
	if current > 0 || previous > 0 {
		d.Reset += q.Window
	}
	if d.OK {
		d.Remaining = q.Requests - used - 1
		return d
	}
	d.Retry = q.retry(current, previous, left)
	return d
}

// retry is how long the caller must wait: until enough of the older slot has
// left the window, or else until enough of this one has, as the older slot then.
func (q Quota) retry(current, previous int, left time.Duration) time.Duration {
	free := q.Requests - 1 - current // of the older slot, so many may still count
	if free >= 0 && previous > 0 {
		// previous*(left-wait)/Window < free+1
		return max(left-time.Duration(int64(free+1)*int64(q.Window)/int64(previous))+time.Millisecond, time.Millisecond)
	}
	// current*(Window-wait)/Window < Requests, counted from the next slot.
	return left + max(q.Window-time.Duration(int64(q.Requests)*int64(q.Window)/int64(max(current, 1))), 0) + time.Millisecond
}
