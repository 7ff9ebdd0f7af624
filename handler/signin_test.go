package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/static/browsertest"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// The people of the demo's sign-in page, by how it tells of them.
const (
	theAdmin      = "Administrator:"
	theAnalyst    = "Analyst with the privacy role"
	theRestricted = "Analyst without the privacy role"
	theOutsider   = "Outsider"
)

var offer = regexp.MustCompile(`(?s)<a class="person" href="([^"]+)".*?</a>`)

// tokenOf signs somebody in to the demo by the wire: authorization code and PKCE.
func (p *program) tokenOf(who string) string {
	p.t.Helper()
	var auth struct {
		Enabled   bool
		TenantID  string `json:"tenant_id"`
		ClientID  string `json:"client_id"`
		Scopes    []string
		Simulated string
	}
	require.Equal(p.t, 200, p.call("GET", "/api/config/auth", &auth))
	require.True(p.t, auth.Enabled)
	verifier := strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	back := p.url + "/"
	at := p.url + auth.Simulated + "/" + auth.TenantID + "/oauth2/v2.0/"
	ask := url.Values{
		"client_id": {auth.ClientID}, "response_type": {"code"}, "redirect_uri": {back}, "response_mode": {"query"}, "state": {"s"}, "nonce": {"n"},
		"scope": {strings.Join(auth.Scopes, " ") + " openid profile offline_access"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(at + "authorize?" + ask.Encode())
	require.NoError(p.t, err)
	page, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	require.Equal(p.t, 200, resp.StatusCode, string(page))
	offers := offer.FindAllStringSubmatch(string(page), -1)
	chosen := slices.IndexFunc(offers, func(o []string) bool { return strings.Contains(o[0], who) })
	require.GreaterOrEqual(p.t, chosen, 0, "%s is not on the page: %s", who, page)
	link, err := resp.Request.URL.Parse(html.UnescapeString(offers[chosen][1]))
	require.NoError(p.t, err)
	resp, err = client.Get(link.String())
	require.NoError(p.t, err)
	_ = resp.Body.Close()
	to, err := url.Parse(resp.Header.Get("Location"))
	require.NoError(p.t, err)
	require.NotEmpty(p.t, to.Query().Get("code"), resp.Header.Get("Location"))
	resp, err = client.PostForm(at+"token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {auth.ClientID}, "code": {to.Query().Get("code")}, "redirect_uri": {back},
		"code_verifier": {verifier}, "scope": {strings.Join(auth.Scopes, " ")},
	})
	require.NoError(p.t, err)
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
		Error string `json:"error_description"`
	}
	require.NoError(p.t, json.NewDecoder(resp.Body).Decode(&answer))
	require.NotEmpty(p.t, answer.Token, answer.Error)
	return answer.Token
}

// count is how many of a query's events somebody is shown, 500 at most.
func (p *program) count(query string) int {
	p.t.Helper()
	var page struct{ Events []audit.Event }
	require.Equal(p.t, 200, p.call("GET", "/api/events?page_size=500&"+query, &page))
	return len(page.Events)
}

// TestWhoSeesWhatInTheDemo is sign-in, roles and privacy with the whole program
// and real tokens of the simulated tenant.
func TestWhoSeesWhatInTheDemo(t *testing.T) {
	t.Parallel() // most of it is waiting for Graph's bound on calls
	p := start(t, []string{"AUTH_ENABLED=true", "RATE_LIMIT_REQUESTS=300"}, "--demo", "--people", "15", "--data", t.TempDir())
	require.Equal(t, 401, p.call("GET", "/api/events", nil))
	require.Equal(t, 200, p.call("GET", "/health", nil))
	p.token = "nonsense"
	require.Equal(t, 401, p.call("GET", "/api/events", nil))
	p.token = p.tokenOf(theOutsider)
	require.Equal(t, 403, p.call("GET", "/api/events", nil))

	p.token = p.tokenOf(theAdmin)
	require.Eventually(t, func() bool { return p.count("service=Exchange") > 5 }, 2*time.Minute, time.Second)
	require.Equal(t, 200, p.call("GET", "/api/preflight", nil))
	p.token = p.tokenOf(theAnalyst)
	require.NotZero(t, p.count("service=Exchange"))
	require.Equal(t, 403, p.call("POST", "/api/fetch-audit-logs?hours=1", nil))
	require.Equal(t, 200, p.call("GET", "/api/quarantine", nil))

	p.token = p.tokenOf(theRestricted)
	require.Zero(t, p.count("service=Exchange"))
	require.Zero(t, p.count("source=m365.exchange"))
	require.Zero(t, p.count("service=AOC"), "it quotes what others looked for")
	require.NotZero(t, p.count("service=Entra"))
	require.Equal(t, 403, p.call("GET", "/api/quarantine", nil))
	var options map[string][]string
	require.Equal(t, 200, p.call("GET", "/api/filter-options", &options))
	require.NotContains(t, options["service"], "Exchange")
	var health struct {
		Sources []struct{ Records *int }
	}
	require.Equal(t, 200, p.call("GET", "/api/source-health", &health))
	for _, s := range health.Sources {
		require.Nil(t, s.Records, "a sum over all services")
	}

	t.Run("what was done is in AOC's own log", func(t *testing.T) {
		p.token = p.tokenOf(theAdmin)
		var page struct{ Events []audit.Event }
		require.Equal(t, 200, p.call("GET", "/api/events?page_size=500&service=AOC", &page))
		seen := map[string]int{}
		for _, e := range page.Events {
			require.Equal(t, audit.AOC, e.Source)
			require.NotEmpty(t, e.Summary)
			seen[e.Operation+" "+string(e.Result)]++
		}
		require.GreaterOrEqual(t, seen["Sign in success"], 4, seen)
		require.NotZero(t, seen["Search events success"], seen)
		require.Equal(t, 1, seen["Start backfill failure"], "the analyst was refused: %v", seen)
		require.NotZero(t, seen["Read quarantine success"], seen)
		require.NotZero(t, seen["Start backfill success"], "the first look: %v", seen)
		var one struct{ Raw struct{ Text, SHA256 string } }
		require.Equal(t, 200, p.call("GET", "/api/events/"+page.Events[0].ID, &one))
		require.NotEmpty(t, one.Raw.SHA256)
	})
	t.Run("no token is in what was logged or answered", func(t *testing.T) {
		require.NotContains(t, fmt.Sprint(options), p.token)
	})
}

// TestSignInOnThePage is a newcomer's way in: the page, the choice of people,
// and back to where one wanted to go, with MSAL in a real browser.
func TestSignInOnThePage(t *testing.T) {
	t.Parallel()
	b := browsertest.Start(t, 1280, 900)
	p := start(t, []string{"AUTH_ENABLED=true"}, "--demo", "--people", "15", "--data", t.TempDir())
	p.token = p.tokenOf(theRestricted)
	require.Eventually(t, func() bool { return p.count("service=Entra") > 0 }, 2*time.Minute, time.Second)
	b.Do(chromedp.Navigate(p.url + "/?service=Entra"))
	b.Until("document.querySelectorAll('a.person').length === 4")
	b.Do(chromedp.Navigate(browsertest.Eval[string](b, "[...document.querySelectorAll('a.person')].find((a) => a.textContent.includes('"+theRestricted+"')).href")))
	b.Until("document.querySelectorAll('#rows tr').length > 0")
	require.Contains(t, browsertest.Eval[string](b, "location.search"), "service=Entra", "back where one wanted to go")
	require.NotContains(t, browsertest.Eval[string](b, "location.href"), "code=")
	b.Until("[...document.querySelectorAll('#filter-service option')].length > 1")
	require.False(t, browsertest.Eval[bool](b, "[...document.querySelectorAll('#filter-service option')].some((o) => o.value === 'Exchange')"))
	require.Empty(t, b.Messages(), "the console")
}

// TestRedisOutOfReach: callers are refused, and collection goes on.
func TestRedisOutOfReach(t *testing.T) {
	t.Parallel()
	p := start(t, []string{"REDIS_URL=redis://127.0.0.1:1/0"}, "--demo", "--people", "15", "--data", t.TempDir())
	var answer struct {
		Error struct{ Code, Message string }
	}
	require.Equal(t, http.StatusTooManyRequests, p.call("GET", "/api/events", &answer))
	require.Equal(t, "rate_limited", answer.Error.Code)
	require.Contains(t, answer.Error.Message, "cannot be looked up")
	require.Equal(t, http.StatusServiceUnavailable, p.call("GET", "/health/ready", nil))
	require.Equal(t, http.StatusOK, p.call("GET", "/health", nil))
	stored := regexp.MustCompile(`(?m)^aoc_feed_records_total\{source="m365\.[a-z]+"\} [1-9]`)
	require.Eventually(t, func() bool {
		resp, err := http.Get(p.url + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return err == nil && stored.Match(body)
	}, 3*time.Minute, time.Second)
}
