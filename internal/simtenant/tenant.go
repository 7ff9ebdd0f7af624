package simtenant

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// contentTypes are the feeds of the Management Activity API.
var contentTypes = []string{AuditAzureAD, AuditExchange, AuditSharePoint, AuditGeneral, DLPAll}

// graphFeeds are the feeds of Microsoft Graph.
var graphFeeds = []string{
	DirectoryAudits, SignIns, IntuneAudits,
	NonInteractiveSignIns, ServicePrincipalSignIns, ManagedIdentitySignIns, Provisioning, RiskDetections,
}

// Feeds returns the names of all feeds: those of Graph, then the content types
// of the Management Activity API. Truth is asked by these names.
func Feeds() []string { return slices.Concat(graphFeeds, contentTypes) }

// Options says which tenant to simulate and how. The zero value of every field
// but Seed has a default that suits a demo.
type Options struct {
	Seed   uint64           // the same seed, epoch and people are the same tenant
	Epoch  time.Time        // when the tenant was first looked at; default: now
	People int              // who work there; default 60
	Now    func() time.Time // default time.Now

	Replay string // path of an NDJSON file, plain or gzip, to serve instead of made records

	Roles        []string      // application permissions of the client; nil: all that the feeds need
	ClientSecret string        // default: made from the seed
	Free         bool          // a tenant without Entra ID P1: no sign-ins, provisioning and risk, seven days of directory audits
	P1           bool          // a tenant with P1 and without P2: premium risk detections are "generic"
	PageSize     int           // blobs on a page of content; default 200
	BlobSlot     time.Duration // how long publications are gathered into one blob; default 5 min, whole seconds
	Wire         Wire
	Limits       Limits
	Webhooks     *http.Client // what notifications are sent with; default: 10 s timeout
}

// archive is the records behind the wire: made by history, or read by replay.
type archive interface {
	// published returns records with from <= Published < to, ordered by
	// Published and id.
	published(feed string, from, to time.Time) []record
	// occurred returns records with from <= At < to and Published <= now.
	occurred(feed string, from, to, now time.Time) []record
}

// Tenant is a simulated tenant. It is an http.Handler that serves all APIs
// under one origin, or under the real services' hosts through Transport. Safe
// for concurrent use.
type Tenant struct {
	records      archive
	history      *history
	replay       *replay // nil for a tenant with made records
	mux          *http.ServeMux
	vaultMux     *http.ServeMux // its own: its paths are no tenant's
	now          func() time.Time
	clientID     string
	clientSecret string
	free, p1     bool
	pageSize     int
	slot         time.Duration
	webhooks     *http.Client
	keys         keyring
	signIns      signIns
	vault        vault
	faults       *Faults
	calls        callLog
	throttles    throttles
	purview      purview

	mu            sync.Mutex // guards what follows
	wire          Wire
	roles         []string
	subscriptions map[string]*subscription
	registration  registration
}

// New makes a tenant. It fails when the file to replay cannot be read, or when
// nothing in it is a record of a known feed.
func New(o Options) (*Tenant, error) {
	o = o.withDefaults()
	if o.BlobSlot < time.Second || o.BlobSlot%time.Second != 0 {
		return nil, fmt.Errorf("blob slot: expected whole seconds, got %s", o.BlobSlot)
	}
	h := newHistory(o.Seed, o.Epoch, o.People)
	rng := rand.New(rand.NewPCG(o.Seed, 0x636c69656e74))
	t := &Tenant{
		records: h, history: h, now: o.Now, free: o.Free, p1: o.P1,
		clientID: newID(rng), clientSecret: "sim~" + mailKey(rng, 34),
		pageSize: o.PageSize, slot: o.BlobSlot, webhooks: o.Webhooks, roles: o.Roles, wire: o.Wire,
		subscriptions: map[string]*subscription{},
	}
	if o.ClientSecret != "" {
		t.clientSecret = o.ClientSecret
	}
	t.faults = &Faults{tenant: t}
	t.throttles.set(o.Limits)
	t.registration = newRegistration()
	h.company.know(t.principalID(), "servicePrincipal", "displayName", clientName, "appId", t.clientID)
	if _, err := t.keys.rotate(); err != nil {
		return nil, err
	}
	if o.Replay != "" {
		replay, err := openReplay(o.Replay, t.now().UTC(), t.slot, t.retention)
		if err != nil {
			return nil, err
		}
		t.replay, t.records = replay, replay
	}
	t.mux = t.routes(entraRoutes, graphRoutes("/v1.0"), graphRoutes("/beta"), memberRoutes("/v1.0"), memberRoutes("/beta"), purviewRoutes("/v1.0"), purviewRoutes("/beta"), managementRoutes("/api/v1.0"), managementRoutes("/api/v1"))
	t.vaultMux = t.routes(vaultRoutes)
	return t, nil
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Epoch.IsZero() {
		o.Epoch = o.Now()
	}
	if o.People == 0 {
		o.People = 60
	}
	if o.PageSize <= 0 {
		o.PageSize = 200
	}
	if o.BlobSlot == 0 {
		o.BlobSlot = 5 * time.Minute
	}
	if o.Roles == nil {
		o.Roles = AllRoles()
	}
	if o.Webhooks == nil {
		o.Webhooks = &http.Client{Timeout: 10 * time.Second}
	}
	return o
}

// TenantID returns the tenant's GUID.
func (t *Tenant) TenantID() string { return t.history.tenantID() }

// ClientID returns the application id of the one registered application: the
// client that collects, and the API and page that people sign in to.
func (t *Tenant) ClientID() string { return t.clientID }

// ClientSecret returns the client's secret.
func (t *Tenant) ClientSecret() string { return t.clientSecret }

// Faults returns the switches for what goes wrong.
func (t *Tenant) Faults() *Faults { return t.faults }

// Grant replaces the application permissions of the client. Tokens that are
// out already keep what they have, as with Entra.
func (t *Tenant) Grant(roles ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.roles = slices.Clone(roles)
}

// Env returns the settings with which a program uses the tenant at an origin
// such as "https://127.0.0.1:8443". Whether people must sign in to the program,
// and whether it reads a vault (VaultEnv), is not among them.
func (t *Tenant) Env(origin string) map[string]string {
	return map[string]string{
		"TENANT_ID": t.TenantID(), "CLIENT_ID": t.clientID, "CLIENT_SECRET": t.clientSecret,
		"AUTHORITY_HOST": origin, "GRAPH_BASE_URL": origin, "MANAGEMENT_BASE_URL": origin,
	}
}

// retention is how far back a feed of Graph answers. [entra-docs
// reference-reports-data-retention, memdocs monitor-audit-logs]
func (t *Tenant) retention(feed string) time.Duration {
	switch {
	case feed == IntuneAudits:
		return 365 * 24 * time.Hour
	case feed == RiskDetections && !t.p1:
		return 90 * 24 * time.Hour
	case t.free:
		return 7 * 24 * time.Hour
	}
	return 30 * 24 * time.Hour
}

// route is one operation of the wire.
type route struct {
	pattern string
	name    string // of the endpoint, in Calls and Fault
	api     api
	do      func(*Tenant, http.ResponseWriter, *http.Request) error
}

// api is whose errors an endpoint answers with.
type api int

const (
	apiEntra api = iota
	apiGraph
	apiManagement
	apiVault
)

func (t *Tenant) routes(lists ...[]route) *http.ServeMux {
	mux := http.NewServeMux()
	for _, list := range lists {
		for _, rt := range list {
			mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { t.serve(rt, w, r) })
		}
	}
	return mux
}

// ServeHTTP answers as Microsoft would.
func (t *Tenant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, vaultPath) {
		t.vaultMux.ServeHTTP(w, r)
		return
	}
	t.mux.ServeHTTP(w, r)
}

// maxBody bounds what is read of a request; the largest real one is a
// thousand ids.
const maxBody = 1 << 20

// serve runs one operation, with the faults that strike it.
func (t *Tenant) serve(rt route, w http.ResponseWriter, r *http.Request) {
	out := &answer{ResponseWriter: w}
	defer func() { t.calls.note(t.now(), rt.name, r, out) }()
	r.Body = http.MaxBytesReader(out, r.Body, maxBody)
	struck := t.faults.draw(rt.name, r)
	if !struck.wait(r.Context()) {
		return
	}
	body, finish := struck.writer(out, r)
	err := struck.refusal(t, rt.api, r)
	if err == nil {
		err = rt.do(t, body, r.WithContext(struck.attach(r.Context())))
	}
	t.refuse(body, rt.api, r, err)
	finish()
}

// refuse writes the answer to a request that failed.
func (t *Tenant) refuse(w http.ResponseWriter, of api, r *http.Request, err error) {
	if err == nil {
		return
	}
	var no *refusal
	if !errors.As(err, &no) {
		no = t.plainRefusal(of, http.StatusInternalServerError, r)
	}
	no.write(w)
}

// origin is the address that the client used. Links in answers stay on it.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
