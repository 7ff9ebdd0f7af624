package limit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	lineTimeout = 250 * time.Millisecond // of each dial, write and read
	tripTimeout = 500 * time.Millisecond // of a whole trip, with a second try on a new connection
	lineRest    = 5 * time.Second        // between a trip that failed and the next
)

var (
	//go:embed limit.lua
	limitLua string

	script  = redis.NewScript(limitLua)
	errAway = errors.New("redis was out of reach a moment ago")
)

// CheckURL says what is wrong with the address of a Redis, without showing it:
// it holds a password.
func CheckURL(address string) error {
	_, err := parseURL(address)
	return err
}

func parseURL(address string) (*redis.Options, error) {
	if !strings.HasPrefix(address, "redis://") && !strings.HasPrefix(address, "rediss://") {
		return nil, errors.New("expected redis://… or rediss://… (Azure's \"host:6380,password=…\" is written rediss://:password@host:6380)")
	}
	options, err := redis.ParseURL(address)
	if err != nil { // its text may quote the password
		return nil, errors.New("expected rediss://user:password@host:port/database; characters of the password such as / @ : # % must be percent-encoded")
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = lineTimeout, lineTimeout, lineTimeout
	options.DialerRetries = 1
	options.MaxRetries = 1 // a pooled connection may be dead: Azure ends idle ones after ten minutes
	options.MinRetryBackoff, options.MaxRetryBackoff = -1, -1
	options.ContextTimeoutEnabled = true
	options.PoolTimeout = tripTimeout
	options.ConnMaxIdleTime = 5 * time.Minute
	options.DisableIdentity = true // two commands less on a new connection
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return options, nil
}

// line is the way to Redis of all limiters of a process. When a trip fails none
// is tried for some seconds.
type line struct {
	client redis.UniversalClient
	log    *slog.Logger

	mu   sync.Mutex
	down bool
	rest time.Time // no trip before it
}

func newLine(client redis.UniversalClient, log *slog.Logger) *line {
	logging.Disable() // the driver writes to stderr what it returns as well
	return &line{client: client, log: log}
}

// answer is what limit.lua returns.
type answer struct {
	taken        int
	wait, closed time.Duration
	lacks        int
}

// trip runs the script. The context is nobody's: a trip serves many callers,
// and one that gives up must not cost the others their places.
func (l *line) trip(key string, args []any) (answer, error) {
	if l.resting() {
		return answer{}, errAway
	}
	ctx, cancel := context.WithTimeout(context.Background(), tripTimeout)
	defer cancel()
	got, err := script.Run(ctx, l.client, []string{key}, args...).Int64Slice()
	if err == nil && len(got) != 4 {
		err = fmt.Errorf("the script returned %d numbers", len(got))
	}
	l.note(ctx, err)
	if err != nil {
		return answer{}, fmt.Errorf("ask redis for places: %w", err)
	}
	return answer{
		taken: int(got[0]), lacks: int(got[2]),
		wait: time.Duration(got[1]) * time.Millisecond, closed: time.Duration(got[3]) * time.Millisecond,
	}, nil
}

func (l *line) resting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.rest)
}

// state says whether the last trip failed, and when the next one is made then.
func (l *line) state() (down bool, rest time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down, l.rest
}

// note takes the outcome of a trip and logs it when it changed.
func (l *line) note(ctx context.Context, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.rest = time.Now().Add(lineRest)
	}
	if down := err != nil; down == l.down {
		return
	}
	l.down = err != nil
	if l.down {
		l.log.WarnContext(ctx, "redis is out of reach: this instance keeps to half of each rate limit by itself", "error", failure(err))
	} else {
		l.log.InfoContext(ctx, "redis is back: rate limits are shared again")
	}
}
