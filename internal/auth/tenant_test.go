package auth

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"aoc/internal/simtenant"
)

// membersOf is a Groups that knows the people of a simulated tenant.
type membersOf []simtenant.SignInPerson

func (m membersOf) MemberGroups(_ context.Context, objectID string) ([]string, error) {
	for _, p := range m {
		if p.ObjectID == objectID {
			return p.Groups, nil
		}
	}
	return nil, nil
}

// TestTokensOfTheSimulatedTenant: its tokens were written from Microsoft's
// pages by other hands than this package.
func TestTokensOfTheSimulatedTenant(t *testing.T) {
	tenant, err := simtenant.New(simtenant.Options{})
	require.NoError(t, err)
	tenant.SetGroupClaims(true)
	people := tenant.SignInPeople()
	require.Len(t, people, 4)
	config := func(c *Config) {
		c.TenantID, c.ClientID, c.Transport, c.Groups = tenant.TenantID(), tenant.ClientID(), tenant.Transport(), membersOf(people)
		c.AllowedRoles, c.AdminRoles = []string{simtenant.APIRoleAdmin, simtenant.APIRoleAnalyst}, []string{simtenant.APIRoleAdmin}
		c.PrivacyRoles, c.PrivacyServices = []string{simtenant.APIRolePrivacy}, []string{"Exchange"}
	}
	for version := 1; version <= 2; version++ {
		tenant.SetTokenVersion(version)
		v := verifier(t, nil, config)
		for i, want := range []struct{ admin, whole bool }{{true, true}, {false, true}, {false, false}} {
			token, err := tenant.UserToken(people[i].UPN, time.Hour)
			require.NoError(t, err)
			p, err := v.Authenticate(t.Context(), []string{"Bearer " + token})
			require.NoError(t, err, people[i].About)
			require.Equal(t, []bool{want.admin, want.whole}, []bool{p.Admin, p.Scope.Whole()}, people[i].About)
			require.Equal(t, []string{people[i].ObjectID, people[i].UPN, people[i].Name}, []string{p.ObjectID, p.UPN, p.Name})
		}
		outsider, err := tenant.UserToken(people[3].UPN, time.Hour)
		require.NoError(t, err)
		require.ErrorIs(t, authenticate(v, outsider), ErrForbidden)
		expired, err := tenant.UserToken(people[0].UPN, -time.Hour)
		require.NoError(t, err)
		require.ErrorIs(t, authenticate(v, expired), ErrBadToken)

		// By group: the second is in more of them than a token lists.
		v = verifier(t, nil, config, func(c *Config) { c.AllowedRoles, c.AllowedGroups = nil, people[1].Groups[:1] })
		token, err := tenant.UserToken(people[1].UPN, time.Hour)
		require.NoError(t, err)
		require.NoError(t, authenticate(v, token))
	}
}
