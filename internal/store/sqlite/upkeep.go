package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"aoc/internal/audit"
)

const (
	ofIDs = "(SELECT unhex(value) FROM json_each(?))"

	selectRaws = "SELECT e.id, r.sha256, r.zstd FROM events e JOIN raws r ON r.seq = e.seq WHERE e.id IN " + ofIDs
	// What decides whether an event would be written as it is already.
	selectIndexed = "SELECT e.id, e.tokens, e.body, a.body FROM events e JOIN actors a ON a.actor = e.actor WHERE e.id IN " + ofIDs
	selectPlace   = "SELECT doc, seq, tokens, body FROM events WHERE id = ?"
	updateEvent   = "UPDATE events SET doc = ?, t = ?, facet = ?, actor = ?, tokens = ?, body = ? WHERE seq = ?"
	deleteWord    = "DELETE FROM words WHERE rowid = ?"

	deleteWords  = "DELETE FROM words WHERE rowid IN (SELECT doc FROM events WHERE id IN " + ofIDs + ")"
	deleteRaws   = "DELETE FROM raws WHERE seq IN (SELECT seq FROM events WHERE id IN " + ofIDs + ")"
	deleteEvents = "DELETE FROM events WHERE id IN " + ofIDs
)

// Raws returns the evidence of those of the ids that are stored.
func (s *Store) Raws(ctx context.Context, ids []string) (map[string]audit.Raw, error) {
	list, err := idList(ids)
	if err != nil {
		return nil, err
	}
	raws, err := s.scanRaws(s.reader.QueryContext(ctx, selectRaws, list))
	return raws, s.fault(ctx, "read raw records", err)
}

func (s *Store) scanRaws(rows *sql.Rows, err error) (map[string]audit.Raw, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	raws := map[string]audit.Raw{}
	for rows.Next() {
		var id, sum, packed []byte
		if err = rows.Scan(&id, &sum, &packed); err != nil {
			return nil, err
		}
		b, err := s.unpack(packed)
		if err != nil {
			return nil, err
		}
		raws[hex.EncodeToString(id)] = audit.Raw{Bytes: b, SHA256: hex.EncodeToString(sum)}
	}
	return raws, rows.Err()
}

// idList is the ids that are some, as a statement takes them.
func idList(ids []string) (string, error) {
	those := slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		_, ok := parseID(id)
		return !ok
	})
	list, err := json.Marshal(those)
	return string(list), err
}

// Replace overwrites events and their index, in one transaction. Which of them
// differ is found out before it, outside the lock that all writers share.
func (s *Store) Replace(ctx context.Context, batch []audit.Stored) (found int, err error) {
	changed, found, err := s.changed(ctx, batch)
	if err != nil || len(changed) == 0 {
		return found, s.fault(ctx, "replace events", err)
	}
	var n *names
	err = s.write(ctx, func(tx *sql.Tx) error {
		n = s.newNames(tx)
		for _, e := range changed {
			there, err := s.replace(ctx, n, e)
			if err != nil {
				return err
			}
			if there {
				found++
			}
		}
		return nil
	})
	if err != nil {
		return 0, s.fault(ctx, "replace events", err)
	}
	n.keep()
	return found, nil
}

// changed returns those of a batch that are stored otherwise, each id once and
// as it came last, and counts those that are stored as they are.
func (s *Store) changed(ctx context.Context, batch []audit.Stored) (changed []*audit.Stored, same int, err error) {
	last := make(map[string]*audit.Stored, len(batch))
	ids := make([]string, len(batch))
	for i := range batch {
		ids[i] = batch[i].Event.ID
		last[ids[i]] = &batch[i]
	}
	list, err := idList(ids)
	if err != nil {
		return nil, 0, err
	}
	rows, err := s.reader.QueryContext(ctx, selectIndexed, list)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, tokens, body, actor []byte
		if err = rows.Scan(&id, &tokens, &body, &actor); err != nil {
			return nil, 0, err
		}
		e := last[hex.EncodeToString(id)]
		equal, err := isStored(e, tokens, body, actor)
		if err != nil {
			return nil, 0, err
		}
		if equal {
			same++
		} else {
			changed = append(changed, e)
		}
	}
	return changed, same, rows.Err()
}

// isStored reports whether replacing would write what is there.
func isStored(e *audit.Stored, tokens, body, actor []byte) (bool, error) {
	fresh, err := retagged(&e.Event, body)
	if err != nil {
		return false, err
	}
	keys, err := json.Marshal(e.Event.Keys()[audit.FieldActor])
	return bytes.Equal(fresh, body) && string(tokens) == strings.Join(e.Tokens, " ") && bytes.Equal(keys, actor), err
}

// retagged is an event's new body, with the tags of the old one.
func retagged(e *audit.Event, old []byte) ([]byte, error) {
	var was struct {
		Tags []string `json:"tags"`
	}
	if err := json.Unmarshal(old, &was); err != nil {
		return nil, err
	}
	fresh := *e
	fresh.Tags = was.Tags
	return json.Marshal(&fresh)
}

// place is where a stored event is, and what it is found by.
type place struct {
	doc, seq     int64
	tokens, body []byte
}

// replace overwrites one event, unless it went meanwhile.
func (s *Store) replace(ctx context.Context, n *names, e *audit.Stored) (bool, error) {
	id, _ := parseID(e.Event.ID)
	var at place
	err := n.tx.QueryRowContext(ctx, selectPlace, id).Scan(&at.doc, &at.seq, &at.tokens, &at.body)
	if err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return false, err
	}
	doc, err := rewrite(ctx, n, e, at)
	tokens := strings.Join(e.Tokens, " ")
	if err != nil || doc == at.doc && tokens == string(at.tokens) {
		return err == nil, err
	}
	if _, err = n.tx.ExecContext(ctx, deleteWord, at.doc); err != nil {
		return false, err
	}
	_, err = s.writes.in(ctx, n.tx, insertWords).ExecContext(ctx, doc, indexable(tokens))
	return err == nil, err
}

// rewrite overwrites an event's row and returns its doc, which moves with the second.
func rewrite(ctx context.Context, n *names, e *audit.Stored, at place) (doc int64, err error) {
	body, err := retagged(&e.Event, at.body)
	if err != nil {
		return 0, err
	}
	facet, err := n.facet(ctx, e.Event.Facet())
	if err != nil {
		return 0, err
	}
	actor, err := n.actor(ctx, e.Event.Keys()[audit.FieldActor])
	if err != nil {
		return 0, err
	}
	t := audit.TicksOf(e.Event.Time)
	if doc = at.doc; doc>>docBits != firstDoc(t)>>docBits {
		doc = docOf(t, at.seq)
	}
	for {
		_, err = n.tx.ExecContext(ctx, updateEvent, doc, int64(t), facet, actor, []byte(strings.Join(e.Tokens, " ")), body, at.seq)
		if !isTaken(err) {
			return doc, err
		}
		doc++ // as in inserter.insert
	}
}

// Delete removes events with their evidence and index, all or none of them.
func (s *Store) Delete(ctx context.Context, ids []string) (int, error) {
	list, err := idList(ids)
	if err != nil {
		return 0, err
	}
	var deleted int64
	err = s.write(ctx, func(tx *sql.Tx) error {
		for _, text := range []string{deleteWords, deleteRaws} {
			if _, err := tx.ExecContext(ctx, text, list); err != nil {
				return err
			}
		}
		deleted, err = changes(tx.ExecContext(ctx, deleteEvents, list))
		return err
	})
	if err != nil {
		return 0, s.fault(ctx, "delete events", err)
	}
	return int(deleted), nil
}

// Unquarantine removes records that were set aside.
func (s *Store) Unquarantine(ctx context.Context, ids []string) (int, error) {
	removed, err := s.removeAll(ctx, "DELETE FROM quarantine WHERE id IN (SELECT value FROM json_each(?))", ids)
	return removed, s.fault(ctx, "remove quarantined records", err)
}

// DeleteJobs removes jobs that ended before a moment. There are few: what ended
// when is read off each.
func (s *Store) DeleteJobs(ctx context.Context, before time.Time) (int, error) {
	jobs, err := scanJobs(s.reader.QueryContext(ctx, "SELECT body FROM jobs WHERE created < ?", int64(ceil(before))))
	if err != nil {
		return 0, s.fault(ctx, "delete jobs", err)
	}
	var ended []string
	for _, job := range jobs {
		if !job.DoneAt.IsZero() && job.DoneAt.Before(before) {
			ended = append(ended, job.ID)
		}
	}
	removed, err := s.removeAll(ctx, "DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?))", ended)
	return removed, s.fault(ctx, "delete jobs", err)
}

// removeAll runs a statement that deletes rows by a list of ids.
func (s *Store) removeAll(ctx context.Context, text string, ids []string) (int, error) {
	if len(ids) == 0 {
		return 0, ctx.Err()
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return 0, err
	}
	var removed int64
	err = s.write(ctx, func(tx *sql.Tx) error {
		removed, err = changes(tx.ExecContext(ctx, text, string(list)))
		return err
	})
	return int(removed), err
}
