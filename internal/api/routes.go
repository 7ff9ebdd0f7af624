package api

import (
	"net/http"
	"strings"

	"aoc/internal/audit"
)

// Route is one row of the route table.
type Route struct {
	Function string // the folder in functions/ that carries it
	Method   string
	Path     string // a net/http pattern's path
	Access   Access // who may call it
	Kind     Kind   // whose quota it counts against
	Act      string // what AOC's own log calls it; "" is not noted
	Changes  bool   // it changes state, whatever its method
	handle   func(http.ResponseWriter, *http.Request) error
	maxBody  int64   // of a request; 0: maxBody
	params   []param // the only ones: others are refused
	doc      doc
}

// Paged reports whether pages call the route, and so may ask first by OPTIONS.
func (r Route) Paged() bool {
	return strings.HasPrefix(r.Path, "/api/") && !strings.HasPrefix(r.Path, "/api/webhooks/")
}

// query lists the names of the route's query parameters.
func (r Route) query() []string {
	var names []string
	for _, p := range r.params {
		if p.in == inQuery {
			names = append(names, p.name)
		}
	}
	return names
}

// Routes is the one list of what is served, and what /openapi.json tells of.
// Nothing else is.
func (a *API) Routes() []Route {
	return []Route{
		{Function: "events", Method: "GET", Path: "/api/events", Act: "Search events", handle: a.events, params: searchParams, doc: docSearch},
		{Function: "events", Method: "GET", Path: "/api/events/{id}", Act: "Read raw record", handle: a.event, params: eventParams, doc: docEvent},
		{Function: "filter-options", Method: "GET", Path: "/api/filter-options", handle: a.filterOptions, doc: docOptions},
		{Function: "fetch", Method: "GET", Path: "/api/fetch-audit-logs", Access: Admins, Kind: Fetches, Act: "Start backfill", Changes: true, handle: a.fetch, params: fetchParams, doc: docFetchByGet},
		{Function: "fetch", Method: "POST", Path: "/api/fetch-audit-logs", Access: Admins, Kind: Fetches, Act: "Start backfill", Changes: true, handle: a.fetch, params: fetchParams, doc: docFetch},
		{Function: "jobs", Method: "GET", Path: "/api/jobs", handle: a.jobs, doc: docJobs},
		{Function: "jobs", Method: "GET", Path: "/api/jobs/{id}", handle: a.job, params: jobParams, doc: docJob},
		{Function: "job-start", Method: "POST", Path: "/api/jobs", Access: Admins, Kind: Writes, Act: "Start job", Changes: true, handle: a.startJob, doc: docStartJob},
		{Function: "coverage", Method: "GET", Path: "/api/coverage", handle: a.coverage, params: coverageParams, doc: docCoverage},
		{Function: "quarantine", Method: "GET", Path: "/api/quarantine", Access: Unrestricted, Act: "Read quarantine", handle: a.quarantine, params: quarantineParams, doc: docQuarantine},
		{Function: "quarantine-retry", Method: "POST", Path: "/api/quarantine/retry", Access: Admins, Kind: Writes, Act: "Retry quarantine", Changes: true, handle: a.retryQuarantine, doc: docRetry},
		{Function: "preflight", Method: "GET", Path: "/api/preflight", Access: Admins, Kind: Writes, Act: "Run preflight", handle: a.preflight, doc: docPreflight},
		{Function: "webhook-o365", Method: "POST", Path: "/api/webhooks/o365", Access: Open, Kind: Unlimited, handle: a.webhook, maxBody: maxNotification, params: webhookParams, doc: docWebhook},
		{Function: "source-health", Method: "GET", Path: "/api/source-health", handle: a.sourceHealth, doc: docSourceHealth},
		{Function: "config", Method: "GET", Path: "/api/config/features", handle: a.features, doc: docFeatures},
		{Function: "config", Method: "GET", Path: "/api/config/auth", Access: Open, Kind: Unlimited, handle: a.signIn, doc: docSignIn},
		{Function: "version", Method: "GET", Path: "/api/version", Access: Open, Kind: Unlimited, handle: a.version, doc: docVersion},
		{Function: "health", Method: "GET", Path: "/health", Access: Open, Kind: Unlimited, handle: a.health, doc: docHealth},
		{Function: "health-ready", Method: "GET", Path: "/health/ready", Access: Open, Kind: Unlimited, handle: a.ready, doc: docReady},
		{Function: "metrics", Method: "GET", Path: "/metrics", Access: Open, Kind: Unlimited, handle: a.scrape, doc: docMetrics},
		{Function: "openapi", Method: "GET", Path: "/openapi.json", Access: Open, Kind: Unlimited, handle: a.openAPI, doc: docOpenAPI},
		{Function: "docs", Method: "GET", Path: "/docs", Access: Open, Kind: Unlimited, handle: a.docsPage, doc: docDocs},
	}
}

// Handler serves the routes; anything else is a 404 in the API's own shape.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	paths := map[string][]string{}
	for _, route := range a.Routes() {
		mux.Handle(route.Method+" "+route.Path, a.serve(route))
		if route.Paged() {
			paths[route.Path] = append(paths[route.Path], route.Method)
		}
	}
	for path, methods := range paths {
		mux.Handle("OPTIONS "+path, a.preflightOf(methods))
	}
	mux.Handle("/", a.serve(Route{Access: Open, Kind: Unlimited, handle: func(http.ResponseWriter, *http.Request) error {
		return audit.ErrNotFound
	}}))
	return mux
}
