package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

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
		"redirect":       {http.RedirectHandler("https://evil.example/value-canary", http.StatusTemporaryRedirect).ServeHTTP, "it redirects to another address, which is not followed"},
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
