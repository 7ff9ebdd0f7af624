package storetest

import (
	"sync"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

// Engine is one kind of store under test: how it is opened, and what only it
// can do to itself.
type Engine struct {
	// Fresh makes an empty database for one test, drops it when the test ends, and
	// returns how stores are opened on it. Each call of open is another store over
	// the same data, as a second process would have it, going by the clock that it
	// is given. The suite closes what it opens before the database is dropped.
	Fresh func(tb testing.TB) (open func(now func() time.Time) Store)

	// AbandonWrite begins an Insert of batch (two events or more) through the
	// store, stores about half of it, and stops there as a writer does that was
	// killed. Where such a writer could still come back, because it was only slow,
	// it returns how; else nil.
	AbandonWrite func(tb testing.TB, s Store, batch []audit.Stored) *HaltedWrite

	// GiveUp is how long an unfinished writer may hold readers of After back.
	GiveUp time.Duration

	// Contention says that the engine keeps its atomic updates atomic when many
	// want the same row. Tests of just that run only where it is true.
	Contention bool

	// Slow says that the engine takes long over many events. The suite then asks
	// the same kinds of questions, fewer of them and of fewer events.
	Slow bool

	// InsertRow returns the baseline of Bench: the driver's own plain insert of
	// one raw record, durable by itself, into a table or collection that the
	// store does not use. Nil: no baseline.
	InsertRow func(tb testing.TB, s Store) func(record []byte) error
}

// HaltedWrite is an Insert that stopped half way and may go on.
type HaltedWrite struct {
	Rest  func() error // stores the other half
	Close func() error // ends the Insert after Rest, as if it had never stopped
}

// size is how many of something a test takes: all, or of a slow engine few.
func (e Engine) size(all, few int) int {
	if e.Slow {
		return few
	}
	return all
}

type group struct {
	name string
	test func(t *testing.T, e Engine)
}

// Run holds an engine to the contract.
func Run(t *testing.T, engine Engine) {
	RunSearch(t, engine)
	run(t, engine, []group{
		{"insert", testInsert},
		{"evidence", testEvidence},
		{"facets", testFacets},
		{"trail", testTrail},
		{"ledger", testLedger},
		{"ledger sums", testLedgerSums},
		{"blobs", testBlobs},
		{"names", testNames},
		{"leases", testLeases},
		{"jobs", testJobs},
		{"quarantine", testQuarantine},
		{"quotas", testQuotas},
		{"instances", testInstances},
		{"reopen", testReopen},
	})
}

// RunSearch is the part of Run about queries, for engines that have several
// ways of answering and force each in turn.
func RunSearch(t *testing.T, engine Engine) {
	run(t, engine, []group{
		{"scope", testScope},
		{"scope, page by page", testScopePages},
		{"hidden events are absent", testHidden},
		{"search", testSearch},
		{"pages", testPages},
		{"upkeep", testUpkeep},
	})
}

func run(t *testing.T, engine Engine, groups []group) {
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) { g.test(t, engine) })
	}
}

// Clock is a clock that a test moves. It may be read from many goroutines.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at a moment of the generated events' days.
func NewClock() *Clock { return &Clock{now: Epoch.Add(40 * 24 * time.Hour)} }

// Now is the moment at which the clock stands.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bed is what one test stands on: an empty database, a clock, and a store.
type bed struct {
	Store
	clock *Clock
	again func() Store // another store over the same data
}

func newBed(tb testing.TB, e Engine) *bed {
	tb.Helper()
	clock := NewClock()
	open := e.Fresh(tb)
	b := &bed{clock: clock}
	b.again = func() Store {
		s := open(clock.Now)
		tb.Cleanup(func() { _ = s.Close() })
		return s
	}
	b.Store = b.again()
	return b
}

// seed inserts the generated events from..to-1 and returns them.
func (b *bed) seed(tb testing.TB, from, to int) []audit.Stored {
	tb.Helper()
	events := Batch(from, to)
	for part := range chunks(events, 500) {
		n, err := b.Insert(tb.Context(), part)
		require.NoError(tb, err)
		require.Equal(tb, audit.Inserted{New: len(part)}, n)
	}
	return events
}
