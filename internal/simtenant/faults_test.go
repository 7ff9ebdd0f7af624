package simtenant

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const logs = "/v1.0/auditLogs/directoryAudits?$top=50"

func TestStatusFaults(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	c.token("https://graph.microsoft.com")
	list := c.feed("subscriptions/list")
	c.token("https://manage.office.com")
	tests := []struct {
		fault      Fault
		path, code string
		retryAfter string
	}{
		{Fault{Status: 503, RetryAfter: RetryAfterSeconds(7)}, logs, "serviceNotAvailable", "7"},
		{Fault{Status: 500}, logs, "generalException", ""},
		{Fault{Status: 502}, logs, "BadGateway", ""},
		{Fault{Status: 429, RetryAfter: RetryAfterDate(time.Minute)}, logs, "TooManyRequests", "Thu, 12 Mar 2026 12:01:00 GMT"},
		{Fault{Status: 429, RetryAfter: RetryAfterText("a while")}, list, "AF429", "a while"},
		{Fault{Status: 429, RetryAfter: RetryAfterSeconds(0)}, list, "AF429", "0"},
		{Fault{Status: 503, RetryAfter: RetryAfterText("99999999999")}, list, "AF50000", "99999999999"},
	}
	for _, tt := range tests {
		tt.fault.Times = 2
		c.tenant.Faults().Add(tt.fault)
		require.Equal(t, 2, c.tenant.Faults().Pending())
		for range 2 {
			got := c.get(tt.path)
			require.Equal(t, tt.fault.Status, got.status)
			require.Equal(t, tt.code, got.code(t))
			require.Equal(t, tt.retryAfter, got.header.Get("Retry-After"))
			require.Empty(t, got.header.Get(throttledHeader))
		}
		require.Zero(t, c.tenant.Faults().Pending())
		require.Equal(t, 200, c.get(tt.path).status)
	}
	c.tenant.Faults().Add(Fault{Status: 503})
	form := c.form("/"+c.tenant.TenantID()+"/oauth2/v2.0/token", c.secretForm())
	require.Equal(t, 503, form.status)
	require.Equal(t, "temporarily_unavailable", form.json(t)["error"])
	c.tenant.Faults().Clear()
	require.Equal(t, 200, c.get(logs).status)
}

func TestFaultsChooseTheirRequests(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	c.tenant.Faults().Add(Fault{Status: 500, Endpoint: "signIns"})
	c.tenant.Faults().Add(Fault{Status: 503, Match: func(r *http.Request) bool { return r.URL.Query().Get("$top") == "3" }})
	require.Equal(t, 200, c.get(logs).status)
	require.Equal(t, 500, c.get("/v1.0/auditLogs/signIns?$top=3").status)
	require.Equal(t, 503, c.get("/v1.0/auditLogs/directoryAudits?$top=3").status)
}

func TestExpiredToken(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	c.tenant.Faults().Add(Fault{Kind: FaultExpired, Endpoint: "list", Times: 1})
	c.tenant.Faults().Add(Fault{Kind: FaultExpired, Endpoint: "directoryAudits", Times: 1})
	got := c.get(c.feed("subscriptions/list"))
	require.Equal(t, 401, got.status)
	require.Contains(t, string(got.body), "Authorization has been denied")
	require.Equal(t, 200, c.get(c.feed("subscriptions/list")).status)
	require.Equal(t, "InvalidAuthenticationToken", c.get(logs).code(t))
	require.Equal(t, 200, c.get(logs).status)
}

// bothWays runs a test over TCP and through memory.
func bothWays(t *testing.T, test func(t *testing.T, c *caller)) {
	t.Run("tcp", func(t *testing.T) { test(t, dial(t, newTenant(t, Options{}))) })
	t.Run("memory", func(t *testing.T) { test(t, call(t, newTenant(t, Options{}))) })
}

func TestBrokenConnections(t *testing.T) {
	bothWays(t, func(t *testing.T, c *caller) {
		whole := c.get(logs)
		require.NoError(t, whole.err)
		c.tenant.Faults().Add(Fault{Kind: FaultReset, Endpoint: "directoryAudits", Times: 1})
		require.Error(t, c.get(logs).err)
		require.Equal(t, 1, c.tenant.Calls("directoryAudits").Statuses[0])
		c.tenant.Faults().Add(Fault{Kind: FaultCut, Endpoint: "directoryAudits", Times: 1})
		cut := c.get(logs)
		require.Equal(t, 200, cut.status)
		require.Error(t, cut.err)
		require.NotEmpty(t, cut.body)
		require.Less(t, len(cut.body), len(whole.body))
		require.Equal(t, string(whole.body), string(c.get(logs).body))
	})
	c := call(t, newTenant(t, Options{}))
	c.tenant.Faults().Add(Fault{Kind: FaultReset})
	_, err := c.http.Get(c.origin)
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestBrokenBodies(t *testing.T) {
	bothWays(t, func(t *testing.T, c *caller) {
		require.NoError(t, c.tenant.Faults().AddBlob(AuditGeneral, noon.Add(-time.Hour), json.RawMessage(`{"Id":"a","Operation":"x"}`), json.RawMessage(`{"Id":"b","Operation":"y"}`)))
		c.start(AuditGeneral)
		link := ""
		for _, it := range c.listAll(AuditGeneral, noon.Add(-time.Hour), noon.Add(-time.Hour).Add(time.Second)) {
			link = it.ContentURI
		}
		require.Equal(t, `[{"Id":"a","Operation":"x"},{"Id":"b","Operation":"y"}]`, string(c.get(link).body))
		strike := func(kind FaultKind) reply {
			c.tenant.Faults().Add(Fault{Kind: kind, Endpoint: "blob", Times: 1})
			return c.get(link)
		}
		half := strike(FaultHalfArray)
		require.NoError(t, half.err)
		require.Equal(t, 200, half.status)
		require.Equal(t, `[{"Id":"a","Operation":"x"},`, string(half.body))
		page := strike(FaultHTML)
		require.Equal(t, 200, page.status)
		require.Contains(t, page.header.Get("Content-Type"), "text/html")
		require.Contains(t, string(page.body), "<html>")
		short := strike(FaultTruncatedGzip)
		require.Equal(t, 200, short.status)
		require.ErrorIs(t, short.err, io.ErrUnexpectedEOF)
		require.Equal(t, `[{"Operation":"x"},{"Id":"b","Operation":"y"}]`, string(strike(FaultNoID).body))
		extra := strike(FaultExtraKeys)
		require.True(t, strings.HasPrefix(string(extra.body), `[{"XFutureKey":{"nested":[1,{"deep":null}]},"x_future_text":"\u00e9","Id":"a"`), "%s", extra.body)
		var list []map[string]any
		require.NoError(t, json.Unmarshal(extra.body, &list))
		require.Len(t, list, 2)
		require.Equal(t, "b", list[1]["Id"])
		require.Zero(t, c.tenant.Faults().Pending())
	})
}

func TestFaultsOfGraphRecords(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	var page struct{ Value []map[string]any }
	c.tenant.Faults().Add(Fault{Kind: FaultNoID, Times: 1})
	c.token("https://graph.microsoft.com")
	c.tenant.Faults().Clear()
	c.tenant.Faults().Add(Fault{Kind: FaultNoID, Times: 1})
	c.tenant.Faults().Add(Fault{Kind: FaultExtraKeys, Times: 1})
	require.NoError(t, json.Unmarshal(c.get(logs).body, &page))
	require.NotContains(t, page.Value[0], "id")
	require.Contains(t, page.Value[1], "id")
	require.Contains(t, page.Value[1], "XFutureKey")
}

func TestSlowAnswersInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := call(t, newTenant(t, Options{Now: time.Now}))
		c.token("https://graph.microsoft.com")
		body := len(c.get("/v1.0/$metadata").body)
		c.tenant.Faults().Add(Fault{Kind: FaultLatency, Delay: 3 * time.Second, Times: 1})
		began := time.Now()
		require.Equal(t, 400, c.get("/v1.0/x").status)
		require.Equal(t, 3*time.Second, time.Since(began))

		c.tenant.Faults().Add(Fault{Kind: FaultDrip, Delay: time.Minute})
		began = time.Now()
		dripped := c.get("/v1.0/$metadata", "Accept-Encoding", "identity")
		require.InDelta(t, body, len(dripped.body), 5)
		require.Equal(t, time.Duration((len(dripped.body)+dripPiece-1)/dripPiece)*time.Minute, time.Since(began))

		c.tenant.Faults().Add(Fault{Kind: FaultLatency, Delay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.origin+"/x", nil)
		require.NoError(t, err)
		began = time.Now()
		_, err = c.http.Do(r)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}

func TestContextEndsABody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := call(t, newTenant(t, Options{Now: time.Now, Epoch: time.Now()}))
		token := c.token("https://graph.microsoft.com")
		c.tenant.Faults().Add(Fault{Kind: FaultDrip, Delay: time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.origin+"/v1.0/auditLogs/signIns", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Accept-Encoding", "identity")
		resp, err := c.http.Do(r)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, resp.Body.Close())
	})
}

func TestLateBlobs(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	from, to := noon.Add(-5*time.Hour), noon.Add(-4*time.Hour)
	truth := c.tenant.Truth(AuditExchange, from, to)
	c.tenant.Faults().HoldBack(AuditExchange, from, from.Add(30*time.Minute))
	c.start(AuditExchange)
	early := c.listAll(AuditExchange, from, to)
	require.Equal(t, truth, c.tenant.Truth(AuditExchange, from, to))
	held := c.tenant.blobs(AuditExchange, from, from.Add(30*time.Minute))[0]
	require.Equal(t, "AF20050", c.get(c.feed("audit/"+held.id())).code(t))
	c.tenant.Faults().Release()
	all := c.listAll(AuditExchange, from, to)
	require.Greater(t, len(all), len(early))
	require.Equal(t, held.id(), all[0].ContentID)
	require.Subset(t, all, early)

	require.NoError(t, c.tenant.Faults().AddBlob(AuditExchange, from.Add(time.Minute), json.RawMessage(`{"Id":"late"}`), json.RawMessage(`{"Operation":"nameless"}`)))
	require.Len(t, c.listAll(AuditExchange, from, to), len(all)+1)
	after := c.tenant.Truth(AuditExchange, from, to)
	require.Contains(t, after.IDs, "late")
	require.Equal(t, truth.Count()+2, after.Count())
	require.Error(t, c.tenant.Faults().AddBlob("Audit.Moon", noon))
	for _, body := range []string{"[", "[]", "null", "1"} {
		require.ErrorContains(t, c.tenant.Faults().AddBlob(AuditExchange, noon, json.RawMessage(body)), "JSON object")
	}
}

func TestDoubledBlobs(t *testing.T) {
	c := call(t, newTenant(t, Options{PageSize: 7}))
	c.start(AuditExchange)
	from := noon.Add(-5 * time.Hour)
	truth := c.tenant.Truth(AuditExchange, from, noon)
	once := c.listAll(AuditExchange, from, noon)
	c.tenant.Faults().DoubleBlobs(AuditExchange)
	twice := c.listAll(AuditExchange, from, noon)
	require.Len(t, twice, 2*len(once))
	got := map[string]int{}
	for _, it := range twice {
		recordIDs(t, c.blob(it.ContentURI), "Id", got)
	}
	requireTruth(t, truth, got)
	for id, n := range got {
		require.GreaterOrEqual(t, n, 2, id)
	}
	require.NotEqual(t, c.get(twice[0].ContentURI).body, c.get(twice[1].ContentURI).body)
	require.Equal(t, truth, c.tenant.Truth(AuditExchange, from, noon))
}

func TestAdminAndPermissionFaults(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	c.start(AuditExchange)
	c.start(AuditGeneral)
	c.tenant.Faults().Disable(AuditExchange, "a tenant admin")
	c.tenant.Faults().Unauthorise(AuditGeneral)
	got := c.list("contentType=Audit.Exchange")
	require.Equal(t, "AF20023", got.code(t))
	require.Equal(t, "The subscription was disabled by a tenant admin.", got.message(t))
	require.Equal(t, "AF20023", c.start(AuditExchange).code(t))
	require.Contains(t, string(c.get(c.feed("subscriptions/list")).body), `"status":"disabled"`)
	require.Equal(t, "AF10001", c.list("contentType=Audit.General").code(t))
	c.tenant.Faults().Clear()
	require.Equal(t, 200, c.list("contentType=Audit.Exchange").status)
	require.Equal(t, 200, c.list("contentType=Audit.General").status)
}

func TestHugeBlob(t *testing.T) {
	const size = 24 << 20
	c := call(t, newTenant(t, Options{}))
	at := noon.Add(-time.Hour)
	require.NoError(t, c.tenant.Faults().AddHugeBlob(AuditSharePoint, at, size))
	c.start(AuditSharePoint)
	var link string
	for _, it := range c.listAll(AuditSharePoint, at, at.Add(time.Second)) {
		link = it.ContentURI
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+c.token("https://manage.office.com"))
	resp, err := c.http.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.True(t, resp.Uncompressed, "it came as gzip")
	counted := &counting{in: resp.Body}
	dec := json.NewDecoder(counted)
	_, err = dec.Token()
	require.NoError(t, err)
	got := map[string]int{}
	for dec.More() {
		var one struct{ ID string }
		require.NoError(t, dec.Decode(&one))
		got[one.ID]++
	}
	requireTruth(t, c.tenant.Truth(AuditSharePoint, at, at.Add(time.Millisecond)), got)
	require.GreaterOrEqual(t, counted.n, size)
	require.Less(t, counted.n, size+4*hugeRecord)
}

type counting struct {
	in io.Reader
	n  int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += n
	return n, err
}

func TestGzip(t *testing.T) {
	bothWays(t, func(t *testing.T, c *caller) {
		plain := c.get(logs, "Accept-Encoding", "identity")
		require.Empty(t, plain.header.Get("Content-Encoding"))
		packed := c.get(logs, "Accept-Encoding", "br, gzip;q=0.8")
		require.Equal(t, "gzip", packed.header.Get("Content-Encoding"))
		require.Less(t, len(packed.body), len(plain.body)/2)
		zip, err := gzip.NewReader(strings.NewReader(string(packed.body)))
		require.NoError(t, err)
		body, err := io.ReadAll(zip)
		require.NoError(t, err)
		require.Equal(t, string(plain.body), string(body))
		require.Empty(t, c.get(logs, "Accept-Encoding", "gzip;q=0").header.Get("Content-Encoding"))
		require.Equal(t, string(plain.body), string(c.get(logs).body), "unpacked on the way")
		require.Equal(t, "InvalidAuthenticationToken", c.bare(logs, "").code(t), "errors are packed too")
	})
}

func TestTransportRefusesADeadContext(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.origin, strings.NewReader("x"))
	require.NoError(t, err)
	_, err = c.http.Do(r)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, c.tenant.Calls("other").Requests)
}
