package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aoc/internal/audit"
	"aoc/internal/simtenant"

	"github.com/stretchr/testify/require"
)

// purviewTenant is a simulated tenant whose client may query the audit log.
func purviewTenant(t *testing.T, wire simtenant.PurviewWire) *simtenant.Tenant {
	t.Helper()
	tenant, err := simtenant.New(simtenant.Options{
		Seed: 7, People: 10, Roles: append(simtenant.AllRoles(), simtenant.RoleAuditLogsQuery),
	})
	require.NoError(t, err)
	tenant.SetPurview(wire)
	return tenant
}

// searched reads a query's records and returns them with the error that ended it.
func searched(ctx context.Context, p *Purview, id string) (records []audit.Record, err error) {
	for r, e := range p.Records(ctx, id) {
		if e != nil {
			return records, e
		}
		records = append(records, r)
	}
	return records, nil
}

func recordIDs(t *testing.T, records []audit.Record) (ids []string, nameless int) {
	t.Helper()
	for _, r := range records {
		var head struct{ ID string }
		require.NoError(t, json.Unmarshal(r.Raw, &head), "%s", r.Raw)
		if head.ID == "" {
			nameless++
			continue
		}
		ids = append(ids, head.ID)
	}
	slices.Sort(ids)
	return ids, nameless
}

// finish waits in simulated time until a query is over.
func finish(t *testing.T, p *Purview, id string) QueryStatus {
	t.Helper()
	for range 60 {
		status, err := p.Status(t.Context(), id)
		require.NoError(t, err)
		if status.State.Over() {
			return status
		}
		time.Sleep(time.Minute)
	}
	t.Fatal("the query does not end")
	return QueryStatus{}
}

func TestPurviewReadsWhatTheTenantHas(t *testing.T) {
	for name, wire := range map[string]simtenant.PurviewWire{
		"objects": {}, "strings": {Text: true}, "beta only": {NoV1: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tenant := purviewTenant(t, wire)
				p := simulated(t, tenant, "https://sim.example", tenant.Transport()).Purview()
				from := time.Now().UTC().AddDate(0, 0, -12)
				to := from.AddDate(0, 0, 5)
				id, err := p.Submit(t.Context(), from, to, "a search")
				require.NoError(t, err)
				status, err := p.Status(t.Context(), id)
				require.NoError(t, err)
				require.Equal(t, QueryStatus{State: QueryNotStarted}, status)
				require.False(t, status.State.Over())
				early, err := searched(t.Context(), p, id)
				require.NoError(t, err)
				require.Empty(t, early)
				status = finish(t, p, id)
				truth := tenant.PurviewTruth(from, to)
				require.Greater(t, truth.Count(), 999, "more than a page")
				require.Equal(t, QuerySucceeded, status.State)
				require.False(t, status.Limited)
				require.InEpsilon(t, truth.Count(), status.Approximate, 0.1)

				records, err := searched(t.Context(), p, id)
				require.NoError(t, err)
				ids, nameless := recordIDs(t, records)
				require.Equal(t, truth.IDs, ids)
				require.Equal(t, truth.Nameless, nameless)
				require.Equal(t, audit.Record{Source: audit.PurviewQuery, TenantID: tenant.TenantID(), Blob: id, Raw: records[0].Raw}, records[0])
				if wire.NoV1 {
					require.Equal(t, 1, tenant.Calls("submitQuery").Statuses[404])
					require.Zero(t, tenant.Calls("query").Statuses[404]+tenant.Calls("queryRecords").Statuses[404], "which endpoint answers is remembered")
				}
			})
		})
	}
}

func TestPurviewOverTCP(t *testing.T) {
	tenant := purviewTenant(t, simtenant.PurviewWire{Queued: time.Nanosecond, Running: time.Nanosecond})
	srv := httptest.NewTLSServer(tenant)
	t.Cleanup(srv.Close)
	p := simulated(t, tenant, srv.URL, srv.Client().Transport).Purview()
	to := time.Now().UTC().Truncate(time.Hour)
	id, err := p.Submit(t.Context(), to.AddDate(0, 0, -9), to.AddDate(0, 0, -8), "a search")
	require.NoError(t, err)
	status, err := p.Status(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, QuerySucceeded, status.State)
	records, err := searched(t.Context(), p, id)
	require.NoError(t, err)
	ids, _ := recordIDs(t, records)
	require.Equal(t, tenant.PurviewTruth(to.AddDate(0, 0, -9), to.AddDate(0, 0, -8)).IDs, ids)
}

// The same record must get the same event id whichever way it came.
func TestPurviewRecordsAreThoseOfTheManagementAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenant := purviewTenant(t, simtenant.PurviewWire{})
		c := simulated(t, tenant, "https://sim.example", tenant.Transport())
		to := time.Now().UTC().Truncate(time.Hour)
		known := map[string]bool{}
		for _, source := range []audit.Source{audit.M365Exchange, audit.M365SharePoint, audit.M365General, audit.M365DLP, audit.M365Entra} {
			for _, recordID := range idsOf(t, feedOf(t, c, source), to.AddDate(0, 0, -6), to) {
				id, err := audit.NewID(tenant.TenantID(), source, recordID)
				require.NoError(t, err)
				known[id] = true
			}
		}
		p := c.Purview()
		query, err := p.Submit(t.Context(), to.AddDate(0, 0, -6), to.AddDate(0, 0, -3), "a search")
		require.NoError(t, err)
		finish(t, p, query)
		records, err := searched(t.Context(), p, query)
		require.NoError(t, err)
		ids, _ := recordIDs(t, records)
		require.NotEmpty(t, ids)
		for _, recordID := range ids {
			id, err := audit.NewID(tenant.TenantID(), audit.PurviewQuery, recordID)
			require.NoError(t, err)
			require.True(t, known[id], recordID)
		}
	})
}

func TestPurviewIsHonestAboutWhatTheTenantDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenant := purviewTenant(t, simtenant.PurviewWire{Unsteady: true, RecordLimit: 100})
		p := simulated(t, tenant, "https://sim.example", tenant.Transport()).Purview()
		to := time.Now()
		id, err := p.Submit(t.Context(), to.AddDate(0, 0, -3), to, "a search")
		require.NoError(t, err)
		require.True(t, finish(t, p, id).Limited)
		once, err := searched(t.Context(), p, id)
		require.NoError(t, err)
		twice, err := searched(t.Context(), p, id)
		require.NoError(t, err)
		require.Less(t, len(once), len(twice))

		for _, end := range []QueryState{QueryFailed, QueryCancelled} {
			tenant.SetPurview(simtenant.PurviewWire{Ends: string(end)})
			id, err = p.Submit(t.Context(), to.AddDate(0, 0, -3), to, "a search")
			require.NoError(t, err)
			require.Equal(t, QueryStatus{State: end}, finish(t, p, id))
		}
	})
}

func TestPurviewThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenant := purviewTenant(t, simtenant.PurviewWire{AtOnce: 1, Running: 20 * time.Minute})
		var limiter quiets
		c := simulated(t, tenant, "https://sim.example", tenant.Transport())
		c.purview.svc.limiter = &limiter
		p, now := c.Purview(), time.Now()
		_, err := p.Submit(t.Context(), now.Add(-time.Hour), now, "one")
		require.NoError(t, err)
		_, err = p.Submit(t.Context(), now.Add(-time.Hour), now, "two")
		var throttled *ThrottledError
		require.ErrorAs(t, err, &throttled)
		require.Equal(t, now.Add(21*time.Minute).UTC(), throttled.RetryAt().UTC())
		require.Contains(t, adviceOf(err), "about 10 at once")
		require.Equal(t, []time.Duration{21 * time.Minute}, limiter.told)
		require.Equal(t, 2, limiter.waits)

		tenant.SetPurview(simtenant.PurviewWire{})
		tenant.Faults().Add(simtenant.Fault{Kind: simtenant.FaultStatus, Status: 429, Endpoint: "submitQuery", Times: 2, RetryAfter: simtenant.RetryAfterSeconds(7)})
		_, err = p.Submit(t.Context(), now.Add(-time.Hour), now, "three")
		require.NoError(t, err, "a short wait is waited")
		require.Equal(t, 14*time.Second, time.Since(now))
	})
}

// adviceOf is what the reader of an error does to find what to do.
func adviceOf(err error) string {
	var advised interface{ Advice() string }
	if errors.As(err, &advised) {
		return advised.Advice()
	}
	return ""
}

func TestLimitsHavePurview(t *testing.T) {
	var limiter quiets
	c := open(t, "https://stub.example", inMemory{answer(201, `{"id":"x"}`)}, func(cfg *Config) { cfg.Limits.Purview = &limiter })
	_, err := c.Purview().Submit(t.Context(), from, from.Add(1), "")
	require.NoError(t, err)
	require.Equal(t, 1, limiter.waits)
}

func TestPurviewAsksInWholeSeconds(t *testing.T) {
	c, _ := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "/v1.0/security/auditLog/queries", r.URL.Path)
		require.Equal(t, "application/json", r.Header.Get("Content-Type"))
		require.Equal(t, "Bearer token-1", r.Header.Get("Authorization"))
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.JSONEq(t, `{"displayName":"a \"search\"","filterStartDateTime":"2026-03-02T08:00:00Z","filterEndDateTime":"2026-03-02T09:00:01Z"}`, string(body))
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"id":"168ec429-084b-a489-90d8-504a87846305","status":"notStarted"}`)
	}))
	id, err := c.Purview().Submit(t.Context(), from.Add(time.Millisecond), from.Add(time.Hour+1), `a "search"`)
	require.NoError(t, err)
	require.Equal(t, "168ec429-084b-a489-90d8-504a87846305", id)
}

func TestPurviewErrors(t *testing.T) {
	const denied = `{"error":{"code":"Forbidden","message":"no"}}`
	const nothing = `{"error":{"code":"UnknownError","message":""}}`
	tests := map[string]struct {
		h      http.HandlerFunc
		words  string
		advice string
		gone   bool
	}{
		"no permission": {answer(403, denied), "Microsoft Graph answered 403 Forbidden", "AuditLogsQuery.Read.All", false},
		"not offered":   {answer(400, `{"error":{"code":"BadRequest","message":"Resource not found for the segment 'auditLog'."}}`), "not found", "30 days", true},
		"unknown":       {answer(404, nothing), "answered 404 UnknownError: the query is gone", "30 days", true},
		"auditing off": {
			answer(400, `{"error":{"code":"BadRequest","message":"Microsoft.Office.Compliance.Audit.DataServiceException: Tenant x does not exist."}}`),
			"DataServiceException", "Auditing is switched off", false,
		},
		"refused":     {answer(400, `{"error":{"code":"BadRequest","message":"no"}}`), "400 BadRequest: no", "", false},
		"HTML":        {answer(200, `<html>`), "another form", "", false},
		"half":        {answer(200, `{"status":"succeeded"`), "another form", "", false},
		"nothing":     {answer(200, `{}`), `unknown status ""`, "", false},
		"the future":  {answer(200, `{"status":"unknownFutureValue"}`), `unknown status "unknownFutureValue"`, "", false},
		"too long":    {answer(200, `{"x":"`+strings.Repeat("x", maxAnswer)+`"}`), "too long", "", false},
		"other types": {answer(200, `{"status":"succeeded","isRecordCountLimitExceeded":null,"approximateReturnedRecordCount":null}`), "", "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := served(t, tt.h)
			_, err := c.Purview().Status(t.Context(), "q")
			if tt.words == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "look at Purview query q: ")
			require.ErrorContains(t, err, tt.words)
			require.Contains(t, adviceOf(err), tt.advice)
			require.Equal(t, tt.gone, errors.Is(err, ErrGone))
			if tt.advice == "" {
				require.Empty(t, adviceOf(err))
			}
			require.Equal(t, 1, strings.Count(err.Error(), "look at"))
		})
	}
	c, _ := served(t, answer(404, nothing))
	_, err := c.Purview().Submit(t.Context(), from, from.Add(1), "")
	require.Contains(t, adviceOf(err), "does not offer")
	require.NotErrorIs(t, err, ErrGone)
	_, err = searched(t.Context(), c.Purview(), "q")
	require.ErrorIs(t, err, ErrGone)
}

func TestPurviewChecksWhatItIsGiven(t *testing.T) {
	c := open(t, "https://stub.example", inMemory{answer(201, `{"id":"../../users"}`)})
	p := c.Purview()
	for _, to := range []time.Time{from, from.Add(-1)} {
		_, err := p.Submit(t.Context(), from, to, "")
		require.ErrorIs(t, err, audit.ErrInvalid)
	}
	id, err := p.Submit(t.Context(), from, from.Add(1), "")
	require.ErrorContains(t, err, "no id that can be used")
	require.Empty(t, id)
	for _, id := range []string{"", "..", "a/b", "a?b", strings.Repeat("a", 101)} {
		_, err := p.Status(t.Context(), id)
		require.ErrorIs(t, err, audit.ErrInvalid)
		_, err = searched(t.Context(), p, id)
		require.ErrorIs(t, err, audit.ErrInvalid)
	}
}

func TestPurviewEndpointThatAnswers(t *testing.T) {
	var calls atomic.Int32
	var paths []string
	ok, absent := answer(200, `{"status":"running"}`), answer(404, "")
	step := inTurn(&calls, absent, ok, ok, absent, ok, ok, absent, answer(403, ""), answer(403, ""))
	c, _ := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path[:5])
		step(w, r)
	}))
	p := c.Purview()
	for range 4 {
		_, err := p.Status(t.Context(), "q")
		require.NoError(t, err)
	}
	_, err := p.Status(t.Context(), "q")
	require.ErrorContains(t, err, "403", "what the endpoint that is there says")
	_, err = p.Status(t.Context(), "q")
	require.ErrorContains(t, err, "403")
	require.Equal(t, []string{"/v1.0", "/beta", "/beta", "/beta", "/v1.0", "/v1.0", "/v1.0", "/beta", "/beta"}, paths)
}

// A page that vanishes in the middle must not start the other endpoint, whose
// records would be taken for more of the same.
func TestPurviewPagesThatVanish(t *testing.T) {
	c, _ := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/beta"):
			fmt.Fprint(w, `{"value":[{"auditData":{"Id":"other"}}]}`)
		case r.URL.Query().Get("$skiptoken") != "":
			w.WriteHeader(http.StatusNotFound)
		default:
			require.Equal(t, "999", r.URL.Query().Get("$top"))
			fmt.Fprintf(w, `{"value":[{"auditData":{"Id":"1"}}],"@odata.nextLink":"https://%s%s?$skiptoken=x"}`, r.Host, r.URL.Path)
		}
	}))
	records, err := searched(t.Context(), c.Purview(), "q")
	require.ErrorIs(t, err, ErrGone)
	require.Len(t, records, 1)
}

func TestPurviewReaderMayStop(t *testing.T) {
	c, _ := served(t, answer(200, `{"value":[{"auditData":{"Id":"1"}},{"auditData":{"Id":"2"}}]}`))
	for r, err := range c.Purview().Records(t.Context(), "q") {
		require.NoError(t, err)
		require.Equal(t, `{"Id":"1"}`, string(r.Raw))
		break
	}
	c, _ = served(t, answer(200, `{"value":[{"auditData":{"Id":"1"}},{"auditData":`))
	records, err := searched(t.Context(), c.Purview(), "q")
	require.ErrorContains(t, err, "ends in the middle")
	require.Len(t, records, 1, "what came before stands")
	require.Empty(t, adviceOf(err))
}
