package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aoc/internal/simtenant"
	"aoc/internal/source"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/stretchr/testify/require"
)

const (
	vaultAuthority = "https://login.microsoftonline.com/0d4b32a1-6c1f-4b4e-9d5c-5b8f4d1f6a10"
	vaultResource  = "https://vault.azure.net"
)

// vaultWire answers as a Key Vault: the first call of a client is challenged.
type vaultWire struct {
	mu        sync.Mutex
	secrets   map[string]string
	challenge string           // "" is a Key Vault's
	fault     http.HandlerFunc // instead of an answer to a good token
	looks     int              // answers to a good token
	tokens    []string         // what came as Authorization
}

func newVaultWire(secrets map[string]string) *vaultWire { return &vaultWire{secrets: secrets} }

func (v *vaultWire) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	token := r.Header.Get("Authorization")
	if token == "" {
		challenge := v.challenge
		if challenge == "" {
			challenge = fmt.Sprintf(`Bearer authorization="%s", resource="%s"`, vaultAuthority, vaultResource)
		}
		w.Header().Set("WWW-Authenticate", challenge)
		vaultAnswer(401, `{"error":{"code":"Unauthorized","message":"AKV10000: Request is missing a Bearer or PoP token."}}`)(w, r)
		return
	}
	v.looks++
	v.tokens = append(v.tokens, token)
	name, _ := strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/"), "/secrets/")
	secret, there := v.secrets[name]
	switch {
	case v.fault != nil:
		v.fault(w, r)
	case r.Method != http.MethodGet || r.URL.Query().Get("api-version") == "":
		vaultAnswer(400, `{"error":{"code":"BadParameter"}}`)(w, r)
	case !there:
		vaultAnswer(404, `{"error":{"code":"SecretNotFound","message":"A secret with (name/id) `+name+` was not found in this key vault."}}`)(w, r)
	default:
		body, _ := json.Marshal(map[string]any{"value": secret, "id": "https://v.vault.azure.net/secrets/" + name + "/1", "attributes": map[string]any{"enabled": true}})
		vaultAnswer(200, string(body))(w, r)
	}
}

func (v *vaultWire) set(name, value string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.secrets[name] = value
}

func (v *vaultWire) breaks(fault http.HandlerFunc) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fault = fault
}

func vaultAnswer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// RoundTrip makes the wire a transport, for simulated time.
func (v *vaultWire) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return resp, nil
}

// vaultIdentity gives tokens.
type vaultIdentity struct {
	asked atomic.Int32
	err   error
	for_  policy.TokenRequestOptions
}

func (i *vaultIdentity) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	i.asked.Add(1)
	i.for_ = o
	return azcore.AccessToken{Token: "vault-token-canary", ExpiresOn: time.Now().Add(24 * time.Hour)}, i.err
}

// vaultOf opens a vault over a transport and returns what it logs.
func vaultOf(t *testing.T, transport http.RoundTripper, identity azcore.TokenCredential) (*vault, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	v, err := openVault("My-Vault", "", identity, transport, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	require.NoError(t, err)
	return v, log
}

// TestVaultOverTheWire goes over TCP and TLS to a stand-in.
func TestVaultOverTheWire(t *testing.T) {
	wire := newVaultWire(map[string]string{clientSecretName: "client-canary\r\n", llmKeyName: "llm-canary"})
	srv := httptest.NewTLSServer(wire)
	t.Cleanup(srv.Close)
	identity := new(vaultIdentity)
	v, err := openVault("my-vault", srv.URL, identity, srv.Client().Transport, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	client, llm := v.secret(clientSecretName), v.secret(llmKeyName)
	require.Zero(t, wire.looks+int(identity.asked.Load()), "nothing is dialled at the start")
	for range 3 {
		value, err := client.Value(t.Context())
		require.NoError(t, err)
		require.Equal(t, "client-canary", value, "the line break of the file is no part of it")
	}
	value, err := llm.Value(t.Context())
	require.NoError(t, err)
	require.Equal(t, "llm-canary", value)
	require.Equal(t, 2, wire.looks)
	require.EqualValues(t, 1, identity.asked.Load())
	require.Equal(t, []string{vaultResource + "/.default"}, identity.for_.Scopes)
	require.Equal(t, "0d4b32a1-6c1f-4b4e-9d5c-5b8f4d1f6a10", identity.for_.TenantID)
}

// TestASecretThatChangedInTheVaultSignsInWithoutARestart goes the whole way: a
// tenant that refuses the old secret, and its vault, which has the new one.
func TestASecretThatChangedInTheVaultSignsInWithoutARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenant, err := simtenant.New(simtenant.Options{Seed: 7, People: 5})
		require.NoError(t, err)
		const origin = "https://sim.example"
		config := source.CredentialConfig{TenantID: tenant.TenantID(), ClientID: tenant.ClientID(), AuthorityHost: origin, Transport: tenant.Transport()}
		identity := config
		identity.ClientSecret = tenant.ClientSecret() // in place of a managed identity
		reader, err := source.NewCredential(identity)
		require.NoError(t, err)
		log := new(bytes.Buffer)
		v, err := openVault("my-vault", tenant.VaultEnv(origin)["AZURE_KEY_VAULT_URL"], reader, tenant.Transport(), slog.New(slog.NewTextHandler(log, nil)))
		require.NoError(t, err)
		config.Secret = v.secret(clientSecretName)
		credential, err := source.NewCredential(config)
		require.NoError(t, err)
		client, err := source.Open(source.Config{TenantID: tenant.TenantID(), Credential: credential, Transport: tenant.Transport(), GraphBaseURL: origin, ManagementBaseURL: origin})
		require.NoError(t, err)
		require.Zero(t, tenant.Calls("secret").Requests, "nothing is read at the start")
		who := tenant.SignInPeople()[0].ObjectID

		_, err = client.MemberGroups(t.Context(), who)
		require.ErrorContains(t, err, "read the client secret: read the secret aoc-client-secret of the Key Vault my-vault: it is not there.")
		tenant.SetSecret(clientSecretName, "expired-canary")
		time.Sleep(secretRest)
		_, err = client.MemberGroups(t.Context(), who)
		require.ErrorContains(t, err, "AADSTS7000215")
		tenant.SetSecret(clientSecretName, tenant.ClientSecret())
		time.Sleep(secretRest)
		groups, err := client.MemberGroups(t.Context(), who)
		require.NoError(t, err)
		require.NotEmpty(t, groups)

		tenant.SetVaultAccess(false)
		time.Sleep(2 * time.Hour) // the token is over, and the vault is closed
		_, err = client.MemberGroups(t.Context(), who)
		require.NoError(t, err)
		require.Contains(t, log.String(), "Key Vault Secrets User")
		require.NotContains(t, log.String(), "canary")
		require.NotContains(t, log.String(), tenant.ClientSecret())
	})
}

func TestASecretIsLookedAtAgainWhileItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := newVaultWire(map[string]string{mongoURIName: "first-canary"})
		v, log := vaultOf(t, wire, new(vaultIdentity))
		s := v.secret(mongoURIName)
		value := func(want string, looks int) {
			t.Helper()
			got, err := s.Value(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Equal(t, looks, wire.looks)
		}
		value("first-canary", 1)
		wire.set(mongoURIName, "second-canary")
		time.Sleep(secretAge - time.Second)
		value("first-canary", 1)
		time.Sleep(time.Second)
		value("second-canary", 2)
		require.Contains(t, log.String(), "a secret has changed in the Key Vault")

		// A failed look keeps the last one and says so once.
		wire.breaks(vaultAnswer(403, `{"error":{"code":"Forbidden","innererror":{"code":"SecretDisabled"}}}`))
		for i := range 4 {
			time.Sleep(secretAge)
			value("second-canary", 3+i)
		}
		require.Equal(t, 1, strings.Count(log.String(), "level=WARN"))
		require.Contains(t, log.String(), "the secret is disabled. Enable it with")

		// It is seen again, and lost again: that is said again.
		wire.breaks(nil)
		time.Sleep(secretAge)
		value("second-canary", 7)
		wire.breaks(vaultAnswer(404, `{}`))
		time.Sleep(secretAge)
		value("second-canary", 8)
		require.Equal(t, 2, strings.Count(log.String(), "level=WARN"))
		require.NotContains(t, log.String(), "canary")
	})
}

func TestRenewLooksAtOnceButNotOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := newVaultWire(map[string]string{clientSecretName: "old"})
		v, _ := vaultOf(t, wire, new(vaultIdentity))
		s := v.secret(clientSecretName)
		renew := func(want string, looks int) {
			t.Helper()
			got, err := s.Renew(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Equal(t, looks, wire.looks)
		}
		renew("old", 1)
		wire.set(clientSecretName, "new")
		for range 1000 {
			renew("old", 1)
		}
		time.Sleep(secretRest)
		renew("new", 2)
		got, err := s.Value(t.Context())
		require.NoError(t, err)
		require.Equal(t, "new", got)
		wire.breaks(vaultAnswer(404, `{}`))
		time.Sleep(secretRest)
		for range 1000 {
			renew("new", 3)
		}
	})
}

// TestASecretThatIsNotThereIsNotAskedForWithEveryCall: it is looked for again
// soon, since somebody may be at it.
func TestASecretThatIsNotThereIsNotAskedForWithEveryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := newVaultWire(map[string]string{})
		v, _ := vaultOf(t, wire, new(vaultIdentity))
		s := v.secret(webhookSecretName)
		for range 100 {
			_, err := s.Value(t.Context())
			require.EqualError(t, err, "read the secret aoc-webhook-client-secret of the Key Vault My-Vault: it is not there. "+
				"Make it with: az keyvault secret set --vault-name My-Vault --name aoc-webhook-client-secret --file <a file that holds it>")
		}
		require.Equal(t, 1, wire.looks)
		wire.set(webhookSecretName, "here")
		time.Sleep(secretRest)
		value, err := s.Value(t.Context())
		require.NoError(t, err)
		require.Equal(t, "here", value)
	})
}

// TestASlowVaultDelaysOne: others go on with what is known; where nothing is,
// they wait for the one look.
func TestASlowVaultDelaysOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		wire := newVaultWire(map[string]string{clientSecretName: "s"})
		var slow atomic.Bool
		v, _ := vaultOf(t, roundTripper(func(r *http.Request) (*http.Response, error) {
			if slow.Load() {
				select {
				case <-release:
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
			}
			return wire.RoundTrip(r)
		}), new(vaultIdentity))
		s := v.secret(clientSecretName)
		slow.Store(true)
		var readers sync.WaitGroup
		for range 50 {
			readers.Go(func() {
				value, err := s.Value(t.Context())
				require.NoError(t, err)
				require.Equal(t, "s", value)
			})
		}
		synctest.Wait()
		release <- struct{}{} // the challenge
		release <- struct{}{}
		readers.Wait()
		require.Equal(t, 1, wire.looks)

		time.Sleep(secretAge)
		start := time.Now()
		readers.Go(func() {
			value, err := s.Value(t.Context())
			require.NoError(t, err)
			require.Equal(t, "s", value, "the last one")
			require.Equal(t, vaultTimeout, time.Since(start))
		})
		synctest.Wait()
		for range 50 {
			value, err := s.Value(t.Context())
			require.NoError(t, err)
			require.Equal(t, "s", value)
		}
		require.Zero(t, time.Since(start))
		readers.Wait()
	})
}

func TestALookThatIsBrokenOffSaysNothingOfTheVault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := newVaultWire(map[string]string{clientSecretName: "s"})
		v, log := vaultOf(t, wire, new(vaultIdentity))
		s := v.secret(clientSecretName)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.Value(gone)
		require.ErrorIs(t, err, context.Canceled)
		value, err := s.Value(t.Context())
		require.NoError(t, err, "it is not remembered")
		require.Equal(t, "s", value)
		time.Sleep(secretAge)
		value, err = s.Value(gone)
		require.NoError(t, err)
		require.Equal(t, "s", value)
		require.NotContains(t, log.String(), "WARN")
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestVaultErrorsAreInWordsAndHoldNoSecret: every answer holds the secret, as a
// proxy's page or a debugging stand-in's may.
func TestVaultErrorsAreInWordsAndHoldNoSecret(t *testing.T) {
	inner := func(code string) string {
		return `{"error":{"code":"Forbidden","message":"value-canary","innererror":{"code":"` + code + `"}}}`
	}
	tests := map[string]struct {
		fault http.HandlerFunc
		want  string
	}{
		"disabled":       {vaultAnswer(403, inner("SecretDisabled")), "az keyvault secret set-attributes --vault-name My-Vault --name aoc-client-secret --enabled true"},
		"disabled, old":  {vaultAnswer(403, strings.Replace(inner("SecretDisabled"), "innererror", "innerError", 1)), "the secret is disabled"},
		"no role":        {vaultAnswer(403, inner("ForbiddenByRbac")), "Key Vault Secrets User"},
		"no policy":      {vaultAnswer(403, inner("AccessDenied")), "the secret permission Get"},
		"firewall":       {vaultAnswer(403, inner("ForbiddenByFirewall")), "network rules"},
		"403, HTML":      {vaultAnswer(403, "<html>value-canary"), "Key Vault Secrets User"},
		"missing":        {vaultAnswer(404, inner("SecretNotFound")), "it is not there"},
		"another tenant": {vaultAnswer(401, inner("")), "one tenant"},
		"unavailable":    {vaultAnswer(503, inner("")), "it answered 503"},
		"bad request":    {vaultAnswer(400, `{"error":{"code":"value-canary"}}`), "it answered 400"},
		"redirect":       {http.RedirectHandler("https://evil.example/value-canary", 307).ServeHTTP, "it redirects to another address, which is not followed"},
		"HTML":           {vaultAnswer(200, "<html>value-canary"), "another form"},
		"a number":       {vaultAnswer(200, `{"value":12345678901234567890,"id":"value-canary"}`), "another form"},
		"no value":       {vaultAnswer(200, `{"id":"value-canary"}`), "it is empty"},
		"null":           {vaultAnswer(200, `{"value":null}`), "it is empty"},
		"blank":          {vaultAnswer(200, `{"value":" \n"}`), "it is empty"},
		"huge":           {vaultAnswer(200, `{"value":"`+strings.Repeat("value-canary", 100_000)+`"}`), "another form"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := newVaultWire(nil)
				wire.fault = tt.fault
				v, log := vaultOf(t, wire, new(vaultIdentity))
				_, err := v.secret(clientSecretName).Value(t.Context())
				require.ErrorContains(t, err, "read the secret aoc-client-secret of the Key Vault My-Vault: ")
				require.ErrorContains(t, err, tt.want)
				require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", err, err, err, log), "canary")
				require.NotContains(t, err.Error(), "1234567890")
				require.LessOrEqual(t, wire.looks, 4)
			})
		})
	}
}

func TestAVaultThatDoesNotAnswerIsSaid(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"no such vault": {&net.DNSError{Err: "no such host", Name: "my-vault.vault.azure.net", IsNotFound: true}, "there is no vault at its address: compare AZURE_KEY_VAULT_NAME"},
		"refused":       {errors.New("connection refused"), "it does not answer: connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, _ := vaultOf(t, roundTripper(func(*http.Request) (*http.Response, error) { return nil, tt.err }), new(vaultIdentity))
				_, err := v.secret(clientSecretName).Value(t.Context())
				require.ErrorContains(t, err, tt.want)
			})
		})
	}
	t.Run("silent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v, _ := vaultOf(t, roundTripper(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}), new(vaultIdentity))
			start := time.Now()
			_, err := v.secret(clientSecretName).Value(t.Context())
			require.ErrorContains(t, err, "no answer came in time")
			require.Equal(t, vaultTimeout, time.Since(start))
		})
	})
	t.Run("no identity", func(t *testing.T) {
		v, _ := vaultOf(t, newVaultWire(nil), &vaultIdentity{err: errors.New("no identity is here")})
		_, err := v.secret(clientSecretName).Value(t.Context())
		require.ErrorContains(t, err, "sign in to it: no identity is here")
	})
}

// TestAVaultGetsNoOtherToken: what a challenge asks for is not given.
func TestAVaultGetsNoOtherToken(t *testing.T) {
	for _, challenge := range []string{
		`Bearer authorization="` + vaultAuthority + `", resource="https://graph.microsoft.com"`,
		`Bearer authorization="` + vaultAuthority + `", resource="https://management.azure.com/"`,
		`Bearer authorization="` + vaultAuthority + `", resource="https://vault.azure.net.evil.example"`,
		`Bearer authorization="` + vaultAuthority + `", resource="http://vault.azure.net"`,
		`Bearer authorization="` + vaultAuthority + `", resource="api://AzureADTokenExchange"`,
		`Bearer authorization="` + vaultAuthority + `", scope="https://vault.azure.net/user_impersonation"`,
		`Bearer authorization="` + vaultAuthority + `"`,
		`Bearer authorization="", resource=""`,
		`Bearer authorization="x", resource="https://vault.azure.net"`,
		`Bearer authorization="https:", resource="https://vault.azure.net"`,
		`Bearer authorization=https://h resource=https://vault.azure.net`,
		`Bearer`, `Basic realm="x"`, `Bearer error="insufficient_claims", claims="e30="`,
	} {
		synctest.Test(t, func(t *testing.T) {
			wire := newVaultWire(map[string]string{clientSecretName: "s"})
			wire.challenge = challenge
			identity := new(vaultIdentity)
			v, err := openVault("", "https://stand-in.example", identity, wire, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			_, err = v.secret(clientSecretName).Value(t.Context())
			require.Error(t, err, challenge)
			require.Empty(t, wire.tokens, challenge)
			require.Zero(t, identity.asked.Load(), challenge)
		})
	}
}

// TestMicrosoftsVaultsAskForTheirOwn: there the SDK's own check stays on.
func TestMicrosoftsVaultsAskForTheirOwn(t *testing.T) {
	for address, good := range map[string]bool{
		"": true, "https://my-vault.vault.azure.net": true, "https://MY-VAULT.vault.azure.net/": true, "https://stand-in.example": true,
		"https://my-vault.vault.usgovcloudapi.net": false, "https://my-vault.vault.azure.cn": false,
	} {
		wire := newVaultWire(map[string]string{clientSecretName: "s"}) // its tokens are for the public cloud
		v, err := openVault("my-vault", address, new(vaultIdentity), wire, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		_, err = v.secret(clientSecretName).Value(t.Context())
		require.Equal(t, good, err == nil, "%s: %v", address, err)
		require.Equal(t, good, len(wire.tokens) > 0)
	}
}

func TestVaultNamesAndAddresses(t *testing.T) {
	open := func(name, address string) error {
		_, err := openVault(name, address, new(vaultIdentity), http.DefaultTransport, slog.New(slog.DiscardHandler))
		return err
	}
	for _, name := range []string{"abc", "my-vault", "A23456789012345678901234"} {
		require.NoError(t, open(name, ""))
	}
	for _, name := range []string{
		"", "a", "ab-", "1ab", "-ab", "a_b", "a.b", "my vault", "a23456789012345678901234x", "evil.example/", "evil.example#", "a@b", "vault\n", "ünder", "a/../b", "a:443",
	} {
		require.ErrorContains(t, open(name, ""), "AZURE_KEY_VAULT_NAME: expected 3 to 24 letters", name)
	}
	require.NoError(t, open("", "https://127.0.0.1:8443"))
	for _, address := range []string{
		"http://v.vault.azure.net", "v.vault.azure.net", "https://", "https://user:pass-canary@h", "https://h/secrets", "https://h?x=1", "https://h#x", "https://h:port", "ftp://h", "//h",
	} {
		err := open("my-vault", address)
		require.ErrorContains(t, err, "AZURE_KEY_VAULT_URL: expected an origin", address)
		require.NotContains(t, err.Error(), "canary")
	}
}

// TestNoWayOfPrintingShowsASecret: what holds one ends up in logs and failed tests.
func TestNoWayOfPrintingShowsASecret(t *testing.T) {
	wire := newVaultWire(map[string]string{clientSecretName: "print-canary"})
	v, _ := vaultOf(t, wire, new(vaultIdentity))
	s := v.secret(clientSecretName)
	_, err := s.Value(t.Context())
	require.NoError(t, err)
	var out bytes.Buffer
	type holder struct {
		Open   *vaultSecret
		closed *vaultSecret
		any    any
	}
	for _, thing := range []any{s, holder{s, s, s}, &holder{s, s, s}, []any{s}, map[string]any{"s": s}, v} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			fmt.Fprintf(&out, verb+"\n", thing)
		}
		text, err := json.Marshal(thing)
		require.NoError(t, err)
		out.Write(text)
	}
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).InfoContext(t.Context(), "x", "secret", s, "holder", holder{s, s, s}, "vault", v)
	}
	require.NotContains(t, out.String(), "canary")
	require.NotContains(t, out.String(), fmt.Sprintf("%x", "print-canary"))
	require.Contains(t, out.String(), "the secret aoc-client-secret of the Key Vault My-Vault")
}
