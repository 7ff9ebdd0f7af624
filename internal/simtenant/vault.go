package simtenant

import (
	crand "crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// vaultPath begins all paths of Key Vault that the tenant serves. No tenant is
// called so.
const vaultPath = "/secrets/"

var vaultRoutes = []route{
	{"GET " + vaultPath + "{name}", "secret", apiVault, (*Tenant).getSecret},
	{"GET " + vaultPath + "{name}/{$}", "secret", apiVault, (*Tenant).getSecret}, // as azsecrets asks for the newest
	{"GET " + vaultPath + "{name}/{version}", "secret", apiVault, (*Tenant).getSecret},
	{"/", "other", apiVault, (*Tenant).noVaultPath},
}

// vault is the secrets of the tenant's one key vault.
type vault struct {
	mu      sync.Mutex
	secrets map[string][]secret // by lower-case name, the newest last
	closed  bool
}

type secret struct {
	value, version string
	created        time.Time
}

// SetSecret puts a secret into the vault, or a new version of it, and returns
// the version. Names are letters, digits and hyphens, and no case is told apart.
func (t *Tenant) SetSecret(name, value string) (version string) {
	var id [16]byte
	_, _ = crand.Read(id[:]) // never fails
	binary.BigEndian.PutUint32(id[:], uint32(t.now().Unix()))
	s := secret{value, hex.EncodeToString(id[:]), t.now().UTC()}
	t.vault.mu.Lock()
	defer t.vault.mu.Unlock()
	name = strings.ToLower(name)
	put(&t.vault.secrets, name, append(t.vault.secrets[name], s))
	return s.version
}

// SetVaultAccess says whether the client may read secrets ("Key Vault Secrets
// User"). At first it may.
func (t *Tenant) SetVaultAccess(granted bool) {
	t.vault.mu.Lock()
	defer t.vault.mu.Unlock()
	t.vault.closed = !granted
}

// VaultEnv returns the setting with which a program reads secrets from the
// tenant at an origin. A client of azsecrets must be told not to compare the
// challenge's resource with the vault's address, which is no vault.azure.net.
func (t *Tenant) VaultEnv(origin string) map[string]string {
	return map[string]string{"AZURE_KEY_VAULT_URL": origin}
}

// find returns a version of a secret, the newest for "".
func (v *vault) find(name, version string) (s secret, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := v.secrets[strings.ToLower(name)]
	for _, s = range slices.Backward(list) {
		if version == "" || strings.EqualFold(s.version, version) {
			return s, true
		}
	}
	return secret{}, false
}

func (v *vault) open() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.closed
}

// secretName is what a secret may be called. [about-keys-secrets-certificates]
var secretName = regexp.MustCompile(`^[0-9a-zA-Z-]{1,127}$`)

// getSecret answers with a secret. [rest/api/keyvault/secrets/get-secret]
func (t *Tenant) getSecret(w http.ResponseWriter, r *http.Request) error {
	g, err := t.vaultGrant(r)
	if err != nil {
		return err
	}
	name, version := r.PathValue("name"), r.PathValue("version")
	switch {
	case r.URL.Query().Get("api-version") == "":
		return vaultRefusal(http.StatusBadRequest, "BadParameter", "api-version must be specified")
	case !secretName.MatchString(name):
		return vaultRefusal(http.StatusBadRequest, "BadParameter", "The request URI contains an invalid name: "+name)
	case !t.vault.open():
		return t.vaultForbidden(g, name)
	}
	s, ok := t.vault.find(name, version)
	if !ok {
		return vaultRefusal(http.StatusNotFound, "SecretNotFound", "A secret with (name/id) "+strings.TrimSuffix(name+"/"+version, "/")+" was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182")
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("x-ms-request-id", newRequestID())
	return writeJSON(w, map[string]any{
		"value": s.value, "id": origin(r) + vaultPath + name + "/" + s.version, "tags": map[string]string{},
		"attributes": map[string]any{
			"enabled": true, "created": s.created.Unix(), "updated": s.created.Unix(),
			"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90,
		},
	})
}

// vaultGrant is who asks. Whoever has no token is told where to get one.
// [authentication-requests-and-responses]
func (t *Tenant) vaultGrant(r *http.Request) (grant, error) {
	g, err := t.bearer(r)
	text := ""
	switch {
	case errors.Is(err, errNoToken):
		text = "AKV10000: Request is missing a Bearer or PoP token."
	case errors.Is(err, jwt.ErrTokenExpired):
		text = vaultExpired
	case err != nil:
		text = "[BearerReadAccessTokenFailed] Error validating token: IDX10511: Signature validation failed."
	case !slices.Contains(vaultAudiences, g.audience):
		text = "AKV10022: Invalid audience. Expected https://vault.azure.net, found: " + g.audience + "."
	case g.tenant != t.TenantID():
		text = "AKV10032: Invalid issuer. Expected one of " + t.issuer(1) + "."
	default:
		return g, nil
	}
	return grant{}, t.vaultChallenge(r, text)
}

const vaultExpired = "[TokenExpired] Error validating token: IDX10223: Lifetime validation failed. The token is expired."

// vaultChallenge is 401 with the header that azsecrets learns the tenant and
// the resource from.
func (t *Tenant) vaultChallenge(r *http.Request, text string) *refusal {
	no := vaultRefusal(http.StatusUnauthorized, "Unauthorized", text)
	no.header.Set("WWW-Authenticate", fmt.Sprintf(`Bearer authorization="%s/%s", resource="https://vault.azure.net"`, origin(r), t.TenantID()))
	return no
}

func (t *Tenant) vaultForbidden(g grant, name string) error {
	no := vaultError("Forbidden", "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\nCaller: appid="+g.app+";oid="+t.principalID()+";iss="+t.issuer(1)+"\r\nAction: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\nResource: '/secrets/"+name+"'\r\nAssignment: (not found)\r\nDecisionReason: 'DeniedWithNoValidRBAC' \r\n")
	no["error"].(map[string]any)["innererror"] = map[string]string{"code": "ForbiddenByRbac"}
	return refuseJSON(http.StatusForbidden, no)
}

func vaultError(code, message string) map[string]any {
	return map[string]any{"error": map[string]any{"code": code, "message": message}}
}

func vaultRefusal(status int, code, message string) *refusal {
	no := refuseJSON(status, vaultError(code, message))
	no.header.Set("x-ms-request-id", newRequestID())
	return no
}

// plainVault is the vault's error of a status. [overview-throttling;
// common-error-codes]
func (t *Tenant) plainVault(status int, r *http.Request) *refusal {
	switch status {
	case http.StatusUnauthorized:
		return t.vaultChallenge(r, vaultExpired)
	case http.StatusTooManyRequests:
		no := vaultRefusal(status, "Throttled", "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached")
		no.throttled = true
		return no
	case http.StatusForbidden:
		return vaultRefusal(status, "Forbidden", "The user, group or application does not have secrets get permission on the key vault.")
	case http.StatusServiceUnavailable:
		return vaultRefusal(status, "ServiceUnavailable", "The service is temporarily unavailable.")
	}
	return vaultRefusal(status, "InternalServerError", "An unexpected error occurred.")
}

func (t *Tenant) noVaultPath(http.ResponseWriter, *http.Request) error {
	return vaultRefusal(http.StatusNotFound, "NotFound", "The requested resource was not found.")
}
