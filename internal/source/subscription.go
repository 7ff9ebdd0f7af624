package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	looked      time.Time         // the last look that was answered
	started     time.Time         // the last start that was answered
	refused     error             // what it was answered, nil after success
	sent        [sha256.Size]byte // hash of the AuthID that the webhook was set with here; zero: it was set before this process began
}

// Webhook is where the Management API tells of new content besides being asked.
// Polling goes on: a webhook is disabled after failures, and tells late.
type Webhook struct {
	Address string // https
	// AuthID is what comes back in the header Webhook-AuthID of every call: a
	// secret, which may change.
	AuthID func(ctx context.Context) (string, error)
}

// keep makes sure, once in a process, that the subscription is enabled, and
// every 15 minutes that its webhook is, where there is to be one.
func (s *subscription) keep(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	if s.enabled && (s.client.webhook.Address == "" || time.Since(s.looked) < startPause) {
		return nil
	}
	if s.refused != nil && time.Since(s.started) < startPause {
		return s.refused
	}
	enabled, hooked, err := s.look(ctx)
	var answer *APIError
	if err != nil && (!errors.As(err, &answer) || answer.throttled() || answer.API == Login) {
		return err
	}
	s.looked = time.Now()
	hooked = hooked && !s.changed(ctx)
	if s.client.webhook.Address != "" && !hooked && time.Since(s.started) >= startPause {
		if err := s.start(ctx, s.client.webhook); err == nil {
			return nil
		} else {
			s.client.log.WarnContext(ctx, "the webhook is not set: new content is found by asking", "content_type", s.contentType, "error", err)
			s.refused = nil // that the webhook was refused says nothing of the subscription
		}
	}
	if enabled {
		s.enabled = true
		return nil
	}
	return s.start(ctx, Webhook{})
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
	return s.start(ctx, Webhook{})
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

// look reports whether the subscription is enabled, and whether its webhook is
// ours and enabled.
func (s *subscription) look(ctx context.Context) (enabled, hooked bool, err error) {
	op := "look at the subscription to " + s.contentType
	resp, err := s.client.get(ctx, s.client.management, op, s.client.feedURL("subscriptions/list", nil))
	if err != nil {
		return false, false, err
	}
	defer resp.Body.Close()
	err = newSplitter(&capped{resp.Body, maxPage}).list(maxMember, func(raw []byte) bool {
		var sub struct {
			ContentType, Status string
			Webhook             struct{ Status, Address string }
		}
		if json.Unmarshal(raw, &sub) == nil && strings.EqualFold(sub.ContentType, s.contentType) {
			enabled = strings.EqualFold(sub.Status, "enabled")
			hooked = enabled && strings.EqualFold(sub.Webhook.Status, "enabled") && sub.Webhook.Address == s.client.webhook.Address
		}
		return true
	})
	if err != nil {
		return false, false, bodyError(op, Management, err)
	}
	return enabled, hooked, nil
}

// start starts the subscription, with a webhook where hook has an address. That it is enabled already is success: the
// reference answers that with 200, the wire with 400 AF20024.
func (s *subscription) start(ctx context.Context, hook Webhook) error {
	op := "subscribe to " + s.contentType
	req, err := s.startRequest(ctx, hook)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	resp, err := s.client.call(ctx, s.client.management, op, req)
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

// changed reports whether the webhook was set here with another AuthID than the
// one that counts now.
func (s *subscription) changed(ctx context.Context) bool {
	if s.sent == [sha256.Size]byte{} {
		return false
	}
	id, err := s.client.webhook.AuthID(ctx)
	return err == nil && sha256.Sum256([]byte(id)) != s.sent
}

func (s *subscription) startRequest(ctx context.Context, hook Webhook) (*http.Request, error) {
	link := s.client.feedURL("subscriptions/start", url.Values{"contentType": {s.contentType}})
	var body io.Reader
	if hook.Address != "" {
		id, err := hook.AuthID(ctx)
		if err != nil {
			return nil, fmt.Errorf("the webhook's secret: %w", err)
		}
		text, err := json.Marshal(map[string]any{"webhook": map[string]string{"address": hook.Address, "authId": id, "expiration": ""}})
		if err != nil {
			return nil, err
		}
		s.sent = sha256.Sum256([]byte(id))
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, link.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	return req, nil
}
