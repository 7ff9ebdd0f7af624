package mongo

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func TestSuccessor(t *testing.T) {
	for term, want := range map[string]string{
		"": "", "a": "b", "az": "a{", "\x7f": "\u0080", "\ud7ff": "\ue000", "a\U0010FFFF": "b", "\U0010FFFF\U0010FFFF": "",
	} {
		require.Equal(t, want, successor(term), "%q", term)
	}
}

func FuzzPrefixed(f *testing.F) {
	f.Add("a", "ab")
	f.Add(`a.*\E[b]`, `a.*\E[b]c`)
	f.Add("a\x00", "a\x00b")
	f.Add("^a", "a")
	f.Fuzz(func(t *testing.T, term, token string) {
		if !utf8.ValidString(term) || !utf8.ValidString(token) {
			t.Skip("tokens and terms are valid UTF-8")
		}
		pattern := prefixed(term)
		require.NotContains(t, pattern, "\x00")
		require.Equal(t, strings.HasPrefix(token, term), regexp.MustCompile(pattern).MatchString(token), "%q %q", term, token)
		require.Regexp(t, pattern, term+token)
	})
}

// TestTimeWindowsCoverTheirDays draws days, numbers and bounds, and looks that
// the windows go down without a hole or an overlap where there are events.
func TestTimeWindowsCoverTheirDays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	epoch := audit.TicksOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	for range 300 {
		w := &timeWindows{from: firstTick, to: lastTick, budget: 1 + r.Int64N(500)}
		if r.IntN(2) == 0 {
			w.from = epoch + audit.Ticks(r.Int64N(int64(20*day)))
		}
		if r.IntN(2) == 0 {
			w.to = epoch + audit.Ticks(r.Int64N(int64(40*day)))
		}
		low, high := w.from, w.to
		for n := 40; n > 0; n-- {
			if r.IntN(3) > 0 {
				w.days = append(w.days, dayDoc{ID: dayOf(epoch + audit.Ticks(n)*day), Events: r.Int64N(3000)})
			}
		}
		requireCovered(t, w, low, high)
	}
}

func requireCovered(t *testing.T, w *timeWindows, low, high audit.Ticks) {
	t.Helper()
	days := w.days
	covered, last := audit.Ticks(0), high
	for n := 0; ; n++ {
		from, to, more, err := w.next()
		require.NoError(t, err)
		if !more {
			break
		}
		require.Less(t, n, 10_000, "it never ends")
		require.Less(t, from, to)
		require.LessOrEqual(t, to, last, "windows overlap")
		require.GreaterOrEqual(t, from, low)
		for _, d := range days {
			covered += overlap(t, d, from, to)
		}
		last = from
	}
	want := audit.Ticks(0)
	for _, d := range days {
		want += overlap(t, d, low, high)
	}
	require.Equal(t, want, covered)
}

func overlap(t *testing.T, d dayDoc, from, to audit.Ticks) audit.Ticks {
	t.Helper()
	start, err := startOf(d.ID)
	require.NoError(t, err)
	return max(0, min(to, start+day)-max(from, start))
}

func TestFirstWindowHoldsAboutItsBudget(t *testing.T) {
	w := &timeWindows{from: firstTick, to: lastTick, budget: firstBudget, days: []dayDoc{{ID: "2026-03-02", Events: 5_000_000}}}
	from, to, more, err := w.next()
	require.NoError(t, err)
	require.True(t, more)
	require.InDelta(t, 34.5, float64(to-from)/1e7, 0.5, "seconds that hold 2,000 of a day's five million")
	next, _, _, err := w.next()
	require.NoError(t, err)
	require.InDelta(t, 4, float64(from-next)/float64(to-from), 0.01)
}
