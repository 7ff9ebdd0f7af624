package auth

import (
	"errors"
	"maps"
	"sync"
)

// What Authenticate's errors are.
var (
	ErrNoToken     = errors.New("sign in first: the request has no bearer token")    // 401
	ErrBadToken    = errors.New("the bearer token is not accepted")                  // 401
	ErrForbidden   = errors.New("signed in, but without access to AOC")              // 403
	ErrUnavailable = errors.New("the sign-in cannot be checked now, try again soon") // 503
)

// class is what a refusal is counted under.
type class string

const (
	classNoToken     class = "no_token"
	classRequest     class = "request"     // the Authorization header itself
	classMalformed   class = "malformed"   // no JWT in compact form, or no clean JSON in it
	classHeader      class = "header"      // algorithm or other members of the JOSE header
	classClaims      class = "claims"      // missing, or of a wrong type
	classTime        class = "time"        // exp, nbf, iat
	classTenant      class = "tenant"      // tid
	classIssuer      class = "issuer"      // iss
	classAudience    class = "audience"    // aud
	classUnknownKey  class = "unknown_key" // kid
	classKeyIssuer   class = "key_issuer"  // a key of another issuer's
	classSignature   class = "signature"   // the signature itself
	classKind        class = "kind"        // a good token, but no access token
	classForbidden   class = "forbidden"   // ErrForbidden
	classUnavailable class = "unavailable" // ErrUnavailable
)

var classes = []class{
	classNoToken, classRequest, classMalformed, classHeader, classClaims, classTime, classTenant, classIssuer,
	classAudience, classUnknownKey, classKeyIssuer, classSignature, classKind, classForbidden, classUnavailable,
}

// refusal is why a request was not let in. Its reason is a constant of this
// package, never a part of a token.
type refusal struct {
	kind   error
	class  class
	reason string
}

func (r *refusal) Error() string { return r.kind.Error() + ": " + r.reason }
func (r *refusal) Unwrap() error { return r.kind }

func bad(c class, reason string) error { return &refusal{ErrBadToken, c, reason} }

func forbidden(reason string) error { return &refusal{ErrForbidden, classForbidden, reason} }

func unavailable(reason string) error { return &refusal{ErrUnavailable, classUnavailable, reason} }

func classOf(err error) class {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.class
	}
	return classNoToken
}

// Challenge returns the value of the WWW-Authenticate header of a 401. It says
// why only where a token was sent. (RFC 6750, section 3.)
func (v *Verifier) Challenge(err error) string {
	if r, ok := errors.AsType[*refusal](err); ok && r.kind == ErrBadToken {
		return `Bearer error="invalid_token", error_description="` + r.reason + `"`
	}
	return "Bearer"
}

// Stats is what a Verifier counted since it was made.
type Stats struct {
	Accepted    int64
	Refused     map[string]int64 // by class; all classes are there
	KeyFetches  int64            // how often signing keys were asked for
	KeyFailures int64            // of them those in vain
}

// tally counts. It is asked once a request, so one lock does.
type tally struct {
	mu     sync.Mutex
	counts Stats
}

func newTally() *tally {
	refused := make(map[string]int64, len(classes))
	for _, c := range classes {
		refused[string(c)] = 0
	}
	return &tally{counts: Stats{Refused: refused}}
}

func (t *tally) count(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.counts.Accepted++
		return
	}
	t.counts.Refused[string(classOf(err))]++
}

func (t *tally) fetched(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.KeyFetches++
	if err != nil {
		t.counts.KeyFailures++
	}
}

func (t *tally) stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.counts
	s.Refused = maps.Clone(s.Refused)
	return s
}
