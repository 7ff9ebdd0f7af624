package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"aoc/internal/audit"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// CredentialConfig says who the program is to Microsoft Entra.
type CredentialConfig struct {
	TenantID      string
	ClientID      string            // the app registration; "" is an identity that Azure or a laptop has by itself
	ClientSecret  string            `json:"-"` // of the app registration, where it is known and stays
	Secret        Secret            `json:"-"` // the same where it is kept elsewhere and may change; ClientSecret goes before it
	AuthorityHost string            // an https origin; "" is https://login.microsoftonline.com
	Transport     http.RoundTripper `json:"-"` // nil is NewTransport("")'s
}

// String names the identity and leaves the secret out.
func (cfg CredentialConfig) String() string {
	kind := "no secret"
	if cfg.ClientSecret != "" || cfg.Secret != nil {
		kind = "a secret"
	}
	return fmt.Sprintf("the client %q of the tenant %q with %s", cfg.ClientID, cfg.TenantID, kind)
}

// GoString is String, so that no way of printing shows the secret.
func (cfg CredentialConfig) GoString() string { return cfg.String() }

// LogValue is String.
func (cfg CredentialConfig) LogValue() slog.Value { return slog.StringValue(cfg.String()) }

// NewCredential returns a credential. It calls nobody. The first that fits:
//
//   - Where there is a secret, the app registration ClientID with it. A Secret
//     is asked at every request for a token that no cache answers, and once
//     more when Entra refuses what it gave.
//   - Where AZURE_FEDERATED_TOKEN_FILE names a token of the platform's (workload
//     identity of Kubernetes and the like) and AZURE_CLIENT_ID is not ClientID:
//     ClientID, with that token, which the app registration must trust.
//   - Where AZURE_CLIENT_ID names a managed identity that is not ClientID:
//     ClientID, with the identity's token as its assertion. The app registration
//     trusts the identity by a federated credential and may sign in to other
//     tenants, which an identity cannot.
//   - Else Azure's default chain, which is workload identity (its own tenant is
//     TenantID, or AZURE_TENANT_ID where that is ""), managed identity
//     (AZURE_CLIENT_ID chooses one of several) and on a laptop the Azure CLI's
//     sign-in.
//
// The variables are Azure's and read as azidentity reads them. Errors of its
// tokens are *APIError, or say that the secret cannot be had, and hold no secret.
func NewCredential(cfg CredentialConfig) (azcore.TokenCredential, error) {
	authority, err := parseOrigin("AUTHORITY_HOST", cmp.Or(cfg.AuthorityHost, origins[Login][0]))
	if err != nil {
		return nil, err
	}
	if cfg.Transport == nil {
		if cfg.Transport, err = NewTransport(""); err != nil {
			return nil, err
		}
	}
	options := azcore.ClientOptions{
		Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: authority.String() + "/"},
		// A redirect of the token endpoint would carry the secret along.
		Transport: &http.Client{Transport: cfg.Transport, CheckRedirect: noRedirect},
		Retry:     policy.RetryOptions{MaxRetries: 2, TryTimeout: 20 * time.Second, MaxRetryDelay: 10 * time.Second},
	}
	// Instance discovery asks login.microsoft.com whether the authority is
	// Microsoft's; for one that is not, the answer is no and the call would leave
	// the network that a stand-in lives in.
	standIn := !known(Login, authority)
	var made azcore.TokenCredential
	if cfg.ClientSecret != "" || cfg.Secret != nil {
		made, err = newRotating(cfg, options, standIn)
	} else if made, err = newIdentity(cfg, authority, options, standIn); err == nil {
		made = &credential{inner: made}
	}
	if err != nil {
		return nil, audit.Invalid("credential", clean(err.Error(), cfg.ClientSecret))
	}
	return made, nil
}

// credential tells the failures of another in words, without its secret.
type credential struct {
	inner  azcore.TokenCredential
	secret hidden
}

// GetToken returns a token.
func (c *credential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.inner.GetToken(ctx, options)
	if err == nil {
		return token, nil
	}
	if ctx.Err() != nil {
		return azcore.AccessToken{}, ctx.Err()
	}
	return azcore.AccessToken{}, newLoginError(err, c.secret.text())
}

// noIdentityToken is the code of a refusal that is not Entra's but that of the
// machine's identity endpoint, which gives none. azidentity's texts begin so.
const noIdentityToken = "ManagedIdentityCredential"

// newLoginError reads the token endpoint's answer, which has a shape of its
// own: {"error":"invalid_client","error_description":"AADSTS7000215: …"}.
func newLoginError(err error, secret string) *APIError {
	e := &APIError{API: Login, Op: "get a token", Message: clean(err.Error(), secret)}
	if strings.HasPrefix(e.Message, noIdentityToken) {
		defer func() { e.Code = cmp.Or(e.Code, noIdentityToken) }()
	}
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || failed.RawResponse == nil {
		return e
	}
	e.Status = failed.RawResponse.StatusCode
	body, readErr := runtime.Payload(failed.RawResponse)
	if readErr != nil {
		return e
	}
	e.Code, e.Message = readError(body, failed.RawResponse.Header.Get("Content-Type"), secret)
	if code, rest, ok := strings.Cut(e.Message, ": "); ok && strings.HasPrefix(code, "AADSTS") {
		e.Code, e.Message = code, rest
	}
	return e
}

// tokens keeps one token per scope. The credentials' own caches are not enough:
// that of the Azure CLI has none, and none can be told that a token was refused.
type tokens struct {
	credential azcore.TokenCredential
	turn       chan struct{} // one at a time asks for a token
	kept       map[string]azcore.AccessToken
	refused    map[string]bool
}

const (
	tokenTimeout = time.Minute
	tokenSpare   = 5 * time.Minute // a token this near its end is not begun with
)

func newTokens(credential azcore.TokenCredential) *tokens {
	return &tokens{
		credential: credential,
		turn:       make(chan struct{}, 1),
		kept:       make(map[string]azcore.AccessToken),
		refused:    make(map[string]bool),
	}
}

func (t *tokens) lock(ctx context.Context) error {
	select {
	case t.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *tokens) unlock() { <-t.turn }

// get returns a token for a scope.
func (t *tokens) get(ctx context.Context, scope string) (string, error) {
	if err := t.lock(ctx); err != nil {
		return "", err
	}
	defer t.unlock()
	if token, ok := t.kept[scope]; ok && time.Until(token.ExpiresOn) > tokenSpare {
		return token.Token, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	options := policy.TokenRequestOptions{Scopes: []string{scope}}
	if t.refused[scope] {
		options.Claims = issuedAfter(time.Now())
	}
	token, err := t.credential.GetToken(ctx, options)
	if err != nil {
		return "", err
	}
	t.kept[scope] = token
	delete(t.refused, scope)
	return token.Token, nil
}

// refuse drops a token that an API did not accept, unless another was got since.
func (t *tokens) refuse(ctx context.Context, scope, token string) error {
	if err := t.lock(ctx); err != nil {
		return err
	}
	defer t.unlock()
	if t.kept[scope].Token == token {
		delete(t.kept, scope)
		t.refused[scope] = true
	}
	return nil
}

// issuedAfter is the claims request with which Microsoft's own APIs ask a
// client for a newer token (continuous access evaluation's claims challenge).
// With it the credentials pass their caches by.
func issuedAfter(t time.Time) string {
	return fmt.Sprintf(`{"access_token":{"nbf":{"essential":true,"value":"%d"}}}`, t.Unix())
}
