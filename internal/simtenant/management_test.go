package simtenant

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (c *caller) list(query string) reply {
	c.t.Helper()
	return c.get(c.feed("subscriptions/content?" + query))
}

func TestSubscriptions(t *testing.T) {
	at := &clock{noon}
	c := call(t, newTenant(t, Options{Now: at.now}))
	require.Equal(t, "[]", string(c.get(c.feed("subscriptions/list")).body))
	require.Equal(t, "AF20022", c.list("contentType=Audit.Exchange").code(t))
	require.Equal(t, "AF20022", c.send("POST", c.feed("subscriptions/stop?contentType=Audit.Exchange"), "").code(t))
	require.JSONEq(t, `{"contentType":"Audit.Exchange","status":"enabled","webhook":null}`, string(c.start("audit.exchange").body))
	require.Equal(t, 200, c.start(AuditExchange).status)
	c.tenant.SetWire(Wire{StartEnabledFails: true})
	again := c.start(AuditExchange)
	require.Equal(t, 400, again.status)
	require.Equal(t, "AF20024", again.code(t))
	require.Equal(t, "The subscription is already enabled. No property change.", again.message(t))
	require.Equal(t, 200, c.list("contentType=Audit.Exchange").status)
	stopped := c.send("POST", c.feed("subscriptions/stop?contentType=Audit.Exchange"), "")
	require.Equal(t, 200, stopped.status)
	require.Empty(t, stopped.body)
	require.Contains(t, string(c.get(c.feed("subscriptions/list")).body), `"status":"disabled"`)
	require.Equal(t, "AF20022", c.list("contentType=Audit.Exchange").code(t))
}

func TestContentWhileStoppedIsLost(t *testing.T) {
	at := &clock{noon.Add(-4 * time.Hour)}
	c := call(t, newTenant(t, Options{Now: at.now, Epoch: noon}))
	c.start(AuditExchange)
	at.at = noon.Add(-3 * time.Hour)
	c.tokens = map[string]string{}
	require.Equal(t, 200, c.send("POST", c.feed("subscriptions/stop?contentType=Audit.Exchange"), "").status)
	at.at = noon.Add(-2 * time.Hour)
	c.tokens = map[string]string{}
	require.Equal(t, 200, c.start(AuditExchange).status)
	at.at = noon
	c.tokens = map[string]string{}
	hour := func(n int) []item {
		return c.listAll(AuditExchange, noon.Add(time.Duration(n)*time.Hour), noon.Add(time.Duration(n+1)*time.Hour))
	}
	require.NotEmpty(t, hour(-5), "from before the first start")
	require.NotEmpty(t, hour(-4))
	require.Empty(t, hour(-3))
	require.NotZero(t, c.tenant.Truth(AuditExchange, noon.Add(-3*time.Hour), noon.Add(-2*time.Hour)).Count())
	require.NotEmpty(t, hour(-2))
}

func TestFirstContentAndBackfill(t *testing.T) {
	at := &clock{noon}
	c := call(t, newTenant(t, Options{Now: at.now, Wire: Wire{FirstContentDelay: 2 * time.Minute, Backfill: 3 * time.Hour}}))
	c.start(AuditExchange)
	from := noon.Add(-12 * time.Hour)
	require.Empty(t, c.listAll(AuditExchange, from, noon))
	at.at = noon.Add(2 * time.Minute)
	items := c.listAll(AuditExchange, from, noon)
	require.NotEmpty(t, items)
	for _, it := range items {
		require.False(t, it.ContentCreated.Before(noon.Add(-3*time.Hour)))
	}
}

func TestManagementErrors(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	c.start(AuditExchange)
	stranger := newRequestID()
	day := func(n int) string { return noon.AddDate(0, 0, n).Format(managementLayout) }
	tests := []struct{ name, method, path, code string }{
		{"no content type", "GET", c.feed("subscriptions/content"), "AF20001"},
		{"no content type to start", "POST", c.feed("subscriptions/start"), "AF20001"},
		{"unknown content type", "POST", c.feed("subscriptions/start?contentType=Audit.Moon"), "AF20020"},
		{"publisher", "GET", c.feed("subscriptions/list?PublisherIdentifier=me"), "AF20002"},
		{"other tenant", "GET", "/api/v1.0/" + stranger + "/activity/feed/subscriptions/list", "AF20010"},
		{"no GUID", "GET", "/api/v1.0/contoso.example/activity/feed/subscriptions/list", "AF20013"},
		{"half a window", "GET", c.feed("subscriptions/content?contentType=Audit.Exchange&startTime=" + day(-1)), "AF20055"},
		{"other half", "GET", c.feed("subscriptions/content?contentType=Audit.Exchange&endTime=" + day(-1)), "AF20055"},
		{"too long", "GET", c.feed("subscriptions/content?contentType=Audit.Exchange&startTime=" + day(-2) + "&endTime=" + day(0)), "AF20055"},
		{"too old", "GET", c.feed("subscriptions/content?contentType=Audit.Exchange&startTime=" + day(-9) + "&endTime=" + day(-8)), "AF20055"},
		{"backwards", "GET", c.feed("subscriptions/content?contentType=Audit.Exchange&startTime=" + day(0) + "&endTime=" + day(-1)), "AF20055"},
		{"no time", "GET", c.feed("subscriptions/content?contentType=Audit.Exchange&startTime=x&endTime=" + day(0)), "AF20002"},
		{"no end", "GET", c.feed("subscriptions/content?contentType=Audit.Exchange&startTime=" + day(-1) + "&endTime=x"), "AF20002"},
		{"next page", "GET", c.feed("subscriptions/content?contentType=Audit.Exchange&nextPage=2"), "AF20031"},
		{"next page of letters", "GET", c.feed("subscriptions/content?contentType=Audit.Exchange&nextPage=2026031212Rabcdefg000000"), "AF20031"},
		{"next notifications", "GET", c.feed("subscriptions/notifications?contentType=Audit.Exchange&nextPage=2"), "AF20031"},
		{"no subscription", "GET", c.feed("subscriptions/notifications?contentType=DLP.All"), "AF20022"},
		{"odd blob", "GET", c.feed("audit/nonsense"), "AF20052"},
		{"absent blob", "GET", c.feed("audit/" + blob{feed: AuditExchange, created: noon.Add(-time.Hour), part: 77}.id()), "AF20050"},
		{"old blob", "GET", c.feed("audit/" + blob{feed: AuditExchange, created: noon.AddDate(0, 0, -8)}.id()), "AF20051"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := c.send(tt.method, tt.path, "")
			require.Equal(t, tt.code, got.code(t))
			want, _, _ := strings.Cut(afTexts[tt.code].text, "%s")
			require.True(t, strings.HasPrefix(got.message(t), want), got.message(t))
			require.NotContains(t, got.message(t), "%!")
			require.Equal(t, afTexts[tt.code].status, got.status)
		})
	}
	c.tenant.Faults().Misconfigure()
	require.Equal(t, "AF20012", c.get(c.feed("subscriptions/list")).code(t))
}

func TestUnknownTenantInToken(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	other := call(t, newTenant(t, Options{Seed: 99}))
	c.tokens["https://manage.office.com"] = other.token("https://manage.office.com")
	require.Equal(t, "AF20011", c.get("/api/v1.0/"+other.tenant.TenantID()+"/activity/feed/subscriptions/list").code(t))
}

func TestWindows(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	c.start(AuditExchange)
	count := func(from, to string) int {
		var page []item
		got := c.list("contentType=Audit.Exchange&startTime=" + from + "&endTime=" + to)
		require.Equal(t, 200, got.status, "%s", got.body)
		require.NoError(t, json.Unmarshal(got.body, &page))
		return len(page)
	}
	whole := count("2026-03-11", "2026-03-12")
	require.NotZero(t, whole)
	require.Equal(t, whole, count("2026-03-11T00:00", "2026-03-12T00:00:00"))
	require.Equal(t, whole, count("2026-03-11T00:00:00Z", "2026-03-12T00:00:00.000Z"))
	require.Equal(t, whole, count("2026-03-11", "2026-03-11T12:00")+count("2026-03-11T12:00", "2026-03-12"))
	require.NotZero(t, count("2026-03-12T10:00", "2026-03-13T10:00"), "an end in the future is let pass")
	weekAgo := noon.AddDate(0, 0, -7)
	require.NotPanics(t, func() { count(weekAgo.Add(-time.Hour).Format(managementLayout), weekAgo.Format(managementLayout)) })
	c.tenant.SetWire(Wire{ExactLookback: true})
	require.Equal(t, "AF20055", c.list("contentType=Audit.Exchange&startTime="+weekAgo.Add(-time.Second).Format(managementLayout)+"&endTime="+weekAgo.Add(time.Hour).Format(managementLayout)).code(t))
	c.tenant.SetWire(Wire{LongWindowPartial: true})
	require.Equal(t, whole, count("2026-03-11", "2026-03-13"))
}

func TestDefaultWindow(t *testing.T) {
	c := call(t, newTenant(t, Options{PageSize: 3}))
	c.start(AuditExchange)
	first := func() (item, *url.URL) {
		got := c.list("contentType=Audit.Exchange")
		var page []item
		require.NoError(t, json.Unmarshal(got.body, &page))
		require.Len(t, page, 3)
		next, err := url.Parse(got.header.Get("NextPageUri"))
		require.NoError(t, err)
		require.Equal(t, 200, c.get(next.String()).status)
		return page[0], next
	}
	it, next := first()
	require.False(t, it.ContentCreated.Before(noon.Add(-24*time.Hour)))
	require.True(t, it.ContentCreated.Before(noon.Truncate(24*time.Hour)))
	require.Equal(t, "2026-03-11T12:00:00.000", next.Query().Get("startTime"))
	require.Regexp(t, `^\d{10}R\d{13}$`, next.Query().Get("nextPage"))
	require.Contains(t, next.Path, "/api/v1.0/")
	c.tenant.SetWire(Wire{DefaultFromMidnight: true, OldNextPage: true})
	it, next = first()
	require.False(t, it.ContentCreated.Before(noon.Truncate(24*time.Hour)))
	require.Contains(t, next.Path, "/api/v1/")
}

func TestBlobsAreStable(t *testing.T) {
	at := &clock{noon}
	c := call(t, newTenant(t, Options{Now: at.now}))
	c.start(AuditExchange)
	from := noon.Add(-20 * time.Hour)
	before := c.listAll(AuditExchange, from, noon)
	records := map[string]string{}
	for _, it := range before {
		list := c.blob(it.ContentURI)
		require.NotEmpty(t, list)
		all, err := json.Marshal(list)
		require.NoError(t, err)
		records[it.ContentID] = string(all)
		require.Equal(t, it.ContentCreated.Add(7*24*time.Hour), it.ContentExpiration)
	}
	at.at = noon.Add(3 * time.Hour)
	c.tokens = map[string]string{}
	require.Equal(t, before, c.listAll(AuditExchange, from, noon))
	for _, it := range before {
		all, err := json.Marshal(c.blob(it.ContentURI))
		require.NoError(t, err)
		require.Equal(t, records[it.ContentID], string(all))
	}
	for _, b := range c.tenant.blobs(AuditExchange, from, noon) {
		for _, r := range b.records {
			require.False(t, b.created.Before(r.Published))
			require.False(t, r.Published.Before(r.At))
		}
	}
	c.tenant.SetWire(Wire{LongExpiration: true})
	require.Equal(t, before[0].ContentCreated.AddDate(0, 0, 20), c.listAll(AuditExchange, from, noon)[0].ContentExpiration)
	at.at = noon.AddDate(0, 0, 15)
	c.tokens = map[string]string{}
	require.Equal(t, 200, c.get(before[0].ContentURI).status)
}

func TestSensitiveTypes(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	path := c.feed("resources/dlpSensitiveTypes")
	require.Contains(t, string(c.get(path).body), "Credit Card Number")
	require.Contains(t, string(c.get(path, "Accept-Language", "de-DE").body), "Kreditkartennummer")
	require.Equal(t, "AF20053", c.get(path, "Accept-Language", "de, en").code(t))
	require.Equal(t, "AF20054", c.get(path, "Accept-Language", "de;q=1").code(t))
}

// hook is a webhook that answers as it is told.
type hook struct {
	status int
	got    []*http.Request
	bodies []string
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.got, h.bodies = append(h.got, r), append(h.bodies, string(body))
	w.WriteHeader(h.status)
}

func TestWebhooks(t *testing.T) {
	h := &hook{status: 202}
	server := httptest.NewTLSServer(h)
	defer server.Close()
	at := &clock{noon}
	c := call(t, newTenant(t, Options{Now: at.now, Epoch: noon, Webhooks: server.Client(), PageSize: 2}))
	start := func(body string) reply {
		return c.send("POST", c.feed("subscriptions/start?contentType=Audit.Exchange"), body)
	}
	ours := `{"webhook":{"address":"` + server.URL + `/hook","authId":"o365","expiration":""}}`
	for body, code := range map[string]string{
		`{"webhook":{"address":"http://x.example"}}`: "AF20021",
		`{"webhook":{"authId":"x"}}`:                 "AF20001",
		`{"webhook":`:                                "AF20002",
		`{"webhook":{"address":"https://x.example","expiration":"soon"}}`:                "AF20002",
		`{"webhook":{"address":"https://x.example","expiration":"2026-03-12T11:59:00"}}`: "AF20003",
		ours: "AF20021",
	} {
		require.Equal(t, code, start(body).code(t), body)
	}
	require.Equal(t, "[]", string(c.get(c.feed("subscriptions/list")).body), "a webhook that was not validated is no subscription")

	h.status = 200
	got := start(ours)
	require.Equal(t, 200, got.status, "%s", got.body)
	require.Equal(t, "enabled", got.json(t)["webhook"].(map[string]any)["status"])
	last := h.got[len(h.got)-1]
	require.Equal(t, "o365", last.Header.Get("Webhook-AuthID"))
	require.Equal(t, `{"validationCode":"`+last.Header.Get("Webhook-ValidationCode")+`"}`, h.bodies[len(h.bodies)-1])
	require.Zero(t, c.tenant.Notify(t.Context(), c.origin), "nothing is new")

	at.at = noon.Add(30 * time.Minute)
	told := c.tenant.Notify(t.Context(), c.origin)
	require.Greater(t, told, 2)
	var items []map[string]any
	require.NoError(t, json.Unmarshal([]byte(h.bodies[len(h.bodies)-1]), &items))
	require.Len(t, items, told)
	require.Equal(t, c.tenant.TenantID(), items[0]["tenantId"])
	require.Equal(t, 200, c.get(items[0]["contentUri"].(string)).status)

	sent := 0
	for link := c.feed("subscriptions/notifications?contentType=Audit.Exchange"); link != ""; {
		got := c.get(link)
		var page []map[string]any
		require.NoError(t, json.Unmarshal(got.body, &page))
		for _, n := range page {
			require.Equal(t, "success", n["notificationStatus"])
		}
		sent += len(page)
		link = got.header.Get("NextPageUri")
	}
	require.Equal(t, told, sent)

	h.status = 204
	at.at = noon.Add(50 * time.Minute)
	require.Zero(t, c.tenant.Notify(t.Context(), c.origin))
	require.Contains(t, string(c.get(c.feed("subscriptions/list")).body), `"status":"disabled"`)
	require.Contains(t, string(c.get(c.feed("subscriptions/notifications?contentType=Audit.Exchange&startTime=2026-03-12T12:30&endTime=2026-03-12T13:00")).body), `"failed"`)
	h.status = 200
	require.Equal(t, 200, start(ours).status)
	require.Contains(t, string(c.get(c.feed("subscriptions/list")).body), `"status":"enabled","webhook":{"address"`)
}
