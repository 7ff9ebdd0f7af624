package static

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"aoc/static/browsertest"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// page is the page in a browser.
type page struct {
	*browsertest.Browser
	t *testing.T
}

func start(t *testing.T, width, height int64) *page {
	t.Helper()
	return &page{browsertest.Start(t, width, height), t}
}

func eval[T any](b *page, expression string) T {
	b.t.Helper()
	return browsertest.Eval[T](b.Browser, expression)
}

// openPage opens a query of the page and waits for its list.
func openPage(t *testing.T, query string) (*page, *fakeAPI, string) {
	t.Helper()
	api, url := servePage(t)
	b := start(t, 1440, 900)
	b.Do(chromedp.Navigate(url + "/" + query))
	b.Until("document.querySelector('#results').getAttribute('aria-busy') === 'false'")
	return b, api, url
}

func (b *page) query() string { b.t.Helper(); return eval[string](b, "location.search") }

func (b *page) rows() int {
	b.t.Helper()
	return eval[int](b, "document.querySelectorAll('#rows tr').length")
}

func (b *page) requireQuiet() { b.t.Helper(); require.Empty(b.t, b.Messages(), "the console") }

func (b *page) look() {
	b.t.Helper()
	eval[any](b, "document.dispatchEvent(new Event('visibilitychange')), true")
}

func TestPageLists(t *testing.T) {
	b, _, _ := openPage(t, "")
	b.Shows("#status", "Events 1 to 50, newest first")
	require.Equal(t, 50, b.rows())
	b.Shows("#tenant", fakeTenant)
	b.Shows("#demo-badge", "Demo")
	b.Shows("#auth-note", "Sign-in is off")
	b.Shows("#zone", "Europe/Berlin (GMT+")
	b.Shows("#health-chip", "1 late, 1 waiting")
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
	b.Until("document.querySelector('#filter-service option[value=Intune]')")
	b.Choose("#filter-service", "Intune")
	b.Shows("#status", "18 events")
	require.Equal(t, "?service=Intune", b.query())
	require.Equal(t, 18, eval[int](b, "[...document.querySelectorAll('#rows .c-service')].filter((c) => c.textContent === 'Intune').length"))

	b.Do(chromedp.SendKeys(chromedp.CSS("#filter-search"), "aik"))
	b.Shows("#status", "4 events")
	require.Equal(t, "?service=Intune&search=aik", b.query())
	b.Do(chromedp.NavigateBack())
	b.Shows("#status", "18 events") // the letters typed are one step of the history
	require.Empty(t, eval[string](b, "document.querySelector('#filter-search').value"))
	b.Do(chromedp.NavigateBack())
	b.Shows("#status", "Events 1 to 50")
	require.Empty(t, eval[string](b, "document.querySelector('#filter-service').value"))
	b.Do(chromedp.NavigateForward(), chromedp.NavigateForward())
	b.Shows("#status", "4 events")
	require.Equal(t, "Intune", eval[string](b, "document.querySelector('#filter-service').value"))
	require.Equal(t, "aik", eval[string](b, "document.querySelector('#filter-search').value"))

	b.Click("#filter-clear")
	b.Shows("#status", "Events 1 to 50")
	require.Empty(t, b.query())
	b.Do(chromedp.SendKeys(chromedp.CSS("#filter-actor"), "AIKO.Tanaka@kestrel.example"+kb.Enter))
	b.Shows("#status", "26 events")
	b.Choose("#filter-result", "failure")
	b.Shows("#status", "3 events")
	require.Equal(t, 3, eval[int](b, "document.querySelectorAll('#rows [data-result=failure]').length"))
	b.Do(chromedp.Reload())
	b.Shows("#status", "3 events")
	require.Equal(t, "failure", eval[string](b, "document.querySelector('#filter-result').value"))
	b.requireQuiet()
}

func TestPageFiltersByTime(t *testing.T) {
	b, api, url := openPage(t, "?service=Intune&service=Teams")
	b.Shows("#status", "36 events")
	b.Until("document.querySelector('#filter-service').selectedOptions[0].textContent === 'Intune or Teams'")
	b.Click("[data-range='1h']")
	b.Shows("#status", "No event matches")
	require.Equal(t, "true", eval[string](b, "document.querySelector(`[data-range='1h']`).ariaPressed"))
	b.Click("#empty-clear")
	b.Shows("#status", "Events 1 to 50")

	// Local time on the page is UTC on the wire.
	at := api.events[9].Event.Time
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	b.Click("#filter-more")
	b.Choose("#filter-start", at.In(berlin).Format("2006-01-02T15:04:05"))
	b.Shows("#status", "10 events")
	require.Contains(t, b.query(), "start="+strings.ReplaceAll(at.Format(time.RFC3339), ":", "%3A"))
	b.Do(chromedp.Navigate(url + "/?start=yesterday"))
	b.Shows("#status", `The events could not be loaded. start: expected an RFC 3339 time, got "yesterday" (request req-0042)`)
}

func TestPagePages(t *testing.T) {
	b, _, _ := openPage(t, "")
	first := eval[string](b, "document.querySelector('#rows tr').dataset.event")
	require.True(t, eval[bool](b, "document.querySelector('#page-newer').disabled && document.querySelector('#page-newest').disabled"))
	b.Click("#page-older")
	b.Shows("#status", "Events 51 to 100")
	require.Contains(t, b.query(), "cursor=")
	b.Click("#page-older")
	b.Shows("#status", "Events 101 to 130")
	require.True(t, eval[bool](b, "document.querySelector('#page-older').disabled"))
	b.Do(chromedp.Reload())
	b.Shows("#status", "Events 101 to 130")
	b.Click("#page-newer")
	b.Shows("#status", "Events 51 to 100")
	b.Do(chromedp.NavigateBack())
	b.Shows("#status", "Events 101 to 130")
	b.Click("#page-newest")
	b.Shows("#status", "Events 1 to 50")
	require.Equal(t, first, eval[string](b, "document.querySelector('#rows tr').dataset.event"))

	// A quick range moves with the clock; its start must hold still from page to page.
	b.Click("[data-range='24h']")
	b.Until("location.search === '?range=24h'")
	b.Shows("#status", "Events 1 to 50")
	b.Click("#page-older")
	b.Shows("#status", "Events 51 to 63")
	require.Contains(t, b.query(), "range=24h")
	b.Click("#page-newer")
	b.Shows("#status", "Events 1 to 50")
	require.Equal(t, "?range=24h", b.query())
	b.requireQuiet()
}

func TestPageOpensAnEvent(t *testing.T) {
	b, api, url := openPage(t, "")
	b.Click("#rows [data-event='" + api.events[2].Event.ID + "'] a")
	b.Shows("#drawer-summary", api.events[2].Event.Summary)
	require.Equal(t, "?event="+api.events[2].Event.ID, b.query())
	b.Shows("#drawer-changes [data-change='AccountEnabled'] .old", "true")
	b.Shows("#drawer-changes [data-change='AccountEnabled'] .new", "false")
	b.Shows("#drawer-who", "aiko.tanaka@kestrel.example")
	b.Shows("#drawer-context", "Malmö")
	b.Shows("#drawer-ids", "rec-0002")
	b.Shows("#raw", `"n": `+bigNumber+",\n")
	b.Shows("#raw", `"empty": [],`)
	b.Shows("#raw-sha256", api.events[2].Raw.SHA256)
	b.Shows("#raw-match", "matches")
	eval[any](b, "navigator.clipboard.writeText = async (text) => { window.copied = text }, true")
	b.Click("#raw-copy")
	b.Shows("#drawer-status", "The record is copied as it is stored.")
	require.Equal(t, string(api.events[2].Raw.Bytes), eval[string](b, "window.copied"))
	b.Click("#raw-pretty")
	b.Until("document.querySelector('#raw').textContent === " + quote(t, string(api.events[2].Raw.Bytes)))

	eval[any](b, "document.activeElement.blur()")
	b.Do(chromedp.KeyEvent("j"))
	b.Shows("#drawer-summary", api.events[3].Event.Summary)
	b.Until("document.querySelector('#drawer-changes .old').hidden")
	b.Do(chromedp.KeyEvent(kb.Escape))
	b.Until("!document.querySelector('#drawer').open && location.search === ''")
	b.Until("document.activeElement.closest('[data-event]').dataset.event === " + quote(t, api.events[3].Event.ID))
	b.Do(chromedp.NavigateForward())
	b.Shows("#drawer-summary", api.events[3].Event.Summary)
	b.Do(chromedp.NavigateBack())
	b.Until("!document.querySelector('#drawer').open")

	intune := api.events[5].Event
	b.Do(chromedp.Navigate(url + "/?event=" + intune.ID))
	b.Shows("#drawer-redactions", intune.Redactions[0])
	b.Shows("#drawer-targets", "All devices")
	b.Shows("#drawer-result", "Partial")
	b.Click("#drawer-what a[href*='service=']")
	b.Until("location.search === '?service=Intune' && !document.querySelector('#drawer').open")
	b.Shows("#status", "18 events")
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
	b.Shows("#drawer-status", "The event could not be loaded. event nothing: not found (request req-0042)")
	b.Click("#drawer-close")
	b.Until("location.search === '' && !document.querySelector('#drawer').open")
	b.Shows("#status", "Events 1 to 50")
}

func TestPageKeys(t *testing.T) {
	b, api, _ := openPage(t, "")
	focused := func(i int) string {
		return "document.activeElement.closest('[data-event]')?.dataset.event === " + quote(t, api.events[i].Event.ID)
	}
	b.Do(chromedp.KeyEvent("j"))
	b.Until(focused(0))
	b.Do(chromedp.KeyEvent("j"))
	b.Until(focused(1))
	b.Do(chromedp.KeyEvent("k"))
	b.Until(focused(0))
	b.Do(chromedp.KeyEvent(kb.Enter))
	b.Shows("#drawer-summary", api.events[0].Event.Summary)
	b.Do(chromedp.KeyEvent(kb.Escape))
	b.Until("!document.querySelector('#drawer').open && " + focused(0)) // the focus comes back last
	b.Do(chromedp.KeyEvent("/"))
	b.Until("document.activeElement.id === 'filter-search'")
	b.Do(chromedp.KeyEvent("j?"))
	// The protocol sends the "/" itself too, which a keyboard does not after preventDefault.
	b.Until("document.querySelector('#filter-search').value.endsWith('j?') && !document.querySelector('#help').open")
	eval[any](b, "document.activeElement.blur()")
	b.Do(chromedp.KeyEvent("?"))
	b.Shows("#help", "Help")
	b.Shows("#version", "v0.1.0-test")
	b.Click("#keys")
	b.Click("#help-close")
	b.Do(chromedp.KeyEvent("/"))
	b.Until("document.activeElement.id !== 'filter-search'")
	b.Do(chromedp.Reload())
	b.Shows("#status", "event")
	b.Do(chromedp.KeyEvent("?"))
	require.False(t, eval[bool](b, "document.querySelector('#help').open"), "keys stay off")
	b.requireQuiet()
}

func TestPageThemes(t *testing.T) {
	b, _, _ := openPage(t, "")
	ground := func() string { return eval[string](b, "getComputedStyle(document.body).backgroundColor") }
	b.Choose("#theme", "dark")
	dark := ground()
	b.Choose("#theme", "light")
	require.NotEqual(t, dark, ground())
	b.Choose("#theme", "dark")
	b.Do(chromedp.Reload())
	b.Shows("#status", "Events 1 to 50")
	require.Equal(t, dark, ground())
	require.Equal(t, "dark", eval[string](b, "document.querySelector('#theme').value"))
	b.Choose("#theme", "auto")
	require.False(t, eval[bool](b, "'theme' in document.documentElement.dataset"))
	b.requireQuiet()
}

func TestPageSaysWhatFailed(t *testing.T) {
	b, api, _ := openPage(t, "")
	api.broken.Store(true)
	b.Click("[data-range='7d']")
	b.Shows("#status", "The events could not be loaded. the store does not answer: try again in a minute (request req-0042)")
	require.Zero(t, b.rows())
	api.broken.Store(false)
	b.Click("#retry")
	b.Shows("#status", "Events 1 to 50")
	require.True(t, eval[bool](b, "document.querySelector('#retry').hidden"))
	for _, m := range b.Messages() {
		require.Contains(t, m, "(network ", "only the browser's own word of a failed request")
	}
}

func TestPageSaysThatNothingIsThereYet(t *testing.T) {
	api, url := servePage(t)
	api.empty.Store(true)
	b := start(t, 1440, 900)
	b.Do(chromedp.Navigate(url))
	b.Shows("#empty-new", "Collection is running")
	b.Shows("#status", "No events yet.")
	api.empty.Store(false)
	b.look()
	b.Shows("#status", "Events 1 to 50")
	b.requireQuiet()
}

func TestPageTellsOfNewEventsWithoutMovingRows(t *testing.T) {
	b, api, _ := openPage(t, "")
	first := api.events[0].Event.ID
	api.arrived.Store(3)
	b.look()
	b.Shows("#fresh", "3 new events")
	require.Equal(t, first, eval[string](b, "document.querySelector('#rows tr').dataset.event"))
	b.Click("#fresh")
	b.Until("document.querySelector('#fresh').hidden && document.querySelectorAll('#rows tr')[3].dataset.event === " + quote(t, first))
	require.Equal(t, 50, b.rows())
	b.requireQuiet()
}

func TestPageShowsFeedsAndBackfills(t *testing.T) {
	b, api, url := openPage(t, "")
	api.down.Store(true)
	b.Click("#view-feeds")
	b.Shows("#feeds", "Entra directory audits")
	b.Click("#feeds-reload")
	b.Shows("#feeds [data-source='m365.exchange']", "Grant the application ActivityFeed.Read and give admin consent.")
	b.Shows("#feeds [data-source='m365.exchange'] .f-state", "Failing")
	b.Shows("#feeds [data-source='m365.exchange'] .f-windows", "3 waiting, 2 failing, 1 lost")
	b.Shows("#feeds [data-source='m365.sharepoint'] .f-lag", "4 h 35 min")
	b.Shows("#feeds [data-source='m365.dlp'] .f-last", "never")
	b.Shows("#feeds [data-source='entra.signin'] .f-state", "Off")
	b.Shows("#health-chip", "1 failing")

	b.Choose("#backfill-hours", "48")
	b.Click("#backfill-start")
	b.Shows("#backfill-status", "Fetching the last 48 hours. 1 job running.")
	b.Shows("[data-job='job-1']", "24 of 96 windows done")
	b.Shows("[data-job='job-1']", "812 read, 12 new, 800 known")
	b.Shows("#backfill-status", "Done.")
	b.Shows("[data-job='job-1'][data-running=false]", "96 of 96 windows done")
	require.EqualValues(t, 1, api.polls.Load(), "asked until it was done, and no longer")
	b.Click("#view-events")
	b.Shows("#status", "Events 1 to 50")
	b.Do(chromedp.Navigate(url + "/?view=feeds"))
	b.Shows("#feeds", "Intune audits")
	b.requireQuiet()
}

// At 360 px nothing is cut off sideways, in any view.
func TestPageFitsNarrowWindows(t *testing.T) {
	b, api, url := openPage(t, "")
	for _, width := range []int64{360, 800, 1100} {
		b.Do(chromedp.EmulateViewport(width, 740))
		for query, ready := range map[string]string{
			"?range=30d": "#rows", "?view=feeds": "#feeds", "?actor=nobody": "#empty-match", "?event=" + api.events[5].Event.ID: "#drawer-raw",
		} {
			b.Do(chromedp.Navigate(url + "/" + query))
			b.Until("document.querySelector(" + quote(t, ready) + ").checkVisibility()")
			require.LessOrEqual(t, eval[int64](b, "Math.max(document.documentElement.scrollWidth, document.querySelector('.drawer-body').scrollWidth)"), width, query)
		}
	}
	b.requireQuiet()
}

// Everything that can be used has a name for people who do not see it.
func TestPageNamesItsControls(t *testing.T) {
	b, api, url := openPage(t, "")
	b.Do(chromedp.Navigate(url + "/?event=" + api.events[5].Event.ID))
	b.Shows("#raw", "{")
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
	b := start(t, 1440, 900)
	b.Do(chromedp.Navigate(server.URL))
	b.Shows("#status", "Events 1 to 50")
	b.requireQuiet()
}
