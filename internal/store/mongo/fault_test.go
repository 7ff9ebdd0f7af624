package mongo

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/store/mongo/ferret"
	"aoc/internal/store/storetest"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// fresh returns a store over an empty database and the clock that it goes by.
func fresh(t *testing.T) (*Store, *storetest.Clock) {
	t.Helper()
	clock := storetest.NewClock()
	s := freshDatabase(t, ferret.Start(t))(clock.Now).(*Store)
	t.Cleanup(func() { _ = s.Close() })
	return s, clock
}

func TestFaults(t *testing.T) {
	s, clock := fresh(t)
	t.Run("a record too large refuses its batch", func(t *testing.T) {
		noise := make([]byte, maxDoc+1)
		r := rand.NewChaCha8([32]byte{2})
		_, _ = r.Read(noise)                     // never fails
		batch := storetest.Batch(0, blockSize+1) // the last is in a block of its own
		batch[blockSize].Raw = audit.NewRaw(noise)
		_, err := s.Insert(t.Context(), batch)
		require.ErrorIs(t, err, audit.ErrInvalid)
		require.ErrorContains(t, err, batch[blockSize].Event.ID)
		_, err = s.Event(t.Context(), audit.Everything(), batch[0].Event.ID)
		require.ErrorIs(t, err, audit.ErrNotFound)

		// Whoever stores the batch record by record loses none but that one.
		_, err = s.Insert(t.Context(), batch[blockSize:])
		require.ErrorIs(t, err, audit.ErrInvalid)
		n, err := s.Insert(t.Context(), batch[:1])
		require.NoError(t, err)
		require.Equal(t, audit.Inserted{New: 1}, n)
	})
	t.Run("damaged evidence is told", func(t *testing.T) {
		batch := storetest.Batch(2000, 2001)
		_, err := s.Insert(t.Context(), batch)
		require.NoError(t, err)
		coll, err := s.coll(t.Context(), rawColl)
		require.NoError(t, err)
		found, err := change(t.Context(), coll, byID(batch[0].Event.ID), bson.D{{Key: "zstd", Value: pack([]byte(`{"forged":true}`))}})
		require.NoError(t, err)
		require.True(t, found)
		_, err = s.Raw(t.Context(), audit.Everything(), batch[0].Event.ID)
		require.ErrorContains(t, err, "does not match its hash")
	})
	t.Run("a claim gives way to a holder that renewed meanwhile", func(t *testing.T) {
		old, err := s.Acquire(t.Context(), "planner", "old", time.Minute)
		require.NoError(t, err)
		clock.Advance(time.Minute)
		// The new holder has read that the old lease ran out, and inserts its own;
		coll, err := s.coll(t.Context(), leasesColl)
		require.NoError(t, err)
		claimed := audit.Lease{Name: "planner", Holder: "new", Fence: old.Fence + 1, Expires: clock.Now().Add(time.Minute)}
		// but the old one renewed in between, and has looked for a newer one.
		_, err = s.Renew(t.Context(), old, time.Minute)
		require.NoError(t, err)
		ours, err := claim(t.Context(), coll, leaseDoc{ID: leaseID("planner", claimed.Fence), Holder: "new", Expires: claimed.Expires.UnixNano()})
		require.NoError(t, err)
		require.True(t, ours)
		require.ErrorIs(t, s.confirm(t.Context(), coll, claimed), audit.ErrBusy)
		_, err = s.Renew(t.Context(), old, time.Minute)
		require.NoError(t, err, "the claim was taken back")
	})
	t.Run("a window is held for one of two that found it due", func(t *testing.T) {
		due := audit.Window{Source: audit.M365DLP, Start: storetest.Epoch, NextAt: clock.Now()}
		_, err := s.Plan(t.Context(), []audit.Window{due})
		require.NoError(t, err)
		coll, err := s.coll(t.Context(), windowsColl)
		require.NoError(t, err)
		rows, err := dueWindows(t.Context(), coll, []audit.Source{due.Source}, clock.Now(), 5)
		require.NoError(t, err)
		require.Len(t, rows, 1)
		for _, want := range []bool{true, false} {
			row := rows[0] // as both read it
			ours, err := holdWindow(t.Context(), coll, &row, clock.Now().Add(time.Minute))
			require.NoError(t, err)
			require.Equal(t, want, ours)
		}
		require.NoError(t, s.SaveWindows(t.Context(), audit.Lease{Fence: 1}, []audit.Window{{Source: due.Source, Start: due.Start}}))
	})
	t.Run("a term is the beginning of one token", func(t *testing.T) {
		odd := storetest.Event(3000)
		odd.Tokens = []string{"aa", "cc"} // one above the term, one below what follows it
		_, err := s.Insert(t.Context(), []audit.Stored{odd})
		require.NoError(t, err)
		for term, want := range map[string]int{"bb": 0, "cc": 1, "a": 1} {
			page, err := s.Search(t.Context(), audit.Query{Scope: audit.Everything(), Terms: []string{term}, Limit: 5, Start: odd.Event.Time, End: odd.Event.Time.Add(1)})
			require.NoError(t, err)
			require.Len(t, page.Events, want, term)
		}
	})
	t.Run("sources whose names begin alike are kept apart", func(t *testing.T) {
		at := storetest.Epoch
		rows := []audit.Window{{Source: audit.EntraSignIn, Start: at}, {Source: audit.EntraSignIn, Start: at.Add(time.Hour)}, {Source: audit.EntraSignInNonInter, Start: at}}
		_, err := s.Plan(t.Context(), rows)
		require.NoError(t, err)
		all, err := s.Windows(t.Context(), audit.LedgerQuery{Limit: 3}) // entra.* come first
		require.NoError(t, err)
		require.Equal(t, rows, all)
		one, err := s.Windows(t.Context(), audit.LedgerQuery{Sources: []audit.Source{audit.EntraSignIn}, Limit: 10})
		require.NoError(t, err)
		require.Equal(t, rows[:2], one)
	})
}

// TestRenumberingThatStopsIsTakenUpAgain leaves events in both blocks: some
// moved into a block that nobody closed, some not.
func TestRenumberingThatStopsIsTakenUpAgain(t *testing.T) {
	s, clock := fresh(t)
	batch := storetest.Batch(0, 10)
	halted := abandonWrite(t, s, batch)
	clock.Advance(giveUp)
	_, err := s.After(t.Context(), 0, 100) // gives the block up
	require.NoError(t, err)
	require.NoError(t, halted.Rest())

	coll, err := s.coll(t.Context(), eventsColl)
	require.NoError(t, err)
	rows, err := findAll[storedEvent](t.Context(), coll, between("seq", block(1).first(), block(2).first()), nil)
	require.NoError(t, err)
	require.Len(t, rows, len(batch))
	second, err := s.openBlock(t.Context())
	require.NoError(t, err)
	require.NoError(t, move(t.Context(), coll, rows[:6], second))

	clock.Advance(lookAgain)
	seen := map[string]bool{}
	last := int64(second.first()) // a reader that had passed both blocks
	for range 5 {
		events, err := s.After(t.Context(), last, 100)
		require.NoError(t, err)
		for _, e := range events {
			seen[e.Event.ID], last = true, e.Seq
		}
		clock.Advance(lookAgain)
	}
	for _, e := range batch {
		require.True(t, seen[e.Event.ID])
	}
}

func TestReadersWaitForAWriterThatIsInTime(t *testing.T) {
	s, clock := fresh(t)
	slow, quick := storetest.Batch(0, 10), storetest.Batch(10, 15)
	halted := abandonWrite(t, s, slow)
	_, err := s.Insert(t.Context(), quick)
	require.NoError(t, err)
	clock.Advance(giveUp - 1)
	events, err := s.After(t.Context(), 0, 100)
	require.NoError(t, err)
	require.Empty(t, events, "the first block is open")

	require.NoError(t, halted.Rest())
	require.NoError(t, halted.Close())
	events, err = s.After(t.Context(), 0, 100)
	require.NoError(t, err)
	require.Len(t, events, len(slow)+len(quick))
	require.Equal(t, block(1).first(), events[0].Seq)

	fence, err := s.fence(t.Context())
	require.NoError(t, err)
	require.Equal(t, block(3).first(), fence, "a block that is claimed now is beyond it")
}

func TestTrailFindsWhatLiesBehindEmptyBlocks(t *testing.T) {
	s, _ := fresh(t)
	for range 70 {
		b, err := s.openBlock(t.Context())
		require.NoError(t, err)
		require.NoError(t, s.closeBlock(t.Context(), b))
	}
	_, err := s.Insert(t.Context(), storetest.Batch(0, 3))
	require.NoError(t, err)
	events, err := s.After(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, events, 3)
	require.Equal(t, block(71).first(), events[0].Seq)

	late := freshStoreWith(t, s)
	b, err := late.openBlock(t.Context())
	require.NoError(t, err)
	require.Equal(t, block(72), b, "a store that starts finds the last block")
}

func TestConnectsOnFirstUseAndTriesAgain(t *testing.T) {
	target, err := url.Parse(ferret.Start(t))
	require.NoError(t, err)
	if _, given := ferret.Given(); given {
		t.Skip("a given server may need TLS, which the relay of this test does not speak")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())

	s, err := Open("mongodb://"+addr+"/", "aoc_test_lazy")
	require.NoError(t, err, "nothing is dialled yet")
	t.Cleanup(func() { _ = s.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Ping(ctx), context.DeadlineExceeded)

	l, err = net.Listen("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go relay(l, target.Host)
	require.NoError(t, s.Ping(t.Context()))
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Ping(t.Context()), errClosed)
}

// relay hands connections on.
func relay(l net.Listener, to string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			_ = in.Close()
			continue
		}
		go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
		go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
	}
}
