package simtenant

import (
	"encoding/json"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var challengeParts = regexp.MustCompile(`^Bearer authorization="([^"]+)", resource="([^"]+)"$`)

// vaultToken asks for a token in the way that azsecrets learns from a challenge.
func (c *caller) vaultToken(path string) string {
	c.t.Helper()
	got := c.bare(path, "")
	require.Equal(c.t, 401, got.status)
	require.Equal(c.t, "Unauthorized", got.code(c.t))
	parts := challengeParts.FindStringSubmatch(got.header.Get("WWW-Authenticate"))
	require.Len(c.t, parts, 3, got.header.Get("WWW-Authenticate"))
	authority, err := url.Parse(parts[1])
	require.NoError(c.t, err)
	require.Equal(c.t, c.origin+"/"+c.tenant.TenantID(), parts[1])
	return c.tokenAt(authority.Path+"/oauth2/v2.0/token", parts[2])
}

func (c *caller) tokenAt(path, resource string) string {
	c.t.Helper()
	form := c.secretForm("resource", resource, "scope", resource+"/.default")
	got := c.form(path, form)
	require.Equal(c.t, 200, got.status, "%s", got.body)
	return "Bearer " + got.json(c.t)["access_token"].(string)
}

type secretBody struct {
	Value, ID  string
	Attributes struct {
		Enabled          bool
		Created, Updated int64
		RecoveryLevel    string
	}
}

const newest = "?api-version=2026-04-01"

func TestSecrets(t *testing.T) {
	at := &clock{noon}
	c := dial(t, newTenant(t, Options{Now: at.now}))
	first := c.tenant.SetSecret("aoc-client-secret", "one")
	bearer := c.vaultToken("/secrets/aoc-client-secret/" + newest)
	read := func(path string) secretBody {
		got := c.bare("/secrets/"+path+newest, bearer)
		require.Equal(t, 200, got.status, "%s", got.body)
		require.Equal(t, "no-cache", got.header.Get("Cache-Control"))
		var out secretBody
		require.NoError(t, json.Unmarshal(got.body, &out))
		return out
	}
	one := read("aoc-client-secret/")
	require.Equal(t, "one", one.Value)
	require.Equal(t, c.origin+"/secrets/aoc-client-secret/"+first, one.ID)
	require.Regexp(t, `^[0-9a-f]{32}$`, first)
	require.True(t, one.Attributes.Enabled)
	require.Equal(t, noon.Unix(), one.Attributes.Created)
	require.Equal(t, noon.Unix(), one.Attributes.Updated)
	require.NotEmpty(t, one.Attributes.RecoveryLevel)

	at.at = noon.Add(time.Minute)
	second := c.tenant.SetSecret("AOC-Client-Secret", "two")
	require.NotEqual(t, first, second)
	require.Equal(t, "two", read("aoc-client-secret").Value)
	require.Equal(t, noon.Add(time.Minute).Unix(), read("aoc-client-secret/").Attributes.Created)
	require.Equal(t, "one", read("aoc-client-secret/"+first).Value)
	require.Equal(t, "two", read("aoc-client-secret/"+second).Value)
	require.Equal(t, map[string]string{"AZURE_KEY_VAULT_URL": "https://vault.example"}, c.tenant.VaultEnv("https://vault.example"))
	require.NotContains(t, c.tenant.Env("https://x"), "AZURE_KEY_VAULT_URL")
	require.NotContains(t, c.tenant.Env("https://x"), "AUTH_ENABLED")
}

func TestSecretErrors(t *testing.T) {
	at := &clock{noon}
	c := call(t, newTenant(t, Options{Now: at.now}))
	c.tenant.SetSecret("known", "value")
	bearer := c.vaultToken("/secrets/known" + newest)
	require.Equal(t, 200, c.bare("/secrets/known"+newest, c.tokenAt("/"+c.tenant.TenantID()+"/oauth2/token", "https://vault.azure.net")).status, "version 1 endpoint")
	for path, want := range map[string]struct {
		status int
		code   string
	}{
		"/secrets/unknown" + newest:        {404, "SecretNotFound"},
		"/secrets/known/cafe" + newest:     {404, "SecretNotFound"},
		"/secrets/known":                   {400, "BadParameter"},
		"/secrets/not_a_name" + newest:     {400, "BadParameter"},
		"/secrets/known/a/b" + newest:      {404, "NotFound"},
		"/secrets/discovery/keys" + newest: {404, "SecretNotFound"},
	} {
		got := c.bare(path, bearer)
		require.Equal(t, want.status, got.status, path)
		require.Equal(t, want.code, got.code(t), path)
		require.NotContains(t, string(got.body), "value\"")
	}
	stranger := call(t, newTenant(t, Options{Seed: 8, Now: at.now}))
	for _, authorization := range []string{
		"Bearer x", "Basic eDp5", "Bearer " + c.token("https://graph.microsoft.com"),
		stranger.tokenAt("/"+stranger.tenant.TenantID()+"/oauth2/token", "https://vault.azure.net"),
	} {
		got := c.bare("/secrets/known"+newest, authorization)
		require.Equal(t, 401, got.status)
		require.Regexp(t, challengeParts, got.header.Get("WWW-Authenticate"))
	}
	c.tenant.SetVaultAccess(false)
	got := c.bare("/secrets/known"+newest, bearer)
	require.Equal(t, 403, got.status)
	require.Equal(t, "Forbidden", got.code(t))
	require.Contains(t, string(got.body), "ForbiddenByRbac")
	c.tenant.SetVaultAccess(true)
	require.Equal(t, 200, c.bare("/secrets/known"+newest, bearer).status)
	at.at = noon.Add(2 * time.Hour)
	require.Contains(t, c.bare("/secrets/known"+newest, bearer).message(t), "expired")
}

func TestVaultFaults(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	c.tenant.SetSecret("known", "value")
	bearer := c.vaultToken("/secrets/known" + newest)
	for status, code := range map[int]string{429: "Throttled", 403: "Forbidden", 500: "InternalServerError", 503: "ServiceUnavailable", 401: "Unauthorized"} {
		c.tenant.Faults().Add(Fault{Kind: FaultStatus, Status: status, Endpoint: "secret", Times: 1, RetryAfter: RetryAfterSeconds(7)})
		got := c.bare("/secrets/known"+newest, bearer)
		require.Equal(t, status, got.status)
		require.Equal(t, code, got.code(t))
		require.Equal(t, "7", got.header.Get("Retry-After"))
	}
	c.tenant.Faults().Add(Fault{Kind: FaultExpired, Endpoint: "secret", Times: 1})
	require.Regexp(t, challengeParts, c.bare("/secrets/known"+newest, bearer).header.Get("WWW-Authenticate"))
	require.Equal(t, 200, c.bare("/secrets/known"+newest, bearer).status)
	require.Equal(t, 1, c.tenant.Calls("secret").Throttled)
}
