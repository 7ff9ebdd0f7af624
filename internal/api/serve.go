package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"aoc/internal/audit"
	"aoc/internal/auth"
)

const (
	maxBody    = 64 << 10         // of a request
	maxAnswers = 30 * time.Second // to make one
	writeGrace = 10 * time.Second // more, to send it
)

// How an error is told to callers.
type telling int

const (
	inWords telling = iota // by the kind's own text: what it wraps is of the inside
	whole                  // as it is: its text was made for callers
	busy                   // as a store that is busy
)

// failing is a kind of error, and what it is to a caller.
type failing struct {
	err     error
	status  int
	code    errorCode
	telling telling
}

// statuses is the one table from kinds of error to HTTP. What is not in it is
// an internal error, and told as no more.
var statuses = []failing{
	{errUnlogged, http.StatusServiceUnavailable, "audit_unavailable", inWords},
	{audit.ErrNotFound, http.StatusNotFound, "not_found", inWords},
	{audit.ErrInvalid, http.StatusBadRequest, "invalid_request", inWords},
	{audit.ErrBusy, http.StatusServiceUnavailable, "busy", busy},
	{auth.ErrNoToken, http.StatusUnauthorized, "unauthenticated", whole},
	{auth.ErrBadToken, http.StatusUnauthorized, "unauthenticated", whole},
	{auth.ErrForbidden, http.StatusForbidden, "forbidden", whole},
	{auth.ErrUnavailable, http.StatusServiceUnavailable, "sign_in_unavailable", whole},
	{errAdminsOnly, http.StatusForbidden, "forbidden", inWords},
	{errUnrestricted, http.StatusForbidden, "forbidden", inWords},
	{errCrossSite, http.StatusForbidden, "cross_site", inWords},
	{errForeignName, http.StatusForbidden, "foreign_name", inWords},
	{errForbidden, http.StatusForbidden, "forbidden", inWords},
	{errMetrics, http.StatusForbidden, "forbidden", inWords},
	{errTooLarge, http.StatusRequestEntityTooLarge, "too_large", inWords},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "timeout", busy},
}

var (
	errCrossSite = errors.New("another site's page must not ask for this: call it from AOC's own page, or add the origin to CORS_ORIGINS")
	errForbidden = errors.New("the Webhook-AuthID is not ours")
	errTooLarge  = errors.New("the request's body is too large")
)

// visit is one request as it goes through the shell.
type visit struct {
	id    string // as the answer tells it
	own   string // ours alone: nothing that a caller sends can make two visits one
	route Route
	noted bool // it is in AOC's own log
}

type visitKey struct{}

// visitOf returns the visit that a context belongs to.
func visitOf(ctx context.Context) *visit {
	c, _ := ctx.Value(visitKey{}).(*visit)
	if c == nil {
		return &visit{}
	}
	return c
}

// serve turns a route into a handler: headers, time limit, who asks and whether
// that one may, panics and errors are handled here and nowhere else.
func (a *API) serve(route Route) http.Handler {
	crossSite, meters := a.crossSite(), a.metrics()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, c := time.Now(), &visit{id: requestID(r), own: rand.Text(), route: route}
		answer := &answer{ResponseWriter: w}
		h := answer.Header()
		harden(h, r)
		a.share(h, r)
		h.Set("X-Request-Id", c.id)
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), visitKey{}, c), maxAnswers)
		defer cancel()
		_ = http.NewResponseController(w).SetWriteDeadline(began.Add(maxAnswers + writeGrace)) // not every writer has one
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(answer, r.Body, cmp.Or(route.maxBody, maxBody))
		defer func() {
			if p := recover(); p != nil {
				a.Log.ErrorContext(ctx, "a request panicked", "request_id", c.id, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				writeError(answer, http.StatusInternalServerError, "internal", "internal error", c.id)
			}
			meters.served(route, answer.status, time.Since(began))
		}()
		if err := a.run(route, crossSite, answer, r); err != nil {
			a.fail(answer, r, c.id, err)
		}
	})
}

// run lets a request through the checks, in the order in which they tell least,
// and does what it asks for.
func (a *API) run(route Route, crossSite func(*http.Request) error, w http.ResponseWriter, r *http.Request) error {
	if err := a.checkName(r); err != nil {
		return err
	}
	if route.Changes {
		if err := crossSite(r); err != nil {
			return err
		}
	}
	r, err := a.admit(route, w, r)
	if err != nil {
		return err
	}
	if err = route.handle(w, r); err != nil && route.Changes && visitOf(r.Context()).noted && !errors.Is(err, errUnlogged) {
		a.noteFailure(r, route, err)
	}
	return err
}

// answer remembers the status that was sent.
type answer struct {
	http.ResponseWriter
	status int
}

func (w *answer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// fail answers with an error: known kinds as they are, all else as "internal
// error" and a log line.
func (a *API) fail(w http.ResponseWriter, r *http.Request, id string, err error) {
	if limited := (*limitedError)(nil); errors.As(err, &limited) {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(limited.retry)))
		writeError(w, http.StatusTooManyRequests, "rate_limited", limited.Error(), id)
		return
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			a.explain(w, s.status, err)
			writeError(w, s.status, s.code, message(err), id)
			return
		}
	}
	if errors.Is(err, context.Canceled) {
		return // nobody waits for the answer
	}
	a.Log.ErrorContext(r.Context(), "a request failed", "request_id", id, "path", r.URL.Path, "error", err)
	writeError(w, http.StatusInternalServerError, "internal", "internal error", id)
}

// explain adds to a refusal what clients go by.
func (a *API) explain(w http.ResponseWriter, status int, err error) {
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", a.Callers.Challenge(err))
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	}
}

// message is what the caller is told: texts meant for callers, those of the
// inside not at all. Bad input names its field.
func message(err error) string {
	if invalid := (*audit.InvalidError)(nil); errors.As(err, &invalid) {
		return invalid.Error()
	}
	for _, s := range statuses {
		switch {
		case !errors.Is(err, s.err):
		case s.telling == whole:
			return err.Error()
		case s.telling == busy:
			return "the store is busy: try again in a moment"
		default:
			return s.err.Error()
		}
	}
	return "internal error"
}

// errorCode is what programs go by.
type errorCode string

// errorAnswer is the shape of every error.
type errorAnswer struct {
	Error fault `json:"error" jsonschema:"What went wrong."`
}

type fault struct {
	Code      errorCode `json:"code" jsonschema:"What programs go by."`
	Message   string    `json:"message" jsonschema:"For people; of bad input it begins with the parameter's or the field's name."`
	RequestID string    `json:"request_id" jsonschema:"By which the log has it, as X-Request-Id says too."`
}

func writeError(w http.ResponseWriter, status int, code errorCode, message, id string) {
	// The answer's own writer failed when this does: there is nobody to tell.
	_ = writeJSON(w, status, errorAnswer{fault{code, message, id}})
}

// writeJSON answers with v. Nothing is written when v cannot be marshalled.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a caller who hung up is no failure
	return nil
}

// requestID is the host's invocation id where it gave one, so that a caller's
// id finds the host's traces too. A caller who reaches the handler itself can
// make one up, so nothing is decided by it.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Azure-Functions-InvocationId"); audit.IsGUID(id) {
		return id
	}
	return rand.Text()
}
