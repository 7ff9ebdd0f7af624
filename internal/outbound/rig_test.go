package outbound

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	canary = "c4n4ry"        // in every secret of a test
	public = "93.184.216.34" // an address that may be called
)

// names is a Resolver: what each name leads to, at each look-up in turn; the
// last stays. "*" is any other name.
type names struct {
	mu    sync.Mutex
	leads map[string][][]netip.Addr
	asked []string
}

func (n *names) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, network+" "+host)
	name := strings.TrimSuffix(host, ".")
	if _, known := n.leads[name]; !known {
		name = "*"
	}
	turns := n.leads[name]
	if len(turns) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(turns) > 1 {
		n.leads[name] = turns[1:]
	}
	return turns[0], nil
}

func leadTo(name string, addrs ...string) *names {
	return &names{leads: map[string][][]netip.Addr{name: {parsed(addrs...)}}}
}

func parsed(addrs ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range addrs {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// authority signs a certificate for whatever name a client asks for, so that
// TLS never saves a client which lets a wrong address through.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

var newAuthority = sync.OnceValue(func() *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	a := &authority{key: key, pool: x509.NewCertPool()}
	a.cert = certify(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, key, key)
	a.pool.AddCert(a.cert)
	return a
})

func certify(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	template.NotBefore = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) // a bubble's clock starts in 2000
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}

func (a *authority) leaf(name string, until time.Time) *tls.Certificate {
	cert := certify(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, a.key, a.key)
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: a.key}
}

func (a *authority) config() *tls.Config {
	return &tls.Config{
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return a.leaf(hello.ServerName, time.Time{}), nil
		},
	}
}

// rig is a client and a host that stands at every address in the world: what
// the client lets through arrives there.
type rig struct {
	*Client
	names *names
	logs  *bytes.Buffer

	mu     sync.Mutex
	dialed []string // the connections that were made
	seen   []string // "host authorization" of the requests that arrived

	pipes   chan net.Conn
	serving int        // requests that are being answered
	idle    *sync.Cond // of mu: there are fewer
}

func newRig(t testing.TB, cfg Config, leads *names, handler http.HandlerFunc) *rig {
	t.Helper()
	r := &rig{names: leads, logs: new(bytes.Buffer), pipes: make(chan net.Conn)}
	cfg.Resolver, cfg.Roots = leads, newAuthority().pool
	cfg.Log = slog.New(slog.NewTextHandler(r.logs, nil))
	client, err := New(cfg)
	require.NoError(t, err)
	client.connect = r.connect
	r.Client, r.idle = client, sync.NewCond(&r.mu)
	server := &http.Server{Handler: r.note(handler), TLSConfig: newAuthority().config(), ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(r, "", "") }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
		r.mu.Lock()
		defer r.mu.Unlock()
		for r.serving > 0 {
			r.idle.Wait()
		}
	})
	return r
}

func (r *rig) connect(ctx context.Context, _, address string) (net.Conn, error) {
	r.mu.Lock()
	r.dialed = append(r.dialed, address)
	r.mu.Unlock()
	near, far := inMemory()
	select {
	case r.pipes <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *rig) note(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.serving++
		r.seen = append(r.seen, req.Host+" "+req.Header.Get("Authorization"))
		r.mu.Unlock()
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.serving--
			r.idle.Broadcast()
		}()
		next(w, req)
	}
}

// Accept, Close and Addr make it the server's listener.
func (r *rig) Accept() (net.Conn, error) {
	conn, open := <-r.pipes
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (r *rig) Close() error   { close(r.pipes); return nil }
func (r *rig) Addr() net.Addr { return &net.TCPAddr{} }

func (r *rig) connections() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.dialed)
}

func (r *rig) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// get calls with a secret in the header.
func (r *rig) get(t testing.TB, address string) (Response, error) {
	t.Helper()
	return r.Do(t.Context(), Request{
		Method: http.MethodGet, URL: address,
		Header: http.Header{"Authorization": {"Bearer " + canary}, "Cookie": {"session=" + canary}},
	})
}

// refused sees that a call was refused without a connection, and that nothing
// secret is told of it.
func (r *rig) refused(t testing.TB, address string) {
	t.Helper()
	before := len(r.connections())
	answer, err := r.get(t, address)
	require.ErrorIs(t, err, ErrRefused, "%q", address)
	require.Equal(t, Response{}, answer)
	require.Len(t, r.connections(), before, "%q", address)
	require.NotContains(t, err.Error(), canary)
	require.NotContains(t, r.logs.String(), canary)
}

func fine(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") }

// speak makes the client's connections end at a host that speaks TLS, but
// whatever it likes inside.
func (r *rig) speak(t testing.TB, config *tls.Config, talk func(net.Conn)) {
	t.Helper()
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	r.Client.connect = func(context.Context, string, string) (net.Conn, error) {
		near, far := inMemory()
		wg.Go(func() {
			defer func() { _ = far.Close() }()
			conn := tls.Server(far, config)
			if err := conn.Handshake(); err != nil {
				return
			}
			talk(conn)
		})
		return near, nil
	}
}

// inMemory is a pair of connections that holds what was written until it is
// read, as a network does. Over a bare net.Pipe both ends of TLS may say goodbye
// at once and wait for each other.
func inMemory() (near, far net.Conn) {
	near, nearEnd := net.Pipe()
	farEnd, far := net.Pipe()
	go carry(farEnd, nearEnd)
	go carry(nearEnd, farEnd)
	return near, far
}

func carry(to, from net.Conn) {
	held := make(chan []byte, 1<<12)
	go func() {
		defer close(held)
		for {
			part := make([]byte, 32<<10)
			n, err := from.Read(part)
			if err != nil {
				return
			}
			held <- part[:n]
		}
	}()
	for part := range held {
		if _, err := to.Write(part); err != nil {
			_ = from.Close()
		}
	}
	_ = to.Close()
}

var errSilent = errors.New("never answers")
