package static

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// signIn opens a query of the page and signs in as somebody.
func signIn(t *testing.T, who, query string) (*page, *fakeAuthority, *fakeAPI, string) {
	t.Helper()
	people, api, origin := serveGuarded(t)
	b := start(t, 1440, 900)
	b.Do(chromedp.Navigate(origin + "/" + query))
	b.choose(who)
	return b, people, api, origin
}

// choose waits for the authority's page and is somebody on it.
func (b *page) choose(who string) {
	b.t.Helper()
	b.Until("document.title === 'Choose' && document.querySelector('#" + who + "')")
	b.Click("#" + who)
}

func (b *page) lists() {
	b.t.Helper()
	b.Until("document.querySelector('#results').getAttribute('aria-busy') === 'false'")
}

func (b *page) store(name string) string {
	b.t.Helper()
	return eval[string](b, "JSON.stringify(Object.entries("+name+"))")
}

func TestSignInKeepsTheAddressAndTheTokenToItself(t *testing.T) {
	b, people, _, origin := signIn(t, "marta", "?service=Intune&search=aiko")
	b.Shows("#status", "4 events")
	require.Equal(t, origin+"/?service=Intune&search=aiko", eval[string](b, "location.href"), "and nothing of the authority's answer")
	require.Equal(t, "Intune", eval[string](b, "document.querySelector('#filter-service').value"))
	b.Shows("#who", "Marta Kowalczyk")
	require.Equal(t, "marta.kowalczyk@kestrel.example", eval[string](b, "document.querySelector('#who').title"))
	require.True(t, eval[bool](b, "document.querySelector('#auth-note').hidden && document.querySelector('#restricted-note').hidden"))

	b.Click("#rows [data-event] a")
	b.Until("document.querySelector('#raw').textContent")
	b.Do(chromedp.KeyEvent(kb.Escape))
	b.Click("#view-feeds")
	b.Shows("#feeds", "Intune audits")
	b.Click("#backfill-start")
	b.Shows("#backfill-status", "Fetching the last 24 hours.")
	b.Do(chromedp.Reload())
	b.Shows("#feeds", "Intune audits")
	b.Shows("#who", "Marta Kowalczyk")

	people.change(func() { require.Len(t, people.begun, 1, "a reload does not sign in again") })
	asked := people.begun[0]
	require.Equal(t, origin+"/", asked.Get("redirect_uri"), "as it is registered")
	require.NotContains(t, asked.Encode(), "Intune", "the filters are nobody else's business")
	b.requireTokenOnEveryCall(people)
	b.requireNoSecretElsewhere(people)
	b.requireQuiet()
}

func (b *page) requireTokenOnEveryCall(people *fakeAuthority) {
	b.t.Helper()
	methods := map[string]int{}
	for _, call := range people.calls() {
		methods[call.method]++
		if call.uri == "/api/config/auth" {
			require.Empty(b.t, call.authorization)
			continue
		}
		require.Equal(b.t, "Bearer access-secret-3", call.authorization, call.uri)
	}
	require.Greater(b.t, methods["GET"], 8)
	require.Equal(b.t, 1, methods["POST"])
}

// requireNoSecretElsewhere looks wherever a code or a token must not be.
func (b *page) requireNoSecretElsewhere(people *fakeAuthority) {
	b.t.Helper()
	places := map[string]string{
		"localStorage": b.store("localStorage"), "cookies": eval[string](b, "document.cookie"), "page": eval[string](b, "document.documentElement.outerHTML"),
		"address": eval[string](b, "location.href"), "history": eval[string](b, "JSON.stringify(history.state)"),
		"own notes":    eval[string](b, "JSON.stringify(Object.entries(sessionStorage).filter(([name]) => name.startsWith('aoc.')))"),
		"addresses":    eval[string](b, "JSON.stringify(performance.getEntries().map((e) => e.name))"),
		"window names": eval[string](b, "window.name"),
	}
	for _, call := range people.calls() {
		places["addresses of the API"] += call.uri + "\n"
	}
	people.mu.Lock()
	defer people.mu.Unlock()
	require.Greater(b.t, len(people.given), 4)
	for place, text := range places {
		for _, secret := range people.given {
			require.NotContains(b.t, text, secret, place)
		}
	}
	require.Equal(b.t, "[]", places["localStorage"])
}

func TestSignInOffLoadsNoLibrary(t *testing.T) {
	b, _, _ := openPage(t, "")
	require.False(t, eval[bool](b, "'msal' in globalThis"))
	require.Zero(t, eval[int](b, "performance.getEntriesByType('resource').filter((e) => e.name.includes('msal-browser')).length"))
	require.Equal(t, "[]", b.store("sessionStorage"))
	require.True(t, eval[bool](b, "document.querySelector('#signed-in').hidden"))
	b.Shows("#auth-note", "Sign-in is off")
	b.requireQuiet()
}

func TestSignInRenewsARefusedToken(t *testing.T) {
	b, people, _, _ := signIn(t, "marta", "?range=30d")
	b.lists()
	people.revoke()
	b.Click("#view-feeds") // and several calls at once
	b.Click("#feeds-reload")
	b.Click("#view-events")
	b.Choose("#filter-service", "Intune")
	b.Shows("#status", "18 events")
	b.Until("document.querySelector('#source-health').getAttribute('aria-busy') === 'false'")
	require.Empty(t, eval[string](b, "document.querySelector('#feeds-status').dataset.error ?? ''"))
	people.change(func() {
		require.Equal(t, 1, people.renewals, "one renewal for all")
		require.Len(t, people.begun, 1, "and the person was not asked")
	})
	b.requireOnlyRefusals()
}

// requireOnlyRefusals allows nothing in the console but the browser's own word of an answer that was no 2xx.
func (b *page) requireOnlyRefusals() {
	b.t.Helper()
	for _, m := range b.Messages() {
		require.Contains(b.t, m, "(network ")
	}
}

func TestSignInAgainWhereRenewalIsOver(t *testing.T) {
	b, people, api, _ := signIn(t, "marta", "?service=Intune")
	b.lists()
	// The sign-in is an hour old.
	eval[any](b, "sessionStorage.setItem('aoc.signed-in', '1'), true")
	people.change(func() { people.gone = true })
	people.revoke()
	b.Do(chromedp.Navigate(eval[string](b, "location.origin") + "/?service=Intune&event=" + api.events[5].Event.ID))
	b.choose("marta")
	b.Shows("#drawer-summary", api.events[5].Event.Summary)
	require.Equal(t, "?service=Intune&event="+api.events[5].Event.ID, b.query())
	b.Shows("#status", "18 events")
	require.Equal(t, "marta.kowalczyk@kestrel.example", people.begun[1].Get("login_hint"), "who it was is asked for first")
	b.requireOnlyRefusals()
}

func TestSignInDoesNotGoRoundInCircles(t *testing.T) {
	people, _, origin := serveGuarded(t)
	people.change(func() { people.refusing = true })
	b := start(t, 1440, 900)
	b.Do(chromedp.Navigate(origin))
	b.choose("marta")
	b.Shows("#gate-title", "This sign-in is not accepted")
	b.Shows("#gate-reason", "the token is not one of ours")
	require.False(t, eval[bool](b, "Boolean(document.querySelector('#events'))"))
	people.change(func() { people.refusing = false; require.Len(t, people.begun, 1) })
	b.Click("#sign-in")
	b.choose("marta")
	b.lists()
	b.requireOnlyRefusals()
}

func TestSignInTurnsAwayWhoHasNoAccess(t *testing.T) {
	b, people, _, _ := signIn(t, "olga", "?event=whatever&range=7d")
	b.Shows("#gate-title", "No access")
	b.Shows("#gate-text", "You are signed in as olga@kestrel.example, but have no access to AOC: ask for a role.")
	b.Shows("#gate-reason", "none of your roles is let in")
	require.Contains(t, eval[string](b, "document.title"), "No access")
	require.Zero(t, eval[int](b, "document.querySelectorAll('#events, #drawer, header').length"))
	require.Equal(t, "sign-in-other", eval[string](b, "document.activeElement.id"), "the keyboard is where it goes on")
	b.Do(chromedp.KeyEvent(kb.Enter))
	b.choose("jonas")
	b.Shows("#who", "Jonas Lind")
	b.Until("location.search === '?event=whatever&range=7d'")
	require.Equal(t, "select_account", people.begun[1].Get("prompt"))
	b.requireOnlyRefusals()
}

func TestSignOutLeavesNothingBehind(t *testing.T) {
	b, people, _, origin := signIn(t, "marta", "?service=Intune")
	b.lists()
	b.Click("#sign-out")
	b.Shows("#gate-title", "You are signed out")
	require.Equal(t, origin+"/", eval[string](b, "location.href"))
	kept := b.store("sessionStorage") + b.store("localStorage")
	people.change(func() {
		for _, secret := range people.given {
			require.NotContains(t, kept, secret)
		}
	})
	require.NotContains(t, kept, "marta")
	require.NotContains(t, eval[string](b, "document.documentElement.outerHTML"), "kestrel")
	b.Do(chromedp.Reload())
	b.Shows("#gate-title", "You are signed out")
	b.Do(chromedp.NavigateBack())
	b.Until("document.querySelector('#gate-title') && !document.querySelector('#events')")
	people.change(func() { require.Len(t, people.begun, 1, "nobody was sent to sign in again") })
	b.Until("document.activeElement.id === 'sign-in'")
	b.Do(chromedp.KeyEvent(kb.Enter))
	b.choose("jonas")
	b.Shows("#who", "Jonas Lind")
	b.requireQuiet()
}

func TestSignInSaysWhatWentWrong(t *testing.T) {
	people, _, origin := serveGuarded(t)
	people.change(func() {
		people.failing = "AADSTS50105: Your administrator has configured the application to block users <b>unless</b> they are assigned. Trace ID: 4711"
	})
	b := start(t, 1440, 900)
	b.Do(chromedp.Navigate(origin + "/?service=Intune"))
	b.Shows("#gate-title", "The sign-in did not work")
	b.Shows("#gate-reason", "AADSTS50105: Your administrator has configured the application to block users <b>unless</b> they are assigned.")
	require.NotContains(t, eval[string](b, "document.querySelector('#gate-reason').textContent"), "4711")
	require.Equal(t, origin+"/?service=Intune", eval[string](b, "location.href"))
	b.Click("#sign-in")
	b.Until("document.title === 'Choose'")
	b.Do(chromedp.NavigateBack())
	b.Shows("#gate-title", "The sign-in was not finished")
	b.Click("#sign-in")
	b.choose("marta")
	b.Shows("#status", "18 events")
	b.requireQuiet()
}

// An answer that nobody asked for is not taken: a foreign link must not sign
// somebody in, nor have the page say what it likes.
func TestSignInTakesNoForeignAnswer(t *testing.T) {
	people, _, origin := serveGuarded(t)
	b := start(t, 1440, 900)
	forged := url.Values{"code": {"stolen"}, "state": {"eyJpZCI6IngiLCJtZXRhIjp7ImludGVyYWN0aW9uVHlwZSI6InJlZGlyZWN0In19"}, "error_description": {"Call 555-0100"}}
	b.Do(chromedp.Navigate(origin + "/#" + forged.Encode()))
	b.Until("document.title === 'Choose'")
	// The same while a sign-in is under way.
	b.Do(chromedp.Navigate(origin + "/#" + forged.Encode()))
	b.Shows("#gate-title", "The sign-in did not work")
	require.NotContains(t, eval[string](b, "document.body.innerText"), "555-0100")
	require.Equal(t, origin+"/", eval[string](b, "location.href"))
	people.change(func() { require.Empty(t, people.access) })
	b.requireQuiet()
}

func TestSignInNeedsASecureContext(t *testing.T) {
	people, _, origin := serveGuarded(t)
	b := start(t, 1440, 900)
	b.Do(chromedp.Navigate(strings.Replace(origin, "127.0.0.1", "aoc.test", 1) + "/"))
	b.Shows("#gate-title", "Sign-in needs https or http://localhost")
	require.False(t, eval[bool](b, "'msal' in globalThis"))
	people.change(func() { people.enabled = false })
	b.Do(chromedp.Reload())
	b.lists()
	for _, m := range b.Messages() {
		require.Contains(t, m, "Cross-Origin-Opener-Policy", "the browser's own word, and no other")
	}
}

// Everything of the header can be reached with the keyboard alone, in order.
func TestSignInIsReachedByKeyboard(t *testing.T) {
	b, _, _, _ := signIn(t, "jonas", "")
	b.lists()
	var met []string
	for range 9 {
		b.Do(chromedp.KeyEvent(kb.Tab))
		met = append(met, eval[string](b, "document.activeElement.id || document.activeElement.className"))
	}
	require.Equal(t, []string{"skip", "brand", "view-events", "view-feeds", "theme", "sign-out", "help-open", "filter-search", "filter-service"}, met)
	b.Do(chromedp.KeyEvent("?"))
	b.requireQuiet()
}

// At 360 px nothing of the sign-in is cut off sideways.
func TestSignInFitsNarrowWindows(t *testing.T) {
	b, _, _, origin := signIn(t, "jonas", "")
	b.lists()
	for _, width := range []int64{360, 800, 1100} {
		b.Do(chromedp.EmulateViewport(width, 740))
		require.LessOrEqual(t, eval[int64](b, "document.documentElement.scrollWidth"), width)
	}
	b.Do(chromedp.EmulateViewport(360, 740))
	b.Click("#sign-out")
	b.Shows("#gate-title", "You are signed out")
	require.LessOrEqual(t, eval[int64](b, "document.documentElement.scrollWidth"), int64(360))
	require.Equal(t, origin+"/", eval[string](b, "location.href"))
	b.requireQuiet()
}

// allowed lets the page's origin ask what stands at another, as the API and Entra do.
func allowed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Where the tenant is real, the page goes to the authority's own address, and
// the API may be elsewhere: the page's policy names both.
func TestSignInAtTheRealAddresses(t *testing.T) {
	people, api := newFakeAuthority(), newFakeAPI(time.Now().UTC().Truncate(time.Second).Add(-time.Minute))
	people.mount = ""
	elsewhere := httptest.NewServer(allowed(people.guard(api)))
	t.Cleanup(elsewhere.Close)
	mux := http.NewServeMux()
	mux.Handle("/", Handler(authority+"/"+fakeTenant, elsewhere.URL))
	mux.HandleFunc("/config.json", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"api": %q}`, elsewhere.URL) })
	home := httptest.NewServer(mux)
	t.Cleanup(home.Close)

	b := start(t, 1440, 900)
	b.Answer(authority+"/*", allowed(people))
	b.Do(chromedp.Navigate(home.URL + "/?service=Intune"))
	b.Until("location.origin === " + quote(t, authority) + " && document.querySelector('#marta')")
	require.Equal(t, "/"+fakeTenant+"/oauth2/v2.0/authorize", eval[string](b, "location.pathname"))
	b.Click("#marta")
	b.Shows("#status", "18 events")
	b.Shows("#who", "Marta Kowalczyk")
	require.Equal(t, "?service=Intune", b.query())
	people.revoke()
	b.Choose("#filter-service", "")
	b.Shows("#status", "Events 1 to 50")
	people.change(func() { require.Equal(t, 1, people.renewals) })

	api.refusal.Store(&refusal{429, "rate_limited", "too many requests", "31"})
	b.Click("[data-range='7d']")
	b.Shows("#status", "try again in 31 seconds.")
	b.Click("#sign-out")
	b.Shows("#gate-title", "You are signed out")
	require.Equal(t, home.URL+"/", eval[string](b, "location.href"))
	b.requireOnlyRefusals()
}

// A page whose policy does not name the authority cannot be signed in to, and says so.
func TestSignInIsHeldByThePolicy(t *testing.T) {
	people, _, origin := serveGuarded(t)
	people.change(func() { people.mount = "" })
	b := start(t, 1440, 900)
	b.Answer(authority+"/*", allowed(people))
	b.Do(chromedp.Navigate(origin))
	b.choose("marta")
	b.Shows("#gate-title", "The sign-in did not work")
	people.change(func() { require.Empty(t, people.access) })
	require.Contains(t, strings.Join(b.Messages(), "\n"), "Content Security Policy")
}

// A token must not follow where an answer points.
func TestSignInFollowsNoRedirect(t *testing.T) {
	people, api := newFakeAuthority(), newFakeAPI(time.Now().UTC().Add(-time.Minute))
	var followed atomic.Bool
	mux := http.NewServeMux()
	mux.Handle("/", Handler())
	mux.Handle("/api/", people.guard(api))
	mux.Handle("/api/version", http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect))
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	mux.Handle(simulated+"/", http.StripPrefix(simulated, people))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b := start(t, 1440, 900)
	b.Do(chromedp.Navigate(server.URL))
	b.choose("marta")
	b.Shows("#status", "Events 1 to 50")
	b.Until("performance.getEntriesByType('resource').some((e) => e.name.endsWith('/api/version'))")
	require.False(t, followed.Load())
	b.requireOnlyRefusals()
}

// config/auth must not send codes and tokens to anywhere else.
func TestSignInSimulatesOnlyBesideThePage(t *testing.T) {
	for _, mount := range []string{"//evil.test/x", "https://evil.test", "/\\evil.test", "simulated"} {
		people, _, origin := serveGuarded(t)
		people.change(func() { people.mount = mount })
		b := start(t, 1440, 900)
		b.Do(chromedp.Navigate(origin))
		b.Shows("#gate-reason", "The simulated tenant must be a path of this page")
		b.requireQuiet()
	}
}
