package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/auth"

	"github.com/stretchr/testify/require"
)

// The words by which people of the tests get in.
const (
	nobody     = ""
	stranger   = "stranger" // a token that is not good
	outsider   = "outsider" // a good token of somebody without a role
	analyst    = "analyst"  // some services are hidden
	privileged = "privileged"
	admin      = "admin" // may change things; some services are hidden
	chief      = "chief" // both
	robot      = "robot" // an app with the analyst's role
	machine    = "machine"
)

func people() door {
	hidden := audit.Except([]string{"exchange"}, []string{"Read secret"})
	who := func(kind audit.PrincipalKind, id string, admin bool, scope audit.Scope) audit.Principal {
		return audit.Principal{Kind: kind, TenantID: hookTenant, ObjectID: id, UPN: id + "@contoso.com", Session: "s1", Admin: admin, Scope: scope}
	}
	return door{
		analyst: who(audit.Person, "p1", false, hidden), privileged: who(audit.Person, "p2", false, audit.Everything()),
		admin: who(audit.Person, "p3", true, hidden), chief: who(audit.Person, "p4", true, audit.Everything()),
		robot: who(audit.App, "p5", false, hidden), machine: who(audit.App, "p6", true, audit.Everything()),
	}
}

// guarded is the API with people, and the webhook's secret.
func guarded(t *testing.T) (*API, *memory, *planner, *ledger) {
	a, m, p, l := testAPI(t)
	a.Callers, a.WebhookAuthID, a.Features.TenantID, a.Retention = people(), secretOf(hookID), hookTenant, 30*24*time.Hour
	p.jobs["j1"] = audit.Job{ID: "j1", State: audit.JobRunning, Position: 7, After: "id", Notes: []string{"n"}, Before: audit.Counts{Read: 3}}
	return a, m, p, l
}

func as(word string) []string {
	if word == nobody {
		return nil
	}
	return []string{"Authorization", "Bearer " + word}
}

// matrix is who may call what: the status that each kind of caller is answered,
// in the order of callers. A route that is not in it fails the test.
var callers = []string{nobody, stranger, outsider, analyst, privileged, admin, chief, robot, machine}

var matrix = map[string][]int{
	"GET /api/events":            {401, 401, 403, 200, 200, 200, 200, 200, 200},
	"GET /api/events/{id}":       {401, 401, 403, 200, 200, 200, 200, 200, 200},
	"GET /api/filter-options":    {401, 401, 403, 200, 200, 200, 200, 200, 200},
	"GET /api/fetch-audit-logs":  {401, 401, 403, 403, 403, 202, 202, 403, 202},
	"POST /api/fetch-audit-logs": {401, 401, 403, 403, 403, 202, 202, 403, 202},
	"GET /api/jobs":              {401, 401, 403, 200, 200, 200, 200, 200, 200},
	"GET /api/jobs/{id}":         {401, 401, 403, 200, 200, 200, 200, 200, 200},
	"POST /api/jobs":             {401, 401, 403, 403, 403, 202, 202, 403, 202},
	"GET /api/coverage":          {401, 401, 403, 200, 200, 200, 200, 200, 200},
	"GET /api/quarantine":        {401, 401, 403, 403, 200, 403, 200, 403, 200},
	"POST /api/quarantine/retry": {401, 401, 403, 403, 403, 202, 202, 403, 202},
	"GET /api/preflight":         {401, 401, 403, 403, 403, 200, 200, 403, 200},
	"GET /api/source-health":     {401, 401, 403, 200, 200, 200, 200, 200, 200},
	"GET /api/config/features":   {401, 401, 403, 200, 200, 200, 200, 200, 200},
	"GET /api/config/auth":       {200, 200, 200, 200, 200, 200, 200, 200, 200},
	"GET /api/version":           {200, 200, 200, 200, 200, 200, 200, 200, 200},
	"GET /health":                {200, 200, 200, 200, 200, 200, 200, 200, 200},
	"GET /health/ready":          {200, 200, 200, 200, 200, 200, 200, 200, 200},
	"GET /openapi.json":          {200, 200, 200, 200, 200, 200, 200, 200, 200}, // where DOCS_ENABLED is true
	"GET /docs":                  {200, 200, 200, 200, 200, 200, 200, 200, 200},
	"GET /metrics":               {403, 403, 403, 403, 403, 403, 403, 403, 403}, // a token is no address
	"POST /api/webhooks/o365":    {403, 403, 403, 403, 403, 403, 403, 403, 403}, // without its own secret
}

// sample is a request that the route takes.
func sample(route Route) (target, body string) {
	target = strings.ReplaceAll(route.Path, "{id}", fmt.Sprintf("%032d", 0))
	if strings.HasPrefix(route.Path, "/api/jobs/") {
		target = "/api/jobs/j1"
	}
	switch route.Method + " " + route.Path {
	case "POST /api/jobs":
		body = `{"kind":"renormalize"}`
	case "POST /api/webhooks/o365":
		body = `[]`
	}
	return target, body
}

func TestWhoMayCallWhat(t *testing.T) {
	a, _, _, _ := guarded(t)
	for _, route := range a.Routes() {
		name := route.Method + " " + route.Path
		want, listed := matrix[name]
		require.True(t, listed, "%s is not in the matrix of who may call what", name)
		require.Len(t, want, len(callers))
		for i, caller := range callers {
			a, _, p, _ := guarded(t)
			target, body := sample(route)
			status, answer, h := call(t, a, route.Method, target, body, as(caller)...)
			require.Equal(t, want[i], status, "%s as %q: %v", name, caller, answer)
			if status == http.StatusUnauthorized {
				require.NotEmpty(t, h.Get("WWW-Authenticate"))
			}
			if status >= 400 {
				require.Empty(t, p.hours, "%s as %q: it was done nevertheless", name, caller)
				require.Empty(t, p.kinds, "%s as %q: it was done nevertheless", name, caller)
			}
		}
	}
	require.Len(t, matrix, len(slices.Compact(slices.Sorted(maps.Keys(matrix)))))
	for name := range matrix {
		method, path, _ := strings.Cut(name, " ")
		require.True(t, slices.ContainsFunc(a.Routes(), func(r Route) bool { return r.Method == method && r.Path == path }), "%s is in the matrix and not served", name)
	}
}

func TestQuotas(t *testing.T) {
	a, _, p, _ := guarded(t)
	limited := &counter{}
	a.Limiter = limited
	for i := range 10 {
		status, _, h := call(t, a, "POST", "/api/fetch-audit-logs", "", as(chief)...)
		require.Equal(t, http.StatusAccepted, status)
		require.Equal(t, fmt.Sprint(9-i), h.Get("RateLimit-Remaining"))
		require.Equal(t, `"fetch";q=10;w=3600`, h.Get("RateLimit-Policy"))
	}
	status, answer, h := call(t, a, "POST", "/api/fetch-audit-logs", "", as(chief)...)
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, "rate_limited", answer["error"].(map[string]any)["code"])
	require.Equal(t, "0", h.Get("RateLimit-Remaining"))
	require.NotEmpty(t, h.Get("Retry-After"))
	require.Len(t, p.hours, 10)
	status, _, _ = call(t, a, "POST", "/api/fetch-audit-logs", "", as(admin)...)
	require.Equal(t, http.StatusAccepted, status, "another caller has a quota of its own")
	status, _, _ = call(t, a, "GET", "/api/events", "", as(chief)...)
	require.Equal(t, 200, status, "reads have another")

	limited.err = errors.New("dial redis://:password@cache: refused")
	status, answer, h = call(t, a, "GET", "/api/events", "", as(chief)...)
	require.Equal(t, http.StatusTooManyRequests, status, "it fails closed")
	require.NotContains(t, fmt.Sprint(answer), "redis")
	require.Contains(t, fmt.Sprint(answer), "cannot be looked up")
	require.Equal(t, "1", h.Get("Retry-After"))
	status, _, _ = call(t, a, "GET", "/health", "")
	require.Equal(t, 200, status, "health has no quota")
}

func TestStrangersCostNoQuota(t *testing.T) {
	a, _, _, _ := guarded(t)
	limited := &counter{}
	a.Limiter = limited
	for _, word := range []string{nobody, stranger, outsider} {
		call(t, a, "GET", "/api/events", "", as(word)...)
	}
	require.Empty(t, limited.took)
}

func TestOwnLog(t *testing.T) {
	a, _, _, _ := guarded(t)
	log := &journal{}
	a.OwnLog = log
	noted := map[string]bool{}
	for _, route := range a.Routes() {
		before := len(log.acts)
		target, body := sample(route)
		if body == "" && route.Method == "POST" {
			body = "{}"
		}
		call(t, a, route.Method, target, body, append(as(chief), "X-Azure-Functions-InvocationId", fmt.Sprintf("0a0b0c0d-0000-4000-8000-%012d", before), "User-Agent", "test")...)
		if route.Act != "" {
			require.Greater(t, len(log.acts), before, "%s %s is not in the log", route.Method, route.Path)
			last := log.acts[len(log.acts)-1]
			require.Equal(t, route.Act, last.Operation)
			require.Equal(t, "p4@contoso.com", last.By.UPN)
			noted[route.Act] = true
		}
		if route.Changes || route.Path == "/api/events/{id}" {
			require.NotEmpty(t, route.Act, "%s %s must be noted", route.Method, route.Path)
		}
	}
	require.Equal(t, "Sign in", log.acts[0].Operation)
	require.Len(t, slices.DeleteFunc(slices.Clone(log.acts), func(act audit.Act) bool { return act.Operation != "Sign in" }), 1, "once a sign-in")
	require.True(t, noted["Search events"] && noted["Start backfill"])
}

func TestRepeatedSearchesAreOneEntry(t *testing.T) {
	a, _, _, _ := guarded(t)
	log := &journal{}
	a.OwnLog = log
	for _, query := range []string{"service=Entra&search=bob", "service=Entra&search=bob&start=2026-03-31T10:01:00Z", "service=Entra&search=bob&start=2026-03-31T10:02:30Z", "service=Entra&search=bob&page_size=2"} {
		status, _, _ := call(t, a, "GET", "/api/events?"+query, "", as(analyst)...)
		require.Equal(t, 200, status)
	}
	require.Len(t, log.acts, 3, "a sign-in, a search of all, and one since ten")
	require.Equal(t, []audit.Change{{Name: "service", New: "Entra"}, {Name: "search", New: "bob"}}, log.acts[1].Details)
}

func TestWhatMustNotHappenUnseen(t *testing.T) {
	a, _, p, _ := guarded(t)
	a.OwnLog = &journal{err: errors.New("disk full")}
	a.Log = slog.New(slog.DiscardHandler)
	for _, route := range a.Routes() {
		target, body := sample(route)
		status, answer, _ := call(t, a, route.Method, target, body, as(chief)...)
		switch {
		case route.Act != "" && route.Act != searchAct:
			require.Equal(t, http.StatusServiceUnavailable, status, "%s %s", route.Method, route.Path)
			require.Equal(t, "audit_unavailable", answer["error"].(map[string]any)["code"])
		case route.Access != Open:
			require.Equal(t, 200, status, "%s %s goes on", route.Method, route.Path)
		}
	}
	require.Empty(t, p.hours)
	require.Empty(t, p.kinds)
}

func TestRefusalsAndFailuresAreNoted(t *testing.T) {
	a, _, _, _ := guarded(t)
	log := &journal{}
	a.OwnLog = log
	for range 3 {
		call(t, a, "POST", "/api/fetch-audit-logs", "", as(analyst)...)
	}
	require.Len(t, log.acts, 2, "one sign-in and one refusal a while")
	require.Equal(t, audit.Failure, log.acts[1].Result)
	require.Contains(t, log.acts[1].Reason, "AUTH_ADMIN_ROLES")

	call(t, a, "POST", "/api/jobs", `{"kind":"nonsense"}`, append(as(chief), "X-Azure-Functions-InvocationId", "0a0b0c0d-0000-4000-8000-00000000000a")...)
	last := log.acts[len(log.acts)-1]
	require.Equal(t, "Start job", last.Operation)
	require.Equal(t, audit.Failure, last.Result)
	require.Contains(t, last.Reason, "no such job")
}

// What is hidden from somebody is in no answer of any route that reads, and no
// sum over everything either.
func TestHiddenServicesAreInNoAnswer(t *testing.T) {
	const canary = "Hidden-canary"
	a, m, p, l := guarded(t)
	for i := range m.stored {
		if e := &m.stored[i].Event; e.Service == "Exchange" || i == 0 {
			e.Operation, e.Summary, e.Category = canary+"-op", canary+"-summary", canary+"-category"
		}
	}
	m.stored[0].Event.Service, m.stored[0].Event.Operation = "Entra", "read SECRET"
	hour := audit.WindowOf(time.Now())
	l.rows = []audit.Window{{Source: audit.EntraDirectory, Start: hour, State: audit.Kept, Counts: audit.Counts{Read: 4711, Quarantined: 4711}, Late: 4711}}
	l.states = []audit.FeedState{{Source: audit.EntraDirectory, Counts: audit.Counts{New: 4711}}}
	l.bad = []audit.Quarantined{{ID: canary}}
	job := p.jobs["j1"]
	job.Progress = audit.Progress{Counts: audit.Counts{Read: 4711, New: 4711}, Scanned: 4711, Changed: 4711}
	job.Before, job.After, job.Position, job.Notes = audit.Counts{Read: 4711}, canary, 4711, []string{canary}
	p.jobs["j1"] = job

	for _, word := range []string{analyst, admin, robot} {
		for _, route := range a.Routes() {
			if route.Method != "GET" || route.Changes {
				continue
			}
			target, _ := sample(route)
			for _, query := range []string{"", "?operation=" + canary + "-op", "?service=exchange", "?search=hidden"} {
				r := httptest.NewRequest("GET", target+query, nil)
				r.Header.Set("Authorization", "Bearer "+word)
				w := served(t, a, r)
				body := strings.ReplaceAll(w.Body.String(), canary+"-op", strings.TrimPrefix(query, "?operation="))
				require.NotContains(t, body, canary+"-s", "%s %s%s", word, target, query)
				require.NotContains(t, body, canary+"-c", "%s %s%s", word, target, query)
				require.NotContains(t, body, "4711", "%s %s%s", word, target, query)
				require.NotContains(t, body, "SECRET", "%s %s%s", word, target, query)
			}
		}
	}
	status, _, _ := call(t, a, "GET", fmt.Sprintf("/api/events/%032d", 1), "", as(analyst)...)
	require.Equal(t, http.StatusNotFound, status)
	_, answer, _ := call(t, a, "GET", "/api/filter-options", "", as(privileged)...)
	require.Contains(t, fmt.Sprint(answer), canary, "who has the role sees it")
	_, answer, _ = call(t, a, "GET", "/api/jobs/j1", "", as(chief)...)
	require.Contains(t, fmt.Sprint(answer), "4711")
}

func TestRetentionIsNotForCallersToShorten(t *testing.T) {
	a, _, p, _ := guarded(t)
	since := func(days int) string {
		return fmt.Sprintf(`{"kind":"retention","since":%q}`, time.Now().Add(-time.Duration(days)*24*time.Hour).Format(time.RFC3339))
	}
	for body, want := range map[string]int{since(29): 400, since(31): 202, since(-1): 400, `{"kind":"retention"}`: 202} {
		status, answer, _ := call(t, a, "POST", "/api/jobs", body, as(chief)...)
		require.Equal(t, want, status, "%s: %v", body, answer)
	}
	require.Len(t, p.kinds, 2)
	a.Retention = 0
	status, _, _ := call(t, a, "POST", "/api/jobs", since(3000), as(chief)...)
	require.Equal(t, 400, status)
}

// Whoever reaches the handler itself can send any header: it keeps nothing out
// of the log.
func TestNoHeaderKeepsAChangeOutOfTheLog(t *testing.T) {
	a, _, p, _ := guarded(t)
	log := &journal{}
	a.OwnLog = log
	for _, word := range []string{chief, chief, admin} {
		status, _, _ := call(t, a, "POST", "/api/jobs", `{"kind":"renormalize"}`, append(as(word), "X-Azure-Functions-InvocationId", "0a0b0c0d-0000-4000-8000-00000000000c")...)
		require.Equal(t, http.StatusAccepted, status)
	}
	require.Len(t, p.kinds, 3)
	require.Len(t, slices.DeleteFunc(log.acts, func(act audit.Act) bool { return act.Operation != "Start job" }), 3)
}

// knownStranger says who it is that is not let in, as auth does.
type knownStranger struct{ door }

func (knownStranger) Authenticate(context.Context, []string) (audit.Principal, error) {
	return audit.Principal{Kind: audit.Person, TenantID: hookTenant, ObjectID: "p9"}, fmt.Errorf("%w: none of the roles", auth.ErrForbidden)
}

func TestWhoIsNotLetInIsNotedOnceAWhile(t *testing.T) {
	a, _, _, _ := guarded(t)
	log := &journal{}
	a.OwnLog, a.Callers = log, knownStranger{}
	for range 5 {
		status, _, _ := call(t, a, "GET", "/api/events", "", as(outsider)...)
		require.Equal(t, http.StatusForbidden, status)
	}
	require.Len(t, log.acts, 1)
	require.Equal(t, "p9", log.acts[0].By.ObjectID)
	require.Equal(t, audit.Failure, log.acts[0].Result)
	require.Equal(t, "Sign in", log.acts[0].Operation)
}

func TestSignInsOverTheQuotaAreNotNoted(t *testing.T) {
	a, _, _, _ := guarded(t)
	log := &journal{}
	a.OwnLog, a.Limiter = log, &counter{err: errors.New("away")}
	call(t, a, "GET", "/api/events", "", as(chief)...)
	require.Empty(t, log.acts)
}
