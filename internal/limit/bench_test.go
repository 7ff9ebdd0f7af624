package limit

import (
	"context"
	"log/slog"
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
		options, err := parseURL("redis://127.0.0.1:1")
		require.NoError(b, err)
		l := &Limits{line: newLine(redis.NewClient(options), slog.New(slog.DiscardHandler))}
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
