package simtenant

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// grant is what a token lets its bearer do.
type grant struct {
	tenant, app string
	audience    string
	roles       []string
}

// errNoToken says that a request has no bearer token.
var errNoToken = errors.New("no token")

// bearer reads the token of a request and checks its signature and times.
func (t *Tenant) bearer(r *http.Request) (grant, error) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		return grant{}, errNoToken
	}
	var claims struct {
		jwt.RegisteredClaims
		Tenant string   `json:"tid"`
		App    string   `json:"appid"`
		Roles  []string `json:"roles"`
	}
	_, err := jwt.ParseWithClaims(strings.TrimSpace(text), &claims, t.keys.public,
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired(), jwt.WithTimeFunc(t.now), jwt.WithLeeway(time.Minute))
	if err != nil {
		return grant{}, err
	}
	g := grant{tenant: claims.Tenant, app: claims.App, roles: claims.Roles}
	if len(claims.Audience) > 0 {
		g.audience = claims.Audience[0]
	}
	return g, nil
}

// issuers are texts of the real cloud, never our own address: programs compare
// them with what Microsoft documents.
const (
	issuerV1 = "https://sts.windows.net/%s/"
	issuerV2 = "https://login.microsoftonline.com/%s/v2.0"
)

// sharedTenants may stand in the path where no tenant is known yet.
var sharedTenants = []string{"common", "organizations", "consumers"}

func (t *Tenant) keysV1(w http.ResponseWriter, r *http.Request) error {
	return t.publishKeys(w, r, issuerV1)
}

func (t *Tenant) keysV2(w http.ResponseWriter, r *http.Request) error {
	return t.publishKeys(w, r, issuerV2)
}

func (t *Tenant) publishKeys(w http.ResponseWriter, r *http.Request, issuer string) error {
	id, err := t.tenantOrShared(r)
	if err != nil {
		return err
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	return writeJSON(w, map[string]any{"keys": t.keys.published(fmt.Sprintf(issuer, id))})
}

func (t *Tenant) discoveryV1(w http.ResponseWriter, r *http.Request) error {
	return t.discovery(w, r, origin(r), issuerV1, "/oauth2/", "/discovery/keys")
}

func (t *Tenant) discoveryV2(w http.ResponseWriter, r *http.Request) error {
	return t.discovery(w, r, origin(r), issuerV2, "/oauth2/v2.0/", "/discovery/v2.0/keys")
}

// discovery is the OpenID configuration: Microsoft's issuer, and endpoints at
// an origin.
func (t *Tenant) discovery(w http.ResponseWriter, r *http.Request, at, issuer, oauth, keys string) error {
	id, err := t.tenantOrShared(r)
	if err != nil {
		return err
	}
	at += "/" + r.PathValue("tenant")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	return writeJSON(w, map[string]any{
		"issuer":                                fmt.Sprintf(issuer, id),
		"authorization_endpoint":                at + oauth + "authorize",
		"token_endpoint":                        at + oauth + "token",
		"end_session_endpoint":                  at + oauth + "logout",
		"jwks_uri":                              at + keys,
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"response_modes_supported":              []string{"query", "fragment", "form_post"},
		"response_types_supported":              []string{"code", "id_token", "code id_token", "id_token token"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"tenant_region_scope":                   "EU",
		"cloud_instance_name":                   "microsoftonline.com",
		"cloud_graph_host_name":                 "graph.windows.net",
		"msgraph_host":                          "graph.microsoft.com",
	})
}

// instanceDiscovery tells a client that our origin is an authority.
func (t *Tenant) instanceDiscovery(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, map[string]any{
		"tenant_discovery_endpoint": origin(r) + "/" + t.TenantID() + "/v2.0/.well-known/openid-configuration",
		"api-version":               "1.1",
		"metadata": []any{map[string]any{
			"preferred_network": r.Host, "preferred_cache": r.Host, "aliases": []string{r.Host},
		}},
	})
}
