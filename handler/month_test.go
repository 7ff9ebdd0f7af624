package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aoc/internal/api"
	"aoc/internal/audit"
	"aoc/internal/enrich"
	"aoc/internal/ingest"
	"aoc/internal/limit"
	"aoc/internal/normalize"
	"aoc/internal/simtenant"
	"aoc/internal/source"
	"aoc/internal/store/sqlite"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/stretchr/testify/require"
)

// secretCredential asks the tenant's token endpoint itself: azidentity's own
// clock and caches are not what is tested here.
type secretCredential struct {
	tenant *simtenant.Tenant
	client *http.Client
}

func (c secretCredential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.tenant.ClientID()}, "client_secret": {c.tenant.ClientSecret()}, "scope": o.Scopes}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://login.microsoftonline.com/"+c.tenant.TenantID()+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return azcore.AccessToken{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.client.Do(req)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return azcore.AccessToken{}, fmt.Errorf("token: %d %s %w", resp.StatusCode, body, err)
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	err = json.Unmarshal(body, &token)
	return azcore.AccessToken{Token: token.AccessToken, ExpiresOn: time.Now().Add(50 * time.Minute)}, err
}

// collector is planner and worker on a simulated tenant, without sockets.
type collector struct {
	tenant  *simtenant.Tenant
	store   *sqlite.Store
	planner *ingest.Planner
	worker  *ingest.Worker
}

func newCollector(t *testing.T, options simtenant.Options, hook source.Webhook, sources ...audit.Source) *collector {
	t.Helper()
	tenant, err := simtenant.New(options)
	require.NoError(t, err)
	store, err := sqlite.Open(filepath.Join(t.TempDir(), "aoc.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	client, err := source.Open(source.Config{
		Webhook: hook, TenantID: tenant.TenantID(), Credential: secretCredential{tenant, &http.Client{Transport: tenant.Transport()}}, Transport: tenant.Transport(),
		Limits: source.Limits{Management: limit.NewWindow(2000, time.Minute)},
	})
	require.NoError(t, err)
	opened, err := client.Feeds(sources...)
	require.NoError(t, err)
	var feeds []ingest.Feed
	for _, f := range opened {
		feeds = append(feeds, f)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	return &collector{
		tenant: tenant, store: store,
		planner: &ingest.Planner{Store: store, Feeds: feeds, Periodic: true},
		worker: &ingest.Worker{
			Store: store, Feeds: feeds, Normalizer: normalize.New(normalize.DefaultMappings()), Names: enrich.New(client, store),
			Schedule: ingest.Schedule{Interval: 10 * time.Minute}, Holder: "one", Log: log,
		},
	}
}

func (c *collector) tick(t *testing.T) {
	t.Helper()
	items, err := c.planner.Tick(t.Context(), time.Now().UTC())
	require.NoError(t, err)
	for _, item := range items {
		require.NoError(t, c.worker.Run(t.Context(), item))
	}
}

// testWebhook is where the tenant pushes, to whoever Options.Webhooks reaches.
var testWebhook = source.Webhook{Address: "https://aoc.example/api/webhooks/o365", AuthID: func(context.Context) (string, error) { return "0123456789abcdef", nil }}

// inMemory is a handler as a transport.
type inMemory func() http.Handler

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	m().ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}

func TestPushIsKeptEnabledAndHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * time.Minute)
		var hook http.Handler = http.NotFoundHandler() // nobody there yet
		c := newCollector(t, simtenant.Options{
			Seed: 7, Epoch: time.Now(), People: 10, Webhooks: &http.Client{Transport: inMemory(func() http.Handler { return hook })},
		}, testWebhook, audit.M365General)
		push := (&api.API{
			Push: c.planner, WebhookAuthID: testWebhook.AuthID, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			Features: api.Features{TenantID: c.tenant.TenantID(), Sources: []audit.Source{audit.M365General}},
		}).Handler()
		stored := func() int {
			page, err := c.store.Search(t.Context(), audit.Query{Scope: audit.Everything(), Terms: []string{"pushedtoken"}, Limit: 500})
			require.NoError(t, err)
			return len(page.Events)
		}
		publish := func(id string) {
			require.NoError(t, c.tenant.Faults().AddBlob(simtenant.AuditGeneral, time.Now(), json.RawMessage(fmt.Sprintf(
				`{"CreationTime":%q,"Id":%q,"Operation":"pushedtoken","RecordType":25,"Workload":"MicrosoftTeams","UserId":"a@x.example","UserKey":"k","UserType":0}`,
				time.Now().UTC().Format("2006-01-02T15:04:05"), id))))
			time.Sleep(time.Second)
		}
		c.tick(t) // the endpoint does not answer 200, and collection goes on without
		publish("one")
		require.Zero(t, c.tenant.Notify(t.Context(), "https://manage.office.com"))
		time.Sleep(16 * time.Minute)
		c.tick(t)
		require.Equal(t, 1, stored(), "polling is the truth")

		hook = push
		time.Sleep(16 * time.Minute)
		c.tick(t) // set now, and validated by the handshake
		publish("two")
		require.NotZero(t, c.tenant.Notify(t.Context(), "https://manage.office.com"))
		lists := c.tenant.Calls("content").Requests
		c.tick(t)
		require.Equal(t, 2, stored(), "read because it was told of")
		require.Equal(t, lists, c.tenant.Calls("content").Requests, "no listing was due")

		hook = http.NotFoundHandler() // failures disable the webhook
		publish("three")
		c.tenant.Notify(t.Context(), "https://manage.office.com")
		hook = push
		publish("four")
		require.Zero(t, c.tenant.Notify(t.Context(), "https://manage.office.com"), "disabled")
		time.Sleep(16 * time.Minute)
		c.tick(t)
		publish("five")
		require.NotZero(t, c.tenant.Notify(t.Context(), "https://manage.office.com"), "and enabled again")
		time.Sleep(16 * time.Minute)
		c.tick(t)
		require.Equal(t, 5, stored())
	})
}

// TestTheLedgerTellsTheTruth lets days go by with late, doubled and lost blobs
// and outages, and then compares every hour of the ledger with what the tenant
// published. AOC_TEST_DAYS says how many days; two by default.
func TestTheLedgerTellsTheTruth(t *testing.T) {
	days := 2
	if n := os.Getenv("AOC_TEST_DAYS"); n != "" {
		_, err := fmt.Sscan(n, &days)
		require.NoError(t, err)
	}
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now().UTC()
		c := newCollector(t, simtenant.Options{Seed: 7, Epoch: begin.Add(time.Duration(days) * 24 * time.Hour), People: 20}, source.Webhook{}, audit.M365Exchange, audit.M365SharePoint)
		faults := c.tenant.Faults()
		faults.DoubleBlobs(simtenant.AuditExchange)
		// The Exchange blobs of one hour can never be read, to the day they expire.
		broken := begin.Add(27 * time.Hour).Truncate(time.Hour)
		faults.Add(simtenant.Fault{Kind: simtenant.FaultHTML, Endpoint: "blob", Match: func(r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/audit/"+broken.Format("2006010215")) && strings.Contains(r.URL.Path, "exchange")
		}})
		for at := 0; at < days*24*6; at++ {
			switch at {
			case 6 * 10: // held back for 20 hours: late blobs
				faults.HoldBack(simtenant.AuditSharePoint, time.Now().Add(-time.Hour), time.Now().Add(3*time.Hour))
			case 6 * 30:
				faults.Release()
			case 6 * 40: // the API answers nothing for two hours
				faults.Add(simtenant.Fault{Kind: simtenant.FaultStatus, Status: 503, Times: 200})
			}
			c.tick(t)
			time.Sleep(10 * time.Minute)
		}
		for range 8 { // what was being tried again comes to its end
			c.tick(t)
			time.Sleep(time.Hour)
		}
		rows, err := c.store.Windows(t.Context(), audit.LedgerQuery{Limit: 100_000})
		require.NoError(t, err)
		hours, records, late, gaps := 0, 0, 0, 0
		for _, row := range rows {
			if row.Start.Before(begin) || !row.Start.Before(begin.Add(time.Duration(days)*24*time.Hour)) {
				continue
			}
			feed := map[audit.Source]string{audit.M365Exchange: simtenant.AuditExchange, audit.M365SharePoint: simtenant.AuditSharePoint}[row.Source]
			truth := c.tenant.Truth(feed, row.Start, row.End())
			if row.Source == audit.M365Exchange && row.Start.Equal(broken) && truth.Count() > 0 {
				want, told := audit.Listed, row.Error
				if time.Since(broken) > 8*24*time.Hour {
					want, told = audit.Lost, row.Reason
				}
				require.Equal(t, want, row.State, "a gap is called one")
				require.Contains(t, told, "blob "+broken.Format("2006010215"))
				gaps++
				hours++
				continue
			}
			require.Contains(t, []audit.WindowState{audit.Kept, audit.Settled}, row.State, "%s %s: %s", row.Source, row.Start, row.Error)
			require.GreaterOrEqual(t, row.Counts.Read, truth.Count(), "%s %s", row.Source, row.Start)
			require.Zero(t, row.Attempts)
			hours++
			records += truth.Count()
			late += row.Late
		}
		require.Equal(t, 2*24*days, hours, "every hour of both feeds has its row")
		want := min(1, c.tenant.Truth(simtenant.AuditExchange, broken, broken.Add(time.Hour)).Count()) // nothing can be lost of an hour without records
		require.Equal(t, want, gaps)
		require.NotZero(t, late, "what was held back came late, and is counted so")
		stored := 0
		for seq := int64(0); ; {
			page, err := c.store.After(t.Context(), seq, 500)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			stored += len(page)
			seq = page[len(page)-1].Seq
		}
		all := 0
		for _, feed := range []string{simtenant.AuditExchange, simtenant.AuditSharePoint} {
			all += c.tenant.Truth(feed, begin.Add(-24*time.Hour), time.Now().Add(-8*time.Hour)).Count()
			if feed == simtenant.AuditExchange {
				all -= c.tenant.Truth(feed, broken, broken.Add(time.Hour)).Count()
			}
		}
		require.GreaterOrEqual(t, stored, all, "nothing is missing")
		t.Logf("%d days, %d hours of two feeds equal the truth: %d records, %d of them late, %d hour a gap and called so", days, hours, records, late, gaps)
	})
}

// TestAHugeBlob reads one content blob of many megabytes and watches the heap.
// AOC_TEST_MEGABYTES says how many; 24 by default.
func TestAHugeBlob(t *testing.T) {
	megabytes := 24
	if n := os.Getenv("AOC_TEST_MEGABYTES"); n != "" {
		_, err := fmt.Sscan(n, &megabytes)
		require.NoError(t, err)
	}
	c := newCollector(t, simtenant.Options{Seed: 7, Epoch: time.Now(), People: 10}, source.Webhook{}, audit.M365General)
	c.tick(t) // subscribed, and idle
	require.NoError(t, c.tenant.Faults().AddHugeBlob(simtenant.AuditGeneral, time.Now().Add(-30*time.Minute), megabytes<<20))
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	idle := m.HeapAlloc
	var peak atomic.Uint64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		var m runtime.MemStats
		for ctx.Err() == nil {
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapAlloc))
			time.Sleep(5 * time.Millisecond)
		}
	}()
	_, err := c.planner.Backfill(t.Context(), 2) // listed again now, not when it is due
	require.NoError(t, err)
	began := time.Now()
	c.tick(t)
	feeds, err := c.store.Feeds(t.Context())
	require.NoError(t, err)
	require.Greater(t, feeds[0].Counts.Read, megabytes*15, "records of 64 KiB")
	require.Zero(t, feeds[0].Failing)
	above := int64(peak.Load()) - int64(idle)
	require.Less(t, above, int64(64<<20), "the heap stays small, however large the blob")
	t.Logf("a blob of %d MB, %d records: peak heap %.1f MB above idle, %s", megabytes, feeds[0].Counts.Read, float64(above)/(1<<20), time.Since(began).Round(time.Millisecond))
}
