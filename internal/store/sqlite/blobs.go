package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"aoc/internal/audit"
)

const (
	blobColumns = "source, id, uri, created, until, expires, state, reason, late, attempts, error, next_at, held_till, stored_at, failed_at, blobs, read, new, known, quarantined, lags, fence"
	insertBlob  = "INSERT INTO blobs (" + blobColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "

	addBlob  = insertBlob + "ON CONFLICT DO NOTHING"
	saveBlob = insertBlob + `ON CONFLICT (source, id) DO UPDATE SET
		uri = excluded.uri, created = excluded.created, until = excluded.until, expires = excluded.expires,
		state = excluded.state, reason = excluded.reason, late = excluded.late, attempts = excluded.attempts, error = excluded.error,
		next_at = excluded.next_at, held_till = excluded.held_till, stored_at = excluded.stored_at, failed_at = excluded.failed_at,
		blobs = excluded.blobs, read = excluded.read, new = excluded.new, known = excluded.known, quarantined = excluded.quarantined,
		lags = excluded.lags, fence = excluded.fence
		WHERE fence <= excluded.fence`
	selectDueBlobs = "SELECT " + blobColumns + ` FROM blobs INDEXED BY blobs_due
		WHERE source = ?1 AND next_at <= ?2 AND (held_till IS NULL OR held_till <= ?2) ORDER BY next_at LIMIT ?3`
	holdBlob    = "UPDATE blobs SET held_till = ? WHERE source = ? AND id = ?"
	selectBlobs = "SELECT " + blobColumns + ` FROM blobs
		WHERE (?1 IS NULL OR source IN (SELECT value FROM json_each(?1))) AND created >= ?2 AND created < ?3 ORDER BY source, created, id LIMIT ?4`
	foldBlobs = "DELETE FROM blobs INDEXED BY blobs_created WHERE source = ? AND created >= ? AND created < ? AND state <> ?"
)

// AddBlobs adds rows that are not there yet, and says how many.
func (s *Store) AddBlobs(ctx context.Context, rows []audit.BlobRow) (added int, err error) {
	if len(rows) == 0 {
		return 0, ctx.Err()
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		added, err = execEach(ctx, tx, addBlob, rows, blobValues)
		return err
	})
	if err != nil {
		return 0, s.fault(ctx, "add blobs", err)
	}
	return added, nil
}

// HandOutBlobs returns blobs of the sources that are due and holds them.
func (s *Store) HandOutBlobs(ctx context.Context, sources []audit.Source, now time.Time, hold time.Duration, limit int) (rows []audit.BlobRow, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		if rows, err = dueBlobs(ctx, tx, sources, now, max(0, limit)); err != nil || len(rows) == 0 {
			return err
		}
		for i := range rows {
			rows[i].HeldTill = ceil(now.Add(hold)).Time()
		}
		_, err = execEach(ctx, tx, holdBlob, rows, func(b *audit.BlobRow) []any { return []any{ticks(b.HeldTill), b.Source, b.ID} })
		return err
	})
	if err != nil {
		return nil, s.fault(ctx, "hand out blobs", err)
	}
	return rows, nil
}

// dueBlobs asks for each source by itself, as dueWindows does.
func dueBlobs(ctx context.Context, tx *sql.Tx, sources []audit.Source, now time.Time, limit int) (due []audit.BlobRow, _ error) {
	for _, source := range slices.Compact(slices.Sorted(slices.Values(sources))) {
		of, err := scanBlobs(tx.QueryContext(ctx, selectDueBlobs, source, ticks(now), limit))
		if err != nil {
			return nil, err
		}
		due = append(due, of...)
	}
	slices.SortStableFunc(due, func(a, b audit.BlobRow) int { return a.NextAt.Compare(b.NextAt) })
	return due[:min(limit, len(due))], nil
}

// SaveBlobs writes rows whole, but for those that a newer holder has written.
func (s *Store) SaveBlobs(ctx context.Context, lease audit.Lease, rows []audit.BlobRow) error {
	if len(rows) == 0 {
		return ctx.Err()
	}
	saved := 0
	err := s.write(ctx, func(tx *sql.Tx) (err error) {
		saved, err = execEach(ctx, tx, saveBlob, rows, func(b *audit.BlobRow) []any {
			row := *b
			row.Fence = lease.Fence
			return blobValues(&row)
		})
		return err
	})
	if err == nil && saved < len(rows) {
		err = audit.ErrFenced
	}
	return s.fault(ctx, "save blobs", err)
}

// Blobs lists rows, by source, creation and id.
func (s *Store) Blobs(ctx context.Context, q audit.LedgerQuery) ([]audit.BlobRow, error) {
	if q.Limit < 1 {
		return nil, audit.Invalid("limit", "expected one blob at least")
	}
	sources, from, until, err := ledgerBounds(&q)
	if err != nil {
		return nil, err
	}
	rows, err := scanBlobs(s.reader.QueryContext(ctx, selectBlobs, sources, from, until, q.Limit))
	return rows, s.fault(ctx, "read blobs", err)
}

// FoldBlobs deletes a source's rows of a span that wait for nothing any more.
func (s *Store) FoldBlobs(ctx context.Context, source audit.Source, start, end time.Time) (int, error) {
	var folded int64
	err := s.write(ctx, func(tx *sql.Tx) (err error) {
		folded, err = changes(tx.ExecContext(ctx, foldBlobs, source, int64(ceil(start)), int64(ceil(end)), audit.Listed))
		return err
	})
	if err != nil {
		return 0, s.fault(ctx, "fold blobs of "+string(source), err)
	}
	return int(folded), nil
}

// execEach runs one statement for each row and says how many rows of the table
// changed in all.
func execEach[T any](ctx context.Context, tx *sql.Tx, text string, rows []T, values func(*T) []any) (changed int, err error) {
	stmt, err := tx.PrepareContext(ctx, text)
	if err != nil {
		return 0, err
	}
	defer stmt.Close()
	for i := range rows {
		// Watching the context in each statement would cost as much as the statement.
		if err = ctx.Err(); err != nil {
			return 0, err
		}
		n, err := changes(stmt.ExecContext(context.WithoutCancel(ctx), values(&rows[i])...))
		if err != nil {
			return 0, err
		}
		changed += int(n)
	}
	return changed, nil
}

func blobValues(b *audit.BlobRow) []any {
	c := b.Counts
	return []any{
		b.Source, b.ID, b.URI, int64(audit.TicksOf(b.Created)), ticks(b.Until), ticks(b.Expires), b.State, b.Reason, b.Late, b.Attempts, b.Error,
		ticks(b.NextAt), ticks(b.HeldTill), ticks(b.StoredAt), ticks(b.FailedAt), c.Blobs, c.Read, c.New, c.Known, c.Quarantined, lags(b.Lags), b.Fence,
	}
}

func scanBlobs(rows *sql.Rows, err error) (blobs []audit.BlobRow, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var b audit.BlobRow
		c := &b.Counts
		if err = rows.Scan(&b.Source, &b.ID, &b.URI, instant{&b.Created}, instant{&b.Until}, instant{&b.Expires}, &b.State, &b.Reason, &b.Late, &b.Attempts, &b.Error,
			instant{&b.NextAt}, instant{&b.HeldTill}, instant{&b.StoredAt}, instant{&b.FailedAt},
			&c.Blobs, &c.Read, &c.New, &c.Known, &c.Quarantined, (*lags)(&b.Lags), &b.Fence); err != nil {
			return nil, err
		}
		blobs = append(blobs, b)
	}
	return blobs, rows.Err()
}
