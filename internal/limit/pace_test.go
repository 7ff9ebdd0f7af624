package limit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPace(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	type refusal struct{ at, quiet time.Duration }
	for name, c := range map[string]struct {
		refused []refusal
		at      time.Duration
		bound   int // of 160
		closed  time.Duration
	}{
		"never refused":             {nil, 0, 160, -1},
		"one refusal":               {[]refusal{{0, 30 * time.Second}}, 31 * time.Second, 160, 30 * time.Second},
		"two soon":                  {[]refusal{{0, time.Second}, {time.Minute, time.Second}}, 62 * time.Second, 80, 61 * time.Second},
		"two together":              {[]refusal{{0, 5 * time.Second}, {time.Second, 9 * time.Second}}, 11 * time.Second, 160, 10 * time.Second},
		"a shorter one cuts none":   {[]refusal{{0, 5 * time.Second}, {time.Second, time.Second}}, 11 * time.Second, 160, 5 * time.Second},
		"two long apart":            {[]refusal{{0, time.Second}, {6 * time.Minute, time.Second}}, 7 * time.Minute, 160, 361 * time.Second},
		"three":                     {[]refusal{{0, time.Second}, {5 * time.Second, time.Second}, {9 * time.Second, time.Second}}, 11 * time.Second, 40, 10 * time.Second},
		"no rise while it is quiet": {[]refusal{{0, time.Second}, {5 * time.Second, time.Hour}}, time.Hour, 80, time.Hour + 5*time.Second},
		"a rise a minute":           {[]refusal{{0, time.Second}, {5 * time.Second, time.Second}}, 6*time.Second + 2*time.Minute, 100, 6 * time.Second},
		"not yet whole again":       {[]refusal{{0, time.Second}, {5 * time.Second, time.Second}, {6 * time.Minute, time.Second}}, 6*time.Minute + 2*time.Second, 60, 6*time.Minute + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var p pace
			for _, r := range c.refused {
				p.throttled(start.Add(r.at), r.quiet)
			}
			require.Equal(t, c.bound, p.bound(start.Add(c.at), 160))
			if c.closed >= 0 {
				require.Equal(t, c.closed, p.closed.Sub(start))
			}
		})
	}
}

func TestBoundIsNeverNothing(t *testing.T) {
	p := pace{lowered: fullShare - 1, since: time.Now().Add(time.Hour)}
	require.Equal(t, 1, p.bound(time.Now(), 5))
}
