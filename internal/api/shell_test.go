package api

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever is served, a foreign page gets nothing changed: with or without the
// headers that browsers send, and whatever the method.
func TestForeignPagesChangeNothing(t *testing.T) {
	browsers := map[string][]string{
		"cross-site":            {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"same-site":             {"Sec-Fetch-Site", "same-site", "Origin", "https://other.contoso.com"},
		"origin alone":          {"Origin", "https://evil.example"},
		"null origin":           {"Origin", "null"},
		"a picture without TLS": {"User-Agent", "Mozilla/5.0", "Accept", "image/avif"},
		"a look without TLS":    {"User-Agent", "Mozilla/5.0"},
	}
	a, _, _, _ := testAPI(t) // sign-in is off: nothing else keeps it out
	a.TrustedOrigins = []string{"*"}
	for _, route := range a.Routes() {
		if !route.Changes {
			continue
		}
		for how, headers := range browsers {
			method := route.Method
			switch blind := how == "a picture without TLS" || how == "a look without TLS"; {
			case blind && method != "GET":
				continue // a form sends its Origin
			case how == "a look without TLS":
				method = "HEAD"
			}
			a, _, p, _ := testAPI(t)
			a.TrustedOrigins = []string{"*"}
			target, body := sample(route)
			status, answer, _ := call(t, a, method, target, body, headers...)
			require.Equal(t, http.StatusForbidden, status, "%s %s by %s: %v", method, route.Path, how, answer)
			require.Empty(t, p.hours)
			require.Empty(t, p.kinds)
		}
	}
}

func TestNamesOfThisMachine(t *testing.T) {
	a, _, _, _ := testAPI(t)
	a.LocalNames = true
	for host, want := range map[string]int{
		"localhost:7071": 200, "127.0.0.1:7071": 200, "[::1]:7071": 200, "192.168.1.4": 200, "aoc.localhost": 200,
		"evil.example": 403, "evil.example:7071": 403, "127.0.0.1.evil.example": 403, "localhost.evil.example:80": 403, "": 403,
	} {
		r := httptest.NewRequest("GET", "/api/events", nil)
		r.Host = host
		w := served(t, a, r)
		require.Equal(t, want, w.Code, host)
	}
}

func TestSharedWithPagesOfTrustedOrigins(t *testing.T) {
	a, _, _, _ := testAPI(t)
	_, _, h := call(t, a, "GET", "/api/events", "", "Origin", "https://page.example")
	require.Equal(t, "https://page.example", h.Get("Access-Control-Allow-Origin"))
	require.Contains(t, h.Values("Vary"), "Origin")
	_, _, h = call(t, a, "GET", "/api/events", "", "Origin", "https://evil.example")
	require.Empty(t, h.Get("Access-Control-Allow-Origin"))
	a.TrustedOrigins = []string{"*"}
	_, _, h = call(t, a, "GET", "/api/events", "", "Origin", "https://evil.example")
	require.Equal(t, "*", h.Get("Access-Control-Allow-Origin"))

	r := httptest.NewRequest("OPTIONS", "/api/fetch-audit-logs", nil)
	r.Header.Set("Origin", "https://page.example")
	a.TrustedOrigins = []string{"https://page.example"}
	w := served(t, a, r)
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Equal(t, "GET, POST", w.Header().Get("Access-Control-Allow-Methods"))
	require.Contains(t, w.Header().Get("Access-Control-Allow-Headers"), "Authorization")
	for _, answer := range []http.Header{h, w.Header()} {
		require.NotContains(t, answer, "Access-Control-Allow-Credentials")
		require.Equal(t, "nosniff", answer.Get("X-Content-Type-Options"))
		require.Contains(t, answer.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		require.Equal(t, "no-store", answer.Get("Cache-Control"))
		require.Equal(t, "no-referrer", answer.Get("Referrer-Policy"))
		require.Empty(t, answer.Get("Strict-Transport-Security"), "not without TLS")
	}
	_, _, h = call(t, a, "GET", "/health", "", "X-Forwarded-Proto", "https")
	require.Equal(t, "max-age=31536000", h.Get("Strict-Transport-Security"))
}

func TestWhoseAddressItIs(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	tests := []struct {
		name    string
		behind  bool
		proxies []netip.Prefix
		peer    string
		hops    []string
		want    string
	}{
		{"the peer", false, nil, "203.0.113.7:4000", nil, "203.0.113.7"},
		{"what a stranger claims", false, nil, "203.0.113.7:4000", []string{"127.0.0.1"}, "203.0.113.7"},
		{"behind a proxy of ours", false, proxies, "10.0.0.3:4000", []string{"127.0.0.1, 198.51.100.9"}, "198.51.100.9"},
		{"behind two", false, proxies, "10.0.0.3:4000", []string{"198.51.100.9", "10.0.0.4"}, "198.51.100.9"},
		{"only proxies", false, proxies, "10.0.0.3:4000", nil, ""},
		{"behind the host", true, nil, "127.0.0.1:4000", []string{"127.0.0.1, 198.51.100.9:5021"}, "198.51.100.9"},
		{"behind the host without a front end", true, nil, "127.0.0.1:4000", nil, ""},
		{"nonsense at the end", true, nil, "127.0.0.1:4000", []string{"198.51.100.9, unknown"}, ""},
		{"v6 with a port", true, nil, "127.0.0.1:4000", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"v4 in v6", true, nil, "127.0.0.1:4000", []string{"::ffff:198.51.100.9"}, "198.51.100.9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = tt.peer, tt.hops
			require.Equal(t, tt.want, (&API{BehindHost: tt.behind, TrustedProxies: tt.proxies}).clientIP(r))
		})
	}
}
