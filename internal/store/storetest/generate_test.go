package storetest

import (
	"testing"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

// TestEvent makes sure that the generated events have what the suite leans on.
func TestEvent(t *testing.T) {
	require.Equal(t, Event(1234), Event(1234))
	events := Batch(0, 3000)
	ids, at, beside := map[string]bool{}, map[audit.Ticks]int{}, 0
	for _, s := range events {
		require.False(t, ids[s.Event.ID])
		require.NotEmpty(t, s.Tokens)
		require.Equal(t, audit.NewRaw(s.Raw.Bytes), s.Raw)
		require.Equal(t, s.Event.Time, audit.TicksOf(s.Event.Time).Time())
		ids[s.Event.ID] = true
		at[audit.TicksOf(s.Event.Time)]++
	}
	for tick := range at {
		if at[tick+1] > 0 {
			beside++
		}
	}
	require.Less(t, len(at), len(events), "some events share a tick")
	require.Positive(t, beside, "some are one tick apart")
}
