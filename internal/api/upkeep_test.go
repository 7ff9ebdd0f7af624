package api

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func told(t *testing.T, answer map[string]any) (code, message string) {
	t.Helper()
	e := answer["error"].(map[string]any)
	return e["code"].(string), e["message"].(string)
}

func object(v any) map[string]any { return v.(map[string]any) }

func TestCoverageOfAnHour(t *testing.T) {
	due := noon.Add(24 * time.Hour)
	counts := audit.Counts{Read: 12, New: 7, Known: 3, Quarantined: 2}
	tests := map[string]struct {
		row  *audit.Window
		want map[string]any // besides start
	}{
		"never planned": {nil, map[string]any{"state": "unknown"}},
		"planned":       {&audit.Window{State: audit.Planned, NextAt: due}, map[string]any{"state": "pending"}},
		"failing": {
			&audit.Window{State: audit.Planned, NextAt: due, Attempts: 3, Error: "list: 401\nGrant it."},
			map[string]any{"state": "pending", "reason": "list: 401\nGrant it."},
		},
		"a blob is still to be read": {
			&audit.Window{State: audit.Listed, NextAt: due, Error: "read blob b: half an array", Counts: counts},
			map[string]any{"state": "pending", "reason": "read blob b: half an array", "records": 10.0, "quarantined": 2.0},
		},
		"fetched": {&audit.Window{State: audit.Fetched, NextAt: due}, map[string]any{"state": "pending"}},
		"to be listed again": {
			&audit.Window{State: audit.Kept, NextAt: due, Counts: counts, Late: 4},
			map[string]any{"state": "complete", "records": 10.0, "quarantined": 2.0, "late": 4.0},
		},
		"settled": {
			&audit.Window{State: audit.Settled, Counts: counts},
			map[string]any{"state": "complete", "settled": true, "records": 10.0, "quarantined": 2.0},
		},
		"too old for its last listing": {&audit.Window{State: audit.Kept, Counts: counts}, map[string]any{"state": "stored", "records": 10.0, "quarantined": 2.0}},
		"lost": {
			&audit.Window{State: audit.Lost, Reason: "the feed forgot it", Error: "older"},
			map[string]any{"state": "lost", "reason": "the feed forgot it"},
		},
		"deleted on purpose": {
			&audit.Window{State: audit.Settled, Deleted: due},
			map[string]any{"state": "complete", "settled": true, "deleted_at": due.Format(time.RFC3339)},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, _, _, l := testAPI(t)
			if tt.row != nil {
				tt.row.Source, tt.row.Start = audit.M365DLP, noon
				l.rows = []audit.Window{*tt.row}
			}
			status, answer, _ := call(t, a, "GET", "/api/coverage?source=m365.dlp&start=2026-03-31T12:00:00Z&end=2026-03-31T13:00:00Z", "")
			require.Equal(t, 200, status)
			feeds := answer["feeds"].([]any)
			require.Len(t, feeds, 1)
			feed := object(feeds[0])
			want := map[string]any{"start": "2026-03-31T12:00:00Z", "settled": false, "records": 0.0, "late": 0.0, "quarantined": 0.0}
			for k, v := range tt.want {
				want[k] = v
			}
			require.Equal(t, map[string]any{
				"source": "m365.dlp", "states": map[string]any{want["state"].(string): 1.0}, "hours": []any{want},
			}, feed)
		})
	}
}

func TestCoverageTellsLag(t *testing.T) {
	a, _, _, l := testAPI(t)
	observed := func(lags ...time.Duration) audit.Lags {
		var l audit.Lags
		for _, lag := range lags {
			l.Observe(lag)
		}
		return l
	}
	short := make([]time.Duration, 90)
	for i := range short {
		short[i] = 90 * time.Second
	}
	long := []time.Duration{}
	for range 10 {
		long = append(long, 7*time.Hour)
	}
	l.rows = []audit.Window{
		{Source: audit.M365DLP, Start: noon, State: audit.Settled, Lags: observed(append(short, long...)...)},
		{Source: audit.M365DLP, Start: noon.Add(time.Hour), State: audit.Settled},
	}
	_, answer, _ := call(t, a, "GET", "/api/coverage?source=m365.dlp&start=2026-03-31T12:00:00Z&end=2026-03-31T14:00:00Z", "")
	hours := object(answer["feeds"].([]any)[0])["hours"].([]any)
	require.EqualValues(t, 120, object(hours[0])["lag_p50_seconds"], "the upper bound of the class")
	require.EqualValues(t, 24*3600, object(hours[0])["lag_p95_seconds"])
	require.NotContains(t, object(hours[1]), "lag_p50_seconds", "no record, no lag")
	require.NotContains(t, object(hours[1]), "lag_p95_seconds")
}

func TestCoverageSpans(t *testing.T) {
	a, _, _, l := testAPI(t)
	for i := range 3 {
		l.rows = append(l.rows,
			audit.Window{Source: audit.EntraDirectory, Start: noon.Add(time.Duration(i) * time.Hour), State: audit.Settled},
			audit.Window{Source: audit.M365Exchange, Start: noon.Add(time.Duration(i) * time.Hour), State: audit.Lost},
		)
	}
	tests := []struct {
		query      string
		start, end string
		states     map[string]any // of entra.directory
	}{
		{"start=2026-03-31T12:00:00Z&end=2026-03-31T15:00:00Z", "2026-03-31T12:00:00Z", "2026-03-31T15:00:00Z", map[string]any{"complete": 3.0}},
		{"start=2026-03-31T12:59:59Z&end=2026-03-31T13:00:01Z", "2026-03-31T12:00:00Z", "2026-03-31T14:00:00Z", map[string]any{"complete": 2.0}},
		{"start=2026-03-31T14:30:00%2B02:00&end=2026-03-31T13:00:00Z", "2026-03-31T12:00:00Z", "2026-03-31T13:00:00Z", map[string]any{"complete": 1.0}},
		{"start=2026-03-31&end=2026-04-01", "2026-03-31T00:00:00Z", "2026-04-01T00:00:00Z", map[string]any{"complete": 3.0, "unknown": 21.0}},
		{"start=2026-03-01&end=2026-04-01", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z", map[string]any{"complete": 3.0, "unknown": 741.0}},
		{"end=2026-04-01", "2026-03-25T00:00:00Z", "2026-04-01T00:00:00Z", map[string]any{"complete": 3.0, "unknown": 165.0}},
	}
	for _, tt := range tests {
		status, answer, _ := call(t, a, "GET", "/api/coverage?"+tt.query, "")
		require.Equal(t, 200, status, tt.query)
		require.Equal(t, tt.start, answer["start"], tt.query)
		require.Equal(t, tt.end, answer["end"], tt.query)
		feeds := answer["feeds"].([]any)
		require.Len(t, feeds, 2, "those that are switched on")
		require.Equal(t, tt.states, object(feeds[0])["states"], tt.query)
		require.NotContains(t, object(feeds[1])["states"], "complete", "one feed's hours are not another's")
	}

	_, answer, _ := call(t, a, "GET", "/api/coverage", "")
	start, err := time.Parse(time.RFC3339, answer["start"].(string))
	require.NoError(t, err)
	end, err := time.Parse(time.RFC3339, answer["end"].(string))
	require.NoError(t, err)
	require.Equal(t, 7*24*time.Hour, end.Sub(start))
	require.WithinRange(t, end, time.Now().Add(-time.Second), time.Now().Add(time.Hour))

	a.Features.Sources = nil
	status, answer, _ := call(t, a, "GET", "/api/coverage", "")
	require.Equal(t, 200, status)
	require.Equal(t, []any{}, answer["feeds"], "empty, not null")
}

func TestBadInputOfUpkeepNamesItsField(t *testing.T) {
	a, _, p, _ := testAPI(t)
	tests := []struct{ method, target, body, field string }{
		{"GET", "/api/coverage?start=2026-03-31&end=2026-03-30", "", "start"},
		{"GET", "/api/coverage?start=2026-03-31&end=2026-03-31", "", "start"},
		{"GET", "/api/coverage?start=2026-02-28T23:00:00Z&end=2026-04-01", "", "start"},
		{"GET", "/api/coverage?start=2199-01-01", "", "start"},
		{"GET", "/api/coverage?start=yesterday", "", "start"},
		{"GET", "/api/coverage?end=noon", "", "end"},
		{"GET", "/api/coverage?end=2026-03-31&end=2026-04-01", "", "end"},
		{"GET", "/api/coverage?source=m365.exchange", "", "source"},
		{"GET", "/api/coverage?source=m365.dlp&source=nonsense", "", "source"},
		{"GET", "/api/coverage?source=", "", "source"},
		{"GET", "/api/coverage?hours=3", "", "hours"},
		{"GET", "/api/quarantine?limit=0", "", "limit"},
		{"GET", "/api/quarantine?limit=many", "", "limit"},
		{"GET", "/api/quarantine?after=a&after=b", "", "after"},
		{"GET", "/api/quarantine?after=" + strings.Repeat("x", audit.MaxValueLength+1), "", "after"},
		{"GET", "/api/quarantine?raw=1", "", "raw"},
		{"POST", "/api/jobs", ``, "kind"},
		{"POST", "/api/jobs", `{"limit":3}`, "kind"},
		{"POST", "/api/jobs", `{"kind":"nonsense"}`, "kind"},
		{"POST", "/api/jobs", `{"kind":"dedupe","limit":-1}`, "limit"},
		{"POST", "/api/jobs", `{"kind":"dedupe","dryrun":true}`, "body"},
		{"POST", "/api/jobs", `{"kind":"dedupe","since":"yesterday"}`, "body"},
		{"POST", "/api/jobs", `{"kind":"dedupe"} {}`, "body"},
		{"POST", "/api/jobs", `[]`, "body"},
		{"POST", "/api/jobs?kind=dedupe", `{"kind":"dedupe"}`, "kind"},
		{"POST", "/api/quarantine/retry", `{"ids":["a"]}`, "body"},
		{"POST", "/api/quarantine/retry?x=1", ``, "x"},
		{"GET", "/api/preflight?x=1", "", "x"},
	}
	for _, tt := range tests {
		status, answer, _ := call(t, a, tt.method, tt.target, tt.body)
		require.Equal(t, 400, status, "%s %s", tt.target, tt.body)
		code, message := told(t, answer)
		require.Equal(t, "invalid_request", code)
		require.True(t, strings.HasPrefix(message, tt.field+": "), "%s %s: %s", tt.target, tt.body, message)
	}
	require.Empty(t, p.kinds, "nothing was started")
}

func TestQuarantineIsListed(t *testing.T) {
	a, _, _, l := testAPI(t)
	_, answer, _ := call(t, a, "GET", "/api/quarantine", "")
	require.Equal(t, map[string]any{"records": []any{}, "next": ""}, answer, "empty, not null")

	for i := range 5 {
		l.bad = append(l.bad, audit.Quarantined{
			ID: fmt.Sprint("q", i), TenantID: "t", Source: audit.M365DLP, Blob: "b", Reason: "no time", At: noon, Raw: []byte(`{"Secret":"hunter2"}`),
		})
	}
	l.bad[4].Raw = nil
	var records []any
	after, pages := "", 0
	for pages = 1; ; pages++ {
		status, answer, _ := call(t, a, "GET", "/api/quarantine?limit=2&after="+url.QueryEscape(after), "")
		require.Equal(t, 200, status)
		require.LessOrEqual(t, len(answer["records"].([]any)), 2)
		records = append(records, answer["records"].([]any)...)
		if after = answer["next"].(string); after == "" {
			break
		}
	}
	require.Equal(t, 3, pages)
	require.Len(t, records, 5)
	require.Equal(t, map[string]any{
		"id": "q0", "tenant_id": "t", "source": "m365.dlp", "blob": "b", "reason": "no time", "at": noon.Format(time.RFC3339), "size": 20.0, "bytes_cut": false,
	}, records[0], "and nothing of the bytes")
	require.Equal(t, 0.0, object(records[4])["size"])
	require.Equal(t, true, object(records[4])["bytes_cut"])

	for i := range 600 {
		l.bad = append(l.bad, audit.Quarantined{ID: fmt.Sprintf("r%03d", i), Source: audit.M365DLP, Raw: []byte(`x`)})
	}
	_, answer, _ = call(t, a, "GET", "/api/quarantine?limit=9999", "")
	require.Len(t, answer["records"], maxPage, "clamped")
	require.Equal(t, "r494", answer["next"])
	_, answer, _ = call(t, a, "GET", "/api/quarantine", "")
	require.Len(t, answer["records"], audit.DefaultPageSize)
}

func TestJobsAreStarted(t *testing.T) {
	since := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		target, body, kind string
		options            audit.JobOptions
	}{
		{"/api/jobs", `{"kind":"renormalize"}`, "renormalize", audit.JobOptions{}},
		{"/api/jobs", `{"kind":"retention","since":"2026-03-01T12:00:00+02:00","limit":9,"dry_run":true}`, "retention", audit.JobOptions{Since: since, Limit: 9, DryRun: true}},
		{"/api/jobs", `{"kind":"dedupe","limit":0}`, "dedupe", audit.JobOptions{}},
		{"/api/quarantine/retry", ``, "quarantine.retry", audit.JobOptions{}},
		{"/api/quarantine/retry", `{}`, "quarantine.retry", audit.JobOptions{}},
	}
	for _, tt := range tests {
		a, _, p, _ := testAPI(t)
		a.Retention = 7 * 24 * time.Hour
		status, answer, header := call(t, a, "POST", tt.target, tt.body)
		require.Equal(t, 202, status, tt.body)
		require.Equal(t, "/api/jobs/j2", header.Get("Location"))
		require.Equal(t, tt.kind, object(answer["job"])["kind"])
		require.Equal(t, []string{tt.kind}, p.kinds)
		require.Equal(t, tt.options, p.asked)
	}
}

func TestForeignPagesStartNoJob(t *testing.T) {
	for _, target := range []string{"/api/jobs", "/api/quarantine/retry"} {
		a, _, p, _ := testAPI(t)
		body := map[string]string{"/api/jobs": `{"kind":"dedupe"}`}[target]
		for _, headers := range [][]string{
			{"Sec-Fetch-Site", "cross-site"},
			{"Sec-Fetch-Site", "same-site"},
			{"Origin", "https://evil.example"},
		} {
			status, answer, _ := call(t, a, "POST", target, body, headers...)
			require.Equal(t, 403, status, "%s %v", target, headers)
			code, _ := told(t, answer)
			require.Equal(t, "cross_site", code)
			require.Empty(t, p.kinds)
		}
		status, _, _ := call(t, a, "POST", target, body, "Sec-Fetch-Site", "cross-site", "Origin", "https://page.example")
		require.Equal(t, 202, status, "but for the page that is trusted")
		require.Len(t, p.kinds, 1)
	}
}

func TestPreflightSaysWhetherAllIsWell(t *testing.T) {
	tests := []struct {
		states []audit.CheckState
		ok     bool
	}{
		{[]audit.CheckState{audit.CheckOK, audit.CheckOK}, true},
		{[]audit.CheckState{audit.CheckOK, audit.CheckWarning, audit.CheckSkipped}, true},
		{[]audit.CheckState{audit.CheckFailed, audit.CheckOK}, false},
		{[]audit.CheckState{audit.CheckOK, audit.CheckFailed}, false},
	}
	for _, tt := range tests {
		a, _, p, _ := testAPI(t)
		for _, state := range tt.states {
			p.checks = append(p.checks, audit.Check{Name: "sign-in", State: state, Found: "It works.", Advice: "Do it.", Source: audit.M365DLP})
		}
		status, answer, _ := call(t, a, "GET", "/api/preflight", "")
		require.Equal(t, 200, status, "it was looked, whatever was found")
		require.Equal(t, tt.ok, answer["ok"], "%v", tt.states)
		require.Len(t, answer["checks"], len(tt.states))
		require.Equal(t, map[string]any{
			"name": "sign-in", "state": string(tt.states[0]), "found": "It works.", "advice": "Do it.", "source": "m365.dlp",
		}, answer["checks"].([]any)[0])
	}
}
