package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"aoc/internal/audit"
)

// SetAside keeps bad records, each id once. What bytes they have are packed.
func (s *Store) SetAside(ctx context.Context, records []audit.Quarantined) (fresh int, err error) {
	if len(records) == 0 {
		return 0, ctx.Err()
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		for i := range records {
			body, err := json.Marshal(records[i])
			if err != nil {
				return err
			}
			var packed []byte
			if records[i].Raw != nil {
				packed = s.pack(records[i].Raw)
			}
			added, err := changes(tx.ExecContext(ctx, "INSERT INTO quarantine (id, body, zstd) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", records[i].ID, body, packed))
			if err != nil {
				return err
			}
			fresh += int(added)
		}
		return nil
	})
	if err != nil {
		return 0, s.fault(ctx, "set records aside", err)
	}
	return fresh, nil
}

// Quarantined returns records that were set aside, by id.
func (s *Store) Quarantined(ctx context.Context, after string, limit int) ([]audit.Quarantined, error) {
	list, err := s.scanQuarantine(s.reader.QueryContext(ctx, "SELECT body, zstd FROM quarantine WHERE id > ? ORDER BY id LIMIT ?", after, max(0, limit)))
	return list, s.fault(ctx, "read quarantine", err)
}

func (s *Store) scanQuarantine(rows *sql.Rows, err error) (list []audit.Quarantined, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var q audit.Quarantined
		var body, packed []byte
		if err = rows.Scan(&body, &packed); err != nil {
			return nil, err
		}
		if err = json.Unmarshal(body, &q); err != nil {
			return nil, err
		}
		if packed != nil {
			if q.Raw, err = s.unpack(packed); err != nil {
				return nil, err
			}
		}
		list = append(list, q)
	}
	return list, rows.Err()
}
