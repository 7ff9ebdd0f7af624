package simtenant

import (
	"net/url"
	"slices"
	"strings"
)

// clientName is what the application is called in the directory.
const clientName = "Admin Operations Center"

// App roles that the registered API defines, and the one scope that it offers.
const (
	APIRoleAdmin   = "AOC.Admin"
	APIRoleAnalyst = "AOC.Analyst"
	APIRolePrivacy = "AOC.Privacy"
	APIScope       = "access_as_user"
)

// registration is what can be changed about the API that people sign in to. It
// is registered under the id of the collecting client.
type registration struct {
	version     int      // of the API's access tokens
	appRoles    []string // that the collecting client has on the API
	redirects   []string // beside the loopback ones
	groupClaims bool
}

func newRegistration() registration {
	return registration{version: 2, appRoles: []string{APIRoleAdmin}}
}

// SetTokenVersion chooses the version of the API's access tokens, 1 or 2, as
// requestedAccessTokenVersion in the manifest does. Other numbers mean 2, the
// default here.
func (t *Tenant) SetTokenVersion(version int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.registration.version = 2
	if version == 1 {
		t.registration.version = 1
	}
}

// GrantAPI replaces the app roles that the collecting client has on the API, at
// first APIRoleAdmin alone. Without any its tokens have no roles claim.
func (t *Tenant) GrantAPI(roles ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.registration.appRoles = slices.Clone(roles)
}

// AllowRedirect registers addresses that a sign-in may return to. They are
// compared exactly. Any path and port of http://127.0.0.1 and http://localhost
// is registered from the start.
func (t *Tenant) AllowRedirect(uris ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.registration.redirects = append(t.registration.redirects, uris...)
}

// SetGroupClaims says whether tokens list the security groups of people, as
// groupMembershipClaims in the manifest does. At first they do not.
func (t *Tenant) SetGroupClaims(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.registration.groupClaims = on
}

func (t *Tenant) registered() registration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.registration
}

func (t *Tenant) apiURI() string { return "api://" + t.clientID }

// isAPI tells the API by its client id and by its application ID URI.
func (t *Tenant) isAPI(resource string) bool {
	return strings.EqualFold(resource, t.clientID) || strings.EqualFold(resource, t.apiURI())
}

// redirect returns the address to return to if it is a registered one.
func (t *Tenant) redirect(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" {
		return nil, false
	}
	return u, loopback(u) || slices.Contains(t.registered().redirects, text)
}

// loopback tells the program's own machine. [RFC 8252 7.3; entra-docs
// reply-url, "Localhost exceptions"]
func loopback(u *url.URL) bool {
	return u.Scheme == "http" && u.User == nil && (u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost")
}

// knownOrigin tells whether a page of this origin may redeem codes.
func (t *Tenant) knownOrigin(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	return loopback(u) || slices.ContainsFunc(t.registered().redirects, func(text string) bool {
		known, err := url.Parse(text)
		return err == nil && known.Host != "" && origin == known.Scheme+"://"+known.Host
	})
}

// wish is what a scope parameter asks for.
type wish struct {
	api             []string // scopes of our API, in the form in which it was asked
	openID, offline bool
}

// readScope understands the scopes of the registered API and of OpenID Connect.
func (t *Tenant) readScope(text string) (w wish, unknown string) {
	for _, scope := range strings.Fields(text) {
		switch scope {
		case "openid":
			w.openID = true
			continue
		case "offline_access":
			w.offline = true
			continue
		case "profile", "email":
			continue
		}
		i := strings.LastIndexByte(scope, '/')
		if i < 0 || !t.isAPI(scope[:i]) || scope[i+1:] != APIScope && scope[i+1:] != ".default" {
			return wish{}, scope
		}
		w.api = append(w.api, scope)
	}
	return w, ""
}

// graphScope is what is granted on Graph where no other API is asked for.
const graphScope = "openid profile email"

// granted is the scope parameter of the answer. MSAL finds a token again by it,
// so it keeps the form of the question.
func (w wish) granted() string {
	if len(w.api) == 0 {
		return graphScope
	}
	var out []string
	for _, scope := range w.api {
		if resource, all := strings.CutSuffix(scope, "/.default"); all {
			out = append(out, resource+"/"+APIScope)
		}
		out = append(out, scope)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " ")
}
