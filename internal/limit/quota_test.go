package limit

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

var epoch = time.Date(2025, 3, 4, 5, 6, 7, 89_000, time.UTC)

// timed runs a test in a bubble, with Quotas on a Redis whose clock it moves.
func timed(t *testing.T, test func(*testing.T, *Quotas, *miniredis.Miniredis)) {
	synctest.Test(t, func(t *testing.T) {
		r := newSimRedis(t)
		r.SetTime(epoch)
		test(t, r.limits(t, discard).Quotas(), r.Miniredis)
	})
}

// patient are Limits on a real Redis whose callers wait for a busy machine.
func patient(t testing.TB, url string) *Limits {
	l, err := Open(Config{RedisURL: url, Scope: t.Name()})
	require.NoError(t, err)
	options := *l.quotas.gate.options
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = time.Minute, time.Minute, time.Minute, time.Minute
	require.NoError(t, l.quotas.gate.close())
	l.quotas = newQuotas(t.Name(), &options, discard)
	l.quotas.gate.timeout = time.Minute
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

func takeAt(t *testing.T, q *Quotas, server *miniredis.Miniredis, quota audit.Quota, who string, at time.Time) audit.Decision {
	t.Helper()
	server.SetTime(at)
	d, err := q.Take(t.Context(), quota, who)
	require.NoError(t, err)
	return d
}

func TestTakeSlides(t *testing.T) {
	timed(t, func(t *testing.T, q *Quotas, server *miniredis.Miniredis) {
		quota := audit.Quota{Name: "ask", Requests: 4, Window: time.Minute}
		start := epoch.Truncate(quota.Window)
		for i := range 4 {
			want := audit.Decision{OK: true, Remaining: 3 - i, Reset: quota.Window * time.Duration(1+min(i, 1))}
			require.Equal(t, want, takeAt(t, q, server, quota, "me", start))
		}
		for range 10 { // which count for nothing
			require.False(t, takeAt(t, q, server, quota, "me", start.Add(time.Second)).OK)
		}
		late := start.Add(59 * time.Second)
		refused := takeAt(t, q, server, quota, "me", late)
		require.False(t, refused.OK)
		require.False(t, takeAt(t, q, server, quota, "me", late.Add(refused.Retry-2*time.Millisecond)).OK)
		require.True(t, takeAt(t, q, server, quota, "me", late.Add(refused.Retry)).OK, "it comes back when it was told to")
		require.False(t, takeAt(t, q, server, quota, "me", start.Add(75*time.Second)).OK)
		require.Equal(t, 3, takeAt(t, q, server, quota, "me", start.Add(3*quota.Window)).Remaining, "all is free again")
	})
}

// slots are what a test knows to have been let through, by caller, quota and slot.
type slots map[string]int

func (m slots) take(q audit.Quota, who string, now time.Time) audit.Decision {
	µs := now.UnixMicro()
	key := func(n int64) string { return fmt.Sprint(q.Name, q.Window, who, n) }
	n := µs / q.Window.Microseconds()
	d := q.Slide(m[key(n)], m[key(n-1)], time.Duration(µs%q.Window.Microseconds())*time.Microsecond)
	if d.OK {
		m[key(n)]++
	}
	return d
}

// sequence compares decisions at random moments with Slide's.
func sequence(t *testing.T, steps int, take func(audit.Quota, string, time.Time) audit.Decision) {
	quotas := []audit.Quota{
		{Name: "default", Requests: 12, Window: time.Minute},
		{Name: "default", Requests: 13, Window: 7001 * time.Millisecond},
		{Name: "write", Requests: 3, Window: time.Minute},
		{Name: "fetch", Requests: 1, Window: time.Hour},
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r, model, let, refused := rand.New(rand.NewPCG(seed, 0)), slots{}, 0, 0
	now := epoch
	for range steps {
		now = now.Add(time.Duration(r.Int64N(int64(4 * time.Second))))
		if r.IntN(60) == 0 {
			now = now.Add(time.Duration(r.Int64N(int64(3 * time.Minute))))
		}
		if r.IntN(10) == 0 { // where a slot begins, and the microsecond before
			now = now.Truncate(7001 * time.Millisecond).Add(7001*time.Millisecond - time.Duration(r.IntN(2))*time.Microsecond)
		}
		q, who := quotas[r.IntN(len(quotas))], fmt.Sprint("caller-", r.IntN(2))
		want := model.take(q, who, now)
		require.Equal(t, want, take(q, who, now), "%+v %s %s", q, who, now)
		if want.OK {
			let++
		} else {
			refused++
		}
	}
	require.Greater(t, min(let, refused), steps/30, "too few of one kind: %d let through, %d refused", let, refused)
}

func TestTakeDecidesAsSlideDoes(t *testing.T) {
	timed(t, func(t *testing.T, q *Quotas, server *miniredis.Miniredis) {
		sequence(t, 4000, func(quota audit.Quota, who string, at time.Time) audit.Decision {
			return takeAt(t, q, server, quota, who, at)
		})
	})
}

// TestRealScriptDecidesAsSlideDoes tells the script the time, which cannot be
// moved in a real Redis.
func TestRealScriptDecidesAsSlideDoes(t *testing.T) {
	t.Parallel()
	_, url := startRedis(t)
	l := patient(t, url)
	q := l.Quotas()
	told := redis.NewScript(strings.Replace(quotaLua, "redis.call('TIME')", "{ARGV[3], ARGV[4]}", 1))
	require.NotEqual(t, quotaScript.Hash(), told.Hash())
	decide := func(quota audit.Quota, who string, at time.Time) audit.Decision {
		µs := at.UnixMicro()
		got, err := told.Run(t.Context(), l.Redis(), []string{q.key(quota, who)},
			quota.Requests, quota.Window.Microseconds(), µs/1e6, µs%1e6).Int64Slice()
		require.NoError(t, err)
		return quota.Slide(int(got[0]), int(got[1]), time.Duration(got[2])*time.Microsecond)
	}
	sequence(t, 4000, decide)
	t.Run("the largest quotas", func(t *testing.T) {
		for _, quota := range []audit.Quota{{Requests: maxCount / 60_000_000, Window: time.Minute}, {Requests: 104_249, Window: 24 * time.Hour}} {
			require.NoError(t, countable(quota))
			slot := epoch.UnixMicro() / quota.Window.Microseconds()
			for range 300 {
				previous, µs := rand.N(quota.Requests), rand.N(quota.Window.Microseconds())
				current := rand.N(quota.Requests - previous)
				if rand.N(2) == 0 { // at the bound, where a bit counts
					current = quota.Requests - int(int64(previous)*(quota.Window.Microseconds()-µs)/quota.Window.Microseconds()) - rand.N(2)
				}
				key := q.key(quota, "me")
				require.NoError(t, l.Redis().HSet(t.Context(), key, "slot", slot, "current", current, "previous", previous).Err())
				at := time.UnixMicro(slot*quota.Window.Microseconds() + µs)
				want := quota.Slide(current, previous, time.Duration(µs)*time.Microsecond)
				require.Equal(t, want, decide(quota, "me", at))
				counted, err := l.Redis().HGet(t.Context(), key, "current").Int()
				require.NoError(t, err)
				require.Equal(t, want.OK, counted == current+1, "%d in this slot, %d before, %d µs", current, previous, µs)
			}
		}
	})
}

// middle is a quota whose slot will not end while a test runs.
func middle(requests int) audit.Quota {
	q := audit.Quota{Name: "fetch", Requests: requests, Window: time.Hour}
	for left := time.Duration(0); left < 2*time.Minute; q.Window += 7 * time.Minute {
		next := q.Window + 7*time.Minute
		left = next - time.Duration(time.Now().UnixNano()%int64(next))
	}
	return q
}

func TestTakeTogether(t *testing.T) {
	t.Parallel()
	_, url := startRedis(t)
	var instances []*Quotas
	for range 2 {
		instances = append(instances, patient(t, url).Quotas())
	}
	quota := middle(100)
	var let, refused atomic.Int32
	var callers sync.WaitGroup
	for i := range 64 {
		callers.Go(func() {
			for range 10 {
				d, err := instances[i%2].Take(t.Context(), quota, "me")
				switch {
				case err != nil:
					t.Error(err)
				case d.OK:
					let.Add(1)
				default:
					refused.Add(1)
				}
			}
		})
	}
	callers.Wait()
	require.EqualValues(t, quota.Requests, let.Load())
	require.EqualValues(t, 640-quota.Requests, refused.Load())
	counted, err := instances[0].gate.client.HGet(t.Context(), instances[0].key(quota, "me"), "current").Int()
	require.NoError(t, err)
	require.Equal(t, quota.Requests, counted, "who is refused is not counted")
}

func TestTakeCostsOneTrip(t *testing.T) {
	t.Parallel()
	_, url := startRedis(t)
	l := patient(t, url)
	trips := new(tripCount)
	l.Quotas().gate.client.AddHook(trips)
	take := func() {
		_, err := l.Quotas().Take(t.Context(), middle(3), "me")
		require.NoError(t, err)
	}
	take()
	require.NoError(t, l.Redis().ScriptFlush(t.Context()).Err())
	take()
	trips.Store(0)
	for range 50 { // let through and refused
		take()
	}
	require.EqualValues(t, 50, trips.Load())
}

func TestCallersAreApart(t *testing.T) {
	timed(t, func(t *testing.T, q *Quotas, server *miniredis.Miniredis) {
		quota := audit.Quota{Name: "fetch", Requests: 1, Window: time.Hour}
		callers := []string{"", " ", "a", "A", "a ", "a\x00", "a\x00b", "a}b{", "\r\n", "*", "\xff", "\xfe", "8c1f@tenant", strings.Repeat("x", 100_000), strings.Repeat("x", 100_001)}
		for _, who := range callers {
			require.True(t, takeAt(t, q, server, quota, who, epoch).OK, "%.20q", who)
		}
		for _, who := range callers {
			require.False(t, takeAt(t, q, server, quota, who, epoch).OK, "%.20q", who)
		}
		for _, other := range []audit.Quota{{Name: "fetch ", Requests: 1, Window: time.Hour}, {Requests: 1, Window: time.Hour}, {Name: "fetch", Requests: 1, Window: time.Minute}, {Name: "1:fetch", Requests: 1, Window: time.Hour}} {
			require.True(t, takeAt(t, q, server, other, "a", epoch).OK, "%+v", other)
		}
		other := newQuotas("other", q.gate.options, discard)
		require.True(t, takeAt(t, other, server, quota, "a", epoch).OK, "scopes are apart")
		require.NoError(t, other.gate.close())
		more := quota
		more.Requests = 2
		require.True(t, takeAt(t, q, server, more, "a", epoch).OK, "a quota that was raised goes on counting")
		require.False(t, takeAt(t, q, server, quota, "a", epoch).OK)
		for _, key := range server.Keys() {
			require.Regexp(t, regexp.MustCompile(`^aoc:quota:\{[a-z:]+\}:[0-9a-f]{32}$`), key)
		}
	})
}

func TestCountersExpire(t *testing.T) {
	timed(t, func(t *testing.T, q *Quotas, server *miniredis.Miniredis) {
		quota := audit.Quota{Name: "ask", Requests: 3, Window: time.Minute}
		for range 5 {
			at := epoch.Add(rand.N(time.Hour))
			takeAt(t, q, server, quota, "me", at)
			end := at.Truncate(quota.Window).Add(2 * quota.Window)
			require.InDelta(t, end.Sub(at), server.TTL(q.key(quota, "me")), float64(time.Millisecond), "when it says nothing any more")
			server.FlushAll()
		}
	})
}

// TestClockSetBack has a Redis take over whose clock is behind.
func TestClockSetBack(t *testing.T) {
	timed(t, func(t *testing.T, q *Quotas, server *miniredis.Miniredis) {
		quota := audit.Quota{Name: "ask", Requests: 3, Window: time.Minute}
		start := epoch.Truncate(quota.Window)
		for range 3 {
			require.True(t, takeAt(t, q, server, quota, "me", start).OK)
		}
		d := takeAt(t, q, server, quota, "me", start.Add(-5*time.Second))
		require.False(t, d.OK, "that frees nothing")
		require.LessOrEqual(t, d.Retry, 2*quota.Window)
		took, err := quotaScript.Run(t.Context(), q.gate.client, []string{q.key(quota, "me")}, 3, quota.Window.Microseconds()).Int64Slice()
		require.NoError(t, err)
		require.Equal(t, []int64{3, 0, 0}, took, "the slot has just begun")
		require.True(t, takeAt(t, q, server, quota, "me", start.Add(-time.Hour)).OK, "a clock that was an hour ahead was wrong")
	})
}

func TestQuotasThatCannotBeCounted(t *testing.T) {
	timed(t, func(t *testing.T, q *Quotas, server *miniredis.Miniredis) {
		for _, quota := range []audit.Quota{
			{},
			{Requests: 1},
			{Requests: -1, Window: time.Minute},
			{Requests: 1, Window: -1},
			{Requests: 1, Window: time.Microsecond},
			{Requests: 1, Window: time.Millisecond + 1},
			{Requests: 104_250, Window: 24 * time.Hour},
		} {
			_, err := q.Take(t.Context(), quota, "me")
			require.Error(t, err, "%+v", quota)
			require.NotErrorIs(t, err, ErrUnreachable)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := q.Take(over, audit.Quota{Requests: 1, Window: time.Minute}, "me")
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, server.Keys(), "none of these counted")
		require.True(t, takeAt(t, q, server, audit.Quota{Requests: 1, Window: time.Minute}, "me", epoch).OK, "nor do they say that Redis is away")
	})
}

// TestWhoHangsUpIsCounted has callers who do not wait for the answer.
func TestWhoHangsUpIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSimRedis(t)
		q := r.limits(t, discard).Quotas()
		quota := audit.Quota{Name: "ask", Requests: 3, Window: time.Minute}
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			require.NoError(t, q.gate.pass(ctx, func(within context.Context, client *redis.Client) error {
				cancel()
				return quotaScript.Run(within, client, []string{q.key(quota, "me")}, quota.Requests, quota.Window.Microseconds()).Err()
			}))
		}
		d, err := q.Take(t.Context(), quota, "me")
		require.NoError(t, err)
		require.False(t, d.OK)
	})
}

func TestWithoutRedisThereAreNoQuotas(t *testing.T) {
	l, err := Open(Config{})
	require.NoError(t, err)
	require.Nil(t, l.Quotas())
	require.NoError(t, l.Ping(t.Context()))
	require.NoError(t, l.Close())
}

// TestStatsAreTold has the names under which a store keeps them.
func TestStatsAreTold(t *testing.T) {
	l, err := Open(Config{})
	require.NoError(t, err)
	l.Limiter("reports", 5, time.Second).Throttled(time.Minute)
	told, err := json.Marshal(l.Stats())
	require.NoError(t, err)
	require.JSONEq(t, `[{"Name":"reports","Calls":0,"Waited":0,"Throttles":1,"Share":1,"Alone":true}]`, string(told))
}
