package limit

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// spanSlots is into how many slots of time Redis counts calls. One slot is lost
// of each span.
const spanSlots = 100

// Shared is the Limiter of several processes, which count their calls in Redis
// by its clock, in slots of a hundredth of Window's span. Whoever waits in a
// process is served by one trip at a time for all of them. While Redis is out
// of reach each process keeps to half of the bound by itself: two of them stay
// within it, more rely on the refusals that they are told of. Nothing waits for
// Redis longer than half a second in five.
type Shared struct {
	line   *line
	key    string
	n      int
	slot   time.Duration // whole milliseconds
	local  *Window       // for half of the bound; it knows of every call of this process
	counts counts
	lacks  atomic.Int64 // sixteenths, as Redis said last

	mu      sync.Mutex
	waiters map[*waiter]struct{}
	serving bool
	next    time.Time     // no place is free before it
	left    chan struct{} // the last waiter left

	unseen []time.Time // calls that Redis does not know of yet; only serve uses it
}

// waiter is one call to Wait.
type waiter struct {
	ctx  context.Context
	turn chan error // holds one
}

func newShared(l *line, key string, n int, length time.Duration) *Shared {
	n = max(n, 1)
	slot := (guarded(length) + spanSlots*time.Millisecond - 1) / (spanSlots * time.Millisecond) * time.Millisecond
	return &Shared{
		line: l, key: key, n: n, slot: slot, local: NewWindow(n/2, length),
		waiters: map[*waiter]struct{}{}, left: make(chan struct{}, 1),
	}
}

// Wait implements Limiter.
func (s *Shared) Wait(ctx context.Context) error {
	start := time.Now()
	err := s.wait(ctx)
	s.counts.add(start, err)
	return err
}

func (s *Shared) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &waiter{ctx: ctx, turn: make(chan error, 1)}
	if err := s.join(w); err != nil {
		return err
	}
	select {
	case err := <-w.turn:
		return err
	case <-ctx.Done():
		// A place that was taken for it meanwhile is lost, which errs towards too few.
		s.leave(w)
		return ctx.Err()
	}
}

func (s *Shared) join(w *waiter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := tooLate(w.ctx, time.Now(), s.next); err != nil && s.serving {
		return err
	}
	s.waiters[w] = struct{}{}
	if !s.serving {
		s.serving = true
		go s.serve()
	}
	return nil
}

func (s *Shared) leave(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiters, w)
	if len(s.waiters) == 0 {
		select {
		case s.left <- struct{}{}:
		default:
		}
	}
}

// Throttled implements Limiter. It tells the other processes through Redis.
func (s *Shared) Throttled(quiet time.Duration) {
	s.counts.throttles.Add(1)
	quiet = boundedQuiet(quiet)
	if !s.local.throttled(quiet) {
		return // one of many that are refused together: they know already
	}
	if got, err := s.line.trip(s.key, s.args(0, quiet)); err == nil {
		s.lacks.Store(int64(got.lacks))
	}
}

// Stats implements Limiter.
func (s *Shared) Stats() Stats {
	stats := s.counts.stats()
	if stats.Alone, _ = s.line.state(); stats.Alone {
		stats.Share = s.local.share() / 2
	} else {
		stats.Share = float64(fullShare-s.lacks.Load()) / fullShare
	}
	return stats
}

// serve gives places to waiters until there are none.
func (s *Shared) serve() {
	for {
		want := s.wanted()
		if want == 0 {
			return
		}
		granted, next := s.take(want)
		if s.admit(granted, next) {
			s.sleep(time.Until(next))
		}
	}
}

func (s *Shared) wanted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = time.Time{}
	s.serving = len(s.waiters) > 0
	return len(s.waiters)
}

// admit lets so many waiters go, and sends away those who end before the next
// place is free. It says whether others wait on.
func (s *Shared) admit(granted int, next time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = next
	now := time.Now()
	for w := range s.waiters {
		err := tooLate(w.ctx, now, next)
		if granted > 0 {
			granted, err = granted-1, nil
		} else if err == nil {
			continue
		}
		w.turn <- err
		delete(s.waiters, w)
	}
	return len(s.waiters) > 0
}

// sleep waits, though not for nobody.
func (s *Shared) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.left:
	}
}

// take takes up to so many places, and returns when to ask again; the zero time
// is at once.
func (s *Shared) take(want int) (granted int, next time.Time) {
	if until := s.local.closedUntil(); time.Now().Before(until) {
		return 0, until
	}
	if s.line.resting() {
		return s.takeAlone(want)
	}
	got, err := s.line.trip(s.key, s.args(want, 0, s.ages()...))
	if err != nil {
		return s.takeAlone(want)
	}
	s.unseen = s.unseen[:0]
	s.lacks.Store(int64(got.lacks))
	s.local.follow(got)
	if got.wait > 0 {
		next = time.Now().Add(got.wait)
	}
	return got.taken, next
}

// takeAlone takes places without Redis.
func (s *Shared) takeAlone(want int) (granted int, next time.Time) {
	now := time.Now()
	for ; granted < want; granted++ {
		if at := s.local.reserve(now); at.After(now) {
			_, next = s.line.state()
			if at.Before(next) || !next.After(now) {
				next = at
			}
			break
		}
		s.unseen = append(s.unseen, now)
	}
	return granted, next
}

// args are those of limit.lua.
func (s *Shared) args(want int, quiet time.Duration, ages ...any) []any {
	return append([]any{
		s.n, spanSlots, s.slot.Milliseconds(), want, quiet.Milliseconds(),
		fullShare, riseAfter.Milliseconds(), forgetAfter.Milliseconds(),
	}, ages...)
}

// ages forgets the unseen calls that are over, and returns the others as pairs
// of age in slots and number.
func (s *Shared) ages() (pairs []any) {
	now, over := time.Now(), 0
	for over < len(s.unseen) && now.Sub(s.unseen[over]) >= (spanSlots+1)*s.slot {
		over++
	}
	s.unseen = append(s.unseen[:0], s.unseen[over:]...)
	byAge := map[int64]int{}
	for _, at := range s.unseen {
		byAge[int64(now.Sub(at)/s.slot)]++
	}
	for age, calls := range byAge {
		pairs = append(pairs, age, calls)
	}
	return pairs
}

// closedUntil is the moment before which no call begins; it may be over.
func (w *Window) closedUntil() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pace.closed
}

// follow takes over what was allowed elsewhere.
func (w *Window) follow(got answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if got.closed > 0 {
		w.pace.hold(now.Add(got.closed))
	}
	for range got.taken {
		w.record(now)
	}
}
