package static

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// browser is a headless Chromium on one page, which keeps what the page writes
// to the console.
type browser struct {
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

func TestMain(m *testing.M) {
	code := m.Run()
	if chromium.stop != nil {
		chromium.stop()
	}
	os.Exit(code)
}

func startChromium() {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Env("TZ=Europe/Berlin"), chromedp.Flag("lang", "en-GB"),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...) // with a new profile, removed at the end
	chromium.stop = stop
	chromium.ctx, _ = chromedp.NewContext(allocator)
	chromium.err = chromedp.Do(chromium.ctx, chromedp.Navigate("about:blank"))
}

// startBrowser opens a window that shares nothing with those of other tests.
// Without a browser on the machine the test is skipped, but never where CI=true.
func startBrowser(t *testing.T, width, height int64) *browser {
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

	b := &browser{t: t, ctx: ctx}
	b.do(chromedp.EmulateViewport(width, height))
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

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

func (b *browser) click(css string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(css)))
}

// until waits for a JavaScript expression to become true. chromedp.Poll would
// not do: it makes a function out of text, which the page's policy forbids.
func (b *browser) until(expression string) {
	b.t.Helper()
	script := `new Promise((done) => {
		const end = Date.now() + 10000
		const look = () => {
			let good = false
			try { good = Boolean(` + expression + `) } catch {}
			if (good || Date.now() > end) done(good)
			else setTimeout(look, 15)
		}
		look()
	})`
	good, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](script, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err)
	if !good {
		require.Fail(b.t, "waited 10 s for "+expression, "the page says: %s\nthe console: %v", eval[string](b, "document.body.innerText.slice(0, 1500)"), b.messages())
	}
}

// shows waits until the text of the first match of a selector contains want.
func (b *browser) shows(css, want string) {
	b.t.Helper()
	quoted, err := json.Marshal([]string{css, want})
	require.NoError(b.t, err)
	b.until(fmt.Sprintf("((css, want) => document.querySelector(css).checkVisibility() && document.querySelector(css).textContent.includes(want))(...%s)", quoted))
}

func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	require.NoError(b.t, err, expression)
	return v
}

// messages returns what the page has written to the console so far.
func (b *browser) messages() []string {
	b.t.Helper()
	b.do(chromedp.Navigate("about:blank")) // what was written before it has arrived now
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.console
}

// servePage serves the page and the fake API from one origin, as AOC does.
func servePage(t *testing.T) (*fakeAPI, string) {
	t.Helper()
	api := newFakeAPI(time.Now().UTC().Truncate(time.Second).Add(-time.Minute))
	mux := http.NewServeMux()
	mux.Handle("/", Handler())
	mux.Handle("/api/", api)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return api, server.URL
}
