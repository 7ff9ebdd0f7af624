package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/store/storetest"

	"github.com/stretchr/testify/require"
)

var everyMinute = audit.Quota{Name: "default", Requests: 2, Window: time.Minute}

// TestTakeWaitsForNoBatch lets a caller ask while another process holds the
// store to write, and the store's own writer too.
func TestTakeWaitsForNoBatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aoc.db")
	s, other := open(t, path), open(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, other.write(ctx, func(*sql.Tx) error {
		for _, want := range []bool{true, true, false} {
			d, err := s.Take(ctx, everyMinute, "me", storetest.Epoch)
			require.NoError(t, err)
			require.Equal(t, want, d.OK)
		}
		return nil
	}))
}

func TestQuotasThatSayNothingAreRemoved(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "aoc.db"))
	now := storetest.Epoch
	rows := func() (n int) {
		require.NoError(t, s.quotas.db.QueryRowContext(t.Context(), "SELECT count(*) FROM quotas").Scan(&n))
		return n
	}
	for round := range 3 {
		for n := range 300 {
			_, err := s.Take(t.Context(), everyMinute, fmt.Sprint(round, "-", n), now)
			require.NoError(t, err)
		}
		require.Equal(t, 300, rows(), "those of the round before are gone")
		now = now.Add(3 * everyMinute.Window)
	}
	for range 40 {
		_, err := s.Take(t.Context(), everyMinute, "me", now)
		require.NoError(t, err)
		now = now.Add(everyMinute.Window)
	}
	require.Equal(t, 1, rows())
	var plan, detail string
	require.NoError(t, s.quotas.db.QueryRowContext(t.Context(), "EXPLAIN QUERY PLAN SELECT key FROM quotas WHERE until <= 5 LIMIT 32").Scan(new(int), new(int), &plan, &detail))
	require.Contains(t, detail, "quotas_until", "no scan of all")
}

// TestClocksThatDisagree lets two processes ask whose clocks are a little, or
// very, far from each other.
func TestClocksThatDisagree(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "aoc.db"))
	start := storetest.Epoch.Truncate(time.Minute)
	take := func(at time.Time) bool {
		d, err := s.Take(t.Context(), everyMinute, "me", at)
		require.NoError(t, err)
		return d.OK
	}
	require.True(t, take(start))
	require.True(t, take(start.Add(-time.Second)), "a clock that is behind counts in the same slot")
	require.False(t, take(start.Add(-time.Second)))
	require.False(t, take(start))
	require.True(t, take(start.Add(24*time.Hour)))
	require.True(t, take(start), "a clock that was a day ahead shuts nobody out for a day")
}

func TestQuotasBeginAnewWithoutTheirFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aoc.db")
	s := open(t, path)
	require.NoFileExists(t, path+"-quotas", "it is made when it is needed")
	for range 2 {
		_, err := s.Take(t.Context(), everyMinute, "me", storetest.Epoch)
		require.NoError(t, err)
	}
	info, err := os.Stat(path + "-quotas")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, s.Close())
	s = open(t, path)
	d, err := s.Take(t.Context(), everyMinute, "me", storetest.Epoch)
	require.NoError(t, err)
	require.False(t, d.OK, "a restart forgets nothing")
	require.NoError(t, s.Close())

	require.NoError(t, os.WriteFile(path+"-quotas", []byte("this is no database, and long enough to be read as one"), 0o600))
	s = open(t, path)
	_, err = s.Take(t.Context(), everyMinute, "me", storetest.Epoch)
	require.ErrorContains(t, err, path+"-quotas", "whoever reads it knows which file to remove")
	require.NoError(t, os.Remove(path+"-quotas"))
	_, err = s.Take(t.Context(), everyMinute, "me", storetest.Epoch)
	require.NoError(t, err)
}
