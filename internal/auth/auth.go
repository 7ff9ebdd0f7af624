// Package auth turns the bearer token of a request into the principal that asks:
// a person or an app of one tenant of Microsoft Entra, whether it may use AOC at
// all, whether it may change things, and which events it may see.
//
// It knows tokens, Microsoft's signing keys, and the lists of roles and groups
// of the configuration. It must not know HTTP routes, what a scope does to a
// query, or how groups are looked up: whoever wires it hands that in as Groups.
// Nothing in a token is believed that makes this package call an address: keys
// come from the configured authority alone.
package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"aoc/internal/audit"
)

// Config says whose tokens are good, and what their bearers may do. Groups
// decide something only where the API's registration puts them into tokens
// (groupMembershipClaims of its manifest).
type Config struct {
	TenantID  string   // GUID of the one tenant
	ClientID  string   // GUID of the API's registration
	Audiences []string // accepted besides the client id and api://<client id>; a URI with or without a slash at its end
	Authority string   // origin of the token service; "" is https://login.microsoftonline.com

	AllowedRoles  []string // app roles, compared exactly
	AllowedGroups []string // object ids of groups; with neither list every signed-in person may use AOC
	AdminRoles    []string // app roles or object ids of groups; empty: whoever may use AOC may change things

	PrivacyServices   []string // hidden from all but those of PrivacyRoles
	PrivacyOperations []string // likewise
	PrivacyRoles      []string // app roles or object ids of groups; empty: nobody sees what is hidden

	Groups    Groups            // may be nil: then those whose groups do not fit into a token are told to try later
	Transport http.RoundTripper // for the keys; nil is one like http.DefaultTransport
	Log       *slog.Logger      // nil logs nowhere
}

// Groups looks up of which groups somebody is a member, directly or through
// others. Tokens name up to 200 groups, and none where there are more.
// (Microsoft identity platform, access token claims reference.)
type Groups interface {
	MemberGroups(ctx context.Context, objectID string) ([]string, error)
}

// Verifier tells who bears a token. It may be used by many at once.
type Verifier struct {
	tenant    string
	audiences []string
	keys      *keyring
	access    *access
	tally     *tally
	log       *slog.Logger
}

// New returns a Verifier. It dials nobody; all mistakes of the configuration
// are told at once.
func New(c Config) (*Verifier, error) {
	c, err := c.checked()
	if err != nil {
		return nil, err
	}
	if len(c.AllowedRoles)+len(c.AllowedGroups) == 0 {
		c.Log.Warn("everybody of the tenant who can sign in may use AOC: set AUTH_ALLOWED_ROLES or AUTH_ALLOWED_GROUPS")
	}
	t := newTally()
	return &Verifier{
		tenant:    c.TenantID,
		audiences: c.audiences(),
		keys:      newKeyring(newDiscoverer(c), t, c.Log),
		access:    newAccess(c),
		tally:     t,
		log:       c.Log,
	}, nil
}

// Authenticate returns who bears the token in the values of a request's
// Authorization header. Its errors are ErrNoToken, ErrBadToken, ErrForbidden
// and ErrUnavailable; their texts may be shown to the caller and hold nothing
// of the token. With ErrForbidden the principal says who it is, and that it may
// do and see nothing; with the others it is nobody.
func (v *Verifier) Authenticate(ctx context.Context, authorization []string) (audit.Principal, error) {
	p, err := v.authenticate(ctx, authorization)
	v.tally.count(err)
	if err != nil {
		v.log.DebugContext(ctx, "token refused", "class", classOf(err), "reason", err.Error())
	}
	if err != nil && !errors.Is(err, ErrForbidden) {
		return audit.Principal{}, err
	}
	return p, err
}

func (v *Verifier) authenticate(ctx context.Context, authorization []string) (audit.Principal, error) {
	raw, err := bearer(authorization)
	if err != nil {
		return audit.Principal{}, err
	}
	t, err := parse(raw)
	if err != nil {
		return audit.Principal{}, err
	}
	if err := v.keys.hopeless(t.looksLike(), t.kid); err != nil {
		return audit.Principal{}, err
	}
	if err := t.understand(); err != nil {
		return audit.Principal{}, err
	}
	if t.claims.text("tid") != v.tenant {
		return audit.Principal{}, bad(classTenant, "the token is of another tenant")
	}
	set, err := v.keys.find(ctx, t.edition, t.kid)
	if err != nil {
		return audit.Principal{}, err
	}
	if err := v.verify(t, set); err != nil {
		return audit.Principal{}, err
	}
	v.keys.trust(t.edition)
	who, err := identify(t.claims)
	if err != nil {
		return audit.Principal{}, err
	}
	return v.access.admit(ctx, who)
}

// Stats returns what was counted since New.
func (v *Verifier) Stats() Stats { return v.tally.stats() }

// Disabled is the sign-in that is switched off: everybody is the same anonymous
// principal, may change things and sees everything.
type Disabled struct{}

// Authenticate returns the anonymous principal whatever comes.
func (Disabled) Authenticate(context.Context, []string) (audit.Principal, error) {
	return audit.Principal{Kind: audit.Anonymous, Admin: true, Scope: audit.Everything()}, nil
}

// Challenge returns the value of a WWW-Authenticate header that is never sent:
// nobody is refused.
func (Disabled) Challenge(error) string { return "Bearer" }
