package ingest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/store/sqlite"

	"github.com/stretchr/testify/require"
)

// fillOld stores events, quarantined records, jobs and a ledger that begins
// days before the moment in their middle, which it returns.
func (k *keeper) fillOld(t *testing.T, old, days int) (cutoff time.Time) {
	k.now = k.now.Add(-30 * 24 * time.Hour)
	cutoff = k.now.Truncate(24 * time.Hour).Add(-10*time.Hour - 30*time.Minute)
	var batch []audit.Stored
	for i := range old + 100 {
		batch = append(batch, k.event(t, fileRead(fmt.Sprintf(knownRecord, i), cutoff.Add(time.Duration(i-old)*time.Second)), nil))
	}
	k.insert(t, batch...)
	var refused []audit.Quarantined
	for i := range 210 {
		refused = append(refused, bad(untold(fileRead(fmt.Sprintf(knownRecord, i), k.now)), cutoff.Add(time.Duration(i-150)*time.Second)))
	}
	k.setAside(t, refused...)
	for i, done := range []time.Time{cutoff.Add(-time.Hour), cutoff, {}} {
		job := audit.Job{ID: fmt.Sprint("old", i), Kind: "backfill", State: audit.JobDone, CreatedAt: cutoff.Add(-2 * time.Hour), DoneAt: done}
		require.NoError(t, k.store.AddJob(t.Context(), job))
	}
	for _, source := range []audit.Source{audit.EntraDirectory, audit.M365SharePoint} {
		_, err := k.store.Plan(t.Context(), grid(source, cutoff.Add(-time.Duration(days)*24*time.Hour), cutoff.Add(24*time.Hour), cutoff))
		require.NoError(t, err)
	}
	return cutoff
}

func (k *keeper) marked(t *testing.T) (marked, unmarked []audit.Window) {
	t.Helper()
	rows, err := k.store.Windows(t.Context(), audit.LedgerQuery{Limit: maxRows})
	require.NoError(t, err)
	for _, row := range rows {
		if row.Deleted.IsZero() {
			unmarked = append(unmarked, row)
		} else {
			marked = append(marked, row)
		}
	}
	return marked, unmarked
}

// requireKept holds that what is older than the cutoff is gone, and no more.
func (k *keeper) requireKept(t *testing.T, cutoff time.Time, days int) {
	t.Helper()
	events := k.events(t)
	require.Len(t, events, 100)
	for _, e := range events {
		require.False(t, e.Time.Before(cutoff))
	}
	require.Len(t, k.quarantined(t), 60)
	_, err := k.store.Job(t.Context(), "old0")
	require.ErrorIs(t, err, audit.ErrNotFound)
	for _, id := range []string{"old1", "old2"} {
		_, err = k.store.Job(t.Context(), id)
		require.NoError(t, err)
	}
	marked, unmarked := k.marked(t)
	for _, row := range marked {
		require.False(t, row.End().After(cutoff))
		require.Equal(t, audit.Planned, row.State, "nothing else of it is touched")
		require.Equal(t, cutoff, row.NextAt)
	}
	for _, row := range unmarked {
		require.True(t, row.End().After(cutoff))
	}
	require.Len(t, marked, 2*days*24)
	require.Len(t, unmarked, 2*25)
}

func TestRetention(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		time.Sleep(100 * 24 * time.Hour)
		cutoff := k.fillOld(t, 700, 50)
		before := k.ids(t)
		job := k.do(t, KindRetention, audit.JobOptions{Since: cutoff, DryRun: true})
		require.Equal(t, audit.Progress{Scanned: 910, Changed: 850, Windows: 2400, Counts: audit.Counts{Quarantined: 150}}, job.Progress)
		require.Equal(t, []string{"jobs of the newest 1000 that have ended and would be deleted: 1"}, job.Notes)
		require.Equal(t, before, k.ids(t))
		require.Len(t, k.quarantined(t), 210)
		marked, _ := k.marked(t)
		require.Empty(t, marked)

		job = k.do(t, KindRetention, audit.JobOptions{Since: cutoff, Limit: 600})
		require.Equal(t, 600, job.Progress.Changed)
		require.Len(t, k.events(t), 200)
		require.Len(t, k.quarantined(t), 210)
		marked, _ = k.marked(t)
		require.Empty(t, marked, "there are events left")
		require.Len(t, job.Notes, 1)

		job = k.do(t, KindRetention, audit.JobOptions{Since: cutoff, Limit: 120})
		require.Equal(t, 20, job.Progress.Quarantined)
		require.Len(t, k.quarantined(t), 190)

		job = k.do(t, KindRetention, audit.JobOptions{Since: cutoff})
		require.Equal(t, []string{"jobs deleted that had ended: 1"}, job.Notes)
		require.Equal(t, 2400, job.Progress.Done)
		k.requireKept(t, cutoff, 50)
		marked, _ = k.marked(t)
		require.Equal(t, audit.Progress{Scanned: 60}, k.do(t, KindRetention, audit.JobOptions{Since: cutoff}).Progress)
		again, _ := k.marked(t)
		require.Equal(t, marked, again, "they are marked once")
	})
}

func TestRetentionAfterACrash(t *testing.T) {
	var cutoff time.Time
	dieEverywhere(t, KindRetention, func(t *testing.T, k *keeper) audit.JobOptions {
		time.Sleep(100 * 24 * time.Hour)
		cutoff = k.fillOld(t, 510, 1)
		return audit.JobOptions{Since: cutoff}
	}, func(t *testing.T, k *keeper, job audit.Job) {
		k.requireKept(t, cutoff, 1)
		require.Equal(t, 510, job.Progress.Changed-job.Progress.Quarantined, "each is counted once")
	})
}

// half deletes the events and is gone before their raw bytes are, as a store
// without transactions may.
type half struct {
	*sqlite.Store
	left []string // whose raw bytes are still there
	dead bool
}

func (h *half) Delete(ctx context.Context, ids []string) (int, error) {
	if !h.dead {
		h.dead, h.left = true, slices.Clone(ids)
		_, _ = h.Store.Delete(ctx, ids)
		return 0, errDead
	}
	h.left = slices.DeleteFunc(h.left, func(id string) bool { return slices.Contains(ids, id) })
	return h.Store.Delete(ctx, ids)
}

func TestADeletionThatIsBrokenOffIsRepeated(t *testing.T) {
	for _, kind := range []string{KindRetention, KindDedupe} {
		t.Run(kind, func(t *testing.T) {
			keeping(t, func(t *testing.T, k *keeper) {
				s := k.event(t, fileRead(fmt.Sprintf(knownRecord, 1), k.now.Add(-2*time.Hour)), nil)
				k.insert(t, astray(t, s))
				store := &half{Store: k.store}
				k.worker = k.on(t, store)
				job := k.ask(t, kind, audit.JobOptions{Since: map[string]time.Time{KindRetention: k.now}[kind]})
				require.NoError(t, k.worker.RunJob(t.Context(), job.ID))
				require.Len(t, store.left, 1)
				k.run(t, job)
				require.Empty(t, store.left, "the same ids are deleted again")
			})
		})
	}
}

func TestRetentionWaitsForWhoeverRunsTheWindows(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		time.Sleep(100 * 24 * time.Hour)
		cutoff := k.fillOld(t, 10, 3)
		_, err := k.store.Acquire(t.Context(), "ingest/m365.sharepoint/"+day(cutoff.Add(-48*time.Hour)), "another", time.Hour)
		require.NoError(t, err)
		k.do(t, KindRetention, audit.JobOptions{Since: cutoff})
		marked, _ := k.marked(t)
		require.Len(t, marked, 144-24)
		time.Sleep(time.Hour)
		k.do(t, KindRetention, audit.JobOptions{Since: cutoff})
		marked, _ = k.marked(t)
		require.Len(t, marked, 144)
	})
}

func TestRetentionWithoutACutoffDeletesNothing(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		k.fillStale(t, 10)
		for _, since := range []time.Time{{}, k.now.Add(time.Hour)} {
			job := k.do(t, KindRetention, audit.JobOptions{Since: since})
			require.Len(t, job.Notes, 1)
			require.Len(t, k.events(t), 10)
		}
	})
}
