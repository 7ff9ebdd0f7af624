package mongo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/store/mongo/ferret"
	"aoc/internal/store/storetest"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func engine(tb testing.TB) storetest.Engine {
	uri := ferret.Start(tb)
	_, given := ferret.Given()
	return storetest.Engine{
		Fresh:        func(tb testing.TB) func(func() time.Time) storetest.Store { return freshDatabase(tb, uri) },
		AbandonWrite: abandonWrite,
		GiveUp:       giveUp,
		Contention:   given,
		Slow:         !given,
		InsertRow:    insertRow,
	}
}

// freshDatabase names a database that is dropped when the test ends.
func freshDatabase(tb testing.TB, uri string) func(now func() time.Time) storetest.Store {
	tb.Helper()
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails
	name := "aoc_test_" + hex.EncodeToString(random)
	open := func(now func() time.Time) *Store {
		s, err := Open(uri, name, Clock(now))
		require.NoError(tb, err)
		return s
	}
	tb.Cleanup(func() {
		s := open(time.Now)
		db, err := s.database(context.WithoutCancel(tb.Context()))
		require.NoError(tb, err)
		require.NoError(tb, db.Drop(context.WithoutCancel(tb.Context())))
		require.NoError(tb, s.Close())
	})
	// FerretDB v1 breaks the connection when two make the same indexes at once.
	first := open(time.Now)
	require.NoError(tb, first.Ping(tb.Context()))
	require.NoError(tb, first.Close())
	return func(now func() time.Time) storetest.Store { return open(now) }
}

// abandonWrite does what Insert does, up to the middle of the events.
func abandonWrite(tb testing.TB, store storetest.Store, batch []audit.Stored) *storetest.HaltedWrite {
	tb.Helper()
	s, ctx := store.(*Store), tb.Context()
	fresh, err := s.unknown(ctx, batch)
	require.NoError(tb, err)
	docs, err := s.prepare(ctx, fresh)
	require.NoError(tb, err)
	b, err := s.openBlock(ctx)
	require.NoError(tb, err)
	half := len(docs) / 2
	_, err = s.insertEvents(ctx, b, 0, docs[:half])
	require.NoError(tb, err)
	return &storetest.HaltedWrite{
		Rest: func() error {
			_, err := s.insertEvents(ctx, b, half, docs[half:])
			return err
		},
		Close: func() error { return s.closeBlock(ctx, b) },
	}
}

func insertRow(tb testing.TB, store storetest.Store) func(record []byte) error {
	coll, err := store.(*Store).coll(tb.Context(), "baseline")
	require.NoError(tb, err)
	return func(record []byte) error {
		_, err := coll.InsertOne(tb.Context(), bson.D{{Key: "record", Value: record}})
		return err
	}
}

func TestContract(t *testing.T) { storetest.Run(t, engine(t)) }

func BenchmarkStore(b *testing.B) { storetest.Bench(b, engine(b)) }
