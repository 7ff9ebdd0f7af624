package simtenant

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// FaultKind is a way in which a request can go wrong.
type FaultKind int

// The kinds of fault.
const (
	FaultStatus        FaultKind = iota // the API's error body with Fault.Status
	FaultExpired                        // 401, as for a token that has just run out
	FaultReset                          // the connection breaks before an answer
	FaultCut                            // the connection breaks in the middle of the body
	FaultDrip                           // the body comes in small pieces, Fault.Delay apart
	FaultTruncatedGzip                  // a gzip body that ends too early, whether or not one was asked for
	FaultHalfArray                      // half a JSON body, and a proper end
	FaultHTML                           // a web page with status 200
	FaultNoID                           // the first record has lost its id
	FaultExtraKeys                      // every record has keys that nobody knows
	FaultLatency                        // Fault.Delay before anything else
)

// Fault is one fault to switch on. Beware of FaultReset over HTTP/1.1: Go's
// http.Transport quietly repeats a GET whose connection broke while it was
// reused, and so uses up strikes. Serve speaks HTTP/2, where it does not.
type Fault struct {
	Kind     FaultKind
	Endpoint string                   // as in Calls; "" is every endpoint
	Match    func(*http.Request) bool // further condition, nil for none
	Times    int                      // requests that it strikes; 0 is all until Clear

	Status     int           // of FaultStatus: 503, 500, 429, …
	RetryAfter RetryAfter    // of FaultStatus; nil sends no header
	Delay      time.Duration // of FaultLatency and FaultDrip; default 100 ms
}

// RetryAfter is the text of a Retry-After header at a moment.
type RetryAfter func(now time.Time) string

// RetryAfterSeconds is the header as a number of seconds; 0 is a valid one.
func RetryAfterSeconds(n int) RetryAfter {
	return func(time.Time) string { return strconv.Itoa(n) }
}

// RetryAfterDate is the header as a date so far from now. [RFC 9110 10.2.3]
func RetryAfterDate(d time.Duration) RetryAfter {
	return func(now time.Time) string { return now.Add(d).UTC().Format(http.TimeFormat) }
}

// RetryAfterText is the header as any text, however absurd.
func RetryAfterText(text string) RetryAfter { return func(time.Time) string { return text } }

// Faults are the switches for what goes wrong in a tenant. Safe for concurrent
// use while it serves.
type Faults struct {
	tenant *Tenant

	mu     sync.Mutex
	struck []*armed
	states faultStates
}

type armed struct {
	Fault
	left int
}

// Add switches a fault on. Faults of different kinds can strike one request;
// of one kind the one that was added first does.
func (f *Faults) Add(fault Fault) {
	if fault.Delay == 0 {
		fault.Delay = 100 * time.Millisecond
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.struck = append(f.struck, &armed{fault, fault.Times})
}

// Clear switches everything off. Blobs that were held back are listed from
// now on; blobs that were added stay, for what was published stays published.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.struck = nil
	f.states = faultStates{added: f.states.added}
}

// Pending returns how many strikes of counted faults have not been used.
func (f *Faults) Pending() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, a := range f.struck {
		n += a.left
	}
	return n
}

// draw takes the faults that strike a request.
func (f *Faults) draw(endpoint string, r *http.Request) strike {
	f.mu.Lock()
	defer f.mu.Unlock()
	hit := strike{}
	for _, a := range f.struck {
		if _, already := hit[a.Kind]; already || a.Endpoint != "" && a.Endpoint != endpoint || a.Match != nil && !a.Match(r) {
			continue
		}
		if a.Times > 0 {
			if a.left == 0 {
				continue
			}
			a.left--
		}
		hit[a.Kind] = a.Fault
	}
	f.struck = slices.DeleteFunc(f.struck, func(a *armed) bool { return a.Times > 0 && a.left == 0 })
	return hit
}

// strike is the faults of one request.
type strike map[FaultKind]Fault

// wait lets the added latency pass; false says that the client has gone.
func (s strike) wait(ctx context.Context) bool {
	late, ok := s[FaultLatency]
	if !ok {
		return true
	}
	return pause(ctx, late.Delay)
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// refusal is the answer instead of the endpoint's own, or nil. A broken
// connection does not return.
func (s strike) refusal(t *Tenant, of api, r *http.Request) error {
	if _, ok := s[FaultReset]; ok {
		panic(http.ErrAbortHandler)
	}
	if _, ok := s[FaultExpired]; ok {
		return t.plainRefusal(of, http.StatusUnauthorized, r)
	}
	fault, ok := s[FaultStatus]
	if !ok {
		return nil
	}
	no := t.plainRefusal(of, fault.Status, r)
	if fault.RetryAfter != nil {
		no.header.Set("Retry-After", fault.RetryAfter(t.now()))
	}
	return no
}

type changeKey struct{}

// attach hands the faults that change records to whoever writes them.
func (s strike) attach(ctx context.Context) context.Context {
	_, noID := s[FaultNoID]
	_, extra := s[FaultExtraKeys]
	if !noID && !extra {
		return ctx
	}
	return context.WithValue(ctx, changeKey{}, func(i int, r *record) []byte {
		body := []byte(r.Body)
		if noID && i == 0 {
			body = withoutID(body)
		}
		if extra {
			body = withExtraKeys(body)
		}
		return body
	})
}

// changeOf returns what a record's bytes become on their way out.
func changeOf(r *http.Request) func(int, *record) []byte {
	if change, ok := r.Context().Value(changeKey{}).(func(int, *record) []byte); ok {
		return change
	}
	return func(_ int, r *record) []byte { return r.Body }
}
