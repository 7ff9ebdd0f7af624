package azfunc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// HostOptions says how the small host reaches its handler and what it serves
// besides the functions. Exactly one of Executable, Address and Transport is set.
type HostOptions struct {
	// Executable is the handler's program, which the host starts with the
	// arguments of host.json and supervises; host.json's own path is relative to
	// a deployed script root and not used.
	Executable string
	// Env is the handler's environment besides what the host adds; nil is that of
	// this process.
	Env []string
	// Dir is the handler's working directory; "" is that of this process.
	Dir string
	// RestartDelay is the pause before a handler that left is started again; 0 is
	// three seconds, as it was seen on the real host.
	RestartDelay time.Duration

	// Address is host:port of a handler that runs already.
	Address string
	// Transport reaches a handler without a socket, for tests with simulated time.
	Transport http.RoundTripper

	// Proxying has HTTP-only functions proxied as newer hosts do, streamed both
	// ways, where host.json enables that. Otherwise they are forwarded as older
	// hosts do, which is the harder test: repeated query parameters joined by
	// commas, chunked request bodies refused, answers held back until they are
	// whole.
	Proxying bool
	// Page serves GET and HEAD of every path that no function has; nil answers
	// such paths 404.
	Page http.Handler

	// Log gets the host's own lines; nil drops them.
	Log *slog.Logger
	// Output gets the handler's lines as they came; nil puts them into Log,
	// standard output at information level and standard error as errors.
	Output io.Writer
}

// Host is a small Azure Functions host: one app, one handler.
type Host struct {
	app       *App
	opt       HostOptions
	log       *slog.Logger
	http      []*Function // in the order in which they are tried
	transport http.RoundTripper
	address   string
	queues    *queues
	ready     chan struct{} // closed when the handler answered for the first time
	isReady   func()
	stopped   chan struct{}
}

// NewHost prepares a host; Run starts it.
func NewHost(app *App, opt HostOptions) (*Host, error) {
	h := &Host{app: app, opt: opt, log: opt.Log, queues: newQueues(), ready: make(chan struct{}), stopped: make(chan struct{})}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	h.isReady = sync.OnceFunc(func() { close(h.ready) })
	for i := range app.functions {
		if f := &app.functions[i]; f.Trigger == HTTPTrigger {
			h.http = append(h.http, f)
		}
	}
	slices.SortStableFunc(h.http, func(a, b *Function) int { return a.template.compare(b.template) })
	if err := h.reach(); err != nil {
		return nil, err
	}
	if h.opt.RestartDelay == 0 {
		h.opt.RestartDelay = 3 * time.Second
	}
	return h, nil
}

// reach settles how the handler is called.
func (h *Host) reach() error {
	ways := 0
	for _, set := range []bool{h.opt.Executable != "", h.opt.Address != "", h.opt.Transport != nil} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		return errors.New("small Functions host: expected one of an executable, an address and a transport")
	}
	h.address, h.transport = h.opt.Address, h.opt.Transport
	if h.opt.Transport != nil {
		h.address = "127.0.0.1"
		return nil
	}
	h.transport = &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		DisableCompression:  true, // what the caller accepts is the caller's business
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     time.Minute,
	}
	if h.opt.Executable != "" {
		port, err := freePort()
		if err != nil {
			return fmt.Errorf("find a port for the handler: %w", err)
		}
		h.address = fmt.Sprintf("127.0.0.1:%d", port)
	}
	return nil
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// Ready is closed when the handler has answered for the first time; until then
// every request is answered 503.
func (h *Host) Ready() <-chan struct{} { return h.ready }

// Run starts the handler, then fires timers and carries queues until ctx ends,
// which kills the handler and is no error. It returns an error where the handler
// does not start or has left three times in short order, upon which a real host
// stops as well. A handler that exits 0 is not started again: the host then runs
// on without one. Run is called once.
func (h *Host) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer close(h.stopped)
	var triggers sync.WaitGroup
	defer triggers.Wait()
	defer cancel()
	triggers.Go(func() {
		select {
		case <-h.ready:
			h.startTriggers(ctx, &triggers)
		case <-ctx.Done():
		}
	})
	if h.opt.Executable != "" {
		return h.supervise(ctx)
	}
	if err := h.awaitAnswer(ctx, nil); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (h *Host) startTriggers(ctx context.Context, running *sync.WaitGroup) {
	for i := range h.app.functions {
		f := &h.app.functions[i]
		switch f.Trigger {
		case TimerTrigger:
			running.Go(func() { h.runTimer(ctx, f) })
		case QueueTrigger:
			running.Go(func() { h.drain(ctx, f) })
		}
	}
}

// Fire runs a timer's function now, besides its schedule, as the real host's
// POST /admin/functions/{name} does, and returns when it is done. It waits for the
// handler to be ready. Like there, it may overlap with the schedule's own firing.
func (h *Host) Fire(ctx context.Context, name string) error {
	f, ok := h.app.function(name)
	if !ok || f.Trigger != TimerTrigger {
		return fmt.Errorf("fire %s: there is no timer of that name", name)
	}
	select {
	case <-h.ready:
	case <-h.stopped:
		return fmt.Errorf("fire %s: the host has stopped", name)
	case <-ctx.Done():
		return fmt.Errorf("fire %s: %w", name, ctx.Err())
	}
	now := time.Now().UTC()
	if err := h.fire(ctx, f, firstStatus(f, now)); err != nil {
		return fmt.Errorf("fire %s: %w", name, err)
	}
	return nil
}

// Messages lists the texts that wait in a queue, the oldest first, those that
// wait for another attempt included; "<queue>-poison" holds what failed for good.
func (h *Host) Messages(queue string) []string { return h.queues.named(queue).texts() }

// probe is the pause between two attempts to reach a handler that starts.
const probe = 20 * time.Millisecond

// awaitAnswer polls the handler with a bare GET / until it answers, whatever it
// answers. It ends without an error when exited or ctx does.
func (h *Host) awaitAnswer(ctx context.Context, exited <-chan struct{}) error {
	deadline := time.Now().Add(h.app.settings.initialization)
	for {
		if h.answers(ctx, deadline) {
			h.log.InfoContext(ctx, "handler is ready", "address", h.address)
			h.isReady()
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-exited:
			return nil
		case <-time.After(probe):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the handler did not answer GET / at %s within %s", h.address, h.app.settings.initialization)
		}
	}
}

func (h *Host) answers(ctx context.Context, deadline time.Time) bool {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.address+"/", nil)
	if err != nil {
		return false
	}
	req.Header.Set("User-Agent", "") // the probe has a Host header only
	resp, err := h.transport.RoundTrip(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return true
}
