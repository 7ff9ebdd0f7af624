package limit

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"aoc/internal/audit"

	"github.com/redis/go-redis/v9"
)

// maxCount bounds a quota's requests times its microseconds, so that neither
// the script's numbers nor Slide's overflow: 2^53.
const maxCount = 1 << 53

var (
	//go:embed quota.lua
	quotaLua string

	quotaScript = redis.NewScript(quotaLua)

	// ErrUnreachable is an audit.ErrBusy: Redis cannot count now, so nobody knows
	// whether a caller may make a request.
	ErrUnreachable = fmt.Errorf("the shared limits are out of reach: %w", audit.ErrBusy)

	// pinged is never used up.
	pinged = audit.Quota{Name: "ping", Requests: 1 << 30, Window: time.Second}
)

// Quotas decides about the requests of callers, with all instances of a scope
// together, by the clock of Redis. It is safe for concurrent use, and has
// connections of its own: callers never take one from the feeds' limiters.
type Quotas struct {
	prefix string
	gate   *gate
}

func newQuotas(scope string, options *redis.Options, log *slog.Logger) *Quotas {
	return &Quotas{prefix: "aoc:quota:{" + scope + "}:", gate: newGate(options, log)}
}

// Quotas returns those of the scope, or nil where no Redis is configured.
func (l *Limits) Quotas() *Quotas { return l.quotas }

// Ping says whether Redis counts, as Quotas.Take does and within the same time.
// Without Redis there is nothing to say, and it returns nil.
func (l *Limits) Ping(ctx context.Context) error {
	if l.quotas == nil {
		return nil
	}
	if _, err := l.quotas.Take(ctx, pinged, ""); err != nil {
		return fmt.Errorf("ping redis: %w", err)
	}
	return nil
}

// Take decides by audit.Quota.Slide whether a caller may make one more request
// now, and counts it if so. The quota's window must be of whole milliseconds.
// It costs one round trip and ends within 250 ms; a context that ends during it
// does not shorten it, so that callers who hang up are counted. It returns
// ErrUnreachable when Redis does not count, and then at once for a second, after
// which one request tries again.
func (q *Quotas) Take(ctx context.Context, quota audit.Quota, who string) (audit.Decision, error) {
	if err := countable(quota); err != nil {
		return audit.Decision{}, err
	}
	if err := ctx.Err(); err != nil {
		return audit.Decision{}, fmt.Errorf("count a request: %w", err)
	}
	var got []int64
	err := q.gate.pass(ctx, func(ctx context.Context, client *redis.Client) (err error) {
		got, err = quotaScript.Run(ctx, client, []string{q.key(quota, who)}, quota.Requests, quota.Window.Microseconds()).Int64Slice()
		if err == nil && len(got) != 3 {
			err = fmt.Errorf("the script returned %d numbers", len(got))
		}
		return err
	})
	if err != nil {
		return audit.Decision{}, fmt.Errorf("count a request: %w", err)
	}
	return quota.Slide(int(got[0]), int(got[1]), time.Duration(got[2])*time.Microsecond), nil
}

// countable says what the script cannot count exactly.
func countable(q audit.Quota) error {
	if q.Requests < 1 || q.Window < time.Millisecond || q.Window%time.Millisecond != 0 {
		return fmt.Errorf("quota %q: expected a request or more in some whole milliseconds, got %d in %s", q.Name, q.Requests, q.Window)
	}
	if int64(q.Requests) > maxCount/q.Window.Microseconds() {
		return fmt.Errorf("quota %q: %d requests in %s are too many to count", q.Name, q.Requests, q.Window)
	}
	return nil
}

// key is a caller's, under a quota. It holds a hash instead of names, so nobody
// is known by it and no byte of it is odd. The window is part of it: slots of
// another length have other numbers. The braces keep a scope's keys in one slot
// of a cluster.
func (q *Quotas) key(quota audit.Quota, who string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s %d %s", len(quota.Name), quota.Name, quota.Window, who))
	return q.prefix + hex.EncodeToString(sum[:16])
}
