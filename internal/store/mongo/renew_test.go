package mongo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/store/mongo/ferret"
	"aoc/internal/store/storetest"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// gate stands before a server that knows no passwords and lets in who has a
// good one, by the PLAIN mechanism.
type gate struct {
	listener net.Listener
	server   string
	mu       sync.Mutex
	good     map[string]bool
	inside   map[net.Conn]string // connections, by the password that they came in with
	refused  int
}

func newGate(t *testing.T) *gate {
	t.Helper()
	if _, given := ferret.Given(); given {
		t.Skip("a given server looks at passwords itself, and may need TLS")
	}
	target, err := url.Parse(ferret.Start(t))
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := &gate{listener: l, server: target.Host, inside: map[net.Conn]string{}}
	t.Cleanup(func() { _ = l.Close(); g.closeAll() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go g.serve(in)
		}
	}()
	return g
}

func (g *gate) uri(password string) string {
	return "mongodb://keeper:" + password + "@" + g.listener.Addr().String() + "/?authMechanism=PLAIN&authSource=%24external"
}

// allow makes these the good passwords.
func (g *gate) allow(passwords ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.good = map[string]bool{}
	for _, p := range passwords {
		g.good[p] = true
	}
}

// count is how many connections came in with a password.
func (g *gate) count(password string) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.inside {
		if p == password {
			n++
		}
	}
	return n
}

func (g *gate) closeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.inside {
		_ = c.Close()
	}
}

func (g *gate) serve(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", g.server)
	if err != nil {
		return
	}
	defer out.Close()
	g.mu.Lock()
	g.inside[in] = ""
	g.mu.Unlock()
	defer func() { g.mu.Lock(); delete(g.inside, in); g.mu.Unlock() }()
	go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
	for {
		header := make([]byte, 16)
		if _, err := io.ReadFull(in, header); err != nil {
			return
		}
		body := make([]byte, binary.LittleEndian.Uint32(header)-16)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		if password, asks := passwordIn(header, body); asks {
			_, err = in.Write(g.answer(in, header, password))
		} else {
			_, err = out.Write(append(header, body...))
		}
		if err != nil {
			return
		}
	}
}

// passwordIn reads the password out of a message that asks to be let in.
func passwordIn(header, body []byte) (password string, asks bool) {
	const opMsg = 2013
	if binary.LittleEndian.Uint32(header[12:]) != opMsg || len(body) < 5 {
		return "", false
	}
	doc := bson.Raw(body[5:])
	first, err := doc.IndexErr(0)
	if err != nil || first.Key() != "saslStart" {
		return "", false
	}
	_, payload := doc.Lookup("payload").Binary()
	return string(payload[bytes.LastIndexByte(payload, 0)+1:]), true
}

func (g *gate) answer(in net.Conn, header []byte, password string) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	reply := bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: 18}, {Key: "codeName", Value: "AuthenticationFailed"}, {Key: "errmsg", Value: "Authentication failed."}}
	if g.good[password] {
		g.inside[in] = password
		reply = bson.D{{Key: "ok", Value: 1}, {Key: "conversationId", Value: 1}, {Key: "done", Value: true}, {Key: "payload", Value: []byte{}}}
	} else {
		g.refused++
	}
	doc, err := bson.Marshal(reply)
	if err != nil {
		return nil
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(16+5+len(doc)))
	b = append(b, 0, 0, 0, 0)
	b = append(b, header[4:8]...) // whom it answers
	b = append(b, header[12:16]...)
	b = append(b, 0, 0, 0, 0, 0)
	return append(b, doc...)
}

// vault hands out a connection string, and counts how often.
type vault struct {
	mu   sync.Mutex
	uri  string
	err  error
	asks int
}

func (v *vault) get(context.Context) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asks++
	return v.uri, v.err
}

func (v *vault) set(uri string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.uri, v.err = uri, err
}

func (v *vault) asked() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asks
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, 20*time.Second, 5*time.Millisecond, what)
}

func TestSecretThatChangesIsPickedUp(t *testing.T) {
	g, v, clock := newGate(t), &vault{}, storetest.NewClock()
	g.allow("secret-1")
	v.set(g.uri("secret-1"), nil)
	s := OpenWith(v.get, "aoc_test_renewed", Clock(clock.Now))
	s.linger = 50 * time.Millisecond
	t.Cleanup(func() { _ = s.Close() })
	require.Zero(t, v.asked(), "it is asked at the first use")
	_, err := s.Insert(t.Context(), storetest.Batch(0, 5))
	require.NoError(t, err)
	require.Equal(t, 1, v.asked())

	var stop atomic.Bool
	var users sync.WaitGroup
	for range 3 {
		users.Go(func() {
			for !stop.Load() {
				if _, err := s.Search(t.Context(), audit.Query{Scope: audit.Everything(), Limit: 5}); err != nil {
					t.Errorf("a request failed while both secrets were good: %v", err)
					return
				}
			}
		})
	}
	g.allow("secret-1", "secret-2")
	v.set(g.uri("secret-2"), nil)
	clock.Advance(askEvery - 1)
	require.NoError(t, s.Ping(t.Context()))
	require.Equal(t, 1, v.asked(), "not yet")
	clock.Advance(1)
	eventually(t, "the new secret is used", func() bool { return g.count("secret-2") > 0 })
	eventually(t, "the old connections are closed", func() bool { return g.count("secret-1") == 0 })
	g.allow("secret-2")
	require.NoError(t, s.Ping(t.Context()))
	stop.Store(true)
	users.Wait()
	require.Equal(t, 2, v.asked())

	clock.Advance(askEvery)
	v.set("", errors.New("the vault is out of reach"))
	require.NoError(t, s.Ping(t.Context()), "what is there goes on")
	eventually(t, "it was asked", func() bool { return v.asked() == 3 })
	require.NoError(t, s.Ping(t.Context()))
	clock.Advance(askEvery)
	other := newGate(t)
	other.allow("secret-2")
	v.set(other.uri("secret-2"), nil)
	require.NoError(t, s.Ping(t.Context()))
	eventually(t, "it was asked", func() bool { return v.asked() == 4 })
	s.background.Wait()
	require.Zero(t, other.count("secret-2"), "another server is for the next start")
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Ping(t.Context()), errClosed)
	eventually(t, "all connections are closed", func() bool { return g.count("secret-2") == 0 })
}

func TestOldConnectionsServeWhatRuns(t *testing.T) {
	g, v, clock := newGate(t), &vault{}, storetest.NewClock()
	g.allow("secret-1", "secret-2")
	v.set(g.uri("secret-1"), nil)
	s := OpenWith(v.get, "aoc_test_lingering", Clock(clock.Now))
	t.Cleanup(func() { _ = s.Close() })
	coll, err := s.coll(t.Context(), jobsColl) // as an operation of several steps has it
	require.NoError(t, err)
	was := s.client.Load()
	v.set(g.uri("secret-2"), nil)
	clock.Advance(askEvery)
	eventually(t, "the store connects anew", func() bool { return s.Ping(t.Context()) == nil && s.client.Load() != was })
	_, _, err = findOne[jobDoc](t.Context(), coll, "x", nil)
	require.NoError(t, err)
	require.NoError(t, s.Close(), "which waits for nobody")
	eventually(t, "all connections are closed", func() bool { return g.count("secret-1")+g.count("secret-2") == 0 })
}

func TestSecretThatIsRefusedIsAskedForAgain(t *testing.T) {
	g, v, clock := newGate(t), &vault{}, storetest.NewClock()
	v.set(g.uri("secret-1"), nil)
	s := OpenWith(v.get, "aoc_test_refused", Clock(clock.Now))
	t.Cleanup(func() { _ = s.Close() })
	for range 2 {
		err := s.Ping(t.Context())
		require.ErrorContains(t, err, "Authentication failed")
		requireNothingOf(t, err)
	}
	g.allow("secret-1")
	require.NoError(t, s.Ping(t.Context()), "each use tries again until it is connected")

	asked := v.asked()
	v.set(g.uri("secret-2"), nil)
	g.allow("secret-2")
	g.closeAll()
	clock.Advance(askAgain - 1)
	err := s.Ping(t.Context())
	require.Error(t, err)
	requireNothingOf(t, err)
	require.Equal(t, asked, v.asked(), "it was asked a moment ago")
	clock.Advance(1)
	eventually(t, "the new secret is asked for and used", func() bool { return s.Ping(t.Context()) == nil })
	require.Equal(t, asked+1, v.asked())

	clock.Advance(askAgain)
	v.set(g.uri("secret-3"), nil)
	g.allow("secret-3")
	g.closeAll()
	_ = s.Ping(t.Context()) // who is refused starts it at once
	eventually(t, "the new secret is asked for", func() bool { return v.asked() == asked+2 })
	eventually(t, "the new secret is used", func() bool { return s.Ping(t.Context()) == nil })
}

func TestWhatIsNoConnectionStringFailsAtTheFirstUse(t *testing.T) {
	for uri, want := range map[string]string{
		"":                                    "expected a MongoDB URI",
		"postgres://keeper:secret@host":       "expected a MongoDB URI",
		"mongodb://keeper:secret%zz@host":     "percent-encode",
		"mongodb://keeper:secret@host:port":   "port",
		"mongodb://keeper:secret@host/?w=x&%": "",
	} {
		s := OpenWith(func(context.Context) (string, error) { return uri, nil }, "aoc_test")
		err := s.Ping(t.Context())
		require.ErrorContains(t, err, want, uri)
		requireNothingOf(t, err)
		require.NoError(t, s.Close())
	}
	out := errors.New("the vault is out of reach")
	s := OpenWith(func(context.Context) (string, error) { return "", out }, "aoc_test")
	require.ErrorIs(t, s.Ping(t.Context()), out)
	require.NoError(t, s.Close())
	s = OpenWith(func(context.Context) (string, error) { return "mongodb://localhost", nil }, "$a")
	require.ErrorContains(t, s.Ping(t.Context()), "no name for a database")
	require.NoError(t, s.Close())
}

func requireNothingOf(t *testing.T, err error) {
	t.Helper()
	for _, part := range []string{"secret", "keeper", "mongodb://keeper"} {
		require.False(t, strings.Contains(err.Error(), part), "%v", err)
	}
}

func TestServerOf(t *testing.T) {
	for uri, want := range map[string]string{
		"mongodb://a.example:1,B.example/?x=@y":             "mongodb://a.example:1,b.example",
		"mongodb://u:p@a.example:1,b.example/db?x=1":        "mongodb://a.example:1,b.example",
		"mongodb+srv://u:p%40%2F@a.mongocluster.example/?t": "mongodb+srv://a.mongocluster.example",
		"": "://",
	} {
		require.Equal(t, want, serverOf(uri), uri)
	}
}
