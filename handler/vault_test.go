package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
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
	last  policy.TokenRequestOptions
}

func (i *vaultIdentity) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	i.asked.Add(1)
	i.last = o
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
	require.Equal(t, []string{vaultResource + "/.default"}, identity.last.Scopes)
	require.Equal(t, "0d4b32a1-6c1f-4b4e-9d5c-5b8f4d1f6a10", identity.last.TenantID)
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
