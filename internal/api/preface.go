package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Groups of routes.
const (
	tagEvents  = "Events"
	tagCollect = "Collection"
	tagUpkeep  = "Upkeep"
	tagProgram = "The program"
)

var tags = []docTag{
	{tagEvents, "What happened, and the records that say so."},
	{tagCollect, "Whether all of it is here, and how the feeds do."},
	{tagUpkeep, "Reading again, and jobs over what is stored."},
	{tagProgram, "What this AOC is, how one signs in, and how it does."},
}

// preface is what is so of every route.
func (a *API) preface() string {
	var b strings.Builder
	b.WriteString("Who did what in a Microsoft 365 tenant, when, and whether anything is missing.\n\n")
	b.WriteString("Times are UTC, RFC 3339. Query parameters that a route does not list, and unknown fields of a body, are refused. " +
		"Answers may grow fields: pass over those that you do not know. Lists are never null. " +
		"Every answer has an X-Request-Id, and every error has one shape: a code for programs and a message for people.\n\n")
	if a.Features.AuthEnabled {
		b.WriteString("People and apps send an access token of Microsoft Entra: `Authorization: Bearer <token>`. " +
			"Events of some services may be hidden from a caller, and are then in no answer and in no sum.\n\n")
	} else {
		b.WriteString("Sign-in is off here: no token is asked for, and every caller may do everything.\n\n")
	}
	b.WriteString("Quotas, of each caller:\n")
	for _, kind := range quotaKinds {
		q := a.Quotas[kind]
		fmt.Fprintf(&b, "- `%s`: %d requests in %s\n", q.Name, q.Requests, span(q.Window))
	}
	return strings.TrimSpace(b.String())
}

// quotaKinds are the kinds that have a quota, in the order in which they are told.
var quotaKinds = []Kind{Reads, Writes, Fetches, Asks}

// accessWords say who may call a route.
var accessWords = map[Access]string{
	Members:      "For everybody who is signed in and let in.",
	Unrestricted: "For those who are signed in and from whom no service is hidden (PRIVACY_SERVICE_ROLES).",
	Admins:       "For administrators of AOC (AUTH_ADMIN_ROLES).",
	Open:         "No token is asked for.",
}

// describe is what the row and its doc say of a route.
func (a *API) describe(r Route) string {
	said := []string{accessWords[r.Access]}
	if q := a.Quotas[r.Kind]; r.Kind != Unlimited {
		said = append(said, fmt.Sprintf("It counts against the quota `%s`: %d requests in %s.", q.Name, q.Requests, span(q.Window)))
	}
	if r.Act != "" {
		said = append(said, fmt.Sprintf("AOC's own log notes it as “%s”.", r.Act))
	}
	return strings.TrimSpace(r.doc.more + "\n\n" + strings.Join(said, " "))
}

func headerOf(what string, required bool, pattern string) *header {
	return &header{Description: what, Required: required, Schema: &jsonschema.Schema{Type: "string", Pattern: pattern}}
}

// headers are those of answers that are told of.
var headers = map[string]*header{
	"X-Request-Id":        headerOf("By which AOC's log has the request.", true, `^[!-~]{1,64}$`),
	"Location":            headerOf("Where the job is.", true, `^/api/`),
	"WWW-Authenticate":    headerOf("What kind of token is asked for, and what was wrong with the one that was sent.", true, `^Bearer`),
	"Retry-After":         headerOf("Seconds after which to try again.", false, `^[1-9][0-9]*$`),
	"RateLimit-Policy":    headerOf("The quota that counts: its name, requests (q) and seconds (w).", false, `^"[a-z]+";q=[0-9]+;w=[0-9]+$`),
	"RateLimit":           headerOf("What is left of it (r), and the seconds until it is whole again (t).", false, `^"[a-z]+";r=[0-9]+;t=[0-9]+$`),
	"RateLimit-Limit":     headerOf("The requests of the quota.", false, `^[0-9]+$`),
	"RateLimit-Remaining": headerOf("What is left of it.", false, `^[0-9]+$`),
	"RateLimit-Reset":     headerOf("The seconds until it is whole again.", false, `^[0-9]+$`),
}

var quotaHeaders = []string{"RateLimit-Policy", "RateLimit", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}

func refersTo(names ...string) map[string]*header {
	all := map[string]*header{"X-Request-Id": {Ref: "#/components/headers/X-Request-Id"}}
	for _, name := range names {
		all[name] = &header{Ref: "#/components/headers/" + name}
	}
	return all
}

// answerHeaders are those of an answer that is no error.
func answerHeaders(r Route, g reply) map[string]*header {
	all := refersTo(g.headers...)
	if r.Kind != Unlimited {
		for name, h := range refersTo(quotaHeaders...) {
			all[name] = h
		}
	}
	return all
}

// failureHeaders are those of an error. Which come before the quota is taken
// have none of it.
func failureHeaders(status int) map[string]*header {
	names := quotaHeaders
	switch status {
	case http.StatusUnauthorized:
		names = []string{"WWW-Authenticate"}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		names = append([]string{"Retry-After"}, names...)
	}
	return refersTo(names...)
}
