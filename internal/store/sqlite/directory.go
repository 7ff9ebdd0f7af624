package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"aoc/internal/audit"
)

const (
	keepName   = "INSERT OR REPLACE INTO known_names (id, found, name, upn, type, until) VALUES (?, ?, ?, ?, ?, ?)"
	knownNames = "SELECT id, found, name, upn, type, until FROM known_names WHERE id IN (SELECT value FROM json_each(?)) AND until > ?"
)

// namedID is what a directory said, and of which id.
type namedID struct {
	id string
	audit.KnownName
}

// KnownNames returns what is kept of ids and believed at the moment now.
func (s *Store) KnownNames(ctx context.Context, ids []string, now time.Time) (map[string]audit.KnownName, error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	names, err := scanNames(s.reader.QueryContext(ctx, knownNames, string(list), int64(audit.TicksOf(now))))
	return names, s.fault(ctx, "read names", err)
}

func scanNames(rows *sql.Rows, err error) (map[string]audit.KnownName, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names := map[string]audit.KnownName{}
	for rows.Next() {
		var n namedID
		if err = rows.Scan(&n.id, &n.Found, &n.Identity.Name, &n.Identity.UPN, &n.Identity.Type, instant{&n.Until}); err != nil {
			return nil, err
		}
		names[n.id] = n.KnownName
	}
	return names, rows.Err()
}

// KeepNames adds or overwrites.
func (s *Store) KeepNames(ctx context.Context, names map[string]audit.KnownName) error {
	if len(names) == 0 {
		return ctx.Err()
	}
	rows := make([]namedID, 0, len(names))
	for id, n := range names {
		rows = append(rows, namedID{id, n})
	}
	err := s.write(ctx, func(tx *sql.Tx) error {
		_, err := execEach(ctx, tx, keepName, rows, func(n *namedID) []any {
			return []any{n.id, n.Found, n.Identity.Name, n.Identity.UPN, n.Identity.Type, int64(audit.TicksOf(n.Until))}
		})
		return err
	})
	return s.fault(ctx, "keep names", err)
}
