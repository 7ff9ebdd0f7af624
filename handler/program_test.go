package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/static/browsertest"

	"github.com/stretchr/testify/require"
)

// asProgram makes the test binary the program, so that tests start the real
// thing, and it starts itself as its handler.
const asProgram = "AOC_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(browsertest.Main(m))
}

// program is `aoc local` in a process of its own.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	url   string
	said  chan string // what it writes, line by line
	token string      // of whoever calls; "" sends none
}

// start runs `aoc local` on a free port and waits until it says where it is.
// Nobody signs in, and tests may ask as often as they like, unless env says otherwise.
func start(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	return startHeard(t, t.Output(), env, args...)
}

// startHeard is start with an ear for what the program logs.
func startHeard(t *testing.T, stderr io.Writer, env []string, args ...string) *program {
	t.Helper()
	cmd := command(t.Context(), append([]string{"AUTH_ENABLED=false", "RATE_LIMIT_REQUESTS=100000"}, env...), append([]string{"local", "--addr", "127.0.0.1:0"}, args...)...)
	cmd.Dir = t.TempDir()
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &program{t: t, cmd: cmd, said: make(chan string, 1000)}
	t.Cleanup(p.kill)
	go func() {
		defer close(p.said)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.said <- lines.Text()
		}
	}()
	where := p.says("AOC is at ")
	p.url = strings.TrimSuffix(strings.Fields(where)[3], "/")
	return p
}

func command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append([]string{asProgram + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}, env...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// says waits for a line with a text.
func (p *program) says(text string) string {
	p.t.Helper()
	deadline := time.After(3 * time.Minute)
	for {
		select {
		case line, more := <-p.said:
			if !more {
				require.FailNow(p.t, "the program ended before it said "+text)
			}
			if strings.Contains(line, text) {
				return line
			}
		case <-deadline:
			require.FailNow(p.t, "the program did not say "+text)
		}
	}
}

// kill ends the program as a crash would, and its handler with it.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// stop ends it as Ctrl-C does.
func (p *program) stop() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGINT))
	require.NoError(p.t, p.cmd.Wait())
}

func (p *program) call(method, path string, into any) int {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, http.NoBody)
	require.NoError(p.t, err)
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(p.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	if into != nil {
		require.NoError(p.t, json.Unmarshal(body, into), "%s %s: %d %s", method, path, resp.StatusCode, body)
	}
	return resp.StatusCode
}

// events walks all pages of a search, and leaves out AOC's own acts.
func (p *program) events(query string) []audit.Event {
	p.t.Helper()
	var all []audit.Event
	cursor := ""
	for {
		var page struct {
			Events     []audit.Event
			NextCursor string `json:"next_cursor"`
		}
		status := p.call("GET", fmt.Sprintf("/api/events?page_size=500&cursor=%s&%s", cursor, query), &page)
		require.Equal(p.t, 200, status)
		all = append(all, slices.DeleteFunc(page.Events, func(e audit.Event) bool { return e.Source == audit.AOC })...)
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
	}
}

// jobDone waits until the newest job has ended.
func (p *program) jobDone() audit.Job {
	p.t.Helper()
	for deadline := time.Now().Add(8 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		var answer struct{ Jobs []audit.Job }
		p.call("GET", "/api/jobs", &answer)
		if len(answer.Jobs) > 0 && answer.Jobs[0].State == audit.JobDone {
			return answer.Jobs[0]
		}
	}
	require.FailNow(p.t, "the backfill did not end")
	return audit.Job{}
}

func run1(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	cmd := command(t.Context(), env, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &errs, t.TempDir()
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		require.NoError(t, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestCommands(t *testing.T) {
	tests := []struct {
		name, args string
		env        []string
		code       int
		out, err   []string
	}{
		{"version", "version", nil, 0, []string{"aoc dev (commit"}, nil},
		{"help", "--help", nil, 0, []string{"aoc local --demo --open"}, nil},
		{"help of local", "local --help", nil, 0, nil, []string{"--replay FILE"}},
		{"no such command", "serve", nil, 2, nil, []string{`there is no command "serve"`}},
		{"no such flag", "local --dem", nil, 2, nil, []string{"dem"}},
		{"two tenants", "local --demo --replay x", nil, 2, nil, []string{"choose one"}},
		{"too few", "local --demo --people 3", nil, 2, nil, []string{"--people: expected 10 to 5000"}},
		{"bad address", "local --addr 7071", nil, 2, nil, []string{"--addr: expected HOST:PORT"}},
		{"left over", "local now", nil, 2, nil, []string{`takes no "now"`}},
		{"no file", "local --replay nothing.ndjson", nil, 2, nil, []string{"nothing.ndjson"}},
		{"no host", "", nil, 2, nil, []string{portEnv + " is not set"}},
		{"no tenant", "local", nil, 2, nil, []string{"TENANT_ID: it must be set", "CLIENT_ID: it must be set", "aoc local --demo"}},
		{
			"every mistake", "local",
			[]string{"TENANT_ID=contoso", "CLIENT_ID=x", "SOURCES=entra.directory,nope", "LOG_LEVEL=loud", "GRAPH_BASE_URL=http://x", "AUTH_ENABLED=perhaps", "TRUSTED_PROXIES=here", "AUTH_ALLOWED_GROUPS=admins"},
			2, nil,
			[]string{"TENANT_ID: expected a GUID", "SOURCES: expected feeds out of", "LOG_LEVEL: expected debug", "GRAPH_BASE_URL: expected an origin", "AUTH_ENABLED: expected true or false", "TRUSTED_PROXIES: expected addresses", "AUTH_ALLOWED_GROUPS: expected object ids"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, errs, code := run1(t, tt.env, strings.Fields(tt.args)...)
			require.Equal(t, tt.code, code, errs)
			for _, want := range tt.out {
				require.Contains(t, out, want)
			}
			for _, want := range tt.err {
				require.Contains(t, errs, want)
			}
		})
	}
}

func TestLocalSettings(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "local.settings.json")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	t.Chdir(dir)
	read := func() (environment, error) {
		return (&localOptions{data: "d"}).environment(t.Context(), func(name string) string {
			return map[string]string{"CLIENT_ID": "from the environment"}[name]
		}, io.Discard)
	}
	env, err := read()
	require.NoError(t, err, "no file is no mistake")
	require.Equal(t, filepath.Join("d", "aoc.db"), env.get("SQLITE_PATH"))

	write(`{"IsEncrypted":false,"Values":{"TENANT_ID":"t","CLIENT_ID":"from the file","MONGO_URI":"mongodb://x"}}`)
	env, err = read()
	require.NoError(t, err)
	require.Equal(t, "t", env.get("TENANT_ID"))
	require.Equal(t, "from the environment", env.get("CLIENT_ID"))
	require.Empty(t, env.get("SQLITE_PATH"))

	for text, want := range map[string]string{`{"Values":[]}`: "expected {", `{"IsEncrypted":true,"Values":{}}`: "encrypted"} {
		write(text)
		_, err = read()
		require.ErrorContains(t, err, want)
	}
}
