package storetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func testLedger(t *testing.T, e Engine) {
	t.Run("plan", func(t *testing.T) { testPlan(t, e) })
	t.Run("hand out", func(t *testing.T) { testHandOut(t, e) })
	t.Run("hand out of some sources", func(t *testing.T) { testHandOutSources(t, e) })
	t.Run("save", func(t *testing.T) { testSave(t, e) })
	t.Run("fences", func(t *testing.T) { testFences(t, e) })
	t.Run("windows", func(t *testing.T) { testWindows(t, e) })
	t.Run("many hand out at once", func(t *testing.T) {
		if !e.Contention {
			t.Skip("this engine loses concurrent updates")
		}
		testHandOutRace(t, e)
	})
}

// window is one that waits for its first run.
func window(source audit.Source, hour int, due time.Time) audit.Window {
	return audit.Window{Source: source, Start: Epoch.Add(time.Duration(hour) * time.Hour), State: audit.Planned, NextAt: due}
}

// full is a window with every field set, its times to the tick.
func full(source audit.Source, hour int) audit.Window {
	at := Epoch.Add(12345678900 * time.Nanosecond)
	w := window(source, hour, at)
	w.State, w.Reason, w.Error = audit.Kept, `why "so"`, "429: try later ✓"
	w.Passes, w.Attempts, w.Fence = 2, 3, 7
	w.HeldTill, w.ListedAt, w.FailedAt = at.Add(audit.TickLength), at.Add(2*audit.TickLength), at.Add(3*audit.TickLength)
	w.Counts = audit.Counts{Blobs: 1, Read: 20, New: 12, Known: 7, Quarantined: 1}
	w.Late, w.Lags, w.Deleted = 5, someLags(), at.Add(4*audit.TickLength)
	return w
}

func plan(t *testing.T, s Store, added int, windows ...audit.Window) {
	t.Helper()
	n, err := s.Plan(t.Context(), windows)
	require.NoError(t, err)
	require.Equal(t, added, n)
}

func ledger(t *testing.T, s Store) []audit.Window {
	t.Helper()
	windows, err := s.Windows(t.Context(), audit.LedgerQuery{Limit: 1000})
	require.NoError(t, err)
	return windows
}

func testPlan(t *testing.T, e Engine) {
	b := newBed(t, e)
	now := b.clock.Now()
	plan(t, b, 0)
	due, settled, lost := full(audit.IntuneAudit, 0), full(audit.IntuneAudit, 1), full(audit.IntuneAudit, 2)
	due.NextAt, settled.NextAt, lost.NextAt = now, time.Time{}, time.Time{}
	lost.State = audit.Lost
	plan(t, b, 3, due, settled, lost, due)
	require.Equal(t, []audit.Window{due, settled, lost}, ledger(t, b), "a planned window is kept as it was given")

	again := func(next time.Time) []audit.Window {
		windows := []audit.Window{window(due.Source, 0, next), window(due.Source, 1, next), window(due.Source, 2, next)}
		windows[0].Error, windows[0].Passes = "must not be written", 99
		return windows
	}
	plan(t, b, 0, again(time.Time{})...)
	require.Equal(t, []audit.Window{due, settled, lost}, ledger(t, b), "no time is no earlier time")
	plan(t, b, 0, again(now.Add(time.Minute))...)
	settled.NextAt = now.Add(time.Minute)
	require.Equal(t, []audit.Window{due, settled, lost}, ledger(t, b), "a later time moves nothing but what was never due")
	plan(t, b.again(), 1, append(again(now.Add(-time.Minute)), window(audit.M365DLP, 0, now))...)
	due.NextAt, settled.NextAt = now.Add(-time.Minute), now.Add(-time.Minute)
	require.Equal(t, []audit.Window{due, settled, lost, window(audit.M365DLP, 0, now)}, ledger(t, b))
}

func handOut(t *testing.T, b *bed, limit int, sources ...audit.Source) []audit.Window {
	t.Helper()
	windows, err := b.HandOut(t.Context(), sources, b.clock.Now(), time.Minute, limit)
	require.NoError(t, err)
	return windows
}

// testHandOutSources lets windows of a feed that was switched off be due before
// all others, and more of them than are asked for.
func testHandOutSources(t *testing.T, e Engine) {
	b := newBed(t, e)
	now := b.clock.Now()
	for hour := range 5 {
		plan(t, b, 1, window(audit.EntraSignIn, hour, now.Add(-time.Hour)))
	}
	plan(t, b, 3, window(audit.EntraSignInNonInter, 0, now), window(audit.IntuneAudit, 1, now), window(audit.M365DLP, 2, now))
	require.Empty(t, handOut(t, b, 9))
	require.Empty(t, handOut(t, b, 9, "none", "entra"))
	require.Empty(t, handOut(t, b, 0, audit.M365DLP))
	requireHeld(t, b, 0)

	on := []audit.Source{audit.IntuneAudit, "none", audit.M365DLP, audit.EntraSignInNonInter, audit.IntuneAudit}
	for _, want := range []audit.Source{audit.M365DLP, audit.IntuneAudit} {
		windows := handOut(t, b, 1, on...)
		require.Len(t, windows, 1)
		require.Equal(t, want, windows[0].Source)
	}
	require.Len(t, handOut(t, b, 9, on...), 1, "the rest of these sources")
	requireHeld(t, b, 3)
	require.Len(t, handOut(t, b, 9, append(on, audit.EntraSignIn)...), 5, "the others are due as they were")
}

func testHandOut(t *testing.T, e Engine) {
	b := newBed(t, e)
	now := b.clock.Now()
	handOut := func(limit int) []audit.Window {
		t.Helper()
		return handOut(t, b, limit, audit.IntuneAudit, audit.M365DLP)
	}
	require.Empty(t, handOut(5))
	oldest, newer, older := window(audit.IntuneAudit, 3, now.Add(-time.Hour)), window(audit.M365DLP, 9, now), window(audit.IntuneAudit, 2, now)
	plan(t, b, 5, older, newer, oldest, window(audit.M365DLP, 4, now.Add(audit.TickLength)), window(audit.M365DLP, 5, time.Time{}))

	hold := func(windows ...audit.Window) []audit.Window {
		for i := range windows {
			windows[i].HeldTill = b.clock.Now().Add(time.Minute)
		}
		return windows
	}
	require.Equal(t, hold(oldest, newer), handOut(2), "oldest due first, then the newest hour; held from now on")
	require.Equal(t, hold(older), handOut(2))
	require.Empty(t, handOut(2))
	requireHeld(t, b, 3)

	b.clock.Advance(time.Minute - audit.TickLength)
	require.Len(t, handOut(5), 1, "what became due meanwhile, but nothing that is held")
	b.clock.Advance(audit.TickLength)
	requireHeld(t, b, 1)
	require.Equal(t, hold(oldest, newer, older), handOut(5), "a hold ends")
}

func requireHeld(t *testing.T, b *bed, want int) {
	t.Helper()
	held, err := b.Held(t.Context(), b.clock.Now())
	require.NoError(t, err)
	require.Equal(t, want, held)
}

func testHandOutRace(t *testing.T, e Engine) {
	b := newBed(t, e)
	const windows, takers = 120, 6
	both := []audit.Source{audit.EntraSignIn, audit.IntuneAudit}
	for n := range windows {
		plan(t, b, 1, window(both[n%2], n, b.clock.Now()))
	}
	var taking sync.WaitGroup
	taken := make([][]audit.Window, takers)
	for i := range takers {
		s := b.again()
		taking.Go(func() {
			for {
				got, err := s.HandOut(t.Context(), both, b.clock.Now(), time.Hour, 7)
				if err != nil {
					t.Errorf("hand out: %v", err)
				}
				if len(got) == 0 {
					return
				}
				taken[i] = append(taken[i], got...)
			}
		})
	}
	taking.Wait()
	starts := map[time.Time]int{}
	for _, w := range slices.Concat(taken...) {
		starts[w.Start]++
		require.Equal(t, 1, starts[w.Start], "a window was handed out twice")
	}
	// Takers that raced may have come back empty-handed before the rest was taken.
	rest, err := b.HandOut(t.Context(), both, b.clock.Now(), time.Hour, windows)
	require.NoError(t, err)
	require.Len(t, starts, windows-len(rest))
	requireHeld(t, b, windows)
}

func testSave(t *testing.T, e Engine) {
	b := newBed(t, e)
	now := b.clock.Now()
	plan(t, b, 3, window(audit.IntuneAudit, 0, now), window(audit.IntuneAudit, 1, now), window(audit.M365DLP, 0, now))
	lease := acquire(t, b, "ledger", "me")
	set, cleared := full(audit.IntuneAudit, 0), audit.Window{Source: audit.IntuneAudit, Start: Epoch.Add(time.Hour), State: audit.Lost, Reason: "too old"}
	set.Fence = 0
	require.NoError(t, b.SaveWindows(t.Context(), lease, []audit.Window{set, cleared}))
	set.Fence, cleared.Fence = lease.Fence, lease.Fence
	require.Equal(t, []audit.Window{set, cleared, window(audit.M365DLP, 0, now)}, ledger(t, b))
	absent := full(audit.M365DLP, 5)
	require.NoError(t, b.SaveWindows(t.Context(), lease, []audit.Window{absent}))
	absent.Fence = lease.Fence
	require.Equal(t, absent, ledger(t, b)[3], "a row that is not there is added")
	require.NoError(t, b.SaveWindows(t.Context(), lease, nil))
}

func testFences(t *testing.T, e Engine) {
	b := newBed(t, e)
	older := acquire(t, b, "ledger", "me")
	newer := acquire(t, b, "ledger", "me")
	require.Greater(t, newer.Fence, older.Fence)
	plan(t, b, 2, window(audit.IntuneAudit, 0, b.clock.Now()), window(audit.IntuneAudit, 1, b.clock.Now()))
	done, late := full(audit.IntuneAudit, 0), full(audit.IntuneAudit, 0)
	late.Error = "from the older holder"
	require.NoError(t, b.SaveWindows(t.Context(), newer, []audit.Window{done}))

	other := full(audit.IntuneAudit, 1)
	err := b.SaveWindows(t.Context(), older, []audit.Window{late, other})
	require.ErrorIs(t, err, audit.ErrFenced)
	done.Fence, other.Fence = newer.Fence, older.Fence
	require.Equal(t, []audit.Window{done, other}, ledger(t, b), "the fenced row stays, the other is written")
	require.NoError(t, b.SaveWindows(t.Context(), newer, []audit.Window{done, other}), "the same and a higher fence write")
}

func testWindows(t *testing.T, e Engine) {
	b := newBed(t, e)
	var all []audit.Window
	for _, source := range []audit.Source{audit.EntraDirectory, audit.IntuneAudit, audit.M365DLP} {
		for hour := range 5 {
			all = append(all, window(source, hour, time.Time{}))
		}
	}
	shuffled := slices.Clone(all)
	slices.Reverse(shuffled)
	plan(t, b, len(all), shuffled...)
	for name, test := range map[string]struct {
		query audit.LedgerQuery
		want  []audit.Window
	}{
		"all":         {audit.LedgerQuery{Limit: 100}, all},
		"first":       {audit.LedgerQuery{Limit: 7}, all[:7]},
		"two sources": {audit.LedgerQuery{Limit: 100, Sources: []audit.Source{audit.M365DLP, audit.EntraDirectory, "none"}}, append(slices.Clone(all[:5]), all[10:]...)},
		"from":        {audit.LedgerQuery{Limit: 100, Sources: []audit.Source{audit.IntuneAudit}, Start: all[2].Start}, all[7:10]},
		"until":       {audit.LedgerQuery{Limit: 100, Sources: []audit.Source{audit.IntuneAudit}, End: all[2].Start}, all[5:7]},
		"one hour":    {audit.LedgerQuery{Limit: 100, Sources: []audit.Source{audit.M365DLP}, Start: all[3].Start, End: all[4].Start}, all[13:14]},
		"none":        {audit.LedgerQuery{Limit: 100, Sources: []audit.Source{"none"}}, []audit.Window{}},
	} {
		got, err := b.Windows(t.Context(), test.query)
		require.NoError(t, err, name)
		require.Equal(t, test.want, append([]audit.Window{}, got...), name)
	}
}

func testLedgerSums(t *testing.T, e Engine) {
	b := newBed(t, e)
	feeds, err := b.Feeds(t.Context())
	require.NoError(t, err)
	require.Empty(t, feeds)
	requireHeld(t, b, 0)

	at := b.clock.Now()
	ok, failing, failed, lost, waiting := full(audit.IntuneAudit, 0), full(audit.IntuneAudit, 1), full(audit.IntuneAudit, 2), full(audit.IntuneAudit, 3), window(audit.IntuneAudit, 4, at)
	ok.Attempts, ok.Error, ok.ListedAt, ok.FailedAt = 0, "", at, at.Add(-time.Hour)
	failing.ListedAt, failing.FailedAt, failing.Error = at.Add(-time.Minute), at.Add(-time.Second), "the older failure"
	failed.ListedAt, failed.FailedAt, failed.Error = time.Time{}, at.Add(-audit.TickLength), "the newest failure"
	lost.State, lost.ListedAt, lost.Attempts, lost.Error, lost.FailedAt = audit.Lost, time.Time{}, 0, "", time.Time{}
	plan(t, b, 6, ok, failing, failed, lost, waiting, window(audit.AOC, 0, at))
	feeds, err = b.Feeds(t.Context())
	require.NoError(t, err)
	counts := ok.Counts.Add(ok.Counts).Add(ok.Counts).Add(ok.Counts)
	require.Equal(t, []audit.FeedState{
		{Source: audit.AOC, Waiting: 1, Windows: 1},
		{
			Source: audit.IntuneAudit, LastSuccess: at, CaughtUpTo: failing.End(), FailedAt: failed.FailedAt, LastError: failed.Error,
			Failing: 2, Waiting: 2, Lost: 1, Windows: 5, Counts: counts,
		},
	}, feeds)
}
