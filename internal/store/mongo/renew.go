package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
)

const (
	askEvery  = 5 * time.Minute  // how old the connection string may be when the store is used
	askAgain  = 10 * time.Second // likewise, once the server has refused it
	renewTime = opTime           // for asking and connecting anew
	lingering = 2 * writeTime    // how long what runs on the old connections has to end
)

// Codes with which servers refuse who connects, or a connection whose
// credentials are no good any more.
// https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
var refusals = []int32{13, 18, 8000} // Unauthorized, AuthenticationFailed, AtlasError

func isRefusal(err error) bool {
	e := driver.Error{}
	return errors.As(err, &e) && slices.Contains(refusals, e.Code)
}

// connectionString asks for it and looks that it is one.
func (s *Store) connectionString(ctx context.Context) (string, error) {
	s.refused.Store(false)
	s.asked.Store(s.now().UnixNano())
	uri, err := s.ask(ctx)
	if err != nil {
		return "", fmt.Errorf("ask for the connection string: %w", err)
	}
	return uri, checkURI(uri)
}

// renewWhenDue asks for the connection string anew where it is old or was
// refused. Nobody waits for it: what is asked of the store meanwhile goes over
// the connections that are there.
func (s *Store) renewWhenDue() {
	every := askEvery
	if s.refused.Load() {
		every = askAgain
	}
	was, now := s.asked.Load(), s.now().UnixNano()
	if now-was >= int64(every) && s.asked.CompareAndSwap(was, now) {
		s.inBackground(s.renew)
	}
}

// renew connects with the connection string as it is now, where it has changed.
// What fails here is tried again later, and the connections that are there
// remain: should they be no good any more, whoever uses them is told.
func (s *Store) renew(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	select {
	case s.dialling <- struct{}{}:
		defer func() { <-s.dialling }()
	case <-ctx.Done():
		return
	}
	uri, err := s.connectionString(ctx)
	if err != nil || uri == s.uri || serverOf(uri) != serverOf(s.uri) {
		return
	}
	client, err := s.dial(ctx, uri)
	if err != nil {
		return
	}
	s.uri = uri
	s.retire(s.client.Swap(client))
}

// retire disconnects a client once what runs on it has had time to end.
func (s *Store) retire(client *mongo.Client) {
	wait := func(ctx context.Context) {
		select {
		case <-time.After(s.linger):
		case <-ctx.Done():
		}
		_ = disconnect(client) // it is of no use to anybody any more
	}
	if !s.inBackground(wait) {
		_ = disconnect(client)
	}
}

func disconnect(client *mongo.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), selectTime)
	defer cancel()
	return client.Disconnect(ctx)
}

// inBackground runs f until it ends or the store is closed, and reports whether
// it does: on a closed store nothing is begun.
func (s *Store) inBackground(f func(context.Context)) bool {
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.closed.Load() {
		return false
	}
	s.background.Go(func() { f(s.life) })
	return true
}

// watchPool notices that a server refuses new connections.
func (s *Store) watchPool() *event.PoolMonitor {
	return &event.PoolMonitor{Event: func(e *event.PoolEvent) { s.noteRefusal(e.Error) }}
}

// watchCommands notices that a server refuses what comes over an old one.
func (s *Store) watchCommands() *event.CommandMonitor {
	m := event.CommandMonitor{}
	if s.monitor != nil {
		m = *s.monitor
	}
	m.Failed = func(_ context.Context, e *event.CommandFailedEvent) { s.noteRefusal(e.Failure) }
	return &m
}

func (s *Store) noteRefusal(err error) {
	if err == nil || !isRefusal(err) {
		return
	}
	s.refused.Store(true)
	if s.client.Load() != nil { // else whoever comes next asks
		s.renewWhenDue()
	}
}

// serverOf is where a connection string leads. Documents and numbers that were
// noted as written are so there and nowhere else: a running store stays.
func serverOf(uri string) string {
	scheme, rest, _ := strings.Cut(uri, "://")
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	return strings.ToLower(scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:])
}
