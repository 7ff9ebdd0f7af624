package outbound

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

// TestPatternsThatAreRefused: a mistake in the list stops the start and is named.
func TestPatternsThatAreRefused(t *testing.T) {
	for want, entries := range map[string][]string{
		"wildcard below a domain of somebody's own": {"*.com", "*.", "*.localhost", "*.co.uk", "*.com.au", "*.ac.at", "*.co.uk.", "*.COM"},
		"wildcard only as the whole first label":    {"*", "**", "*:443", "*example.com", "a.*.example.com", "*.*.example.com", "hooks.*", "*a.example.com", "a*.example.com"},
		"a name and not an IP address":              {"127.0.0.1", "10.0.0.1:8443", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "*.0.0.1", "93.184.216.34"},
		"without a scheme or a path":                {"https://hooks.example.com", "hooks.example.com/x", "user@hooks.example.com", "10.0.0.0/8", "hooks.example.com?x", "hooks.example.com#x", "//hooks.example.com"},
		"at most a port from 1 to 65535":            {"hooks.example.com:", "hooks.example.com:0", "hooks.example.com:65536", "hooks.example.com:0443", "hooks.example.com:*", "hooks.example.com:https", "[::1]", "::1", "[::1]:443", "fe80::1%eth0"},
		"at least two labels":                       {"", "localhost", "com", "."},
		"ASCII letters, digits and hyphens":         {"münchen.example.org", "hooks .example.com", " hooks.example.com", "hooks..example.com", ".example.com", "-a.example.com", "a_b.example.com", "*.-a.com", "hooks.example.com,a.example.com"},
		"expected a host name":                      {strings.Repeat("a.", 200) + "com"},
	} {
		for _, entry := range entries {
			_, err := New(Config{Allow: []string{"hooks.example.com", entry}})
			var invalid *audit.InvalidError
			require.ErrorAs(t, err, &invalid, "%q", entry)
			require.Equal(t, "allow", invalid.Field)
			require.Contains(t, err.Error(), want, "%q", entry)
			require.Contains(t, err.Error(), `got "`+entry[:min(len(entry), 80)], "the pattern is named")
		}
	}
}

func TestEveryBadPatternIsNamed(t *testing.T) {
	_, err := New(Config{Allow: []string{"*", "hooks.example.com", "*.com", "10.0.0.1"}})
	require.EqualError(t, err, strings.Join([]string{
		`allow: expected a wildcard only as the whole first label, as in "*.example.com", got "*"`,
		`allow: expected a wildcard below a domain of somebody's own: this one allows everybody's, got "*.com"`,
		`allow: expected a name and not an IP address, got "10.0.0.1"`,
	}, "\n"))
}

func TestPatternsAllow(t *testing.T) {
	for entry, hosts := range map[string][]string{
		"Hooks.Example.COM.":     {"hooks.example.com:443"},
		"*.example.com":          {"hooks.example.com:443", "a.b.example.com:443"},
		"*.Example.com.:8443":    {"hooks.example.com:8443"},
		"hooks.example.com:443":  {"hooks.example.com:443"},
		"*.logic.azure.com":      {"prod-1.westeurope.logic.azure.com:443"},
		"xn--mnchen-3ya.example": {"xn--mnchen-3ya.example:443"},
	} {
		c, err := New(Config{Allow: []string{entry}})
		require.NoError(t, err, entry)
		for _, host := range []string{
			"hooks.example.com:443", "hooks.example.com:8443", "a.b.example.com:443", "example.com:443", "xexample.com:443",
			"prod-1.westeurope.logic.azure.com:443", "logic.azure.com:443", "xn--mnchen-3ya.example:443",
		} {
			err := c.Check("https://" + host + "/")
			require.Equal(t, slices.Contains(hosts, host), err == nil, "%s and %s", entry, host)
		}
	}
}

func TestBoundsMustBePositive(t *testing.T) {
	for field, cfg := range map[string]Config{"timeout": {Timeout: -time.Second}, "max_body": {MaxBody: -1}} {
		_, err := New(cfg)
		require.ErrorIs(t, err, audit.ErrInvalid)
		require.ErrorContains(t, err, field)
	}
}

// TestWordsOfCheck are for the person who wrote the address.
func TestWordsOfCheck(t *testing.T) {
	c, err := New(Config{Allow: allowed})
	require.NoError(t, err)
	for address, want := range map[string]string{
		"http://hooks.example.com/c4n4ry":      "address: expected an address that begins with https://",
		"https://evil.example/c4n4ry?c4n4ry":   "address: expected a host (and port) on the list of allowed ones, got https://evil.example:443",
		"https://evil.example/c4n4ry@x":        "address: expected a host (and port) on the list of allowed ones",
		"https://127.0.0.1/c4n4ry":             "address: expected a name and not an IP address",
		"https://a:c4n4ry@hooks.example.com/":  "address: expected no user or password before the host",
		"https://hooks.example.com/#c4n4ry":    "address: expected no fragment (#…)",
		"https://hooks.example.com/c4n4ry\r\n": "address: expected printable ASCII without spaces (an international name as xn--…)",
		"https://hooks.example.com/%zz":        "address: expected an address such as https://host.example.com/path",
	} {
		require.EqualError(t, c.Check(address), want)
		_, err := c.Do(t.Context(), Request{Method: "GET", URL: address})
		require.EqualError(t, err, "call an address: refused: "+strings.TrimPrefix(want, "address: "))
	}
}
