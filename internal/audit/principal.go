package audit

import "context"

// PrincipalKind says what kind of caller a Principal is.
type PrincipalKind string

// The kinds. The zero Principal is nobody and sees nothing.
const (
	Nobody    PrincipalKind = ""
	Person    PrincipalKind = "person" // signed in through Microsoft Entra
	App       PrincipalKind = "app"    // a program with its own token
	Anonymous PrincipalKind = "local"  // whoever reaches an AOC whose sign-in is off
)

// Principal is who asks, and what that one may do. People and apps are known by
// object id and tenant, never by an address or a name, which can be given away
// and taken over. (Microsoft identity platform, claims validation.)
type Principal struct {
	Kind      PrincipalKind
	TenantID  string // lower-case GUID
	ObjectID  string // oid, lower-case GUID
	Name, UPN string // for people to read; nothing is decided by them
	AppID     string // the client that the token was given to
	Session   string // the same for all requests of one sign-in, as near as the token tells
	Admin     bool   // may start jobs and change things
	Scope     Scope  // the events that it may see
}

// Key is the name under which a caller is counted and remembered.
func (p Principal) Key() string {
	if p.ObjectID == "" {
		return string(p.Kind)
	}
	return p.ObjectID + "@" + p.TenantID
}

type principalKey struct{}

// WithPrincipal returns a context that carries who asks.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalOf returns who asks; nobody, who sees nothing, where the context
// does not say.
func PrincipalOf(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}
