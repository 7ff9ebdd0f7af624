package simtenant

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// noon is a Thursday in the working hours of the company.
var noon = time.Date(2026, 3, 12, 12, 0, 0, 0, time.UTC)

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newTenant(t *testing.T, o Options) *Tenant {
	t.Helper()
	if o.Now == nil {
		o.Now = (&clock{noon}).now
	}
	if o.Seed == 0 {
		o.Seed = 7
	}
	if o.People == 0 {
		o.People = 16
	}
	tenant, err := New(o)
	require.NoError(t, err)
	return tenant
}

// caller is a client of a tenant.
type caller struct {
	t      *testing.T
	tenant *Tenant
	http   *http.Client
	origin string
	tokens map[string]string
}

// call reaches a tenant through memory.
func call(t *testing.T, tenant *Tenant) *caller {
	return &caller{t, tenant, &http.Client{Transport: tenant.Transport()}, "https://sim.example", map[string]string{}}
}

// dial reaches a tenant through TCP and TLS.
func dial(t *testing.T, tenant *Tenant) *caller {
	t.Helper()
	server, err := tenant.Serve(t.Context(), "127.0.0.1:0", filepath.Join(t.TempDir(), "ca.pem"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	client := server.Client()
	t.Cleanup(client.CloseIdleConnections)
	return &caller{t, tenant, client, server.URL, map[string]string{}}
}

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
}

func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var out map[string]any
	require.NoError(t, json.Unmarshal(r.body, &out), "%s", r.body)
	return out
}

// code is the error code of a body in Graph's or the Management API's shape.
func (r reply) code(t *testing.T) string {
	t.Helper()
	inner, ok := r.json(t)["error"].(map[string]any)
	require.True(t, ok, "%s", r.body)
	return inner["code"].(string)
}

func (r reply) message(t *testing.T) string {
	t.Helper()
	return r.json(t)["error"].(map[string]any)["message"].(string)
}

func (c *caller) do(r *http.Request) reply {
	c.t.Helper()
	resp, err := c.http.Do(r)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, body, err}
}

func (c *caller) form(path string, values url.Values) reply {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.origin+path, strings.NewReader(values.Encode()))
	require.NoError(c.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(r)
}

// token returns a token for a resource, drawn once.
func (c *caller) token(resource string) string {
	c.t.Helper()
	if c.tokens[resource] == "" {
		got := c.form("/"+c.tenant.TenantID()+"/oauth2/v2.0/token", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {c.tenant.ClientID()},
			"client_secret": {c.tenant.ClientSecret()}, "scope": {resource + "/.default"},
		})
		require.Equal(c.t, 200, got.status, "%s", got.body)
		c.tokens[resource] = got.json(c.t)["access_token"].(string)
	}
	return c.tokens[resource]
}

// send makes a request with the token of the API that its path belongs to.
func (c *caller) send(method, link, body string, headers ...string) reply {
	c.t.Helper()
	if strings.HasPrefix(link, "/") {
		link = c.origin + link
	}
	resource := "https://graph.microsoft.com"
	if strings.Contains(link, "/activity/feed/") {
		resource = "https://manage.office.com"
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, link, strings.NewReader(body))
	require.NoError(c.t, err)
	r.Header.Set("Authorization", "Bearer "+c.token(resource))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return c.do(r)
}

func (c *caller) get(link string, headers ...string) reply {
	c.t.Helper()
	return c.send(http.MethodGet, link, "", headers...)
}

// feed is a path of the Management API.
func (c *caller) feed(path string) string {
	return "/api/v1.0/" + c.tenant.TenantID() + "/activity/feed/" + path
}

func (c *caller) start(contentType string) reply {
	c.t.Helper()
	return c.send(http.MethodPost, c.feed("subscriptions/start?contentType="+contentType), "")
}

// recordIDs returns the ids of records, and how many have none.
func recordIDs(t *testing.T, list []json.RawMessage, key string, into map[string]int) {
	t.Helper()
	for _, body := range list {
		var fields map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(body, &fields))
		var id string
		if raw, ok := fields[key]; ok {
			require.NoError(t, json.Unmarshal(raw, &id))
		}
		if id == "" {
			id = "nameless " + canonical(body)
		}
		into[id]++
	}
}

func requireTruth(t *testing.T, truth Truth, got map[string]int) {
	t.Helper()
	nameless := 0
	want := map[string]bool{}
	for _, id := range truth.IDs {
		want[id] = true
		require.Contains(t, got, id)
	}
	for id := range got {
		if strings.HasPrefix(id, "nameless ") {
			nameless++
			continue
		}
		require.True(t, want[id], "%s is not of the truth", id)
	}
	require.Equal(t, truth.Nameless, nameless)
	require.Equal(t, truth.Count(), len(got))
}

// item is an entry of a list of content.
type item struct {
	ContentType, ContentID, ContentURI string
	ContentCreated, ContentExpiration  time.Time
}

// listAll walks a window of content page by page.
func (c *caller) listAll(contentType string, from, to time.Time) []item {
	c.t.Helper()
	var out []item
	link := c.feed("subscriptions/content?contentType=" + contentType + "&startTime=" + from.Format(managementLayout) + "&endTime=" + to.Format(managementLayout))
	for link != "" {
		got := c.get(link)
		require.Equal(c.t, 200, got.status, "%s", got.body)
		var page []item
		require.NoError(c.t, json.Unmarshal(got.body, &page))
		out = append(out, page...)
		link = got.header.Get("NextPageUri")
	}
	return out
}

func (c *caller) blob(link string) []json.RawMessage {
	c.t.Helper()
	got := c.get(link)
	require.Equal(c.t, 200, got.status, "%s", got.body)
	var list []json.RawMessage
	require.NoError(c.t, json.Unmarshal(got.body, &list))
	return list
}

// walkManagement reads a week of a content type as a client does.
func (c *caller) walkManagement(contentType string, from, to time.Time) map[string]int {
	c.t.Helper()
	require.Equal(c.t, 200, c.start(contentType).status)
	got := map[string]int{}
	for at := from; at.Before(to); at = at.Add(24 * time.Hour) {
		for _, it := range c.listAll(contentType, at, earlier(at.Add(24*time.Hour), to)) {
			require.Equal(c.t, contentType, it.ContentType)
			require.True(c.t, strings.HasPrefix(it.ContentURI, c.origin+"/"), it.ContentURI)
			require.Contains(c.t, it.ContentID, "$")
			recordIDs(c.t, c.blob(it.ContentURI), "Id", got)
		}
	}
	return got
}

// walkGraph reads a span of a collection page by page.
func (c *caller) walkGraph(path, filter, order string, top string) []json.RawMessage {
	c.t.Helper()
	values := url.Values{"$filter": {filter}, "$top": {top}}
	if order != "" {
		values.Set("$orderby", order)
	}
	var out []json.RawMessage
	for link := "/v1.0/" + path + "?" + values.Encode(); link != ""; {
		got := c.get(link)
		require.Equal(c.t, 200, got.status, "%s", got.body)
		var page struct {
			Context string            `json:"@odata.context"`
			Next    string            `json:"@odata.nextLink"`
			Value   []json.RawMessage `json:"value"`
		}
		require.NoError(c.t, json.Unmarshal(got.body, &page))
		require.Equal(c.t, c.origin+"/v1.0/$metadata#"+path, page.Context)
		out = append(out, page.Value...)
		link = page.Next
	}
	return out
}

var paths = map[string]string{
	DirectoryAudits: "auditLogs/directoryAudits", SignIns: "auditLogs/signIns", IntuneAudits: "deviceManagement/auditEvents",
}

// walkWeek reads all that was published in seven days and compares it with the truth.
func walkWeek(t *testing.T, c *caller) {
	from := noon.Add(-7 * 24 * time.Hour)
	for _, feed := range contentTypes {
		truth := c.tenant.Truth(feed, from, noon)
		require.NotZero(t, truth.Count(), feed)
		requireTruth(t, truth, c.walkManagement(feed, from, noon))
	}
	for feed, path := range paths {
		truth := c.tenant.Truth(feed, from, noon)
		require.NotZero(t, truth.Count(), feed)
		p := timeProperty(feed)
		filter := p + " ge " + from.Format(time.RFC3339) + " and " + p + " lt " + noon.Format(time.RFC3339)
		got := map[string]int{}
		recordIDs(t, c.walkGraph(path, filter, "", "97"), "id", got)
		requireTruth(t, truth, got)
		for id, n := range got {
			require.Equal(t, 1, n, id)
		}
	}
}

func TestWeekOverTCP(t *testing.T) {
	walkWeek(t, dial(t, newTenant(t, Options{PageSize: 17, BlobSlot: 15 * time.Minute})))
}

func TestWeekThroughMemory(t *testing.T) {
	walkWeek(t, call(t, newTenant(t, Options{PageSize: 50, BlobSlot: time.Hour})))
}

func TestWeekInABubble(t *testing.T) {
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // when bubbles begin
	synctest.Test(t, func(t *testing.T) {
		tenant, err := New(Options{Seed: 3, Epoch: epoch, People: 12})
		require.NoError(t, err)
		c := call(t, tenant)
		now := time.Now() // the bubble's, midnight of 2000
		require.Equal(t, 200, c.start(AuditExchange).status)
		require.NotEmpty(t, c.listAll(AuditExchange, now.Add(-24*time.Hour), now))
		time.Sleep(24 * time.Hour)
		c.tokens = map[string]string{}
		items := c.listAll(AuditExchange, now, time.Now())
		require.NotEmpty(t, items)
		got := map[string]int{}
		for _, it := range items {
			recordIDs(t, c.blob(it.ContentURI), "Id", got)
		}
		requireTruth(t, tenant.Truth(AuditExchange, now, time.Now()), got)
	})
}

func TestSameTenantAfterRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo", "tenant.json")
	id, err := LoadOrCreateIdentity(path, noon, 30)
	require.NoError(t, err)
	again, err := LoadOrCreateIdentity(path, noon.Add(time.Hour), 99)
	require.NoError(t, err)
	require.Equal(t, id, again)
	other, err := LoadOrCreateIdentity(filepath.Join(t.TempDir(), "t.json"), noon, 30)
	require.NoError(t, err)
	require.NotEqual(t, id.Seed, other.Seed)

	a := newTenant(t, Options{Seed: id.Seed, Epoch: id.Epoch})
	b := newTenant(t, Options{Seed: again.Seed, Epoch: again.Epoch})
	require.Equal(t, a.Env("https://x"), b.Env("https://x"))
	from := noon.Add(-24 * time.Hour)
	require.Equal(t, a.Truth(AuditExchange, from, noon), b.Truth(AuditExchange, from, noon))
	require.NotEqual(t, a.TenantID(), newTenant(t, Options{Seed: other.Seed}).TenantID())
}

func TestBrokenIdentity(t *testing.T) {
	for _, body := range []string{"", "{", `{"seed":1}`, `{"seed":"x","epoch":"2026-01-01T00:00:00Z"}`} {
		path := filepath.Join(t.TempDir(), "t.json")
		require.NoError(t, writeFile(path, []byte(body), 0o600))
		_, err := LoadOrCreateIdentity(path, noon, 30)
		require.ErrorContains(t, err, path)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{BlobSlot: time.Millisecond}, {BlobSlot: 1500 * time.Millisecond}, {Replay: "absent.ndjson"}} {
		_, err := New(o)
		require.Error(t, err)
	}
}

func TestCallsAreCounted(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	require.Equal(t, 200, c.get("/v1.0/auditLogs/signIns?$top=1").status)
	require.Equal(t, 400, c.get("/v1.0/auditLogs/signIns?$top=x").status)
	require.Equal(t, Calls{Requests: 2, Statuses: map[int]int{200: 1, 400: 1}}, c.tenant.Calls("signIns"))
	require.Equal(t, 1, c.tenant.Calls("token").Requests)
	log := c.tenant.Log()
	require.Len(t, log, 3)
	require.Equal(t, "/v1.0/auditLogs/signIns", log[2].Path)
	require.Equal(t, 400, log[2].Status)
}

func TestUnknownPaths(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	got := c.get("/v1.0/auditLogs/nothing")
	require.Equal(t, 400, got.status)
	require.Equal(t, "Resource not found for the segment 'nothing'.", got.message(t))
	require.Equal(t, 404, c.get("/nothing").status)
}
