package mongo

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/store/storetest"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
)

func TestQuotasThatSayNothingAreRemoved(t *testing.T) {
	s, _ := fresh(t)
	q := audit.Quota{Name: "default", Requests: 2, Window: time.Minute}
	now := storetest.Epoch
	for round := range 4 {
		for n := range 40 {
			_, err := s.Take(t.Context(), q, fmt.Sprint(round, "-", n), now)
			require.NoError(t, err)
		}
		now = now.Add(3 * q.Window)
	}
	coll, err := s.coll(t.Context(), quotasColl)
	require.NoError(t, err)
	n, err := coll.CountDocuments(t.Context(), bson.D{})
	require.NoError(t, err)
	require.LessOrEqual(t, int(n), 40+2*sweepEvery, "those of the rounds before are gone")
}

// TestSlotThatFillsMeanwhileIsRefused lets others take all that is left, beside
// the weight of the slot before, after a caller has read it and before that one
// is counted.
func TestSlotThatFillsMeanwhileIsRefused(t *testing.T) {
	s, _ := fresh(t)
	other := freshStoreWith(t, s)
	q := audit.Quota{Name: "write", Requests: 4, Window: time.Minute}
	start := storetest.Epoch.Truncate(q.Window)
	take := func(at time.Time, want bool) {
		t.Helper()
		d, err := other.Take(t.Context(), q, "me", at)
		require.NoError(t, err)
		require.Equal(t, want, d.OK)
	}
	for range 4 {
		take(start, true)
	}
	half := start.Add(q.Window + q.Window/2) // at which two of the four still count
	take(half, true)
	var once sync.Once
	s.monitor = &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if e.CommandName == "findAndModify" {
			once.Do(func() { take(half, true) })
		}
	}}
	d, err := s.Take(t.Context(), q, "me", half)
	require.NoError(t, err)
	require.False(t, d.OK)
	take(half, false)
	later := half.Add(q.Window / 4) // at which one of the four still counts
	take(later, true)               // for those that were refused count for nothing
	take(later, false)
	once.Do(func() { t.Fatal("the caller was refused before others took what was left") })
}

func freshStoreWith(t *testing.T, s *Store) *Store {
	t.Helper()
	other := OpenWith(s.ask, s.name, Clock(s.now))
	t.Cleanup(func() { _ = other.Close() })
	return other
}
