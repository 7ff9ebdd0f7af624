package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"aoc/internal/audit"
)

const (
	maxInstances = 200            // returned at most
	forgetAfter  = 24 * time.Hour // an instance that has not told anything for so long

	saveInstance    = "INSERT INTO instances (id, at, body) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at, body = excluded.body"
	forgetInstances = "DELETE FROM instances WHERE at < ?"
	selectInstances = "SELECT body FROM instances WHERE at >= ? ORDER BY at DESC, id DESC LIMIT ?"
)

// SaveInstance overwrites what an instance told before, and forgets those that
// ended.
func (s *Store) SaveInstance(ctx context.Context, instance audit.Instance) error {
	instance.Started, instance.At = instance.Started.UTC(), instance.At.UTC()
	body, err := json.Marshal(instance)
	if err == nil {
		err = s.write(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, forgetInstances, int64(audit.TicksOf(s.now().Add(-forgetAfter)))); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, saveInstance, instance.ID, int64(audit.TicksOf(instance.At)), body)
			return err
		})
	}
	return s.fault(ctx, "save instance", err)
}

// Instances returns those that told something at or after since, the latest first.
func (s *Store) Instances(ctx context.Context, since time.Time) ([]audit.Instance, error) {
	list, err := scanInstances(s.reader.QueryContext(ctx, selectInstances, int64(ceil(since)), maxInstances))
	return list, s.fault(ctx, "read instances", err)
}

func scanInstances(rows *sql.Rows, err error) (list []audit.Instance, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var instance audit.Instance
		var body sql.RawBytes
		if err = rows.Scan(&body); err != nil {
			return nil, err
		}
		if err = json.Unmarshal(body, &instance); err != nil {
			return nil, err
		}
		list = append(list, instance)
	}
	return list, rows.Err()
}
