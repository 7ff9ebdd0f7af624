package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxTries      = 4                // of one call
	firstPause    = time.Second      // before the second try; it doubles
	firstQuiet    = 5 * time.Second  // the same after a throttling that does not say how long, as those of Graph's reports
	maxPause      = 30 * time.Second // where the API does not say how long
	maxRetryAfter = 5 * time.Minute  // longer waits are for the ledger, not for a worker
	maxUntil      = 24 * time.Hour   // no answer may silence a feed for longer
	maxErrorBody  = 64 << 10
)

var errSilent = errors.New("no answer came in time")

// call sends a request until it is answered well and returns the answer, whose
// body the caller closes. It keeps the API's limits, gets a new token once when
// the first is refused, and tries again what may pass. Errors are *APIError,
// *ThrottledError, or say that nothing answered.
func (c *Client) call(ctx context.Context, svc *service, op string, req *http.Request) (*http.Response, error) {
	if !sameOrigin(req.URL, svc.base) {
		return nil, fmt.Errorf("%s: the token is for %s and not for %q", op, svc.base.Host, req.URL.Host)
	}
	if err := rewindable(req); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	renewed := false
	for try := 1; ; try++ {
		resp, token, err := c.send(ctx, svc, op, req)
		if err == nil {
			return resp, nil
		}
		var refusal *apiAnswer
		if errors.As(err, &refusal) && refusal.Status == http.StatusUnauthorized && !renewed {
			renewed = true
			if err := c.tokens.refuse(ctx, svc.scope, token); err != nil {
				return nil, fmt.Errorf("%s: %w", op, err)
			}
			continue
		}
		if err := c.pause(ctx, svc, op, try, err); err != nil {
			return nil, err
		}
	}
}

// apiAnswer is an APIError with what its header said of trying again.
type apiAnswer struct {
	*APIError
	retryAfter time.Duration // 0: not said
}

func (a *apiAnswer) Unwrap() error { return a.APIError }

// send sends the request once.
func (c *Client) send(ctx context.Context, svc *service, op string, req *http.Request) (_ *http.Response, token string, err error) {
	token, err = c.tokens.get(ctx, svc.scope)
	if err != nil {
		return nil, "", final{fmt.Errorf("%s: %w", op, err)}
	}
	if err := svc.limiter.Wait(ctx); err != nil {
		return nil, "", final{fmt.Errorf("%s: %w", op, err)}
	}
	sending, cancel := context.WithCancelCause(ctx)
	out := req.Clone(sending)
	if req.GetBody != nil {
		out.Body, _ = req.GetBody()
	}
	out.Header.Set("Authorization", "Bearer "+token)
	out.Header.Set("User-Agent", c.userAgent)
	silence := time.AfterFunc(silentTimeout, func() { cancel(errSilent) })
	resp, err := c.http.Do(out)
	silence.Stop()
	if err != nil {
		err = fmt.Errorf("%s: %s does not answer: %w", op, svc.name, causeOf(sending, err))
		cancel(nil)
		return nil, token, err
	}
	resp.Body = newGuardedBody(resp.Body, sending, cancel)
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, token, nil
	}
	defer resp.Body.Close()
	return nil, token, newAnswer(svc, op, resp, token)
}

// final is an error after which no other try is made.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// causeOf returns why a call ended, without the address that net/http puts
// before it: addresses of pages are long and say nothing to people.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

func newAnswer(svc *service, op string, resp *http.Response, token string) *apiAnswer {
	e := &APIError{API: svc.name, Op: op, Status: resp.StatusCode}
	if resp.StatusCode < 400 {
		e.Message = "it redirects to another address, which is not followed"
	} else if body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)); err != nil || len(body) == 0 {
		e.Message = "without a body"
	} else {
		e.Code, e.Message = readError(body, resp.Header.Get("Content-Type"), token)
	}
	return &apiAnswer{APIError: e, retryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
}

// retryAfter reads the header's two forms, seconds and an HTTP date. Absent,
// unreadable, zero and past are all 0; what is absurdly long stays long.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	seconds, err := strconv.ParseInt(header, 10, 64)
	switch {
	case err == nil, errors.Is(err, strconv.ErrRange) && seconds > 0:
		return time.Duration(max(0, min(seconds, int64(maxUntil/time.Second)))) * time.Second
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return max(0, min(at.Sub(now), maxUntil))
}

// pause waits before the next try, or returns the error that ends the call.
func (c *Client) pause(ctx context.Context, svc *service, op string, try int, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	var end final
	if errors.As(err, &end) {
		return end.error
	}
	wait, throttled, again := backoff(firstPause, try), false, true
	var answer *apiAnswer
	if errors.As(err, &answer) {
		err = answer.APIError
		throttled = answer.throttled()
		again = throttled || answer.passing()
		wait = answer.wait(try)
	}
	if !again {
		return err
	}
	if throttled {
		svc.limiter.Throttled(wait)
	}
	if try >= maxTries || wait > maxRetryAfter || endsBefore(ctx, wait) {
		if throttled || wait > maxRetryAfter {
			return &ThrottledError{Until: time.Now().Add(wait), Err: err}
		}
		return err
	}
	c.log.InfoContext(ctx, "a call is tried again", "api", svc.name, "try", try, "wait", wait.Round(time.Millisecond), "error", err)
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	case <-time.After(wait):
		return nil
	}
}

// wait is how long to leave the API alone after its answer to a try.
func (a *apiAnswer) wait(try int) time.Duration {
	switch {
	case a.retryAfter > 0:
		return a.retryAfter
	case a.throttled():
		return backoff(firstQuiet, try)
	}
	return backoff(firstPause, try)
}

// backoff is how long to wait after a try when nobody says: it doubles, and
// each wait is shortened or lengthened by up to a half, so that callers do not
// return together.
func backoff(first time.Duration, try int) time.Duration {
	d := min(first<<(try-1), maxPause)
	return d/2 + rand.N(d)
}

func endsBefore(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) <= wait
}

// rewindable makes the body of a request one that every try sends anew.
func rewindable(req *http.Request) error {
	if req.Body == nil {
		return nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return nil
}
