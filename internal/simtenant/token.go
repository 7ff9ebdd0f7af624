package simtenant

import (
	"crypto/subtle"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Application permissions of the feeds. [Graph permissions reference; Office
// 365 Management Activity API reference]
const (
	RoleAuditLogRead      = "AuditLog.Read.All"
	RoleDirectoryRead     = "Directory.Read.All"
	RoleIntuneRead        = "DeviceManagementApps.Read.All"
	RoleRiskRead          = "IdentityRiskEvent.Read.All"
	RoleActivityFeedRead  = "ActivityFeed.Read"
	RoleActivityFeedDLP   = "ActivityFeed.ReadDlp"
	activityFeedNamespace = "ActivityFeed."
)

// AllRoles returns all permissions that the feeds need.
func AllRoles() []string {
	return []string{RoleAuditLogRead, RoleDirectoryRead, RoleIntuneRead, RoleRiskRead, RoleActivityFeedRead, RoleActivityFeedDLP}
}

// tokenLife is what Entra answers as expires_in, in seconds.
const tokenLife = 3599

// Resources that tokens are for, of the clouds of [REF 4.1.1] and by app id.
var (
	graphAudiences = []string{
		"https://graph.microsoft.com", "https://graph.microsoft.us", "https://dod-graph.microsoft.us",
		"https://microsoftgraph.chinacloudapi.cn", "00000003-0000-0000-c000-000000000000",
	}
	vaultAudiences = []string{
		"https://vault.azure.net", "https://vault.usgovcloudapi.net", "https://vault.azure.cn",
		"cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
	}
	managementAudiences = []string{
		"https://manage.office.com", "https://manage-gcc.office.com", "https://manage.office365.us",
		"https://manage.protection.apps.mil", "c5393580-f805-4401-95e8-94b7a6ef2fc2",
	}
)

var entraRoutes = []route{
	{"POST /{tenant}/oauth2/token", "token", apiEntra, (*Tenant).tokenV1},
	{"POST /{tenant}/oauth2/v2.0/token", "token", apiEntra, (*Tenant).tokenV2},
	{"GET /{tenant}/.well-known/openid-configuration", "discovery", apiEntra, (*Tenant).discoveryV1},
	{"GET /{tenant}/v2.0/.well-known/openid-configuration", "discovery", apiEntra, (*Tenant).discoveryV2},
	{"GET /{tenant}/discovery/keys", "keys", apiEntra, (*Tenant).keysV1},
	{"GET /{tenant}/discovery/v2.0/keys", "keys", apiEntra, (*Tenant).keysV2},
	{"GET /{tenant}/oauth2/v2.0/authorize", "authorize", apiEntra, (*Tenant).authorize},
	{"GET /{tenant}/oauth2/v2.0/choose", "choose", apiEntra, (*Tenant).choose},
	{"GET /{tenant}/oauth2/v2.0/logout", "logout", apiEntra, (*Tenant).logout},
	{"OPTIONS /{tenant}/oauth2/v2.0/token", "token", apiEntra, (*Tenant).tokenPreflight},
	{"GET /common/discovery/instance", "discovery", apiEntra, (*Tenant).instanceDiscovery},
	{"/", "other", apiEntra, (*Tenant).unknownPath},
}

// tokenV1 is the endpoint that names what it wants by resource.
func (t *Tenant) tokenV1(w http.ResponseWriter, r *http.Request) error {
	form, err := t.tokenForm(r)
	if err != nil {
		return err
	}
	if err := t.checkClient(form, "resource"); err != nil {
		return err
	}
	resource := strings.TrimSuffix(form.Get("resource"), "/")
	token, now, err := t.issue(resource, form)
	if err != nil {
		return err
	}
	// v1 writes its numbers as texts.
	life := strconv.Itoa(tokenLife)
	return writeToken(w, map[string]any{
		"token_type": "Bearer", "expires_in": life, "ext_expires_in": life,
		"expires_on": strconv.FormatInt(now.Unix()+tokenLife, 10), "not_before": strconv.FormatInt(now.Unix()-300, 10),
		"resource": form.Get("resource"), "access_token": token,
	})
}

// tokenV2 is the endpoint that names what it wants by scope.
func (t *Tenant) tokenV2(w http.ResponseWriter, r *http.Request) error {
	form, err := t.tokenForm(r)
	if err != nil {
		return err
	}
	if g := form.Get("grant_type"); g == grantCode || g == grantRefresh {
		return t.userTokens(w, r, form)
	}
	if err := t.checkClient(form, "scope"); err != nil {
		return err
	}
	scope := ""
	for _, s := range strings.Fields(form.Get("scope")) {
		// Libraries add these to every request; they mean nothing for an app.
		if s != "openid" && s != "profile" && s != "offline_access" {
			scope = s
		}
	}
	resource, ok := strings.CutSuffix(scope, "/.default")
	if !ok {
		return t.entraRefusal("invalid_scope", 1002012, "The provided value for scope "+form.Get("scope")+" is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).")
	}
	token, _, err := t.issue(strings.TrimSuffix(resource, "/"), form)
	if err != nil {
		return err
	}
	return writeToken(w, map[string]any{"token_type": "Bearer", "expires_in": tokenLife, "ext_expires_in": tokenLife, "access_token": token})
}

func writeToken(w http.ResponseWriter, body map[string]any) error {
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.Header().Set("Pragma", "no-cache")
	return writeJSON(w, body)
}

// tokenForm reads a request for a token.
func (t *Tenant) tokenForm(r *http.Request) (url.Values, error) {
	if _, err := t.ownTenant(r); err != nil {
		return nil, err
	}
	if err := r.ParseForm(); err != nil {
		return nil, t.entraRefusal("invalid_request", 900561, "The endpoint only accepts application/x-www-form-urlencoded bodies.")
	}
	form := r.PostForm
	if form.Get("client_id") == "" {
		if id, secret, ok := r.BasicAuth(); ok {
			form.Set("client_id", id)
			form.Set("client_secret", secret)
		}
	}
	return form, nil
}

// checkClient knows the client that asks for a token of its own.
func (t *Tenant) checkClient(form url.Values, what string) error {
	if err := t.require(form, "grant_type", "client_id", what); err != nil {
		return err
	}
	if g := form.Get("grant_type"); g != "client_credentials" {
		return t.unsupportedGrant(g)
	}
	if err := t.knownClient(form.Get("client_id")); err != nil {
		return err
	}
	return t.authenticate(form)
}

func (t *Tenant) require(form url.Values, keys ...string) error {
	for _, key := range keys {
		if form.Get(key) == "" {
			return t.entraRefusal("invalid_request", 900144, "The request body must contain the following parameter: '"+key+"'.")
		}
	}
	return nil
}

func (t *Tenant) unsupportedGrant(grant string) error {
	return t.entraRefusal("unsupported_grant_type", 70003, "The app requested an unsupported grant type '"+grant+"'.")
}

func (t *Tenant) knownClient(id string) error {
	if strings.EqualFold(id, t.clientID) {
		return nil
	}
	return t.entraRefusal("unauthorized_client", 700016, unknownClient(id))
}

func unknownClient(id string) string {
	return "Application with identifier '" + id + "' was not found in the directory '" + companyName + "'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant."
}

// assertionType is the only kind of client assertion there is. [RFC 7523]
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func (t *Tenant) authenticate(form url.Values) error {
	if form.Get("client_assertion_type") == assertionType {
		return t.checkAssertion(form.Get("client_assertion"))
	}
	secret := form.Get("client_secret")
	if secret == "" {
		return t.entraRefusal("invalid_client", 7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(t.clientSecret)) != 1 {
		return t.entraRefusal("invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '"+t.clientID+"'.")
	}
	return nil
}

// checkAssertion looks at an assertion as far as one can without knowing the
// identity provider or certificate behind it: its shape, audience, subject and
// time.
func (t *Tenant) checkAssertion(text string) error {
	var claims jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(text, &claims); err != nil {
		return t.entraRefusal("invalid_client", 50027, "JWT token is invalid or malformed.")
	}
	if claims.ExpiresAt == nil || !claims.ExpiresAt.After(t.now()) {
		return t.entraRefusal("invalid_client", 700024, "Client assertion is not within its valid time range.")
	}
	federated := slices.ContainsFunc(claims.Audience, func(aud string) bool { return strings.HasPrefix(aud, "api://AzureADTokenExchange") })
	signedByUs := slices.ContainsFunc(claims.Audience, func(aud string) bool { return strings.HasSuffix(aud, "/token") || strings.HasSuffix(aud, "/v2.0") })
	switch {
	case federated && claims.Subject != "" && claims.Issuer != "":
		return nil
	case federated:
		return t.entraRefusal("invalid_client", 700213, "No matching federated identity record found for presented assertion subject '"+claims.Subject+"'.")
	case signedByUs && claims.Subject == t.clientID && claims.Issuer == t.clientID:
		return nil
	}
	return t.entraRefusal("invalid_client", 700023, "Client assertion audience claim does not match Realm issuer.")
}

// issue makes a token of the client's own for a resource. Microsoft's services
// take version 1 tokens from either endpoint; which version our API's tokens
// have is the API's choice.
func (t *Tenant) issue(resource string, form url.Values) (string, time.Time, error) {
	proof := "1"
	if form.Get("client_assertion") != "" {
		proof = "2"
	}
	now := t.now()
	if t.isAPI(resource) {
		token, err := t.Sign(t.appClaims(proof), nil)
		return token, now, err
	}
	roles, ok := t.rolesFor(resource)
	if !ok {
		return "", time.Time{}, t.entraRefusal("invalid_resource", 500011, "The resource principal named "+resource+" was not found in the tenant named "+companyName+". This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.")
	}
	claims := t.commonClaims(tokenLife * time.Second)
	maps.Copy(claims, jwt.MapClaims{
		"aud": resource, "iss": t.issuer(1), "idp": t.issuer(1), "appid": t.clientID, "appidacr": proof,
		"idtyp": "app", "oid": t.principalID(), "sub": t.principalID(), "ver": "1.0",
	})
	if len(roles) > 0 {
		claims["roles"] = roles // an app without any permission has no such claim
	}
	token, err := t.Sign(claims, nil)
	return token, now, err
}

// rolesFor returns the client's permissions on one of Microsoft's services.
// What it may do in a vault is not in a token.
func (t *Tenant) rolesFor(resource string) (roles []string, known bool) {
	management := slices.Contains(managementAudiences, resource)
	switch {
	case slices.Contains(vaultAudiences, resource):
		return nil, true
	case !management && !slices.Contains(graphAudiences, resource):
		return nil, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, role := range t.roles {
		if strings.HasPrefix(role, activityFeedNamespace) == management {
			roles = append(roles, role)
		}
	}
	return roles, true
}

// principalID is the object id of the client's service principal.
func (t *Tenant) principalID() string {
	return uuid(t.history.company.seed^0x7072696e, t.history.company.seed^0x6369706c)
}

// ownTenant returns the tenant's id if the path names it, by id or by domain.
func (t *Tenant) ownTenant(r *http.Request) (string, error) {
	named := r.PathValue("tenant")
	if strings.EqualFold(named, t.TenantID()) || strings.EqualFold(named, t.history.domain()) || strings.EqualFold(named, initialDomain) {
		return t.TenantID(), nil
	}
	return "", t.entraRefusal("invalid_request", 90002, unknownTenant(named))
}

func unknownTenant(named string) string {
	return "Tenant '" + named + "' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant."
}

// tenantOrShared returns what stands for the tenant in an issuer: under
// "common" that is a template.
func (t *Tenant) tenantOrShared(r *http.Request) (string, error) {
	if slices.Contains(sharedTenants, r.PathValue("tenant")) {
		return "{tenantid}", nil
	}
	return t.ownTenant(r)
}

// unknownPath answers what no API has, in the way of the API that it looks like.
func (t *Tenant) unknownPath(_ http.ResponseWriter, r *http.Request) error {
	if rest, ok := strings.CutPrefix(r.URL.Path, "/v1.0/"); ok {
		return t.noSegment(r, rest)
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/beta/"); ok {
		return t.noSegment(r, rest)
	}
	return &refusal{status: http.StatusNotFound, header: http.Header{"Content-Type": {"text/html"}}, body: []byte("<html><body><h1>404 Not Found</h1></body></html>")}
}

func (t *Tenant) noSegment(r *http.Request, rest string) error {
	segment := rest[strings.LastIndexByte(rest, '/')+1:]
	return t.graphRefusal(r, http.StatusBadRequest, "BadRequest", "Resource not found for the segment '"+segment+"'.")
}
