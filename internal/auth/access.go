package auth

import (
	"context"
	"errors"
	"slices"
	"strings"

	"aoc/internal/audit"
)

var errNowhere = errors.New("there are more groups than fit into a token, and nothing to look them up with")

// rule is a list of roles and groups, one of which is enough.
type rule struct{ roles, groups []string }

func (r rule) empty() bool { return len(r.roles)+len(r.groups) == 0 }

// mixed reads a list of names of roles and object ids of groups.
func mixed(values []string) (r rule) {
	for _, v := range values {
		if audit.IsGUID(v) {
			r.groups = append(r.groups, strings.ToLower(v))
		} else {
			r.roles = append(r.roles, v)
		}
	}
	return r
}

// access decides what those with a good token may do.
type access struct {
	allowed, admin, privacy rule
	restricted              audit.Scope // of those who do not fit privacy
	directory               *directory
}

func newAccess(c Config) *access {
	a := &access{
		allowed: rule{c.AllowedRoles, c.AllowedGroups}, admin: mixed(c.AdminRoles), privacy: mixed(c.PrivacyRoles),
		restricted: audit.Except(c.PrivacyServices, c.PrivacyOperations),
	}
	if c.Groups == nil {
		c.Groups = nowhere{}
	}
	decide := map[string]bool{}
	for _, g := range slices.Concat(a.allowed.groups, a.admin.groups, a.privacy.groups) {
		decide[g] = true
	}
	a.directory = newDirectory(c.Groups, decide, c.Log)
	return a
}

// admit returns the principal with all that it may do.
func (a *access) admit(ctx context.Context, who *caller) (audit.Principal, error) {
	ok, err := a.allows(ctx, who)
	if err != nil {
		return audit.Principal{}, err
	}
	if !ok {
		return who.principal, forbidden("none of your roles and groups may use it")
	}
	p := who.principal
	if p.Admin, err = a.mayChange(ctx, who); err != nil {
		return audit.Principal{}, err
	}
	p.Scope, err = a.scope(ctx, who)
	return p, err
}

// allows decides who may use AOC at all. Apps need one of the allowed roles
// where there are such, whatever their groups: a role of an app is granted by an
// administrator, a group's owner is anybody.
func (a *access) allows(ctx context.Context, who *caller) (bool, error) {
	switch {
	case a.allowed.empty():
		return true, nil
	case who.principal.Kind == audit.App && len(a.allowed.roles) > 0:
		return a.holds(ctx, who, rule{roles: a.allowed.roles})
	}
	return a.holds(ctx, who, a.allowed)
}

func (a *access) mayChange(ctx context.Context, who *caller) (bool, error) {
	if a.admin.empty() {
		return true, nil
	}
	return a.holds(ctx, who, ownRules(who, a.admin))
}

func (a *access) scope(ctx context.Context, who *caller) (audit.Scope, error) {
	if a.restricted.Whole() {
		return a.restricted, nil
	}
	privileged, err := a.holds(ctx, who, ownRules(who, a.privacy))
	switch {
	case err != nil:
		return audit.Scope{}, err
	case privileged:
		return audit.Everything(), nil
	}
	return a.restricted, nil
}

// ownRules is a rule as it goes for somebody: apps gain nothing by groups.
func ownRules(who *caller, r rule) rule {
	if who.principal.Kind == audit.App {
		r.groups = nil
	}
	return r
}

// holds reports whether somebody fits a rule. Groups are looked up only where
// they decide.
func (a *access) holds(ctx context.Context, who *caller, r rule) (bool, error) {
	if share(who.roles, r.roles) {
		return true, nil
	}
	if len(r.groups) == 0 {
		return false, nil
	}
	groups := who.groups
	if who.overage {
		var err error
		if groups, err = a.directory.of(ctx, who.principal.ObjectID); err != nil {
			return false, err
		}
	}
	return share(groups, r.groups), nil
}

func share(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}
