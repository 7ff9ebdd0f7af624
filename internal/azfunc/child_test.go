package azfunc

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var selfApp = map[string][]string{
	"self": {httpIn("api/self", "get"), httpOut2},
	"exit": {httpIn("api/exit/{code}", "get"), httpOut2},
}

func childOptions(mode string, log *record) HostOptions {
	return HostOptions{
		Executable:   os.Args[0],
		Env:          []string{childMode + "=" + mode, "SETTING=of the app"},
		RestartDelay: time.Millisecond,
		Log:          log.logger(),
	}
}

type self struct {
	PID       int
	Args, Env []string
	Dir       string
}

func ask(t *testing.T, url string) (self, bool) {
	t.Helper()
	resp, body := send(t, "GET", url+"/api/self", nil)
	var s self
	if resp.StatusCode != http.StatusOK {
		require.Equal(t, http.StatusInternalServerError, resp.StatusCode)
		require.Empty(t, body)
		return s, false
	}
	require.NoError(t, json.Unmarshal([]byte(body), &s))
	return s, true
}

func TestChildStart(t *testing.T) {
	opt := childOptions("serve", &record{})
	opt.Dir = t.TempDir()
	front := httptest.NewServer(start(t, open(t, plainHost, selfApp), opt))
	defer front.Close()
	got, ok := ask(t, front.URL)
	require.True(t, ok)
	require.Equal(t, []string{"one", "two"}, got.Args)
	require.Equal(t, opt.Dir, got.Dir)
	require.Contains(t, got.Env, "SETTING=of the app")
	require.Contains(t, got.Env, "FUNCTIONS_APP_ROOT_PATH="+opt.Dir)
	env := map[string]string{}
	for _, pair := range got.Env {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	require.NotEmpty(t, env["FUNCTIONS_CUSTOMHANDLER_PORT"])
	require.Equal(t, env["FUNCTIONS_CUSTOMHANDLER_PORT"], env["FUNCTIONS_HTTPWORKER_PORT"])
	require.NotEmpty(t, env["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"])
	require.Equal(t, env["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"], env["FUNCTIONS_HTTPWORKER_ID"])
}

// awaitSelf asks until a handler answers that is not the old one.
func awaitSelf(t *testing.T, url string, old int) self {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if s, ok := ask(t, url); ok && s.PID != old {
			return s
		}
		require.True(t, time.Now().Before(deadline), "no new handler answered")
		time.Sleep(5 * time.Millisecond)
	}
}

func TestChildExitInMidRequest(t *testing.T) {
	log := &record{}
	front := httptest.NewServer(start(t, open(t, plainHost, selfApp), childOptions("serve", log)))
	defer front.Close()
	pid := awaitSelf(t, front.URL, 0).PID
	for _, code := range []string{"7", "200", "200", "200", "200", "3"} { // two are counted
		resp, body := send(t, "GET", front.URL+"/api/exit/"+code, nil)
		require.Equal(t, http.StatusInternalServerError, resp.StatusCode)
		require.Empty(t, body)
		pid = awaitSelf(t, front.URL, pid).PID
	}
	require.Contains(t, log.text(), `level=INFO msg="a line for information" category=Host.Function.Console`)
	require.Contains(t, log.text(), `level=ERROR msg="a line of an error, without an end`)
}

func TestChildThatExitsZeroIsNotStartedAgain(t *testing.T) {
	log := &record{}
	front := httptest.NewServer(start(t, open(t, plainHost, selfApp), childOptions("serve", log)))
	defer front.Close()
	resp, _ := send(t, "GET", front.URL+"/api/exit/0", nil)
	require.Equal(t, http.StatusInternalServerError, resp.StatusCode)
	require.Eventually(t, func() bool { return strings.Contains(log.text(), "will not be started again") }, 10*time.Second, time.Millisecond)
	_, ok := ask(t, front.URL)
	require.False(t, ok)
	require.Equal(t, 1, strings.Count(log.text(), "handler started"))
}

func TestThreeExitsStopTheHost(t *testing.T) {
	log := &record{}
	host, err := NewHost(open(t, plainHost, selfApp), childOptions("exit4", log))
	require.NoError(t, err)
	require.ErrorContains(t, host.Run(t.Context()), "exited 3 times (the last time with code 4)")
	require.Equal(t, 3, strings.Count(log.text(), "handler started"))
	require.ErrorContains(t, host.Fire(t.Context(), "self"), "no timer")
	rec := httptest.NewRecorder()
	host.ServeHTTP(rec, httptest.NewRequest("GET", "/api/self", nil))
	require.Equal(t, http.StatusServiceUnavailable, rec.Code, "it never was ready")
}

func TestHandlerThatNeverListens(t *testing.T) {
	host := strings.Replace(plainHost, `"enableForwarding`, `"initializationTimeout":"00:00:01","enableForwarding`, 1)
	h, err := NewHost(open(t, host, selfApp), childOptions("mute", &record{}))
	require.NoError(t, err)
	require.ErrorContains(t, h.Run(t.Context()), "did not answer GET /")
}

func TestNoOrphanWhenTheHostStops(t *testing.T) {
	host, err := NewHost(open(t, plainHost, selfApp), childOptions("serve", &record{}))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- host.Run(ctx) }()
	<-host.Ready()
	stop()
	require.NoError(t, <-done)
	_, err = host.transport.RoundTrip(httptest.NewRequest("GET", "http://"+host.address+"/", nil))
	require.Error(t, err)
}

func TestExecutableThatIsNotThere(t *testing.T) {
	host, err := NewHost(open(t, plainHost, selfApp), HostOptions{Executable: t.TempDir() + "/none"})
	require.NoError(t, err)
	require.ErrorContains(t, host.Run(t.Context()), "start the handler")
}

func TestExits(t *testing.T) {
	var e exits
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	require.False(t, e.add(now))
	require.False(t, e.add(now.Add(29*time.Minute)))
	require.False(t, e.add(now.Add(60*time.Minute)), "30 quiet minutes forgive")
	require.False(t, e.add(now.Add(89*time.Minute)))
	require.True(t, e.add(now.Add(118*time.Minute)))
}

func TestWaitParent(t *testing.T) {
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), childMode+"=parent")
	out, err := parent.Output() // ends when the orphan, which holds it open, has left
	require.NoError(t, err)
	require.Equal(t, "orphan leaves: <nil>\n", string(out))
}

func TestLines(t *testing.T) {
	var got []string
	l := &lines{log: func(line string) { got = append(got, line) }}
	for _, part := range []string{"a", "b\r\nc\n\n", "d"} {
		_, err := l.Write([]byte(part))
		require.NoError(t, err)
	}
	l.flush()
	_, err := l.Write([]byte(strings.Repeat("x", maxLine+5) + "\n"))
	require.NoError(t, err)
	require.Equal(t, []string{"ab", "c", "d", strings.Repeat("x", maxLine), "xxxxx"}, got)
}

func TestChildOutputAsItCame(t *testing.T) {
	log, output := &record{}, &record{}
	opt := childOptions("exit5", log)
	opt.Output = output
	opt.Env = append(opt.Env, childWords+"=words of its own")
	host, err := NewHost(open(t, plainHost, selfApp), opt)
	require.NoError(t, err)
	require.Error(t, host.Run(t.Context()))
	require.Equal(t, strings.Repeat("words of its own\n", 3), output.text())
	require.NotContains(t, log.text(), "words of its own")
}
