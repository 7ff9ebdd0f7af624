package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aoc"
	"aoc/internal/azfunc"
	"aoc/static"
)

const (
	demoEnv      = "AOC_SIMULATED_TENANT" // tells the handler that its tenant is simulated
	replayEnv    = "AOC_REPLAY"           // tells it that the tenant serves a file, which is looked at as it is
	smallHostEnv = "AOC_SMALL_HOST"       // tells it that it is alone, and the queue gone at a restart
)

const localHelp = `Run AOC on this machine: a small Functions host, the page and an embedded store.

Usage: aoc local [flags]

  --demo          on a simulated tenant: a made-up company, no account needed
  --people N      how many people a new demo's company has (default 120, 10 to 5000)
  --replay FILE   on a simulated tenant that serves the audit records of a file
                  (one JSON object a line, .gz or plain)
  --addr ADDR     where to listen (default 127.0.0.1:7071; port 0 takes a free one)
  --data DIR      where the stores are kept (default data)
  --open          open the page in the browser

Without --demo or --replay the tenant is your own: TENANT_ID, CLIENT_ID and
CLIENT_SECRET (or an Azure identity) are read from the environment, or from
"Values" of local.settings.json in this folder; the environment wins.

Sign-in is off unless AUTH_ENABLED=true: whoever reaches the address sees
everything. The demo signs in, with a choice of made-up people, unless
AUTH_ENABLED=false.
`

// localOptions is what the command line says.
type localOptions struct {
	demo, open         bool
	beside             bool // another AOC may be running on the same data
	replay, addr, data string
	people             int
	signIn             http.Handler                              // of the simulated tenant; nil: the tenant is one's own, or nobody signs in
	token              func(ctx context.Context) (string, error) // for calls of our own; nil: there is no sign-in, or it is not ours to pass
	firstHours         int                                       // how far the first look goes back; 0: a tenant of one's own, where more than the timer's day is to be asked for
}

func parseLocal(args []string, stderr io.Writer) (localOptions, error) {
	var o localOptions
	flags := flag.NewFlagSet("aoc local", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, localHelp) }
	flags.BoolVar(&o.demo, "demo", false, "")
	flags.BoolVar(&o.open, "open", false, "")
	flags.StringVar(&o.replay, "replay", "", "")
	flags.StringVar(&o.addr, "addr", "127.0.0.1:7071", "")
	flags.IntVar(&o.people, "people", demoPeople, "")
	flags.StringVar(&o.data, "data", "data", "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, usageError{err}
	}
	switch {
	case flags.NArg() > 0:
		return o, usageError{fmt.Errorf("local takes no %q", flags.Arg(0))}
	case o.people < 10 || o.people > 5000:
		return o, usageError{fmt.Errorf("--people: expected 10 to 5000, got %d", o.people)}
	case o.demo && o.replay != "":
		return o, usageError{errors.New("--demo and --replay are two different tenants: choose one")}
	}
	if _, _, err := net.SplitHostPort(o.addr); err != nil {
		return o, usageError{fmt.Errorf("--addr: expected HOST:PORT, got %q", o.addr)}
	}
	return o, nil
}

// local runs everything on this machine until the context ends.
func local(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	o, err := parseLocal(args, stderr)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	env, err := o.environment(ctx, getenv, stdout)
	if err != nil {
		return err
	}
	config, mistakes := readConfig(env.get)
	if mistakes != nil {
		return usageError{fmt.Errorf("the settings have mistakes:\n%w\n\nFor a first look without an account: aoc local --demo", mistakes)}
	}
	if _, err := openNormalizer(config); err != nil {
		return usageError{err}
	}
	host, err := newHost(env, stderr, config)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.addr)
	if err != nil {
		return fmt.Errorf("listen at --addr: %w", err)
	}
	server := &http.Server{Handler: o.front(host), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	ended := make(chan error, 2)
	go func() { ended <- server.Serve(listener) }()
	hostDone := make(chan struct{})
	go func() {
		defer close(hostDone)
		ended <- host.Run(ctx)
	}()
	go o.welcome(ctx, host, listener.Addr(), stdout, stderr)

	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	stop()
	<-hostDone
	return errors.Join(err, server.Close())
}

// newHost is the small Functions host over the embedded files. The handler is
// this program again.
func newHost(env environment, stderr io.Writer, config Config) (*azfunc.Host, error) {
	files, err := azfunc.Open(aoc.Functions)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return azfunc.NewHost(files, azfunc.HostOptions{
		Executable: self, Env: env.list(), Page: static.Handler(elsewhere(config)...), Output: stderr,
		Log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: config.LogLevel})),
	})
}

// elsewhere is whom the page talks to besides its own origin.
func elsewhere(config Config) []string {
	if config.Auth.Enabled && !config.Demo {
		return []string{config.Authority}
	}
	return nil
}

// front is what Azure's front end is: it adds the address that calls. In the
// demo it also stands in for the authority that people sign in at.
func (o localOptions) front(host http.Handler) http.Handler {
	simulated := http.StripPrefix(simulatedPath, o.signIn)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.signIn != nil && strings.HasPrefix(r.URL.Path, simulatedPath+"/") {
			simulated.ServeHTTP(w, r)
			return
		}
		hops := append(r.Header.Values("X-Forwarded-For"), r.RemoteAddr)
		r.Header.Set("X-Forwarded-For", strings.Join(hops, ", "))
		host.ServeHTTP(w, r)
	})
}

// welcome waits for the handler, starts the first look and tells people where
// everything is.
func (o localOptions) welcome(ctx context.Context, host *azfunc.Host, addr net.Addr, stdout, stderr io.Writer) {
	select {
	case <-host.Ready():
	case <-ctx.Done():
		return
	}
	url := "http://" + addr.String() + "/"
	fmt.Fprintf(stdout, "AOC is at %s (Ctrl-C stops it)\n", url)
	if o.signIn != nil {
		fmt.Fprintln(stdout, "It asks who of the made-up company you want to be; with AUTH_ENABLED=false it does not.")
	}
	if err := o.firstLook(ctx, host, url); err != nil {
		fmt.Fprintln(stderr, "aoc: the first look was not started:", err)
	}
	if o.open {
		openBrowser(url)
	}
	if err := o.followFirstLook(ctx, url, stdout); err != nil && ctx.Err() == nil {
		fmt.Fprintln(stderr, "aoc: the first look cannot be followed:", err)
	}
}

// environment is the handler's: the process's own, and what is laid over it.
type environment struct {
	over map[string]string
	base func(string) string
}

func (e environment) get(name string) string {
	if v, ok := e.over[name]; ok {
		return v
	}
	return e.base(name)
}

func (e environment) list() []string {
	list := os.Environ()
	for name, value := range e.over {
		list = append(list, name+"="+value)
	}
	return list
}

// fallback sets a name that is not set.
func (e environment) fallback(name, value string) {
	if e.get(name) == "" {
		e.over[name] = value
	}
}

// environment lays local.settings.json under the process's environment, and
// the simulated tenant over both.
func (o *localOptions) environment(ctx context.Context, getenv func(string) string, stdout io.Writer) (environment, error) {
	env := environment{over: map[string]string{smallHostEnv: "true"}, base: getenv}
	if o.demo || o.replay != "" {
		return env, o.simulate(ctx, env, stdout)
	}
	settings, err := readLocalSettings("local.settings.json")
	if err != nil {
		return env, usageError{err}
	}
	for name, value := range settings {
		env.fallback(name, value)
	}
	if env.get("MONGO_URI") == "" {
		env.fallback("SQLITE_PATH", filepath.Join(o.data, "aoc.db"))
	}
	env.fallback("LOG_LEVEL", "warn")
	env.fallback("AUTH_ENABLED", "false")
	env.fallback("DOCS_ENABLED", "true")
	return env, nil
}

// readLocalSettings reads the Values of a settings file as the Functions tools
// write it. A file that is not there has none.
func readLocalSettings(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var file struct {
		IsEncrypted bool
		Values      map[string]string
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s: expected {\"Values\":{\"NAME\":\"text\",…}}: %w", path, err)
	}
	if file.IsEncrypted {
		return nil, fmt.Errorf("%s: it is encrypted, and only the Functions tools can read it: func settings decrypt", path)
	}
	return file.Values, nil
}
