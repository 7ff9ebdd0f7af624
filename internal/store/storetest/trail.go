package storetest

import (
	"sync"
	"sync/atomic"
	"testing"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func testTrail(t *testing.T, e Engine) {
	t.Run("insertion order", func(t *testing.T) { testTrailOrder(t, e) })
	t.Run("many writers", func(t *testing.T) { testTrailWriters(t, e, false) })
	t.Run("many writers, one dead", func(t *testing.T) { testTrailWriters(t, e, true) })
	t.Run("a dead writer holds nobody up for ever", func(t *testing.T) { testTrailDead(t, e) })
	t.Run("a slow writer is not lost", func(t *testing.T) { testTrailSlow(t, e, false) })
	t.Run("a slow writer that then dies is not lost", func(t *testing.T) { testTrailSlow(t, e, true) })
}

// follower reads a trail as everything after the store does.
type follower struct {
	store Store
	seq   int64
	order []string
	seen  map[string]bool
}

func follow(s Store) *follower { return &follower{store: s, seen: map[string]bool{}} }

// read goes on from where the follower stands until there is nothing more.
func (f *follower) read(t *testing.T, limit int) {
	t.Helper()
	for {
		events, err := f.store.After(t.Context(), f.seq, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, len(events), limit)
		if len(events) == 0 {
			return
		}
		for _, s := range events {
			require.Greater(t, s.Seq, f.seq, "numbers must grow")
			f.seq = s.Seq
			f.order = append(f.order, s.Event.ID)
			f.seen[s.Event.ID] = true
		}
	}
}

func (f *follower) requireSeen(t *testing.T, batch []audit.Stored) {
	t.Helper()
	for _, s := range batch {
		require.True(t, f.seen[s.Event.ID], "event %s never came", s.Event.RecordID)
	}
}

func testTrailOrder(t *testing.T, e Engine) {
	b := newBed(t, e)
	f := follow(b.again())
	f.read(t, 10)
	require.Zero(t, f.seq)
	late, early := Batch(500, 510), Batch(0, 10)
	insert(t, b, late, 10, 0)
	f.read(t, 3)
	insert(t, b.again(), early, 10, 0)
	insert(t, b, late, 0, 10)
	f.read(t, 100)
	require.Len(t, f.order, 20, "each event once, though some were inserted twice")
	f.requireSeen(t, late)
	f.requireSeen(t, early)
	for _, id := range f.order[10:] {
		require.Contains(t, ids(eventsOf(early)), id, "what was stored later comes later")
	}
	events, err := b.After(t.Context(), 0, 1)
	require.NoError(t, err)
	want, err := b.Event(t.Context(), audit.Everything(), f.order[0])
	require.NoError(t, err)
	require.Equal(t, asJSON(t, want), asJSON(t, events[0].Event))
	events, err = b.After(t.Context(), f.seq+1000, 10)
	require.NoError(t, err)
	require.Empty(t, events)
}

func testTrailWriters(t *testing.T, e Engine, dead bool) {
	const writers, batches, size = 4, 8, 12
	b := newBed(t, e)
	f := follow(b.again())
	var running sync.WaitGroup
	var left atomic.Int32
	left.Store(writers)
	for w := range writers {
		s := b.again()
		running.Go(func() {
			defer left.Add(-1)
			for n := range batches {
				at := (w*batches + n) * size
				if _, err := s.Insert(t.Context(), Batch(at, at+size)); err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	if dead {
		e.AbandonWrite(t, b.again(), Batch(90_000, 90_010))
	}
	for left.Load() > 0 {
		f.read(t, 25)
	}
	running.Wait()
	if dead {
		b.clock.Advance(2 * e.GiveUp)
	}
	f.read(t, 25)
	f.requireSeen(t, Batch(0, writers*batches*size))
	f.requireSeen(t, present(t, b, Batch(90_000, 90_010)))
}

func testTrailDead(t *testing.T, e Engine) {
	b := newBed(t, e)
	f := follow(b.Store)
	before, lost, after := Batch(0, 10), Batch(10, 20), Batch(20, 30)
	insert(t, b, before, 10, 0)
	e.AbandonWrite(t, b.again(), lost)
	insert(t, b, after, 10, 0)
	f.read(t, 100)
	f.requireSeen(t, before)
	b.clock.Advance(2 * e.GiveUp)
	f.read(t, 100)
	f.requireSeen(t, after)
	f.requireSeen(t, present(t, b, lost))
	_, err := b.again().Insert(t.Context(), lost)
	require.NoError(t, err)
	f.read(t, 100)
	f.requireSeen(t, lost)
}

// testTrailSlow lets a writer stop half way, be given up, be overtaken, and
// store the rest after that; and then perhaps die before it ends its insert.
func testTrailSlow(t *testing.T, e Engine, dies bool) {
	b := newBed(t, e)
	f := follow(b.Store)
	slow, after := Batch(10, 20), Batch(20, 30)
	halted := e.AbandonWrite(t, b.again(), slow)
	if halted == nil {
		t.Skip("a halted writer of this engine cannot come back")
	}
	insert(t, b, after, 10, 0)
	b.clock.Advance(2 * e.GiveUp)
	f.read(t, 100)
	f.requireSeen(t, after)
	err := halted.Rest()
	if err == nil && !dies {
		err = halted.Close()
	}
	if err != nil || dies { // whoever ran it does it again
		b.clock.Advance(2 * e.GiveUp)
		_, err = b.again().Insert(t.Context(), slow)
		require.NoError(t, err)
	}
	f.read(t, 100)
	b.clock.Advance(2 * e.GiveUp)
	f.read(t, 100)
	f.requireSeen(t, slow)
}

// present returns those of the batch that the store shows.
func present(t *testing.T, s Store, batch []audit.Stored) []audit.Stored {
	t.Helper()
	var there []audit.Stored
	for _, e := range batch {
		if _, err := s.Event(t.Context(), audit.Everything(), e.Event.ID); err == nil {
			there = append(there, e)
		}
	}
	return there
}

func eventsOf(batch []audit.Stored) []audit.Event {
	events := make([]audit.Event, len(batch))
	for i, s := range batch {
		events[i] = s.Event
	}
	return events
}
