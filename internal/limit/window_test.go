package limit

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWindowHoldsItsBoundInAnySpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWindow(5, 10*time.Second)
		var begun []time.Time
		for range 23 {
			require.NoError(t, w.Wait(t.Context()))
			begun = append(begun, time.Now())
			time.Sleep(300 * time.Millisecond)
		}
		for i := 5; i < len(begun); i++ {
			require.GreaterOrEqual(t, begun[i].Sub(begun[i-5]), 10500*time.Millisecond)
		}
		require.Less(t, begun[22].Sub(begun[0]), 44*time.Second, "the bound is used")
	})
}

func TestWindowServesManyWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := NewWindow(3, time.Second), time.Now()
		done := make(chan time.Duration, 12)
		for range 12 {
			go func() {
				if w.Wait(t.Context()) == nil {
					done <- time.Since(start)
				}
			}()
		}
		in := map[time.Duration]int{}
		for range 12 {
			in[<-done]++
		}
		require.Equal(t, map[time.Duration]int{0: 3, 1100 * time.Millisecond: 3, 2200 * time.Millisecond: 3, 3300 * time.Millisecond: 3}, in)
		stats := w.Stats()
		require.Equal(t, Stats{Calls: 12, Waited: 3 * 6600 * time.Millisecond, Share: 1, Alone: true}, stats)
	})
}

func TestThrottledHoldsAllStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := NewWindow(100, time.Second), time.Now()
		w.Throttled(7 * time.Second)
		w.Throttled(2 * time.Second) // a shorter one does not cut it
		require.NoError(t, w.Wait(t.Context()))
		require.Equal(t, 7*time.Second, time.Since(start))
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := NewWindow(1, time.Hour), time.Now()
		require.NoError(t, w.Wait(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, w.Wait(ctx), context.DeadlineExceeded)
		require.Zero(t, time.Since(start), "no use waiting for what cannot come")

		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		require.ErrorIs(t, w.Wait(ctx), context.Canceled)
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestThrottledTooOftenSlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWindow(160, time.Second)
		begun := func() (n int) { // in one span
			for !w.reserve(time.Now()).After(time.Now()) {
				n++
			}
			time.Sleep(2 * time.Second)
			return n
		}
		require.Equal(t, 160, begun())
		w.Throttled(-time.Second)
		require.Zero(t, begun(), "it holds still though no quiet was asked for")
		require.Equal(t, 160, begun(), "one refusal only holds still")
		for range 100 {
			w.Throttled(0) // calls that were refused together
		}
		begun()
		require.Equal(t, 80, begun())
		require.InDelta(t, 0.5, w.Stats().Share, 1e-9)
		for range 10 {
			w.Throttled(0)
			time.Sleep(2 * time.Second)
		}
		require.Equal(t, 10, begun(), "the floor")
		time.Sleep(3 * time.Minute)
		require.Equal(t, 40, begun())
		time.Sleep(time.Hour)
		require.Equal(t, 160, begun())
		require.EqualValues(t, 111, w.Stats().Throttles)
	})
}
