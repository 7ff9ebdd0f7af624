package simtenant

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// refused checks an error of the token endpoint.
func refused(t *testing.T, got reply, code string, number int) {
	t.Helper()
	body := got.json(t)
	require.Equal(t, code, body["error"], "%s", got.body)
	require.Equal(t, []any{float64(number)}, body["error_codes"])
	require.Contains(t, body["error_description"], "AADSTS")
	require.NotContains(t, body, "access_token")
	require.Equal(t, map[bool]int{true: 401, false: 400}[code == "invalid_client"], got.status)
}

func TestCodesAreChecked(t *testing.T) {
	everywhere(t, Options{}, func(t *testing.T, v *visitor) {
		code := v.code(0)
		for _, tt := range []struct {
			name, key, value, code string
			number                 int
		}{
			{"no client", "client_id", "", "invalid_request", 900144},
			{"other client", "client_id", "cafe", "unauthorized_client", 700016},
			{"secret", "client_secret", v.tenant.ClientSecret(), "invalid_client", 700025},
			{"assertion", "client_assertion", "x.y.z", "invalid_client", 700025},
			{"no code", "code", "", "invalid_request", 900144},
			{"made-up code", "code", "1.made-up", "invalid_grant", 9002313},
			{"no address", "redirect_uri", "", "invalid_request", 900144},
			{"other address", "redirect_uri", backHere + "x", "invalid_client", 500112},
			{"no proof", "code_verifier", "", "invalid_request", 9002325},
			{"wrong proof", "code_verifier", proof + "x", "invalid_grant", 501481},
			{"short proof", "code_verifier", "short", "invalid_grant", 501481},
			{"the challenge as proof", "code_verifier", v.question().Get("code_challenge"), "invalid_grant", 501481},
			{"other scope", "scope", "openid Mail.Read", "invalid_scope", 70011},
			{"other grant", "grant_type", "password", "unsupported_grant_type", 70003},
		} {
			if tt.key == "grant_type" && !strings.Contains(v.origin, "/simulated-tenant") {
				continue // there it is the client's own, and TestTokenErrors has it
			}
			t.Run(tt.name, func(t *testing.T) {
				refused(t, v.redeem(v.redemption(code, tt.key, tt.value)), tt.code, tt.number)
			})
		}
		require.Equal(t, 200, v.redeem(v.redemption(code)).status, "failures use nothing up")
		refused(t, v.redeem(v.redemption(code)), "invalid_grant", 54005)
		refused(t, v.form("/nobody.example/oauth2/v2.0/token", v.redemption(code)), "invalid_request", 90002)
	})
}

func TestShortProofsAreNone(t *testing.T) {
	v := visit(t, newTenant(t, Options{}))
	sum := sha256.Sum256([]byte("short"))
	code := v.code(0, "code_challenge", base64.RawURLEncoding.EncodeToString(sum[:]))
	refused(t, v.redeem(v.redemption(code, "code_verifier", "short")), "invalid_grant", 501481)
}

func TestCodesRunOut(t *testing.T) {
	at := &clock{noon}
	v := visit(t, newTenant(t, Options{Now: at.now}))
	first, second := v.code(0), v.code(1)
	at.at = noon.Add(codeLife - time.Second)
	require.Equal(t, 200, v.redeem(v.redemption(first)).status)
	at.at = noon.Add(codeLife)
	refused(t, v.redeem(v.redemption(second)), "invalid_grant", 70008)
}

func TestOneOfManyRedeemsACode(t *testing.T) {
	v := visit(t, newTenant(t, Options{}))
	form := v.redemption(v.code(0))
	var good atomic.Int64
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if v.redeem(form).status == http.StatusOK {
				good.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, good.Load())
}

func TestRefreshTokens(t *testing.T) {
	at := &clock{noon}
	v := visit(t, newTenant(t, Options{Now: at.now}))
	renew := func(token any, change ...string) reply {
		form := v.redemption("", "grant_type", "refresh_token", "refresh_token", token.(string), "redirect_uri", "", "code_verifier", "")
		return v.redeem(with(form, change...))
	}
	first := v.tokens(1)
	require.EqualValues(t, 86400, first["refresh_token_expires_in"])
	at.at = noon.Add(2 * time.Hour)
	_, err := v.verified(first["access_token"])
	require.ErrorContains(t, err, "expired")
	second := renew(first["refresh_token"]).json(t)
	require.NotEqual(t, first["refresh_token"], second["refresh_token"])
	require.EqualValues(t, 22*3600, second["refresh_token_expires_in"], "it ends with the first")
	claims := v.claims(second["access_token"])
	require.Equal(t, v.tenant.SignInPeople()[1].ObjectID, claims["oid"])
	identity := v.claims(second["id_token"])
	require.NotContains(t, identity, "nonce")
	require.Equal(t, first["client_info"], second["client_info"])
	require.Equal(t, 200, renew(first["refresh_token"]).status, "another tab still has the first one")
	require.Equal(t, first["scope"], renew(first["refresh_token"], "scope", "").json(t)["scope"], "no scope is the same scope")

	refused(t, renew("1.made-up"), "invalid_grant", 9002313)
	refused(t, renew(""), "invalid_request", 900144)
	refused(t, renew(second["refresh_token"], "scope", "Mail.Read"), "invalid_scope", 70011)
	refused(t, renew(second["refresh_token"], "client_id", "cafe"), "unauthorized_client", 700016)
	at.at = noon.Add(refreshLife)
	refused(t, renew(first["refresh_token"]), "invalid_grant", 700084)
	refused(t, renew(second["refresh_token"]), "invalid_grant", 700084)
}

func TestPagesOfOtherOrigins(t *testing.T) {
	v := visit(t, newTenant(t, Options{}))
	v.tenant.AllowRedirect("https://aoc.example/back")
	path := v.base + "/oauth2/v2.0/token"
	ask := func(method, from, body string) reply {
		r, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", from)
		if method == http.MethodOptions {
			r.Header.Set("Access-Control-Request-Headers", "x-anchormailbox")
		}
		return v.do(r)
	}
	for _, from := range []string{"http://127.0.0.1:7071", "http://localhost:3000", "https://aoc.example"} {
		got := ask(http.MethodPost, from, v.redemption(v.code(0)).Encode())
		require.Equal(t, 200, got.status, "%s", got.body)
		require.Equal(t, from, got.header.Get("Access-Control-Allow-Origin"))
		require.Contains(t, got.header.Values("Vary"), "Origin")
		require.Empty(t, got.header.Get("Access-Control-Allow-Credentials"))
		asked := ask(http.MethodOptions, from, "")
		require.Equal(t, 200, asked.status)
		require.Equal(t, from, asked.header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "x-anchormailbox", asked.header.Get("Access-Control-Allow-Headers"))
		failed := ask(http.MethodPost, from, "grant_type=refresh_token")
		require.Equal(t, from, failed.header.Get("Access-Control-Allow-Origin"), "errors can be read too")
	}
	code := v.code(0)
	for _, from := range []string{"https://evil.example", "null", "https://aoc.example.evil.example", "http://aoc.example", "https://aoc.example:8443"} {
		got := ask(http.MethodPost, from, v.redemption(code).Encode())
		refused(t, got, "invalid_request", 9002326)
		require.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
		require.Empty(t, ask(http.MethodOptions, from, "").header.Get("Access-Control-Allow-Origin"))
	}
}

func TestSignInCanFail(t *testing.T) {
	v := visit(t, newTenant(t, Options{}))
	code := v.code(0)
	v.tenant.Faults().Add(Fault{Kind: FaultStatus, Status: 503, Endpoint: "token", Times: 1})
	v.tenant.Faults().Add(Fault{Kind: FaultStatus, Status: 503, Endpoint: "authorize", Times: 1})
	require.Equal(t, 503, v.redeem(v.redemption(code)).status)
	require.Equal(t, 503, v.fetch(v.authorizeURL()).status)
	require.Equal(t, 200, v.redeem(v.redemption(code)).status)
	require.Equal(t, 2, v.tenant.Calls("token").Requests)
	require.Equal(t, 1, v.tenant.Calls("choose").Requests)
}
