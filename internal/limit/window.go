package limit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// maxGuard is added to the length of a window: the other side counts calls when
// they arrive, and of two calls the later one may travel faster.
const maxGuard = 500 * time.Millisecond

// guarded is the span in which n calls may begin so that at most n arrive in a
// length.
func guarded(length time.Duration) time.Duration { return length + min(maxGuard, length/10) }

// Window is the Limiter of one process. At most so many calls begin in any span
// of a length and half a second (a tenth of a length below five seconds), which
// neither a strict sliding or fixed window nor a token bucket of the same size
// refuses, unless calls take that much more or less time to arrive. Waiters are
// served in no order.
type Window struct {
	span   time.Duration
	counts counts

	mu    sync.Mutex
	pace  pace
	begun []time.Time // ring of the moments of the last len(begun) calls
	next  int         // where the next one goes, over the oldest
}

// NewWindow returns a Window for n calls, at least 1, in any span of a length.
func NewWindow(n int, length time.Duration) *Window {
	return &Window{span: guarded(length), begun: make([]time.Time, max(n, 1))}
}

// Wait implements Limiter.
func (w *Window) Wait(ctx context.Context) error {
	start := time.Now()
	err := w.wait(ctx)
	w.counts.add(start, err)
	return err
}

func (w *Window) wait(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := time.Now()
		at := w.reserve(now)
		if !at.After(now) {
			return nil
		}
		if err := tooLate(ctx, now, at); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(at.Sub(now)):
		}
	}
}

// tooLate returns an error when the context ends before a moment.
func tooLate(ctx context.Context, now, at time.Time) error {
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(at) {
		return fmt.Errorf("wait for the rate limit: the next call may begin in %s: %w", at.Sub(now).Round(time.Second), context.DeadlineExceeded)
	}
	return nil
}

// Throttled implements Limiter.
func (w *Window) Throttled(quiet time.Duration) {
	w.counts.throttles.Add(1)
	w.throttled(quiet)
}

func (w *Window) throttled(quiet time.Duration) (longer bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pace.throttled(time.Now(), boundedQuiet(quiet))
}

// Stats implements Limiter.
func (w *Window) Stats() Stats {
	stats := w.counts.stats()
	stats.Share, stats.Alone = w.share(), true
	return stats
}

func (w *Window) share() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return float64(fullShare-w.pace.lacks(time.Now())) / fullShare
}

// reserve takes a place at the moment now and returns it, or takes none and
// returns when to ask again.
func (w *Window) reserve(now time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pace.closed.After(now) {
		return w.pace.closed
	}
	last := w.begun[(w.next+len(w.begun)-w.pace.bound(now, len(w.begun)))%len(w.begun)]
	if free := last.Add(w.span); !last.IsZero() && free.After(now) {
		return free
	}
	w.record(now)
	return now
}

func (w *Window) record(now time.Time) {
	w.begun[w.next] = now
	w.next = (w.next + 1) % len(w.begun)
}

// counts are the numbers behind Stats.
type counts struct{ calls, waited, throttles atomic.Int64 }

func (c *counts) add(start time.Time, err error) {
	c.waited.Add(int64(time.Since(start)))
	if err == nil {
		c.calls.Add(1)
	}
}

func (c *counts) stats() Stats {
	return Stats{Calls: c.calls.Load(), Waited: time.Duration(c.waited.Load()), Throttles: c.throttles.Load()}
}
