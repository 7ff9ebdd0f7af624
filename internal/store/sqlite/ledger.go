package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"slices"
	"time"

	"aoc/internal/audit"
)

const (
	windowColumns = "source, start, state, reason, passes, attempts, error, next_at, held_till, listed_at, failed_at, blobs, read, new, known, quarantined, late, lags, deleted_at, fence"
	insertWindow  = "INSERT INTO ledger (" + windowColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "

	planWindow  = insertWindow + "ON CONFLICT DO NOTHING"
	hurryWindow = `UPDATE ledger SET next_at = ?1 WHERE source = ?2 AND start = ?3 AND (next_at > ?1 OR next_at IS NULL AND state <> ?4)`
	saveWindow  = insertWindow + `ON CONFLICT (source, start) DO UPDATE SET
		state = excluded.state, reason = excluded.reason, passes = excluded.passes, attempts = excluded.attempts, error = excluded.error,
		next_at = excluded.next_at, held_till = excluded.held_till, listed_at = excluded.listed_at, failed_at = excluded.failed_at,
		blobs = excluded.blobs, read = excluded.read, new = excluded.new, known = excluded.known, quarantined = excluded.quarantined,
		late = excluded.late, lags = excluded.lags, deleted_at = excluded.deleted_at, fence = excluded.fence
		WHERE fence <= excluded.fence`
	selectDue = "SELECT " + windowColumns + ` FROM ledger INDEXED BY ledger_due
		WHERE source = ?1 AND next_at <= ?2 AND (held_till IS NULL OR held_till <= ?2) ORDER BY next_at, start DESC LIMIT ?3`
	selectWindows = "SELECT " + windowColumns + ` FROM ledger
		WHERE (?1 IS NULL OR source IN (SELECT value FROM json_each(?1))) AND start >= ?2 AND start < ?3 ORDER BY source, start LIMIT ?4`
)

// Plan adds windows, and hurries those that are there already.
func (s *Store) Plan(ctx context.Context, windows []audit.Window) (added int, err error) {
	if len(windows) == 0 {
		return 0, ctx.Err()
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		for _, w := range windows {
			fresh, err := planOne(ctx, tx, &w)
			if err != nil {
				return err
			}
			added += fresh
		}
		return nil
	})
	if err != nil {
		return 0, s.fault(ctx, "plan windows", err)
	}
	return added, nil
}

func planOne(ctx context.Context, tx *sql.Tx, w *audit.Window) (added int, err error) {
	changed, err := changes(tx.ExecContext(ctx, planWindow, windowValues(w)...))
	if err != nil || changed > 0 || w.NextAt.IsZero() {
		return int(changed), err
	}
	_, err = tx.ExecContext(ctx, hurryWindow, ticks(w.NextAt), w.Source, ticks(w.Start), audit.Lost)
	return 0, err
}

// HandOut returns windows of the sources that are due and holds them.
func (s *Store) HandOut(ctx context.Context, sources []audit.Source, now time.Time, hold time.Duration, limit int) (windows []audit.Window, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		if windows, err = dueWindows(ctx, tx, sources, now, max(0, limit)); err != nil {
			return err
		}
		for i := range windows {
			w := &windows[i]
			w.HeldTill = ceil(now.Add(hold)).Time()
			if _, err = tx.ExecContext(ctx, "UPDATE ledger SET held_till = ? WHERE source = ? AND start = ?", ticks(w.HeldTill), w.Source, ticks(w.Start)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, s.fault(ctx, "hand out windows", err)
	}
	return windows, nil
}

// dueWindows asks for each source by itself: so many rows of each at most are
// read, in the index's order, however many are due.
func dueWindows(ctx context.Context, tx *sql.Tx, sources []audit.Source, now time.Time, limit int) (due []audit.Window, _ error) {
	for _, source := range slices.Compact(slices.Sorted(slices.Values(sources))) {
		of, err := scanWindows(tx.QueryContext(ctx, selectDue, source, ticks(now), limit))
		if err != nil {
			return nil, err
		}
		due = append(due, of...)
	}
	slices.SortFunc(due, func(a, b audit.Window) int { return cmp.Or(a.NextAt.Compare(b.NextAt), b.Start.Compare(a.Start)) })
	return due[:min(limit, len(due))], nil
}

// SaveWindows writes the outcome of a run, but for rows that a newer holder has written.
func (s *Store) SaveWindows(ctx context.Context, lease audit.Lease, windows []audit.Window) error {
	fenced := false
	err := s.write(ctx, func(tx *sql.Tx) error {
		for _, w := range windows {
			w.Fence = lease.Fence
			written, err := changes(tx.ExecContext(ctx, saveWindow, windowValues(&w)...))
			if err != nil {
				return err
			}
			fenced = fenced || written == 0
		}
		return nil
	})
	if err == nil && fenced {
		err = audit.ErrFenced
	}
	return s.fault(ctx, "save windows", err)
}

// Windows lists rows of the ledger, by source and start.
func (s *Store) Windows(ctx context.Context, q audit.LedgerQuery) ([]audit.Window, error) {
	if q.Limit < 1 {
		return nil, audit.Invalid("limit", "expected one window at least")
	}
	sources, from, until, err := ledgerBounds(&q)
	if err != nil {
		return nil, err
	}
	windows, err := scanWindows(s.reader.QueryContext(ctx, selectWindows, sources, from, until, q.Limit))
	return windows, s.fault(ctx, "read ledger", err)
}

// ledgerBounds are a query's bounds as its statement takes them: the sources as
// a list in JSON, nil for all, and ticks.
func ledgerBounds(q *audit.LedgerQuery) (sources any, from, until int64, err error) {
	if len(q.Sources) > 0 {
		list, err := json.Marshal(q.Sources)
		if err != nil {
			return nil, 0, 0, err
		}
		sources = string(list)
	}
	from, until = math.MinInt64, math.MaxInt64
	if !q.Start.IsZero() {
		from = int64(ceil(q.Start))
	}
	if !q.End.IsZero() {
		until = int64(ceil(q.End))
	}
	return sources, from, until, nil
}

func windowValues(w *audit.Window) []any {
	c := w.Counts
	return []any{
		w.Source, ticks(w.Start), w.State, w.Reason, w.Passes, w.Attempts, w.Error, ticks(w.NextAt), ticks(w.HeldTill), ticks(w.ListedAt), ticks(w.FailedAt),
		c.Blobs, c.Read, c.New, c.Known, c.Quarantined, w.Late, lags(w.Lags), ticks(w.Deleted), w.Fence,
	}
}

func scanWindows(rows *sql.Rows, err error) (windows []audit.Window, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var w audit.Window
		c := &w.Counts
		if err = rows.Scan(&w.Source, instant{&w.Start}, &w.State, &w.Reason, &w.Passes, &w.Attempts, &w.Error,
			instant{&w.NextAt}, instant{&w.HeldTill}, instant{&w.ListedAt}, instant{&w.FailedAt},
			&c.Blobs, &c.Read, &c.New, &c.Known, &c.Quarantined, &w.Late, (*lags)(&w.Lags), instant{&w.Deleted}, &w.Fence); err != nil {
			return nil, err
		}
		windows = append(windows, w)
	}
	return windows, rows.Err()
}

func changes(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
