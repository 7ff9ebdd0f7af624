// Package sqlite is the embedded store: one file (and a small one beside it, of
// counters that may be lost), pure Go, nothing to install.
// It holds the contract of package storetest. Several processes may have the
// file open at once. It knows nothing of feeds, rules or callers; what an event
// is, and which events a query finds, is package audit's to say.
//
// What a call has stored when it returns survives a loss of power: the journal
// is a write-ahead log, synced at each commit (synchronous=FULL; NORMAL would be
// safe against a killed process only).
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"aoc/internal/audit"

	"github.com/klauspost/compress/zstd"
	sqlite3 "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

const (
	readers       = 4
	migrationTime = time.Minute // a migration may rewrite the file
)

// Store is an open file. It is safe for concurrent use, and must be closed.
type Store struct {
	writer, reader *sql.DB
	driver         string // of database/sql
	now            func() time.Time
	busyTimeout    time.Duration
	budgets        budgets
	packer         *zstd.Encoder
	unpacker       *zstd.Decoder

	writes, reads statements // of writer and reader
	facets        facets
	actors        actors
	quotas        quotas
}

// Option changes how a store is opened.
type Option func(*Store)

// WithClock makes leases go by now instead of time.Now.
func WithClock(now func() time.Time) Option { return func(s *Store) { s.now = now } }

// WithBusyTimeout is how long a write waits for another process that writes
// before it fails with audit.ErrBusy; ten seconds unless told.
func WithBusyTimeout(d time.Duration) Option { return func(s *Store) { s.busyTimeout = d } }

// Open opens the store in the file at path. It makes the file and its folder,
// for this user alone, where they are not there, and brings an older schema up
// to date. A file that a newer program wrote is refused.
func Open(path string, options ...Option) (*Store, error) {
	s := &Store{driver: "sqlite", now: time.Now, busyTimeout: 10 * time.Second, budgets: defaultBudgets, quotas: quotas{path: path + "-quotas"}}
	s.facets.numbers, s.actors.numbers = map[audit.Facet]int64{}, map[string]int64{}
	for _, o := range options {
		o(s)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.busyTimeout+migrationTime)
	defer cancel()
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(s.fault(ctx, "open store "+path, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) (err error) {
	if s.packer, s.unpacker, err = newCodec(); err != nil {
		return err
	}
	address, err := prepareFile(path)
	if err != nil {
		return err
	}
	// A batch touches a thousand pages all over the indexes, and the next one
	// touches many of them again: folding the log into the file at every 64 MB
	// instead of 4 writes each of them once.
	s.writer, err = sql.Open(s.driver, address+"?_txlock=immediate&"+s.pragmas("journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(16000)", "journal_size_limit(134217728)", "cache_size(-32000)"))
	if err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	s.reader, err = sql.Open(s.driver, address+"?"+s.pragmas("query_only(1)", "cache_size(-16000)"))
	if err != nil {
		return err
	}
	s.reader.SetMaxOpenConns(readers)
	s.reader.SetMaxIdleConns(readers)
	if err = s.migrate(ctx); err != nil {
		return err
	}
	if s.writes, err = prepare(ctx, s.writer, hotWrites); err != nil {
		return err
	}
	s.reads, err = prepare(ctx, s.reader, hotReads)
	return err
}

// statements are those worth preparing once, by their text.
type statements map[string]*sql.Stmt

func prepare(ctx context.Context, db *sql.DB, texts []string) (statements, error) {
	ready := statements{}
	for _, text := range texts {
		stmt, err := db.PrepareContext(ctx, text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		ready[text] = stmt
	}
	return ready, nil
}

// in returns the statement within a transaction.
func (p statements) in(ctx context.Context, tx *sql.Tx, text string) *sql.Stmt {
	return tx.StmtContext(ctx, p[text])
}

// prepareFile makes the file, for this user alone, and returns its address.
func prepareFile(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err = os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	if err = f.Close(); err != nil {
		return "", err
	}
	path = filepath.ToSlash(path)
	if path[0] != '/' { // a drive's letter
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String(), nil
}

func (s *Store) pragmas(list ...string) string {
	list = append(list, fmt.Sprintf("busy_timeout(%d)", s.busyTimeout.Milliseconds()), "temp_store(MEMORY)")
	return url.Values{"_pragma": list}.Encode()
}

// Ping says whether the file can be read.
func (s *Store) Ping(ctx context.Context) error {
	var version int
	return s.fault(ctx, "ping store", s.reader.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version))
}

// Close folds the log into the file, where no other process needs it, and lets go of it.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	errs = append(errs, s.quotas.close())
	if s.unpacker != nil {
		s.unpacker.Close()
	}
	return errors.Join(errs...)
}

// write runs f in the one transaction that may write at a time, in all processes.
func (s *Store) write(ctx context.Context, f func(tx *sql.Tx) error) error {
	return transact(ctx, s.writer, f)
}

func transact(ctx context.Context, db *sql.DB, f func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err = f(tx); err != nil {
		return errors.Join(err, rollback(tx))
	}
	return tx.Commit()
}

// read runs f over one snapshot of the file.
func (s *Store) read(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	return errors.Join(f(tx), rollback(tx))
}

// rollback ends a transaction. That a cancelled context ended it before is no error.
func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

// fault says what failed, and makes what SQLite says of locks and interrupts
// errors that callers know.
func (s *Store) fault(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	case isBusy(err):
		return fmt.Errorf("%s: another process holds the store: %w: %w", doing, audit.ErrBusy, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func isBusy(err error) bool {
	e, ok := errors.AsType[*sqlite3.Error](err)
	return ok && (e.Code()&0xff == codes.SQLITE_BUSY || e.Code()&0xff == codes.SQLITE_LOCKED)
}
