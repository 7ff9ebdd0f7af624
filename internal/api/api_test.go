package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func call(t *testing.T, a *API, method, target, body string, headers ...string) (int, map[string]any, http.Header) {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := served(t, a, r)
	var answer map[string]any
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/") {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), w.Body.String())
	}
	return w.Code, answer, w.Header()
}

func TestEventsWalk(t *testing.T) {
	a, _, _, _ := testAPI(t)
	var ids []string
	cursor, pages := "", 0
	for pages = 1; ; pages++ {
		status, answer, _ := call(t, a, "GET", "/api/events?page_size=3&service=entra&service=Exchange&cursor="+url.QueryEscape(cursor), "")
		require.Equal(t, 200, status)
		require.EqualValues(t, 3, answer["page_size"])
		for _, e := range answer["events"].([]any) {
			ids = append(ids, e.(map[string]any)["id"].(string))
		}
		if cursor = answer["next_cursor"].(string); cursor == "" {
			break
		}
	}
	require.Equal(t, 3, pages)
	require.Len(t, ids, 7)
	require.True(t, slices.IsSorted(ids), "newest first")
}

func TestEventsFilters(t *testing.T) {
	a, _, _, _ := testAPI(t)
	tests := map[string]int{
		"":                                   7,
		"service=Entra":                      4,
		"service=Teams":                      0,
		"actor=ALICE@contoso.com":            7,
		"result=failure":                     0,
		"result=Success":                     7,
		"start=2026-03-31T11:00:00Z":         2,
		"end=2026-03-31T11:00:00Z":           5,
		"start=2026-03-31&end=2026-04-01":    7,
		"start=2026-03-31T12:00:00%2B02:00":  3,
		"search=ali+bob":                     7,
		"search=carol":                       0,
		"page_size=9999":                     7,
		"operation=Add+user&service=Entra":   4,
		"source=entra.directory&category=No": 0,
	}
	for query, want := range tests {
		status, answer, header := call(t, a, "GET", "/api/events?"+query, "")
		require.Equal(t, 200, status, query)
		require.Len(t, answer["events"], want, query)
		require.Equal(t, "no-store", header.Get("Cache-Control"))
	}
	_, answer, _ := call(t, a, "GET", "/api/events?page_size=9999", "")
	require.EqualValues(t, 500, answer["page_size"], "clamped and said")
}

func TestBadInputNamesItsField(t *testing.T) {
	a, _, p, _ := testAPI(t)
	_, page, _ := call(t, a, "GET", "/api/events?page_size=1", "")
	cursor := page["next_cursor"].(string)
	tests := []struct{ method, target, body, field string }{
		{"GET", "/api/events?servise=Entra", "", "servise"},
		{"GET", "/api/events?page_size=0", "", "page_size"},
		{"GET", "/api/events?page_size=ten", "", "page_size"},
		{"GET", "/api/events?page_size=1&page_size=2", "", "page_size"},
		{"GET", "/api/events?start=yesterday", "", "start"},
		{"GET", "/api/events?end=2026-13-01", "", "end"},
		{"GET", "/api/events?start=2026-03-31&end=2026-03-31", "", "end"},
		{"GET", "/api/events?result=great", "", "result"},
		{"GET", "/api/events?service=", "", "service"},
		{"GET", "/api/events?actor=" + strings.Repeat("x", 600), "", "actor"},
		{"GET", "/api/events?search=%2E%2E%2E", "", "search"},
		{"GET", "/api/events?search=" + "a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q", "", "search"},
		{"GET", "/api/events?cursor=xyz", "", "cursor"},
		{"GET", "/api/events?service=Entra&cursor=" + cursor, "", "cursor"},
		{"GET", "/api/events?a=%zz", "", "query"},
		{"GET", "/api/events/1?raw=1", "", "raw"},
		{"GET", "/api/filter-options?x=1", "", "x"},
		{"GET", "/api/jobs?x=1", "", "x"},
		{"GET", "/api/jobs/1?x=1", "", "x"},
		{"GET", "/api/source-health?x=1", "", "x"},
		{"GET", "/api/config/features?x=1", "", "x"},
		{"GET", "/api/version?x=1", "", "x"},
		{"POST", "/api/fetch-audit-logs?hours=-1", "", "hours"},
		{"POST", "/api/fetch-audit-logs?hours=1.5", "", "hours"},
		{"POST", "/api/fetch-audit-logs", `{"hours":0}`, "hours"},
		{"POST", "/api/fetch-audit-logs?hours=2", `{"hours":3}`, "hours"},
		{"POST", "/api/fetch-audit-logs", `{"hour":3}`, "body"},
		{"POST", "/api/fetch-audit-logs", `{"hours":3} {}`, "body"},
		{"POST", "/api/fetch-audit-logs", `[`, "body"},
	}
	for _, tt := range tests {
		status, answer, _ := call(t, a, tt.method, tt.target, tt.body)
		require.Equal(t, 400, status, tt.target)
		told := answer["error"].(map[string]any)
		require.Equal(t, "invalid_request", told["code"])
		require.True(t, strings.HasPrefix(told["message"].(string), tt.field+": "), "%s: %v", tt.target, told["message"])
		require.NotEmpty(t, told["request_id"])
	}
	require.Empty(t, p.hours, "nothing was planned")
}

func TestEventWithItsRawRecord(t *testing.T) {
	a, m, _, _ := testAPI(t)
	id := m.stored[0].Event.ID
	status, answer, _ := call(t, a, "GET", "/api/events/"+id, "")
	require.Equal(t, 200, status)
	require.Equal(t, id, answer["event"].(map[string]any)["id"])
	raw := answer["raw"].(map[string]any)
	require.Equal(t, string(m.raw[id]), raw["text"], "byte by byte")
	require.Equal(t, audit.NewRaw(m.raw[id]).SHA256, raw["sha256"])

	m.raw[id] = []byte("{\"x\":\"\xff\"} junk")
	_, answer, _ = call(t, a, "GET", "/api/events/"+id, "")
	raw = answer["raw"].(map[string]any)
	require.Nil(t, raw["json"])
	require.Equal(t, "{\"x\":\"\uFFFD\"} junk", raw["text"])

	status, answer, _ = call(t, a, "GET", "/api/events/nope", "")
	require.Equal(t, 404, status)
	require.Equal(t, "not_found", answer["error"].(map[string]any)["code"])
}

func TestFilterOptions(t *testing.T) {
	a, m, _, _ := testAPI(t)
	_, answer, _ := call(t, a, "GET", "/api/filter-options", "")
	require.Equal(t, map[string]any{
		"service": []any{"Entra", "Exchange"}, "operation": []any{"Add user"}, "result": []any{"success"}, "source": []any{"entra.directory"}, "category": []any{},
	}, answer)
	m.stored = nil
	_, answer, _ = call(t, a, "GET", "/api/filter-options", "")
	require.Equal(t, []any{}, answer["service"], "empty, not null")
}

func TestFetch(t *testing.T) {
	a, _, p, _ := testAPI(t)
	tests := []struct {
		method, target, body string
		hours                int
		clamped              bool
	}{
		{"POST", "/api/fetch-audit-logs", "", 24, false},
		{"POST", "/api/fetch-audit-logs?hours=720", "", 720, false},
		{"POST", "/api/fetch-audit-logs?hours=721", "", 720, true},
		{"GET", "/api/fetch-audit-logs?hours=5", "", 5, false},
		{"POST", "/api/fetch-audit-logs", `{"hours":3}`, 3, false},
		{"POST", "/api/fetch-audit-logs", `{}`, 24, false},
	}
	for i, tt := range tests {
		status, answer, header := call(t, a, tt.method, tt.target, tt.body)
		require.Equal(t, 202, status)
		require.Equal(t, "/api/jobs/j1", header.Get("Location"))
		require.Equal(t, tt.clamped, answer["clamped"])
		require.Equal(t, tt.clamped, strings.Contains(answer["message"].(string), "became 720"))
		require.Equal(t, tt.hours, p.hours[i])
	}
}

func TestForeignPagesPlanNothing(t *testing.T) {
	a, _, p, _ := testAPI(t)
	tests := []struct {
		method  string
		headers []string
		status  int
	}{
		{"GET", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"POST", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"GET", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"GET", []string{"Origin", "https://evil.example"}, 403},
		{"POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://page.example"}, 202},
		{"GET", []string{"Sec-Fetch-Site", "same-origin"}, 202},
		{"GET", []string{"Sec-Fetch-Site", "none"}, 202},
		{"GET", nil, 202},
	}
	for _, tt := range tests {
		planned := len(p.hours)
		status, _, _ := call(t, a, tt.method, "/api/fetch-audit-logs", "", tt.headers...)
		require.Equal(t, tt.status, status, "%s %v", tt.method, tt.headers)
		require.Equal(t, tt.status == 202, len(p.hours) > planned)
	}
	status, _, _ := call(t, a, "GET", "/api/events", "", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, 200, status, "reading is the browser's to guard")
}

func TestBodyIsCapped(t *testing.T) {
	a, _, _, _ := testAPI(t)
	status, answer, _ := call(t, a, "POST", "/api/fetch-audit-logs", `{"hours":`+strings.Repeat(" ", 70<<10)+`3}`)
	require.Equal(t, 413, status)
	require.Equal(t, "too_large", answer["error"].(map[string]any)["code"])
}

func TestJobs(t *testing.T) {
	a, _, p, _ := testAPI(t)
	p.jobs["j1"] = audit.Job{ID: "j1", State: audit.JobDone, Progress: audit.Progress{Windows: 4, Done: 1, Counts: audit.Counts{Read: 9}}}
	status, answer, _ := call(t, a, "GET", "/api/jobs/j1", "")
	require.Equal(t, 200, status)
	require.EqualValues(t, 9, answer["progress"].(map[string]any)["read"])
	status, _, _ = call(t, a, "GET", "/api/jobs/j2", "")
	require.Equal(t, 404, status)
	_, answer, _ = call(t, a, "GET", "/api/jobs", "")
	require.Equal(t, []any{}, answer["jobs"])
}

func TestSourceHealth(t *testing.T) {
	a, _, _, l := testAPI(t)
	now := time.Now()
	states := map[string]audit.FeedState{
		"waiting": {},
		"ok":      {LastSuccess: now, CaughtUpTo: now.Add(time.Minute)},
		"late":    {LastSuccess: now, CaughtUpTo: now.Add(-2 * time.Hour)},
		"failing": {LastSuccess: now, CaughtUpTo: now, Failing: 3, LastError: "list: 401\nGrant AuditLog.Read.All."},
	}
	for want, state := range states {
		state.Source = audit.EntraDirectory
		l.states = []audit.FeedState{state, {Source: audit.M365Exchange, LastSuccess: now, CaughtUpTo: now}}
		_, answer, _ := call(t, a, "GET", "/api/source-health", "")
		sources := answer["sources"].([]any)
		require.Len(t, sources, 3, "those switched on, and those that once were")
		first := sources[0].(map[string]any)
		require.Equal(t, want, first["state"])
		require.Equal(t, "waiting", sources[1].(map[string]any)["state"], "no row yet")
		require.Equal(t, "off", sources[2].(map[string]any)["state"])
		if want == "failing" {
			require.Equal(t, "list: 401", first["error"])
			require.Equal(t, "Grant AuditLog.Read.All.", first["advice"])
		}
	}
}

func TestErrorsOfTheInsideStayInside(t *testing.T) {
	a, m, _, l := testAPI(t)
	m.err = errors.New("dial mongodb://aoc:hunter2@db: refused")
	for _, target := range []string{"/api/events", "/api/filter-options"} {
		status, answer, _ := call(t, a, "GET", target, "", "X-Azure-Functions-InvocationId", "0a0b0c0d-0000-4000-8000-00000000000b")
		require.Equal(t, 500, status)
		require.Equal(t, map[string]any{"code": "internal", "message": "internal error", "request_id": "0a0b0c0d-0000-4000-8000-00000000000b"}, answer["error"])
	}
	m.err = fmt.Errorf("search: %w", audit.ErrBusy)
	status, answer, _ := call(t, a, "GET", "/api/events", "")
	require.Equal(t, 503, status)
	require.NotContains(t, answer["error"].(map[string]any)["message"], "search")

	l.ping = errors.New("dial mongodb://aoc:hunter2@db: refused")
	status, answer, _ = call(t, a, "GET", "/health", "")
	require.Equal(t, 200, status, "it lives")
	require.Equal(t, "unreachable", answer["database"])
	require.NotContains(t, fmt.Sprint(answer), "hunter2")
}

func TestPanicCostsOneRequest(t *testing.T) {
	a, _, _, _ := testAPI(t)
	a.Ledger = nil
	status, answer, _ := call(t, a, "GET", "/api/source-health", "")
	require.Equal(t, 500, status)
	require.Equal(t, "internal error", answer["error"].(map[string]any)["message"])
	status, _, _ = call(t, a, "GET", "/api/version", "")
	require.Equal(t, 200, status)
}

func TestUnknownPaths(t *testing.T) {
	a, _, _, _ := testAPI(t)
	for _, target := range []string{"/", "/api", "/api/config/secrets", "/ingest-timer", "/api/events/"} {
		status, answer, _ := call(t, a, "GET", target, "")
		require.Equal(t, 404, status, target)
		require.Equal(t, "not_found", answer["error"].(map[string]any)["code"])
	}
}
