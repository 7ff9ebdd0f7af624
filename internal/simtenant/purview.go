package simtenant

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// RoleAuditLogsQuery is the application permission for queries of the unified
// audit log. [security-auditcoreroot-post-auditlogqueries]
const RoleAuditLogsQuery = "AuditLogsQuery.Read.All"

// PurviewWire chooses how queries of the unified audit log behave. The zero
// value is the documentation's, in a tenant with the baseline of limits.
// [concepts/throttling-limits, "Security audit log query service limits"]
type PurviewWire struct {
	NoV1        bool          // v1.0 answers 404 and beta all, as seen on one tenant [rknightion/graph2otel#109]
	Queued      time.Duration // how long a query waits as notStarted; zero: 1 min
	Running     time.Duration // how long it runs after that; zero: 5 min
	Ends        string        // how a query ends that is submitted now: "failed", "cancelled"; "": succeeded
	AtOnce      int           // queries that may wait or run; zero: 50, about 10 were seen
	PerDay      int           // queries in any 24 h; zero: 200
	RecordLimit int           // records of one query; zero: 1,000,000
	Unsteady    bool          // every other reading of a query, the first among them, lacks records [langwatch#7137]
	Text        bool          // auditData is a string that holds JSON; else an object with Graph's additions, as seen
}

func (w PurviewWire) withDefaults() PurviewWire {
	orElse := func(n *int, other int) {
		if *n == 0 {
			*n = other
		}
	}
	orElse(&w.AtOnce, 50)
	orElse(&w.PerDay, 200)
	orElse(&w.RecordLimit, 1_000_000)
	if w.Queued == 0 {
		w.Queued = time.Minute
	}
	if w.Running == 0 {
		w.Running = 5 * time.Minute
	}
	if w.Ends == "" {
		w.Ends = "succeeded"
	}
	return w
}

// SetPurview replaces the choices while the tenant runs. Queries that were
// submitted before keep their times, end and limit.
func (t *Tenant) SetPurview(w PurviewWire) {
	t.purview.mu.Lock()
	defer t.purview.mu.Unlock()
	t.purview.wire = w
}

// PurviewTruth returns what a query for the event times from <= CreationTime <
// to would find now if nothing limited it: the records of all content types of
// the Management Activity API, blobs that are held back and ones that a fault
// added among them, but not the records of huge blobs.
func (t *Tenant) PurviewTruth(from, to time.Time) Truth {
	known, nameless := map[string]struct{}{}, map[string]struct{}{}
	now := t.now().UTC()
	for start := kept(from, now); start.Before(to); start = start.Add(scan) {
		for _, r := range t.happened(start, earlier(start.Add(scan), to), now) {
			if r.ID != "" {
				known[r.ID] = struct{}{}
			} else {
				nameless[canonical(r.Body)] = struct{}{}
			}
		}
	}
	out := Truth{IDs: make([]string, 0, len(known)), Nameless: len(nameless)}
	for id := range known {
		out.IDs = append(out.IDs, id)
	}
	slices.Sort(out.IDs)
	return out
}

// purview is the queries of a tenant.
type purview struct {
	mu      sync.Mutex
	wire    PurviewWire
	queries []*auditQuery // as submitted

	once    sync.Once // guards what follows
	created map[string]byTime
}

func (p *purview) onWire() PurviewWire {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wire.withDefaults()
}

// auditQuery is one query. What stands below mu changes, the rest does not.
type auditQuery struct {
	id, name  string
	from, to  time.Time
	submitted time.Time
	starts    time.Time
	over      time.Time
	ends      string
	limit     int

	mu       sync.Mutex
	found    int // records, at most one more than limit; -1: not counted yet
	readings int // that were begun
}

func (q *auditQuery) status(now time.Time) string {
	switch {
	case now.Before(q.starts):
		return "notStarted"
	case now.Before(q.over):
		return "running"
	}
	return q.ends
}

// view is a query as it is answered.
func (q *auditQuery) view(t *Tenant) map[string]any {
	const layout = "2006-01-02T15:04:05Z"
	status := q.status(t.now())
	out := map[string]any{
		"id": q.id, "displayName": q.name, "status": status,
		"filterStartDateTime": q.from.Format(layout), "filterEndDateTime": q.to.Format(layout),
		"keywordFilter": nil, "serviceFilters": []string{}, "recordTypeFilters": []string{}, "operationFilters": []string{},
		"userPrincipalNameFilters": []string{}, "ipAddressFilters": []string{}, "objectIdFilters": []string{}, "administrativeUnitIdFilters": []string{},
		"recordCountLimit": q.limit, "isRecordCountLimitExceeded": false, "approximateReturnedRecordCount": 0,
	}
	if status == "succeeded" {
		n := q.count(t)
		out["isRecordCountLimitExceeded"] = n > q.limit
		n = min(n, q.limit)
		out["approximateReturnedRecordCount"] = n + n/50 // may be higher or lower than what is returned, says the documentation
	}
	return out
}

func purviewRoutes(version string) []route {
	const path = "/security/auditLog/queries"
	op := func(pattern, name string, do queried) route {
		method, rest, _ := strings.Cut(pattern, " ")
		return route{method + " " + version + path + rest, name, apiGraph, permitted(version, do)}
	}
	return []route{
		op("POST ", "submitQuery", (*Tenant).submitQuery),
		op("GET ", "listQueries", (*Tenant).listQueries),
		op("GET /{id}", "query", (*Tenant).getQuery),
		op("GET /{id}/records", "queryRecords", (*Tenant).queryRecords),
	}
}

// queried is an operation on queries on behalf of a client that may do it.
type queried func(t *Tenant, w http.ResponseWriter, r *http.Request, version string) error

func permitted(version string, do queried) func(*Tenant, http.ResponseWriter, *http.Request) error {
	return func(t *Tenant, w http.ResponseWriter, r *http.Request) error {
		g, err := t.graphGrant(r)
		switch {
		case err != nil:
			return err
		case version == "/v1.0" && t.purview.onWire().NoV1:
			return t.graphRefusal(r, http.StatusNotFound, "UnknownError", "")
		case !slices.Contains(g.roles, RoleAuditLogsQuery):
			return t.graphRefusal(r, http.StatusForbidden, "Forbidden", "Application is not authorized to perform this operation. Application must have one of the following scopes: "+RoleAuditLogsQuery)
		}
		return do(t, w, r, version)
	}
}

// submitQuery takes a query. [security-auditcoreroot-post-auditlogqueries]
func (t *Tenant) submitQuery(w http.ResponseWriter, r *http.Request, version string) error {
	q, err := t.readQuery(r)
	if err != nil {
		return err
	}
	wire := t.purview.onWire()
	now := t.now().UTC()
	q.id, q.found, q.ends, q.limit = newRequestID(), -1, wire.Ends, wire.RecordLimit
	q.submitted, q.starts = now, now.Add(wire.Queued)
	q.over = q.starts.Add(wire.Running)
	if wait := t.purview.take(q, wire); wait > 0 {
		no := t.graphThrottled(r)
		t.sayWhen(no, wait)
		return no
	}
	return t.writeQuery(w, r, version, http.StatusCreated, q)
}

// take keeps a query, or says when there will be room for it.
func (p *purview) take(q *auditQuery, wire PurviewWire) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := q.submitted
	p.queries = slices.DeleteFunc(p.queries, func(o *auditQuery) bool { return now.Sub(o.submitted) > keepsQueries })
	var today, going []time.Time // when each stops to count
	for _, o := range p.queries {
		if until := o.submitted.Add(24 * time.Hour); until.After(now) {
			today = append(today, until)
		}
		if o.over.After(now) {
			going = append(going, o.over)
		}
	}
	wait := max(room(today, wire.PerDay, now), room(going, wire.AtOnce, now))
	if wait == 0 {
		p.queries = append(p.queries, q)
	}
	return wait
}

// keepsQueries is how long queries are there. [Purview: "Search the audit log"]
const keepsQueries = 30 * 24 * time.Hour

// room is how long it takes until fewer than most of the moments lie ahead.
func room(ends []time.Time, most int, now time.Time) time.Duration {
	if len(ends) < most {
		return 0
	}
	slices.SortFunc(ends, time.Time.Compare)
	return ends[len(ends)-most].Sub(now)
}

func (t *Tenant) listQueries(w http.ResponseWriter, r *http.Request, version string) error {
	t.purview.mu.Lock()
	queries := slices.Clone(t.purview.queries)
	t.purview.mu.Unlock()
	views := make([]map[string]any, len(queries))
	for i, q := range queries {
		views[i] = q.view(t)
	}
	return writeJSON(w, map[string]any{"@odata.context": origin(r) + version + "/$metadata#security/auditLog/queries", "value": views})
}

func (t *Tenant) getQuery(w http.ResponseWriter, r *http.Request, version string) error {
	q, err := t.queryOf(r)
	if err != nil {
		return err
	}
	return t.writeQuery(w, r, version, http.StatusOK, q)
}

func (t *Tenant) writeQuery(w http.ResponseWriter, r *http.Request, version string, status int, q *auditQuery) error {
	view := q.view(t)
	view["@odata.context"] = origin(r) + version + "/$metadata#security/auditLog/queries/$entity"
	b, err := json.Marshal(view)
	if err != nil {
		return fmt.Errorf("encode a query: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client may be gone
	return nil
}

func (t *Tenant) queryOf(r *http.Request) (*auditQuery, error) {
	t.purview.mu.Lock()
	defer t.purview.mu.Unlock()
	for _, q := range t.purview.queries {
		if q.id == r.PathValue("id") && t.now().Sub(q.submitted) <= keepsQueries {
			return q, nil
		}
	}
	return nil, t.graphRefusal(r, http.StatusNotFound, "NotFound", "The requested audit log query was not found.")
}
