package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aoc/internal/audit"
	"aoc/internal/auth"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// scraped is what an address is answered.
func scraped(t *testing.T, a *API, hops ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.RemoteAddr, r.Header["X-Forwarded-For"] = "127.0.0.1:999", hops
	w := served(t, a, r)
	return w.Code, w.Body.String()
}

func TestWhoMayReadTheMetrics(t *testing.T) {
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	tests := []struct {
		name    string
		behind  bool
		allowed []netip.Prefix
		hops    []string
		want    int
	}{
		{"this machine", false, local, nil, 200},
		{"this machine, whatever it claims", false, local, []string{"203.0.113.9"}, 200},
		{"behind the host every peer is this machine", true, local, nil, 403},
		{"an allowed address that the front end added", true, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, []string{"203.0.113.9:4711"}, 200},
		{"another", true, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, []string{"198.51.100.1"}, 403},
		{"an address that the caller added", true, local, []string{"127.0.0.1, 198.51.100.1:80"}, 403},
		{"in a line of its own", true, local, []string{"127.0.0.1", "198.51.100.1:80"}, 403},
		{"nobody is allowed", false, nil, nil, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, _, _, _ := testAPI(t)
			a.BehindHost, a.MetricsAllowed = tt.behind, tt.allowed
			status, body := scraped(t, a, tt.hops...)
			require.Equal(t, tt.want, status)
			require.Equal(t, tt.want == 200, strings.Contains(body, "aoc_build_info"))
		})
	}
}

// counting is a door that counts.
type counting struct{ door }

func (counting) Stats() auth.Stats {
	return auth.Stats{Accepted: 5, Refused: map[string]int64{"time": 3}, KeyFetches: 2}
}

func openMetrics(t *testing.T) (*API, *ledger) {
	a, _, _, l := guarded(t)
	a.MetricsAllowed = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	return a, l
}

func TestMetrics(t *testing.T) {
	a, l := openMetrics(t)
	a.Callers = counting{people()}
	l.states = []audit.FeedState{
		{Source: audit.EntraDirectory, CaughtUpTo: time.Now().Add(-90 * time.Second), LastSuccess: time.Unix(1770000000, 0), Windows: 9, Waiting: 2, Failing: 1, Lost: 3, Counts: audit.Counts{New: 77}},
		{Source: audit.M365DLP},
	}
	a.Instances = &fleet{told: []audit.Instance{{ID: "worker1", At: time.Unix(1770000001, 0), Limiters: []audit.LimiterStats{
		{Name: "management", Calls: 12, Waited: 1500 * time.Millisecond, Throttles: 4, Share: .5, Alone: true},
	}}}}
	for range 3 {
		call(t, a, "GET", "/api/events", "", as(analyst)...)
	}
	status, body := scraped(t, a)
	require.Equal(t, 200, status)
	for _, want := range []string{
		`aoc_requests_total{method="GET",route="/api/events",status="200"} 3`,
		`aoc_request_seconds_count{method="GET",route="/api/events"} 3`,
		`aoc_store_seconds_count{operation="search"} 3`,
		`aoc_feed_lag_seconds{source="entra.directory"} 9`,
		`aoc_feed_last_success_timestamp_seconds{source="entra.directory"} 1.77e+09`,
		`aoc_feed_records_total{source="entra.directory"} 77`,
		`aoc_feed_windows{source="entra.directory",state="lost"} 3`,
		`aoc_feed_records_total{source="m365.dlp"} 0`,
		`aoc_instances 1`,
		`aoc_limiter_calls_total{api="management",instance="worker1"} 12`,
		`aoc_limiter_waited_seconds_total{api="management",instance="worker1"} 1.5`,
		`aoc_limiter_throttles_total{api="management",instance="worker1"} 4`,
		`aoc_limiter_share{api="management",instance="worker1"} 0.5`,
		`aoc_limiter_alone{api="management",instance="worker1"} 1`,
		`aoc_sign_ins_accepted_total 5`, `aoc_sign_in_refusals_total{class="time"} 3`, `aoc_signing_key_fetches_total 2`,
		`aoc_build_info{commit="",go="",version="v1"} 1`, `aoc_own_log_failures_total 0`, "go_goroutines",
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, `aoc_feed_lag_seconds{source="m365.dlp"}`, "it has never been read")
	problems, err := testutil.GatherAndLint(a.metrics().registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestAStoreThatCannotBeReadCostsItsSeriesOnly(t *testing.T) {
	a, _ := openMetrics(t)
	a.Instances, a.Log = &fleet{err: errors.New("mongodb://user:canary-password@host: down")}, slog.New(slog.DiscardHandler)
	status, body := scraped(t, a)
	require.Equal(t, 200, status)
	require.Contains(t, body, "aoc_scrape_errors_total 1")
	require.Contains(t, body, "aoc_quota_failures_total 0")
	require.NotContains(t, body, "canary-password")
}

func TestCallersMakeNoSeries(t *testing.T) {
	a, _ := openMetrics(t)
	series := func() int {
		_, body := scraped(t, a)
		require.NotContains(t, body, "canary")
		return strings.Count(body, "\naoc_")
	}
	call(t, a, "GET", "/api/events/canary", "", as(chief)...)
	call(t, a, "GET", "/canary", "", as(chief)...)
	call(t, a, "CANARY", "/api/events", "", as(chief)...)
	series() // the first look makes the series of looking
	before := series()
	for i := range 300 {
		call(t, a, "GET", fmt.Sprintf("/api/events/canary-%d", i), "", as(chief)...)
		call(t, a, "GET", fmt.Sprintf("/canary-%d", i), "", as(chief)...)
		call(t, a, fmt.Sprintf("CANARY%d", i), "/api/events", "", "Authorization", fmt.Sprintf("Bearer canary-%d", i))
	}
	// 120 reads a minute: from then on they are refused, which is one status more.
	require.LessOrEqual(t, series(), before+5)
}

func TestReady(t *testing.T) {
	state := func(state string, err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return state, err }
	}
	tests := []struct {
		name   string
		deps   []Dependency
		status int
		want   map[string]any
	}{
		{"nothing to look at", nil, 200, map[string]any{}},
		{"all well", []Dependency{{"database", true, state("ok", nil)}, {"redis", true, state("unused", nil)}}, 200, map[string]any{"database": "ok", "redis": "unused"}},
		{"the database is gone", []Dependency{{"database", true, state("", errors.New("mongodb://user:canary@host"))}}, 503, map[string]any{"database": "unreachable"}},
		{"collection is late", []Dependency{{"database", true, state("ok", nil)}, {"collection", false, state("late", nil)}}, 200, map[string]any{"database": "ok", "collection": "late"}},
		{"it hangs", []Dependency{{"redis", true, func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }}}, 503, map[string]any{"redis": "unreachable"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _, _, _ := guarded(t)
				a.Dependencies, a.Log = tt.deps, slog.New(slog.DiscardHandler)
				began := time.Now()
				status, answer, _ := call(t, a, "GET", "/health/ready", "")
				require.LessOrEqual(t, time.Since(began), pingTime)
				require.Equal(t, tt.status, status)
				require.Equal(t, tt.want, answer["dependencies"])
				require.Equal(t, status == 200, answer["status"] == "ready")
			})
		})
	}
}

func TestReadyIsNoWayToHammer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, _, _ := guarded(t)
		looks := 0
		a.Dependencies = []Dependency{{"database", true, func(context.Context) (string, error) { looks++; return "ok", nil }}}
		for range 1000 {
			served(t, a, httptest.NewRequest("GET", "/health/ready", nil))
		}
		require.Equal(t, 1, looks)
		time.Sleep(readyFresh)
		served(t, a, httptest.NewRequest("GET", "/health/ready", nil))
		require.Equal(t, 2, looks)
	})
}

func TestHealthIsNoWayToHammer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, _, l := guarded(t)
		a.Log = slog.New(slog.DiscardHandler)
		state := func() any {
			_, answer, _ := call(t, a, "GET", "/health", "")
			return answer["database"]
		}
		require.Equal(t, "ok", state())
		l.ping = errors.New("down")
		require.Equal(t, "ok", state(), "it is not asked again at once")
		time.Sleep(readyFresh)
		require.Equal(t, "unreachable", state())
	})
}
