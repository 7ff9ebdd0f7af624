package limit

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// simRedis is a Redis whose clock is the bubble's.
type simRedis struct {
	*miniredis.Miniredis
	away atomic.Bool
}

func newSimRedis(t *testing.T) *simRedis {
	r := &simRedis{Miniredis: miniredis.NewMiniRedis()}
	r.ClockTTL(true)
	t.Cleanup(r.Close)
	return r
}

// limits are those of another instance.
func (r *simRedis) limits(t *testing.T, log *slog.Logger) *Limits {
	options, err := parseURL("redis://sim")
	require.NoError(t, err)
	options.Dialer = func(context.Context, string, string) (net.Conn, error) {
		if r.away.Load() {
			return nil, errors.New("connection refused")
		}
		return r.Dial()
	}
	l := &Limits{scope: "tenant:app", line: newLine(redis.NewClient(options), log), quotas: newQuotas("tenant:app", options, log)}
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// leave cuts all connections and lets no new one be made until back is called.
func (r *simRedis) leave() { r.away.Store(true); r.SetError("LOADING it starts") }
func (r *simRedis) back()  { r.away.Store(false); r.SetError("") }

// begin lets n calls begin and returns their moments.
func begin(t *testing.T, n int, limiters ...Limiter) []time.Time {
	var (
		mu    sync.Mutex
		begun []time.Time
		wg    sync.WaitGroup
	)
	for i := range n {
		wg.Go(func() {
			if err := limiters[i%len(limiters)].Wait(t.Context()); err == nil {
				mu.Lock()
				defer mu.Unlock()
				begun = append(begun, time.Now())
			}
		})
	}
	wg.Wait()
	require.Len(t, begun, n)
	slices.SortFunc(begun, time.Time.Compare)
	return begun
}

func TestSharedHoldsOneBoundForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSimRedis(t)
		one := r.limits(t, slog.New(slog.DiscardHandler)).Limiter("reports", 50, 10*time.Second)
		two := r.limits(t, slog.New(slog.DiscardHandler)).Limiter("reports", 50, 10*time.Second)
		other := r.limits(t, slog.New(slog.DiscardHandler)).Limiter("intune", 50, 10*time.Second)
		begun := begin(t, 500, one, two)
		for i := 50; i < len(begun); i++ {
			require.GreaterOrEqual(t, begun[i].Sub(begun[i-50]), 10500*time.Millisecond)
		}
		require.Less(t, begun[499].Sub(begun[0]), 97*time.Second, "the bound is used")
		start := time.Now()
		begin(t, 50, other)
		require.Zero(t, time.Since(start), "APIs are bounded apart")
		require.EqualValues(t, 250, one.Stats().Calls)
		require.False(t, one.Stats().Alone)
		require.Less(t, r.Server().TotalCommands(), 2500, "trips are shared by those who wait")
	})
}

func TestSharedThrottledHoldsAllInstancesStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSimRedis(t)
		one := r.limits(t, slog.New(slog.DiscardHandler)).Limiter("reports", 64, time.Second)
		two := r.limits(t, slog.New(slog.DiscardHandler)).Limiter("reports", 64, time.Second)
		start := time.Now()
		one.Throttled(30 * time.Second)
		one.Throttled(5 * time.Second)
		begin(t, 30, two)
		require.Equal(t, 30*time.Second, time.Since(start))
		require.InDelta(t, 1, two.Stats().Share, 1e-9)
		two.Throttled(0)
		begin(t, 1, one)
		require.Equal(t, 31*time.Second, time.Since(start), "no quiet asked for is a second")
		require.InDelta(t, 0.5, one.Stats().Share, 1e-9, "the second refusal lowers it for all")
		time.Sleep(8 * time.Minute)
		begin(t, 1, two)
		require.InDelta(t, 1, two.Stats().Share, 1e-9)
		time.Sleep(time.Hour)
		require.Empty(t, r.Keys(), "keys expire")
	})
}

// TestScriptKeepsThePace runs the same refusals through pace.go and limit.lua.
func TestScriptKeepsThePace(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			s := newSimRedis(t).limits(t, slog.New(slog.DiscardHandler)).Limiter("reports", 160, time.Second).(*Shared)
			var p pace
			for range 60 {
				time.Sleep(rand.N([]time.Duration{10 * time.Second, 3 * time.Minute, 10 * time.Minute}[rand.N(3)]).Truncate(time.Millisecond))
				quiet := time.Duration(0)
				if rand.N(2) == 0 {
					quiet = time.Second + rand.N(20*time.Second).Truncate(time.Millisecond)
					p.throttled(time.Now(), quiet)
				}
				got, err := s.line.trip(s.key, s.args(0, quiet))
				require.NoError(t, err)
				require.Equal(t, p.lacks(time.Now()), got.lacks)
				require.Equal(t, max(0, time.Until(p.closed)), got.closed)
			}
		})
	}
}

func TestSharedWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, log := newSimRedis(t), new(strings.Builder)
		limiter := r.limits(t, slog.New(slog.NewTextHandler(log, nil))).Limiter("reports", 20, 10*time.Second)
		begin(t, 5, limiter)
		r.leave()
		start := time.Now()
		begin(t, 5, limiter)
		require.Zero(t, time.Since(start), "what began through redis counts, and no more than half begins")
		begun := begin(t, 40, limiter)
		require.Equal(t, 10500*time.Millisecond, begun[0].Sub(start))
		for i := 10; i < len(begun); i++ {
			require.GreaterOrEqual(t, begun[i].Sub(begun[i-10]), 10500*time.Millisecond)
		}
		require.Less(t, time.Since(start), 43*time.Second)
		require.True(t, limiter.Stats().Alone)
		require.InDelta(t, 0.5, limiter.Stats().Share, 1e-9)
		require.Equal(t, 1, strings.Count(log.String(), "out of reach"), "logged once")

		r.back()
		returned := time.Now()
		time.Sleep(lineRest)
		begin(t, 10, limiter)
		require.Equal(t, lineRest, time.Since(returned), "half was used meanwhile, half is left")
		begin(t, 1, limiter)
		require.Greater(t, time.Since(returned), 10*time.Second, "what began alone counts in redis")
		require.False(t, limiter.Stats().Alone)
		require.Equal(t, 1, strings.Count(log.String(), "redis is back"))
	})
}

func TestSharedThrottledWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSimRedis(t)
		limiter := r.limits(t, slog.New(slog.DiscardHandler)).Limiter("reports", 20, time.Second)
		r.leave()
		start := time.Now()
		limiter.Throttled(30 * time.Second)
		r.back()
		begin(t, 1, limiter)
		require.Equal(t, 30*time.Second, time.Since(start), "what this instance was told holds with redis too")
	})
}

func TestSharedKeepsTheQuietOfOthersWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSimRedis(t)
		one := r.limits(t, slog.New(slog.DiscardHandler)).Limiter("reports", 20, time.Second)
		two := r.limits(t, slog.New(slog.DiscardHandler)).Limiter("reports", 20, time.Second)
		start := time.Now()
		one.Throttled(30 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Error(t, two.Wait(ctx))
		r.leave()
		begin(t, 1, two)
		require.Equal(t, 30*time.Second, time.Since(start))
	})
}

func TestSharedReturnsAsSoonAsRedisDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSimRedis(t)
		limiter := r.limits(t, slog.New(slog.DiscardHandler)).Limiter("reports", 20, time.Minute)
		r.leave()
		start := time.Now()
		begin(t, 10, limiter)
		require.Zero(t, time.Since(start), "who refuses is not waited for")
		r.back()
		begin(t, 10, limiter)
		require.Equal(t, lineRest, time.Since(start), "the other half is not waited for as long as the first lasts")
	})
}

// TestSharedAtAnyMoment asks for places at moments of no order.
func TestSharedAtAnyMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimRedis(t).limits(t, slog.New(slog.DiscardHandler)).Limiter("reports", 20, 10*time.Second).(*Shared)
		var begun []time.Time
		for len(begun) < 400 {
			time.Sleep(rand.N(300 * time.Millisecond))
			got, err := s.line.trip(s.key, s.args(1+rand.N(3), 0))
			require.NoError(t, err)
			for range got.taken {
				begun = append(begun, time.Now())
			}
		}
		for i := 20; i < len(begun); i++ {
			require.GreaterOrEqual(t, begun[i].Sub(begun[i-20]), 10500*time.Millisecond-time.Millisecond)
		}
	})
}

// TestSilentRedis has one that takes connections and says nothing.
func TestSilentRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options, err := parseURL("redis://sim")
		require.NoError(t, err)
		options.Dialer = func(context.Context, string, string) (net.Conn, error) {
			ours, _ := net.Pipe()
			return ours, nil
		}
		log := slog.New(slog.DiscardHandler)
		l := &Limits{line: newLine(redis.NewClient(options), log), quotas: newQuotas("", options, log)}
		defer func() { require.NoError(t, l.Close()) }()
		limiter, start := l.Limiter("reports", 2000, time.Minute), time.Now()
		begin(t, 1, limiter)
		require.LessOrEqual(t, time.Since(start), tripTimeout)
		start = time.Now()
		begin(t, 100, limiter)
		require.Zero(t, time.Since(start), "it is not asked again at once")
		require.Error(t, l.Redis().Get(t.Context(), "name").Err())
		require.LessOrEqual(t, time.Since(start), time.Second)
	})
}

func TestSharedWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSimRedis(t)
		limiter := r.limits(t, slog.New(slog.DiscardHandler)).Limiter("reports", 1, time.Hour).(*Shared)
		begin(t, 1, limiter)
		start := time.Now()
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.ErrorIs(t, limiter.Wait(ctx), context.DeadlineExceeded)
			require.Zero(t, time.Since(start), "no use waiting for what cannot come")
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		go func() {
			time.Sleep(500 * time.Millisecond)
			short, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			require.ErrorIs(t, limiter.Wait(short), context.DeadlineExceeded)
			require.Equal(t, 500*time.Millisecond, time.Since(start), "nor beside others who can wait")
		}()
		require.ErrorIs(t, limiter.Wait(ctx), context.Canceled)
		require.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, limiter.Wait(ctx), context.Canceled)
		synctest.Wait()
		require.False(t, limiter.serving, "nobody is served any more")
		require.EqualValues(t, 1, limiter.Stats().Calls)
	})
}

// TestCancelledWaitersFreeNothing has callers that give up while others wait.
func TestCancelledWaitersFreeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := newSimRedis(t).limits(t, slog.New(slog.DiscardHandler)).Limiter("reports", 20, time.Second)
		var wg sync.WaitGroup
		for range 400 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(rand.N(5*time.Second), cancel)
				_ = limiter.Wait(ctx)
			})
		}
		begun := begin(t, 100, limiter)
		wg.Wait()
		for i := 20; i < len(begun); i++ {
			require.GreaterOrEqual(t, begun[i].Sub(begun[i-20]), 1100*time.Millisecond)
		}
		require.GreaterOrEqual(t, limiter.Stats().Calls, int64(100))
	})
}

// TestClockOfRedisSetBack neither frees places nor blocks for long.
func TestClockOfRedisSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSimRedis(t)
		s := r.limits(t, slog.New(slog.DiscardHandler)).Limiter("reports", 20, 10*time.Second).(*Shared)
		take := func() answer {
			got, err := s.line.trip(s.key, s.args(15, 0))
			require.NoError(t, err)
			return got
		}
		start := time.Now()
		r.SetTime(start)
		require.Equal(t, 15, take().taken)
		r.SetTime(start.Add(-time.Hour))
		got := take()
		require.Equal(t, 5, got.taken)
		require.Less(t, got.wait, 11*time.Second)
		r.SetTime(start.Add(-time.Hour + 11*time.Second))
		require.Equal(t, 15, take().taken)
	})
}
