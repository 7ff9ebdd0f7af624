package source

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aoc/internal/audit"
	"aoc/internal/simtenant"

	"github.com/stretchr/testify/require"
)

// wiretap is a transport that remembers the tokens that it carried and may
// answer in the tenant's place.
type wiretap struct {
	inner   http.RoundTripper
	instead func(*http.Request) *http.Response // nil answers: the tenant's own

	mu     sync.Mutex
	tokens []string
	calls  []string
}

func (w *wiretap) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	if _, token, ok := strings.Cut(r.Header.Get("Authorization"), "Bearer "); ok {
		w.tokens = append(w.tokens, token)
	}
	w.calls = append(w.calls, r.Method+" "+r.URL.Path)
	w.mu.Unlock()
	if w.instead != nil {
		if resp := w.instead(r); resp != nil {
			resp.Request = r
			return resp, nil
		}
	}
	return w.inner.RoundTrip(r)
}

// answerTo answers every request whose path holds a part.
func answerTo(part string, h http.HandlerFunc) func(*http.Request) *http.Response {
	return func(r *http.Request) *http.Response {
		if !strings.Contains(r.URL.Path, part) {
			return nil
		}
		resp, _ := inMemory{h}.RoundTrip(r)
		return resp
	}
}

// scene is a tenant, a client that is to be checked, and what went over the wire.
type scene struct {
	tenant *simtenant.Tenant
	client *Client
	wire   *wiretap
	login  CredentialConfig
}

// set makes a scene inside a bubble of simulated time.
func set(t *testing.T, options simtenant.Options, change func(*scene)) *scene {
	t.Helper()
	options.Seed, options.People = 7, 10
	tenant, err := simtenant.New(options)
	require.NoError(t, err)
	s := &scene{tenant: tenant, wire: &wiretap{inner: tenant.Transport()}}
	s.login = CredentialConfig{
		TenantID: tenant.TenantID(), ClientID: tenant.ClientID(), ClientSecret: tenant.ClientSecret(),
		AuthorityHost: "https://sim.example", Transport: s.wire,
	}
	if change != nil {
		change(s)
	}
	credential, err := NewCredential(s.login)
	require.NoError(t, err)
	s.client = open(t, "https://sim.example", s.wire, func(cfg *Config) {
		cfg.TenantID, cfg.Credential = tenant.TenantID(), credential
		if s.client != nil { // a scene of its own tenant id
			cfg.TenantID = s.client.tenant
		}
	})
	return s
}

// check runs the preflight and sees that nothing secret is in its words and
// that it started nothing.
func (s *scene) check(t *testing.T, sources ...audit.Source) []audit.Check {
	t.Helper()
	began := time.Now()
	checks := s.client.Check(t.Context(), sources...)
	require.LessOrEqual(t, time.Since(began), checksTimeout)
	text, err := json.Marshal(checks)
	require.NoError(t, err)
	require.NotContains(t, string(text), s.login.ClientSecret)
	require.NotContains(t, string(text), "eyJ")
	for _, token := range s.wire.tokens {
		require.NotContains(t, string(text), token)
	}
	for _, call := range s.wire.calls {
		require.NotContains(t, call, "subscriptions/start")
	}
	for _, c := range checks {
		require.NotEmpty(t, c.Name)
		require.NotEmpty(t, c.Found)
		require.True(t, strings.HasSuffix(c.Found, "."), c.Found)
		require.False(t, c.State == audit.CheckFailed && c.Advice == "", "a failure says what to do: %+v", c)
		t.Logf("%-8s %s: %s | %s", c.State, c.Name, c.Found, c.Advice)
	}
	return checks
}

// of finds the check of a feed, or by name.
func of(t *testing.T, checks []audit.Check, what string) audit.Check {
	t.Helper()
	i := slices.IndexFunc(checks, func(c audit.Check) bool { return string(c.Source) == what || c.Name == what })
	require.GreaterOrEqual(t, i, 0, what)
	return checks[i]
}

const (
	graphSignIn      = "Sign-in to Microsoft Graph"
	managementSignIn = "Sign-in to Office 365 Management APIs"
	nameLookUp       = "Names of people, groups and apps"
)

func TestAllIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, simtenant.Options{}, nil)
		checks := s.check(t, Sources()...)
		var names []string
		for _, c := range checks {
			require.Equal(t, audit.CheckOK, c.State, c)
			require.Empty(t, c.Advice)
			names = append(names, c.Name)
		}
		require.Equal(t, []string{graphSignIn, managementSignIn, "Clock", nameLookUp}, names[:4])
		require.Len(t, checks, 4+len(Sources()))
		for i, source := range Sources() {
			require.Equal(t, source, checks[4+i].Source)
		}
		require.Contains(t, checks[0].Found, "AuditLog.Read.All, DeviceManagementApps.Read.All, Directory.Read.All")
		require.Contains(t, of(t, checks, "m365.exchange").Found, "not started yet; the first collection starts it")

		_, err := list(t.Context(), feedOf(t, s.client, audit.M365Exchange), time.Now().Add(-time.Hour), time.Now())
		require.NoError(t, err)
		started := s.client.Check(t.Context(), audit.M365Exchange)
		require.Contains(t, of(t, started, "m365.exchange").Found, "The subscription is enabled")
	})
}

func TestOnlyWhatIsWantedIsSignedInTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, simtenant.Options{}, nil)
		require.Len(t, s.check(t, audit.EntraDirectory), 4, "Graph, clock, names, feed")
		require.Len(t, s.check(t), 4, "Graph, Management API, clock, names")
		unknown := of(t, s.check(t, audit.AOC), "aoc")
		require.Equal(t, audit.CheckSkipped, unknown.State)
		require.Contains(t, unknown.Found, "no feed of this name")
	})
}

// TestWordsForEveryFault is the table of what the preflight says.
func TestWordsForEveryFault(t *testing.T) {
	type words struct {
		what          string // a feed or a check's name
		state         audit.CheckState
		found, advice string
	}
	const (
		ok, warning, failed, skipped = audit.CheckOK, audit.CheckWarning, audit.CheckFailed, audit.CheckSkipped
		exchange, dlp                = "m365.exchange", "m365.dlp"
		directory, signin, intune    = "entra.directory", "entra.signin", "intune.audit"
	)
	without := func(role string) []string {
		return slices.DeleteFunc(simtenant.AllRoles(), func(r string) bool { return r == role })
	}
	tests := map[string]struct {
		options simtenant.Options
		change  func(*scene)
		want    []words
	}{
		"wrong secret": {change: func(s *scene) { s.login.ClientSecret = testSecret }, want: []words{
			{graphSignIn, failed, "client secret is wrong (AADSTS7000215)", "not to its id"},
			{managementSignIn, failed, "client secret is wrong", "az ad app credential reset"},
			{directory, skipped, "no token for Microsoft Graph", graphSignIn},
			{exchange, skipped, "no token for Office 365 Management APIs", managementSignIn},
			{nameLookUp, skipped, "no token", graphSignIn},
		}},
		"expired secret": {change: func(s *scene) {
			s.login.ClientSecret = testSecret
			s.wire.instead = answerTo("/token", answer(401, `{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys are expired: `+testSecret+`"}`))
		}, want: []words{{graphSignIn, failed, "secret has expired (AADSTS7000222)", "Certificates & secrets"}}},
		"unknown app": {change: func(s *scene) { s.login.ClientID = "00000000-0000-0000-0000-00000000dead" }, want: []words{
			{graphSignIn, failed, "does not know the app registration that CLIENT_ID names (AADSTS700016)", "Application (client) ID"},
		}},
		"unknown tenant": {change: func(s *scene) { s.login.TenantID = "00000000-0000-0000-0000-00000000dead" }, want: []words{
			{graphSignIn, failed, "no such tenant in this cloud (AADSTS90002)", "Tenant ID"},
		}},
		"other tenant": {change: func(s *scene) { s.client = &Client{tenant: testTenant} }, want: []words{
			{graphSignIn, failed, "and TENANT_ID is " + testTenant, "Set TENANT_ID"},
			{exchange, failed, "AF20010", "TENANT_ID"},
		}},
		"no Office 365": {change: func(s *scene) {
			s.wire.instead = answerTo("/token", func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.FormValue("scope"), "manage.office.com") {
					answer(400, `{"error":"invalid_resource","error_description":"AADSTS500011: The resource principal was not found."}`)(w, r)
					return
				}
				answer(200, `{"token_type":"Bearer","expires_in":3599,"access_token":"`+token(map[string]any{"tid": s.tenant.TenantID()})+`"}`)(w, r)
			})
		}, want: []words{
			{graphSignIn, ok, "", ""},
			{managementSignIn, failed, "does not know this API (AADSTS500011)", "leave the m365 feeds out"},
			{exchange, skipped, "no token", ""},
		}},
		"sign-in unavailable": {change: func(s *scene) {
			s.wire.instead = answerTo("/token", answer(400, `{"error":"temporarily_unavailable","error_description":"AADSTS90033: A transient error has occurred."}`))
		}, want: []words{{graphSignIn, warning, "passing fault", "check again"}}},
		"no roles": {options: simtenant.Options{Roles: []string{}}, want: []words{
			{graphSignIn, warning, "carries no permission", "application permissions"},
			{managementSignIn, warning, "carries no permission", "application permissions"},
			{directory, failed, `permission AuditLog.Read.All of "Microsoft Graph" is missing: the token carries no permission`, "--api 00000003-0000-0000-c000-000000000000 --api-permissions b0afded3-3588-46d8-8b3d-9842eff778da=Role"},
			{intune, failed, "DeviceManagementApps.Read.All", "Microsoft Graph > Application permissions > DeviceManagementApps.Read.All"},
			{exchange, failed, `permission ActivityFeed.Read of "Office 365 Management APIs" is missing`, "--api c5393580-f805-4401-95e8-94b7a6ef2fc2 --api-permissions 594c1fb6-4f81-4475-ae41-0c394909246c=Role"},
			{dlp, failed, "ActivityFeed.ReadDlp", "ActivityFeed.ReadDlp"},
			{nameLookUp, warning, "events show ids", "Directory.Read.All"},
		}},
		"no DLP": {options: simtenant.Options{Roles: without(simtenant.RoleActivityFeedDLP)}, want: []words{
			{exchange, ok, "carries ActivityFeed.Read.", ""},
			{dlp, failed, "the token carries ActivityFeed.Read.", "4807a72c-ad38-4250-94c9-4eabfe26cd55"},
		}},
		"something wider": {options: simtenant.Options{Roles: without(simtenant.RoleIntuneRead)}, change: func(s *scene) {
			s.wire.instead = answerTo("/auditEvents", answer(200, `{"value":[]}`))
		}, want: []words{{intune, warning, "The call works, although the token does not carry DeviceManagementApps.Read.All", "no more than this"}}},
		"carried and refused": {change: func(s *scene) { s.tenant.Faults().Unauthorise(simtenant.AuditExchange) }, want: []words{
			{exchange, failed, "carries ActivityFeed.Read all the same", "wait an hour"},
			{"m365.sharepoint", ok, "", ""},
		}},
		"half of two": {options: simtenant.Options{Roles: without(simtenant.RoleDirectoryRead)}, change: func(s *scene) {
			s.wire.instead = answerTo("/directoryAudits", answer(403, `{"error":{"code":"Authentication_MSGraphPermissionMissing","message":"no"}}`))
		}, want: []words{{directory, failed, "carries AuditLog.Read.All but not Directory.Read.All", "7ab1d382-f21e-4acd-a863-ba3e13f7da61"}}},
		"free tenant": {options: simtenant.Options{Free: true}, want: []words{
			{directory, ok, "", ""},
			{signin, failed, "lacks a Microsoft Entra ID P1 or P2 licence", "m365.entra brings interactive sign-ins"},
			{"entra.signin.noninteractive", failed, "P1 or P2", "leave entra.signin.noninteractive out of SOURCES"},
			{"entra.provisioning", failed, "P1 or P2", "leave entra.provisioning out"},
			{"entra.risk", failed, "lacks a Microsoft Entra ID P2 licence", "leave entra.risk out"},
		}},
		"no Intune": {change: func(s *scene) {
			s.wire.instead = answerTo("/auditEvents", answer(400, `{"error":{"code":"BadRequest","message":"Request not applicable to target tenant."}}`))
		}, want: []words{{intune, failed, "lacks Microsoft Intune", "leave intune.audit out of SOURCES"}}},
		"auditing off": {change: func(s *scene) {
			s.wire.instead = answerTo("/subscriptions/content", answer(500, `{"error":{"code":"AF50000","message":"Microsoft.Office.Compliance.Audit.DataServiceException: Tenant 1 does not exist."}}`))
		}, want: []words{{exchange, failed, "Auditing is switched off", "Set-AdminAuditLogConfig -UnifiedAuditLogIngestionEnabled $true"}}},
		"misconfigured": {change: func(s *scene) { s.tenant.Faults().Misconfigure() }, want: []words{
			{exchange, failed, "AF20012", "switch on auditing"},
			{directory, ok, "", ""},
		}},
		"disabled by the tenant": {change: func(s *scene) { s.tenant.Faults().Disable(simtenant.AuditExchange, "a tenant admin") }, want: []words{
			{exchange, failed, "disabled by an administrator of the tenant", "Ask the tenant's administrators"},
			{dlp, ok, "", ""},
		}},
		"disabled by Microsoft": {change: func(s *scene) { s.tenant.Faults().Disable(simtenant.AuditExchange, "a service admin") }, want: []words{
			{exchange, failed, "disabled by Microsoft's service administrators", "support request"},
		}},
		"throttled": {change: func(s *scene) {
			s.tenant.Faults().Add(simtenant.Fault{Kind: simtenant.FaultStatus, Status: 429, RetryAfter: simtenant.RetryAfterSeconds(120), Endpoint: "content"})
		}, want: []words{{exchange, warning, "left alone until", "Nothing needs to be done"}}},
		"throttled for a moment": {change: func(s *scene) {
			s.tenant.Faults().Add(simtenant.Fault{Kind: simtenant.FaultStatus, Status: 429, RetryAfter: simtenant.RetryAfterSeconds(2), Endpoint: simtenant.DirectoryAudits, Times: 1})
		}, want: []words{{directory, ok, "", ""}}},
		"unavailable": {change: func(s *scene) {
			s.tenant.Faults().Add(simtenant.Fault{Kind: simtenant.FaultStatus, Status: 503, Endpoint: simtenant.DirectoryAudits})
		}, want: []words{{directory, warning, "cannot answer at the moment (503", "passes"}}},
		"token refused": {change: func(s *scene) {
			s.tenant.Faults().Add(simtenant.Fault{Kind: simtenant.FaultExpired, Endpoint: "content"})
		}, want: []words{{exchange, failed, "does not accept the token (401", "one cloud"}}},
		"silence": {change: func(s *scene) {
			s.tenant.Faults().Add(simtenant.Fault{Kind: simtenant.FaultLatency, Delay: time.Hour, Endpoint: simtenant.IntuneAudits})
		}, want: []words{
			{intune, failed, "no answer comes within 15 seconds", "firewall"},
			{directory, ok, "", ""},
		}},
		"silent sign-in": {change: func(s *scene) {
			s.tenant.Faults().Add(simtenant.Fault{Kind: simtenant.FaultLatency, Delay: time.Hour, Endpoint: "token"})
		}, want: []words{{graphSignIn, failed, "sign-in service of Microsoft Entra: no answer", "port 443"}}},
		"reset": {change: func(s *scene) {
			s.tenant.Faults().Add(simtenant.Fault{Kind: simtenant.FaultReset, Endpoint: simtenant.SignIns})
		}, want: []words{{signin, failed, "the connection breaks off", "firewall"}}},
		"a web page": {change: func(s *scene) {
			s.tenant.Faults().Add(simtenant.Fault{Kind: simtenant.FaultHTML, Endpoint: simtenant.DirectoryAudits})
		}, want: []words{{directory, failed, "The answer cannot be read", "proxy"}}},
		"an answer that repeats the token": {change: func(s *scene) {
			s.wire.instead = answerTo("/directoryAudits", func(w http.ResponseWriter, r *http.Request) {
				answer(403, `{"error":{"code":"Forbidden","message":"not with `+r.Header.Get("Authorization")+`"}}`)(w, r)
			})
		}, want: []words{{directory, failed, "[", ""}}},
		"stopped": {change: func(s *scene) {
			s.wire.instead = answerTo("/subscriptions/list", answer(200, `[{"contentType":"Audit.Exchange","status":"disabled","webhook":null}]`))
		}, want: []words{{exchange, warning, "was stopped. The next collection starts it again", ""}, {dlp, ok, "not started yet", ""}}},
		"stopped and listed": {change: func(s *scene) {
			s.wire.instead = func(r *http.Request) *http.Response {
				if resp := answerTo("/subscriptions/list", answer(200, `[{"contentType":"Audit.Exchange","status":"disabled"}]`))(r); resp != nil {
					return resp
				}
				return answerTo("/subscriptions/content", answer(200, `[]`))(r)
			}
		}, want: []words{{exchange, warning, "the subscription is disabled: nothing new comes in", ""}, {dlp, ok, "is enabled", ""}}},
		"just started": {change: func(s *scene) {
			s.wire.instead = answerTo("/subscriptions/list", answer(200, `[{"contentType":"audit.exchange","status":"enabled"}]`))
		}, want: []words{{exchange, ok, "was just started", ""}}},
		"not started and not permitted": {options: simtenant.Options{Roles: without(simtenant.RoleActivityFeedRead)}, change: func(s *scene) {
			s.wire.instead = answerTo("/subscriptions/content", answer(400, `{"error":{"code":"AF20022","message":"No subscription found for the specified content type."}}`))
		}, want: []words{{exchange, failed, "not started yet. The permission ActivityFeed.Read", "ActivityFeed.Read"}}},
		"Purview elsewhere": {change: func(s *scene) {
			s.wire.instead = answerTo("/security/auditLog/queries", answer(404, `{"error":{"code":"UnknownError","message":""}}`))
		}, want: []words{{"purview.query", failed, "does not offer Purview's audit search", "Leave Purview's search off"}}},
		"Purview": {options: simtenant.Options{Roles: append(simtenant.AllRoles(), simtenant.RoleAuditLogsQuery)}, want: []words{
			{"purview.query", ok, "carries AuditLogsQuery.Read.All", ""},
		}},
		"Purview under beta": {options: simtenant.Options{Roles: append(simtenant.AllRoles(), simtenant.RoleAuditLogsQuery)}, change: func(s *scene) {
			s.wire.instead = answerTo("/v1.0/security/auditLog", answer(404, `{"error":{"code":"UnknownError","message":""}}`))
		}, want: []words{{"purview.query", ok, "carries AuditLogsQuery.Read.All", ""}}},
		"Purview not permitted": {want: []words{{"purview.query", failed, "AuditLogsQuery.Read.All of \"Microsoft Graph\" is missing", roleIDs[purviewRead]}}},
		"no risk permission": {options: simtenant.Options{Roles: without(riskRead)}, want: []words{
			{"entra.risk", failed, "permission IdentityRiskEvent.Read.All of \"Microsoft Graph\" is missing", roleIDs[riskRead]},
			{"entra.provisioning", ok, "carries AuditLog.Read.All", ""},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				checks := set(t, tt.options, tt.change).check(t, append(Sources(), audit.PurviewQuery)...)
				for _, w := range tt.want {
					got := of(t, checks, w.what)
					require.Equal(t, w.state, got.State, got)
					require.Contains(t, got.Found, w.found)
					require.Contains(t, got.Advice, w.advice)
				}
			})
		})
	}
}
