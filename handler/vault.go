package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// The secrets that a Key Vault may hold.
const (
	clientSecretName  = "aoc-client-secret"
	llmKeyName        = "aoc-llm-api-key"
	mongoURIName      = "aoc-mongo-uri"
	webhookSecretName = "aoc-webhook-client-secret"
)

const (
	secretAge    = 5 * time.Minute  // how old a secret may be before it is looked at again
	secretRest   = 10 * time.Second // between two looks, whoever asks
	vaultTimeout = 15 * time.Second // for one look, tries and sign-in together
	maxVaultBody = 1 << 20          // a secret has at most 25 kB
)

// errNoSecret is a vault that can be read and has no such secret.
var errNoSecret = errors.New("it is not there")

// vaultName is what a vault may be called. [Key Vault: vault name]
var vaultName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]$`)

// vaultDomains are where Microsoft's vaults are, by cloud, the public one
// first, and what tokens for them are asked for. [Key Vault: DNS suffixes for
// base URL]
var vaultDomains = []string{"vault.azure.net", "vault.usgovcloudapi.net", "vault.azure.cn"}

// vault is an Azure Key Vault, which is read and never written.
type vault struct {
	name   string
	client *azsecrets.Client
	log    *slog.Logger
}

// openVault returns a vault by its name, or where address is not "" by that: an
// https origin of another cloud, or of a stand-in. It calls nobody. The
// credential must not hang on a secret that is in the vault.
func openVault(name, address string, credential azcore.TokenCredential, transport http.RoundTripper, log *slog.Logger) (*vault, error) {
	origin, err := vaultOrigin(name, address)
	if err != nil {
		return nil, err
	}
	client, err := azsecrets.NewClient(origin.String(), vaultTokens{credential}, &azsecrets.ClientOptions{
		ClientOptions: azcore.ClientOptions{
			Transport: &http.Client{Transport: vaultTransport{transport}, CheckRedirect: noRedirect},
			Retry:     policy.RetryOptions{MaxRetries: 2, TryTimeout: 6 * time.Second, RetryDelay: 500 * time.Millisecond, MaxRetryDelay: 2 * time.Second},
		},
		// A stand-in is at another address than what its tokens are for.
		DisableChallengeResourceVerification: !microsofts(origin),
	})
	if err != nil {
		return nil, err
	}
	return &vault{name: cmp.Or(name, origin.Host), client: client, log: log}, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func vaultOrigin(name, address string) (*url.URL, error) {
	if name != "" || address == "" {
		if !vaultName.MatchString(name) {
			return nil, fmt.Errorf("AZURE_KEY_VAULT_NAME: %w", expected("3 to 24 letters, digits and hyphens, a letter first", name))
		}
	}
	if address == "" {
		return &url.URL{Scheme: "https", Host: strings.ToLower(name) + "." + vaultDomains[0]}, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("AZURE_KEY_VAULT_URL: expected an origin such as https://my-vault.vault.usgovcloudapi.net") // it may hold a password
	}
	return &url.URL{Scheme: "https", Host: strings.ToLower(u.Host)}, nil
}

// microsofts reports whether an address is in one of the vaults' domains.
func microsofts(origin *url.URL) bool {
	return slices.ContainsFunc(vaultDomains, func(domain string) bool { return strings.HasSuffix(origin.Hostname(), "."+domain) })
}

// vaultTokens gives tokens for vaults only, whatever a challenge asks for: at
// the address of a stand-in it may be anybody's.
type vaultTokens struct{ credential azcore.TokenCredential }

// GetToken returns a token.
func (v vaultTokens) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	for _, scope := range options.Scopes {
		domain := strings.TrimSuffix(strings.TrimPrefix(scope, "https://"), "/.default")
		if scope != "https://"+domain+"/.default" || !slices.Contains(vaultDomains, domain) {
			return azcore.AccessToken{}, &signInError{errors.New("it asks for a token that is for no Key Vault, and gets none")}
		}
	}
	token, err := v.credential.GetToken(ctx, options)
	if err != nil {
		return azcore.AccessToken{}, &signInError{err}
	}
	return token, nil
}

// signInError is why there is no token.
type signInError struct{ err error }

func (e *signInError) Error() string { return e.err.Error() }

// vaultTransport bounds what answers.
type vaultTransport struct{ inner http.RoundTripper }

// authorityOf is where a challenge says that tokens are had.
var authorityOf = regexp.MustCompile(`authorization="?([^ ]*)`)

// RoundTrip sends a request.
func (v vaultTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := v.inner.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	for _, authority := range authorityOf.FindAllStringSubmatch(resp.Header.Get("WWW-Authenticate"), -1) {
		if strings.Count(authority[1], "/") < 3 { // azsecrets would panic
			resp.Body.Close()
			return nil, errors.New("it asks for a sign-in in another form than a Key Vault")
		}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxVaultBody), resp.Body}
	return resp, nil
}

// look reads the newest version of a secret.
func (v *vault) look(ctx context.Context, name string) (string, error) {
	within, cancel := context.WithTimeout(ctx, vaultTimeout)
	defer cancel()
	answer, err := v.client.GetSecret(within, name, "", nil)
	if err != nil {
		return "", fmt.Errorf("read the secret %s of the Key Vault %s: %w", name, v.name, v.explain(within, name, err))
	}
	if answer.Value == nil || strings.TrimSpace(*answer.Value) == "" {
		return "", fmt.Errorf("read the secret %s of the Key Vault %s: it is empty", name, v.name)
	}
	return strings.TrimSpace(*answer.Value), nil // files that secrets are set from end in a line break
}

// explain says in words why a secret could not be read. What the SDK says is
// not passed on: it holds whole answers, and so perhaps the secret.
func (v *vault) explain(ctx context.Context, name string, err error) error {
	var answer *azcore.ResponseError
	var signIn *signInError
	var failed *url.Error
	switch {
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w. Make it with: az keyvault secret set --vault-name %s --name %s --file <a file that holds it>", errNoSecret, v.name, name)
	case errors.As(err, &answer):
		return errors.New(v.refusal(name, answer))
	case errors.As(err, &signIn):
		return fmt.Errorf("sign in to it: %w", signIn.err)
	case ctx.Err() != nil:
		return fmt.Errorf("no answer came in time: %w", context.Cause(ctx))
	case errors.As(err, &failed):
		var unknown *net.DNSError
		if errors.As(failed, &unknown) && unknown.IsNotFound {
			return errors.New("there is no vault at its address: compare AZURE_KEY_VAULT_NAME, and for another cloud than the public one set AZURE_KEY_VAULT_URL")
		}
		return fmt.Errorf("it does not answer: %w", failed.Err)
	}
	return errors.New("the answer has another form than a Key Vault's")
}

// refusal says what an answer means and what to do. [Key Vault REST API error
// codes]
func (v *vault) refusal(name string, answer *azcore.ResponseError) string {
	switch code := answer.StatusCode; {
	case code == http.StatusForbidden:
		return v.forbidden(name, innerCode(answer.RawResponse))
	case code == http.StatusUnauthorized:
		return "the vault does not accept the token: the identity and the vault must be of one tenant"
	case code >= 300 && code < 400:
		return "it redirects to another address, which is not followed"
	default:
		return fmt.Sprintf("it answered %d", code)
	}
}

func (v *vault) forbidden(name, why string) string {
	switch why {
	case "SecretDisabled":
		return fmt.Sprintf("the secret is disabled. Enable it with: az keyvault secret set-attributes --vault-name %s --name %s --enabled true", v.name, name)
	case "ForbiddenByFirewall", "ForbiddenByConnection":
		return "the vault's network rules do not let this address in: allow it under Networking, or connect the app by a private endpoint"
	}
	return "the identity may not read it: give it the role Key Vault Secrets User on the vault (under access policies: the secret permission Get)"
}

// innerCode is the finer code of an error's body.
func innerCode(resp *http.Response) string {
	if resp == nil {
		return ""
	}
	raw, err := runtime.Payload(resp)
	var body struct {
		Error struct {
			Inner struct{ Code string } `json:"innererror"` // innerError too: names match with any case
		}
	}
	if err != nil || json.Unmarshal(raw, &body) != nil {
		return ""
	}
	return body.Error.Inner.Code
}

// vaultSecret is one secret of a vault, read at its first use and again while
// it is used, so that one that changed is taken up without a restart. It is
// safe for concurrent use.
type vaultSecret struct {
	vault *vault
	name  string
	turn  chan struct{} // one at a time looks
	mu    sync.Mutex
	value func() string // nil: never seen. Formatting prints a function's address only
	at    time.Time     // of the last look that was answered or failed
	err   error         // of it, where the secret was never seen
	told  bool          // that it cannot be looked at again
}

// secret returns a secret of the vault, without reading it.
func (v *vault) secret(name string) *vaultSecret {
	return &vaultSecret{vault: v, name: name, turn: make(chan struct{}, 1)}
}

// String names the secret and does not tell it.
func (s *vaultSecret) String() string {
	return "the secret " + s.name + " of the Key Vault " + s.vault.name
}

// GoString is String.
func (s *vaultSecret) GoString() string { return s.String() }

// LogValue is String.
func (s *vaultSecret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Value returns the secret as it was seen within the last five minutes. Where
// the vault cannot be read then, that is logged once and the last one stays.
// The error says what to do, where it was never seen.
func (s *vaultSecret) Value(ctx context.Context) (string, error) {
	if value, known, err := s.kept(secretAge); known {
		return value, err
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
		return s.get(ctx, secretAge)
	default:
	}
	if value, known, err := s.kept(time.Duration(1<<63 - 1)); known && err == nil {
		return value, nil // another looks: what is there does meanwhile
	}
	return s.inTurn(ctx, secretAge)
}

// Renew returns the secret as it was seen within the last ten seconds: what
// Value gave was refused somewhere. Errors are Value's.
func (s *vaultSecret) Renew(ctx context.Context) (string, error) { return s.inTurn(ctx, secretRest) }

func (s *vaultSecret) inTurn(ctx context.Context, age time.Duration) (string, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
		return s.get(ctx, age)
	case <-ctx.Done():
		return "", fmt.Errorf("read the secret %s of the Key Vault %s: %w", s.name, s.vault.name, context.Cause(ctx))
	}
}

// kept returns what is known and young enough: a secret, or for a short time
// that there is none.
func (s *vaultSecret) kept(age time.Duration) (value string, known bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch old := time.Since(s.at); {
	case s.value != nil && old < age:
		return s.value(), true, nil
	case s.value == nil && s.err != nil && old < secretRest:
		return "", true, s.err
	}
	return "", false, nil
}

func (s *vaultSecret) get(ctx context.Context, age time.Duration) (string, error) {
	if value, known, err := s.kept(age); known { // another looked while this one waited
		return value, err
	}
	value, err := s.vault.look(ctx, s.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		return s.failed(ctx, err)
	}
	if s.value != nil && s.value() != value {
		s.vault.log.InfoContext(ctx, "a secret has changed in the Key Vault", "vault", s.vault.name, "secret", s.name)
	}
	s.value, s.at, s.err, s.told = func() string { return value }, time.Now(), nil, false
	return value, nil
}

// failed is the end of a look that saw nothing. One that its caller broke off
// says nothing of the vault.
func (s *vaultSecret) failed(ctx context.Context, err error) (string, error) {
	if ctx.Err() == nil {
		s.at, s.err = time.Now(), err
	}
	if s.value == nil {
		return "", err
	}
	if ctx.Err() == nil && !s.told {
		s.told = true
		s.vault.log.WarnContext(ctx, "a secret cannot be looked at again: the last one stays in use", "vault", s.vault.name, "secret", s.name, "error", err)
	}
	return s.value(), nil
}
