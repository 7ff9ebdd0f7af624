package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/store/storetest"

	"github.com/stretchr/testify/require"
)

// TestReplaceOfTheSame waits for nobody who writes, for it writes nothing.
func TestReplaceOfTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aoc.db")
	s, other := open(t, path, WithBusyTimeout(20*time.Millisecond)), open(t, path)
	batch := storetest.Batch(0, 30)
	batch[3].Event.Tags = []string{"case 7"}
	_, err := s.Insert(t.Context(), batch)
	require.NoError(t, err)
	tx, err := other.writer.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	batch[3].Event.Tags = nil
	n, err := s.Replace(t.Context(), append(batch, storetest.Event(99)))
	require.NoError(t, err)
	require.Equal(t, len(batch), n)

	for name, change := range map[string]func(e *audit.Stored){
		"event": func(e *audit.Stored) { e.Event.Summary = "another" },
		"index": func(e *audit.Stored) { e.Tokens = []string{"another"} },
	} {
		e := storetest.Event(7)
		change(&e)
		_, err = s.Replace(t.Context(), []audit.Stored{e})
		require.ErrorIs(t, err, audit.ErrBusy, name)
	}
	_, err = tx.ExecContext(t.Context(), "UPDATE actors SET body = body || ' '; DELETE FROM actor_values") // as if names had been folded otherwise
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	s = open(t, path) // knows no numbers of actors yet
	n, err = s.Replace(t.Context(), batch[:1])
	require.NoError(t, err)
	require.Equal(t, 1, n)
	q := audit.Query{Scope: audit.Everything(), Limit: 100, Filters: []audit.Filter{{Field: audit.FieldActor, Values: []string{batch[0].Event.Actor.ID}}}}
	page, err := s.Search(t.Context(), q)
	require.NoError(t, err)
	require.Contains(t, ids(page.Events), batch[0].Event.ID, "names that are folded otherwise are written anew")
}

// TestReplaceDocTaken moves an event to a place in the second that is in use.
func TestReplaceDocTaken(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "aoc.db"))
	s.budgets = budgets{match: 100_000} // the text index answers
	first, second := storetest.Event(0), storetest.Event(1)
	_, err := s.Insert(t.Context(), []audit.Stored{first})
	require.NoError(t, err)
	_, err = s.writer.ExecContext(t.Context(), "UPDATE last_seq SET seq = ?", 1<<docBits)
	require.NoError(t, err)
	_, err = s.Insert(t.Context(), []audit.Stored{second})
	require.NoError(t, err)
	second.Event.Time = first.Event.Time
	_, err = s.Replace(t.Context(), []audit.Stored{second})
	require.NoError(t, err)
	for _, terms := range [][]string{{"record"}, strings.Fields(second.Event.RecordID)} {
		page, err := s.Search(t.Context(), audit.Query{Scope: audit.Everything(), Terms: terms, Limit: 5})
		require.NoError(t, err)
		require.Contains(t, ids(page.Events), second.Event.ID)
		require.Equal(t, len(terms) == 1 && terms[0] == "record", len(page.Events) == 2)
	}
	requireHealthy(t, s)
}

// TestUpkeepLeavesNothing looks into the tables after events were replaced and deleted.
func TestUpkeepLeavesNothing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "aoc.db"))
	batch := storetest.Batch(0, 30)
	_, err := s.Insert(t.Context(), batch)
	require.NoError(t, err)
	var all []string
	for i := range batch {
		all = append(all, batch[i].Event.ID)
		batch[i].Tokens = []string{"fresh"}
		batch[i].Event.Time = batch[i].Event.Time.Add(time.Duration(i-10) * time.Hour)
	}
	_, err = s.Replace(t.Context(), batch[5:])
	require.NoError(t, err)
	_, err = s.Delete(t.Context(), all[:20])
	require.NoError(t, err)
	count := func(query string) (n int) {
		t.Helper()
		require.NoError(t, s.reader.QueryRowContext(t.Context(), query).Scan(&n))
		return n
	}
	require.Equal(t, 10, count("SELECT count(*) FROM raws"))
	require.Equal(t, 10, count("SELECT count(*) FROM words_docsize"))
	require.Equal(t, 10, count("SELECT count(*) FROM words('fresh')"))
	require.Equal(t, 0, count("SELECT count(*) FROM words('record')"))
	require.Equal(t, 10, count("SELECT count(*) FROM events e JOIN words_docsize w ON w.id = e.doc JOIN raws r ON r.seq = e.seq AND r.id = e.id"))
	_, err = s.Delete(t.Context(), all)
	require.NoError(t, err)
	require.Zero(t, count("SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM raws) + (SELECT count(*) FROM words_docsize)"))
	requireHealthy(t, s)
}

// TestBlobsAreReadByIndex keeps statements that run often from reading all rows.
func TestBlobsAreReadByIndex(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "aoc.db"))
	for text, want := range map[string]string{
		selectDueBlobs: "SEARCH blobs USING INDEX blobs_due (source=? AND next_at<?)",
		foldBlobs:      "SEARCH blobs USING INDEX blobs_created (source=? AND created>? AND created<?)",
		holdBlob:       "SEARCH blobs USING INDEX sqlite_autoindex_blobs_1 (source=? AND id=?)",
	} {
		rows, err := s.reader.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, make([]any, strings.Count(text, "?"))...)
		require.NoError(t, err)
		var plan []string
		for rows.Next() {
			var a, b, c int
			var detail string
			require.NoError(t, rows.Scan(&a, &b, &c, &detail))
			plan = append(plan, detail)
		}
		require.NoError(t, rows.Close())
		require.Equal(t, []string{want}, plan)
	}
}

// TestManyRowsEndWithTheirContext stops in the middle of a write.
func TestManyRowsEndWithTheirContext(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "aoc.db"))
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	err := s.write(t.Context(), func(tx *sql.Tx) error {
		_, err := execEach(ctx, tx, "SELECT ?", make([]int, 100), func(*int) []any {
			if asked++; asked == 3 {
				cancel()
			}
			return []any{asked}
		})
		return err
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 3, asked)
}

// requireHealthy asks the file whether its parts agree.
func requireHealthy(t *testing.T, s *Store) {
	t.Helper()
	var health string
	require.NoError(t, s.writer.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&health))
	require.Equal(t, "ok", health)
	_, err := s.writer.ExecContext(t.Context(), "INSERT INTO words (words) VALUES ('integrity-check')")
	require.NoError(t, err)
}
