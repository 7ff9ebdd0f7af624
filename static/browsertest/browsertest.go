// Package browsertest drives a real headless browser in tests: it opens a page,
// waits for what the page shows, and keeps what it writes to its console. It
// knows nothing of AOC.
package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// Browser is a headless Chromium on one page, which keeps what the page writes
// to the console.
type Browser struct {
	t   *testing.T
	ctx context.Context

	mu      sync.Mutex
	console []string
}

// chromium is one browser for all tests of the package: starting one costs seconds.
var chromium struct {
	sync.Once
	ctx  context.Context
	stop context.CancelFunc
	err  error
}

// Main runs a package's tests and closes their browser. It returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	if chromium.stop != nil {
		chromium.stop()
	}
	return code
}

func startChromium() {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Env("TZ=Europe/Berlin"), chromedp.Flag("lang", "en-GB"),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		// Names under .test are this machine, to a browser less trusted than its loopback address (RFC 6761).
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...) // with a new profile, removed at the end
	chromium.stop = stop
	chromium.ctx, _ = chromedp.NewContext(allocator)
	chromium.err = chromedp.Do(chromium.ctx, chromedp.Navigate("about:blank"))
}

// Start opens a window that shares nothing with those of other tests.
// Without a browser on the machine the test is skipped, but never where CI=true.
func Start(t *testing.T, width, height int64) *Browser {
	t.Helper()
	chromium.Do(startChromium)
	if errors.Is(chromium.err, exec.ErrNotFound) && os.Getenv("CI") != "true" {
		t.Skip("no Chrome or Chromium on this machine")
	}
	require.NoError(t, chromium.err, "start a browser")
	ctx, closeWindow := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(closeWindow)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)

	b := &Browser{t: t, ctx: ctx}
	b.Do(chromedp.EmulateViewport(width, height))
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.console = append(b.console, fmt.Sprintf("%s (%s %s)", m, m.Source, m.URL))
			b.mu.Unlock()
		}
	}()
	return b
}

// Do runs steps one after the other; a step that fails ends the test.
func (b *Browser) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

// Context is the window's, for steps that return something.
func (b *Browser) Context() context.Context { return b.ctx }

// Click clicks on the first match of a selector.
func (b *Browser) Click(css string) {
	b.t.Helper()
	b.Do(chromedp.Click(chromedp.CSS(css)))
}

// Until waits up to thirty seconds for a JavaScript expression to become true. chromedp.Poll would
// not do: it makes a function out of text, which the page's policy forbids.
func (b *Browser) Until(expression string) {
	b.t.Helper()
	script := `new Promise((done) => {
		const end = Date.now() + 30000
		const look = () => {
			let good = false
			try { good = Boolean(` + expression + `) } catch {}
			if (good || Date.now() > end) done(good)
			else setTimeout(look, 15)
		}
		look()
	})`
	good, err := b.outlive(script)
	require.NoError(b.t, err)
	if !good {
		require.Fail(b.t, "waited 30 s for "+expression, "the page says: %s\nthe console: %v", Eval[string](b, "document.body.innerText.slice(0, 1500)"), b.Messages())
	}
}

// outlive evaluates a promise, and again on the next page where the one that it
// waited on was left meanwhile.
func (b *Browser) outlive(script string) (bool, error) {
	for {
		good, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](script, chromedp.EvalAwaitPromise))
		if err == nil || !left(err) || b.ctx.Err() != nil {
			return good, err
		}
	}
}

// left tells from Chromium's words that a page went away under an evaluation.
func left(err error) bool {
	return slices.ContainsFunc([]string{"navigated or closed", "context was destroyed", "Cannot find context"}, func(words string) bool {
		return strings.Contains(err.Error(), words)
	})
}

// Shows waits until the text of the first match of a selector contains want.
func (b *Browser) Shows(css, want string) {
	b.t.Helper()
	quoted, err := json.Marshal([]string{css, want})
	require.NoError(b.t, err)
	b.Until(fmt.Sprintf("((css, want) => document.querySelector(css).checkVisibility() && document.querySelector(css).textContent.includes(want))(...%s)", quoted))
}

// Eval returns the value of a JavaScript expression.
func Eval[T any](b *Browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	require.NoError(b.t, err, expression)
	return v
}

// Messages returns what the page has written to the console so far.
func (b *Browser) Messages() []string {
	b.t.Helper()
	b.Do(chromedp.Navigate("about:blank")) // what was written before it has arrived now
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.console
}

// Choose sets the value of the first match of a selector as a person would.
func (b *Browser) Choose(css, value string) {
	b.t.Helper()
	quoted, err := json.Marshal([]string{css, value})
	require.NoError(b.t, err)
	Eval[any](b, fmt.Sprintf(`((css, value) => {
		const control = document.querySelector(css)
		control.value = value
		for (const kind of ['input', 'change']) control.dispatchEvent(new Event(kind, { bubbles: true }))
	})(...%s)`, quoted))
}
