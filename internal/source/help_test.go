package source

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/stretchr/testify/require"
)

const (
	testTenant = "0d4b32a1-6c1f-4b4e-9d5c-5b8f4d1f6a10"
	testFeed   = "/api/v1.0/" + testTenant + "/activity/feed"
)

// fakeCredential gives a new token at every call.
type fakeCredential struct {
	mu     sync.Mutex
	given  int
	scopes []string
	claims []string
	err    error
}

func (f *fakeCredential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.given++
	f.scopes = append(f.scopes, o.Scopes...)
	f.claims = append(f.claims, o.Claims)
	return azcore.AccessToken{Token: fmt.Sprintf("token-%d", f.given), ExpiresOn: time.Now().Add(time.Hour)}, f.err
}

// quiets remembers what a limiter was told.
type quiets struct {
	mu    sync.Mutex
	told  []time.Duration
	waits int
}

func (q *quiets) Wait(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waits++
	return ctx.Err()
}

func (q *quiets) Throttled(d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.told = append(q.told, d)
}

// inMemory is a handler as a transport, for tests in which time is simulated.
type inMemory struct{ http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// open returns a client whose APIs are both at base.
func open(t *testing.T, base string, transport http.RoundTripper, set ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{
		TenantID: testTenant, Credential: &fakeCredential{}, GraphBaseURL: base, ManagementBaseURL: base, Transport: transport,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, f := range set {
		f(&cfg)
	}
	c, err := Open(cfg)
	require.NoError(t, err)
	return c
}

// stub answers over a transport of its own inside a bubble of simulated time.
func stub(t *testing.T, h http.HandlerFunc, set ...func(*Config)) *Client {
	t.Helper()
	return open(t, "https://stub.example", inMemory{h}, set...)
}

// served answers over TCP and TLS.
func served(t *testing.T, h http.Handler) (*Client, string) {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	return open(t, srv.URL, srv.Client().Transport), srv.URL
}

func feedOf(t *testing.T, c *Client, source audit.Source) Feed {
	t.Helper()
	feeds, err := c.Feeds(source)
	require.NoError(t, err)
	return feeds[0]
}

// list and fetch collect an iterator's values and its error.
func list(ctx context.Context, f Feed, from, to time.Time) (blobs []audit.Blob, err error) {
	for b, e := range f.List(ctx, from, to) {
		if e != nil {
			return blobs, e
		}
		blobs = append(blobs, b)
	}
	return blobs, nil
}

func fetch(ctx context.Context, f Feed, blob audit.Blob) (raws []string, err error) {
	for r, e := range f.Fetch(ctx, blob) {
		if e != nil {
			return raws, e
		}
		raws = append(raws, string(r.Raw))
	}
	return raws, nil
}

// ask calls an address of the management service and returns its body.
func ask(ctx context.Context, c *Client, path string) (string, error) {
	resp, err := c.get(ctx, c.management, "ask", &url.URL{Scheme: "https", Host: c.management.base.Host, Path: path})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// inTurn counts calls and answers each with the next of a list of handlers,
// the last for ever.
func inTurn(calls *atomic.Int32, handlers ...http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n := int(calls.Add(1))
		handlers[min(n, len(handlers))-1](w, r)
	}
}

func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}
