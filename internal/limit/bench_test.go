package limit

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// plenty in a moment is a bound that is never reached.
const (
	plenty = 1 << 20
	moment = 100 * time.Millisecond
)

// BenchmarkWait compares what a decision costs: in the process, through Redis
// by one caller and by many at once, and alone after Redis left. trips/call is
// the share of calls that cost a round trip.
func BenchmarkWait(b *testing.B) {
	b.Run("window", func(b *testing.B) { wait(b, NewWindow(plenty, moment)) })
	b.Run("redis", func(b *testing.B) { waitShared(b, 1) })
	b.Run("redis_64_callers", func(b *testing.B) { waitShared(b, 64) })
	b.Run("redis_away", func(b *testing.B) {
		l, err := Open(Config{RedisURL: "redis://127.0.0.1:1"})
		require.NoError(b, err)
		defer func() { require.NoError(b, l.Close()) }()
		wait(b, newShared(l.line, "away", plenty, moment))
	})
}

func wait(b *testing.B, limiter Limiter) {
	for b.Loop() {
		if err := limiter.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func waitShared(b *testing.B, callers int) {
	_, url := startRedis(b)
	l, err := Open(Config{RedisURL: url})
	require.NoError(b, err)
	defer func() { require.NoError(b, l.Close()) }()
	limiter := newShared(l.line, "bench", plenty, moment)
	trips := new(tripCount)
	l.line.client.AddHook(trips)
	b.SetParallelism(callers)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := limiter.Wait(b.Context()); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(trips.Load())/float64(b.N), "trips/call")
	require.False(b, limiter.Stats().Alone)
}

// BenchmarkTake compares a decision with a PING of the same client in the same
// run, in turn.
func BenchmarkTake(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("%d_callers", callers), func(b *testing.B) { takePinged(b, callers) })
	}
	b.Run("redis_away", func(b *testing.B) {
		l, err := Open(Config{RedisURL: "redis://127.0.0.1:1"})
		require.NoError(b, err)
		defer func() { require.NoError(b, l.Close()) }()
		for b.Loop() {
			if _, err := l.Quotas().Take(b.Context(), hourly, "me"); err == nil {
				b.Fatal("somebody was let through")
			}
		}
	})
}

func takePinged(b *testing.B, callers int) {
	_, url := startRedis(b)
	l, err := Open(Config{RedisURL: url})
	require.NoError(b, err)
	defer func() { require.NoError(b, l.Close()) }()
	var turn atomic.Int64
	takes := times(b, callers, func(ctx context.Context) error {
		_, err := l.Quotas().Take(ctx, hourly, fmt.Sprint("caller-", turn.Add(1)%100))
		return err
	})
	pings := times(b, callers, func(ctx context.Context) error { return l.quotas.gate.client.Ping(ctx).Err() })
	for range 7 { // in turn, so that a busy machine slows both
		takes.round(b.N/7 + 1)
		pings.round(b.N/7 + 1)
	}
	b.ReportMetric(takes.rate(), "decisions/s")
	b.ReportMetric(takes.rate()/pings.rate(), "of_ping_rate")
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(takes.percentile(p).Microseconds()), fmt.Sprintf("p%d-µs", p))
		b.ReportMetric(float64(takes.percentile(p))/float64(pings.percentile(p)), fmt.Sprintf("p%d/ping", p))
	}
}

// timing is how long calls of one kind took.
type timing struct {
	b       *testing.B
	callers int
	call    func(context.Context) error
	took    []time.Duration
	sum     time.Duration // of the rounds
}

func times(b *testing.B, callers int, call func(context.Context) error) *timing {
	return &timing{b: b, callers: callers, call: call}
}

// round has the callers make so many calls together.
func (t *timing) round(calls int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var made atomic.Int64
	start := time.Now()
	for range t.callers {
		wg.Go(func() {
			var took []time.Duration
			for made.Add(1) <= int64(calls) {
				begun := time.Now()
				if err := t.call(t.b.Context()); err != nil {
					t.b.Error(err)
				}
				took = append(took, time.Since(begun))
			}
			mu.Lock()
			defer mu.Unlock()
			t.took = append(t.took, took...)
		})
	}
	wg.Wait()
	t.sum += time.Since(start)
}

func (t *timing) rate() float64 { return float64(len(t.took)) / t.sum.Seconds() }

func (t *timing) percentile(p int) time.Duration {
	slices.Sort(t.took)
	return t.took[(len(t.took)-1)*p/100]
}

// tripCount counts commands that are sent.
type tripCount struct{ atomic.Int64 }

func (*tripCount) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*tripCount) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (c *tripCount) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.Add(1)
		return next(ctx, cmd)
	}
}
