package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations make version n+1 of the schema out of version n. What has been
// released is never edited: a change is another entry.
//
// An event's row has two numbers. seq is its place in insertion order. doc is
// its place in time to the second, then in insertion order (see docOf): the text
// index answers by descending doc, so the newest matches come first without
// looking at the rest. The exact order, by tick and id, is in the indexes.
//
// facet stands for service, operation, category, source and result at once,
// actor for id, upn and name; both are few. So every filter is a set of them,
// and every answer a merge of walks down events_facet or events_actor.
var migrations = []string{
	`
CREATE TABLE raws (
	seq    INTEGER PRIMARY KEY, -- the event's
	id     BLOB NOT NULL,       -- the event's, so that evidence can be read without it
	sha256 BLOB NOT NULL,
	zstd   BLOB NOT NULL
);
CREATE TABLE events (
	doc    INTEGER PRIMARY KEY,
	seq    INTEGER NOT NULL UNIQUE,
	id     BLOB NOT NULL UNIQUE, -- 16 bytes
	t      INTEGER NOT NULL,     -- ticks
	facet  INTEGER NOT NULL,
	actor  INTEGER NOT NULL,
	tokens BLOB NOT NULL,        -- joined by spaces, which no token holds
	body   BLOB NOT NULL         -- JSON
);
CREATE INDEX events_time  ON events (t, id, facet);
CREATE INDEX events_facet ON events (facet, t, id);
CREATE INDEX events_actor ON events (actor, facet, t, id);
CREATE TABLE facets (facet INTEGER PRIMARY KEY, body BLOB NOT NULL UNIQUE);
CREATE TABLE actors (actor INTEGER PRIMARY KEY, body BLOB NOT NULL UNIQUE);
CREATE TABLE actor_values (value BLOB NOT NULL, actor INTEGER NOT NULL, PRIMARY KEY (value, actor)) WITHOUT ROWID;
CREATE TABLE last_seq (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL);
INSERT INTO last_seq VALUES (1, 0);
CREATE VIRTUAL TABLE words USING fts5 (tokens, content='', contentless_delete=1, detail=none, tokenize="` + tokenizer + `");

CREATE TABLE ledger (
	source    TEXT NOT NULL,
	start     INTEGER NOT NULL,
	state     TEXT NOT NULL,
	reason    TEXT NOT NULL,
	passes    INTEGER NOT NULL,
	attempts  INTEGER NOT NULL,
	error     TEXT NOT NULL,
	next_at   INTEGER, -- ticks; NULL: the zero time
	held_till INTEGER,
	listed_at INTEGER,
	failed_at INTEGER,
	blobs INTEGER NOT NULL, read INTEGER NOT NULL, new INTEGER NOT NULL, known INTEGER NOT NULL, quarantined INTEGER NOT NULL,
	fence     INTEGER NOT NULL,
	PRIMARY KEY (source, start)
) WITHOUT ROWID;
CREATE INDEX ledger_due  ON ledger (next_at, start DESC) WHERE next_at IS NOT NULL;
CREATE INDEX ledger_held ON ledger (held_till) WHERE held_till IS NOT NULL;
CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, fence INTEGER NOT NULL, expires INTEGER) WITHOUT ROWID;
CREATE TABLE jobs (id TEXT PRIMARY KEY, created INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX jobs_created ON jobs (created);
CREATE TABLE quarantine (id TEXT PRIMARY KEY, body BLOB NOT NULL, zstd BLOB);
`,
	`
DROP INDEX ledger_due;
CREATE INDEX ledger_due ON ledger (source, next_at, start DESC) WHERE next_at IS NOT NULL;
`,
	`
ALTER TABLE ledger ADD COLUMN late INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN lags TEXT NOT NULL DEFAULT ''; -- JSON; '': none
ALTER TABLE ledger ADD COLUMN deleted_at INTEGER;
CREATE TABLE blobs (
	blob      INTEGER PRIMARY KEY, -- keeps the long ids out of the indexes below
	source    TEXT NOT NULL,
	id        TEXT NOT NULL,
	uri       TEXT NOT NULL,
	created   INTEGER NOT NULL,
	until     INTEGER,
	expires   INTEGER,
	state     TEXT NOT NULL,
	reason    TEXT NOT NULL,
	late      INTEGER NOT NULL,
	attempts  INTEGER NOT NULL,
	error     TEXT NOT NULL,
	next_at   INTEGER,
	held_till INTEGER,
	stored_at INTEGER,
	failed_at INTEGER,
	blobs INTEGER NOT NULL, read INTEGER NOT NULL, new INTEGER NOT NULL, known INTEGER NOT NULL, quarantined INTEGER NOT NULL,
	lags      TEXT NOT NULL,
	fence     INTEGER NOT NULL,
	UNIQUE (source, id)
);
CREATE INDEX blobs_due     ON blobs (source, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX blobs_created ON blobs (source, created);
CREATE TABLE known_names (id TEXT PRIMARY KEY, found INTEGER NOT NULL, name TEXT NOT NULL, upn TEXT NOT NULL, type TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
`,
	`
CREATE TABLE instances (id TEXT PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX instances_at ON instances (at, id);
`,
}

// migrate brings the schema to this program's version. A file that a newer
// program wrote is refused: this one would not keep what it does not know.
func (s *Store) migrate(ctx context.Context) error {
	// Looked at first without the writers' lock: most times nothing is to do.
	if version, err := schemaVersion(ctx, s.writer); err != nil || version == len(migrations) {
		return err
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		version, err := schemaVersion(ctx, tx)
		if err != nil {
			return err
		}
		for _, step := range migrations[version:] {
			if _, err = tx.ExecContext(ctx, step); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(migrations)))
		return err
	})
}

func schemaVersion(ctx context.Context, file interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
},
) (version int, err error) {
	err = file.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	if version > len(migrations) {
		err = fmt.Errorf("the file has schema version %d, and this program knows up to %d: use the newer program that wrote it", version, len(migrations))
	}
	return version, err
}
