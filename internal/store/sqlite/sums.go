package sqlite

import (
	"context"
	"database/sql"
	"time"

	"aoc/internal/audit"
)

const (
	selectHeld  = "SELECT count(*) FROM ledger WHERE held_till > ?"
	selectFeeds = `SELECT source, max(listed_at), max(start) FILTER (WHERE listed_at IS NOT NULL), max(failed_at) FILTER (WHERE attempts > 0),
		count(*) FILTER (WHERE attempts > 0), count(*) FILTER (WHERE listed_at IS NULL AND state <> ?1), count(*) FILTER (WHERE state = ?1), count(*),
		sum(blobs), sum(read), sum(new), sum(known), sum(quarantined)
		FROM ledger GROUP BY source ORDER BY source`
	selectFailure = "SELECT error FROM ledger WHERE source = ? AND failed_at = ? AND attempts > 0 ORDER BY start DESC LIMIT 1"
)

// Held counts the windows that are handed out.
func (s *Store) Held(ctx context.Context, now time.Time) (held int, err error) {
	err = s.reader.QueryRowContext(ctx, selectHeld, ticks(now)).Scan(&held)
	return held, s.fault(ctx, "count windows held", err)
}

// Feeds sums up the ledger by source.
func (s *Store) Feeds(ctx context.Context) (feeds []audit.FeedState, err error) {
	err = s.read(ctx, func(tx *sql.Tx) error {
		feeds, err = sumFeeds(ctx, tx)
		return err
	})
	return feeds, s.fault(ctx, "sum up the ledger", err)
}

func sumFeeds(ctx context.Context, tx *sql.Tx) ([]audit.FeedState, error) {
	feeds, err := scanFeeds(tx.QueryContext(ctx, selectFeeds, audit.Lost))
	if err != nil {
		return nil, err
	}
	for i := range feeds {
		f := &feeds[i]
		if f.FailedAt.IsZero() {
			continue
		}
		if err = tx.QueryRowContext(ctx, selectFailure, f.Source, ticks(f.FailedAt)).Scan(&f.LastError); err != nil {
			return nil, err
		}
	}
	return feeds, nil
}

func scanFeeds(rows *sql.Rows, err error) (feeds []audit.FeedState, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var f audit.FeedState
		var listed, newest, failed sql.NullInt64
		c := &f.Counts
		if err = rows.Scan(&f.Source, &listed, &newest, &failed, &f.Failing, &f.Waiting, &f.Lost, &f.Windows, &c.Blobs, &c.Read, &c.New, &c.Known, &c.Quarantined); err != nil {
			return nil, err
		}
		f.LastSuccess, f.FailedAt = moment(listed), moment(failed)
		if newest.Valid {
			w := audit.Window{Start: moment(newest)}
			f.CaughtUpTo = w.End()
		}
		feeds = append(feeds, f)
	}
	return feeds, rows.Err()
}
