package azfunc

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// poisonSuffix names the queue to which a message goes that failed for good.
	poisonSuffix = "-poison"
	// maxQueued bounds a queue in memory, which is not a Storage queue.
	maxQueued = 100_000
	// lease is for how long the host hides a message that it works on.
	lease = 10 * time.Minute
	// keep is how long a Storage queue keeps a message.
	keep = 7 * 24 * time.Hour
)

// queues are the app's Storage queues, in memory: what waits there is gone with
// the process.
type queues struct {
	mu     sync.Mutex
	byName map[string]*queue
}

func newQueues() *queues { return &queues{byName: map[string]*queue{}} }

func (q *queues) named(name string) *queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byName[name] == nil {
		q.byName[name] = &queue{wake: make(chan struct{}, 1)}
	}
	return q.byName[name]
}

type message struct {
	id       string
	text     string
	inserted time.Time
	visible  time.Time
	dequeued int
}

type queue struct {
	mu      sync.Mutex
	waiting []*message
	wake    chan struct{}
}

func (q *queue) put(text string) error {
	now := time.Now().UTC()
	return q.add(&message{id: newGUID(), text: text, inserted: now, visible: now})
}

func (q *queue) add(m *message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= maxQueued {
		return fmt.Errorf("the queue holds %d messages and takes no more", maxQueued)
	}
	q.waiting = append(q.waiting, m)
	select {
	case q.wake <- struct{}{}:
	default: // the reader will look anyway
	}
	return nil
}

// take hands out the visible messages, at most limit, and says when the next one
// becomes visible; the zero time is never.
func (q *queue) take(now time.Time, limit int) (taken []*message, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.DeleteFunc(q.waiting, func(m *message) bool {
		if m.visible.After(now) {
			if next.IsZero() || m.visible.Before(next) {
				next = m.visible
			}
			return false
		}
		if len(taken) == limit {
			return false
		}
		m.dequeued++
		taken = append(taken, m)
		return true
	})
	return taken, next
}

func (q *queue) texts() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var all []string
	for _, m := range q.waiting {
		all = append(all, m.text)
	}
	return all
}

// drain feeds one queue's messages to its function: a batch at a time, a further
// one when no more than newBatchThreshold are under way.
func (h *Host) drain(ctx context.Context, f *Function) {
	q := h.queues.named(f.Queue)
	var running sync.WaitGroup
	defer running.Wait()
	done := make(chan struct{}, h.app.settings.batchSize+h.app.settings.newBatchThreshold)
	for underWay := 0; ; {
		var next time.Time
		if underWay <= h.app.settings.newBatchThreshold {
			var batch []*message
			batch, next = q.take(time.Now(), h.app.settings.batchSize)
			underWay += len(batch)
			for _, m := range batch {
				running.Go(func() {
					h.process(ctx, f, q, m)
					done <- struct{}{}
				})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-done:
			underWay--
		case <-q.wake:
		case <-at(next):
		}
	}
}

// at is a channel that receives at a time, and never for the zero time.
func at(t time.Time) <-chan time.Time {
	if t.IsZero() {
		return nil
	}
	return time.After(time.Until(t))
}

// process runs one message. After maxDequeueCount failures it is poison.
func (h *Host) process(ctx context.Context, f *Function, q *queue, m *message) {
	err := h.runMessage(ctx, f, m)
	if err == nil || ctx.Err() != nil {
		return
	}
	h.log.ErrorContext(ctx, "queue function failed", "function", f.Name, "queue", f.Queue, "message_id", m.id, "dequeue_count", m.dequeued, "error", err)
	if m.dequeued < h.app.settings.maxDequeueCount {
		m.visible = time.Now().Add(h.app.settings.visibilityTimeout)
		err = q.add(m)
	} else {
		poison := f.Queue + poisonSuffix
		h.log.ErrorContext(ctx, "message has reached MaxDequeueCount and moves to the poison queue", "message_id", m.id, "queue", poison, "message", m.text)
		err = h.queues.named(poison).put(m.text)
	}
	if err != nil {
		h.log.ErrorContext(ctx, "message lost", "message_id", m.id, "error", err)
	}
}

func (h *Host) runMessage(ctx context.Context, f *Function, m *message) error {
	out, err := h.invoke(ctx, f, map[string]any{f.Binding: quote(m.text)}, messageMetadata(m))
	if err != nil {
		return err
	}
	return h.deliver(f, out)
}

// messageMetadata is what the host says of a message: its own names, and the
// top-level properties of a JSON message, each as a JSON string in a string.
func messageMetadata(m *message) map[string]any {
	metadata := map[string]any{}
	var properties map[string]json.RawMessage
	if json.Unmarshal([]byte(m.text), &properties) == nil {
		for name, value := range properties {
			if text, ok := propertyText(value); ok {
				metadata[name] = text
			}
		}
	}
	metadata["DequeueCount"] = strconv.Itoa(m.dequeued)
	metadata["Id"] = quote(m.id)
	metadata["PopReceipt"] = quote(base64.StdEncoding.EncodeToString([]byte(m.id + strconv.Itoa(m.dequeued))))
	metadata["InsertionTime"] = m.inserted.Format(wireTime)
	metadata["ExpirationTime"] = m.inserted.Add(keep).Format(wireTime)
	metadata["NextVisibleTime"] = time.Now().UTC().Add(lease).Format(wireTime)
	return metadata
}

// propertyText is a message's property as Metadata repeats it: a plain value as a
// string of .NET, quoted once more; an object as JSON. Lists and nulls are left out.
func propertyText(value json.RawMessage) (string, bool) {
	switch value[0] {
	case '"':
		return quote(string(unquote(value))), true
	case '{':
		return string(compact(value)), true
	case '[', 'n':
		return "", false
	case 't':
		return quote("True"), true
	case 'f':
		return quote("False"), true
	default:
		return quote(string(value)), true
	}
}

// messageTexts makes messages of the value of a queue output: one an element of a
// list, else one; an object is indented with newlines. A string alone that happens
// to be valid base64 is decoded, as the real host does; within a list it is not.
func messageTexts(value json.RawMessage) ([]string, error) {
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		return nil, nil
	}
	if value[0] != '[' {
		text := messageText(value)
		if decoded, err := base64.StdEncoding.DecodeString(text); value[0] == '"' && err == nil {
			text = string(decoded)
		}
		return []string{text}, nil
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(value, &elements); err != nil {
		return nil, errors.New("not a list")
	}
	var texts []string
	for _, element := range elements {
		texts = append(texts, messageText(element))
	}
	return texts, nil
}

func messageText(value json.RawMessage) string {
	if value[0] == '"' {
		return string(unquote(value))
	}
	return string(indent(value))
}

// quote writes a string as JSON as .NET does, which leaves <, > and & alone.
func quote(s string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string always encodes, and a builder takes everything
	return strings.TrimSuffix(b.String(), "\n")
}

// unquote decodes a JSON string that is known to be one.
func unquote(value json.RawMessage) []byte {
	var s string
	_ = json.Unmarshal(value, &s)
	return []byte(s)
}

func indent(value json.RawMessage) []byte {
	var b bytes.Buffer
	if json.Indent(&b, value, "", "  ") != nil {
		return value
	}
	return b.Bytes()
}

func compact(value json.RawMessage) []byte {
	var b bytes.Buffer
	if json.Compact(&b, value) != nil {
		return value
	}
	return b.Bytes()
}

// encodedSize is how large a message is in a queue whose encoding is base64.
func encodedSize(text []byte) int { return base64.StdEncoding.EncodedLen(len(text)) }
