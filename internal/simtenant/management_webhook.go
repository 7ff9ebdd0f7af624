package simtenant

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// webhook is where notifications of a content type go.
type webhook struct {
	address, authID string
	expiration      time.Time // zero: never
	enabled         bool
	told            time.Time // contentCreated up to which notifications went out
}

func sameWebhook(a, b *webhook) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.enabled && a.address == b.address && a.authID == b.authID && a.expiration.Equal(b.expiration)
}

func (h *webhook) status(now time.Time) string {
	switch {
	case !h.expiration.IsZero() && !now.Before(h.expiration):
		return "expired"
	case !h.enabled:
		return "disabled"
	}
	return "enabled"
}

func (h *webhook) view(now time.Time) map[string]any {
	out := map[string]any{"status": h.status(now), "address": h.address, "authId": h.authID, "expiration": nil}
	if !h.expiration.IsZero() {
		out["expiration"] = h.expiration.Format(contentLayout)
	}
	return out
}

// notification is one attempt to tell a webhook of a blob.
type notification struct {
	blob   blob
	at     time.Time
	status string
}

// validate asks a new webhook to prove that it wants to be one. [REF "Webhook
// validation"]
func (t *Tenant) validate(ctx context.Context, hook *webhook) error {
	code := newRequestID()
	body, err := json.Marshal(map[string]string{"validationCode": code})
	if err != nil {
		return fmt.Errorf("encode a validation: %w", err)
	}
	if !t.post(ctx, hook, body, code) {
		return af("AF20021", hook.address, "The endpoint did not return HTTP 200.")
	}
	return nil
}

// post sends to a webhook. Anything but 200 is a failure, 202 and 204 too.
func (t *Tenant) post(ctx context.Context, hook *webhook, body []byte, validation string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.address, bytes.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	if hook.authID != "" {
		r.Header.Set("Webhook-AuthID", hook.authID)
	}
	if validation != "" {
		r.Header.Set("Webhook-ValidationCode", validation)
	}
	resp, err := t.webhooks.Do(r)
	if err != nil {
		return false
	}
	_ = resp.Body.Close() // only the status counts
	return resp.StatusCode == http.StatusOK
}

// Notify sends to the webhook of every enabled subscription what has been
// published since the last time, one request a content type. A webhook that
// fails is disabled until start is called again. It returns how many blobs
// were told of. There is no timer: whoever runs the tenant calls it.
func (t *Tenant) Notify(ctx context.Context, origin string) int {
	told := 0
	for _, feed := range contentTypes {
		s, err := t.subscribed(feed)
		if err != nil || s.webhook == nil || s.webhook.status(t.now()) != "enabled" {
			continue
		}
		told += t.notify(ctx, origin, feed, *s.webhook)
	}
	return told
}

func (t *Tenant) notify(ctx context.Context, origin, feed string, hook webhook) int {
	now := t.now().UTC()
	blobs := t.blobs(feed, hook.told, now)
	if len(blobs) == 0 {
		return 0
	}
	items := make([]map[string]any, len(blobs))
	for i, b := range blobs {
		items[i] = t.contentItem(origin, b)
		items[i]["tenantId"], items[i]["clientId"] = t.TenantID(), t.clientID
	}
	body, err := json.Marshal(items)
	ok := err == nil && t.post(ctx, &hook, body, "")
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.subscriptions[feed]
	if s == nil || s.webhook == nil || s.webhook.address != hook.address {
		return 0
	}
	status := "success"
	if !ok {
		status = "failed"
	}
	for _, b := range blobs {
		b.records = nil // the list tells of blobs, it does not hold them
		s.sent = append(s.sent, notification{b, now, status})
	}
	s.webhook.enabled = ok
	if !ok {
		return 0
	}
	s.webhook.told = now
	return len(blobs)
}

// listNotifications answers what was sent to the webhook of a content type.
func (t *Tenant) listNotifications(w http.ResponseWriter, r *http.Request, g grant) error {
	feed, err := t.contentType(r, g)
	if err != nil {
		return err
	}
	s, err := t.subscribed(feed)
	if err != nil {
		return err
	}
	win, err := t.window(r)
	if err != nil {
		return err
	}
	sent := slices.DeleteFunc(s.sent, func(n notification) bool {
		return n.blob.created.Before(win.from) || !n.blob.created.Before(win.to)
	})
	start, err := pageStart(r, len(sent))
	if err != nil {
		return err
	}
	end := min(start+t.pageSize, len(sent))
	items := make([]map[string]any, 0, end-start)
	for _, n := range sent[start:end] {
		item := t.contentItem(origin(r), n.blob)
		item["notificationSent"], item["notificationStatus"] = n.at.Format(contentLayout), n.status
		items = append(items, item)
	}
	if end < len(sent) {
		w.Header().Set("NextPageUri", t.nextPage(r, win, fmt.Sprintf("N%d", end)))
	}
	return writeJSON(w, items)
}

// pageStart reads the place of a page in a list that only grows at its end.
func pageStart(r *http.Request, total int) (int, error) {
	text := r.URL.Query().Get("nextPage")
	if text == "" {
		return 0, nil
	}
	var n int
	if _, err := fmt.Sscanf(text, "N%d", &n); err != nil || n < 0 || n > total {
		return 0, af("AF20031", text)
	}
	return n, nil
}
