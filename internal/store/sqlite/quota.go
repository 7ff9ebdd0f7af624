package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"aoc/internal/audit"
)

// Each caller has one row under a quota: what was let through in a slot of the
// quota's length and in the slot before. It says nothing any more from until on.
const (
	quotaSchema = `
CREATE TABLE IF NOT EXISTS quotas (
	key      BLOB PRIMARY KEY,
	slot     INTEGER NOT NULL,
	current  INTEGER NOT NULL,
	previous INTEGER NOT NULL,
	until    INTEGER NOT NULL -- ns since 1970
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS quotas_until ON quotas (until);`
	selectQuota = "SELECT slot, current, previous FROM quotas WHERE key = ?"
	saveQuota   = `INSERT INTO quotas (key, slot, current, previous, until) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET slot = excluded.slot, current = excluded.current, previous = excluded.previous, until = excluded.until`
	// Each row that is made removes more than one, so there are never many.
	sweepQuotas = "DELETE FROM quotas WHERE key IN (SELECT key FROM quotas WHERE until <= ? LIMIT 32)"
)

// quotas are in a file of their own beside the store's, made at the first use.
// In the store's own, a request that is let in would wait for the batch that is
// being written, and for the disk. These counters need no disk: after a loss of
// power they may begin anew.
type quotas struct {
	path string

	mu    sync.Mutex
	db    *sql.DB // nil until the first use
	ready statements
}

// Take decides by audit.Quota.Slide whether a caller may make one more request
// now, and counts it if so. Callers are known by a hash.
func (s *Store) Take(ctx context.Context, q audit.Quota, who string, now time.Time) (decision audit.Decision, err error) {
	if q.Requests < 1 || q.Window <= 0 {
		return audit.Decision{}, fmt.Errorf("quota %q: expected a request or more in some time", q.Name)
	}
	db, err := s.quotas.open(ctx, s)
	if err == nil {
		err = transact(ctx, db, func(tx *sql.Tx) error {
			decision, err = s.quotas.take(ctx, tx, q, who, now)
			return err
		})
	}
	if err != nil {
		return audit.Decision{}, s.fault(ctx, "count a request in "+s.quotas.path, err)
	}
	return decision, nil
}

// open returns the file, ready for use.
func (c *quotas) open(ctx context.Context, s *Store) (*sql.DB, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.db != nil {
		return c.db, nil
	}
	address, err := prepareFile(c.path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open(s.driver, address+"?_txlock=immediate&"+s.pragmas("journal_mode(WAL)", "synchronous(NORMAL)", "journal_size_limit(1048576)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err = db.ExecContext(ctx, quotaSchema); err == nil {
		c.ready, err = prepare(ctx, db, []string{selectQuota, saveQuota, sweepQuotas})
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	c.db = db
	return db, nil
}

func (c *quotas) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.db == nil {
		return nil
	}
	return c.db.Close()
}

func (c *quotas) take(ctx context.Context, tx *sql.Tx, q audit.Quota, who string, now time.Time) (audit.Decision, error) {
	key := quotaKey(q, who)
	var was counter
	err := c.ready.in(ctx, tx, selectQuota).QueryRowContext(ctx, key).Scan(&was.slot, &was.current, &was.previous)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return audit.Decision{}, err
	}
	is, start := was.at(q, now)
	decision := q.Slide(is.current, is.previous, now.Sub(start))
	if !decision.OK {
		return decision, nil
	}
	until := start.Add(2 * q.Window).UnixNano()
	if _, err = c.ready.in(ctx, tx, saveQuota).ExecContext(ctx, key, is.slot, is.current+1, is.previous, until); err != nil {
		return audit.Decision{}, err
	}
	if is.slot != was.slot {
		_, err = c.ready.in(ctx, tx, sweepQuotas).ExecContext(ctx, now.UnixNano())
	}
	return decision, err
}

// quotaKey is a caller's row. What the quota is called and its slots' length are
// part of it: slots of another length have other numbers.
func quotaKey(q audit.Quota, who string) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s %d %s", len(q.Name), q.Name, q.Window, who))
	return sum[:16]
}

// counter is how many requests were let through in one slot and the one before.
type counter struct {
	slot              int64
	current, previous int
}

// at is the counter as it stands at a moment, and when its slot began. The row
// may be one slot ahead, where another process's clock is; then its slot has
// just begun. One further ahead says of its clock only that it was wrong.
func (c counter) at(q audit.Quota, now time.Time) (counter, time.Time) {
	slot := now.UnixNano() / int64(q.Window)
	switch c.slot {
	case slot, slot + 1:
		slot = c.slot
	case slot - 1:
		c = counter{previous: c.current}
	default:
		c = counter{}
	}
	c.slot = slot
	return c, time.Unix(0, slot*int64(q.Window))
}
