package limit

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

var (
	discard = slog.New(slog.DiscardHandler)
	hourly  = audit.Quota{Name: "fetch", Requests: 1 << 20, Window: time.Hour}
)

// network is between Quotas and a simRedis.
type network struct {
	*simRedis
	holed  atomic.Bool // connections are neither made nor refused
	silent atomic.Bool // they are made, and nobody answers
	dials  atomic.Int32

	mu    sync.Mutex
	wires []*wire
}

// wire is a connection that can be cut off from the other side without notice.
type wire struct {
	net.Conn
	dead atomic.Bool
}

func (w *wire) Write(p []byte) (int, error) {
	if w.dead.Load() {
		return len(p), nil
	}
	return w.Conn.Write(p)
}

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	n.dials.Add(1)
	switch {
	case n.holed.Load():
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
	case n.away.Load():
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	conn, err := n.Dial()
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn}
	w.dead.Store(n.silent.Load())
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wires = append(n.wires, w)
	return w, nil
}

// freeze cuts so many of the connections that were made, without notice.
func (n *network) freeze(wires int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.wires[:min(wires, len(n.wires))] {
		w.dead.Store(true)
	}
}

// cut ends the connections that were made.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.wires {
		_ = w.Close()
	}
}

func newNetwork(t *testing.T, log *slog.Logger) (*network, *Limits) {
	n := &network{simRedis: newSimRedis(t)}
	l := n.limits(t, log)
	options := *l.quotas.gate.options
	options.Dialer = n.dial
	options.PoolSize = 1000 // who waits for a place in it uses timers of a pool that all bubbles share
	require.NoError(t, l.quotas.gate.close())
	l.quotas = newQuotas("tenant:app", &options, log)
	return n, l
}

// denied takes and requires that it cannot, and returns how long that took.
func denied(t *testing.T, q *Quotas) time.Duration {
	t.Helper()
	start := time.Now()
	d, err := q.Take(t.Context(), hourly, "me")
	took := time.Since(start)
	require.ErrorIs(t, err, ErrUnreachable)
	require.ErrorIs(t, err, audit.ErrBusy)
	require.Zero(t, d)
	return took
}

func allowed(t *testing.T, q *Quotas) {
	t.Helper()
	d, err := q.Take(t.Context(), hourly, "me")
	require.NoError(t, err)
	require.True(t, d.OK)
}

// fill makes many connections, and returns how many.
func (n *network) fill(t *testing.T, q *Quotas) int {
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			if _, err := q.Take(t.Context(), hourly, "me"); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.wires)
}

func TestGateShutsAndOpens(t *testing.T) {
	for name, outage := range map[string]struct {
		set  func(n *network, on bool)
		cost time.Duration // of a trip
		says string
	}{
		"refused":   {func(n *network, on bool) { n.away.Store(on); n.cut() }, 0, "the connection broke"},
		"blackhole": {func(n *network, on bool) { n.holed.Store(on); n.freeze(1000) }, gateTimeout, "in time"},
		"silent":    {func(n *network, on bool) { n.silent.Store(on); n.freeze(1000) }, gateTimeout, "in time"},
		"loading":   {func(n *network, on bool) { n.SetError(map[bool]string{true: "LOADING it starts"}[on]) }, 0, "LOADING"},
		"read only": {func(n *network, on bool) { n.SetError(map[bool]string{true: "READONLY a replica"}[on]) }, 0, "READONLY"},
		"busy":      {func(n *network, on bool) { n.SetError(map[bool]string{true: "BUSY a script runs"}[on]) }, 0, "BUSY"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := new(strings.Builder)
				n, l := newNetwork(t, slog.New(slog.NewTextHandler(log, nil)))
				q, feed := l.Quotas(), l.Limiter("reports", 2000, time.Minute)
				require.Greater(t, n.fill(t, q), 2)

				outage.set(n, true)
				require.Equal(t, outage.cost, denied(t, q))
				for range 100 {
					require.Zero(t, denied(t, q), "nobody asks what is known")
				}
				time.Sleep(gateRest)
				dials, start := n.dials.Load(), time.Now()
				var slow atomic.Int32
				var callers sync.WaitGroup
				for range 50 {
					callers.Go(func() {
						if denied(t, q) > 0 {
							slow.Add(1)
						}
					})
				}
				callers.Wait()
				require.Equal(t, outage.cost, time.Since(start))
				require.LessOrEqual(t, slow.Load(), int32(1), "one tries, the others do not wait for it")
				require.LessOrEqual(t, n.dials.Load()-dials, int32(2), "it may dial twice")
				require.False(t, feed.Stats().Alone)

				outage.set(n, false)
				time.Sleep(gateRest)
				start = time.Now()
				allowed(t, q)
				n.fill(t, q)
				for range 100 {
					allowed(t, q)
				}
				require.Zero(t, time.Since(start), "no connection of before is tried")
				require.Equal(t, 1, strings.Count(log.String(), "requests cannot be counted"), "logged once")
				require.Equal(t, 1, strings.Count(log.String(), "redis is back: callers'"))
				require.Contains(t, log.String(), outage.says)
				begin(t, 1, feed)
			})
		})
	}
}

// TestOutageOfOneCall has one connection die of many, while others are used.
func TestOutageOfOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l := newNetwork(t, discard)
		q := l.Quotas()
		require.Greater(t, n.fill(t, q), 2)
		n.freeze(1)
		var lost atomic.Int32
		var callers sync.WaitGroup
		for range 300 {
			callers.Go(func() {
				for range 3 { // a moment apart, since the answer takes none
					if _, err := q.Take(t.Context(), hourly, "me"); err != nil {
						lost.Add(1)
					}
					time.Sleep(gateTimeout / 3)
				}
			})
		}
		callers.Wait()
		require.EqualValues(t, 1, lost.Load(), "who is answered meanwhile knows better")
		allowed(t, q)
	})
}

// TestFeedsKeepTheirWay has Quotas without Redis, and feeds with it.
func TestFeedsKeepTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l := newNetwork(t, discard)
		feed := l.Limiter("reports", 2000, time.Minute)
		begin(t, 1, feed)
		n.silent.Store(true)
		start := time.Now()
		var callers sync.WaitGroup
		for range 500 {
			callers.Go(func() { denied(t, l.Quotas()) })
		}
		begin(t, 100, feed)
		require.Zero(t, time.Since(start))
		require.False(t, feed.Stats().Alone)
		callers.Wait()
		require.Equal(t, gateTimeout, time.Since(start), "all who came at first learn of it together")
	})
}

func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l := newNetwork(t, discard)
		for range 2000 {
			require.NoError(t, l.Ping(t.Context()))
		}
		n.SetError("READONLY a replica")
		require.ErrorIs(t, l.Ping(t.Context()), ErrUnreachable)
		n.SetError("")
		require.ErrorIs(t, l.Ping(t.Context()), ErrUnreachable, "it rests")
		time.Sleep(gateRest)
		require.NoError(t, l.Ping(t.Context()), "it opens the gate where nobody else comes")
		allowed(t, l.Quotas())
	})
}

func TestClosedGateStaysShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l := newNetwork(t, discard)
		allowed(t, l.Quotas())
		n.silent.Store(true)
		n.freeze(1000)
		var on sync.WaitGroup
		on.Go(func() { denied(t, l.Quotas()) })
		synctest.Wait()
		q := l.Quotas()
		require.NoError(t, q.gate.close())
		on.Wait()
		dials := n.dials.Load()
		for range 3 {
			time.Sleep(time.Minute)
			require.Zero(t, denied(t, q))
		}
		require.Equal(t, dials, n.dials.Load())
		l.quotas = newQuotas("", q.gate.options, discard) // closed with the others
	})
}

// TestStragglers has trips that end when others have found out more.
func TestStragglers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := newNetwork(t, discard)
		q := l.Quotas()
		g, ctx, lost := q.gate, t.Context(), errors.New("lost")
		first, begun := g.enter(), time.Now()
		require.Same(t, first, g.enter())
		require.Same(t, first, g.enter())
		g.leave(ctx, first, begun, lost)
		require.Nil(t, g.enter())
		g.leave(ctx, first, begun, nil)
		require.Nil(t, g.enter(), "an answer of before does not open it")
		time.Sleep(gateRest)
		allowed(t, q)
		time.Sleep(time.Second)
		g.leave(ctx, first, time.Now(), lost)
		allowed(t, q)
	})
}
