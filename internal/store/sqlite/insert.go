package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aoc/internal/audit"

	sqlite3 "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

const (
	selectKnown   = "SELECT id FROM events WHERE id IN (SELECT unhex(value) FROM json_each(?))"
	selectLastSeq = "SELECT seq FROM last_seq"
	updateLastSeq = "UPDATE last_seq SET seq = ?"
	insertRaw     = "INSERT INTO raws (seq, id, sha256, zstd) VALUES (?, ?, ?, ?)"
	insertEvent   = "INSERT INTO events (doc, seq, id, t, facet, actor, tokens, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
	insertWords   = "INSERT INTO words (rowid, tokens) VALUES (?, ?)"
)

var hotWrites = []string{
	selectKnown, selectLastSeq, updateLastSeq, insertRaw, insertEvent, insertWords,
	selectFacet, insertFacet, selectActor, insertActor, insertActorValue,
}

// row is an event made ready, outside the transaction that all writers share.
type row struct {
	event             *audit.Event
	id                []byte
	sha256, raw, body []byte
	tokens            string
}

// Insert makes a batch durable, in one transaction: all of it is stored or nothing is.
func (s *Store) Insert(ctx context.Context, batch []audit.Stored) (audit.Inserted, error) {
	fresh, err := s.insert(ctx, batch)
	if err != nil {
		return audit.Inserted{}, s.fault(ctx, "insert events", err)
	}
	return audit.Inserted{New: fresh, Known: len(batch) - fresh}, nil
}

func (s *Store) insert(ctx context.Context, batch []audit.Stored) (fresh int, err error) {
	rest, err := s.unknown(ctx, batch)
	if err != nil || len(rest) == 0 {
		return 0, err
	}
	rows := make([]row, 0, len(rest))
	for _, e := range rest {
		r, err := s.ready(e)
		if err != nil {
			return 0, err
		}
		rows = append(rows, r)
	}
	var n *names
	err = s.write(ctx, func(tx *sql.Tx) error {
		n = s.newNames(tx)
		fresh, err = s.insertRows(ctx, n, rows)
		return err
	})
	if err != nil {
		return 0, err
	}
	n.keep()
	return fresh, nil
}

// unknown returns those of a batch that are not stored, each id once. What is
// known costs no more than this, and no lock.
func (s *Store) unknown(ctx context.Context, batch []audit.Stored) (rest []*audit.Stored, err error) {
	ids := make([]string, len(batch))
	for i := range batch {
		ids[i] = batch[i].Event.ID
		if _, ok := parseID(ids[i]); !ok {
			return nil, audit.Invalid("id", fmt.Sprintf("expected %d lower-case hex digits, got %q", 2*idLength, ids[i]))
		}
	}
	seen, err := known(ctx, s.reads[selectKnown], ids)
	if err != nil {
		return nil, err
	}
	for i := range batch {
		if !seen[ids[i]] {
			seen[ids[i]] = true
			rest = append(rest, &batch[i])
		}
	}
	return rest, nil
}

// known returns those of the ids that are stored.
func known(ctx context.Context, stmt *sql.Stmt, ids []string) (map[string]bool, error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(ctx, list)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	seen := make(map[string]bool, len(ids))
	for rows.Next() {
		var id []byte
		if err = rows.Scan(&id); err != nil {
			return nil, err
		}
		seen[hex.EncodeToString(id)] = true
	}
	return seen, rows.Err()
}

func (s *Store) ready(e *audit.Stored) (row, error) {
	body, err := json.Marshal(&e.Event)
	if err != nil {
		return row{}, err
	}
	sum, err := hex.DecodeString(e.Raw.SHA256)
	if err != nil {
		return row{}, fmt.Errorf("hash of event %s: %w", e.Event.ID, err)
	}
	id, _ := parseID(e.Event.ID)
	return row{event: &e.Event, id: id, sha256: sum, raw: s.pack(e.Raw.Bytes), body: body, tokens: strings.Join(e.Tokens, " ")}, nil
}

// insertRows stores what is still unknown now that no one else writes.
func (s *Store) insertRows(ctx context.Context, n *names, rows []row) (fresh int, err error) {
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].event.ID
	}
	seen, err := known(ctx, s.writes.in(ctx, n.tx, selectKnown), ids)
	if err != nil {
		return 0, err
	}
	rows = slices.DeleteFunc(rows, func(r row) bool { return seen[r.event.ID] })
	// The text index writes its buffer out whenever a doc is below the one before.
	slices.SortFunc(rows, func(x, y row) int { return x.event.Time.Compare(y.event.Time) })

	var seq int64
	if err = s.writes.in(ctx, n.tx, selectLastSeq).QueryRowContext(ctx).Scan(&seq); err != nil {
		return 0, err
	}
	in := &inserter{names: n, raw: s.writes.in(ctx, n.tx, insertRaw), event: s.writes.in(ctx, n.tx, insertEvent), words: s.writes.in(ctx, n.tx, insertWords), seq: seq}
	for i := range rows {
		// Watching the context in each statement would cost as much as the statement.
		if err = ctx.Err(); err != nil {
			return 0, err
		}
		if err = in.insert(context.WithoutCancel(ctx), &rows[i]); err != nil {
			return 0, err
		}
	}
	_, err = s.writes.in(ctx, n.tx, updateLastSeq).ExecContext(ctx, in.seq)
	return len(rows), err
}

// inserter stores one event after another within a transaction.
type inserter struct {
	names             *names
	raw, event, words *sql.Stmt
	seq               int64 // the last one given
}

func (in *inserter) insert(ctx context.Context, r *row) error {
	facet, err := in.names.facet(ctx, r.event.Facet())
	if err != nil {
		return err
	}
	actor, err := in.names.actor(ctx, r.event.Keys()[audit.FieldActor])
	if err != nil {
		return err
	}
	in.seq++
	if _, err = in.raw.ExecContext(ctx, in.seq, r.id, r.sha256, r.raw); err != nil {
		return err
	}
	t := audit.TicksOf(r.event.Time)
	doc := docOf(t, in.seq)
	for {
		_, err = in.event.ExecContext(ctx, doc, in.seq, r.id, int64(t), facet, actor, []byte(r.tokens), r.body)
		if !isTaken(err) {
			break
		}
		doc++ // an event of this second, 16 million events ago
	}
	if err != nil {
		return err
	}
	_, err = in.words.ExecContext(ctx, doc, indexable(r.tokens))
	return err
}

// isTaken reports whether a row's integer key is in use.
func isTaken(err error) bool {
	e, ok := errors.AsType[*sqlite3.Error](err)
	return ok && e.Code() == codes.SQLITE_CONSTRAINT_PRIMARYKEY
}
