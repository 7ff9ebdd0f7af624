package auth

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	refreshEvery = time.Hour        // how old keys may be before they are asked for again
	keepFor      = 24 * time.Hour   // how long the last good keys serve while the authority cannot be reached
	unknownPause = 30 * time.Second // between fetches of keys that are there already
	retryPause   = 5 * time.Second  // after a failed fetch of keys of which there are none
	unknownKept  = 4096             // kids that are remembered as unknown
)

// keyring holds the signing keys of both editions. Nothing is fetched before a
// token needs it. Requests whose key is there never wait and take no lock; of
// those whose key is unknown one in unknownPause, over both editions, causes a
// fetch, so that made-up kids cost the authority nothing.
type keyring struct {
	from    *discoverer
	tally   *tally
	log     *slog.Logger
	shelves [2]shelf

	mu      sync.Mutex
	last    time.Time                   // when keys that were there already were last fetched, of any edition
	unknown *recent[keyName, time.Time] // until when
}

// keyName is a kid of an edition.
type keyName struct {
	edition edition
	kid     string
}

// shelf has the keys of one edition. What is not atomic is guarded by the
// keyring's lock.
type shelf struct {
	set     atomic.Pointer[keySet]
	trusted atomic.Bool // a token of the edition was good once

	flight chan struct{} // closed when the running fetch is over; nil without one
	tried  time.Time     // when the last fetch began and, once it is over, ended
	failed time.Time     // when the last fetch did; zero when it was good
	wanted time.Time     // when an unknown kid last had to do without a fetch
}

func newKeyring(from *discoverer, t *tally, log *slog.Logger) *keyring {
	return &keyring{from: from, tally: t, log: log, unknown: newRecent[keyName, time.Time](unknownKept)}
}

// trust notes that a token of the edition was good.
func (k *keyring) trust(e edition) {
	if s := &k.shelves[e]; !s.trusted.Load() {
		s.trusted.Store(true)
	}
}

// find returns the keys of an edition, among which the kid is.
func (k *keyring) find(ctx context.Context, e edition, kid string) (*keySet, error) {
	set, err := k.current(ctx, e)
	if err != nil || set.has(kid) {
		return set, err
	}
	return k.seek(ctx, e, kid)
}

// hopeless returns the error for a kid that is unknown and for which no keys may
// be fetched now, before anything is spent on the token's claims: a flood of
// made-up kids must cost less than it takes to send. It returns nil where it is
// worth looking further.
func (k *keyring) hopeless(e edition, kid string) error {
	s := &k.shelves[e]
	set := s.usable()
	if set == nil || set.has(kid) || time.Since(set.at) >= refreshEvery {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.flight != nil || k.due(e) || s.set.Load().has(kid) {
		return nil
	}
	s.wanted = time.Now()
	return s.lacks()
}

// usable returns the last good keys unless they are too old.
func (s *shelf) usable() *keySet {
	if set := s.set.Load(); set != nil && time.Since(set.at) < keepFor {
		return set
	}
	return nil
}

func (k *keyring) current(ctx context.Context, e edition) (*keySet, error) {
	s := &k.shelves[e]
	set := s.usable()
	switch {
	case set == nil:
		return k.load(ctx, e)
	case time.Since(set.at) >= refreshEvery:
		k.mu.Lock()
		if s.flight == nil && k.due(e) {
			k.start(ctx, e)
		}
		k.mu.Unlock()
	}
	return set, nil
}

// load waits for the keys of an edition of which there are none.
func (k *keyring) load(ctx context.Context, e edition) (*keySet, error) {
	s := &k.shelves[e]
	k.mu.Lock()
	flight := s.flight
	if flight == nil {
		if set := s.usable(); set != nil {
			k.mu.Unlock()
			return set, nil
		}
		if !s.failed.IsZero() && time.Since(s.failed) < retryPause {
			k.mu.Unlock()
			return nil, errKeysAway
		}
		flight = k.start(ctx, e)
	}
	k.mu.Unlock()
	if err := landed(ctx, flight); err != nil {
		return nil, err
	}
	if set := s.usable(); set != nil {
		return set, nil
	}
	return nil, errKeysAway
}

// seek waits for keys among which the kid is, where they may be fetched now.
func (k *keyring) seek(ctx context.Context, e edition, kid string) (*keySet, error) {
	s, name := &k.shelves[e], keyName{e, strings.Clone(kid)} // a clone does not keep the token in memory
	flight, err := k.board(ctx, name)
	if err != nil {
		return nil, err
	}
	if flight != nil {
		if err := landed(ctx, flight); err != nil {
			return nil, err
		}
	}
	if set := s.usable(); set != nil && set.has(kid) {
		return set, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unknown.put(name, time.Now().Add(unknownPause))
	return nil, s.lacks()
}

// board returns the fetch that may bring an unknown key, nil where one has
// brought it meanwhile, or an error where none may be made now.
func (k *keyring) board(ctx context.Context, name keyName) (chan struct{}, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &k.shelves[name.edition]
	if until, ok := k.unknown.get(name); ok && time.Now().Before(until) {
		s.wanted = time.Now()
		return nil, s.lacks()
	}
	if s.flight != nil {
		return s.flight, nil
	}
	if s.set.Load().has(name.kid) {
		return nil, nil
	}
	if k.due(name.edition) {
		return k.start(ctx, name.edition), nil
	}
	s.wanted = time.Now()
	if next := later(s.tried, k.last).Add(unknownPause); time.Now().Before(next) {
		k.unknown.put(name, next)
	}
	return nil, s.lacks()
}

// due reports whether keys that are there already may be fetched again now. Of
// two editions that want it the one goes first whose tokens were good before,
// else the one that waited longer: made-up tokens of one edition must not keep
// the new keys of the other away.
func (k *keyring) due(e edition) bool {
	s, other := &k.shelves[e], &k.shelves[1-e]
	if time.Since(later(s.tried, k.last)) < unknownPause {
		return false
	}
	waits := other.set.Load() != nil && other.wanted.After(other.tried) && time.Since(other.wanted) < unknownPause
	if waits && s.trusted.Load() != other.trusted.Load() {
		return s.trusted.Load()
	}
	return !waits || s.tried.Before(other.tried) || s.tried.Equal(other.tried) && e == v2
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// lacks is the error for an unknown key: the token's fault, unless the keys
// could not be asked for.
func (s *shelf) lacks() error {
	if !s.failed.IsZero() {
		return errKeysAway
	}
	return bad(classUnknownKey, "the token is signed with an unknown key")
}

var errKeysAway = unavailable("the signing keys cannot be fetched")

// start fetches the keys of an edition. The fetch outlives the request that
// caused it, for others wait for it too. The caller holds the lock.
func (k *keyring) start(ctx context.Context, e edition) chan struct{} {
	s := &k.shelves[e]
	k.note(s)
	s.flight = make(chan struct{})
	go k.fly(context.WithoutCancel(ctx), e)
	return s.flight
}

func (k *keyring) fly(ctx context.Context, e edition) {
	s := &k.shelves[e]
	set, err := k.from.fetch(ctx, e, s.set.Load())
	k.tally.fetched(err)
	if err != nil {
		k.log.WarnContext(ctx, "fetch signing keys", "error", err, "have_keys", s.usable() != nil)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.note(s)
	if err == nil {
		s.set.Store(set)
		s.failed = time.Time{}
	} else {
		s.failed = time.Now()
	}
	close(s.flight)
	s.flight = nil
}

// note writes down that a fetch begins or ends. A first fetch counts for its
// edition only: one that fails again and again must not hold up the other.
func (k *keyring) note(s *shelf) {
	s.tried = time.Now()
	if s.set.Load() != nil {
		k.last = s.tried
	}
}

// landed waits for a fetch as long as the request does.
func landed(ctx context.Context, flight <-chan struct{}) error {
	select {
	case <-flight:
		return nil
	case <-ctx.Done():
		return unavailable("the request ended before the signing keys came")
	}
}
