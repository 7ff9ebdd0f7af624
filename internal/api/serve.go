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
	"time"

	"aoc/internal/audit"
)

const (
	maxBody    = 64 << 10         // of a request
	maxAnswers = 30 * time.Second // to make one
)

// statuses is the one table from kinds of error to HTTP. What is not in it is
// an internal error.
var statuses = []struct {
	err    error
	status int
	code   string
}{
	{audit.ErrNotFound, http.StatusNotFound, "not_found"},
	{audit.ErrInvalid, http.StatusBadRequest, "invalid_request"},
	{audit.ErrBusy, http.StatusServiceUnavailable, "busy"},
	{errCrossSite, http.StatusForbidden, "cross_site"},
	{errForbidden, http.StatusForbidden, "forbidden"},
	{errTooLarge, http.StatusRequestEntityTooLarge, "too_large"},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "timeout"},
}

var (
	errCrossSite = errors.New("another site's page must not ask for this: call it from AOC's own page, or add the origin to CORS_ORIGINS")
	errForbidden = errors.New("the Webhook-AuthID is not ours")
	errTooLarge  = errors.New("the request's body is too large")
)

// serve turns a route into a handler: headers, time limit, cross-site check,
// panics and errors are handled here and nowhere else.
func (a *API) serve(route Route) http.Handler {
	crossSite := a.crossSite()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := requestID(r)
		h := w.Header()
		h.Set("X-Request-Id", id)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		ctx, cancel := context.WithTimeout(r.Context(), maxAnswers)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, cmp.Or(route.maxBody, maxBody))
		defer func() {
			if p := recover(); p != nil {
				a.Log.ErrorContext(ctx, "a request panicked", "request_id", id, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				writeError(w, http.StatusInternalServerError, "internal", "internal error", id)
			}
		}()
		err := error(nil)
		if route.changes {
			err = crossSite(r)
		}
		if err == nil {
			err = route.handle(w, r)
		}
		if err != nil {
			a.fail(w, r, id, err)
		}
	})
}

// crossSite returns the check of requests that change state. A GET that does
// is checked as strictly as a POST.
func (a *API) crossSite() func(*http.Request) error {
	protection := http.NewCrossOriginProtection()
	for _, origin := range a.TrustedOrigins {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			a.Log.Warn("an origin of CORS_ORIGINS is not used", "origin", origin, "error", err)
		}
	}
	return func(r *http.Request) error {
		as := r.Clone(r.Context())
		as.Method = http.MethodPost
		if protection.Check(as) != nil {
			return errCrossSite
		}
		return nil
	}
}

// fail answers with an error: known kinds as they are, all else as "internal
// error" and a log line.
func (a *API) fail(w http.ResponseWriter, r *http.Request, id string, err error) {
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			writeError(w, s.status, s.code, message(s.status, err), id)
			return
		}
	}
	if errors.Is(err, context.Canceled) {
		return // nobody waits for the answer
	}
	a.Log.ErrorContext(r.Context(), "a request failed", "request_id", id, "path", r.URL.Path, "error", err)
	writeError(w, http.StatusInternalServerError, "internal", "internal error", id)
}

// message is what the caller is told: texts meant for callers whole, those of
// the inside not at all.
func message(status int, err error) string {
	var invalid *audit.InvalidError
	switch {
	case errors.As(err, &invalid):
		return invalid.Error()
	case errors.Is(err, errCrossSite), errors.Is(err, errForbidden), errors.Is(err, errTooLarge):
		return err.Error()
	case status == http.StatusServiceUnavailable:
		return "the store is busy: try again in a moment"
	}
	return "not found"
}

func writeError(w http.ResponseWriter, status int, code, message, id string) {
	type body struct {
		Code      string `json:"code"`
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}
	// The answer's own writer failed when this does: there is nobody to tell.
	_ = writeJSON(w, status, map[string]body{"error": {code, message, id}})
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
// id finds the host's traces too.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Azure-Functions-InvocationId"); id != "" && len(id) <= 64 {
		return id
	}
	return rand.Text()
}
