package static

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// openPage opens a query of the page and waits for its list.
func openPage(t *testing.T, query string) (*browser, *fakeAPI, string) {
	t.Helper()
	api, url := servePage(t)
	b := startBrowser(t, 1440, 900)
	b.do(chromedp.Navigate(url + "/" + query))
	b.until("document.querySelector('#results').getAttribute('aria-busy') === 'false'")
	return b, api, url
}

func (b *browser) choose(css, value string) {
	b.t.Helper()
	quoted, err := json.Marshal([]string{css, value})
	require.NoError(b.t, err)
	eval[any](b, fmt.Sprintf(`((css, value) => {
		const control = document.querySelector(css)
		control.value = value
		for (const kind of ['input', 'change']) control.dispatchEvent(new Event(kind, { bubbles: true }))
	})(...%s)`, quoted))
}

func (b *browser) query() string { b.t.Helper(); return eval[string](b, "location.search") }

func (b *browser) rows() int {
	b.t.Helper()
	return eval[int](b, "document.querySelectorAll('#rows tr').length")
}

func (b *browser) requireQuiet() { b.t.Helper(); require.Empty(b.t, b.messages(), "the console") }

func (b *browser) look() {
	b.t.Helper()
	eval[any](b, "document.dispatchEvent(new Event('visibilitychange')), true")
}

func TestPageLists(t *testing.T) {
	b, _, _ := openPage(t, "")
	b.shows("#status", "Events 1 to 50, newest first")
	require.Equal(t, 50, b.rows())
	b.shows("#tenant", fakeTenant)
	b.shows("#demo-badge", "Demo")
	b.shows("#auth-note", "Sign-in is off")
	b.shows("#zone", "Europe/Berlin (GMT+")
	b.shows("#health-chip", "1 late, 1 waiting")
	require.Equal(t, "Events · Admin Operations Center", eval[string](b, "document.title"))
	row := eval[string](b, "document.querySelector('#rows tr').innerText")
	for _, want := range []string{"Success", "Entra", "Add member to role", "Marta Kowalczyk", "Global Administrator", "203.0.113.0"} {
		require.Contains(t, row, want)
	}
	require.Contains(t, eval[string](b, "document.querySelector('#rows').innerText"), "Budget 2027 <script>alert(1)</script>.xlsx", "hostile text is text")
	b.requireQuiet()
}

func TestPageFilters(t *testing.T) {
	b, _, _ := openPage(t, "")
	b.until("document.querySelector('#filter-service option[value=Intune]')")
	b.choose("#filter-service", "Intune")
	b.shows("#status", "18 events")
	require.Equal(t, "?service=Intune", b.query())
	require.Equal(t, 18, eval[int](b, "[...document.querySelectorAll('#rows .c-service')].filter((c) => c.textContent === 'Intune').length"))

	b.do(chromedp.SendKeys(chromedp.CSS("#filter-search"), "aik"))
	b.shows("#status", "4 events")
	require.Equal(t, "?service=Intune&search=aik", b.query())
	b.do(chromedp.NavigateBack())
	b.shows("#status", "18 events") // the letters typed are one step of the history
	require.Empty(t, eval[string](b, "document.querySelector('#filter-search').value"))
	b.do(chromedp.NavigateBack())
	b.shows("#status", "Events 1 to 50")
	require.Empty(t, eval[string](b, "document.querySelector('#filter-service').value"))
	b.do(chromedp.NavigateForward(), chromedp.NavigateForward())
	b.shows("#status", "4 events")
	require.Equal(t, "Intune", eval[string](b, "document.querySelector('#filter-service').value"))
	require.Equal(t, "aik", eval[string](b, "document.querySelector('#filter-search').value"))

	b.click("#filter-clear")
	b.shows("#status", "Events 1 to 50")
	require.Empty(t, b.query())
	b.do(chromedp.SendKeys(chromedp.CSS("#filter-actor"), "AIKO.Tanaka@kestrel.example"+kb.Enter))
	b.shows("#status", "26 events")
	b.choose("#filter-result", "failure")
	b.shows("#status", "3 events")
	require.Equal(t, 3, eval[int](b, "document.querySelectorAll('#rows [data-result=failure]').length"))
	b.do(chromedp.Reload())
	b.shows("#status", "3 events")
	require.Equal(t, "failure", eval[string](b, "document.querySelector('#filter-result').value"))
	b.requireQuiet()
}

func TestPageFiltersByTime(t *testing.T) {
	b, api, url := openPage(t, "?service=Intune&service=Teams")
	b.shows("#status", "36 events")
	b.until("document.querySelector('#filter-service').selectedOptions[0].textContent === 'Intune or Teams'")
	b.click("[data-range='1h']")
	b.shows("#status", "No event matches")
	require.Equal(t, "true", eval[string](b, "document.querySelector(`[data-range='1h']`).ariaPressed"))
	b.click("#empty-clear")
	b.shows("#status", "Events 1 to 50")

	// Local time on the page is UTC on the wire.
	at := api.events[9].Event.Time
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	b.click("#filter-more")
	b.choose("#filter-start", at.In(berlin).Format("2006-01-02T15:04:05"))
	b.shows("#status", "10 events")
	require.Contains(t, b.query(), "start="+strings.ReplaceAll(at.Format(time.RFC3339), ":", "%3A"))
	b.do(chromedp.Navigate(url + "/?start=yesterday"))
	b.shows("#status", `The events could not be loaded. start: expected an RFC 3339 time, got "yesterday" (request req-0042)`)
}

func TestPagePages(t *testing.T) {
	b, _, _ := openPage(t, "")
	first := eval[string](b, "document.querySelector('#rows tr').dataset.event")
	require.True(t, eval[bool](b, "document.querySelector('#page-newer').disabled && document.querySelector('#page-newest').disabled"))
	b.click("#page-older")
	b.shows("#status", "Events 51 to 100")
	require.Contains(t, b.query(), "cursor=")
	b.click("#page-older")
	b.shows("#status", "Events 101 to 130")
	require.True(t, eval[bool](b, "document.querySelector('#page-older').disabled"))
	b.do(chromedp.Reload())
	b.shows("#status", "Events 101 to 130")
	b.click("#page-newer")
	b.shows("#status", "Events 51 to 100")
	b.do(chromedp.NavigateBack())
	b.shows("#status", "Events 101 to 130")
	b.click("#page-newest")
	b.shows("#status", "Events 1 to 50")
	require.Equal(t, first, eval[string](b, "document.querySelector('#rows tr').dataset.event"))

	// A quick range moves with the clock; its start must hold still from page to page.
	b.click("[data-range='24h']")
	b.until("location.search === '?range=24h'")
	b.shows("#status", "Events 1 to 50")
	b.click("#page-older")
	b.shows("#status", "Events 51 to 63")
	require.Contains(t, b.query(), "range=24h")
	b.click("#page-newer")
	b.shows("#status", "Events 1 to 50")
	require.Equal(t, "?range=24h", b.query())
	b.requireQuiet()
}

func TestPageOpensAnEvent(t *testing.T) {
	b, api, url := openPage(t, "")
	b.click("#rows [data-event='" + api.events[2].Event.ID + "'] a")
	b.shows("#drawer-summary", api.events[2].Event.Summary)
	require.Equal(t, "?event="+api.events[2].Event.ID, b.query())
	b.shows("#drawer-changes [data-change='AccountEnabled'] .old", "true")
	b.shows("#drawer-changes [data-change='AccountEnabled'] .new", "false")
	b.shows("#drawer-who", "aiko.tanaka@kestrel.example")
	b.shows("#drawer-context", "Malmö")
	b.shows("#drawer-ids", "rec-0002")
	b.shows("#raw", `"n": `+bigNumber+",\n")
	b.shows("#raw", `"empty": [],`)
	b.shows("#raw-sha256", api.events[2].Raw.SHA256)
	b.shows("#raw-match", "matches")
	eval[any](b, "navigator.clipboard.writeText = async (text) => { window.copied = text }, true")
	b.click("#raw-copy")
	b.shows("#drawer-status", "The record is copied as it is stored.")
	require.Equal(t, string(api.events[2].Raw.Bytes), eval[string](b, "window.copied"))
	b.click("#raw-pretty")
	b.until("document.querySelector('#raw').textContent === " + quote(t, string(api.events[2].Raw.Bytes)))

	eval[any](b, "document.activeElement.blur()")
	b.do(chromedp.KeyEvent("j"))
	b.shows("#drawer-summary", api.events[3].Event.Summary)
	b.until("document.querySelector('#drawer-changes .old').hidden")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.until("!document.querySelector('#drawer').open && location.search === ''")
	b.until("document.activeElement.closest('[data-event]').dataset.event === " + quote(t, api.events[3].Event.ID))
	b.do(chromedp.NavigateForward())
	b.shows("#drawer-summary", api.events[3].Event.Summary)
	b.do(chromedp.NavigateBack())
	b.until("!document.querySelector('#drawer').open")

	intune := api.events[5].Event
	b.do(chromedp.Navigate(url + "/?event=" + intune.ID))
	b.shows("#drawer-redactions", intune.Redactions[0])
	b.shows("#drawer-targets", "All devices")
	b.shows("#drawer-result", "Partial")
	b.click("#drawer-what a[href*='service=']")
	b.until("location.search === '?service=Intune' && !document.querySelector('#drawer').open")
	b.shows("#status", "18 events")
	b.requireQuiet()
}

func quote(t *testing.T, s string) string {
	t.Helper()
	quoted, err := json.Marshal(s)
	require.NoError(t, err)
	return string(quoted)
}

func TestPageSaysWhenAnEventIsNotThere(t *testing.T) {
	b, _, _ := openPage(t, "?event=nothing")
	b.shows("#drawer-status", "The event could not be loaded. event nothing: not found (request req-0042)")
	b.click("#drawer-close")
	b.until("location.search === '' && !document.querySelector('#drawer').open")
	b.shows("#status", "Events 1 to 50")
}

func TestPageKeys(t *testing.T) {
	b, api, _ := openPage(t, "")
	focused := func(i int) string {
		return "document.activeElement.closest('[data-event]')?.dataset.event === " + quote(t, api.events[i].Event.ID)
	}
	b.do(chromedp.KeyEvent("j"))
	b.until(focused(0))
	b.do(chromedp.KeyEvent("j"))
	b.until(focused(1))
	b.do(chromedp.KeyEvent("k"))
	b.until(focused(0))
	b.do(chromedp.KeyEvent(kb.Enter))
	b.shows("#drawer-summary", api.events[0].Event.Summary)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.until("!document.querySelector('#drawer').open")
	b.do(chromedp.KeyEvent("/"))
	b.until("document.activeElement.id === 'filter-search'")
	b.do(chromedp.KeyEvent("j?"))
	// The protocol sends the "/" itself too, which a keyboard does not after preventDefault.
	b.until("document.querySelector('#filter-search').value.endsWith('j?') && !document.querySelector('#help').open")
	eval[any](b, "document.activeElement.blur()")
	b.do(chromedp.KeyEvent("?"))
	b.shows("#help", "Help")
	b.shows("#version", "v0.1.0-test")
	b.click("#keys")
	b.click("#help-close")
	b.do(chromedp.KeyEvent("/"))
	b.until("document.activeElement.id !== 'filter-search'")
	b.do(chromedp.Reload())
	b.shows("#status", "event")
	b.do(chromedp.KeyEvent("?"))
	require.False(t, eval[bool](b, "document.querySelector('#help').open"), "keys stay off")
	b.requireQuiet()
}

func TestPageThemes(t *testing.T) {
	b, _, _ := openPage(t, "")
	ground := func() string { return eval[string](b, "getComputedStyle(document.body).backgroundColor") }
	b.choose("#theme", "dark")
	dark := ground()
	b.choose("#theme", "light")
	require.NotEqual(t, dark, ground())
	b.choose("#theme", "dark")
	b.do(chromedp.Reload())
	b.shows("#status", "Events 1 to 50")
	require.Equal(t, dark, ground())
	require.Equal(t, "dark", eval[string](b, "document.querySelector('#theme').value"))
	b.choose("#theme", "auto")
	require.False(t, eval[bool](b, "'theme' in document.documentElement.dataset"))
	b.requireQuiet()
}

func TestPageSaysWhatFailed(t *testing.T) {
	b, api, _ := openPage(t, "")
	api.broken.Store(true)
	b.click("[data-range='7d']")
	b.shows("#status", "The events could not be loaded. the store does not answer: try again in a minute (request req-0042)")
	require.Zero(t, b.rows())
	api.broken.Store(false)
	b.click("#retry")
	b.shows("#status", "Events 1 to 50")
	require.True(t, eval[bool](b, "document.querySelector('#retry').hidden"))
	for _, m := range b.messages() {
		require.Contains(t, m, "(network ", "only the browser's own word of a failed request")
	}
}

func TestPageSaysThatNothingIsThereYet(t *testing.T) {
	api, url := servePage(t)
	api.empty.Store(true)
	b := startBrowser(t, 1440, 900)
	b.do(chromedp.Navigate(url))
	b.shows("#empty-new", "Collection is running")
	b.shows("#status", "No events yet.")
	api.empty.Store(false)
	b.look()
	b.shows("#status", "Events 1 to 50")
	b.requireQuiet()
}

func TestPageTellsOfNewEventsWithoutMovingRows(t *testing.T) {
	b, api, _ := openPage(t, "")
	first := api.events[0].Event.ID
	api.arrived.Store(3)
	b.look()
	b.shows("#fresh", "3 new events")
	require.Equal(t, first, eval[string](b, "document.querySelector('#rows tr').dataset.event"))
	b.click("#fresh")
	b.until("document.querySelector('#fresh').hidden && document.querySelectorAll('#rows tr')[3].dataset.event === " + quote(t, first))
	require.Equal(t, 50, b.rows())
	b.requireQuiet()
}

func TestPageShowsFeedsAndBackfills(t *testing.T) {
	b, api, url := openPage(t, "")
	api.down.Store(true)
	b.click("#view-feeds")
	b.shows("#feeds", "Entra directory audits")
	b.click("#feeds-reload")
	b.shows("#feeds [data-source='m365.exchange']", "Grant the application ActivityFeed.Read and give admin consent.")
	b.shows("#feeds [data-source='m365.exchange'] .f-state", "Failing")
	b.shows("#feeds [data-source='m365.exchange'] .f-windows", "3 waiting, 2 failing, 1 lost")
	b.shows("#feeds [data-source='m365.sharepoint'] .f-lag", "4 h 35 min")
	b.shows("#feeds [data-source='m365.dlp'] .f-last", "never")
	b.shows("#feeds [data-source='entra.signin'] .f-state", "Off")
	b.shows("#health-chip", "1 failing")

	b.choose("#backfill-hours", "48")
	b.click("#backfill-start")
	b.shows("#backfill-status", "Fetching the last 48 hours. 1 job running.")
	b.shows("[data-job='job-1']", "24 of 96 windows done")
	b.shows("[data-job='job-1']", "812 read, 12 new, 800 known")
	b.shows("#backfill-status", "Done.")
	b.shows("[data-job='job-1'][data-running=false]", "96 of 96 windows done")
	require.EqualValues(t, 1, api.polls.Load(), "asked until it was done, and no longer")
	b.click("#view-events")
	b.shows("#status", "Events 1 to 50")
	b.do(chromedp.Navigate(url + "/?view=feeds"))
	b.shows("#feeds", "Intune audits")
	b.requireQuiet()
}

// At 360 px nothing is cut off sideways, in any view.
func TestPageFitsNarrowWindows(t *testing.T) {
	b, api, url := openPage(t, "")
	for _, width := range []int64{360, 800, 1100} {
		b.do(chromedp.EmulateViewport(width, 740))
		for query, ready := range map[string]string{
			"?range=30d": "#rows", "?view=feeds": "#feeds", "?actor=nobody": "#empty-match", "?event=" + api.events[5].Event.ID: "#drawer-raw",
		} {
			b.do(chromedp.Navigate(url + "/" + query))
			b.until("document.querySelector(" + quote(t, ready) + ").checkVisibility()")
			require.LessOrEqual(t, eval[int64](b, "Math.max(document.documentElement.scrollWidth, document.querySelector('.drawer-body').scrollWidth)"), width, query)
		}
	}
	b.requireQuiet()
}

// Everything that can be used has a name for people who do not see it.
func TestPageNamesItsControls(t *testing.T) {
	b, api, url := openPage(t, "")
	b.do(chromedp.Navigate(url + "/?event=" + api.events[5].Event.ID))
	b.shows("#raw", "{")
	nameless := eval[[]string](b, `[...document.querySelectorAll('a, button, input, select, dialog, section, progress')].filter((el) => {
		const by = el.getAttribute('aria-labelledby')
		const named = el.getAttribute('aria-label') || (by && document.getElementById(by)?.textContent.trim()) ||
			[...(el.labels || [])].some((l) => l.textContent.trim()) || (/^(A|BUTTON)$/.test(el.tagName) && el.textContent.trim()) ||
			(el.tagName === 'SECTION' && el.querySelector('h3'))
		return !named && !el.hidden
	}).map((el) => el.outerHTML.slice(0, 120))`)
	require.Empty(t, nameless)
	b.requireQuiet()
}

// The page asks the API that its config.json names.
func TestPageAsksTheAPIOfItsConfig(t *testing.T) {
	api := newFakeAPI(time.Now().UTC().Add(-time.Minute))
	mux := http.NewServeMux()
	mux.Handle("/", Handler())
	mux.Handle("/elsewhere/api/", http.StripPrefix("/elsewhere", api))
	mux.HandleFunc("/config.json", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"api": "/elsewhere/"}`)) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b := startBrowser(t, 1440, 900)
	b.do(chromedp.Navigate(server.URL))
	b.shows("#status", "Events 1 to 50")
	b.requireQuiet()
}
