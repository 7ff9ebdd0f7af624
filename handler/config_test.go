package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write README's table of settings")

func from(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func good() map[string]string {
	return map[string]string{"TENANT_ID": "8E2F1C3A-0000-4000-8000-00000000000A", "CLIENT_ID": "c", "SQLITE_PATH": "x.db", "AUTH_ENABLED": "false"}
}

func TestReadConfig(t *testing.T) {
	c, err := readConfig(from(good()))
	require.NoError(t, err)
	require.Equal(t, "8e2f1c3a-0000-4000-8000-00000000000a", c.TenantID)
	require.Equal(t, feedsOn, c.Sources)
	require.Equal(t, 5*time.Minute, c.FetchInterval)
	require.Equal(t, 2000, c.ManagementPerMinute)
	require.True(t, c.PeriodicFetch)
	require.Equal(t, "https://graph.microsoft.com", c.GraphBaseURL)

	values := good()
	values["SOURCES"] = " entra.signin, M365.Entra,entra.signin"
	values["GRAPH_BASE_URL"] = "https://Graph.Microsoft.US/"
	values["CORS_ORIGINS"] = "https://a.example, https://b.example"
	values["ENABLE_PERIODIC_FETCH"] = "no"
	c, err = readConfig(from(values))
	require.NoError(t, err)
	require.Equal(t, []audit.Source{audit.EntraSignIn, audit.M365Entra}, c.Sources)
	require.Equal(t, "https://graph.microsoft.us", c.GraphBaseURL)
	require.Equal(t, []string{"https://a.example", "https://b.example"}, c.CORSOrigins)
	require.False(t, c.PeriodicFetch)
}

func TestSignInSettings(t *testing.T) {
	values := good()
	values["AUTH_ENABLED"] = "true"
	_, err := readConfig(from(values))
	require.ErrorContains(t, err, "AUTH_CLIENT_ID: ", "people cannot sign in to what is no app registration")
	for name, value := range map[string]string{
		"AUTH_CLIENT_ID": "8E2F1C3A-0000-4000-8000-00000000000B", "AUTH_ALLOWED_ROLES": " AOC.Analyst, AOC.Admin,", "PRIVACY_SERVICES": "Exchange,Power Platform",
		"METRICS_ALLOWED_IPS": "203.0.113.7,10.1.2.3/8", "CORS_ORIGINS": "*", "TRUSTED_PROXIES": "::1",
	} {
		values[name] = value
	}
	c, err := readConfig(from(values))
	require.NoError(t, err)
	require.Equal(t, "8e2f1c3a-0000-4000-8000-00000000000b", c.Auth.ClientID)
	require.Equal(t, []string{"AOC.Analyst", "AOC.Admin"}, c.Auth.AllowedRoles)
	require.Equal(t, []string{"Exchange", "Power Platform"}, c.Auth.PrivacyServices)
	require.Equal(t, "[203.0.113.7/32 10.0.0.0/8]", fmt.Sprint(c.MetricsAllowed))

	delete(values, "AUTH_ENABLED")
	_, err = readConfig(from(values))
	require.ErrorContains(t, err, "AUTH_ENABLED: it must be said")
	values[smallHostEnv] = "true"
	c, err = readConfig(from(values))
	require.NoError(t, err, "on one's own machine it is off")
	require.False(t, c.Auth.Enabled)
}

func TestWhatWasGivenIsNotTold(t *testing.T) {
	for name, value := range map[string]string{
		"AUTHORITY_HOST": "https://user:hunter2@login.example", "AUTH_CLIENT_ID": "hunter2~secret", "AUTH_ENABLED": "hunter2", "SOURCES": "hunter2", "TRUSTED_PROXIES": "hunter2",
		"CORS_ORIGINS": "hunter2", "REDIS_URL": "hunter2", "MONGO_URI": "hunter2", "RETENTION_DAYS": "hunter2", "AZURE_KEY_VAULT_NAME": "hunter2!",
	} {
		values := good()
		values[name] = value
		_, err := readConfig(from(values))
		require.ErrorContains(t, err, name+": ")
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestEverythingToEveryPageIsRefused(t *testing.T) {
	values := good()
	values["CORS_ORIGINS"] = "*"
	_, err := readConfig(from(values))
	require.ErrorContains(t, err, "CORS_ORIGINS: with AUTH_ENABLED=false")
}

func TestMistakesOfTheSettings(t *testing.T) {
	for name, values := range map[string][]string{
		"TENANT_ID":                      {"contoso.com", "8e2f1c3a"},
		"MONGO_URI":                      {"http://user:hunter2@db"},
		"MONGO_DB":                       {"a b", "a.b", "$x"},
		"ENABLE_PERIODIC_FETCH":          {"maybe"},
		"FETCH_INTERVAL_MINUTES":         {"0", "61", "5m"},
		"SOURCES":                        {"entra", "entra.directory,"},
		"MANAGEMENT_REQUESTS_PER_MINUTE": {"0", "-1", "lots"},
		"PUBLISHER_IDENTIFIER":           {"aoc"},
		"AUTHORITY_HOST":                 {"http://login.example", "https://login.example/tenant"},
		"GRAPH_BASE_URL":                 {"graph.microsoft.com", "https://user@graph.example", "https://graph.example?x=1", "https://"},
		"MANAGEMENT_BASE_URL":            {"ftp://x"},
		"GRAPH_RESOURCE":                 {"x"},
		"MANAGEMENT_RESOURCE":            {"x"},
		"CORS_ORIGINS":                   {"http://a.example", "https://a.example,b", "null"},
		"LOG_LEVEL":                      {"loud"},
		"AUTH_ENABLED":                   {"perhaps"},
		"AUTH_CLIENT_ID":                 {"aoc"},
		"AUTH_SCOPE":                     {"api://aoc/read", "a b"},
		"AUTH_ALLOWED_GROUPS":            {"Admins", "8e2f1c3a-0000-4000-8000-00000000000a,x"},
		"RATE_LIMIT_REQUESTS":            {"0", "-1", "many"},
		"RATE_LIMIT_WINDOW_SECONDS":      {"0", "90000"},
		"METRICS_ALLOWED_IPS":            {"prometheus", "10.0.0.0/99"},
		"TRUSTED_PROXIES":                {"*"},
		"DOCS_ENABLED":                   {"perhaps"},
		"AZURE_KEY_VAULT_NAME":           {"a", "my_vault", "vault.example"},
		"AZURE_KEY_VAULT_URL":            {"http://vault.example", "https://vault.example/x"},
		"AI_FEATURES_ENABLED":            {"perhaps"},
	} {
		for _, value := range values {
			all := good()
			all[name] = value
			_, err := readConfig(from(all))
			require.ErrorContains(t, err, name+": ", value)
			require.NotContains(t, err.Error(), "hunter2", "a connection string holds a password")
		}
	}
	_, err := readConfig(from(nil))
	require.Len(t, mistakeList(err), 4, "tenant, client, sign-in and store")
	require.Equal(t, []string{"x"}, mistakeList(errors.New("x")))
}

// TestReadmeSettings holds README's table and the settings equal.
func TestReadmeSettings(t *testing.T) {
	var table strings.Builder
	table.WriteString("| setting | default | what |\n|---|---|---|\n")
	for _, s := range settings {
		fallback := ""
		if s.fallback != "" {
			fallback = "`" + s.fallback + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", s.name, fallback, s.about)
	}
	const path, begin, end = "../README.md", "-update` -->\n", "<!-- /settings -->"
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	_, tail, ok := strings.Cut(rest, end)
	require.True(t, ok)
	want := head + begin + table.String() + end + tail
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(text), "write it with: go test ./handler -run TestReadme -update")
}
