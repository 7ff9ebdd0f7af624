package simtenant

import (
	"maps"
	"net/http"
	"sync"
	"time"
)

// Calls counts what was asked of one endpoint.
type Calls struct {
	Requests  int
	Throttled int         // answers that told the client to slow down, 429 or 403 AF429
	Statuses  map[int]int // by HTTP status; 0 is a connection that got no answer
}

// Call is one request that was answered. Headers are not kept, so no token is.
type Call struct {
	At       time.Time
	Endpoint string
	Method   string
	Path     string
	Query    string
	Status   int
}

// maxCalls bounds the log; the counters know all.
const maxCalls = 4096

type callLog struct {
	mu     sync.Mutex
	counts map[string]Calls
	log    []Call
}

// Calls returns the counters of an endpoint: "token", "discovery", "keys",
// "authorize", "choose", "logout", "secret", "getMemberObjects",
// "directoryAudits", "signIns", "provisioning", "riskDetections", "auditEvents", "getByIds", "start", "stop",
// "list", "content", "blob", "notifications", "dlpSensitiveTypes", "other".
func (t *Tenant) Calls(endpoint string) Calls {
	t.calls.mu.Lock()
	defer t.calls.mu.Unlock()
	c := t.calls.counts[endpoint]
	c.Statuses = maps.Clone(c.Statuses)
	return c
}

// Log returns the last calls, oldest first, at most 4,096.
func (t *Tenant) Log() []Call {
	t.calls.mu.Lock()
	defer t.calls.mu.Unlock()
	return append([]Call(nil), t.calls.log...)
}

func (l *callLog) note(at time.Time, endpoint string, r *http.Request, out *answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = map[string]Calls{}
	}
	c := l.counts[endpoint]
	if c.Statuses == nil {
		c.Statuses = map[int]int{}
	}
	c.Requests++
	c.Statuses[out.status]++
	if out.throttled {
		c.Throttled++
	}
	l.counts[endpoint] = c
	if len(l.log) == maxCalls {
		l.log = append(l.log[:0], l.log[maxCalls/2:]...)
	}
	query := r.URL.RawQuery
	if endpoint == "choose" || endpoint == "logout" {
		query = "" // half a credential, or a token as a hint
	}
	l.log = append(l.log, Call{at, endpoint, r.Method, r.URL.Path, query, out.status})
}

// answer remembers what was answered.
type answer struct {
	http.ResponseWriter
	status    int
	throttled bool
}

// Unwrap lets http.ResponseController flush what is behind.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
		a.throttled = status == http.StatusTooManyRequests || a.Header().Get(throttledHeader) != ""
		a.Header().Del(throttledHeader)
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(b)
}
