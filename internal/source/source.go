// Package source reads the audit trails of a Microsoft 365 tenant: the content
// types of the Office 365 Management Activity API and the log collections of
// Microsoft Graph, all on one client that keeps tokens, limits, retries and
// paging. It hands records on as the bytes that came. It must not know what a
// record means, where it is stored, or when a window is due.
package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aoc/internal/audit"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	kiota "github.com/microsoft/kiota-abstractions-go"
)

// Feed is one audit trail of a tenant, read in windows. It is safe for
// concurrent use.
type Feed interface {
	// Source names the feed.
	Source() audit.Source
	// Reach says what the oldest moment is that can still be listed at the
	// moment now, and in a note for people, what decides it.
	Reach(now time.Time) (oldest time.Time, note string)
	// List yields the blobs of [from, to): of the Management API those that
	// were published then; of Graph one that stands for the whole span of event
	// time. An error ends it.
	List(ctx context.Context, from, to time.Time) iter.Seq2[audit.Blob, error]
	// Fetch yields the records of a blob as they came, one by one while the
	// answer is read. An error ends it; what came before stands. A record of
	// more than 16 MiB is cut there, so that it is quarantined and costs only
	// itself.
	Fetch(ctx context.Context, blob audit.Blob) iter.Seq2[audit.Record, error]
}

// Limiter keeps calls within an API's bounds.
type Limiter interface {
	// Wait returns when the next call may begin, or with an error when it may
	// not begin before the context ends.
	Wait(ctx context.Context) error
	// Throttled tells that the API refused a call and wants quiet for so long.
	Throttled(quiet time.Duration)
}

// Limits are the limiters of the APIs, which are throttled apart. One that is
// nil does not limit.
type Limits struct {
	Management Limiter // Office 365 Management Activity API: 2,000 requests a minute and tenant
	Reports    Limiter // Graph's auditLogs (directoryAudits, signIns, provisioning): 5 requests in 10 s
	Intune     Limiter // Graph's deviceManagement/auditEvents: 1,000 requests in 20 s
	Directory  Limiter // Graph's directory objects
	Risk       Limiter // Graph's identityProtection: 1 request a second and tenant, of all its apps
	Purview    Limiter // Graph's security/auditLog/queries
}

// Config is what a Client is made of. TenantID and Credential must be set.
type Config struct {
	TenantID            string                 // GUID: the Management API takes no domain name
	Credential          azcore.TokenCredential // see NewCredential
	GraphBaseURL        string                 // an https origin; "" is https://graph.microsoft.com
	ManagementBaseURL   string                 // an https origin; "" is https://manage.office.com
	GraphResource       string                 // what tokens for Graph are asked for; "" is the cloud's own
	ManagementResource  string                 // what tokens for the Management API are asked for; "" is the cloud's own
	PublisherIdentifier string                 // GUID of whose quota the Management API counts; "" is the tenant's id
	Webhook             Webhook                // "" has none
	Limits              Limits
	Transport           http.RoundTripper // nil is NewTransport("")'s
	UserAgent           string            // "" is AOC
	Log                 *slog.Logger      // nil is silence
}

// Client speaks to the APIs of one tenant. It is safe for concurrent use.
type Client struct {
	tenant     string
	publisher  string
	userAgent  string
	webhook    Webhook
	http       *http.Client
	tokens     *tokens
	log        *slog.Logger
	adapter    kiota.RequestAdapter
	management *service
	reports    *service
	intune     *service
	directory  *service
	risk       *service
	purview    *Purview
	feeds      map[audit.Source]Feed
}

// String names the tenant. What a client is made of holds secrets and tokens.
func (c *Client) String() string { return "the client of the tenant " + c.tenant }

// GoString is String.
func (c *Client) GoString() string { return c.String() }

// service is one API as the client calls it.
type service struct {
	name    API
	base    *url.URL // an origin
	scope   string   // of its tokens
	limiter Limiter
}

// Open returns a client. It calls nobody: every mistake that it reports is of
// the configuration, all of them together.
func Open(cfg Config) (*Client, error) {
	graph, errGraph := newService(Graph, "GRAPH_BASE_URL", cfg.GraphBaseURL, cfg.GraphResource)
	management, errManagement := newService(Management, "MANAGEMENT_BASE_URL", cfg.ManagementBaseURL, cfg.ManagementResource)
	if err := errors.Join(errGraph, errManagement, cfg.check()); err != nil {
		return nil, fmt.Errorf("open the sources: %w", err)
	}
	c := &Client{
		tenant:    strings.ToLower(cfg.TenantID),
		publisher: cmp.Or(cfg.PublisherIdentifier, strings.ToLower(cfg.TenantID)),
		userAgent: cmp.Or(cfg.UserAgent, "AOC"),
		webhook:   cfg.Webhook,
		tokens:    newTokens(cfg.Credential),
		log:       cfg.Log,
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if err := c.connect(cfg.Transport); err != nil {
		return nil, fmt.Errorf("open the sources: %w", err)
	}
	c.management = management.limited(cfg.Limits.Management)
	c.reports = graph.limited(cfg.Limits.Reports)
	c.intune = graph.limited(cfg.Limits.Intune)
	c.directory = graph.limited(cfg.Limits.Directory)
	c.risk = graph.limited(cfg.Limits.Risk)
	c.purview = &Purview{client: c, svc: graph.limited(cfg.Limits.Purview)}
	c.feeds = c.allFeeds()
	return c, nil
}

func (cfg *Config) check() error {
	var errs []error
	if !audit.IsGUID(cfg.TenantID) {
		errs = append(errs, audit.Invalid("TENANT_ID", fmt.Sprintf("expected the tenant's GUID, got %q", cfg.TenantID)))
	}
	if cfg.Credential == nil {
		errs = append(errs, audit.Invalid("credential", "expected one"))
	}
	if p := cfg.PublisherIdentifier; p != "" && !audit.IsGUID(p) {
		errs = append(errs, audit.Invalid("PUBLISHER_IDENTIFIER", fmt.Sprintf("expected a GUID, got %q", p)))
	}
	return errors.Join(errs...)
}

// connect makes the one HTTP client. It follows no redirect: none of the APIs
// redirects, and a token must not travel to where an answer points.
func (c *Client) connect(transport http.RoundTripper) (err error) {
	if transport == nil {
		if transport, err = NewTransport(""); err != nil {
			return err
		}
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: noRedirect}
	c.adapter, err = newAdapter(c.http)
	return err
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (c *Client) allFeeds() map[audit.Source]Feed {
	feeds := make(map[audit.Source]Feed)
	for _, f := range append(c.managementFeeds(), c.graphFeeds()...) {
		feeds[f.Source()] = f
	}
	return feeds
}

// Sources lists the feeds that a Client can read, in the order in which people
// are shown them.
func Sources() []audit.Source {
	return []audit.Source{
		audit.EntraDirectory, audit.EntraSignIn, audit.EntraSignInNonInter, audit.EntraSignInPrincipal, audit.EntraSignInManaged,
		audit.EntraProvisioning, audit.EntraRisk, audit.IntuneAudit,
		audit.M365Exchange, audit.M365SharePoint, audit.M365General, audit.M365DLP, audit.M365Entra,
	}
}

// Feeds returns the feeds of the given names, in their order. A name that is
// none of Sources is invalid.
func (c *Client) Feeds(sources ...audit.Source) ([]Feed, error) {
	feeds := make([]Feed, 0, len(sources))
	for _, s := range sources {
		f, ok := c.feeds[s]
		if !ok {
			return nil, audit.Invalid("SOURCES", fmt.Sprintf("%q is no feed that can be read", s))
		}
		feeds = append(feeds, f)
	}
	return feeds, nil
}

func (s service) limited(l Limiter) *service {
	if l == nil {
		l = noLimit{}
	}
	s.limiter = l
	return &s
}

type noLimit struct{}

func (noLimit) Wait(ctx context.Context) error { return ctx.Err() }
func (noLimit) Throttled(time.Duration)        {}
