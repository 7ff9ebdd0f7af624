package simtenant

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// signingKey signs the tenant's tokens.
type signingKey struct {
	private *rsa.PrivateKey
	id      string
}

// newSigningKey returns the process's key: making one takes a tenth of a
// second or more, and tests make hundreds of tenants.
var newSigningKey = sync.OnceValues(func() (*signingKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(private.N.Bytes())
	return &signingKey{private, base64.RawURLEncoding.EncodeToString(sum[:20])}, nil
})

// sign makes a token.
func (k *signingKey) sign(claims jwt.MapClaims) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"], token.Header["x5t"] = k.id, k.id
	signed, err := token.SignedString(k.private)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed, nil
}

// jwk is the public half as JWKS has it.
func (k *signingKey) jwk(issuer string) map[string]any {
	return map[string]any{
		"kty": "RSA", "use": "sig", "kid": k.id, "x5t": k.id, "issuer": issuer,
		"n": base64.RawURLEncoding.EncodeToString(k.private.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.private.E)).Bytes()),
	}
}

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
	_, err := jwt.ParseWithClaims(strings.TrimSpace(text), &claims,
		func(*jwt.Token) (any, error) { return &t.key.private.PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired(), jwt.WithTimeFunc(t.now), jwt.WithLeeway(time.Minute))
	if err != nil {
		return grant{}, err
	}
	return grant{claims.Tenant, claims.App, claims.Audience[0], claims.Roles}, nil
}

// issuers are texts of the real cloud, never our own address: programs compare
// them with what Microsoft documents.
const (
	issuerV1 = "https://sts.windows.net/%s/"
	issuerV2 = "https://login.microsoftonline.com/%s/v2.0"
)

// sharedTenants may stand in the path where no tenant is known yet.
var sharedTenants = []string{"common", "organizations", "consumers"}

func (t *Tenant) keysV1(w http.ResponseWriter, r *http.Request) error { return t.keys(w, r, issuerV1) }

func (t *Tenant) keysV2(w http.ResponseWriter, r *http.Request) error { return t.keys(w, r, issuerV2) }

func (t *Tenant) keys(w http.ResponseWriter, r *http.Request, issuer string) error {
	id, err := t.tenantOrShared(r)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]any{"keys": []any{t.key.jwk(fmt.Sprintf(issuer, id))}})
}

func (t *Tenant) discoveryV1(w http.ResponseWriter, r *http.Request) error {
	return t.discovery(w, r, issuerV1, "/oauth2/", "/discovery/keys")
}

func (t *Tenant) discoveryV2(w http.ResponseWriter, r *http.Request) error {
	return t.discovery(w, r, issuerV2, "/oauth2/v2.0/", "/discovery/v2.0/keys")
}

// discovery is the OpenID configuration: Microsoft's issuer, our endpoints.
func (t *Tenant) discovery(w http.ResponseWriter, r *http.Request, issuer, oauth, keys string) error {
	id, err := t.tenantOrShared(r)
	if err != nil {
		return err
	}
	at := origin(r) + "/" + r.PathValue("tenant")
	return writeJSON(w, map[string]any{
		"issuer":                                fmt.Sprintf(issuer, id),
		"authorization_endpoint":                at + oauth + "authorize",
		"token_endpoint":                        at + oauth + "token",
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
