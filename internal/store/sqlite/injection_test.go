package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"path/filepath"
	"sync"
	"testing"

	"aoc/internal/store/storetest"

	"github.com/stretchr/testify/require"
	sqlite3 "modernc.org/sqlite"
)

// watched is SQLite's driver, and remembers every statement that it is given.
type watched struct {
	sqlite3.Driver
	mu    sync.Mutex
	texts map[string]bool
}

func (w *watched) note(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts[text] = true
}

// seen returns the statements so far, and forgets them.
func (w *watched) seen() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	texts := w.texts
	w.texts = map[string]bool{}
	return texts
}

// Open opens a connection that is watched.
func (w *watched) Open(name string) (driver.Conn, error) {
	c, err := w.Driver.Open(name)
	if err != nil {
		return nil, err
	}
	return &watchedConn{c.(conn), w}, nil
}

// conn is what database/sql uses of a connection of this driver.
type conn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
}

type watchedConn struct {
	conn
	watched *watched
}

// PrepareContext notes the statement.
func (c *watchedConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	c.watched.note(text)
	return c.conn.PrepareContext(ctx, text)
}

// ExecContext notes the statement.
func (c *watchedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	c.watched.note(text)
	return c.conn.ExecContext(ctx, text, args)
}

// QueryContext notes the statement.
func (c *watchedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	c.watched.note(text)
	return c.conn.QueryContext(ctx, text, args)
}

// TestNoTextOfACallerIsSQL asks with harmless values, then with hostile ones: no
// statement comes that had not come before, answers are right, and nothing in
// the file has changed.
func TestNoTextOfACallerIsSQL(t *testing.T) {
	w := &watched{texts: map[string]bool{}}
	sql.Register("sqlite, watched", w)
	for name, b := range map[string]budgets{"by walks": defaultBudgets, "by the text index": {walk: 1, match: 100_000, facets: 1}} {
		t.Run(name, func(t *testing.T) {
			s := open(t, filepath.Join(t.TempDir(), "aoc.db"), func(s *Store) { s.driver, s.budgets = "sqlite, watched", b })
			testNoTextIsSQL(t, s, w)
		})
	}
}

func testNoTextIsSQL(t *testing.T, s *Store, w *watched) {
	all := storetest.Batch(0, 60)
	_, err := s.Insert(t.Context(), all)
	require.NoError(t, err)
	before := content(t, s)
	storetest.Attack(t, s, all, storetest.Harmless())
	known := w.seen()
	require.Greater(t, len(known), len(hotReads))

	tried, reached := storetest.Attack(t, s, all, storetest.Hostile())
	require.Greater(t, tried, 5000)
	for text := range w.seen() {
		require.True(t, known[text], "a statement that harmless values do not need: %s", text)
	}
	require.Equal(t, before, content(t, s))
	requireHealthy(t, s)
	t.Logf("%d combinations of value, spelling and place, %d of which reached the store: %d statements, none new", tried, reached, len(known))
}

// content is the schema and how many rows each table has.
func content(t *testing.T, s *Store) map[string]int {
	t.Helper()
	rows, err := s.reader.QueryContext(t.Context(), "SELECT name, coalesce(sql, ''), type FROM sqlite_master")
	require.NoError(t, err)
	defer rows.Close()
	found, tables := map[string]int{}, []string{}
	for rows.Next() {
		var name, text, kind string
		require.NoError(t, rows.Scan(&name, &text, &kind))
		found[name+text] = 0
		if kind == "table" {
			tables = append(tables, name)
		}
	}
	require.NoError(t, rows.Err())
	for _, name := range tables {
		var n int
		require.NoError(t, s.writer.QueryRowContext(t.Context(), `SELECT count(*) FROM "`+name+`"`).Scan(&n))
		found[name] = n
	}
	return found
}
