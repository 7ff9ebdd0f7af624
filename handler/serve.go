package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"aoc/internal/audit"
	"aoc/internal/azfunc"
	"aoc/internal/ingest"
)

const portEnv = "FUNCTIONS_CUSTOMHANDLER_PORT"

// serve is the custom handler. It listens before it dials anything, stays up
// with a mistake in the settings (three exits would stop the whole host) and
// leaves when the host is gone.
func serve(ctx context.Context, getenv func(string) string, stdout, stderr io.Writer) int {
	port := getenv(portEnv)
	if port == "" {
		fmt.Fprintf(stderr, "aoc: %s is not set. The Functions host sets it when it starts aoc;\n\"aoc local\" is what people start.\n\n%s", portEnv, help)
		return exitUsage
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		fmt.Fprintln(stderr, "aoc:", err)
		return exitFailed
	}
	config, mistakes := readConfig(getenv)
	log := newLog(stdout, stderr, config.LogLevel)
	handler, closeAll := open(config, mistakes, log)
	defer closeAll()

	ctx, leave := context.WithCancel(ctx)
	defer leave()
	orphaned := make(chan struct{})
	go func() {
		if azfunc.WaitParent(ctx) == nil {
			close(orphaned)
			leave()
		}
	}()
	if err := serveOn(ctx, listener, handler, log); err != nil {
		log.Error("the handler stopped", "error", err)
		return exitFailed
	}
	select {
	case <-orphaned:
		return exitDone // there is no host that could start it again
	default:
		return exitRestart
	}
}

// serveOn serves until the context ends, then gives requests a moment to end.
func serveOn(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute, // of a request; what a worker's run takes is the host's to bound
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return server.Close()
	}
	return nil
}

// open builds the handler's routes. With mistakes they all tell of them, so
// that what is wrong can be read where it is looked for.
func open(config Config, mistakes error, log *slog.Logger) (http.Handler, func()) {
	if mistakes == nil {
		app, err := wire(config, log)
		if err == nil {
			return app.handler(), app.close
		}
		mistakes = err
	}
	log.Error("the settings have mistakes: nothing works until they are mended", "mistakes", mistakeList(mistakes))
	return broken(mistakes), func() {}
}

// handler is everything that the host calls: the functions that are no HTTP
// functions by their names, the API's routes, and / for the host's first look.
func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", plainCommas(a.api.Handler()))
	mux.HandleFunc("GET /{$}", alive)
	mux.Handle("/ingest-timer", azfunc.Handler(a.log, a.ingestTimer))
	mux.Handle("/ingest-worker", azfunc.Handler(a.log, a.ingestWorker))
	mux.Handle("/retention", azfunc.Handler(a.log, a.retain))
	return mux
}

// ingestTimer plans windows and queues what is due.
func (a *app) ingestTimer(ctx context.Context, _ azfunc.Invocation) (azfunc.Result, error) {
	defer a.reporter.report(ctx)
	items, err := a.planner.Tick(ctx, time.Now().UTC())
	if err != nil {
		return azfunc.Result{}, err
	}
	messages := make([]azfunc.Message, 0, len(items))
	for _, item := range items {
		message, err := azfunc.NewMessage(item)
		if err != nil {
			return azfunc.Result{}, err
		}
		messages = append(messages, message)
	}
	return azfunc.Result{Queues: map[string][]azfunc.Message{"work": messages}}, nil
}

// ingestWorker runs one item. The outcome is in the ledger when it answers
// well; it fails only when the store does, for the host to try again.
func (a *app) ingestWorker(ctx context.Context, in azfunc.Invocation) (azfunc.Result, error) {
	defer a.reporter.report(ctx)
	var item ingest.Item
	if err := in.Message("item", &item); err != nil {
		return azfunc.Result{}, err
	}
	return azfunc.Result{}, a.worker.Run(ctx, item)
}

// retain starts the job that deletes what is older than RETENTION_DAYS.
func (a *app) retain(ctx context.Context, _ azfunc.Invocation) (azfunc.Result, error) {
	if a.retention == 0 {
		return azfunc.Result{}, nil
	}
	_, err := a.planner.StartJob(ctx, ingest.KindRetention, audit.JobOptions{Since: time.Now().UTC().Add(-a.retention)})
	return azfunc.Result{}, err
}

func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "aoc\n")
}

// plainCommas undoes what the host does to repeated parameters.
func plainCommas(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if values, err := azfunc.Query(r.URL.RawQuery, "search"); err == nil && r.URL.RawQuery != "" {
			r = r.Clone(r.Context())
			r.URL.RawQuery = values.Encode()
		}
		next.ServeHTTP(w, r)
	})
}

// broken answers everything but / with the list of mistakes.
func broken(mistakes error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", alive)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
			"code":       "misconfigured",
			"message":    "AOC's settings have mistakes: " + strings.Join(mistakeList(mistakes), "; "),
			"request_id": r.Header.Get("X-Azure-Functions-InvocationId"),
		}})
	})
	return mux
}

// mistakeList takes joined errors apart.
func mistakeList(err error) []string {
	var list interface{ Unwrap() []error }
	if !errors.As(err, &list) {
		return []string{err.Error()}
	}
	var texts []string
	for _, e := range list.Unwrap() {
		texts = append(texts, e.Error())
	}
	return texts
}

// newLog writes one JSON object a line. The host makes stdout's lines
// information and stderr's errors whatever they say, so each goes to its own.
func newLog(stdout, stderr io.Writer, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	return slog.New(split{slog.NewJSONHandler(stdout, options), slog.NewJSONHandler(stderr, options)})
}

// split sends errors one way and all else the other.
type split struct{ out, err slog.Handler }

func (s split) Enabled(ctx context.Context, level slog.Level) bool { return s.out.Enabled(ctx, level) }

func (s split) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		return s.err.Handle(ctx, r)
	}
	return s.out.Handle(ctx, r)
}

func (s split) WithAttrs(attrs []slog.Attr) slog.Handler {
	return split{s.out.WithAttrs(attrs), s.err.WithAttrs(attrs)}
}

func (s split) WithGroup(name string) slog.Handler {
	return split{s.out.WithGroup(name), s.err.WithGroup(name)}
}
