package simtenant

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

func managementRoutes(version string) []route {
	feed := version + "/{tenant}/activity/feed/"
	op := func(method, path, name, operation string, do managed) route {
		return route{method + " " + feed + path, name, apiManagement, guarded(operation, do)}
	}
	return []route{
		op("POST", "subscriptions/start", "start", "StartSubscription", (*Tenant).start),
		op("POST", "subscriptions/stop", "stop", "StopSubscription", (*Tenant).stop),
		op("GET", "subscriptions/list", "list", "ListSubscriptions", (*Tenant).listSubscriptions),
		op("GET", "subscriptions/content", "content", "ListContent", (*Tenant).listContent),
		op("GET", "subscriptions/notifications", "notifications", "ListNotifications", (*Tenant).listNotifications),
		op("GET", "audit/{contentId}", "blob", "GetBlob", (*Tenant).getBlob),
		op("GET", "resources/dlpSensitiveTypes", "dlpSensitiveTypes", "GetResources", (*Tenant).sensitiveTypes),
	}
}

// managed is an operation on behalf of a client that may use the API at all.
type managed func(t *Tenant, w http.ResponseWriter, r *http.Request, g grant) error

// guarded checks what every operation checks: the token, the tenant in the
// path, the permission, the publisher and the throttle.
func guarded(operation string, do managed) func(*Tenant, http.ResponseWriter, *http.Request) error {
	return func(t *Tenant, w http.ResponseWriter, r *http.Request) error {
		g, err := t.bearer(r)
		if err != nil || !slices.Contains(managementAudiences, g.audience) {
			return deniedManagement()
		}
		if err := t.checkManagementTenant(r, g); err != nil {
			return err
		}
		if !slices.Contains(g.roles, RoleActivityFeedRead) && !slices.Contains(g.roles, RoleActivityFeedDLP) {
			return af("AF10001", strings.Join(g.roles, " "), RoleActivityFeedRead)
		}
		if id := r.URL.Query().Get("PublisherIdentifier"); id != "" && !guid.MatchString(id) {
			return af("AF20002", "PublisherIdentifier", "guid")
		}
		if err := t.throttleManagement(operation, r); err != nil {
			return err
		}
		return do(t, w, r, g)
	}
}

var guid = regexp.MustCompile(`^(?i)[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$`)

func (t *Tenant) checkManagementTenant(r *http.Request, g grant) error {
	named := r.PathValue("tenant")
	switch {
	case !guid.MatchString(named):
		return af("AF20013", named)
	case !strings.EqualFold(named, g.tenant):
		return af("AF20010", named, g.tenant)
	case t.faults.misconfigured():
		return af("AF20012", named)
	case !strings.EqualFold(named, t.TenantID()):
		return af("AF20011", named)
	}
	return nil
}

// publisher is whose quota a call counts into. Without one all share that of
// the empty GUID.
func publisher(r *http.Request) string {
	if id := r.URL.Query().Get("PublisherIdentifier"); id != "" {
		return id
	}
	return "00000000-0000-0000-0000-000000000000"
}

// subscription is a content type that the client has started once.
type subscription struct {
	first   time.Time // when it was started first
	enabled bool
	spans   []span // when it was enabled; the last one is open while it is
	webhook *webhook
	sent    []notification
}

// span is a stretch of time; a zero end is open.
type span struct{ from, to time.Time }

func (s *subscription) status() string {
	if s.enabled {
		return "enabled"
	}
	return "disabled"
}

// lists says whether a blob of some age belongs to the subscription. What came
// to be while it was stopped is lost to it.
func (s *subscription) lists(created, now time.Time, w Wire) bool {
	if now.Before(s.first.Add(w.FirstContentDelay)) {
		return false
	}
	if created.Before(s.first) {
		return w.Backfill == 0 || !created.Before(s.first.Add(-w.Backfill))
	}
	return slices.ContainsFunc(s.spans, func(p span) bool {
		return !created.Before(p.from) && (p.to.IsZero() || created.Before(p.to))
	})
}

// contentType reads the parameter and checks whether the client may have it.
func (t *Tenant) contentType(r *http.Request, g grant) (string, error) {
	asked := r.URL.Query().Get("contentType")
	if asked == "" {
		return "", af("AF20001", "contentType")
	}
	i := slices.IndexFunc(contentTypes, func(known string) bool { return strings.EqualFold(known, asked) })
	if i < 0 {
		return "", af("AF20020")
	}
	return contentTypes[i], t.mayRead(contentTypes[i], g)
}

func (t *Tenant) mayRead(feed string, g grant) error {
	role := RoleActivityFeedRead
	if feed == DLPAll {
		role = RoleActivityFeedDLP
	}
	if !slices.Contains(g.roles, role) || t.faults.unauthorised(feed) {
		return af("AF10001", strings.Join(g.roles, " "), role)
	}
	return nil
}

// start makes or changes a subscription. [REF "Start a subscription"]
func (t *Tenant) start(w http.ResponseWriter, r *http.Request, g grant) error {
	feed, err := t.contentType(r, g)
	if err != nil {
		return err
	}
	hook, err := t.readWebhook(r)
	if err != nil {
		return err
	}
	if by := t.faults.disabledBy(feed); by != "" {
		return af("AF20023", by)
	}
	if hook != nil {
		if err := t.validate(r.Context(), hook); err != nil {
			return err
		}
	}
	answer, err := t.enable(feed, hook)
	if err != nil {
		return err
	}
	return writeJSON(w, answer)
}

// enable switches a content type on and says what it is now.
func (t *Tenant) enable(feed string, hook *webhook) (any, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now().UTC()
	s := t.subscriptions[feed]
	if s == nil {
		s = &subscription{first: now}
		t.subscriptions[feed] = s
	}
	if s.enabled && sameWebhook(s.webhook, hook) && t.wire.StartEnabledFails {
		return nil, af("AF20024")
	}
	if !s.enabled {
		s.enabled = true
		s.spans = append(s.spans, span{from: now})
	}
	if hook != nil {
		hook.told = now
	}
	s.webhook = hook
	return subscriptionOf(feed, s, now), nil
}

// subscriptionOf is a subscription as start and list answer it.
func subscriptionOf(feed string, s *subscription, now time.Time) map[string]any {
	out := map[string]any{"contentType": feed, "status": s.status(), "webhook": nil}
	if s.webhook != nil {
		out["webhook"] = s.webhook.view(now)
	}
	return out
}

// stop ends a subscription. [REF "Stop a subscription"]
func (t *Tenant) stop(w http.ResponseWriter, r *http.Request, g grant) error {
	feed, err := t.contentType(r, g)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.subscriptions[feed]
	if s == nil || !s.enabled {
		return af("AF20022")
	}
	s.enabled = false
	s.spans[len(s.spans)-1].to = t.now().UTC()
	w.WriteHeader(http.StatusOK)
	return nil
}

func (t *Tenant) listSubscriptions(w http.ResponseWriter, _ *http.Request, _ grant) error {
	t.mu.Lock()
	out := []map[string]any{}
	for _, feed := range contentTypes {
		if s := t.subscriptions[feed]; s != nil {
			entry := subscriptionOf(feed, s, t.now())
			if t.faults.disabledBy(feed) != "" {
				entry["status"] = "disabled"
			}
			out = append(out, entry)
		}
	}
	t.mu.Unlock()
	return writeJSON(w, out)
}

// subscribed returns a copy of what the client has, or why it has nothing.
func (t *Tenant) subscribed(feed string) (subscription, error) {
	if by := t.faults.disabledBy(feed); by != "" {
		return subscription{}, af("AF20023", by)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.subscriptions[feed]
	if s == nil || !s.enabled {
		return subscription{}, af("AF20022")
	}
	out := *s
	out.spans, out.sent = slices.Clone(s.spans), slices.Clone(s.sent)
	return out, nil
}

// sensitiveTypeNames are a few of the built-in sensitive information types.
var sensitiveTypeNames = []struct{ id, english, german string }{
	{"50842eb7-edc8-4019-85dd-5a5c1f2bb085", "Credit Card Number", "Kreditkartennummer"},
	{"0e9b3178-9678-47dd-a509-37222ca96b42", "EU Debit Card Number", "EU-Debitkartennummer"},
	{"a44669fe-0d48-453d-a9b1-2cc83f2cba77", "U.S. Social Security Number (SSN)", "US-Sozialversicherungsnummer (SSN)"},
	{"e7dc4711-11b7-4cb0-b88b-2c394a771f0e", "International Banking Account Number (IBAN)", "Internationale Bankkontonummer (IBAN)"},
}

var language = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)

// sensitiveTypes names what DLP records tell by id. [REF "Retrieve resource
// friendly names"]
func (t *Tenant) sensitiveTypes(w http.ResponseWriter, r *http.Request, _ grant) error {
	want := strings.TrimSpace(r.Header.Get("Accept-Language"))
	switch {
	case strings.Contains(want, ","):
		return af("AF20053")
	case want != "" && !language.MatchString(want):
		return af("AF20054")
	}
	out := make([]map[string]string, len(sensitiveTypeNames))
	for i, s := range sensitiveTypeNames {
		out[i] = map[string]string{"id": s.id, "name": s.english}
		if strings.HasPrefix(strings.ToLower(want), "de") {
			out[i]["name"] = s.german
		}
	}
	return writeJSON(w, out)
}

// readWebhook reads the optional body of start.
func (t *Tenant) readWebhook(r *http.Request) (*webhook, error) {
	var body struct {
		Webhook *struct {
			Address    string `json:"address"`
			AuthID     string `json:"authId"`
			Expiration string `json:"expiration"`
		} `json:"webhook"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil && !errors.Is(err, io.EOF) {
		return nil, af("AF20002", "webhook", "json")
	}
	if body.Webhook == nil {
		return nil, nil
	}
	hook := &webhook{address: body.Webhook.Address, authID: body.Webhook.AuthID, enabled: true}
	if hook.address == "" {
		return nil, af("AF20001", "webhook.address")
	}
	if at, err := url.Parse(hook.address); err != nil || at.Scheme != "https" {
		return nil, af("AF20021", hook.address, "The address must begin with HTTPS.")
	}
	if text := body.Webhook.Expiration; text != "" {
		at, err := parseWindowTime(text)
		if err != nil {
			return nil, af("AF20002", "expiration", "datetime")
		}
		if !at.After(t.now()) {
			return nil, af("AF20003", text)
		}
		hook.expiration = at
	}
	return hook, nil
}
