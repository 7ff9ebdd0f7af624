package main

import (
	"os"
	"path/filepath"
	"testing"

	"aoc/static/browsertest"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// TestTheScreen is a newcomer's first look: the program on the simulated tenant
// in a real browser. With AOC_SCREENSHOT set it writes README's picture there.
func TestTheScreen(t *testing.T) {
	t.Parallel()                         // most of it is waiting for Graph's bound on calls
	b := browsertest.Start(t, 1440, 900) // first: without a browser there is no use in the rest
	p := start(t, nil, "--demo", "--people", "40", "--data", t.TempDir())
	p.jobDone()
	b.Do(chromedp.Navigate(p.url + "/"))
	b.Until("document.querySelector('#results').getAttribute('aria-busy') === 'false'")
	b.Shows("#status", "Events 1 to 50, newest first")
	b.Shows("#demo-badge", "Demo")

	// Filter.
	b.Until("document.querySelector('#filter-service option[value=Entra]')")
	b.Choose("#filter-service", "Entra")
	b.Choose("#filter-result", "failure")
	b.Until("document.querySelectorAll('#rows tr').length > 0 && [...document.querySelectorAll('#rows .c-result')].every((c) => c.dataset.result === 'failure')")
	require.Contains(t, browsertest.Eval[string](b, "location.search"), "service=Entra")

	// Page on, and back.
	b.Choose("#filter-service", "Exchange")
	b.Choose("#filter-result", "")
	b.Shows("#status", "Events 1 to 50")
	first := browsertest.Eval[string](b, "document.querySelector('#rows tr').dataset.event")
	b.Click("#page-older")
	b.Shows("#status", "Events 51 to 100")
	b.Click("#page-newer")
	b.Until("document.querySelector('#rows tr').dataset.event === '" + first + "'")

	// Search for what the intruder left, and open it with its raw record.
	b.Choose("#filter-search", "New-InboxRule")
	b.Until("document.querySelectorAll('#rows tr').length > 0 && [...document.querySelectorAll('#rows .c-operation')].every((c) => c.textContent.includes('New-InboxRule'))")
	b.Click("#rows tr .c-time a")
	b.Shows("#drawer", "New-InboxRule")
	b.Until("document.querySelector('#raw').textContent.includes('\"Operation\"') || document.querySelector('#raw').textContent.includes('Operation')")
	b.Shows("#raw-match", "")
	if path := os.Getenv("AOC_SCREENSHOT"); path != "" {
		png, err := chromedp.Run(b.Context(), chromedp.CaptureScreenshot())
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Clean(path), png, 0o644))
	}

	// The feeds' health.
	b.Do(chromedp.Navigate(p.url + "/?view=feeds"))
	b.Until("document.querySelectorAll('#feeds [data-source]').length === 7")
	b.Until("[...document.querySelectorAll('#feeds [data-source]')].every((f) => f.dataset.state === 'ok')")
	require.Empty(t, b.Messages(), "the console")
}
