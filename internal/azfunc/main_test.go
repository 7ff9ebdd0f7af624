package azfunc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

// childMode, where it is set, makes the test binary a handler.
const childMode = "AZFUNC_TEST_CHILD"

// childWords are printed by a handler that exits at once.
const childWords = "AZFUNC_TEST_WORDS"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		runAsChild(mode)
	}
	os.Exit(m.Run())
}

// runAsChild is the handler that the supervising tests start.
func runAsChild(mode string) {
	if code, isExit := strings.CutPrefix(mode, "exit"); isExit {
		if words := os.Getenv(childWords); words != "" {
			fmt.Println(words)
		}
		n, _ := strconv.Atoi(code)
		os.Exit(n)
	}
	switch mode {
	case "mute":
		time.Sleep(time.Minute)
		os.Exit(ExitFailed)
	case "parent":
		orphan := exec.Command(os.Args[0])
		orphan.Env = append(os.Environ(), childMode+"=orphan")
		orphan.Stdout = os.Stdout
		lives, err := orphan.StderrPipe()
		if err != nil || orphan.Start() != nil {
			os.Exit(ExitFailed)
		}
		_, _ = lives.Read(make([]byte, 1))
		os.Exit(0)
	case "orphan":
		parent := os.Getppid()
		fmt.Fprint(os.Stderr, "x") // upon which the parent leaves
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		fmt.Println("orphan leaves:", waitParent(ctx, parent, 10*time.Millisecond))
		os.Exit(0)
	}
	http.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("GET /api/self", func(w http.ResponseWriter, _ *http.Request) {
		dir, _ := os.Getwd()
		_ = json.NewEncoder(w).Encode(map[string]any{"pid": os.Getpid(), "args": os.Args[1:], "dir": dir, "env": os.Environ()})
	})
	http.HandleFunc("GET /api/exit/{code}", func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println("a line for information")
		fmt.Fprint(os.Stderr, "a line of an error, without an end")
		code, _ := strconv.Atoi(r.PathValue("code"))
		os.Exit(code)
	})
	err := http.ListenAndServe("127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"), nil)
	fmt.Fprintln(os.Stderr, err)
	os.Exit(ExitFailed)
}

const plainHost = `{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"aoc","arguments":["one","two"]},` +
	`"enableForwardingHttpRequest":true,"enableProxyingHttpRequest":true},"extensions":{"http":{"routePrefix":""}},"functionTimeout":"00:00:10"}`

const httpOut2 = `{"name":"res","type":"http","direction":"out"}`

func httpIn(route string, methods ...string) string {
	list, _ := json.Marshal(methods)
	return fmt.Sprintf(`{"name":"req","type":"httpTrigger","direction":"in","authLevel":"anonymous","methods":%s,"route":%q}`, list, route)
}

func timerIn(schedule string) string {
	return fmt.Sprintf(`{"name":"timer","type":"timerTrigger","direction":"in","schedule":%q}`, schedule)
}

const (
	queueIn  = `{"name":"item","type":"queueTrigger","direction":"in","queueName":"work"}`
	queueOut = `{"name":"out","type":"queue","direction":"out","queueName":"work"}`
)

// root is a script root: host.json and the bindings of each function.
func root(host string, functions map[string][]string) fstest.MapFS {
	fsys := fstest.MapFS{"host.json": {Data: []byte(host)}}
	for name, bindings := range functions {
		fsys[name+"/function.json"] = &fstest.MapFile{Data: []byte(`{"bindings":[` + strings.Join(bindings, ",") + `]}`)}
	}
	return fsys
}

func open(t *testing.T, host string, functions map[string][]string) *App {
	t.Helper()
	app, err := Open(root(host, functions))
	require.NoError(t, err)
	return app
}

// direct reaches a handler without a socket, where time is simulated.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// record is a log that tests read.
type record struct {
	mu    sync.Mutex
	lines []string
}

func (l *record) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *record) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "")
}

func (l *record) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// start runs a host until the test ends and waits until its handler is ready.
func start(t *testing.T, app *App, opt HostOptions) *Host {
	t.Helper()
	if opt.Log == nil {
		opt.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	host, err := NewHost(app, opt)
	require.NoError(t, err)
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	running.Go(func() {
		if err := host.Run(ctx); err != nil {
			t.Errorf("host: %v", err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
	select {
	case <-host.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("the handler did not get ready")
	}
	return host
}

// over starts a handler and a host before it, both on sockets, and returns the
// host's URL.
func over(t *testing.T, app *App, handler http.HandlerFunc, opt HostOptions) string {
	t.Helper()
	behind := httptest.NewServer(handler)
	t.Cleanup(behind.Close)
	opt.Address = strings.TrimPrefix(behind.URL, "http://")
	front := httptest.NewServer(start(t, app, opt))
	t.Cleanup(front.Close)
	return front.URL
}

// send makes a request without following redirects.
func send(t *testing.T, method, url string, body io.Reader, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(text)
}
