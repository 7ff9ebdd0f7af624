package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func testBlobs(t *testing.T, e Engine) {
	t.Run("add", func(t *testing.T) { testAddBlobs(t, e) })
	t.Run("hand out", func(t *testing.T) { testHandOutBlobs(t, e) })
	t.Run("save", func(t *testing.T) { testSaveBlobs(t, e) })
	t.Run("fences", func(t *testing.T) { testBlobFences(t, e) })
	t.Run("list", func(t *testing.T) { testListBlobs(t, e) })
	t.Run("fold", func(t *testing.T) { testFoldBlobs(t, e) })
	t.Run("many hand out at once", func(t *testing.T) {
		if !e.Contention {
			t.Skip("this engine loses concurrent updates")
		}
		testHandOutBlobsRace(t, e)
	})
}

// someLags has each class set to another number.
func someLags() (l audit.Lags) {
	for i := range l {
		l[i] = 100 + i
	}
	return l
}

// blob is one that waits to be read. Its id has the shape of the Management API's.
func blob(source audit.Source, n int, due time.Time) audit.BlobRow {
	created := Epoch.Add(time.Duration(n) * time.Minute)
	return audit.BlobRow{
		Blob: audit.Blob{
			Source: source, Created: created,
			ID:  fmt.Sprintf("%s$%s$audit_%s$Audit_%s$na%04d", created.Format("20060102150405"), "20260302", "general", "General", n),
			URI: fmt.Sprintf("https://manage.office.com/api/v1.0/%s/activity/feed/audit/%d$x?a=%%2C", tenant, n),
		},
		State: audit.Listed, NextAt: due,
	}
}

// fullBlob is a row with every field set, its times to the tick.
func fullBlob(source audit.Source, n int) audit.BlobRow {
	at := Epoch.Add(time.Duration(n)*time.Hour + 12345678900*time.Nanosecond)
	b := blob(source, n, at)
	tick := func(n int) time.Time { return at.Add(time.Duration(n) * audit.TickLength) }
	b.Created, b.Until, b.Expires = tick(1), tick(2), tick(3)
	b.State, b.Reason, b.Error, b.Late, b.Attempts = audit.Kept, `why "so"`, "429: try later ✓", true, 4
	b.HeldTill, b.StoredAt, b.FailedAt = tick(4), tick(5), tick(6)
	b.Counts = audit.Counts{Blobs: 1, Read: 20, New: 12, Known: 7, Quarantined: 1}
	b.Lags, b.Fence = someLags(), 7
	return b
}

func addBlobs(t *testing.T, s Store, added int, rows ...audit.BlobRow) {
	t.Helper()
	n, err := s.AddBlobs(t.Context(), rows)
	require.NoError(t, err)
	require.Equal(t, added, n)
}

func blobs(t *testing.T, s Store, q audit.LedgerQuery) []audit.BlobRow {
	t.Helper()
	rows, err := s.Blobs(t.Context(), q)
	require.NoError(t, err)
	return append([]audit.BlobRow{}, rows...)
}

var allBlobs = audit.LedgerQuery{Limit: 10_000}

func testAddBlobs(t *testing.T, e Engine) {
	b := newBed(t, e)
	addBlobs(t, b, 0)
	require.Empty(t, blobs(t, b, allBlobs))
	set, bare := fullBlob(audit.M365General, 3), audit.BlobRow{Blob: audit.Blob{Source: audit.M365General, ID: "a $b$ ✓", Created: Epoch}, State: audit.Lost}
	other := set
	other.Source = audit.M365DLP
	changed, fresh := set, blob(audit.M365General, 9, Epoch)
	changed.State, changed.Attempts, changed.URI, changed.Created = audit.Lost, 99, "elsewhere", Epoch.Add(time.Second)
	addBlobs(t, b, 3, set, other, bare, changed)
	addBlobs(t, b.again(), 1, changed, fresh, bare)
	require.Equal(t, []audit.BlobRow{other, bare, fresh, set}, blobs(t, b, allBlobs), "what is there stays as it is")
	feeds, err := b.Feeds(t.Context())
	require.NoError(t, err)
	require.Empty(t, feeds, "blobs are no windows")

	var many []audit.BlobRow
	for n := range e.size(3000, 300) {
		many = append(many, blob(audit.M365Exchange, n, Epoch))
	}
	addBlobs(t, b, len(many), many...)
	addBlobs(t, b, 1, append(many, blob(audit.M365Exchange, len(many), Epoch))...)
	require.Equal(t, many, blobs(t, b, audit.LedgerQuery{Sources: []audit.Source{audit.M365Exchange}, Limit: len(many)}))
	_, err = b.AddBlobs(over(t), []audit.BlobRow{blob(audit.M365SharePoint, 1, Epoch)})
	require.Error(t, err)
}

func handOutBlobs(t *testing.T, b *bed, limit int, sources ...audit.Source) []audit.BlobRow {
	t.Helper()
	rows, err := b.HandOutBlobs(t.Context(), sources, b.clock.Now(), time.Minute, limit)
	require.NoError(t, err)
	return append([]audit.BlobRow{}, rows...)
}

func testHandOutBlobs(t *testing.T, e Engine) {
	b := newBed(t, e)
	now := b.clock.Now()
	both := []audit.Source{audit.M365General, "none", audit.M365DLP, audit.M365General}
	require.Empty(t, handOutBlobs(t, b, 5, both...))
	off := blob(audit.M365Exchange, 0, now.Add(-time.Hour))
	oldest, older, newest := blob(audit.M365General, 1, now.Add(-2*time.Second)), blob(audit.M365DLP, 2, now.Add(-audit.TickLength)), blob(audit.M365General, 3, now)
	later, never, held := blob(audit.M365DLP, 4, now.Add(audit.TickLength)), blob(audit.M365General, 5, time.Time{}), blob(audit.M365General, 6, now.Add(-time.Hour))
	held.HeldTill = now.Add(audit.TickLength)
	lapsed := blob(audit.M365DLP, 7, now.Add(-time.Second))
	lapsed.HeldTill = now
	addBlobs(t, b, 8, newest, off, never, older, held, later, lapsed, oldest)
	require.Empty(t, handOutBlobs(t, b, 9))
	require.Empty(t, handOutBlobs(t, b, 0, both...))
	require.Empty(t, handOutBlobs(t, b, 9, "m365", "m365.general "))

	hold := func(rows ...audit.BlobRow) []audit.BlobRow {
		for i := range rows {
			rows[i].HeldTill = b.clock.Now().Add(time.Minute)
		}
		return rows
	}
	require.Equal(t, hold(oldest), handOutBlobs(t, b, 1, both...), "oldest due first; held from now on")
	require.Equal(t, hold(lapsed), handOutBlobs(t, b, 1, both...))
	require.Equal(t, hold(older, newest), handOutBlobs(t, b, 5, both...))
	require.Empty(t, handOutBlobs(t, b, 5, both...))
	requireHeld(t, b, 0)

	b.clock.Advance(time.Minute - audit.TickLength)
	require.Equal(t, hold(held, later), handOutBlobs(t, b, 9, both...), "what became due meanwhile, but nothing that is held")
	b.clock.Advance(audit.TickLength)
	require.Equal(t, hold(oldest, lapsed, older, newest), handOutBlobs(t, b, 9, both...), "a hold ends")
	require.Equal(t, hold(off), handOutBlobs(t, b, 9, audit.M365Exchange), "another source's is due as it was")
	require.Contains(t, blobs(t, b, allBlobs), never)
	require.Contains(t, blobs(t, b, allBlobs), hold(oldest)[0], "a hold is kept")
}

func testHandOutBlobsRace(t *testing.T, e Engine) {
	b := newBed(t, e)
	const rows, takers = 120, 6
	both := []audit.Source{audit.M365General, audit.M365DLP}
	for n := range rows {
		addBlobs(t, b, 1, blob(both[n%2], n, b.clock.Now()))
	}
	var taking sync.WaitGroup
	taken := make([][]audit.BlobRow, takers)
	for i := range takers {
		s := b.again()
		taking.Go(func() {
			for {
				got, err := s.HandOutBlobs(t.Context(), both, b.clock.Now(), time.Hour, 7)
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
	ids := map[string]bool{}
	for _, row := range slices.Concat(taken...) {
		require.False(t, ids[row.ID], "a blob was handed out twice")
		ids[row.ID] = true
	}
	// Takers that raced may have come back empty-handed before the rest was taken.
	rest, err := b.HandOutBlobs(t.Context(), both, b.clock.Now(), time.Hour, rows)
	require.NoError(t, err)
	require.Len(t, ids, rows-len(rest))
}

func testSaveBlobs(t *testing.T, e Engine) {
	b := newBed(t, e)
	lease := acquire(t, b, "ledger", "me")
	fresh := []audit.BlobRow{blob(audit.M365General, 0, Epoch), blob(audit.M365General, 1, Epoch), blob(audit.M365DLP, 0, Epoch)}
	addBlobs(t, b, 3, fresh...)
	set := fullBlob(audit.M365General, 0)
	set.ID, set.Fence = fresh[0].ID, 0
	cleared := audit.BlobRow{Blob: audit.Blob{Source: audit.M365General, ID: fresh[1].ID, Created: Epoch.Add(time.Hour)}, State: audit.Lost, Reason: "gone"}
	absent := fullBlob(audit.M365DLP, 5)
	require.NoError(t, b.SaveBlobs(t.Context(), lease, []audit.BlobRow{set, cleared, absent}))
	set.Fence, cleared.Fence, absent.Fence = lease.Fence, lease.Fence, lease.Fence
	require.Equal(t, []audit.BlobRow{fresh[2], absent, set, cleared}, blobs(t, b, allBlobs), "all fields, and a row that is not there is added")
	require.NoError(t, b.SaveBlobs(t.Context(), lease, nil))

	var many []audit.BlobRow
	for n := range e.size(2500, 60) {
		row := blob(audit.M365Exchange, n, Epoch)
		if n%3 > 0 {
			addBlobs(t, b, 1, row)
		}
		row.State, row.NextAt, row.StoredAt, row.Fence = audit.Kept, time.Time{}, Epoch, lease.Fence
		many = append(many, row)
	}
	require.NoError(t, b.SaveBlobs(t.Context(), lease, many))
	require.Equal(t, many, blobs(t, b, audit.LedgerQuery{Sources: []audit.Source{audit.M365Exchange}, Limit: len(many)}))
}

func testBlobFences(t *testing.T, e Engine) {
	b := newBed(t, e)
	older := acquire(t, b, "ledger", "me")
	newer := acquire(t, b, "ledger", "me")
	first, second, third := blob(audit.M365General, 0, Epoch), blob(audit.M365General, 1, Epoch), blob(audit.M365General, 2, Epoch)
	addBlobs(t, b, 2, first, second)
	first.Attempts = 1
	require.NoError(t, b.SaveBlobs(t.Context(), newer, []audit.BlobRow{first}))
	late := first
	late.Error = "from the older holder"
	second.Attempts, third.Attempts = 2, 3
	require.ErrorIs(t, b.SaveBlobs(t.Context(), older, []audit.BlobRow{late, second, third}), audit.ErrFenced)
	first.Fence, second.Fence, third.Fence = newer.Fence, older.Fence, older.Fence
	require.Equal(t, []audit.BlobRow{first, second, third}, blobs(t, b, allBlobs), "the fenced row stays, the others are written")
	interim := first
	interim.Reason, first.Attempts, second.Attempts = "must not stay", 5, 6
	require.NoError(t, b.SaveBlobs(t.Context(), newer, []audit.BlobRow{interim, second, first}))
	second.Fence = newer.Fence
	require.Equal(t, []audit.BlobRow{first, second, third}, blobs(t, b, allBlobs), "the same and a higher fence write, the last of a blob last")
	require.ErrorIs(t, b.SaveBlobs(t.Context(), older, []audit.BlobRow{second}), audit.ErrFenced)
}

func testListBlobs(t *testing.T, e Engine) {
	b := newBed(t, e)
	var all []audit.BlobRow
	for _, source := range []audit.Source{audit.M365DLP, audit.M365Exchange, audit.M365General} {
		for n := range 5 {
			row := blob(source, n/2, time.Time{}) // pairs of one moment, told apart by their ids
			row.ID = strings.Repeat(string("$A_az"[n]), 5-n)
			all = append(all, row)
		}
	}
	shuffled := slices.Clone(all)
	slices.Reverse(shuffled)
	addBlobs(t, b, len(all), shuffled...)
	exchange := []audit.Source{audit.M365Exchange}
	for name, test := range map[string]struct {
		query audit.LedgerQuery
		want  []audit.BlobRow
	}{
		"all":         {audit.LedgerQuery{Limit: 100}, all},
		"first":       {audit.LedgerQuery{Limit: 7}, all[:7]},
		"two sources": {audit.LedgerQuery{Limit: 100, Sources: []audit.Source{audit.M365General, audit.M365DLP, "none"}}, append(slices.Clone(all[:5]), all[10:]...)},
		"from":        {audit.LedgerQuery{Limit: 100, Sources: exchange, Start: all[2].Created}, all[7:10]},
		"just after":  {audit.LedgerQuery{Limit: 100, Sources: exchange, Start: all[2].Created.Add(audit.TickLength)}, all[9:10]},
		"until":       {audit.LedgerQuery{Limit: 100, Sources: exchange, End: all[2].Created}, all[5:7]},
		"between":     {audit.LedgerQuery{Limit: 100, Start: all[2].Created, End: all[4].Created}, slices.Concat(all[2:4], all[7:9], all[12:14])},
		"none":        {audit.LedgerQuery{Limit: 100, Sources: []audit.Source{"none"}}, []audit.BlobRow{}},
	} {
		require.Equal(t, test.want, blobs(t, b, test.query), name)
	}
	_, err := b.Blobs(t.Context(), audit.LedgerQuery{})
	require.ErrorIs(t, err, audit.ErrInvalid)
}

func testFoldBlobs(t *testing.T, e Engine) {
	b := newBed(t, e)
	var rows []audit.BlobRow
	for n, state := range []audit.WindowState{audit.Kept, audit.Kept, audit.Listed, audit.Lost, audit.Kept} {
		row := blob(audit.M365General, n, time.Time{})
		row.State = state
		rows = append(rows, row)
	}
	other := rows[1]
	other.Source = audit.M365DLP
	addBlobs(t, b, 6, append(rows, other)...)
	fold := func(want int, start, end time.Time) {
		t.Helper()
		n, err := b.FoldBlobs(t.Context(), audit.M365General, start, end)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	fold(0, rows[4].Created.Add(audit.TickLength), rows[4].Created.Add(time.Hour))
	fold(0, rows[1].Created, rows[1].Created)
	fold(0, rows[1].Created, time.Time{})
	fold(2, rows[1].Created, rows[4].Created)
	require.Equal(t, []audit.BlobRow{other, rows[0], rows[2], rows[4]}, blobs(t, b, allBlobs), "what is listed is waited for still")
	fold(0, rows[1].Created, rows[4].Created)
	addBlobs(t, b, 1, rows[1], rows[2])
}
