package limit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	gateTimeout = 150 * time.Millisecond // of a whole trip: callers are answered within 250 on a busy machine too
	gateRest    = time.Second            // between a trip that failed and the next
)

var replyCode = regexp.MustCompile(`^[A-Z]+\b`)

// gate is the way to Redis for callers who cannot go on without it. When a trip
// fails it shuts: those who come are told so at once, and after a rest one of
// them tries whether it may open.
type gate struct {
	options *redis.Options // they heed the context of a trip
	timeout time.Duration
	log     *slog.Logger

	mu       sync.Mutex
	client   *redis.Client
	answered time.Time // when a trip last succeeded
	shut     bool
	trying   bool      // one is on its way to open it
	rest     time.Time // nobody tries before it
	closed   bool
}

func newGate(options *redis.Options, log *slog.Logger) *gate {
	return &gate{options: options, timeout: gateTimeout, log: log, client: redis.NewClient(options)}
}

// pass makes a trip, or returns ErrUnreachable. The trip outlives the caller's
// context: that one hung up says nothing of Redis.
func (g *gate) pass(ctx context.Context, trip func(context.Context, *redis.Client) error) error {
	client, begun := g.enter(), time.Now()
	if client == nil {
		return ErrUnreachable
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.timeout)
	defer cancel()
	err := trip(within, client)
	g.leave(ctx, client, begun, err)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrUnreachable, failure(err))
	}
	return nil
}

// enter returns the client for one trip, or nil.
func (g *gate) enter() *redis.Client {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut && (g.trying || time.Now().Before(g.rest)) {
		return nil
	}
	g.trying = g.shut
	return g.client
}

// leave takes the outcome of a trip and logs it when it changed.
func (g *gate) leave(ctx context.Context, client *redis.Client, begun time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || client != g.client { // it began before the gate shut, and knows nothing newer
		return
	}
	if err != nil {
		g.fail(ctx, begun, err)
		return
	}
	if g.shut {
		g.log.InfoContext(ctx, "redis is back: callers' requests are counted again")
	}
	g.answered, g.shut, g.trying = time.Now(), false, false
}

// fail shuts the gate, unless others were answered while the trip was made: then
// it was lost alone.
func (g *gate) fail(ctx context.Context, begun time.Time, err error) {
	if !g.shut && g.answered.After(begun) {
		return
	}
	if !g.shut {
		g.log.WarnContext(ctx, "redis is out of reach: callers' requests cannot be counted and are refused", "error", failure(err))
	}
	g.shut, g.trying, g.rest = true, false, time.Now().Add(gateRest)
	// The pool's connections may be as dead as this one, and each would cost a
	// trip to find out. TLS may wait when they close, and says nothing of use.
	go func(old *redis.Client) { _ = old.Close() }(g.client)
	g.client = redis.NewClient(g.options)
}

func (g *gate) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	return g.client.Close()
}

// failure tells an error of the driver without what Redis said: where it does
// not know a command it quotes the arguments, and those of HELLO and AUTH are
// the password.
func failure(err error) string {
	var reply redis.Error
	var network net.Error
	var refused *net.OpError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &reply):
		if code := replyCode.FindString(reply.Error()); code != "" {
			return "it answers " + code
		}
		return "it answers with an error"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "it does not answer in time"
	case errors.As(err, &refused):
		return refused.Error()
	case errors.As(err, &untrusted):
		return untrusted.Error()
	default:
		return "the connection broke, or what answers is no Redis"
	}
}
