package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"aoc/internal/audit"
	"aoc/internal/auth"
)

// slot is how long repeated reads of the same thing by the same caller are one
// entry of AOC's own log.
const slot = 15 * time.Minute

// errUnlogged refuses what must not happen unseen.
var errUnlogged = errors.New("AOC's own audit log cannot be written, and without it no raw record is shown and nothing is changed or exported")

// noted is what a request puts into AOC's own log.
type noted struct {
	targets []audit.Target
	details []audit.Change
	same    []string // requests of one caller that agree in this are one entry a slot; nil: each is one of its own
}

// entry returns the act of a request as far as the request itself says.
func (a *API) entry(r *http.Request, operation string) audit.Act {
	return audit.Act{
		Time: time.Now().UTC(), Operation: operation, By: audit.PrincipalOf(r.Context()), IP: a.clientIP(r),
		UserAgent: clipped(r.UserAgent()), Result: audit.Success, RequestID: visitOf(r.Context()).id,
	}
}

// note writes down what the route is about to do or to show. Where that fails,
// reads that are no raw record go on, and everything else is refused: nothing
// must have been written to the caller, or done, before.
func (a *API) note(r *http.Request, n noted) error {
	c := visitOf(r.Context())
	c.noted = true
	route := c.route
	act := a.entry(r, route.Act)
	act.Targets, act.Details = n.targets, n.details
	act.ID = audit.ActID("request", c.own, route.Act)
	if n.same != nil {
		at := act.Time.Truncate(slot).Format(time.RFC3339)
		act.ID = audit.ActID(append([]string{"read", act.By.Key(), act.By.Session, route.Act, at}, n.same...)...)
	}
	if err := a.write(r.Context(), act); err != nil && (route.Changes || route.Act != searchAct) {
		return fmt.Errorf("%w: %w", errUnlogged, err)
	}
	return nil
}

// searchAct is the one act that goes on unseen where the log cannot be written.
const searchAct = "Search events"

// write hands an act to the log. A failure is counted and logged here, for the
// callers that go on.
func (a *API) write(ctx context.Context, act audit.Act) error {
	err := a.OwnLog.Note(ctx, act)
	if err != nil {
		a.metrics().unlogged.Inc()
		a.Log.ErrorContext(ctx, "AOC's own audit log was not written", "operation", act.Operation, "request_id", act.RequestID, "error", err)
	}
	return err
}

// noteSignIn notes the first request of each sign-in: what the API sees of it.
func (a *API) noteSignIn(r *http.Request, p audit.Principal) {
	if p.Kind == audit.Anonymous {
		return
	}
	act := a.entry(r, "Sign in")
	act.ID = audit.ActID("sign-in", p.Key(), p.AppID, p.Session)
	_ = a.write(r.Context(), act) // a sign-in that cannot be noted is counted; what it does next is refused where it must be
}

// noteStranger notes somebody of the tenant who is not let in, once a slot: a
// token that is not good says nothing of who sent it, and is only counted.
func (a *API) noteStranger(r *http.Request, p audit.Principal, why error) {
	if !errors.Is(why, auth.ErrForbidden) || p.ObjectID == "" {
		return
	}
	act := a.entry(r, "Sign in")
	act.Result, act.Reason = audit.Failure, why.Error()
	act.ID = audit.ActID("stranger", p.Key(), p.AppID, act.Time.Truncate(slot).Format(time.RFC3339))
	_ = a.write(r.Context(), act)
}

// noteRefusal notes what somebody who is signed in was not let do.
func (a *API) noteRefusal(r *http.Request, route Route, why error) {
	act := a.entry(r, route.Act)
	if act.Operation == "" {
		act.Operation = "Read"
	}
	act.Result, act.Reason = audit.Failure, why.Error()
	act.Targets = []audit.Target{{Name: route.Method + " " + route.Path, Type: "route"}}
	act.ID = audit.ActID("refused", act.By.Key(), route.Method, route.Path, act.Time.Truncate(slot).Format(time.RFC3339))
	_ = a.write(r.Context(), act)
}

// noteFailure notes that what was noted before did not come about.
func (a *API) noteFailure(r *http.Request, route Route, why error) {
	act := a.entry(r, route.Act)
	act.Result, act.Reason = audit.Failure, message(why)
	act.ID = audit.ActID("failed", visitOf(r.Context()).own, route.Act)
	_ = a.write(r.Context(), act)
}

// searched is a search in the log's words. Looks at the newest hour again and
// again are one: times count by the hour, pages not at all.
func searched(q audit.Query) noted {
	n := noted{same: []string{}}
	add := func(name, value string) { n.details = append(n.details, audit.Change{Name: name, New: value}) }
	for _, f := range q.Filters {
		add(string(f.Field), strings.Join(f.Values, ", "))
	}
	if len(q.Terms) > 0 {
		add("search", strings.Join(q.Terms, " "))
	}
	for _, f := range q.Filters {
		n.same = append(append(n.same, string(f.Field)), f.Values...)
	}
	n.same = append(append(n.same, "search"), q.Terms...)
	for _, bound := range []struct {
		name string
		at   time.Time
	}{{"start", q.Start}, {"end", q.End}} {
		if !bound.at.IsZero() {
			n.same = append(n.same, bound.name, bound.at.Truncate(time.Hour).Format(time.RFC3339))
			add(bound.name, bound.at.Format(time.RFC3339))
		}
	}
	return n
}
