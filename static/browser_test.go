package static

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"aoc/static/browsertest"
)

func TestMain(m *testing.M) { os.Exit(browsertest.Main(m)) }

// servePage serves the page and the fake API from one origin, as AOC does.
func servePage(t *testing.T) (*fakeAPI, string) {
	t.Helper()
	api := newFakeAPI(time.Now().UTC().Truncate(time.Second).Add(-time.Minute))
	mux := http.NewServeMux()
	mux.Handle("/", Handler())
	mux.Handle("/api/", api)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return api, server.URL
}

// serveGuarded serves the page, the API and the authority as a demonstration
// with sign-in does.
func serveGuarded(t *testing.T) (*fakeAuthority, *fakeAPI, string) {
	t.Helper()
	people, api := newFakeAuthority(), newFakeAPI(time.Now().UTC().Truncate(time.Second).Add(-time.Minute))
	mux := http.NewServeMux()
	mux.Handle("/", Handler())
	mux.Handle("/api/", people.guard(api))
	mux.Handle(simulated+"/", http.StripPrefix(simulated, people))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return people, api, server.URL
}
