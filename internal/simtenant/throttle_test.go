package simtenant

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStrictReportsLimit(t *testing.T) {
	at := &clock{noon}
	c := call(t, newTenant(t, Options{Now: at.now, Limits: DocumentedLimits()}))
	c.token("https://graph.microsoft.com")
	var passed atomic.Int32
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			path := [...]string{"directoryAudits", "signIns"}[i%2]
			if c.get("/v1.0/auditLogs/"+path+"?$top=1").status == 200 {
				passed.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 5, passed.Load(), "both collections share one limit")
	require.Equal(t, 35, c.tenant.Calls("directoryAudits").Throttled+c.tenant.Calls("signIns").Throttled)
	require.Equal(t, 200, c.get("/v1.0/deviceManagement/auditEvents?$top=1").status)

	at.at = noon.Add(9900 * time.Millisecond)
	got := c.get("/v1.0/auditLogs/signIns?$top=1")
	require.Equal(t, 429, got.status)
	require.Equal(t, "1", got.header.Get("Retry-After"))
	require.Equal(t, "TooManyRequests", got.code(t))
	at.at = noon.Add(10 * time.Second)
	for range 5 {
		require.Equal(t, 200, c.get("/v1.0/auditLogs/signIns?$top=1").status)
	}
	c.tenant.SetWire(Wire{NoRetryAfter: true, ReportsThrottleBody: true})
	got = c.get("/v1.0/auditLogs/signIns?$top=1")
	require.Equal(t, 429, got.status)
	require.Empty(t, got.header.Values("Retry-After"))
	require.Equal(t, "UnknownError", got.code(t))
	c.tenant.SetLimits(Limits{})
	require.Equal(t, 200, c.get("/v1.0/auditLogs/signIns?$top=1").status)
}

func TestManagementLimit(t *testing.T) {
	c := call(t, newTenant(t, Options{Limits: DocumentedLimits()}))
	publisherID := newRequestID()
	list := c.feed("subscriptions/list?PublisherIdentifier=" + publisherID)
	documented := func(l Limits) Rate { return l.Management }
	for range 1980 { // most of the two thousand without the cost of HTTP
		_, ok := c.tenant.throttles.pass(noon, documented, "management")
		require.True(t, ok)
	}
	for i := range 20 {
		require.Equal(t, 200, c.get(list).status, strconv.Itoa(i))
	}
	got := c.get(list)
	require.Equal(t, 429, got.status)
	require.Equal(t, "AF429", got.code(t))
	require.Equal(t, "Too many requests. Method=ListSubscriptions, PublisherId="+publisherID, got.message(t))
	require.Equal(t, "60", got.header.Get("Retry-After"))
	c.tenant.SetWire(Wire{ThrottleForbidden: true})
	got = c.get(c.feed("audit/x"))
	require.Equal(t, 403, got.status)
	require.Equal(t, "Too many requests. Method=GetBlob, PublisherId=00000000-0000-0000-0000-000000000000", got.message(t))
	require.Equal(t, 1, c.tenant.Calls("blob").Throttled)
}

func TestOtherGraphLimits(t *testing.T) {
	c := call(t, newTenant(t, Options{Limits: Limits{Intune: Rate{2, time.Second}, Directory: Rate{1, time.Second}}}))
	for _, want := range []int{200, 200, 429} {
		require.Equal(t, want, c.get("/v1.0/deviceManagement/auditEvents?$top=1").status)
	}
	for _, want := range []int{200, 429} {
		require.Equal(t, want, c.send("POST", "/v1.0/directoryObjects/getByIds", `{"ids":["x"]}`).status)
	}
}
