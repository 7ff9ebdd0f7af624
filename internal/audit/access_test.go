package audit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

// Whatever was counted before: when the wait that is told is over, the request
// succeeds, and it would not have just before.
func TestQuotaTellsTheShortestWait(t *testing.T) {
	q := audit.Quota{Name: "test", Requests: 7, Window: time.Minute}
	slid := func(current, previous int, at time.Duration) audit.Decision {
		for at >= q.Window {
			current, previous, at = 0, current, at-q.Window
		}
		return q.Slide(current, previous, at)
	}
	for current := range 9 {
		for previous := range 9 {
			for at := time.Duration(0); at < q.Window; at += 7 * time.Second {
				d := slid(current, previous, at)
				if d.OK {
					require.Zero(t, d.Retry)
					require.Less(t, d.Remaining, q.Requests)
					continue
				}
				require.Positive(t, d.Retry)
				require.True(t, slid(current, previous, at+d.Retry).OK, "%d in this slot, %d before, at %s: told %s", current, previous, at, d.Retry)
				require.False(t, slid(current, previous, at+d.Retry-2*time.Millisecond).OK, "%d in this slot, %d before, at %s: told %s", current, previous, at, d.Retry)
			}
		}
	}
}

func TestQuotaLetsNoMoreThroughThanItSays(t *testing.T) {
	q := audit.Quota{Name: "test", Requests: 10, Window: time.Minute}
	var let []time.Duration
	slots := map[time.Duration]int{}
	for at := time.Duration(0); at < 10*time.Minute; at += 500 * time.Millisecond {
		slot := at / q.Window
		if q.Slide(slots[slot], slots[slot-1], at-slot*q.Window).OK {
			slots[slot]++
			let = append(let, at)
		}
	}
	require.GreaterOrEqual(t, len(let), 100-q.Requests, "a steady caller gets what the quota says")
	require.LessOrEqual(t, len(let), 100)
}

func TestScopesHideHoweverTheyAreSpelt(t *testing.T) {
	s := audit.Except([]string{"exchange "}, []string{"Add member to role."})
	require.False(t, s.Sees("Exchange", "x"))
	require.False(t, s.Sees("Entra", "add Member to role"))
	require.True(t, s.Sees("Entra", "Add member"))
	require.False(t, s.Whole())
	require.True(t, audit.Everything().Whole())
	require.False(t, audit.Scope{}.Whole())
}

func TestIsGUID(t *testing.T) {
	for _, s := range []string{"8e2f1c3a-0000-4000-8000-00000000000a", "8E2F1C3A-0000-4000-8000-00000000000F"} {
		require.True(t, audit.IsGUID(s), s)
	}
	for _, s := range []string{
		"", "8e2f1c3a", "8e2f1c3a-0000-4000-8000-00000000000g", "8e2f1c3a-0000-4000-8000-00000000000", "8e2f1c3a-0000-4000-8000-00000000000aa",
		"{8e2f1c3a-0000-4000-8000-000000000a}", "8e2f1c3a0-000-4000-8000-00000000000a", "8e2f1c3a-0000-4000-8000-00000000-00a", "------------------------------------",
		"8e2f1c3a-0000-4000-8000-0000000000\x10a", "8e2f1c3a-0000-4000-8000-00000000000ä",
	} {
		require.False(t, audit.IsGUID(s), s)
	}
}

func TestReadable(t *testing.T) {
	require.Equal(t, "a b é 日", audit.Readable("a\x00\x1b b\u202e é\u2028 日\n\u2066"))
}
