package storetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func testQuotas(t *testing.T, e Engine) {
	t.Run("a window that slides", func(t *testing.T) { testQuotaSlides(t, e) })
	t.Run("as the arithmetic says", func(t *testing.T) { testQuotaModel(t, e) })
	t.Run("callers are apart", func(t *testing.T) { testQuotaCallers(t, e) })
	t.Run("many at once", func(t *testing.T) { testQuotaTogether(t, e) })
	t.Run("what is refused", func(t *testing.T) {
		b := newBed(t, e)
		for _, q := range []audit.Quota{{}, {Requests: 1}, {Requests: -1, Window: time.Minute}, {Requests: 1, Window: -1}} {
			_, err := b.Take(t.Context(), q, "me", Epoch)
			require.Error(t, err, "%+v", q)
		}
		_, err := b.Take(over(t), audit.Quota{Requests: 1, Window: time.Minute}, "me", Epoch)
		require.Error(t, err)
		require.True(t, take(t, b, audit.Quota{Requests: 1, Window: time.Minute}, "me", Epoch).OK, "none of these counted")
	})
}

func take(t *testing.T, s Store, q audit.Quota, who string, now time.Time) audit.Decision {
	t.Helper()
	decision, err := s.Take(t.Context(), q, who, now)
	require.NoError(t, err)
	return decision
}

func testQuotaSlides(t *testing.T, e Engine) {
	b := newBed(t, e)
	other := b.again()
	q := audit.Quota{Name: "ask", Requests: 4, Window: time.Minute}
	start := Epoch.Truncate(q.Window)
	for i := range 4 {
		require.Equal(t, audit.Decision{OK: true, Remaining: 3 - i, Reset: q.Window + q.Window*time.Duration(min(i, 1))}, take(t, []Store{b, other}[i%2], q, "me", start))
	}
	for range 10 { // which count for nothing
		require.False(t, take(t, other, q, "me", start.Add(time.Second)).OK)
	}
	refused := take(t, b, q, "me", start.Add(59*time.Second))
	require.False(t, refused.OK)
	require.False(t, take(t, b, q, "me", start.Add(59*time.Second+refused.Retry-2*time.Millisecond)).OK)
	require.True(t, take(t, b, q, "me", start.Add(59*time.Second+refused.Retry)).OK, "it comes back when it was told to")
	require.False(t, take(t, b, q, "me", start.Add(75*time.Second)).OK)
	require.Equal(t, 3, take(t, b, q, "me", start.Add(3*q.Window)).Remaining, "all is free again")
}

// slots are what a test knows to have been let through, by caller, quota and slot.
type slots map[string]int

func (m slots) take(q audit.Quota, who string, now time.Time) audit.Decision {
	n := now.UnixNano() / int64(q.Window)
	key := func(n int64) string { return fmt.Sprint(q.Name, q.Window, who, n) }
	d := q.Slide(m[key(n)], m[key(n-1)], time.Duration(now.UnixNano()%int64(q.Window)))
	if d.OK {
		m[key(n)]++
	}
	return d
}

func testQuotaModel(t *testing.T, e Engine) {
	b := newBed(t, e)
	stores := []Store{b.Store, b.again()}
	quotas := []audit.Quota{{Name: "default", Requests: 12, Window: time.Minute}, {Name: "default", Requests: 12, Window: 7 * time.Second}, {Name: "write", Requests: 3, Window: time.Minute}, {Name: "fetch", Requests: 1, Window: time.Hour}}
	r, model, let, refused := rand.New(rand.NewPCG(5, 6)), slots{}, 0, 0
	now := Epoch
	for range e.size(3000, 400) {
		now = now.Add(time.Duration(r.Int64N(int64(4 * time.Second))))
		if r.IntN(60) == 0 {
			now = now.Add(time.Duration(r.Int64N(int64(3 * time.Minute))))
		}
		q, who := quotas[r.IntN(len(quotas))], fmt.Sprint("caller-", r.IntN(2))
		want := model.take(q, who, now)
		require.Equal(t, want, take(t, stores[r.IntN(2)], q, who, now), "%+v %s %s", q, who, now)
		if want.OK {
			let++
		} else {
			refused++
		}
	}
	require.Greater(t, min(let, refused), 50, "too few of one kind: %d let through, %d refused", let, refused)
}

func testQuotaCallers(t *testing.T, e Engine) {
	b := newBed(t, e)
	q := audit.Quota{Name: "fetch", Requests: 1, Window: time.Hour}
	callers := []string{"", " ", "a", "A", "a ", "a\x00", "a\x00b", "$ne", "a|1", "a.b", "' OR 1=1 --", "\xff", "\xfe", strings.Repeat("x", 100_000), strings.Repeat("x", 100_001)}
	for _, who := range callers {
		require.True(t, take(t, b, q, who, Epoch).OK, "%.20q", who)
	}
	for _, who := range callers {
		require.False(t, take(t, b, q, who, Epoch).OK, "%.20q", who)
	}
	for _, other := range []audit.Quota{{Name: "fetch ", Requests: 1, Window: time.Hour}, {Name: "", Requests: 1, Window: time.Hour}, {Name: "fetch", Requests: 1, Window: time.Minute}, {Name: "1:fetch", Requests: 1, Window: time.Hour}} {
		require.True(t, take(t, b, other, "a", Epoch).OK, "%+v", other)
	}
	more := q
	more.Requests = 2
	require.True(t, take(t, b, more, "a", Epoch).OK, "a quota that was raised goes on counting")
	require.False(t, take(t, b, q, "a", Epoch).OK)
}

// testQuotaTogether lets many callers ask through several stores for what is
// left in two slots, the second of which has the first's weight.
func testQuotaTogether(t *testing.T, e Engine) {
	if !e.Contention {
		t.Skip("this engine loses updates of one document at once")
	}
	b := newBed(t, e)
	stores := []Store{b.Store, b.again(), b.again()}
	q := audit.Quota{Name: "default", Requests: 20, Window: time.Minute}
	start := Epoch.Truncate(q.Window)
	for _, round := range []struct {
		at   time.Time
		left int32
	}{{start, 20}, {start.Add(q.Window + q.Window/2), 10}, {start.Add(5 * q.Window), 20}} {
		var passed atomic.Int32
		var callers sync.WaitGroup
		for i := range 24 {
			callers.Go(func() {
				for range 3 {
					d, err := stores[i%len(stores)].Take(t.Context(), q, "me", round.at)
					if err != nil {
						t.Error(err)
					}
					if d.OK {
						passed.Add(1)
					}
				}
			})
		}
		callers.Wait()
		require.Equal(t, round.left, passed.Load())
	}
}

func testInstances(t *testing.T, e Engine) {
	b := newBed(t, e)
	now := b.clock.Now()
	save := func(s Store, list ...audit.Instance) {
		t.Helper()
		for _, i := range list {
			require.NoError(t, s.SaveInstance(t.Context(), i))
		}
	}
	requireInstances := func(since time.Time, want ...audit.Instance) {
		t.Helper()
		got, err := b.Instances(t.Context(), since)
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for i := range want {
			require.Equal(t, want[i], got[i])
		}
	}
	requireInstances(time.Time{})
	full := audit.Instance{
		ID: "host/1 \"$x\" ✓", Started: now.Add(-time.Hour - audit.TickLength), At: now.Add(-audit.TickLength), Version: "v1",
		Limiters: []audit.LimiterStats{{Name: "graph.reports", Calls: 1 << 60, Waited: time.Hour + 1, Throttles: 3, Share: 1.0 / 3, Alone: true}, {Name: "management"}},
	}
	bare, same := audit.Instance{ID: "b", At: now}, audit.Instance{ID: "c", At: now}
	save(b, full, bare)
	save(b.again(), same)
	requireInstances(time.Time{}, same, bare, full)
	requireInstances(full.At, same, bare, full)
	requireInstances(now, same, bare)
	requireInstances(now.Add(audit.TickLength))

	later := full
	later.At, later.Version, later.Limiters = now.Add(time.Minute), "v2", nil
	save(b, later)
	requireInstances(time.Time{}, later, same, bare)
	b.clock.Advance(24 * time.Hour)
	save(b, later)
	requireInstances(time.Time{}, later, same, bare)
	b.clock.Advance(audit.TickLength)
	save(b.again(), later)
	requireInstances(time.Time{}, later)

	var many []audit.Instance
	for n := range 205 {
		many = append(many, audit.Instance{ID: fmt.Sprint("many-", n), At: b.clock.Now().Add(-time.Duration(n) * time.Second)})
	}
	save(b, many...)
	requireInstances(time.Time{}, many[:200]...)
}
