package simtenant

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

func (c *caller) secretForm(change ...string) url.Values {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.tenant.ClientID()}, "client_secret": {c.tenant.ClientSecret()},
		"resource": {"https://manage.office.com"}, "scope": {"https://graph.microsoft.com/.default openid offline_access profile"},
	}
	for i := 0; i < len(change); i += 2 {
		form.Set(change[i], change[i+1])
	}
	return form
}

// claimsOf checks a token with the published key and returns its claims.
func (c *caller) claimsOf(token string) jwt.MapClaims {
	c.t.Helper()
	keys := c.get("/" + c.tenant.TenantID() + "/discovery/v2.0/keys").json(c.t)["keys"].([]any)
	kid := keys[0].(map[string]any)["kid"]
	parsed, err := jwt.Parse(token, func(tok *jwt.Token) (any, error) {
		require.Equal(c.t, kid, tok.Header["kid"])
		return &c.tenant.keys.current().private.PublicKey, nil
	}, jwt.WithTimeFunc(c.tenant.now))
	require.NoError(c.t, err)
	return parsed.Claims.(jwt.MapClaims)
}

func TestTokens(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	id := c.tenant.TenantID()
	v1 := c.form("/"+id+"/oauth2/token", c.secretForm()).json(t)
	require.Equal(t, "3599", v1["expires_in"])
	require.Equal(t, "https://manage.office.com", v1["resource"])
	claims := c.claimsOf(v1["access_token"].(string))
	require.Equal(t, "https://sts.windows.net/"+id+"/", claims["iss"])
	require.Equal(t, "https://manage.office.com", claims["aud"])
	require.Equal(t, id, claims["tid"])
	require.Equal(t, c.tenant.ClientID(), claims["appid"])
	require.Equal(t, "1.0", claims["ver"])
	require.Equal(t, []any{RoleActivityFeedRead, RoleActivityFeedDLP}, claims["roles"])

	v2 := c.form("/"+c.tenant.history.domain()+"/oauth2/v2.0/token", c.secretForm()).json(t)
	require.EqualValues(t, 3599, v2["expires_in"])
	claims = c.claimsOf(v2["access_token"].(string))
	require.Equal(t, "https://graph.microsoft.com", claims["aud"])
	require.Equal(t, []any{RoleAuditLogRead, RoleDirectoryRead, RoleIntuneRead, RoleRiskRead}, claims["roles"])
	require.EqualValues(t, noon.Unix()+3599, claims["exp"])
}

func TestTokenErrors(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	own := "/" + c.tenant.TenantID()
	tests := []struct {
		name, path string
		change     []string
		status     int
		code       string
		number     int
	}{
		{"wrong secret", own + "/oauth2/v2.0/token", []string{"client_secret", "guess"}, 401, "invalid_client", 7000215},
		{"no secret", own + "/oauth2/token", []string{"client_secret", ""}, 401, "invalid_client", 7000218},
		{"unknown client", own + "/oauth2/v2.0/token", []string{"client_id", "cafe"}, 400, "unauthorized_client", 700016},
		{"unknown tenant", "/nobody.example/oauth2/v2.0/token", nil, 400, "invalid_request", 90002},
		{"unknown resource", own + "/oauth2/token", []string{"resource", "https://else.example"}, 400, "invalid_resource", 500011},
		{"unknown scope", own + "/oauth2/v2.0/token", []string{"scope", "https://else.example/.default"}, 400, "invalid_resource", 500011},
		{"scope of a user", own + "/oauth2/v2.0/token", []string{"scope", "User.Read"}, 400, "invalid_scope", 1002012},
		{"other grant", own + "/oauth2/v2.0/token", []string{"grant_type", "password"}, 400, "unsupported_grant_type", 70003},
		{"no grant", own + "/oauth2/v2.0/token", []string{"grant_type", ""}, 400, "invalid_request", 900144},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := c.form(tt.path, c.secretForm(tt.change...))
			require.Equal(t, tt.status, got.status)
			body := got.json(t)
			require.Equal(t, tt.code, body["error"])
			require.Equal(t, []any{float64(tt.number)}, body["error_codes"])
			require.Contains(t, body["error_description"], "AADSTS")
			require.NotContains(t, string(got.body), c.tenant.ClientSecret())
			for _, key := range []string{"timestamp", "trace_id", "correlation_id", "error_uri"} {
				require.NotEmpty(t, body[key], key)
			}
		})
	}
}

func assertion(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("any key: nobody checks it"))
	require.NoError(t, err)
	return signed
}

func TestClientAssertions(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	soon := noon.Add(time.Minute).Unix()
	tests := []struct {
		name   string
		claims jwt.MapClaims
		number float64
	}{
		{"federated", jwt.MapClaims{"aud": "api://AzureADTokenExchange", "sub": "repo:x", "iss": "https://issuer.example", "exp": soon}, 0},
		{"certificate", jwt.MapClaims{"aud": c.origin + "/x/oauth2/v2.0/token", "sub": c.tenant.ClientID(), "iss": c.tenant.ClientID(), "exp": soon}, 0},
		{"no subject", jwt.MapClaims{"aud": "api://AzureADTokenExchange", "iss": "https://issuer.example", "exp": soon}, 700213},
		{"old", jwt.MapClaims{"aud": "api://AzureADTokenExchange", "sub": "x", "iss": "y", "exp": noon.Unix() - 1}, 700024},
		{"for another", jwt.MapClaims{"aud": "https://else.example", "sub": "x", "iss": "y", "exp": soon}, 700023},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := c.form("/"+c.tenant.TenantID()+"/oauth2/v2.0/token", c.secretForm("client_secret", "",
				"client_assertion_type", assertionType, "client_assertion", assertion(t, tt.claims)))
			if tt.number == 0 {
				require.Equal(t, 200, got.status, "%s", got.body)
				require.Equal(t, "2", c.claimsOf(got.json(t)["access_token"].(string))["appidacr"])
				return
			}
			require.Equal(t, 401, got.status)
			require.Equal(t, []any{tt.number}, got.json(t)["error_codes"])
		})
	}
	got := c.form("/"+c.tenant.TenantID()+"/oauth2/token", c.secretForm("client_assertion_type", assertionType, "client_assertion", "x.y"))
	require.Equal(t, []any{float64(50027)}, got.json(t)["error_codes"])
}

func TestDiscovery(t *testing.T) {
	c := dial(t, newTenant(t, Options{}))
	id := c.tenant.TenantID()
	tests := []struct{ path, issuer, token, keys string }{
		{id, "https://sts.windows.net/" + id + "/", "/oauth2/token", "/discovery/keys"},
		{id + "/v2.0", "https://login.microsoftonline.com/" + id + "/v2.0", "/oauth2/v2.0/token", "/discovery/v2.0/keys"},
		{"common/v2.0", "https://login.microsoftonline.com/{tenantid}/v2.0", "/oauth2/v2.0/token", "/discovery/v2.0/keys"},
	}
	for _, tt := range tests {
		doc := c.get("/" + tt.path + "/.well-known/openid-configuration").json(t)
		tenant, _, _ := strings.Cut(tt.path, "/")
		require.Equal(t, tt.issuer, doc["issuer"])
		require.Equal(t, c.origin+"/"+tenant+tt.token, doc["token_endpoint"])
		require.Equal(t, c.origin+"/"+tenant+tt.keys, doc["jwks_uri"])
		key := c.get(doc["jwks_uri"].(string)).json(t)["keys"].([]any)[0].(map[string]any)
		require.Equal(t, tt.issuer, key["issuer"])
		require.Equal(t, "AQAB", key["e"])
	}
	require.Equal(t, 400, c.get("/nobody/.well-known/openid-configuration").status)
	require.Equal(t, 400, c.get("/nobody/discovery/keys").status)
	instance := c.get("/common/discovery/instance?api-version=1.1&authorization_endpoint=x").json(t)
	require.Equal(t, c.origin+"/"+id+"/v2.0/.well-known/openid-configuration", instance["tenant_discovery_endpoint"])
}

// bare makes a request with any Authorization header, or none.
func (c *caller) bare(path, authorization string) reply {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.origin+path, nil)
	require.NoError(c.t, err)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return c.do(r)
}

func TestTokensAreChecked(t *testing.T) {
	at := &clock{noon}
	c := call(t, newTenant(t, Options{Now: at.now}))
	graph, management := "Bearer "+c.token("https://graph.microsoft.com"), "Bearer "+c.token("https://manage.office.com")
	other := call(t, newTenant(t, Options{Seed: 8, Now: at.now}))
	stranger := "Bearer " + other.token("https://graph.microsoft.com")
	forged := assertion(t, jwt.MapClaims{"aud": "https://graph.microsoft.com", "exp": noon.Unix() + 99})
	otherAlgorithm, err := jwt.NewWithClaims(jwt.SigningMethodPS256, jwt.MapClaims{
		"aud": "https://graph.microsoft.com", "tid": c.tenant.TenantID(), "exp": noon.Unix() + 99, "roles": AllRoles(),
	}).SignedString(c.tenant.keys.current().private)
	require.NoError(t, err)
	logs, list := "/v1.0/auditLogs/directoryAudits?$top=1", c.feed("subscriptions/list")
	require.Equal(t, 200, c.bare(logs, graph).status)
	require.Equal(t, 200, c.bare(list, management).status)
	for _, authorization := range []string{"", "Bearer", "Bearer x", "Basic eDp5", "Bearer " + forged, "Bearer " + otherAlgorithm, management, stranger} {
		got := c.bare(logs, authorization)
		require.Equal(t, 401, got.status, authorization)
		require.Equal(t, "InvalidAuthenticationToken", got.code(t))
		inner := got.json(t)["error"].(map[string]any)["innerError"].(map[string]any)
		require.NotEmpty(t, inner["request-id"])
		require.NotEmpty(t, inner["date"])
		require.NotEmpty(t, got.header.Get("WWW-Authenticate"))
	}
	for _, authorization := range []string{"", "Bearer x", "Bearer " + forged, graph} {
		got := c.bare(list, authorization)
		require.Equal(t, 401, got.status, authorization)
		require.Equal(t, `{"Message":"Authorization has been denied for this request."}`, string(got.body))
		require.Len(t, got.body, 61)
		require.Equal(t, "Bearer", got.header.Get("WWW-Authenticate"))
	}
	at.at = noon.Add(2 * time.Hour)
	require.Contains(t, c.bare(logs, graph).message(t), "expired")
	require.Equal(t, 401, c.bare(list, management).status)
}

func TestPermissions(t *testing.T) {
	c := call(t, newTenant(t, Options{Roles: []string{}}))
	for path, code := range map[string]string{
		"/v1.0/auditLogs/directoryAudits":     "Authentication_MSGraphPermissionMissing",
		"/beta/auditLogs/signIns":             "Authentication_MSGraphPermissionMissing",
		"/v1.0/deviceManagement/auditEvents":  "Forbidden",
		c.feed("subscriptions/list"):          "AF10001",
		c.feed("resources/dlpSensitiveTypes"): "AF10001",
	} {
		got := c.get(path)
		require.Equal(t, code, got.code(t))
		require.Equal(t, map[bool]int{true: 401, false: 403}[code == "AF10001"], got.status)
	}
	require.Equal(t, "Authorization_RequestDenied", c.send("POST", "/v1.0/directoryObjects/getByIds", `{"ids":["x"]}`).code(t))
	require.NotContains(t, c.claimsOf(c.token("https://graph.microsoft.com")), "roles")

	c.tenant.Grant(RoleActivityFeedRead)
	require.Equal(t, 401, c.start(AuditExchange).status, "old tokens keep what they have")
	c.tokens = map[string]string{}
	require.Equal(t, 200, c.start(AuditExchange).status)
	require.Contains(t, c.start(DLPAll).message(t), "ActivityFeed.ReadDlp")
}
