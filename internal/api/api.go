// Package api is AOC's REST interface: the table of routes, what each reads of
// a request, and how answers and errors are written. It knows its stores and
// planners by what it asks of them, and nothing of the host that it runs under.
package api

import (
	"context"
	"log/slog"
	"net/netip"
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
	Demo              bool           `json:"demo" jsonschema:"The tenant is a simulated one."`
	AuthEnabled       bool           `json:"auth_enabled" jsonschema:"People sign in; without it, whoever reaches AOC sees everything."`
	AIFeaturesEnabled bool           `json:"ai_features_enabled" jsonschema:"Questions in words are answered."`
	PeriodicFetch     bool           `json:"periodic_fetch" jsonschema:"The feeds are read again and again by themselves."`
	TenantID          string         `json:"tenant_id" jsonschema:"The tenant that is collected from."`
	Sources           []audit.Source `json:"sources" jsonschema:"The feeds that are switched on."`
}

// SignIn is what a page needs to sign people in with MSAL. Nothing of it is secret.
type SignIn struct {
	Enabled   bool     `json:"enabled" jsonschema:"People sign in; where false, nothing else of this counts."`
	TenantID  string   `json:"tenant_id" jsonschema:"The tenant whose people sign in."`
	ClientID  string   `json:"client_id" jsonschema:"The app registration that they sign in to."`
	Authority string   `json:"authority" jsonschema:"Where they sign in."`
	Scopes    []string `json:"scopes" jsonschema:"What a token is asked for."`
	Simulated string   `json:"simulated" jsonschema:"The path under which the page's own origin stands in for the authority; empty is the real one."`
}

// Version says which program this is.
type Version struct {
	Version string `json:"version" jsonschema:"The release."`
	Commit  string `json:"commit" jsonschema:"What it was built from."`
	Go      string `json:"go" jsonschema:"The Go that built it."`
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
	DocsEnabled    bool           // /openapi.json and /docs are there
	Instances      Instances
	Dependencies   []Dependency // what /health/ready looks at
	Quotas         map[Kind]audit.Quota
	Log            *slog.Logger

	once      sync.Once
	meters    *meters
	readiness kept[readyAnswer]
	pulse     kept[string] // of the database
	docs      docs
}
