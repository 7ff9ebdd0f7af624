package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNationalClouds: the issuers are those that each cloud's discovery tells.
func TestNationalClouds(t *testing.T) {
	for _, cloud := range []struct{ authority, v1, v2 string }{
		{"https://login.microsoftonline.us", "https://sts.windows.net/", "https://login.microsoftonline.us/"},
		{"https://login.partner.microsoftonline.cn", "https://sts.chinacloudapi.cn/", "https://login.partner.microsoftonline.cn/"},
	} {
		a := newAuthority()
		a.origin = cloud.authority
		a.issuers = [2]string{cloud.v1 + "{tenantid}/", cloud.v2 + "{tenantid}/v2.0"}
		a.publish(published{kid: "first", key: &material()[0].PublicKey, issuer: cloud.v2 + "{tenantid}/v2.0"})
		a.keys[v1] = []published{{kid: "first", key: &material()[0].PublicKey}} // v1.0 does not say whose its keys are
		v := verifier(t, a, func(c *Config) { c.Authority = cloud.authority })
		require.NoError(t, authenticate(v, mint(person().with(fields{"iss": cloud.v2 + tenantID + "/v2.0"}))))
		require.NoError(t, authenticate(v, mint(person1().with(fields{"iss": cloud.v1 + tenantID + "/"}))))
		require.ErrorIs(t, authenticate(v, mint(person())), ErrBadToken, "of the public cloud")
		err := authenticate(v, mint(person1().with(fields{"iss": issuer1})))
		require.Equal(t, cloud.v1 == "https://sts.windows.net/", err == nil)
	}
}

func TestDiscoveryThatIsNotTrusted(t *testing.T) {
	for name, change := range map[string]func(*authority){
		"keys elsewhere":           func(a *authority) { a.jwksURI[v2] = "https://evil.example/keys" },
		"keys at a lookalike":      func(a *authority) { a.jwksURI[v2] = origin1 + ".evil.example" + keysPath(v2) },
		"keys behind a user part":  func(a *authority) { a.jwksURI[v2] = "https://login.microsoftonline.com@evil.example/" },
		"a user part of our own":   func(a *authority) { a.jwksURI[v2] = "https://u:pw@login.microsoftonline.com" + keysPath(v2) },
		"keys at another port":     func(a *authority) { a.jwksURI[v2] = origin1 + ":8443" + keysPath(v2) },
		"keys without TLS":         func(a *authority) { a.jwksURI[v2] = "http" + origin1[5:] + keysPath(v2) },
		"keys in a file":           func(a *authority) { a.jwksURI[v2] = "file:///etc/passwd" },
		"keys at a path":           func(a *authority) { a.jwksURI[v2] = keysPath(v2) },
		"no sound address":         func(a *authority) { a.jwksURI[v2] = "https://%zz" },
		"issuer of another tenant": func(a *authority) { a.issuers[v2] = origin1 + "/" + otherID + "/v2.0" },
		"issuer with ours in it":   func(a *authority) { a.issuers[v2] = origin1 + "/" + otherID + "/" + tenantID + "/v2.0" },
		"issuer with ours behind":  func(a *authority) { a.issuers[v2] = origin1 + "/?" + tenantID },
		"issuer with ours and on":  func(a *authority) { a.issuers[v2] = origin1 + "/" + tenantID + "0/v2.0" },
		"issuer common":            func(a *authority) { a.issuers[v2] = origin1 + "/common/v2.0" },
		"issuer without TLS":       func(a *authority) { a.issuers[v2] = "http" + issuer2[5:] },
		"no issuer":                func(a *authority) { a.issuers[v2] = "" },
		"no sound issuer":          func(a *authority) { a.issuers[v2] = "https://%zz" },
		"no issuer's host":         func(a *authority) { a.issuers[v2] = "https:///" + tenantID + "/v2.0" },
		"no keys":                  func(a *authority) { a.publish() },
		"redirect": answers(func(string) *http.Response {
			r := reply(302, "")
			r.Header.Set("Location", "https://evil.example/")
			return r
		}),
		"an error":           answers(func(body string) *http.Response { return reply(500, body) }),
		"another success":    answers(func(body string) *http.Response { return reply(203, body) }),
		"too long by spaces": answers(func(body string) *http.Response { return reply(200, body+strings.Repeat(" ", maxDocument)) }),
		"no JSON":            answers(func(string) *http.Response { return reply(200, "<html>") }),
		"too long":           answers(func(string) *http.Response { return reply(200, `{"a":"`+strings.Repeat("a", maxDocument)+`"}`) }),
		"empty":              answers(func(string) *http.Response { return reply(200, "") }),
	} {
		a := newAuthority()
		change(a)
		var log strings.Builder
		v := verifier(t, a, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		require.ErrorIs(t, authenticate(v, mint(person())), ErrUnavailable, name)
		require.Contains(t, log.String(), "fetch signing keys", name)
		require.NotContains(t, log.String(), "pw@", name)
		for path := range a.calls {
			require.Contains(t, path, tenantID, name)
		}
		require.LessOrEqual(t, a.total(), 2, name)
	}
}

// answers changes what the authority would answer.
func answers(with func(body string) *http.Response) func(*authority) {
	return func(a *authority) {
		a.answer = func(path string) *http.Response {
			w := httptest.NewRecorder()
			a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			return with(w.Body.String())
		}
	}
}

// TestOddKeysCostOnlyThemselves: what cannot sign with RS256 is left out, the
// others serve on.
func TestOddKeysCostOnlyThemselves(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	big1 := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 16384), E: 65537}
	with := func(m map[string]any) published {
		m = maps.Clone(m)
		if m["kid"] == nil {
			m["kid"] = "odd"
		}
		return published{key: &material()[1].PublicKey, extra: m}
	}
	a := newAuthority()
	odd := []published{
		{kid: "small", key: &small.PublicKey},
		{kid: "big", key: big1},
		with(map[string]any{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}), with(map[string]any{"kty": "oct", "k": "AAAA"}),
		with(map[string]any{"use": "enc"}), with(map[string]any{"alg": "RS512"}), with(map[string]any{"e": "AQ"}), with(map[string]any{"n": "!!"}), with(map[string]any{"n": ""}), with(map[string]any{"kid": ""}),
	}
	odd = append(odd, published{kid: "twice", key: &material()[1].PublicKey, issuer: "https://evil.example"}, published{kid: "twice", key: &material()[1].PublicKey})
	a.publish(append(odd, published{kid: "first", key: &material()[0].PublicKey}, published{kid: "first", key: &material()[2].PublicKey})...)
	v := verifier(t, a)
	require.NoError(t, authenticate(v, mint(person())))
	set := v.keys.shelves[v2].set.Load()
	require.Len(t, set.issuers, 2)
	require.Equal(t, classKeyIssuer, classOf(authenticate(v, mintKid("twice", 1, person()))), "no key takes the name of another")
	for _, kid := range []string{"small", "big", "odd"} {
		require.ErrorIs(t, authenticate(v, mintKid(kid, 1, person())), ErrBadToken, kid)
	}
	require.ErrorIs(t, authenticate(v, mintKid("first", 2, person())), ErrBadToken, "the first of two with one kid counts")
}

// TestOverTLS goes the whole way over real sockets, with a server that tries to
// send us elsewhere once.
func TestOverTLS(t *testing.T) {
	a := newAuthority()
	s := httptest.NewTLSServer(a)
	defer s.Close()
	a.origin = s.URL
	v := verifier(t, a, func(c *Config) { c.Authority, c.Transport = s.URL, s.Client().Transport })
	require.NoError(t, authenticate(v, mint(person())))
	require.NoError(t, authenticate(v, mint(person1())))

	away := verifier(t, a, func(c *Config) { c.Authority, c.Transport = "https://127.0.0.1:1", nil })
	require.ErrorIs(t, authenticate(away, mint(person())), ErrUnavailable)

	followed := false
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer elsewhere.Close()
	sends := httptest.NewTLSServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer sends.Close()
	v = verifier(t, a, func(c *Config) { c.Authority, c.Transport = sends.URL, sends.Client().Transport })
	require.ErrorIs(t, authenticate(v, mint(person())), ErrUnavailable)
	require.False(t, followed)
}
