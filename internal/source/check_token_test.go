package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"aoc/internal/audit"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/stretchr/testify/require"
)

// token makes one that nobody signed.
func token(set map[string]any) string {
	all := map[string]any{
		"aud": "https://graph.microsoft.com", "tid": testTenant, "appid": "11111111-1111-1111-1111-111111111111",
		"oid": "22222222-2222-2222-2222-222222222222", "iat": time.Now().Unix() - 300, "exp": time.Now().Unix() + 3599,
		"roles": []string{auditLogRead, directoryRead},
	}
	maps.Copy(all, set)
	body, _ := json.Marshal(all)
	return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString(body) + ".c2lnbmF0dXJlLWNhbmFyeQ"
}

// given is a credential that gives out tokens in turn, the last for ever.
type given struct {
	tokens []string
	err    error
	asked  atomic.Int32
}

func (g *given) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	n := int(g.asked.Add(1))
	if g.err != nil {
		return azcore.AccessToken{}, g.err
	}
	return azcore.AccessToken{Token: g.tokens[min(n, len(g.tokens))-1], ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// checkWith runs the preflight of the directory audits with a credential, over
// an API that answers as told.
func checkWith(t *testing.T, g *given, h http.HandlerFunc) []audit.Check {
	t.Helper()
	c := stub(t, h, func(cfg *Config) { cfg.Credential = g })
	checks := c.Check(t.Context(), audit.EntraDirectory)
	text, err := json.Marshal(checks)
	require.NoError(t, err)
	require.NotContains(t, string(text), "eyJ")
	require.NotContains(t, string(text), "c2lnbmF0dXJlLWNhbmFyeQ")
	return checks
}

func TestWhatATokenSays(t *testing.T) {
	gone := map[string]any{"roles": nil}
	tests := map[string]struct {
		token         string
		state         audit.CheckState
		found, advice string
	}{
		"app":              {token(nil), audit.CheckOK, "the app 11111111-1111-1111-1111-111111111111", ""},
		"version 2":        {token(map[string]any{"appid": nil, "azp": "33333333-3333-3333-3333-333333333333", "aud": apiIDs[Graph]}), audit.CheckOK, "the app 33333333-3333-3333-3333-333333333333", ""},
		"several, slashed": {token(map[string]any{"aud": []string{"x", "https://graph.microsoft.com/"}}), audit.CheckOK, "carries AuditLog.Read.All, Directory.Read.All.", ""},
		"managed identity": {token(map[string]any{"xms_mirid": "/subscriptions/1/x"}), audit.CheckOK, "the managed identity 1111", ""},
		"person":           {token(map[string]any{"roles": nil, "scp": "AuditLog.Read.All User.Read"}), audit.CheckWarning, "a person, through the app", "a person's sign-in ends"},
		"no permission":    {token(gone), audit.CheckWarning, "carries no permission", "not delegated"},
		"other tenant":     {token(map[string]any{"tid": "44444444-4444-4444-4444-444444444444"}), audit.CheckFailed, "of the tenant 44444444-4444-4444-4444-444444444444", "TENANT_ID"},
		"other API":        {token(map[string]any{"aud": "https://management.azure.com"}), audit.CheckFailed, "for https://management.azure.com", "one cloud"},
		"sealed":           {"a.b.c.d.e", audit.CheckOK, "cannot be read", ""},
		"no JSON":          {"eyJ.AAAA.c", audit.CheckOK, "cannot be read", ""},
		"huge":             {strings.Repeat("e", 100_000) + ".e30.e", audit.CheckOK, "cannot be read", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			checks := checkWith(t, &given{tokens: []string{tt.token}}, answer(200, `{"value":[]}`))
			require.Equal(t, tt.state, checks[0].State, checks[0])
			require.Contains(t, checks[0].Found, tt.found)
			require.Contains(t, checks[0].Advice, tt.advice)
		})
	}
}

func TestAManagedIdentityIsGrantedByCommand(t *testing.T) {
	checks := checkWith(t, &given{tokens: []string{token(map[string]any{"roles": nil, "xms_mirid": "/subscriptions/1/x"})}},
		answer(403, `{"error":{"code":"Authentication_MSGraphPermissionMissing","message":"no"}}`))
	got := of(t, checks, "entra.directory")
	require.Equal(t, audit.CheckFailed, got.State)
	require.Contains(t, got.Advice, "servicePrincipals/22222222-2222-2222-2222-222222222222/appRoleAssignments")
	require.Contains(t, got.Advice, roleIDs[auditLogRead])
}

func TestATokenFromBeforeTheConsentIsRenewed(t *testing.T) {
	old := map[string]any{"roles": []string{directoryRead}, "iat": time.Now().Add(-30 * time.Minute).Unix()}
	g := &given{tokens: []string{token(old), token(nil)}}
	checks := checkWith(t, g, answer(200, `{"value":[]}`))
	require.Equal(t, audit.CheckOK, of(t, checks, "entra.directory").State)
	require.EqualValues(t, 2, g.asked.Load())

	for _, more := range []map[string]any{{"xms_mirid": "/x"}, {"roles": nil, "scp": "User.Read"}, {"iat": time.Now().Unix() - 300}} {
		set := maps.Clone(old)
		maps.Copy(set, more)
		g = &given{tokens: []string{token(set), token(nil)}}
		checkWith(t, g, answer(200, `{"value":[]}`))
		require.EqualValues(t, 1, g.asked.Load(), more)
	}
}

func TestAnUnreadableTokenStillExplainsARefusal(t *testing.T) {
	checks := checkWith(t, &given{tokens: []string{"sealed"}}, answer(403, `{"error":{"code":"Forbidden","message":"no"}}`))
	got := of(t, checks, "entra.directory")
	require.Equal(t, audit.CheckFailed, got.State)
	require.Contains(t, got.Found, "AuditLog.Read.All seems to be missing")
	require.Contains(t, got.Advice, "<CLIENT_ID>")
}

func TestSignInErrorsInWords(t *testing.T) {
	tests := map[string]struct {
		err           error
		state         audit.CheckState
		found, advice string
	}{
		"no identity": {&APIError{API: Login, Message: "DefaultAzureCredential: failed to acquire a token. Attempted credentials: ManagedIdentityCredential: dial tcp: i/o timeout"}, audit.CheckFailed, "No identity is available", "az login"},
		"no host":     {&APIError{API: Login, Message: `Get "https://login.x": dial tcp: lookup login.x: no such host`}, audit.CheckFailed, "name cannot be resolved", "DNS"},
		"TLS":         {&APIError{API: Login, Message: "tls: failed to verify certificate: x509: certificate signed by unknown authority"}, audit.CheckFailed, "certificate is not trusted", "SSL_CERT_FILE"},
		"proxy":       {&APIError{API: Login, Message: "proxyconnect tcp: dial tcp: connection refused"}, audit.CheckFailed, "the proxy", "HTTPS_PROXY"},
		"no route":    {&APIError{API: Login, Message: "connect: network is unreachable"}, audit.CheckFailed, "no way into the network", "443"},
		"something":   {&APIError{API: Login, Message: "what is this"}, audit.CheckFailed, "what is this.", "443"},
		"busy":        {&APIError{API: Login, Status: 503, Message: "busy"}, audit.CheckWarning, "refuses the sign-in (503: busy).", "passes"},
		"unknown":     {&APIError{API: Login, Status: 400, Code: "AADSTS1", Message: "no."}, audit.CheckFailed, "(400 AADSTS1: no).", "CLIENT_SECRET"},
		"cut off":     {context.Canceled, audit.CheckSkipped, "broken off", ""},
		"clock":       {&APIError{API: Login, Status: 401, Code: "AADSTS700024"}, audit.CheckFailed, "not valid at this time", "Clock"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := checkWith(t, &given{err: tt.err}, answer(200, `{"value":[]}`))[0]
			require.Equal(t, tt.state, got.State)
			require.Contains(t, got.Found, tt.found)
			require.Contains(t, got.Advice, tt.advice)
		})
	}
}

func TestTheRealCredentialWithoutAnyIdentity(t *testing.T) {
	for _, name := range []string{"AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_TOKEN_CREDENTIALS"} {
		t.Setenv(name, "") // restores it after the test
		os.Unsetenv(name)
	}
	t.Setenv("PATH", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	nobody := roundTrip(func(*http.Request) (*http.Response, error) { return nil, http.ErrHandlerTimeout })
	credential, err := NewCredential(CredentialConfig{TenantID: testTenant, Transport: nobody})
	require.NoError(t, err)
	_, err = credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}})
	require.Error(t, err)
	require.Equal(t, noIdentity, explainLogin(err))
}

func TestNobodyThere(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	tests := map[string]struct {
		err   error
		found string
	}{
		"nothing listens": {dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "the connection is refused"},
		"no such name":    {dial(&net.DNSError{Err: "no such host", Name: "sim.example", IsNotFound: true}), "name cannot be resolved"},
		"black hole":      {dial(os.ErrDeadlineExceeded), "no answer comes"},
		"other authority": {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, "certificate is not trusted"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport := &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return nil, tt.err }}
				credential, err := NewCredential(CredentialConfig{
					TenantID: testTenant, ClientID: "client", ClientSecret: testSecret, AuthorityHost: "https://sim.example", Transport: transport,
				})
				require.NoError(t, err)
				c := open(t, "https://sim.example", transport, func(cfg *Config) { cfg.Credential = credential })
				checks := c.Check(t.Context(), audit.EntraDirectory)
				require.Equal(t, audit.CheckFailed, checks[0].State)
				require.Contains(t, checks[0].Found, "Cannot reach the sign-in service of Microsoft Entra: ")
				require.Contains(t, checks[0].Found, tt.found)
				require.Equal(t, audit.CheckSkipped, of(t, checks, "Clock").State)

				c = open(t, "https://sim.example", transport, func(cfg *Config) { cfg.Credential = &given{tokens: []string{token(nil)}} })
				feed := of(t, c.Check(t.Context(), audit.EntraDirectory), "entra.directory")
				require.Equal(t, audit.CheckFailed, feed.State)
				require.Contains(t, feed.Found, "Cannot reach Microsoft Graph at sim.example: ")
				require.Contains(t, feed.Found, tt.found)
			})
		})
	}
}

// full is a limiter without room.
type full struct{}

func (full) Wait(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (full) Throttled(time.Duration)        {}

func TestAFullLimitIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := stub(t, answer(200, `{"value":[]}`), func(cfg *Config) {
			cfg.Credential, cfg.Limits = &given{tokens: []string{token(nil)}}, Limits{Reports: full{}, Directory: full{}}
		})
		got := of(t, c.Check(t.Context(), audit.EntraDirectory), "entra.directory")
		require.Equal(t, audit.CheckWarning, got.State)
		require.Contains(t, got.Found, "no call was free under the limit")
		require.Equal(t, checkTimeout, time.Since(began))
	})
}

func TestABrokenOffPreflightSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := stub(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() }, func(cfg *Config) {
			cfg.Credential = &given{tokens: []string{token(nil)}}
		})
		checks := c.Check(ctx, audit.EntraDirectory)
		require.Equal(t, brokenOff.found, of(t, checks, "entra.directory").Found)
	})
}

func FuzzReadClaims(f *testing.F) {
	f.Add(`{"exp":1,"aud":["a"],"roles":["r"],"iat":1e300}`)
	f.Add(`{"exp":-1e99,"aud":null,"scp":" "}`)
	f.Add(`[]`)
	svc := &service{name: Graph, scope: "https://graph.microsoft.com/.default"}
	f.Fuzz(func(t *testing.T, body string) {
		c := readClaims("e." + base64.RawURLEncoding.EncodeToString([]byte(body)) + ".s")
		if c == nil {
			return
		}
		require.NotZero(t, c.Expires)
		for _, at := range []float64{c.Expires, c.IssuedAt} {
			require.LessOrEqual(t, seconds(at).Unix(), int64(1<<40))
			require.GreaterOrEqual(t, seconds(at).Unix(), int64(0))
		}
		c.isFor(svc)
		c.listed()
	})
}
