package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"aoc/internal/audit"
)

// Access is who may call a route. Its zero value wants a token, so that a route
// that forgets to say is not open.
type Access int

// Who may call.
const (
	Members      Access = iota // who is signed in and let in
	Unrestricted               // of them those from whom no service is hidden: its answer cannot be told apart by service
	Admins                     // of them those who may change things
	Open                       // everybody: it tells nothing, or asks for a secret of its own
)

// Kind is whose quota a route counts against.
type Kind string

// The kinds. Zero is the default quota.
const (
	Reads     Kind = ""
	Writes    Kind = "write"
	Fetches   Kind = "fetch"
	Asks      Kind = "ask"
	Unlimited Kind = "unlimited" // nobody is known yet, or Microsoft calls
)

// DefaultQuotas are those that no setting changes, and the default one.
func DefaultQuotas(requests int, window time.Duration) map[Kind]audit.Quota {
	return map[Kind]audit.Quota{
		Reads:   {Name: "default", Requests: requests, Window: window},
		Writes:  {Name: "write", Requests: 20, Window: time.Minute},
		Fetches: {Name: "fetch", Requests: 10, Window: time.Hour},
		Asks:    {Name: "ask", Requests: 30, Window: time.Minute},
	}
}

// limitTime bounds a decision about a quota. A caller is not let through when
// it takes longer. Redis has a bound of its own, well within 250 ms; a store
// that is busy collecting may take a moment more.
const limitTime = 2 * time.Second

var (
	errAdminsOnly   = errors.New("this is for administrators of AOC: ask for one of the roles in AUTH_ADMIN_ROLES")
	errUnrestricted = errors.New("this cannot be told apart by service, and some services are hidden from you: ask for one of the roles in PRIVACY_SERVICE_ROLES")
)

// limitedError is a request over its caller's quota, or one of which that
// cannot be known.
type limitedError struct {
	quota   audit.Quota
	retry   time.Duration
	unknown error // why it cannot be known
}

func (e *limitedError) Error() string {
	if e.unknown != nil {
		return "the limits cannot be looked up right now, and without them no request is let through: try again in a moment"
	}
	return fmt.Sprintf("too many requests: %d in %s are the most, try again in %s", e.quota.Requests, span(e.quota.Window), span(e.retry))
}

// span is a length of time in words, seconds rounded up.
func span(d time.Duration) string {
	switch s := seconds(d); {
	case s%3600 == 0:
		return plural(s/3600, "hour")
	case s%60 == 0:
		return plural(s/60, "minute")
	default:
		return plural(s, "second")
	}
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

// seconds rounds up, to 1 at least: a header that says 0 invites at once.
func seconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }

// admit finds out who asks and whether that one may, and returns the request
// with the principal in its context.
func (a *API) admit(route Route, w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	if route.Access == Open {
		return r, nil
	}
	p, err := a.Callers.Authenticate(r.Context(), r.Header.Values("Authorization"))
	r = r.WithContext(audit.WithPrincipal(r.Context(), p))
	if err != nil {
		a.noteStranger(r, p, err)
		return r, err
	}
	if err := a.limit(route, w, r, p); err != nil {
		return r, err
	}
	a.noteSignIn(r, p)
	return r, a.allow(route, r, p)
}

// allow checks what the route demands of who is signed in.
func (a *API) allow(route Route, r *http.Request, p audit.Principal) error {
	err := error(nil)
	switch {
	case p.Scope.Nothing():
		err = errUnrestricted
	case route.Access == Admins && !p.Admin:
		err = errAdminsOnly
	case route.Access == Unrestricted && !p.Scope.Whole():
		err = errUnrestricted
	}
	if err != nil {
		a.noteRefusal(r, route, err)
	}
	return err
}

// limit takes the request from its caller's quota and says in the answer's
// headers what is left (RateLimit header fields for HTTP, draft 10, and the
// three fields of the drafts before it, which more clients read).
func (a *API) limit(route Route, w http.ResponseWriter, r *http.Request, p audit.Principal) error {
	if route.Kind == Unlimited {
		return nil
	}
	q, who := a.Quotas[route.Kind], p.Key()
	if p.Kind == audit.Anonymous {
		who += "|" + a.clientIP(r)
	}
	ctx, cancel := context.WithTimeout(r.Context(), limitTime)
	defer cancel()
	d, err := a.Limiter.Take(ctx, q, who)
	if err != nil {
		a.metrics().unlimited.Inc()
		a.Log.DebugContext(r.Context(), "a quota cannot be looked up: the request is refused", "quota", q.Name, "error", err)
		return &limitedError{quota: q, retry: time.Second, unknown: err}
	}
	h := w.Header()
	h.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", q.Name, q.Requests, seconds(q.Window)))
	h.Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", q.Name, d.Remaining, seconds(d.Reset)))
	h.Set("RateLimit-Limit", strconv.Itoa(q.Requests))
	h.Set("RateLimit-Remaining", strconv.Itoa(d.Remaining))
	h.Set("RateLimit-Reset", strconv.Itoa(seconds(d.Reset)))
	if !d.OK {
		a.metrics().refused.WithLabelValues(q.Name).Inc()
		return &limitedError{quota: q, retry: d.Retry}
	}
	return nil
}
