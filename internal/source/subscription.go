package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// startPause is how long Microsoft wants to pass between two starts of one
// subscription (Management Activity API reference, "Start a subscription").
const startPause = 15 * time.Minute

var errTooSoon = errors.New("the subscription was started a short while ago")

// subscription keeps one content type subscribed to: without that the API
// collects nothing for us. It is looked at before the first listing of a
// process and started where it is not enabled. A start that was not needed
// would do harm: it removes a webhook that the subscription has.
type subscription struct {
	client      *Client
	contentType string
	turn        chan struct{} // one at a time; guards what follows
	enabled     bool
	started     time.Time // the last start that was answered
	refused     error     // what it was answered, nil after success
}

// keep makes sure, once in a process, that the subscription is enabled.
func (s *subscription) keep(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	if s.enabled {
		return nil
	}
	if s.refused != nil && time.Since(s.started) < startPause {
		return s.refused
	}
	enabled, err := s.look(ctx)
	var answer *APIError
	if err != nil && (!errors.As(err, &answer) || answer.throttled() || answer.API == Login) {
		return err
	}
	if enabled {
		s.enabled = true
		return nil
	}
	return s.start(ctx)
}

// restart starts a subscription that a listing did not find; errTooSoon when
// that was done less than 15 minutes ago.
func (s *subscription) restart(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	if !s.started.IsZero() && time.Since(s.started) < startPause {
		return errTooSoon
	}
	return s.start(ctx)
}

func (s *subscription) lock(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("subscribe to %s: %w", s.contentType, ctx.Err())
	}
}

func (s *subscription) unlock() { <-s.turn }

// look reports whether the subscription is enabled.
func (s *subscription) look(ctx context.Context) (bool, error) {
	op := "look at the subscription to " + s.contentType
	resp, err := s.client.get(ctx, s.client.management, op, s.client.feedURL("subscriptions/list", nil))
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	enabled := false
	err = newSplitter(&capped{resp.Body, maxPage}).list(maxMember, func(raw []byte) bool {
		var sub struct{ ContentType, Status string }
		if json.Unmarshal(raw, &sub) == nil && strings.EqualFold(sub.ContentType, s.contentType) {
			enabled = strings.EqualFold(sub.Status, "enabled")
		}
		return true
	})
	if err != nil {
		return false, bodyError(op, Management, err)
	}
	return enabled, nil
}

// start starts the subscription. That it is enabled already is success: the
// reference answers that with 200, the wire with 400 AF20024.
func (s *subscription) start(ctx context.Context) error {
	op := "subscribe to " + s.contentType
	link := s.client.feedURL("subscriptions/start", url.Values{"contentType": {s.contentType}})
	resp, err := s.client.request(ctx, s.client.management, op, http.MethodPost, link)
	var answer *APIError
	if errors.As(err, &answer) && answer.Code == "AF20024" {
		err = nil
	}
	if err != nil {
		if answer != nil && answer.API == Management && !answer.throttled() && !answer.passing() {
			s.started, s.refused = time.Now(), err
		}
		return err
	}
	if resp != nil {
		resp.Body.Close()
	}
	s.enabled, s.started, s.refused = true, time.Now(), nil
	s.client.log.InfoContext(ctx, "subscribed", "content_type", s.contentType)
	return nil
}
