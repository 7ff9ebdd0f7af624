// Package mongo keeps AOC's data behind MongoDB's wire protocol: Azure
// DocumentDB (Cosmos DB for MongoDB vCore), Cosmos DB for MongoDB RU, Atlas.
// It uses only what all of these have, and writes nothing that needs more than
// one document to change at once. It knows neither where events come from nor
// what is done with them.
//
// # Collections
//
//   - raw: a record's bytes, by event id; written before the event
//   - events: one document an event; its fields are named in event.go
//   - facets, days: which combinations of values and which days events have;
//     written before the first such event, so at worst they promise too much
//     when a writer dies
//   - blocks: blocks of sequence numbers, see block.go
//   - feeds, windows, blobs: the ledger; leases; jobs; quarantine; names
//   - quotas: how many requests were let through, see quota.go; instances
//
// Every document is found by an _id that says what it is, so that writing
// twice is writing once, and two writers that want one thing are told apart by
// the unique _id and not by an update that one of them loses.
package mongo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

// Store is AOC's data in one database. It is safe for concurrent use, and any
// number of processes may have one on the same database.
type Store struct {
	ask     func(context.Context) (uri string, err error)
	name    string
	now     func() time.Time
	monitor *event.CommandMonitor // for tests

	dialling chan struct{} // holds one token: who takes it connects
	uri      string        // that client was dialled with; for who holds the token
	client   atomic.Pointer[mongo.Client]
	asked    atomic.Int64 // when ask was called, in ns since 1970
	refused  atomic.Bool  // a server has refused the credentials since then

	closing    sync.Mutex // held to close and to begin what runs in the background
	closed     atomic.Bool
	background sync.WaitGroup
	life       context.Context // of what runs in the background
	end        context.CancelFunc
	linger     time.Duration

	lastBlock atomic.Int64 // a block that is known to exist, 0 for none
	noted     sync.Map     // ids of facets, days and feeds that are known to be written
	slots     atomic.Int64 // of quotas, that this store began
}

// Option changes how a store is opened.
type Option func(*Store)

// Clock makes the store go by another clock than time.Now, for leases and for
// how long an unfinished writer is waited for.
func Clock(now func() time.Time) Option { return func(s *Store) { s.now = now } }

// Open returns the store in a database. It dials nothing: the first use
// connects and makes the indexes, and when that fails the next use tries again.
// A URI that is none fails here, with an error that is free of its password.
func Open(uri, database string, opts ...Option) (*Store, error) {
	if err := errors.Join(checkURI(uri), checkName(database)); err != nil {
		return nil, fmt.Errorf("open the MongoDB store: %w", err)
	}
	return OpenWith(func(context.Context) (string, error) { return uri, nil }, database, opts...), nil
}

// OpenWith is Open with a connection string that may change, such as a secret
// that is renewed. It is asked for at the first use; then by use of the store
// once it is 5 minutes old, or at once when the server refuses it, though not
// more often than every 10 s. Where it has changed, the store connects anew,
// and what runs goes on over the old connections for 2 minutes: nothing fails
// where the old secret is good for that long. A connection string of another
// server is for the next start. What is no connection string, or no name, fails
// at the first use. Errors hold neither user name nor password.
func OpenWith(uri func(context.Context) (string, error), database string, opts ...Option) *Store {
	s := &Store{ask: uri, name: database, now: time.Now, dialling: make(chan struct{}, 1), linger: lingering}
	s.life, s.end = context.WithCancel(context.Background())
	for _, opt := range opts {
		opt(s)
	}
	return s
}

func checkName(database string) error {
	if database == "" || len(database) > 63 || strings.ContainsAny(database, "/\\. \"$*<>:|?\x00") {
		return fmt.Errorf("%q is no name for a database", database)
	}
	return nil
}

// Ping says whether the database can be reached, within the context's time or
// that of choosing a server, 5 s.
func (s *Store) Ping(ctx context.Context) error {
	db, err := s.database(ctx)
	if err != nil {
		return err
	}
	if err := db.Client().Ping(ctx, readpref.Primary()); err != nil {
		return fmt.Errorf("ping the database: %w", err)
	}
	return nil
}

// errClosed is what every use of a closed store fails with.
var errClosed = errors.New("the store is closed")

// Close ends the connections. It waits 5 s at most for operations that run.
func (s *Store) Close() error {
	s.closing.Lock()
	closed := s.closed.Swap(true)
	s.closing.Unlock()
	if closed {
		return nil
	}
	s.end()
	s.background.Wait()
	client := s.client.Swap(nil)
	if client == nil {
		return nil
	}
	if err := disconnect(client); err != nil {
		return fmt.Errorf("close the MongoDB store: %w", err)
	}
	return nil
}
