package auth

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"aoc/internal/audit"
)

// edition is the version of a token: which one an API gets is decided by
// accessTokenAcceptedVersion of its manifest. (Microsoft identity platform,
// access tokens.)
type edition int

const (
	v1 edition = iota // issued by sts.windows.net
	v2
)

// claims are a token's claims. Their names are case-sensitive; after check
// those that are used have their types.
type claims map[string]any

// Claims that are texts, times in whole seconds, and lists of texts.
var (
	textClaims = []string{
		"ver", "tid", "iss", "oid", "scp", "idtyp", "azp", "appid",
		"name", "preferred_username", "upn", "unique_name", "sid", "uti",
	}
	timeClaims = []string{"exp", "nbf", "iat"}
	listClaims = []string{"roles", "groups"}
)

// lastSecond is the end of the year 9999. A later time is nonsense.
const lastSecond = 253402300799

// check looks at the types of all claims that are used, and says the edition.
func (c claims) check() (edition, error) {
	for name, v := range c {
		if !typed(name, v) {
			return 0, bad(classClaims, "a claim of the token has a wrong form")
		}
	}
	switch c["ver"] {
	case "1.0":
		return v1, nil
	case "2.0":
		return v2, nil
	}
	return 0, bad(classClaims, "the token is of an unknown version")
}

func typed(name string, v any) bool {
	switch {
	case slices.Contains(textClaims, name):
		_, ok := v.(string)
		return ok
	case slices.Contains(timeClaims, name):
		return wholeSecond(v)
	case slices.Contains(listClaims, name):
		return texts(v)
	case name == "aud":
		list, many := v.([]any)
		_, one := v.(string)
		return one || many && len(list) == 1 && texts(v)
	}
	return true
}

func wholeSecond(v any) bool {
	n, _ := v.(json.Number)
	s, err := strconv.ParseInt(n.String(), 10, 64)
	return err == nil && s >= 0 && s <= lastSecond
}

func texts(v any) bool {
	list, ok := v.([]any)
	return ok && !slices.ContainsFunc(list, func(v any) bool { _, ok := v.(string); return !ok })
}

func (c claims) text(name string) string {
	s, _ := c[name].(string)
	return s
}

func (c claims) list(name string) []string {
	values, _ := c[name].([]any)
	list := make([]string, 0, len(values))
	for _, v := range values {
		if s, ok := v.(string); ok {
			list = append(list, s)
		}
	}
	return list
}

// overage reports whether the person has more groups than fit into a token. The
// address that such a token names is never asked: it is of a service that was
// switched off, and no token may say whom we call. (Access token claims
// reference, "Groups overage claim".)
func (c claims) overage() bool {
	names, _ := c["_claim_names"].(map[string]any)
	_, named := names["groups"]
	_, sources := c["_claim_sources"]
	return named || sources || c["hasgroups"] == true || c["hasgroups"] == "true"
}

// caller is somebody who bears a good token.
type caller struct {
	principal audit.Principal // without what it may do
	roles     []string
	groups    []string // lower case
	overage   bool     // groups tells nothing: there are too many
}

// identify says who a verified token speaks for.
func identify(c claims) (*caller, error) {
	kind, err := kindOf(c)
	if err != nil {
		return nil, err
	}
	oid, app := strings.ToLower(c.text("oid")), strings.ToLower(clientOf(c))
	if !audit.IsGUID(oid) || app != "" && !audit.IsGUID(app) {
		return nil, bad(classClaims, "the token does not say whose it is")
	}
	who := &caller{
		principal: audit.Principal{
			Kind: kind, TenantID: c.text("tid"), ObjectID: oid, AppID: app,
			Name: shown(c.text("name")), UPN: shown(first(c.text("preferred_username"), c.text("upn"), c.text("unique_name"))),
			Session: shown(first(c.text("sid"), c.text("uti"), stamp(c["iat"]))),
		},
		roles: c.list("roles"), groups: c.list("groups"), overage: c.overage(),
	}
	for i, g := range who.groups {
		who.groups[i] = strings.ToLower(g)
	}
	if kind == audit.App && len(who.roles) == 0 {
		// Any app of a tenant can get a token for any API of it, without a role.
		// (OAuth 2.0 client credentials flow on the Microsoft identity platform.)
		return nil, forbidden("the app has no role in AOC")
	}
	return who, nil
}

// kindOf tells people from apps: only what a person allowed an app to do on its
// behalf has scopes. An ID token has neither scopes nor a client, and says only
// to the page who signed in.
func kindOf(c claims) (audit.PrincipalKind, error) {
	delegated := strings.TrimSpace(c.text("scp")) != ""
	switch idtyp := c.text("idtyp"); {
	case delegated && idtyp == "app", !delegated && idtyp == "user":
		return "", bad(classKind, "the token contradicts itself about who it is for")
	case delegated:
		return audit.Person, nil
	case clientOf(c) == "" || idTokenOnly(c):
		return "", bad(classKind, "an ID token is no access token")
	}
	return audit.App, nil
}

func idTokenOnly(c claims) bool {
	for _, name := range []string{"nonce", "at_hash", "c_hash"} {
		if _, ok := c[name]; ok {
			return true
		}
	}
	return false
}

// clientOf is the app that the token was given to: azp in v2.0, appid in v1.0.
func clientOf(c claims) string { return first(c.text("azp"), c.text("appid")) }

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func stamp(v any) string {
	n, _ := v.(json.Number)
	return n.String()
}

// maxShown is how much of a name is kept, in runes.
const maxShown = 256

// shown is a text of a token as it may be shown and logged: without what moves
// a cursor, ends a line or turns the direction of the rest.
func shown(s string) string {
	kept := audit.Readable(s)
	if runes := []rune(kept); len(runes) > maxShown {
		return string(runes[:maxShown])
	}
	return kept
}
