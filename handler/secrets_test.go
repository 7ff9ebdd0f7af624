package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aoc/internal/simtenant"
	"aoc/internal/source"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/stretchr/testify/require"
)

// TestSettingsInAVault is what the wiring takes out of a vault, over the
// simulated tenant's wire.
func TestSettingsInAVault(t *testing.T) {
	tenant, err := simtenant.New(simtenant.Options{Seed: 3, Epoch: time.Now()})
	require.NoError(t, err)
	server, err := tenant.Serve(t.Context(), "127.0.0.1:0", filepath.Join(t.TempDir(), "ca.pem"))
	require.NoError(t, err)
	values := map[string]string{
		"TENANT_ID": tenant.TenantID(), "CLIENT_ID": tenant.ClientID(), "AUTH_ENABLED": "false", "PUBLIC_URL": "https://aoc.example", "SSL_CERT_FILE": server.CAFile,
		"AZURE_KEY_VAULT_NAME": "aoc-vault", "AZURE_KEY_VAULT_URL": server.URL, "AUTHORITY_HOST": server.URL, "GRAPH_BASE_URL": server.URL, "MANAGEMENT_BASE_URL": server.URL,
	}
	config, err := readConfig(from(values))
	require.NoError(t, err, "the vault stands for what is not set")
	transport, err := source.NewTransport(server.CAFile)
	require.NoError(t, err)
	identity, err := source.NewCredential(source.CredentialConfig{TenantID: tenant.TenantID(), ClientID: tenant.ClientID(), ClientSecret: tenant.ClientSecret(), AuthorityHost: server.URL, Transport: transport})
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	kept, err := secrets{}.from(config, identity, transport, log)
	require.NoError(t, err)

	_, err = kept.mongoURI(t.Context())
	require.ErrorIs(t, err, errNoSecret)
	require.ErrorContains(t, err, "az keyvault secret set")
	tenant.SetSecret(webhookSecretName, "0123456789abcdef-hook")
	hook, err := kept.webhook(t.Context())
	require.NoError(t, err)
	require.Equal(t, "0123456789abcdef-hook", hook)

	check := preflight{vault: kept.vault}.vaultCheck(t.Context())
	require.Contains(t, check.Found, webhookSecretName+" is there")
	require.Contains(t, check.Found, clientSecretName+" is not there")
	tenant.SetVaultAccess(false)
	kept.vault = must(openVault("aoc-vault", server.URL, identity, transport, log))
	check = preflight{vault: kept.vault}.vaultCheck(t.Context())
	require.Contains(t, check.Advice, "Key Vault Secrets User")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// named is a credential that says which one it is.
type named string

func (n named) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(n)}, nil
}

// held is a secret as a vault has it.
type held struct {
	value string
	err   error
}

func (h *held) Value(context.Context) (string, error) { return h.value, h.err }
func (h *held) Renew(context.Context) (string, error) { return h.value, h.err }

func TestNoSecretIsNeededWhereTheVaultHasNone(t *testing.T) {
	secret := &held{err: errNoSecret}
	c := &eitherCredential{secret: named("secret"), bare: named("bare"), kept: secret, log: slog.New(slog.DiscardHandler)}
	for _, tt := range []struct {
		err  error
		want string
	}{{errNoSecret, "bare"}, {nil, "secret"}, {context.DeadlineExceeded, "secret"}} { // whose own error says why it cannot be had
		secret.err = tt.err
		token, err := c.GetToken(t.Context(), policy.TokenRequestOptions{})
		require.NoError(t, err)
		require.Equal(t, tt.want, token.Token)
	}
}

// overheard keeps all that a program writes.
type overheard struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *overheard) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *overheard) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// TestNoSecretIsTold runs the program at its most talkative, with good tokens,
// bad ones and mistakes, and looks for secrets in all that it says: logs,
// answers, metrics and the files that it keeps.
func TestNoSecretIsTold(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	var heard overheard
	p := startHeard(t, &heard, []string{"AUTH_ENABLED=true", "LOG_LEVEL=debug"}, "--demo", "--people", "15", "--data", data)
	p.token = p.tokenOf(theAdmin)
	tokens := []string{p.token, p.tokenOf(theOutsider), "stolen-token-canary"}
	require.Eventually(t, func() bool { return p.count("service=Exchange") > 5 }, 2*time.Minute, time.Second)
	for _, token := range tokens {
		p.token = token
		for _, path := range []string{"/api/events?cursor=x", "/api/events/none", "/api/filter-options", "/api/jobs/none", "/api/events?start=" + token[:15], "/api/preflight"} {
			var answer any
			p.call(http.MethodGet, path, &answer)
		}
	}
	p.stop()
	kept := heard.String()
	for _, pattern := range []string{"demo/*.db*", "demo/*.json", "demo/simulated-address"} {
		files, err := filepath.Glob(filepath.Join(data, pattern))
		require.NoError(t, err)
		for _, file := range files {
			body, err := os.ReadFile(file)
			require.NoError(t, err)
			kept += string(body)
		}
	}
	require.Contains(t, kept, "SQLite format 3")
	require.Contains(t, heard.String(), "handler is ready", "it was talkative")
	for _, secret := range append(tokens, "sim~", "Bearer ey", "CANARY") {
		at := strings.Index(kept, secret)
		require.Negative(t, at, "a secret is told: %.200s", kept[max(0, at-100):])
	}
}
