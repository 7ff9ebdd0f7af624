package simtenant

import (
	crand "crypto/rand"
	"encoding/base64"
	"sync"
	"time"
)

// ticketState is what has become of a ticket.
type ticketState int

const (
	ticketUnknown ticketState = iota
	ticketGood
	ticketExpired
	ticketUsed
)

const (
	// maxTickets bounds what is remembered; then those that end first go.
	maxTickets = 10_000
	// rememberedFor is how long a ticket that ended can be told from one that
	// never was.
	rememberedFor = time.Hour
)

// tickets are values that are handed out under random names for a while:
// sign-ins in progress, codes, refresh tokens. Safe for concurrent use.
type tickets[V any] struct {
	mu   sync.Mutex
	held map[string]*ticket[V]
}

type ticket[V any] struct {
	value V
	ends  time.Time
	used  bool
}

// hand gives a value a name.
func (t *tickets[V]) hand(v V, now, ends time.Time) string {
	var random [32]byte
	_, _ = crand.Read(random[:]) // never fails
	name := "1." + base64.RawURLEncoding.EncodeToString(random[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	t.makeRoom(now)
	put(&t.held, name, &ticket[V]{value: v, ends: ends})
	return name
}

func (t *tickets[V]) makeRoom(now time.Time) {
	first := ""
	for name, k := range t.held {
		if now.Sub(k.ends) > rememberedFor {
			delete(t.held, name)
			continue
		}
		if first == "" || k.ends.Before(t.held[first].ends) {
			first = name
		}
	}
	if len(t.held) >= maxTickets {
		delete(t.held, first)
	}
}

// look returns the value of a good ticket.
func (t *tickets[V]) look(name string, now time.Time) (V, ticketState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state(name, now)
}

func (t *tickets[V]) state(name string, now time.Time) (v V, state ticketState) {
	k, ok := t.held[name]
	switch {
	case !ok:
		return v, ticketUnknown
	case k.used:
		return v, ticketUsed
	case !now.Before(k.ends):
		return v, ticketExpired
	}
	return k.value, ticketGood
}

// redeem uses a good ticket up if check has nothing against it. Of several who
// try at once one succeeds.
func (t *tickets[V]) redeem(name string, now time.Time, check func(V) error) (V, ticketState, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, state := t.state(name, now)
	if state != ticketGood {
		return v, state, nil
	}
	if err := check(v); err != nil {
		return v, state, err
	}
	t.held[name].used = true
	return v, state, nil
}
