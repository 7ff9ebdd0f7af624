package azfunc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// maxEnvelope caps what a handler reads of one invocation. A queue message has
// at most 64 KiB; the envelope holds it twice over, escaped twice.
const maxEnvelope = 1 << 20

// Invocation is one call of a function that is not HTTP only, as the host posts
// it: {"Data":{…},"Metadata":{…}}. Work is read from Data alone: Metadata repeats
// a message's own properties beside the queue's.
type Invocation struct {
	ID       string `json:"-"` // of the header X-Azure-Functions-InvocationId
	Data     map[string]json.RawMessage
	Metadata map[string]json.RawMessage
}

// Timer is the value of a timer trigger.
type Timer struct {
	IsPastDue bool
	// ScheduleStatus is nil for schedules under a minute.
	ScheduleStatus *ScheduleStatus
}

// ScheduleStatus says when a timer fired last and fires next; a zero time means
// never.
type ScheduleStatus struct {
	Last, Next, LastUpdated time.Time
}

// Timer reads the timer trigger named binding.
func (in Invocation) Timer(binding string) (Timer, error) {
	var t Timer
	if err := in.object(binding, &t); err != nil {
		return Timer{}, fmt.Errorf("read timer %q: %w", binding, err)
	}
	return t, nil
}

// Message reads the queue message of the trigger named binding into the struct
// or map that into points to. The message must be a JSON object; properties that
// into does not know are ignored, since two versions of the program may share a
// queue while one replaces the other.
func (in Invocation) Message(binding string, into any) error {
	if err := in.object(binding, into); err != nil {
		return fmt.Errorf("read queue message %q: %w", binding, err)
	}
	return nil
}

// DequeueCount says how often the queue message was handed out, this time
// included; 0 where the host did not say.
func (in Invocation) DequeueCount() int {
	n, err := strconv.Atoi(string(unwrap(in.Metadata["DequeueCount"])))
	if err != nil {
		return 0
	}
	return n
}

func (in Invocation) object(binding string, into any) error {
	raw, ok := in.Data[binding]
	if !ok {
		return errors.New("the host sent no such binding")
	}
	if raw = unwrap(raw); len(raw) == 0 || raw[0] != '{' {
		return errors.New("expected a JSON object")
	}
	return json.Unmarshal(raw, into)
}

// unwrap decodes until the value is no longer a JSON string: a string in an
// envelope is a JSON string that itself holds JSON, and a queue message is one
// more string in there.
func unwrap(raw json.RawMessage) json.RawMessage {
	for range 8 {
		raw = bytes.TrimSpace(raw)
		var s string
		if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
			break
		}
		raw = json.RawMessage(s)
	}
	return raw
}

// Result is what a function gives back. Its zero value says: done, nothing to
// hand on.
type Result struct {
	// Queues holds the messages for each queue output, by the binding's name.
	Queues map[string][]Message
	// Logs are lines that the host writes at information level.
	Logs []string
}

// answer is a result as the host wants it. All three properties are always
// there: an empty 2xx body never completes the invocation, and a timer that got
// one does not fire again.
type answer struct {
	Outputs     map[string][]Message
	Logs        []string
	ReturnValue any
	Error       string `json:",omitempty"`
}

func (r Result) answer() answer {
	a := answer{Outputs: map[string][]Message{}, Logs: r.Logs}
	for name, messages := range r.Queues {
		a.Outputs[name] = append([]Message{}, messages...)
	}
	if a.Logs == nil {
		a.Logs = []string{}
	}
	return a
}

// Handler serves one timer or queue function at POST /{FunctionName}.
//
// An error of fn, and a panic, is logged here and answered 500, upon which the
// host tries a queue message again and lets a timer wait for its next time; the
// real host does not log the body. Whatever is not an envelope from the host is
// answered 404, whoever sends it.
func Handler(log *slog.Logger, fn func(context.Context, Invocation) (Result, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := readInvocation(w, r)
		if err != nil {
			log.WarnContext(r.Context(), "not an invocation", "path", r.URL.Path, "method", r.Method, "error", err)
			http.NotFound(w, r)
			return
		}
		result, err := run(r.Context(), log, in, fn)
		var body []byte
		if err == nil {
			body, err = json.Marshal(result.answer())
		}
		if err != nil {
			log.ErrorContext(r.Context(), "invocation failed", "path", r.URL.Path, "invocation_id", in.ID, "error", err)
			writeFailure(w, err)
			return
		}
		writeJSON(w, http.StatusOK, body)
	})
}

// run calls fn and turns a panic into an error: three exits of the handler stop
// the whole host, so no input may bring it down.
func run(ctx context.Context, log *slog.Logger, in Invocation, fn func(context.Context, Invocation) (Result, error)) (result Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			log.ErrorContext(ctx, "panic", "invocation_id", in.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			result, err = Result{}, fmt.Errorf("panic: %v", p)
		}
	}()
	return fn(ctx, in)
}

func readInvocation(w http.ResponseWriter, r *http.Request) (Invocation, error) {
	if r.Method != http.MethodPost {
		return Invocation{}, errors.New("not a POST")
	}
	if !isLoopback(r.Host) {
		return Invocation{}, errors.New("not called by this machine's name") // by a page whose name points here
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return Invocation{}, errors.New("not of type application/json")
	}
	in := Invocation{ID: r.Header.Get(headerInvocation)}
	if in.ID == "" {
		return Invocation{}, errors.New("without an invocation id")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEnvelope))
	if err != nil {
		return Invocation{}, fmt.Errorf("read body: %w", err)
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return Invocation{}, fmt.Errorf("not an envelope: %w", err)
	}
	if in.Data == nil || in.Metadata == nil {
		return Invocation{}, errors.New("not an envelope: Data or Metadata is missing")
	}
	return in, nil
}

func writeFailure(w http.ResponseWriter, cause error) {
	a := Result{}.answer()
	a.Error = cause.Error()
	body, err := json.Marshal(a)
	if err != nil {
		body = []byte(`{"Outputs":{},"Logs":[],"ReturnValue":null}`)
	}
	writeJSON(w, http.StatusInternalServerError, body)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the host went away: there is nobody to tell
}

// maxMessage is what a Storage queue takes of one message, after base64.
const maxMessage = 64 << 10

// taken are the names that the host puts beside a message's own properties in
// Metadata, where the two would meet.
var taken = []string{"Id", "DequeueCount", "ExpirationTime", "InsertionTime", "NextVisibleTime", "PopReceipt", "QueueTrigger", "sys", "RetryContext"}

// Message is a JSON object for a queue. There is no other kind: the host decodes
// a string that happens to be valid base64 ("aGVsbG8=" arrives as "hello").
type Message struct{ object json.RawMessage }

// NewMessage makes a message of what v is in JSON. It fails where that is not an
// object, where a property has a name that the queue trigger uses itself, and
// where the message is more than a Storage queue takes (64 KiB after the host has
// indented it and encoded it in base64).
func NewMessage(v any) (Message, error) {
	object, err := json.Marshal(v)
	if err != nil {
		return Message{}, fmt.Errorf("encode queue message: %w", err)
	}
	var properties map[string]json.RawMessage
	if object[0] != '{' || json.Unmarshal(object, &properties) != nil {
		return Message{}, fmt.Errorf("queue message: expected a JSON object, got %T", v)
	}
	for name := range properties {
		for _, own := range taken {
			if strings.EqualFold(name, own) {
				return Message{}, fmt.Errorf("queue message: a property must not be named %q, the host uses that name itself", name)
			}
		}
	}
	if size := encodedSize(indent(object)); size > maxMessage {
		return Message{}, fmt.Errorf("queue message: %d bytes on the queue, a queue takes %d", size, maxMessage)
	}
	return Message{object}, nil
}

// MarshalJSON gives the object; that of the zero Message is empty.
func (m Message) MarshalJSON() ([]byte, error) {
	if m.object == nil {
		return []byte("{}"), nil
	}
	return m.object, nil
}

// isLoopback reports whether a Host header is the one that the host calls by:
// this machine's own address.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}
