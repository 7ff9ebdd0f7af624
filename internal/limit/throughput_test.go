package limit

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var measure = flag.Bool("measure", false, "take minutes to measure the real bound on a real Redis")

// strict is three servers in one: each call that arrives is counted by a
// sliding window, by a fixed window and by a token bucket of the same size.
type strict struct {
	n      int
	length time.Duration

	mu       sync.Mutex
	start    time.Time
	arrived  []time.Time // let pass by the sliding window
	fixed    map[time.Duration]int
	tokens   float64
	refilled time.Time
	refused  [3]int
}

func newStrict(n int, length time.Duration) *strict {
	now := time.Now()
	// The fixed window does not begin when the caller does.
	return &strict{n: n, length: length, start: now.Add(-length / 3), fixed: map[time.Duration]int{}, tokens: float64(n), refilled: now}
}

func (s *strict) arrive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if i := len(s.arrived) - s.n; i >= 0 && now.Sub(s.arrived[i]) < s.length {
		s.refused[0]++
	}
	s.arrived = append(s.arrived, now)
	if s.fixed[now.Sub(s.start)/s.length]++; s.fixed[now.Sub(s.start)/s.length] > s.n {
		s.refused[1]++
	}
	s.tokens = min(float64(s.n), s.tokens+float64(s.n)*float64(now.Sub(s.refilled))/float64(s.length))
	s.refilled = now
	if s.tokens < 1-1e-6 {
		s.refused[2]++
	} else {
		s.tokens--
	}
}

// share is how much of the bound was used in the long run: over whole multiples
// of it, without the first, which a window lets through at once.
func (s *strict) share() float64 {
	last := (len(s.arrived) - 1) / s.n * s.n
	took := s.arrived[last].Sub(s.arrived[s.n])
	return float64(last-s.n) / float64(s.n) * float64(s.length) / float64(took)
}

// fetch has so many workers for each limiter fetch blobs for a while. A blob
// takes 100 ms, of which its request is 1 to 40 ms on the way, and 400 ms one
// time in a hundred.
func (s *strict) fetch(t *testing.T, workers int, long time.Duration, limiters ...Limiter) {
	work(t, workers, long, limiters, func() {
		out := time.Millisecond + rand.N(39*time.Millisecond)
		if rand.N(100) == 0 {
			out = 400 * time.Millisecond
		}
		time.Sleep(out)
		s.arrive()
		time.Sleep(max(0, 100*time.Millisecond-out))
	})
}

// call has them call without a way to go.
func (s *strict) call(t *testing.T, workers int, long time.Duration, limiters ...Limiter) {
	work(t, workers, long, limiters, s.arrive)
}

func work(t *testing.T, workers int, long time.Duration, limiters []Limiter, do func()) {
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var wg sync.WaitGroup
	for i := range workers * len(limiters) {
		wg.Go(func() {
			for limiters[i%len(limiters)].Wait(ctx) == nil {
				do()
			}
		})
	}
	wg.Wait()
}

func (s *strict) check(t *testing.T, least float64) {
	require.Greater(t, len(s.arrived), 2*s.n)
	t.Logf("%d in %s: %d calls, %.1f %% of the bound used; refused by a sliding window %d, a fixed window %d, a token bucket %d",
		s.n, s.length, len(s.arrived), 100*s.share(), s.refused[0], s.refused[1], s.refused[2])
	require.Zero(t, s.refused)
	require.Greater(t, s.share(), least)
}

// TestThroughput measures how much of the bound of the Management API is used
// at 100 ms a blob, and what strict servers refuse.
func TestThroughput(t *testing.T) {
	for _, workers := range []int{4, 8, 32, 200} {
		t.Run(fmt.Sprintf("alone/%d", workers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newStrict(2000, time.Minute)
				server.fetch(t, workers, 11*time.Minute, NewWindow(2000, time.Minute))
				server.check(t, 0.97)
			})
		})
	}
	for _, workers := range []int{8, 100} {
		t.Run(fmt.Sprintf("two_instances/%d_each", workers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, server := newSimRedis(t), newStrict(2000, time.Minute)
				var limiters []Limiter
				trips := new(tripCount)
				for range 2 {
					l := r.limits(t, slog.New(slog.DiscardHandler))
					l.line.client.AddHook(trips)
					limiters = append(limiters, l.Limiter("management", 2000, time.Minute))
				}
				server.fetch(t, workers, 5*time.Minute, limiters...)
				server.check(t, 0.97)
				t.Logf("%.2f trips to redis a call", float64(trips.Load())/float64(len(server.arrived)))
			})
		})
	}
	t.Run("reports", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := newStrict(5, 10*time.Second)
			server.fetch(t, 4, 11*time.Minute, NewWindow(5, 10*time.Second))
			server.check(t, 0.9)
		})
	})
	t.Run("intune", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := newStrict(1000, 20*time.Second)
			server.fetch(t, 16, 5*time.Minute, NewWindow(1000, 20*time.Second))
			server.check(t, 0.95)
		})
	})
}

// TestThroughputOfRedis is the same with a Redis server and in real time, on a
// bound so small that a fifth of a second is all its guard; with -measure it
// takes five minutes for the real one.
func TestThroughputOfRedis(t *testing.T) {
	t.Parallel()
	_, url := startRedis(t)
	n, length, long, least := 50, 2*time.Second, 4700*time.Millisecond, 0.8
	if *measure {
		n, length, long, least = 2000, time.Minute, 310*time.Second, 0.97
	}
	var limiters []Limiter
	for range 2 {
		l, err := Open(Config{RedisURL: url, Scope: t.Name()})
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		limiters = append(limiters, l.Limiter("management", n, length))
	}
	server := newStrict(n, length)
	if *measure {
		server.fetch(t, 16, long, limiters...)
	} else {
		server.call(t, 8, long, limiters...)
	}
	server.check(t, least)
	require.False(t, limiters[0].Stats().Alone || limiters[1].Stats().Alone, "redis answered")
}

// TestRealRedisStops has a Redis server that is killed while calls are made.
func TestRealRedisStops(t *testing.T) {
	t.Parallel()
	server, url := startRedis(t)
	l, err := Open(Config{RedisURL: url, Scope: t.Name()})
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	limiter := l.Limiter("management", 2000, time.Minute)
	require.NoError(t, limiter.Wait(t.Context()))
	require.False(t, limiter.Stats().Alone)
	require.NoError(t, server.Process.Kill())
	_ = server.Wait()
	start := time.Now()
	for range 500 {
		require.NoError(t, limiter.Wait(t.Context()))
	}
	require.Less(t, time.Since(start), 2*time.Second)
	require.True(t, limiter.Stats().Alone)
}
