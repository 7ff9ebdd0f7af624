package static

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

func TestPageWaitsForTheAPI(t *testing.T) {
	api, origin := servePage(t)
	api.refusal.Store(&refusal{503, "busy", "the store does not answer", ""})
	b := start(t, 1440, 900)
	b.Do(chromedp.Navigate(origin + "/?service=Intune"))
	b.Shows("#gate-title", "The API cannot be reached")
	b.Shows("#gate-reason", "the store does not answer (request req-0042)")
	api.refusal.Store(nil)
	b.Until("document.activeElement.id === 'gate-retry'")
	b.Do(chromedp.KeyEvent(kb.Enter))
	b.Shows("#status", "18 events")
	b.Shows("#demo-badge", "Demo")
	require.Equal(t, "Events · Admin Operations Center", eval[string](b, "document.title"))
	b.requireOnlyRefusals()
}

func TestPageTellsOfLimitsAndOutages(t *testing.T) {
	b, people, api, _ := signIn(t, "marta", "")
	b.lists()
	api.refusal.Store(&refusal{429, "rate_limited", "too many requests: 120 in 1 minute are the most, try again in 7 seconds", "7"})
	b.Click("[data-range='7d']")
	b.Shows("#status", "The events could not be loaded. Too many requests: try again in 7 seconds. (request req-0042)")
	before := len(people.calls())
	b.look()
	require.True(t, eval[bool](b, "AOC.api.paused()"))
	require.Len(t, people.calls(), before, "the quiet look waits")
	api.refusal.Store(nil)
	b.Click("#retry") // but a person need not
	b.Shows("#status", "Events 1 to 50")

	for _, no := range []refusal{
		{503, "audit_unavailable", "AOC's own log cannot be written: exports, raw records and changes wait until it can", ""},
		{503, "sign_in_unavailable", "the keys of the sign-in cannot be had right now", "5"},
		{403, "cross_site", "another site's page must not ask for this", ""},
		{429, "rate_limited", "the limits cannot be looked up right now", "1"},
	} {
		api.refusal.Store(&no)
		b.Do(chromedp.NavigateBack())
		b.Do(chromedp.NavigateForward())
		b.Shows("#status", no.message)
	}
	b.requireOnlyRefusals()
}

func TestPageShowsWhatIsNotForTheCaller(t *testing.T) {
	_, api, origin := serveGuarded(t)
	api.narrow.Store(true)
	b := start(t, 1440, 900)
	b.Do(chromedp.Navigate(origin + "/?view=feeds"))
	b.choose("jonas")
	b.Shows("#restricted-note", "Some services are hidden from you")
	b.Shows("#backfill-refused", "Only an administrator of AOC may fetch past hours.")
	require.False(t, eval[bool](b, "document.querySelector('#backfill-form').checkVisibility()"))
	b.Shows("#feeds [data-source='intune.audit'] .f-records", "–")
	b.requireQuiet()
}

func TestPageDoesNotCountItsOwnEventsAsNew(t *testing.T) {
	b, api, _ := openPage(t, "")
	api.own.Store(3)
	api.arrived.Store(5)
	b.look()
	b.Shows("#fresh", "2 new events")
	b.requireQuiet()
}
