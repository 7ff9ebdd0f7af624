// Package api is AOC's REST interface: the table of routes, what each reads of
// a request, and how answers and errors are written. It knows its stores and
// planners by what it asks of them, and nothing of the host that it runs under.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"aoc/internal/audit"
)

// Events answers questions about events.
type Events interface {
	Search(ctx context.Context, q audit.Query) (audit.Page, error)
	Event(ctx context.Context, scope audit.Scope, id string) (audit.Event, error)
	Raw(ctx context.Context, scope audit.Scope, id string) (audit.Raw, error)
	Facets(ctx context.Context, scope audit.Scope) ([]audit.Facet, error)
}

// Jobs starts backfills and other jobs and tells how they go.
type Jobs interface {
	Backfill(ctx context.Context, hours int) (audit.Job, error)
	StartJob(ctx context.Context, kind string, options audit.JobOptions) (audit.Job, error)
	Job(ctx context.Context, id string) (audit.Job, error)
	Jobs(ctx context.Context, limit int) ([]audit.Job, error)
}

// Ledger tells how the feeds do and whether the store can be reached.
type Ledger interface {
	Feeds(ctx context.Context) ([]audit.FeedState, error)
	Windows(ctx context.Context, q audit.LedgerQuery) ([]audit.Window, error)
	Quarantined(ctx context.Context, after string, limit int) ([]audit.Quarantined, error)
	Ping(ctx context.Context) error
}

// Preflight looks whether collection can work, and says what is missing.
type Preflight interface {
	Check(ctx context.Context, sources ...audit.Source) []audit.Check
}

// Push takes blobs that the Management API has told of; they are in the ledger
// when it returns.
type Push interface {
	Push(ctx context.Context, blobs []audit.Blob) error
}

// Features is what the page must know to show itself.
type Features struct {
	Demo              bool           `json:"demo"`
	AuthEnabled       bool           `json:"auth_enabled"`
	AIFeaturesEnabled bool           `json:"ai_features_enabled"`
	PeriodicFetch     bool           `json:"periodic_fetch"`
	TenantID          string         `json:"tenant_id"`
	Sources           []audit.Source `json:"sources"`
}

// Version says which program this is.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// API serves the routes. All fields must be set but those that say otherwise.
type API struct {
	Events         Events
	Jobs           Jobs
	Ledger         Ledger
	Preflight      Preflight
	Push           Push
	WebhookAuthID  string // what the Management API's notifications must carry; "": there is no webhook
	Features       Features
	Version        Version
	MaxHours       int           // of a backfill
	LateAfter      time.Duration // a feed further behind than this is late
	TrustedOrigins []string      // pages elsewhere that may ask for changes
	Log            *slog.Logger
}

// Route is one row of the route table.
type Route struct {
	Function string // the folder in functions/ that carries it
	Method   string
	Path     string // a net/http pattern's path
	handle   func(http.ResponseWriter, *http.Request) error
	changes  bool  // it changes state, whatever its method
	maxBody  int64 // of a request; 0: maxBody
}

// Routes is the one list of what is served. Nothing else is.
func (a *API) Routes() []Route {
	return []Route{
		{Function: "events", Method: "GET", Path: "/api/events", handle: a.events},
		{Function: "events", Method: "GET", Path: "/api/events/{id}", handle: a.event},
		{Function: "filter-options", Method: "GET", Path: "/api/filter-options", handle: a.filterOptions},
		{Function: "fetch", Method: "GET", Path: "/api/fetch-audit-logs", handle: a.fetch, changes: true},
		{Function: "fetch", Method: "POST", Path: "/api/fetch-audit-logs", handle: a.fetch, changes: true},
		{Function: "jobs", Method: "GET", Path: "/api/jobs", handle: a.jobs},
		{Function: "jobs", Method: "GET", Path: "/api/jobs/{id}", handle: a.job},
		{Function: "job-start", Method: "POST", Path: "/api/jobs", handle: a.startJob, changes: true},
		{Function: "coverage", Method: "GET", Path: "/api/coverage", handle: a.coverage},
		{Function: "quarantine", Method: "GET", Path: "/api/quarantine", handle: a.quarantine},
		{Function: "quarantine-retry", Method: "POST", Path: "/api/quarantine/retry", handle: a.retryQuarantine, changes: true},
		{Function: "preflight", Method: "GET", Path: "/api/preflight", handle: a.preflight},
		{Function: "webhook-o365", Method: "POST", Path: "/api/webhooks/o365", handle: a.webhook, maxBody: maxNotification},
		{Function: "source-health", Method: "GET", Path: "/api/source-health", handle: a.sourceHealth},
		{Function: "config", Method: "GET", Path: "/api/config/features", handle: a.features},
		{Function: "version", Method: "GET", Path: "/api/version", handle: a.version},
		{Function: "health", Method: "GET", Path: "/health", handle: a.health},
	}
}

// Handler serves the routes; anything else is a 404 in the API's own shape.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range a.Routes() {
		mux.Handle(route.Method+" "+route.Path, a.serve(route))
	}
	mux.Handle("/", a.serve(Route{handle: func(http.ResponseWriter, *http.Request) error {
		return audit.ErrNotFound
	}}))
	return mux
}
