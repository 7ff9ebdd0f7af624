package auth

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	groupsTime    = 10 * time.Second // for one look-up
	groupsKept    = 5 * time.Minute
	groupsRetry   = 5 * time.Second // after a failed look-up
	groupsPersons = 4096            // of whom the groups are kept
)

// directory knows the groups of those whose tokens do not name them. Of each it
// keeps only groups that decide something.
type directory struct {
	from   Groups
	decide map[string]bool
	log    *slog.Logger

	mu    sync.Mutex
	known *recent[string, *membership]
}

// membership is of one person. groups, err and until are there when done is closed.
type membership struct {
	done   chan struct{}
	groups []string
	err    error
	until  time.Time
}

func newDirectory(from Groups, decide map[string]bool, log *slog.Logger) *directory {
	return &directory{from: from, decide: decide, log: log, known: newRecent[string, *membership](groupsPersons)}
}

// of returns the groups of somebody, as of up to five minutes ago.
func (d *directory) of(ctx context.Context, objectID string) ([]string, error) {
	m := d.membership(ctx, objectID)
	select {
	case <-m.done:
		return m.groups, m.err
	case <-ctx.Done():
		return nil, unavailable("the request ended before your groups could be looked up")
	}
}

// membership returns the one that is known or being looked up, else starts to
// look it up: one call at a time for each person.
func (d *directory) membership(ctx context.Context, objectID string) *membership {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, ok := d.known.get(objectID)
	if ok && !m.over() {
		return m
	}
	m = &membership{done: make(chan struct{})}
	d.known.put(objectID, m)
	go d.look(context.WithoutCancel(ctx), objectID, m)
	return m
}

func (m *membership) over() bool {
	select {
	case <-m.done:
		return !time.Now().Before(m.until)
	default:
		return false
	}
}

func (d *directory) look(ctx context.Context, objectID string, m *membership) {
	defer close(m.done)
	ctx, cancel := context.WithTimeout(ctx, groupsTime)
	defer cancel()
	groups, err := d.from.MemberGroups(ctx, objectID)
	if err != nil {
		d.log.WarnContext(ctx, "look up groups", "error", err, "object_id", objectID)
		m.err, m.until = unavailable("your groups cannot be looked up"), time.Now().Add(groupsRetry)
		return
	}
	for _, g := range groups {
		if g = strings.ToLower(g); d.decide[g] {
			m.groups = append(m.groups, g)
		}
	}
	m.until = time.Now().Add(groupsKept)
}

// nowhere is the Groups of those who have none.
type nowhere struct{}

func (nowhere) MemberGroups(context.Context, string) ([]string, error) {
	return nil, errNowhere
}
