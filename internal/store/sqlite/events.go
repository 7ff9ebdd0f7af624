package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"

	"aoc/internal/audit"
)

const maxFacets = 10_000

// Event returns one event that is in the scope, or audit.ErrNotFound.
func (s *Store) Event(ctx context.Context, scope audit.Scope, id string) (audit.Event, error) {
	e, err := s.event(ctx, scope, id)
	return e, s.fault(ctx, "read event", err)
}

func (s *Store) event(ctx context.Context, scope audit.Scope, id string) (e audit.Event, err error) {
	key, ok := parseID(id)
	if !ok || scope.Nothing() {
		return audit.Event{}, audit.ErrNotFound
	}
	var body []byte
	if err = s.reader.QueryRowContext(ctx, "SELECT body FROM events WHERE id = ?", key).Scan(&body); err != nil {
		return audit.Event{}, orNotFound(err)
	}
	if err = json.Unmarshal(body, &e); err != nil {
		return audit.Event{}, err
	}
	if !scope.Sees(e.Service, e.Operation) {
		return audit.Event{}, audit.ErrNotFound
	}
	return e, nil
}

// Raw returns an event's evidence under the same rule. It fails on bytes that
// the disk gave back changed.
func (s *Store) Raw(ctx context.Context, scope audit.Scope, id string) (audit.Raw, error) {
	raw, err := s.raw(ctx, scope, id)
	return raw, s.fault(ctx, "read raw record", err)
}

func (s *Store) raw(ctx context.Context, scope audit.Scope, id string) (audit.Raw, error) {
	if _, err := s.event(ctx, scope, id); err != nil {
		return audit.Raw{}, err
	}
	key, _ := parseID(id)
	var sum, packed []byte
	err := s.reader.QueryRowContext(ctx, "SELECT sha256, zstd FROM raws WHERE seq = (SELECT seq FROM events WHERE id = ?)", key).Scan(&sum, &packed)
	if err != nil {
		return audit.Raw{}, orNotFound(err)
	}
	b, err := s.unpack(packed)
	return audit.Raw{Bytes: b, SHA256: hex.EncodeToString(sum)}, err
}

// After reads on in insertion order. Numbers are given in the transaction that
// stores the events, and one writes at a time: no lower one can appear later.
func (s *Store) After(ctx context.Context, seq int64, limit int) ([]audit.Sequenced, error) {
	list, err := s.after(ctx, seq, limit)
	return list, s.fault(ctx, "read events in insertion order", err)
}

func (s *Store) after(ctx context.Context, seq int64, limit int) (list []audit.Sequenced, err error) {
	rows, err := s.reader.QueryContext(ctx, "SELECT seq, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?", seq, max(0, limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e audit.Sequenced
		var body sql.RawBytes
		if err = rows.Scan(&e.Seq, &body); err != nil {
			return nil, err
		}
		if err = json.Unmarshal(body, &e.Event); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// Facets returns the combinations of values that events in the scope have.
func (s *Store) Facets(ctx context.Context, scope audit.Scope) (list []audit.Facet, err error) {
	var all []numberedFacet
	err = s.read(ctx, func(tx *sql.Tx) (err error) {
		all, err = s.refreshFacets(ctx, tx)
		return err
	})
	if err != nil {
		return nil, s.fault(ctx, "read facets", err)
	}
	for _, f := range all {
		if len(list) < maxFacets && scope.Sees(f.Service, f.Operation) {
			list = append(list, f.Facet)
		}
	}
	return list, nil
}

func orNotFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return audit.ErrNotFound
	}
	return err
}
