// Package limit keeps callers and our own calls to Microsoft's APIs within
// their bounds. It knows what a bound is, not whose it is.
package limit

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Window lets at most so many calls begin in any span of a length, which
// neither a strict fixed window nor a token bucket of the same size refuses.
// It is safe for concurrent use; waiters are served in no order.
type Window struct {
	length time.Duration

	mu     sync.Mutex
	begun  []time.Time // ring of the moments of the last len(begun) calls
	oldest int
	closed time.Time // no call before it: the other side asked for quiet
}

// NewWindow returns a Window for n calls, at least 1, in any span of a length.
func NewWindow(n int, length time.Duration) *Window {
	return &Window{length: length, begun: make([]time.Time, max(n, 1))}
}

// Wait returns when the next call may begin, or the context's error. It
// returns at once with an error when the context would end before that.
func (w *Window) Wait(ctx context.Context) error {
	for {
		now := time.Now()
		at := w.reserve(now)
		if !at.After(now) {
			return ctx.Err()
		}
		if deadline, ok := ctx.Deadline(); ok && deadline.Before(at) {
			return fmt.Errorf("wait for the rate limit: the next call may begin in %s: %w", at.Sub(now).Round(time.Second), context.DeadlineExceeded)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(at.Sub(now)):
		}
	}
}

// Throttled tells that the other side refused a call and asked for quiet of a
// length; all waiters hold still for it.
func (w *Window) Throttled(quiet time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if until := time.Now().Add(quiet); until.After(w.closed) {
		w.closed = until
	}
}

// reserve takes a place at the moment now and returns it, or takes none and
// returns when to ask again.
func (w *Window) reserve(now time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed.After(now) {
		return w.closed
	}
	if free := w.begun[w.oldest].Add(w.length); !w.begun[w.oldest].IsZero() && free.After(now) {
		return free
	}
	w.begun[w.oldest] = now
	w.oldest = (w.oldest + 1) % len(w.begun)
	return now
}
