package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func testLeases(t *testing.T, e Engine) {
	t.Run("one at a time", func(t *testing.T) { testLease(t, e) })
	t.Run("fences grow", func(t *testing.T) { testLeaseFences(t, e) })
	t.Run("many want one name", func(t *testing.T) { testLeaseRace(t, e) })
	t.Run("many want an expired one", func(t *testing.T) {
		if !e.Contention {
			t.Skip("this engine loses concurrent updates")
		}
		b := newBed(t, e)
		acquire(t, b, "planner", "dead")
		b.clock.Advance(time.Minute)
		requireOneWinner(t, b, "planner")
	})
}

func acquire(t *testing.T, s Store, name, holder string) audit.Lease {
	t.Helper()
	lease, err := s.Acquire(t.Context(), name, holder, time.Minute)
	require.NoError(t, err)
	return lease
}

func testLease(t *testing.T, e Engine) {
	b := newBed(t, e)
	other := b.again()
	mine := acquire(t, b, "planner", "me")
	require.Equal(t, audit.Lease{Name: "planner", Holder: "me", Fence: mine.Fence, Expires: b.clock.Now().Add(time.Minute)}, mine)
	require.Positive(t, mine.Fence)
	busy := func() {
		t.Helper()
		_, err := other.Acquire(t.Context(), "planner", "you", time.Minute)
		require.ErrorIs(t, err, audit.ErrBusy)
	}
	busy()
	acquire(t, other, "another name", "you")

	b.clock.Advance(40 * time.Second)
	renewed, err := b.Renew(t.Context(), mine, time.Minute)
	require.NoError(t, err)
	require.Equal(t, audit.Lease{Name: "planner", Holder: "me", Fence: mine.Fence, Expires: b.clock.Now().Add(time.Minute)}, renewed)
	b.clock.Advance(40 * time.Second)
	busy()
	require.NoError(t, b.Release(t.Context(), renewed))
	require.NoError(t, b.Release(t.Context(), renewed))
	yours := acquire(t, other, "planner", "you")
	require.Greater(t, yours.Fence, mine.Fence, "the fence grows over a release too")
	require.NoError(t, b.Release(t.Context(), renewed), "an old lease releases nothing")
	_, err = b.Acquire(t.Context(), "planner", "me", time.Minute)
	require.ErrorIs(t, err, audit.ErrBusy)
}

func testLeaseFences(t *testing.T, e Engine) {
	b := newBed(t, e)
	first := acquire(t, b, "planner", "me")
	second := acquire(t, b, "planner", "me")
	require.Greater(t, second.Fence, first.Fence, "the same holder again")
	_, err := b.Renew(t.Context(), first, time.Minute)
	require.ErrorIs(t, err, audit.ErrFenced)

	b.clock.Advance(time.Minute)
	_, err = b.Renew(t.Context(), second, time.Minute)
	require.NoError(t, err, "an expired lease that nobody took can be renewed")
	b.clock.Advance(time.Minute)
	third := acquire(t, b.again(), "planner", "you")
	require.Greater(t, third.Fence, second.Fence, "an expired lease is free")
	_, err = b.Renew(t.Context(), second, time.Minute)
	require.ErrorIs(t, err, audit.ErrFenced)
}

func testLeaseRace(t *testing.T, e Engine) {
	b := newBed(t, e)
	requireOneWinner(t, b, "planner")
}

func requireOneWinner(t *testing.T, b *bed, name string) {
	t.Helper()
	var claims sync.WaitGroup
	stores := []Store{b.Store, b.again(), b.again()}
	errs := make([]error, 20)
	for i := range errs {
		claims.Go(func() {
			_, errs[i] = stores[i%len(stores)].Acquire(t.Context(), name, fmt.Sprintf("holder-%d", i), time.Minute)
		})
	}
	claims.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		require.True(t, errors.Is(err, audit.ErrBusy), "%v", err)
	}
	require.Equal(t, 1, won)
}
