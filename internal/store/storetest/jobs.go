package storetest

import (
	"fmt"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func testJobs(t *testing.T, e Engine) {
	b := newBed(t, e)
	jobs, err := b.Jobs(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, jobs)
	_, err = b.Job(t.Context(), "none")
	require.ErrorIs(t, err, audit.ErrNotFound)
	require.ErrorIs(t, b.SaveJob(t.Context(), job(1)), audit.ErrNotFound)

	for _, n := range []int{2, 0, 3, 1} {
		require.NoError(t, b.AddJob(t.Context(), job(n)))
	}
	changed := job(2)
	changed.State = audit.JobRunning
	require.Error(t, b.AddJob(t.Context(), changed), "an id is used once")
	requireJobs(t, b, 10, job(3), job(2), job(1), job(0))
	requireJobs(t, b, 2, job(3), job(2))

	done := job(1)
	done.State, done.DoneAt = audit.JobDone, done.CreatedAt.Add(time.Hour+audit.TickLength)
	done.Progress = audit.Progress{Windows: 9, Done: 8, Failing: 1, Scanned: 7, Changed: 6, Counts: audit.Counts{Blobs: 1, Read: 2, New: 3, Known: 4, Quarantined: 5}}
	require.NoError(t, b.again().SaveJob(t.Context(), done))
	requireJobs(t, b, 10, job(3), job(2), done, job(0))
}

func job(n int) audit.Job {
	return audit.Job{
		ID: fmt.Sprintf("job-%d", 9-n), Kind: "backfill", By: "0a1b@tenant \u2713", State: audit.JobRunning, CreatedAt: Epoch.Add(time.Duration(n) * audit.TickLength), Hours: 24 + n,
		Spans: []audit.Span{
			{Source: audit.M365Exchange, Start: Epoch, End: Epoch.Add(time.Hour), Note: "only 7 days can be reached"},
			{Source: audit.IntuneAudit, Start: Epoch.Add(-time.Hour), End: Epoch},
		},
		Before:  audit.Counts{Read: n, New: 1},
		Options: audit.JobOptions{Since: Epoch.Add(-audit.TickLength), Limit: 500, DryRun: true},
		Error:   `429: "later" ✓`, Notes: []string{"3 records could not be read", "ünproven"}, Position: 1<<53 + 1 + int64(n),
	}
}

func requireJobs(t *testing.T, s Store, limit int, want ...audit.Job) {
	t.Helper()
	jobs, err := s.Jobs(t.Context(), limit)
	require.NoError(t, err)
	require.Equal(t, want, jobs)
	for _, w := range want {
		got, err := s.Job(t.Context(), w.ID)
		require.NoError(t, err)
		require.Equal(t, w, got)
	}
}

func testQuarantine(t *testing.T, e Engine) {
	b := newBed(t, e)
	setAside := func(s Store, fresh int, records ...audit.Quarantined) {
		t.Helper()
		n, err := s.SetAside(t.Context(), records)
		require.NoError(t, err)
		require.Equal(t, fresh, n)
	}
	setAside(b, 0)
	records := make([]audit.Quarantined, 5)
	for i := range records {
		records[i] = audit.Quarantined{
			ID: fmt.Sprintf("%032x", i+1), TenantID: tenant, Source: audit.M365DLP, Blob: "blob", Reason: "CreationTime: no time", At: Epoch.Add(audit.TickLength),
			Raw: []byte{byte(i), 0, 0xff, '"'},
		}
	}
	records[3].Raw, records[3].Blob = nil, ""
	setAside(b, 3, records[4], records[0], records[0], records[3])
	changed := records[0]
	changed.Reason = "another"
	setAside(b.again(), 2, changed, records[1], records[2])

	all, err := b.Quarantined(t.Context(), "", 10)
	require.NoError(t, err)
	require.Equal(t, records, all)
	require.Nil(t, all[3].Raw)
	some, err := b.Quarantined(t.Context(), records[1].ID, 2)
	require.NoError(t, err)
	require.Equal(t, records[2:4], some)
	none, err := b.Quarantined(t.Context(), records[4].ID, 2)
	require.NoError(t, err)
	require.Empty(t, none)
}

// testReopen closes a store and finds everything in the next.
func testReopen(t *testing.T, e Engine) {
	clock := NewClock()
	open := e.Fresh(t)
	b := &bed{Store: open(clock.Now), clock: clock}
	require.NoError(t, b.Ping(t.Context()))
	all := b.seed(t, 0, 50)
	w := full(audit.M365DLP, 1)
	plan(t, b, 1, w)
	require.NoError(t, b.AddJob(t.Context(), job(1)))
	_, err := b.SetAside(t.Context(), []audit.Quarantined{{ID: "x", Source: audit.M365DLP, At: Epoch}})
	require.NoError(t, err)
	lease := acquire(t, b, "planner", "me")
	f := follow(b.Store)
	f.read(t, 100)
	require.NoError(t, b.Close())

	b.Store = open(clock.Now)
	t.Cleanup(func() { _ = b.Close() })
	requireAnswer(t, b, "", audit.Query{Scope: audit.Everything(), Limit: 100, Terms: []string{"contoso"}}, all)
	requireFacets(t, b, audit.Everything(), all)
	for _, s := range all {
		requireStored(t, b, s)
	}
	require.Equal(t, []audit.Window{w}, ledger(t, b))
	requireJobs(t, b, 5, job(1))
	_, err = b.Acquire(t.Context(), "planner", "you", time.Minute)
	require.ErrorIs(t, err, audit.ErrBusy)
	require.Greater(t, acquire(t, b, "planner", "me").Fence, lease.Fence)
	insert(t, b, Batch(40, 60), 10, 10)
	f.store = b.Store
	f.read(t, 100)
	f.requireSeen(t, Batch(0, 60))
	require.Len(t, f.order, 60, "numbers go on where they stood")
}
