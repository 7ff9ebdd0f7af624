package simtenant

import (
	"fmt"
	"slices"
	"strings"
)

// SignInPerson is somebody whom the sign-in page offers.
type SignInPerson struct {
	ObjectID, Name, UPN string
	About               string   // one line for people: who this is for the program
	Roles               []string // app roles on the API
	Groups              []string // ids of security groups
}

// signInCast is who is offered, in the order of the page.
var signInCast = []struct {
	position int
	about    string
	roles    []string
}{
	{globalAdmin, "Administrator: sees everything and may start jobs", []string{APIRoleAdmin, APIRolePrivacy}},
	{analyst, "Analyst with the privacy role: sees everything, protected services included", []string{APIRoleAnalyst, APIRolePrivacy}},
	{helpdeskAdmin, "Analyst without the privacy role: protected services stay hidden", []string{APIRoleAnalyst}},
	{marketer, "Outsider: works here but has no role, and should be turned away", nil},
}

// SignInPeople returns the people of the sign-in page: an administrator, an
// analyst with the privacy role and one without, and somebody without any role.
// The second is in more groups than a token lists; the second and third are in
// "AOC Readers".
func (t *Tenant) SignInPeople() []SignInPerson {
	c := t.history.company
	var out []SignInPerson
	for _, role := range signInCast {
		p := c.staff[role.position]
		out = append(out, SignInPerson{p.id, p.name, p.upn, role.about, slices.Clone(role.roles), c.securityGroups(p)})
	}
	return out
}

// person finds somebody who works here by object id or user principal name.
func (c *company) person(named string) (*person, bool) {
	for _, p := range c.staff {
		if strings.EqualFold(named, p.id) || strings.EqualFold(named, p.upn) {
			return p, true
		}
	}
	return nil, false
}

// apiRoles are the app roles that somebody has on the API.
func (c *company) apiRoles(p *person) []string {
	for _, role := range signInCast {
		if c.staff[role.position] == p {
			return role.roles
		}
	}
	return nil
}

// manyGroups is more than the 200 that a JWT lists. [optional-claims-reference,
// "groups"; access-token-claims-reference, "Groups overage claim"]
const manyGroups = 250

// readersGroup is the group for whom there is a way in without a role.
const readersGroup = "AOC Readers"

// assign makes the groups that matter for signing in. Records draw from
// company.groups by number, so these are kept aside, under derived ids.
func (c *company) assign() {
	set := func(name string) group {
		g := group{id: c.derivedID("group", name), name: name}
		c.know(g.id, "group", "displayName", name)
		return g
	}
	c.readers = set(readersGroup)
	for i := range manyGroups {
		c.rooms = append(c.rooms, set(fmt.Sprintf("Incident room %03d", i+1)))
	}
}

// memberships are the groups that somebody is in.
func (c *company) memberships(p *person) []group {
	var out []group
	for _, g := range c.groups {
		if c.belongs(p, g) {
			out = append(out, g)
		}
	}
	switch p {
	case c.staff[analyst]:
		out = append(append(out, c.readers), c.rooms...)
	case c.staff[helpdeskAdmin]:
		out = append(out, c.readers)
	}
	return out
}

func (c *company) belongs(p *person, g group) bool {
	switch g.name {
	case p.department, "All Company":
		return true
	case "VPN Users":
		return p.department == "IT" || p.department == "Research"
	case "Finance Approvers":
		return p == c.staff[financeChief] || p == c.staff[payableClerk]
	}
	return false
}

// securityGroups are the ids of somebody's groups that grant access; Microsoft
// 365 groups (those with a team) are not security-enabled.
func (c *company) securityGroups(p *person) []string {
	out := []string{}
	for _, g := range c.memberships(p) {
		if !g.unified {
			out = append(out, g.id)
		}
	}
	return out
}

// memberOf are the ids of all groups and directory roles that somebody has.
func (c *company) memberOf(p *person) []string {
	out := []string{}
	for _, g := range c.memberships(p) {
		out = append(out, g.id)
	}
	for _, role := range p.roles {
		out = append(out, c.derivedID("directory role", role))
	}
	return out
}
