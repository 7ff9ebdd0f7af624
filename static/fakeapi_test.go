package static

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"aoc/internal/audit"
)

// fakeAPI answers as the API does, over made-up events that are the same in
// each run but for the moment that they count back from.
type fakeAPI struct {
	http.ServeMux
	events  []audit.Stored
	empty   atomic.Bool  // nothing has been collected yet
	broken  atomic.Bool  // lists fail
	arrived atomic.Int32 // events that came since the page was loaded
	polls   atomic.Int32 // how often the backfill's job was asked for
	down    atomic.Bool  // a feed fails
	own     atomic.Int32 // how many of those are of AOC's own log
	narrow  atomic.Bool  // counts are not told to the caller
	refusal atomic.Pointer[refusal]
}

const (
	fakeTenant = "7d1f0c5e-52a7-4b0e-9a53-0d9a6f3e1c11"
	bigNumber  = "90071992547409931234" // more than a JavaScript number holds
)

func newFakeAPI(now time.Time) *fakeAPI {
	f := &fakeAPI{}
	for i := range 130 {
		f.events = append(f.events, fakeEvent(i, now.Add(-time.Duration(i)*23*time.Minute)))
	}
	for pattern, answer := range map[string]func(*http.Request) (any, error){
		"GET /api/events":            f.list,
		"GET /api/events/{id}":       f.event,
		"GET /api/filter-options":    f.options,
		"GET /api/source-health":     f.health,
		"GET /api/jobs":              f.jobs,
		"GET /api/jobs/{id}":         f.job,
		"POST /api/fetch-audit-logs": f.fetch,
		"GET /api/version":           fixed(map[string]string{"version": "v0.1.0-test", "commit": "abc", "go": "go1.26"}),
		"GET /api/config/auth":       fixed(map[string]any{"enabled": false}),
		"GET /api/config/features":   fixed(map[string]any{"demo": true, "auth_enabled": false, "tenant_id": fakeTenant}),
	} {
		f.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if no := f.refusal.Load(); no != nil {
				no.answer(w)
				return
			}
			answerJSON(w, r, answer)
		})
	}
	return f
}

// refusal is what everything answers while the API is out of sorts.
type refusal struct {
	status              int
	code, message, wait string
}

func (no *refusal) answer(w http.ResponseWriter) {
	if no.wait != "" {
		w.Header().Set("Retry-After", no.wait)
	}
	refuse(w, no.status, no.code, no.message)
}

func fixed(body any) func(*http.Request) (any, error) {
	return func(*http.Request) (any, error) { return body, nil }
}

var errBroken = errors.New("the store does not answer: try again in a minute")

func answerJSON(w http.ResponseWriter, r *http.Request, answer func(*http.Request) (any, error)) {
	w.Header().Set("Content-Type", "application/json")
	body, err := answer(r)
	status := http.StatusOK
	switch {
	case errors.Is(err, audit.ErrInvalid):
		status = http.StatusBadRequest
	case errors.Is(err, audit.ErrNotFound):
		status = http.StatusNotFound
	case err != nil:
		status = http.StatusServiceUnavailable
	case r.Method == http.MethodPost:
		status = http.StatusAccepted
	}
	if err != nil {
		body = map[string]any{"error": map[string]string{"code": "failed", "message": err.Error(), "request_id": "req-0042"}}
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (f *fakeAPI) list(r *http.Request) (any, error) {
	if f.broken.Load() {
		return nil, errBroken
	}
	q, err := parseQuery(r)
	if err != nil {
		return nil, err
	}
	page := audit.Page{}
	for _, s := range f.stored() {
		if !q.Matches(&s) {
			continue
		}
		if len(page.Events) == q.Limit {
			at := audit.PositionOf(&page.Events[q.Limit-1])
			page.Next = &at
			break
		}
		page.Events = append(page.Events, s.Event)
	}
	next := ""
	if page.Next != nil {
		next = q.Cursor(*page.Next)
	}
	return map[string]any{"events": append([]audit.Event{}, page.Events...), "next_cursor": next, "page_size": q.Limit}, nil
}

func (f *fakeAPI) stored() []audit.Stored {
	if f.empty.Load() {
		return nil
	}
	var all []audit.Stored
	for i := f.arrived.Load(); i > 0; i-- {
		s := fakeEvent(1000+int(i), f.events[0].Event.Time.Add(time.Duration(i)*time.Second))
		if i <= f.own.Load() {
			s.Event.Source, s.Event.Service = audit.AOC, audit.ServiceAOC
		}
		all = append(all, s)
	}
	return append(all, f.events...)
}

func parseQuery(r *http.Request) (audit.Query, error) {
	values := r.URL.Query()
	q := audit.Query{Scope: audit.Everything(), Terms: audit.SearchTerms(values.Get("search"))}
	q.Limit, _ = strconv.Atoi(values.Get("page_size"))
	for _, field := range audit.Fields() {
		if v := values[string(field)]; len(v) > 0 {
			q.Filters = append(q.Filters, audit.Filter{Field: field, Values: v})
		}
	}
	for name, at := range map[string]*time.Time{"start": &q.Start, "end": &q.End} {
		if v := values.Get(name); v != "" {
			var err error
			if *at, err = time.Parse(time.RFC3339Nano, v); err != nil {
				return q, audit.Invalid(name, fmt.Sprintf("expected an RFC 3339 time, got %q", v))
			}
		}
	}
	if token := values.Get("cursor"); token != "" {
		var err error
		if q.After, err = q.ParseCursor(token); err != nil {
			return q, err
		}
	}
	return q, q.Validate()
}

func (f *fakeAPI) event(r *http.Request) (any, error) {
	for _, s := range f.stored() {
		if s.Event.ID == r.PathValue("id") {
			return map[string]any{"event": s.Event, "raw": map[string]any{
				"json": json.RawMessage(s.Raw.Bytes), "text": string(s.Raw.Bytes), "sha256": s.Raw.SHA256, "size": len(s.Raw.Bytes),
			}}, nil
		}
	}
	return nil, fmt.Errorf("event %s: %w", r.PathValue("id"), audit.ErrNotFound)
}

func (f *fakeAPI) options(*http.Request) (any, error) {
	answer := map[string][]string{}
	for _, field := range audit.Fields() {
		answer[string(field)] = []string{}
	}
	add := func(name, value string) {
		if !slices.Contains(answer[name], value) {
			answer[name] = append(answer[name], value)
		}
	}
	for _, s := range f.events {
		facet := s.Event.Facet()
		add("service", facet.Service)
		add("operation", facet.Operation)
		add("result", string(facet.Result))
		add("category", facet.Category)
		add("source", string(facet.Source))
	}
	return answer, nil
}

func (f *fakeAPI) health(*http.Request) (any, error) {
	now := f.events[0].Event.Time
	windows := map[string]int{"total": 168, "waiting": 0, "failing": 0, "lost": 0}
	feed := func(source audit.Source, state string, more map[string]any) map[string]any {
		answer := map[string]any{
			"source": source, "enabled": true, "state": state, "last_success": now, "lag_seconds": 312,
			"error": "", "advice": "", "windows": windows, "records": 4211,
		}
		maps.Copy(answer, more)
		if f.narrow.Load() {
			answer["records"] = nil
		}
		return answer
	}
	sources := []any{
		feed(audit.EntraDirectory, "ok", nil),
		feed(audit.IntuneAudit, "ok", nil),
		feed(audit.M365SharePoint, "late", map[string]any{
			"lag_seconds": 16500,
			"error":       "The last hour was listed late: Microsoft delivers SharePoint's records up to 24 hours after the act.",
		}),
		feed(audit.M365DLP, "waiting", map[string]any{"last_success": time.Time{}, "records": 0}),
		feed(audit.EntraSignIn, "ok", map[string]any{"enabled": false, "last_success": time.Time{}, "records": 0}),
	}
	if f.down.Load() {
		sources = append(sources, feed(audit.M365Exchange, "failing", map[string]any{
			"error":   "The Management API refused the token (401, AF10001).",
			"advice":  "Grant the application ActivityFeed.Read and give admin consent.",
			"windows": map[string]int{"total": 168, "waiting": 3, "failing": 2, "lost": 1},
		}))
	}
	return map[string]any{"sources": sources, "checked_at": now}, nil
}

func (f *fakeAPI) jobs(*http.Request) (any, error) { return map[string]any{"jobs": []audit.Job{}}, nil }

func (f *fakeAPI) fetch(r *http.Request) (any, error) {
	hours, err := strconv.Atoi(r.URL.Query().Get("hours"))
	if err != nil {
		return nil, audit.Invalid("hours", "expected a whole number")
	}
	f.polls.Store(0)
	return map[string]any{"job": f.backfill(hours), "clamped": false, "message": fmt.Sprintf("Fetching the last %d hours.", hours)}, nil
}

func (f *fakeAPI) job(*http.Request) (any, error) {
	f.polls.Add(1)
	return map[string]any{"job": f.backfill(48)}, nil
}

// backfill is a job that is done once it has been asked for.
func (f *fakeAPI) backfill(hours int) audit.Job {
	now := f.events[0].Event.Time
	span := func(s audit.Source, note string) audit.Span {
		return audit.Span{Source: s, Start: now.Add(-time.Duration(hours) * time.Hour), End: now, Note: note}
	}
	job := audit.Job{
		ID: "job-1", Kind: "backfill", State: audit.JobRunning, CreatedAt: now, Hours: hours,
		Spans:    []audit.Span{span(audit.EntraDirectory, ""), span(audit.M365Exchange, "the Management API keeps 7 days")},
		Progress: audit.Progress{Windows: 2 * hours, Done: hours / 2, Counts: audit.Counts{Read: 812, New: 12, Known: 800}},
	}
	if f.polls.Load() > 0 {
		job.State, job.Progress.Done, job.DoneAt = audit.JobDone, job.Progress.Windows, now
	}
	return job
}

// template is what made-up events have in common.
type template struct {
	source                       audit.Source
	service, operation, category string
	target                       audit.Target
	changes                      []audit.Change
	result                       audit.Result
}

var templates = []template{
	{
		audit.EntraDirectory, audit.ServiceEntra, "Add member to role", "RoleManagement",
		audit.Target{ID: "b5b1…", Name: "Global Administrator", Type: "Role"},
		[]audit.Change{{Name: "Role.DisplayName", New: "Global Administrator"}, {Name: "Role.WellKnownObjectName", New: "TenantAdmins"}},
		audit.Success,
	},
	{audit.M365SharePoint, audit.ServiceOneDrive, "FileDownloaded", "Files", audit.Target{Name: "Budget 2027 <script>alert(1)</script>.xlsx", Type: "file"}, nil, audit.Success},
	{
		audit.EntraDirectory, audit.ServiceEntra, "Update user", "UserManagement",
		audit.Target{ID: "0f7c…", Name: "Priya Raman", Type: "User"},
		[]audit.Change{{Name: "Department", Old: "Sales", New: "Finance"}, {Name: "AccountEnabled", Old: "true", New: "false"}},
		audit.Success,
	},
	{
		audit.M365Exchange, audit.ServiceExchange, "New-InboxRule", "Mailbox rules",
		audit.Target{Name: "finance@kestrel.example", Type: "mailbox"},
		[]audit.Change{{Name: "ForwardTo", New: "drop@elsewhere.example"}, {Name: "DeleteMessage", New: "True"}},
		audit.Success,
	},
	{audit.EntraSignIn, audit.ServiceEntra, "Sign-in", "Sign-ins", audit.Target{Name: "Azure Portal", Type: "app"}, nil, audit.Failure},
	{
		audit.IntuneAudit, audit.ServiceIntune, "Patch DeviceConfiguration", "Device",
		audit.Target{ID: "9c21…", Name: "Windows baseline", Type: "DeviceConfiguration"},
		[]audit.Change{{Name: "passwordMinimumLength", Old: "12", New: "8"}},
		audit.Partial,
	},
	{audit.M365General, audit.ServiceTeams, "MemberAdded", "Teams", audit.Target{Name: "Board", Type: "team"}, nil, audit.Unknown},
}

var people = []string{"Marta Kowalczyk", "Jonas Lind", "Aiko Tanaka", "Samuel Osei", "Priya Raman"}

func fakeEvent(i int, at time.Time) audit.Stored {
	tpl, name := templates[i%len(templates)], people[i%len(people)]
	recordID := fmt.Sprintf("rec-%04d", i)
	id, err := audit.NewID(fakeTenant, tpl.source, recordID)
	if err != nil {
		panic(err)
	}
	upn := strings.ToLower(strings.ReplaceAll(name, " ", ".")) + "@kestrel.example"
	e := audit.Event{
		ID: id, RecordID: recordID, TenantID: fakeTenant, Source: tpl.source, Service: tpl.service, Operation: tpl.operation, Category: tpl.category,
		Time: at.UTC(), Actor: audit.Actor{ID: fmt.Sprintf("id-%d", i%5), Name: name, UPN: upn, Type: "user", IP: fmt.Sprintf("203.0.113.%d", i%250)},
		Targets: []audit.Target{tpl.target}, Changes: tpl.changes, Result: tpl.result,
		Context:       audit.Context{Country: "SE", City: "Malmö", UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64)", AppID: "c44b4083-3bb0-49c1-b47d-974e53cbdf3c"},
		Summary:       fmt.Sprintf("%s: %s on %s", name, tpl.operation, tpl.target.Name),
		CorrelationID: "2f6c7c3a-9a5e-4b1f-8d6e-0a4f5b6c7d8e",
	}
	if tpl.service == audit.ServiceIntune {
		e.Actor.Type, e.Redactions = "admin", []string{"/resources/0/modifiedProperties/3/newValue"}
		e.Targets = append(e.Targets, audit.Target{Name: "All devices", Type: "Group"})
	}
	raw := fmt.Sprintf(`{"id":%q,"n":%s,"operation":%q,"empty":[],"by":{"user":{"upn":%q,"tags":["a","b"]}}}`, recordID, bigNumber, tpl.operation, upn)
	return audit.Stored{Event: e, Raw: audit.NewRaw([]byte(raw)), Tokens: audit.Tokenize(e.Summary, e.Operation, upn, e.Actor.IP)}
}
