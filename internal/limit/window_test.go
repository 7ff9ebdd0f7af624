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
			require.GreaterOrEqual(t, begun[i].Sub(begun[i-5]), 10*time.Second)
		}
		require.Less(t, begun[22].Sub(begun[0]), 42*time.Second, "the bound is used")
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
		require.Equal(t, map[time.Duration]int{0: 3, time.Second: 3, 2 * time.Second: 3, 3 * time.Second: 3}, in)
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
