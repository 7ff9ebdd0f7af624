// Package api is AOC's REST interface: the table of routes, what each reads of
// a request, and how answers and errors are written. It knows its stores and
// planners by what it asks of them, and nothing of the host that it runs under.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
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

// Callers says who asks, by the values of a request's Authorization header. Its
// errors are auth's.
type Callers interface {
	Authenticate(ctx context.Context, authorization []string) (audit.Principal, error)
	Challenge(err error) string // what a 401 answers as WWW-Authenticate
}

// Limiter decides whether a caller may make one more request of a kind. An
// error says that it cannot be known, and then the answer is no.
type Limiter interface {
	Take(ctx context.Context, q audit.Quota, who string) (audit.Decision, error)
}

// OwnLog keeps what is done with AOC. An act is durable when it returns.
type OwnLog interface {
	Note(ctx context.Context, act audit.Act) error
}

// Instances tells of the processes that plan and collect.
type Instances interface {
	Instances(ctx context.Context, since time.Time) ([]audit.Instance, error)
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

// SignIn is what a page needs to sign people in with MSAL. Nothing of it is secret.
type SignIn struct {
	Enabled   bool     `json:"enabled"`
	TenantID  string   `json:"tenant_id"`
	ClientID  string   `json:"client_id"`
	Authority string   `json:"authority"`
	Scopes    []string `json:"scopes"`
	Simulated string   `json:"simulated"` // the path under which the page's own origin stands in for the authority; "" is the real one
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
	Callers        Callers
	Limiter        Limiter
	OwnLog         OwnLog
	WebhookAuthID  func(context.Context) (string, error) // what the Management API's notifications must carry; nil or "": there is no webhook
	Features       Features
	SignIn         SignIn
	Version        Version
	MaxHours       int            // of a backfill
	Retention      time.Duration  // events younger than this are never deleted at a caller's word; 0: none are
	LateAfter      time.Duration  // a feed further behind than this is late
	TrustedOrigins []string       // pages elsewhere that may read and ask for changes; "*": any may read, with a token
	LocalNames     bool           // only localhost and IP addresses are names of ours: sign-in is off and foreign pages are near
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	BehindHost     bool           // the peer is the Functions host: the front end's X-Forwarded-For says who calls
	MetricsAllowed []netip.Prefix // who may read /metrics
	Instances      Instances
	Dependencies   []Dependency // what /health/ready looks at
	Quotas         map[Kind]audit.Quota
	Log            *slog.Logger

	once      sync.Once
	meters    *meters
	readiness readiness
}

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
	maxBody  int64 // of a request; 0: maxBody
}

// Paged reports whether pages call the route, and so may ask first by OPTIONS.
func (r Route) Paged() bool {
	return strings.HasPrefix(r.Path, "/api/") && !strings.HasPrefix(r.Path, "/api/webhooks/")
}

// Routes is the one list of what is served. Nothing else is.
func (a *API) Routes() []Route {
	return []Route{
		{Function: "events", Method: "GET", Path: "/api/events", Act: "Search events", handle: a.events},
		{Function: "events", Method: "GET", Path: "/api/events/{id}", Act: "Read raw record", handle: a.event},
		{Function: "filter-options", Method: "GET", Path: "/api/filter-options", handle: a.filterOptions},
		{Function: "fetch", Method: "GET", Path: "/api/fetch-audit-logs", Access: Admins, Kind: Fetches, Act: "Start backfill", Changes: true, handle: a.fetch},
		{Function: "fetch", Method: "POST", Path: "/api/fetch-audit-logs", Access: Admins, Kind: Fetches, Act: "Start backfill", Changes: true, handle: a.fetch},
		{Function: "jobs", Method: "GET", Path: "/api/jobs", handle: a.jobs},
		{Function: "jobs", Method: "GET", Path: "/api/jobs/{id}", handle: a.job},
		{Function: "job-start", Method: "POST", Path: "/api/jobs", Access: Admins, Kind: Writes, Act: "Start job", Changes: true, handle: a.startJob},
		{Function: "coverage", Method: "GET", Path: "/api/coverage", handle: a.coverage},
		{Function: "quarantine", Method: "GET", Path: "/api/quarantine", Access: Unrestricted, Act: "Read quarantine", handle: a.quarantine},
		{Function: "quarantine-retry", Method: "POST", Path: "/api/quarantine/retry", Access: Admins, Kind: Writes, Act: "Retry quarantine", Changes: true, handle: a.retryQuarantine},
		{Function: "preflight", Method: "GET", Path: "/api/preflight", Access: Admins, Kind: Writes, Act: "Run preflight", handle: a.preflight},
		{Function: "webhook-o365", Method: "POST", Path: "/api/webhooks/o365", Access: Open, Kind: Unlimited, handle: a.webhook, maxBody: maxNotification},
		{Function: "source-health", Method: "GET", Path: "/api/source-health", handle: a.sourceHealth},
		{Function: "config", Method: "GET", Path: "/api/config/features", handle: a.features},
		{Function: "config", Method: "GET", Path: "/api/config/auth", Access: Open, Kind: Unlimited, handle: a.signIn},
		{Function: "version", Method: "GET", Path: "/api/version", Access: Open, Kind: Unlimited, handle: a.version},
		{Function: "health", Method: "GET", Path: "/health", Access: Open, Kind: Unlimited, handle: a.health},
		{Function: "health-ready", Method: "GET", Path: "/health/ready", Access: Open, Kind: Unlimited, handle: a.ready},
		{Function: "metrics", Method: "GET", Path: "/metrics", Access: Open, Kind: Unlimited, handle: a.scrape},
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
