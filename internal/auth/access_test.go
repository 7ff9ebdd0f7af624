package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

const (
	readers = "11111111-aaaa-4bbb-8ccc-000000000001"
	admins  = "11111111-aaaa-4bbb-8ccc-00000000000a"
	privacy = "11111111-aaaa-4bbb-8ccc-00000000000b"
)

// graph is a Groups.
type graph struct {
	mu    sync.Mutex
	calls []string
	slow  time.Duration
	err   error
	in    []string
}

func (g *graph) MemberGroups(ctx context.Context, objectID string) ([]string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, objectID)
	select {
	case <-time.After(g.slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return g.in, g.err
}

func (g *graph) called() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.calls)
}

func TestWhoMayUseIt(t *testing.T) {
	roles := func(names ...string) fields { return fields{"roles": names} }
	groups := func(ids ...string) fields { return fields{"groups": ids} }
	both := fields{"roles": []string{"Other"}, "groups": []string{readers}}
	for _, c := range []struct {
		name           string
		roles, groups  []string
		of             func() fields
		change         fields
		in, app1, app2 bool
	}{
		{name: "no lists, person", of: person, in: true},
		{name: "no lists, app with any role", of: robot, change: roles("Any"), in: true},
		{name: "no lists, app without", of: robot, change: fields{"roles": leave}},
		{name: "role", roles: []string{"Reader"}, of: person, change: roles("Other", "Reader"), in: true},
		{name: "role, v1.0", roles: []string{"Reader"}, of: person1, change: roles("Reader"), in: true},
		{name: "no role", roles: []string{"Reader"}, of: person},
		{name: "role in another case", roles: []string{"Reader"}, of: person, change: roles("reader", "READER", "Reader ", "Reade", "Readers")},
		{name: "group", groups: []string{strings.ToUpper(readers)}, of: person, change: groups(admins, readers), in: true},
		{name: "group in another case", groups: []string{readers}, of: person, change: groups(strings.ToUpper(readers)), in: true},
		{name: "another group", groups: []string{readers}, of: person, change: groups(admins)},
		{name: "group named as a role", groups: []string{readers}, of: person, change: roles(readers)},
		{name: "role named as a group", roles: []string{"Reader"}, of: person, change: groups("Reader")},
		{name: "either, by role", roles: []string{"Reader"}, groups: []string{readers}, of: person, change: roles("Reader"), in: true},
		{name: "either, by group", roles: []string{"Reader"}, groups: []string{readers}, of: person, change: both, in: true},
		{name: "either, neither", roles: []string{"Reader"}, groups: []string{readers}, of: person, change: roles("Other")},
		{name: "app by role", roles: []string{"Reader"}, of: robot, in: true},
		{name: "app with another role", roles: []string{"Reader"}, of: robot, change: roles("Other")},
		{name: "app by group where roles are said", roles: []string{"Reader"}, groups: []string{readers}, of: robot, change: both},
		{name: "app by group where only groups are", groups: []string{readers}, of: robot, change: both, in: true},
		{name: "app with a role where only groups are", groups: []string{readers}, of: robot, change: roles("Other")},
		{name: "app by group without a role", groups: []string{readers}, of: robot, change: fields{"roles": leave, "groups": []string{readers}}},
	} {
		v := verifier(t, newAuthority(), func(cfg *Config) { cfg.AllowedRoles, cfg.AllowedGroups = c.roles, c.groups })
		err := authenticate(v, mint(c.of().with(c.change)))
		if c.in {
			require.NoError(t, err, c.name)
		} else {
			require.ErrorIs(t, err, ErrForbidden, c.name)
			require.Equal(t, "Bearer", v.Challenge(err))
		}
	}
}

func TestWhoMayChangeThingsAndSeeWhatIsHidden(t *testing.T) {
	v := verifier(t, newAuthority(), func(c *Config) {
		c.AdminRoles = []string{"Admin", strings.ToUpper(admins)}
		c.PrivacyRoles = []string{"Privacy", privacy}
		c.PrivacyServices, c.PrivacyOperations = []string{"Exchange"}, []string{"MailItemsAccessed"}
	})
	for _, c := range []struct {
		name         string
		change       fields
		admin, whole bool
	}{
		{"neither", fields{}, false, false},
		{"admin by role", fields{"roles": []string{"Admin"}}, true, false},
		{"admin by group", fields{"groups": []string{admins}}, true, false},
		{"privacy by role", fields{"roles": []string{"Privacy"}}, false, true},
		{"privacy by group", fields{"groups": []string{strings.ToUpper(privacy)}}, false, true},
		{"both", fields{"roles": []string{"Privacy", "Admin"}}, true, true},
		{"in another case", fields{"roles": []string{"privacy", "admin"}}, false, false},
		{"ids as roles", fields{"roles": []string{privacy, admins}}, false, false},
	} {
		p, err := v.Authenticate(t.Context(), []string{"Bearer " + mint(person().with(c.change))})
		require.NoError(t, err, c.name)
		require.Equal(t, c.admin, p.Admin, c.name)
		require.Equal(t, c.whole, p.Scope.Whole(), c.name)
		require.Equal(t, c.whole, p.Scope.Sees("exchange", "x"), c.name)
		require.Equal(t, c.whole, p.Scope.Sees("Teams", "mailitemsaccessed"), c.name)
		require.True(t, p.Scope.Sees("Teams", "x"), c.name)
	}
	// Without a list nobody is privileged, administrators neither.
	v = verifier(t, newAuthority(), func(c *Config) { c.PrivacyServices = []string{"Exchange"} })
	p, err := v.Authenticate(t.Context(), []string{"Bearer " + mint(person().with(fields{"roles": []string{"Admin", "Privacy", ""}}))})
	require.NoError(t, err)
	require.True(t, p.Admin)
	require.Equal(t, audit.Except([]string{"Exchange"}, nil), p.Scope)
}

var overages = map[string]fields{
	"_claim_names": {"_claim_names": fields{"groups": "src1"}, "_claim_sources": fields{"src1": fields{"endpoint": "https://evil.example/users/x/getMemberObjects"}}},
	"names alone":  {"_claim_names": fields{"groups": "src1"}},
	"sources":      {"_claim_sources": fields{"src1": fields{"endpoint": "https://evil.example/"}}},
	"hasgroups":    {"hasgroups": true},
	"as a text":    {"hasgroups": "true"},
	"and groups":   {"hasgroups": true, "groups": []string{privacy}},
}

func TestTooManyGroupsAreLookedUp(t *testing.T) {
	for name, change := range overages {
		g := &graph{in: []string{privacy, strings.ToUpper(readers)}}
		v := verifier(t, newAuthority(), func(c *Config) { c.AllowedGroups, c.Groups = []string{readers}, g })
		require.NoError(t, authenticate(v, mint(person().with(change))), name)
		require.Equal(t, []string{personID}, g.calls, name)
		g.in = nil
		other := person().with(change).with(fields{"oid": otherID})
		require.ErrorIs(t, authenticate(v, mint(other)), ErrForbidden, name)
	}
}

func TestGroupsAreLookedUpOnlyWhereTheyDecide(t *testing.T) {
	many := overages["hasgroups"]
	for name, c := range map[string]struct {
		config func(*Config)
		change fields
		calls  int
	}{
		"no lists":                {func(*Config) {}, nil, 0},
		"roles":                   {func(c *Config) { c.AllowedRoles, c.AdminRoles = []string{"R"}, []string{"A"} }, fields{"roles": []string{"R"}}, 0},
		"in by role":              {func(c *Config) { c.AllowedRoles, c.AllowedGroups = []string{"R"}, []string{readers} }, fields{"roles": []string{"R"}}, 0},
		"admin by group":          {func(c *Config) { c.AdminRoles = []string{admins} }, nil, 1},
		"privacy by group":        {func(c *Config) { c.PrivacyRoles, c.PrivacyServices = []string{privacy}, []string{"Teams"} }, nil, 1},
		"privacy, nothing hidden": {func(c *Config) { c.PrivacyRoles = []string{privacy} }, nil, 0},
		"all three, one call": {func(c *Config) {
			c.AllowedGroups, c.AdminRoles, c.PrivacyRoles, c.PrivacyServices = []string{readers}, []string{admins}, []string{privacy}, []string{"Teams"}
		}, nil, 1},
	} {
		g := &graph{in: []string{readers}}
		v := verifier(t, newAuthority(), c.config, func(c *Config) { c.Groups = g })
		require.NoError(t, authenticate(v, mint(person().with(many).with(c.change))), name)
		require.Equal(t, c.calls, g.called(), name)
	}
	g := &graph{}
	v := verifier(t, newAuthority(), func(c *Config) { c.AllowedGroups, c.Groups = []string{readers}, g })
	require.NoError(t, authenticate(v, mint(person().with(fields{"groups": []string{readers}}))))
	require.Zero(t, g.called(), "the token tells them")
}

func TestGroupsAreKeptFiveMinutesAndFailuresFiveSeconds(t *testing.T) {
	material()
	synctest.Test(t, func(t *testing.T) {
		g := &graph{in: []string{readers, admins}, slow: time.Second}
		v := verifier(t, newAuthority(), func(c *Config) { c.AllowedGroups, c.Groups = []string{readers}, g })
		claims := func() fields { return person().with(overages["hasgroups"]) }
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { require.NoError(t, authenticate(v, mint(claims()))) })
		}
		wg.Wait()
		require.Equal(t, 1, g.called(), "one call at a time for each person")
		m, _ := v.access.directory.known.get(personID)
		require.Equal(t, []string{readers}, m.groups, "only what decides is kept")

		time.Sleep(groupsKept - time.Second)
		g.in = nil
		require.NoError(t, authenticate(v, mint(claims())))
		time.Sleep(time.Second)
		require.ErrorIs(t, authenticate(v, mint(claims())), ErrForbidden)
		require.Equal(t, 2, g.called())

		time.Sleep(groupsKept)
		g.err = errors.New("graph: 503 secret-of-graph")
		var log strings.Builder
		v.access.directory.log = slog.New(slog.NewTextHandler(&log, nil))
		for range 10 {
			err := authenticate(v, mint(claims()))
			require.ErrorIs(t, err, ErrUnavailable)
			require.NotContains(t, err.Error(), "secret-of-graph")
		}
		require.Equal(t, 3, g.called())
		require.Contains(t, log.String(), "look up groups")
		time.Sleep(groupsRetry)
		g.err, g.in = nil, []string{readers}
		require.NoError(t, authenticate(v, mint(claims())))

		// A request that ends takes nothing from the others.
		time.Sleep(groupsKept)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := v.Authenticate(ctx, []string{"Bearer " + mint(claims())})
		require.ErrorIs(t, err, ErrUnavailable)
		require.NoError(t, authenticate(v, mint(claims())))
		require.Equal(t, 5, g.called())
		g.slow = time.Hour
		time.Sleep(groupsKept)
		began := time.Now()
		require.ErrorIs(t, authenticate(v, mint(claims())), ErrUnavailable)
		require.Equal(t, groupsTime, time.Since(began))
	})
}

func TestGroupsThatCannotBeLookedUpLetNobodyIn(t *testing.T) {
	v := verifier(t, newAuthority(), func(c *Config) { c.AllowedGroups = []string{readers} })
	require.ErrorIs(t, authenticate(v, mint(person().with(overages["hasgroups"]))), ErrUnavailable)

	// Somebody who is in by a role, but of whom it is not known what to hide.
	g := &graph{err: errors.New("away")}
	v = verifier(t, newAuthority(), func(c *Config) {
		c.AllowedRoles, c.PrivacyRoles, c.PrivacyServices, c.Groups = []string{"R"}, []string{privacy}, []string{"Teams"}, g
	})
	p, err := v.Authenticate(t.Context(), []string{"Bearer " + mint(person().with(overages["hasgroups"]).with(fields{"roles": []string{"R"}}))})
	require.ErrorIs(t, err, ErrUnavailable)
	require.Zero(t, p)
	v = verifier(t, newAuthority(), func(c *Config) { c.AdminRoles, c.Groups = []string{admins}, g })
	p, err = v.Authenticate(t.Context(), []string{"Bearer " + mint(person().with(overages["hasgroups"]))})
	require.ErrorIs(t, err, ErrUnavailable)
	require.Zero(t, p)
}

func TestPersonsWhoseGroupsAreKeptAreBounded(t *testing.T) {
	d := newDirectory(&graph{}, nil, slog.New(slog.DiscardHandler))
	for i := range groupsPersons + 100 {
		_, err := d.of(t.Context(), fmt.Sprint(i))
		require.NoError(t, err)
	}
	require.Len(t, d.known.byKey, groupsPersons)
}

func TestAppsGainNothingByGroups(t *testing.T) {
	v := verifier(t, newAuthority(), func(c *Config) {
		c.AdminRoles, c.PrivacyRoles, c.PrivacyServices = []string{admins}, []string{privacy}, []string{"Exchange"}
	})
	p, err := v.Authenticate(t.Context(), []string{"Bearer " + mint(robot().with(fields{"groups": []string{admins, privacy}}))})
	require.NoError(t, err)
	require.Equal(t, audit.App, p.Kind)
	require.False(t, p.Admin, "a group's owner is anybody")
	require.False(t, p.Scope.Whole())
}
