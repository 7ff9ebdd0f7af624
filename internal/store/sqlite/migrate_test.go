package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/store/storetest"

	"github.com/stretchr/testify/require"
)

// oldWindow writes a row as programs up to version 2 did.
const oldWindow = `INSERT INTO ledger (source, start, state, reason, passes, attempts, error, next_at, held_till, listed_at, failed_at, blobs, read, new, known, quarantined, fence)
	VALUES (?, ?, 'stored', 'why', 2, 3, '429', ?, NULL, ?, NULL, 1, 20, 12, 7, 1, 9)`

// TestMigrate opens files of each older version: all that they hold is there,
// and all that is new works on them.
func TestMigrate(t *testing.T) {
	for version := 1; version < len(migrations); version++ {
		t.Run(fmt.Sprint("from ", version), func(t *testing.T) { testMigrate(t, version) })
	}
}

func testMigrate(t *testing.T, version int) {
	path := filepath.Join(t.TempDir(), "aoc.db")
	batch, at := storetest.Batch(0, 30), storetest.Epoch
	job := audit.Job{ID: "job", Kind: "backfill", State: audit.JobDone, CreatedAt: at, DoneAt: at.Add(time.Hour)}
	writeOld(t, path, version, batch, job)

	s := open(t, path)
	found, err := schemaVersion(t.Context(), s.writer)
	require.NoError(t, err)
	require.Equal(t, len(migrations), found)
	w := audit.Window{
		Source: audit.AOC, Start: at, State: audit.Kept, Reason: "why", Passes: 2, Attempts: 3, Error: "429", NextAt: at.Add(time.Minute), ListedAt: at.Add(time.Hour),
		Counts: audit.Counts{Blobs: 1, Read: 20, New: 12, Known: 7, Quarantined: 1}, Fence: 9,
	}
	windows, err := s.HandOut(t.Context(), []audit.Source{audit.AOC}, w.NextAt, time.Minute, 5)
	require.NoError(t, err)
	w.HeldTill = w.NextAt.Add(time.Minute)
	require.Equal(t, []audit.Window{w}, windows)
	w.Late, w.Lags, w.Deleted = 4, audit.Lags{1, 2, 3}, at
	require.NoError(t, s.SaveWindows(t.Context(), audit.Lease{Fence: 9}, []audit.Window{w}))
	windows, err = s.Windows(t.Context(), audit.LedgerQuery{Limit: 5})
	require.NoError(t, err)
	require.Equal(t, []audit.Window{w}, windows)

	jobs, err := s.Jobs(t.Context(), 5)
	require.NoError(t, err)
	require.Equal(t, []audit.Job{job}, jobs)
	events, err := s.After(t.Context(), 0, 100)
	require.NoError(t, err)
	require.Len(t, events, len(batch))
	n, err := s.Replace(t.Context(), batch)
	require.NoError(t, err)
	require.Equal(t, len(batch), n)
	n, err = s.Delete(t.Context(), []string{batch[0].Event.ID})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = s.AddBlobs(t.Context(), []audit.BlobRow{{Blob: audit.Blob{Source: audit.AOC, ID: "a$b", Created: at}, State: audit.Listed}})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	requireHealthy(t, s)
}

// writeOld makes a file of an older version. What this program writes of events
// and jobs is what those wrote.
func writeOld(t *testing.T, path string, version int, batch []audit.Stored, job audit.Job) {
	t.Helper()
	newest := migrations
	migrations = newest[:version]
	defer func() { migrations = newest }()
	old := open(t, path)
	_, err := old.Insert(t.Context(), batch)
	require.NoError(t, err)
	require.NoError(t, old.AddJob(t.Context(), job))
	at := storetest.Epoch
	_, err = old.writer.ExecContext(t.Context(), oldWindow, audit.AOC, ticks(at), ticks(at.Add(time.Minute)), ticks(at.Add(time.Hour)))
	require.NoError(t, err)
	require.NoError(t, old.Close())
}
