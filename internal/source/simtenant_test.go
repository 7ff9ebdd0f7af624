package source

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"aoc/internal/audit"
	"aoc/internal/simtenant"

	"github.com/stretchr/testify/require"
)

// simFeeds names each feed as the simulated tenant does.
var simFeeds = map[audit.Source]string{
	audit.EntraDirectory: simtenant.DirectoryAudits,
	audit.EntraSignIn:    simtenant.SignIns,
	audit.IntuneAudit:    simtenant.IntuneAudits,

	audit.EntraSignInNonInter:  simtenant.NonInteractiveSignIns,
	audit.EntraSignInPrincipal: simtenant.ServicePrincipalSignIns,
	audit.EntraSignInManaged:   simtenant.ManagedIdentitySignIns,
	audit.EntraProvisioning:    simtenant.Provisioning,
	audit.EntraRisk:            simtenant.RiskDetections,

	audit.M365Entra:      simtenant.AuditAzureAD,
	audit.M365Exchange:   simtenant.AuditExchange,
	audit.M365SharePoint: simtenant.AuditSharePoint,
	audit.M365General:    simtenant.AuditGeneral,
	audit.M365DLP:        simtenant.DLPAll,
}

// simulated signs in to a tenant with its secret and opens the sources on it.
func simulated(t *testing.T, tenant *simtenant.Tenant, origin string, transport http.RoundTripper) *Client {
	t.Helper()
	credential, err := NewCredential(CredentialConfig{
		TenantID: tenant.TenantID(), ClientID: tenant.ClientID(), ClientSecret: tenant.ClientSecret(),
		AuthorityHost: origin, Transport: transport,
	})
	require.NoError(t, err)
	return open(t, origin, transport, func(cfg *Config) { cfg.TenantID, cfg.Credential = tenant.TenantID(), credential })
}

// idsOf reads a feed's span whole and returns the distinct ids.
func idsOf(t *testing.T, f Feed, from, to time.Time) []string {
	t.Helper()
	blobs, err := list(t.Context(), f, from, to)
	require.NoError(t, err)
	var ids []string
	for _, b := range blobs {
		raws, err := fetch(t.Context(), f, b)
		require.NoError(t, err)
		for _, raw := range raws {
			var r struct{ ID string }
			require.NoError(t, json.Unmarshal([]byte(raw), &r))
			if r.ID != "" { // some records carry none
				ids = append(ids, r.ID)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func TestEveryFeedReadsWhatTheTenantHas(t *testing.T) {
	tenant, err := simtenant.New(simtenant.Options{Seed: 7, People: 25, PageSize: 5, Wire: simtenant.Wire{
		StartEnabledFails: true, OldNextPage: true, ReportsThrottleBody: true, ExactLookback: true,
	}})
	require.NoError(t, err)
	srv := httptest.NewTLSServer(tenant)
	t.Cleanup(srv.Close)
	c := simulated(t, tenant, srv.URL, srv.Client().Transport)
	to := time.Now().UTC().Truncate(time.Hour)
	for _, source := range Sources() {
		f := feedOf(t, c, source)
		start := to.Add(-30 * time.Hour)
		require.Equal(t, tenant.Truth(simFeeds[source], start, to).IDs, idsOf(t, f, start, to), source)
		oldest, _ := f.Reach(time.Now())
		_, err := list(t.Context(), f, oldest, oldest.Add(time.Hour))
		require.NoError(t, err, "%s can be listed as far back as it says", source)
	}
	require.Equal(t, 1, tenant.Calls("discovery").Requests)
	require.Equal(t, 2, tenant.Calls("token").Requests, "one token an API")
}

func TestFeedsSurviveWhatGoesWrong(t *testing.T) {
	second := simtenant.RetryAfterSeconds(20)
	faults := map[string][]simtenant.Fault{
		"throttled":     {{Kind: simtenant.FaultStatus, Status: 429, RetryAfter: second, Times: 2}},
		"unavailable":   {{Kind: simtenant.FaultStatus, Status: 503, Times: 3}},
		"expired token": {{Kind: simtenant.FaultExpired, Times: 1}},
		"reset":         {{Kind: simtenant.FaultReset, Times: 2}},
		"slow":          {{Kind: simtenant.FaultLatency, Delay: 30 * time.Second, Times: 1}},
	}
	for name, armed := range faults {
		for source, endpoint := range map[audit.Source]string{audit.EntraDirectory: "directoryAudits", audit.IntuneAudit: "auditEvents", audit.M365Exchange: "content", audit.M365SharePoint: "blob"} {
			t.Run(name+" "+string(source), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tenant, err := simtenant.New(simtenant.Options{Seed: 7, People: 10})
					require.NoError(t, err)
					c := simulated(t, tenant, "https://sim.example", tenant.Transport())
					for _, fault := range armed {
						fault.Endpoint = endpoint
						tenant.Faults().Add(fault)
					}
					to := time.Now().UTC().Truncate(time.Hour)
					from := to.Add(-24 * time.Hour)
					require.Equal(t, tenant.Truth(simFeeds[source], from, to).IDs, idsOf(t, feedOf(t, c, source), from, to))
					require.Zero(t, tenant.Faults().Pending(), "the fault struck")
				})
			})
		}
	}
}

func TestBrokenBlobsAreErrors(t *testing.T) {
	tenant, err := simtenant.New(simtenant.Options{Seed: 7, People: 10})
	require.NoError(t, err)
	srv := httptest.NewTLSServer(tenant)
	t.Cleanup(srv.Close)
	c := simulated(t, tenant, srv.URL, srv.Client().Transport)
	f := feedOf(t, c, audit.M365SharePoint)
	to := time.Now().UTC().Truncate(time.Hour)
	blobs, err := list(t.Context(), f, to.Add(-24*time.Hour), to)
	require.NoError(t, err)
	require.NotEmpty(t, blobs)
	for _, kind := range []simtenant.FaultKind{simtenant.FaultCut, simtenant.FaultTruncatedGzip, simtenant.FaultHalfArray, simtenant.FaultHTML} {
		tenant.Faults().Add(simtenant.Fault{Kind: kind, Endpoint: "blob", Times: 1})
		_, err := fetch(t.Context(), f, blobs[0])
		require.Error(t, err, kind)
	}
	_, err = fetch(t.Context(), f, blobs[0])
	require.NoError(t, err)
}

func TestNamesOfTheTenant(t *testing.T) {
	tenant, err := simtenant.New(simtenant.Options{Seed: 7, People: 10})
	require.NoError(t, err)
	srv := httptest.NewTLSServer(tenant)
	t.Cleanup(srv.Close)
	c := simulated(t, tenant, srv.URL, srv.Client().Transport)
	f := feedOf(t, c, audit.EntraDirectory)
	now := time.Now().UTC()
	blobs, err := list(t.Context(), f, now.Add(-7*24*time.Hour), now)
	require.NoError(t, err)
	raws, err := fetch(t.Context(), f, blobs[0])
	require.NoError(t, err)
	ids := []string{"00000000-0000-0000-0000-00000000dead"}
	for _, raw := range raws {
		var r struct {
			InitiatedBy struct{ User *struct{ ID string } }
		}
		require.NoError(t, json.Unmarshal([]byte(raw), &r))
		if r.InitiatedBy.User != nil {
			ids = append(ids, r.InitiatedBy.User.ID)
		}
	}
	slices.Sort(ids)
	names, err := c.Names(t.Context(), slices.Compact(ids))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	require.NotContains(t, names, "00000000-0000-0000-0000-00000000dead")
	for _, who := range names {
		require.NotEmpty(t, who.Name)
		require.Equal(t, "user", who.Type)
		require.Contains(t, who.UPN, "@")
	}
}

func TestAFreeTenantSaysWhatItLacks(t *testing.T) {
	tenant, err := simtenant.New(simtenant.Options{Seed: 7, People: 10, Free: true})
	require.NoError(t, err)
	srv := httptest.NewTLSServer(tenant)
	t.Cleanup(srv.Close)
	c := simulated(t, tenant, srv.URL, srv.Client().Transport)
	f := feedOf(t, c, audit.EntraSignIn)
	_, err = fetch(t.Context(), f, audit.Blob{Created: time.Now().Add(-time.Hour), Until: time.Now()})
	var api *APIError
	require.ErrorAs(t, err, &api)
	require.Contains(t, api.Advice(), "Entra ID P1")

	tenant.Grant()
	c = simulated(t, tenant, srv.URL, srv.Client().Transport)
	_, err = list(t.Context(), feedOf(t, c, audit.M365Exchange), time.Now().Add(-time.Hour), time.Now())
	require.ErrorAs(t, err, &api)
	require.Contains(t, api.Advice(), "ActivityFeed.Read")
	_, err = fetch(t.Context(), feedOf(t, c, audit.EntraDirectory), audit.Blob{Created: time.Now().Add(-time.Hour), Until: time.Now()})
	require.ErrorAs(t, err, &api)
	require.Contains(t, api.Advice(), "AuditLog.Read.All")
}

// TestAdviceOnTheNewFeeds: what a tenant without the licence or the permission
// answers must come with what to do about it.
func TestAdviceOnTheNewFeeds(t *testing.T) {
	tests := map[string]struct {
		options simtenant.Options
		source  audit.Source
		want    string
	}{
		"no P1, kinds of sign-ins": {simtenant.Options{Free: true}, audit.EntraSignInPrincipal, "P1 or P2 licence"},
		"no P1, provisioning":      {simtenant.Options{Free: true}, audit.EntraProvisioning, "P1 or P2 licence"},
		"no P2":                    {simtenant.Options{Free: true}, audit.EntraRisk, "P2 licence"},
		"no permission for risk":   {simtenant.Options{Roles: []string{simtenant.RoleAuditLogRead}}, audit.EntraRisk, "IdentityRiskEvent.Read.All"},
		"no permission":            {simtenant.Options{Roles: []string{simtenant.RoleRiskRead}}, audit.EntraProvisioning, "AuditLog.Read.All"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.options.Seed, tt.options.People = 7, 10
			tenant, err := simtenant.New(tt.options)
			require.NoError(t, err)
			c := simulated(t, tenant, "https://sim.example", tenant.Transport())
			to := time.Now().UTC().Truncate(time.Hour)
			_, err = fetch(t.Context(), feedOf(t, c, tt.source), audit.Blob{Created: to.Add(-time.Hour), Until: to})
			var refusal *APIError
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, http.StatusForbidden, refusal.Status)
			require.Contains(t, refusal.Advice(), tt.want)
		})
	}
}
