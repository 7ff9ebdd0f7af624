// Package limit keeps our own calls to the APIs of others within their bounds:
// in one process by itself, in several through Redis. It adapts when an API
// refuses nevertheless. Through Redis it also counts the requests that others
// make of us. It knows what a bound is, not whose it is, and must not know what
// the calls are for.
package limit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"aoc/internal/audit"

	"github.com/redis/go-redis/v9"
)

// Limiter holds calls back until they may begin. It is safe for concurrent use.
type Limiter interface {
	// Wait returns when the next call may begin, or the context's error. It
	// returns at once with an error when the context would end before that.
	Wait(ctx context.Context) error
	// Throttled tells that a call was refused and that quiet of a length was
	// asked for. All callers hold still for it, one second at least and a day at
	// most. A refusal within five minutes of an earlier one halves the rate as
	// well, down to a sixteenth; every minute without one gives a sixteenth back.
	Throttled(quiet time.Duration)
	// Stats says what the limiter did so far.
	Stats() Stats
}

// Stats is what a Limiter of this process did since it was made.
type Stats struct {
	Calls     int64         // that were let begin
	Waited    time.Duration // of all callers together, also those that gave up
	Throttles int64         // calls to Throttled
	Share     float64       // of its bound that the limiter uses now, above 0 and at most 1
	Alone     bool          // it is not shared, or Redis is out of reach
}

// Config says where limiters are shared.
type Config struct {
	RedisURL string       // see CheckURL; "" shares nothing
	Scope    string       // whom the APIs count: tenant and app. Instances of one scope share
	Log      *slog.Logger // nil is silence
}

// Limits makes limiters. It is safe for concurrent use.
type Limits struct {
	scope  string
	line   *line   // nil: nothing is shared
	quotas *Quotas // nil with it

	mu   sync.Mutex
	made []named
}

type named struct {
	name    string
	limiter Limiter
}

// Open returns Limits. It dials nobody: Redis is connected to by the first call
// that needs it. The error never shows the address, which holds a password.
func Open(cfg Config) (*Limits, error) {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	limits := &Limits{scope: cfg.Scope}
	if cfg.RedisURL == "" {
		return limits, nil
	}
	options, err := parseURL(cfg.RedisURL)
	if err != nil {
		return nil, fmt.Errorf("open the shared limits: %w", err)
	}
	limits.line = newLine(redis.NewClient(options), log)
	limits.quotas = newQuotas(cfg.Scope, options, log)
	return limits, nil
}

// Limiter returns a limiter of an API for n calls, at least 1, in any span of a
// length. It is shared with the other instances of the scope where Redis is
// configured.
func (l *Limits) Limiter(api string, n int, length time.Duration) Limiter {
	var limiter Limiter = NewWindow(n, length)
	if l.line != nil {
		limiter = newShared(l.line, "aoc:limit:"+l.scope+":"+api, n, length)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made = append(l.made, named{api, limiter})
	return limiter
}

// Stats returns those of all limiters, in the order in which they were made.
func (l *Limits) Stats() []audit.LimiterStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]audit.LimiterStats, len(l.made))
	for i, m := range l.made {
		s := m.limiter.Stats()
		all[i] = audit.LimiterStats{Name: m.name, Calls: s.Calls, Waited: s.Waited, Throttles: s.Throttles, Share: s.Share, Alone: s.Alone}
	}
	return all
}

// Redis returns the client, or nil where none is configured. Its calls end
// within a second, sooner with their context. Close closes it.
func (l *Limits) Redis() redis.UniversalClient {
	if l.line == nil {
		return nil
	}
	return l.line.client
}

// Close ends the connections to Redis. The limiters go on by themselves, and
// Quotas lets nobody through.
func (l *Limits) Close() error {
	if l.line == nil {
		return nil
	}
	if err := errors.Join(l.line.client.Close(), l.quotas.gate.close()); err != nil {
		return fmt.Errorf("close the shared limits: %w", err)
	}
	return nil
}
