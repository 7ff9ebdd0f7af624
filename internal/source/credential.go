package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	ClientID      string
	ClientSecret  string            // "" means an identity of Azure, or of who is signed in on a laptop
	AuthorityHost string            // an https origin; "" is https://login.microsoftonline.com
	Transport     http.RoundTripper // nil is NewTransport("")'s
}

// NewCredential returns a credential: of the app registration where there is
// a client secret; else Azure's default chain, which is workload identity,
// managed identity (AZURE_CLIENT_ID chooses one of several) and on a laptop the
// Azure CLI's sign-in. It calls nobody. Errors of its tokens are *APIError and
// hold no secret.
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
	inner, err := newIdentity(cfg, options, !known(Login, authority))
	if err != nil {
		return nil, audit.Invalid("credential", clean(err.Error(), cfg.ClientSecret))
	}
	return &credential{inner: inner, secret: cfg.ClientSecret}, nil
}

func newIdentity(cfg CredentialConfig, options azcore.ClientOptions, standIn bool) (azcore.TokenCredential, error) {
	if cfg.ClientSecret == "" {
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: standIn, TenantID: cfg.TenantID,
		})
	}
	if cfg.ClientID == "" {
		return nil, errors.New("CLIENT_SECRET is set and CLIENT_ID is not")
	}
	return azidentity.NewClientSecretCredential(cfg.TenantID, cfg.ClientID, cfg.ClientSecret, &azidentity.ClientSecretCredentialOptions{
		ClientOptions: options, DisableInstanceDiscovery: standIn,
	})
}

// credential tells the failures of another in words, without its secret.
type credential struct {
	inner  azcore.TokenCredential
	secret string
}

func (c *credential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.inner.GetToken(ctx, options)
	if err == nil {
		return token, nil
	}
	if ctx.Err() != nil {
		return azcore.AccessToken{}, ctx.Err()
	}
	return azcore.AccessToken{}, newLoginError(err, c.secret)
}

// newLoginError reads the token endpoint's answer, which has a shape of its
// own: {"error":"invalid_client","error_description":"AADSTS7000215: …"}.
func newLoginError(err error, secret string) *APIError {
	e := &APIError{API: Login, Op: "get a token", Message: clean(err.Error(), secret)}
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
