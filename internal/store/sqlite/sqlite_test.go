package sqlite

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/store/storetest"

	"github.com/stretchr/testify/require"
)

// childFile names the store that the test program is to write to until it is killed.
const childFile = "AOC_TEST_SQLITE_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		fmt.Fprintln(os.Stderr, writeForEver(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestContract(t *testing.T) { storetest.Run(t, engine()) }

// TestContractSpent holds the store to the contract with budgets that are spent
// at once, so that every way of asking has its turn on few events.
func TestContractSpent(t *testing.T) {
	for name, spent := range map[string]budgets{
		"text index":          {walk: 3, match: 100_000, facets: 1},
		"text index given up": {walk: 3, match: 3, facets: 1_000},
	} {
		t.Run(name, func(t *testing.T) {
			e := engine()
			fresh := e.Fresh
			e.Fresh = func(tb testing.TB) func(now func() time.Time) storetest.Store {
				open := fresh(tb)
				return func(now func() time.Time) storetest.Store {
					s := open(now).(*Store)
					s.budgets = spent
					return s
				}
			}
			storetest.RunSearch(t, e)
		})
	}
}

func BenchmarkContract(b *testing.B) { storetest.Bench(b, engine()) }

func engine() storetest.Engine {
	return storetest.Engine{
		Fresh: func(tb testing.TB) func(now func() time.Time) storetest.Store {
			path := filepath.Join(tb.TempDir(), "aoc.db")
			return func(now func() time.Time) storetest.Store { return open(tb, path, WithClock(now)) }
		},
		AbandonWrite: abandonWrite,
		GiveUp:       time.Minute, // a transaction that was not committed holds nobody up
		Contention:   true,
		InsertRow:    insertRow,
	}
}

func open(tb testing.TB, path string, options ...Option) *Store {
	tb.Helper()
	s, err := Open(path, options...)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// abandonWrite stores half of a batch and never commits it, which is what the
// file holds of a writer that was killed.
func abandonWrite(tb testing.TB, store storetest.Store, batch []audit.Stored) *storetest.HaltedWrite {
	s := store.(*Store)
	var rows []row
	for i := range batch[:len(batch)/2] {
		r, err := s.ready(&batch[i])
		require.NoError(tb, err)
		rows = append(rows, r)
	}
	dead := errors.New("killed")
	require.ErrorIs(tb, s.write(tb.Context(), func(tx *sql.Tx) error {
		fresh, err := s.insertRows(tb.Context(), s.newNames(tx), rows)
		require.NoError(tb, err)
		require.Equal(tb, len(rows), fresh)
		return dead
	}), dead)
	return nil
}

func insertRow(tb testing.TB, store storetest.Store) func(record []byte) error {
	s := store.(*Store)
	_, err := s.writer.ExecContext(tb.Context(), "CREATE TABLE baseline (body BLOB)")
	require.NoError(tb, err)
	return func(record []byte) error {
		_, err := s.writer.ExecContext(tb.Context(), "INSERT INTO baseline VALUES (?)", record)
		return err
	}
}

const childBatch = 50

func writeForEver(path string) error {
	s, err := Open(path)
	if err != nil {
		return err
	}
	for n := 0; ; n += childBatch {
		if _, err = s.Insert(context.Background(), storetest.Batch(n, n+childBatch)); err != nil {
			return err
		}
		fmt.Println(n + childBatch) // what it was told is durable
	}
}

// TestKilled kills a process that writes: all that it was told is durable is
// there, what comes after is there by whole batches, and writing goes on.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aoc.db")
	s := open(t, path)
	for round := range 5 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), childFile+"="+path)
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		told, lines := 0, bufio.NewScanner(out)
		for lines.Scan() {
			_, err = fmt.Sscan(lines.Text(), &told)
			require.NoError(t, err)
			if told >= (round+1)*4*childBatch {
				require.NoError(t, child.Process.Kill())
			}
		}
		require.Error(t, child.Wait())
		var events, raws, words, seq int
		require.NoError(t, s.reader.QueryRowContext(t.Context(),
			"SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM raws), (SELECT count(*) FROM words('record')), (SELECT seq FROM last_seq)").Scan(&events, &raws, &words, &seq))
		require.GreaterOrEqual(t, events, told)
		require.Zero(t, events%childBatch)
		require.Equal(t, []int{events, events}, []int{raws, seq})
	}
	requireHealthy(t, s)
}

func TestOpen(t *testing.T) {
	t.Run("makes a folder and a file for this user alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a folder", "100%", "what?x=1#y.db")
		s := open(t, path)
		require.NoError(t, s.Ping(t.Context()))
		for name, mode := range map[string]os.FileMode{path: 0o600, path + "-wal": 0o600, filepath.Dir(path): 0o700} {
			info, err := os.Stat(name)
			require.NoError(t, err)
			require.Equal(t, mode, info.Mode().Perm(), name)
		}
	})
	t.Run("many at once on a file that is not there yet", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "aoc.db")
		var opening sync.WaitGroup
		for n := range 6 {
			opening.Go(func() {
				s, err := Open(path)
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				defer s.Close()
				if _, err = s.Insert(t.Context(), storetest.Batch(n*10, n*10+10)); err != nil {
					t.Errorf("insert: %v", err)
				}
			})
		}
		opening.Wait()
		events, err := open(t, path).After(t.Context(), 0, 100)
		require.NoError(t, err)
		require.Len(t, events, 60)
	})
	t.Run("refuses what a newer program wrote", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "aoc.db")
		s := open(t, path)
		_, err := s.writer.ExecContext(t.Context(), "PRAGMA user_version = 9999")
		require.NoError(t, err)
		_, err = Open(path)
		require.ErrorContains(t, err, "schema version 9999")
		require.ErrorContains(t, err, path)
	})
	t.Run("refuses what is no database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "notes.txt")
		require.NoError(t, os.WriteFile(path, []byte("plain words, and no database at all"), 0o600))
		_, err := Open(path)
		require.ErrorContains(t, err, "not a database")
	})
	t.Run("refuses a folder that cannot be made", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		_, err := Open(filepath.Join(path, "aoc.db"))
		require.ErrorContains(t, err, "open store")
	})
}

func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aoc.db")
	holder, waiter := open(t, path), open(t, path, WithBusyTimeout(20*time.Millisecond))
	tx, err := holder.writer.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = waiter.Insert(t.Context(), storetest.Batch(0, 1))
	require.ErrorIs(t, err, audit.ErrBusy)
	_, err = waiter.Search(t.Context(), audit.Query{Scope: audit.Everything(), Limit: 1})
	require.NoError(t, err, "readers wait for nobody")

	patient := open(t, filepath.Join(path))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = patient.Insert(ctx, storetest.Batch(0, 1))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), 5*time.Second)
	require.NoError(t, tx.Rollback())
	_, err = waiter.Insert(t.Context(), storetest.Batch(0, 1))
	require.NoError(t, err)
}

func TestInsertRefuses(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "aoc.db"))
	for _, id := range []string{"", "abc", "ABCDEF00ABCDEF00ABCDEF00ABCDEF00", "zz000000000000000000000000000000"} {
		batch := storetest.Batch(0, 2)
		batch[1].Event.ID = id
		_, err := s.Insert(t.Context(), batch)
		require.ErrorIs(t, err, audit.ErrInvalid)
	}
	batch := storetest.Batch(0, 2)
	batch[1].Raw.SHA256 = "none"
	_, err := s.Insert(t.Context(), batch)
	require.ErrorContains(t, err, batch[1].Event.ID)
	events, err := s.After(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Empty(t, events, "a batch is stored whole or not")
}

// TestDocTaken stores an event whose place in the second is in use.
func TestDocTaken(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "aoc.db"))
	first, second := storetest.Event(0), storetest.Event(1)
	second.Event.Time = first.Event.Time
	_, err := s.Insert(t.Context(), []audit.Stored{first})
	require.NoError(t, err)
	_, err = s.writer.ExecContext(t.Context(), "UPDATE last_seq SET seq = ?", 1<<docBits)
	require.NoError(t, err)
	_, err = s.Insert(t.Context(), []audit.Stored{second})
	require.NoError(t, err)
	page, err := s.Search(t.Context(), audit.Query{Scope: audit.Everything(), Terms: []string{"record"}, Limit: 5})
	require.NoError(t, err)
	require.Len(t, page.Events, 2)
}

// TestRolledBackNames makes sure that numbers of a transaction that came to
// nothing are forgotten: another may have been given them.
func TestRolledBackNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aoc.db")
	s, other := open(t, path), open(t, path)
	_, err := other.writer.ExecContext(t.Context(), "CREATE TRIGGER fail UPDATE ON last_seq BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
	require.NoError(t, err)
	_, err = s.Insert(t.Context(), storetest.Batch(0, 40))
	require.ErrorContains(t, err, "the disk is full")
	_, err = other.writer.ExecContext(t.Context(), "DROP TRIGGER fail")
	require.NoError(t, err)
	_, err = other.Insert(t.Context(), storetest.Batch(100, 140))
	require.NoError(t, err)
	_, err = s.Insert(t.Context(), storetest.Batch(0, 40))
	require.NoError(t, err)
	for _, e := range storetest.Batch(0, 40) {
		page, err := s.Search(t.Context(), audit.Query{Scope: audit.Everything(), Limit: 100, Filters: []audit.Filter{
			{Field: audit.FieldActor, Values: []string{e.Event.Actor.ID}},
			{Field: audit.FieldOperation, Values: []string{e.Event.Operation}},
		}})
		require.NoError(t, err)
		require.Contains(t, ids(page.Events), e.Event.ID)
	}
}

func TestRawDamaged(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "aoc.db"))
	e := storetest.Event(0)
	_, err := s.Insert(t.Context(), []audit.Stored{e})
	require.NoError(t, err)
	_, err = s.writer.ExecContext(t.Context(), "UPDATE raws SET zstd = substr(zstd, 1, length(zstd) - 6) || x'000102030405'")
	require.NoError(t, err)
	_, err = s.Raw(t.Context(), audit.Everything(), e.Event.ID)
	require.ErrorContains(t, err, "read raw record")
}

func ids(events []audit.Event) []string {
	list := make([]string, len(events))
	for i, e := range events {
		list[i] = e.ID
	}
	return list
}
