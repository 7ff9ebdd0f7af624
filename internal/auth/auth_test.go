package auth

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

func TestGoodTokensOfBothEditions(t *testing.T) {
	v := verifier(t, newAuthority())
	for name, c := range map[string]struct {
		claims fields
		kind   audit.PrincipalKind
	}{
		"person, v2.0":                     {person(), audit.Person},
		"person, v1.0":                     {person1(), audit.Person},
		"person, v1.0, client id":          {person1().with(fields{"aud": clientID}), audit.Person},
		"person, v1.0, uri with slash":     {person1().with(fields{"aud": "api://" + clientID + "/"}), audit.Person},
		"person, one audience in a list":   {person().with(fields{"aud": []string{clientID}}), audit.Person},
		"person with idtyp":                {person().with(fields{"idtyp": "user"}), audit.Person},
		"app":                              {robot(), audit.App},
		"app with idtyp":                   {robot().with(fields{"idtyp": "app"}), audit.App},
		"just expired, within the leeway":  {person().with(fields{"exp": person()["iat"].(int64) - 30}), audit.Person},
		"of the next minute, within it":    {person().with(fields{"nbf": person()["iat"].(int64) + 30, "iat": person()["iat"].(int64) + 30}), audit.Person},
		"claims nobody knows, nested some": {person().with(fields{"xms": fields{"a": []any{fields{"b": 1.5}}}}), audit.Person},
	} {
		p, err := v.Authenticate(t.Context(), []string{"Bearer " + mint(c.claims)})
		require.NoError(t, err, name)
		require.Equal(t, c.kind, p.Kind, name)
		require.Equal(t, personID+"@"+tenantID, p.Key(), name)
		require.Equal(t, appID, p.AppID, name)
		require.True(t, p.Admin, name)
		require.True(t, p.Scope.Whole(), name)
	}
	require.Equal(t, int64(11), v.Stats().Accepted)
	require.Equal(t, int64(2), v.Stats().KeyFetches)
}

func TestPrincipalTellsWhoAndWhichSession(t *testing.T) {
	v := verifier(t, newAuthority())
	ask := func(claims fields) audit.Principal {
		p, err := v.Authenticate(t.Context(), []string{"bearer " + mint(claims)})
		require.NoError(t, err)
		return p
	}
	p := ask(person())
	require.Equal(t, "Ada Example", p.Name)
	require.Equal(t, "ada@example.com", p.UPN)
	require.Equal(t, "5c1f", p.Session)
	require.Equal(t, "u-1", ask(person().with(fields{"sid": leave})).Session)
	require.NotEmpty(t, ask(person().with(fields{"sid": leave, "uti": leave})).Session)
	require.Equal(t, "ada@example.com", ask(person1()).UPN)
	require.Equal(t, "u", ask(person1().with(fields{"upn": leave, "unique_name": "u"})).UPN)
	require.Equal(t, personID, ask(person().with(fields{"oid": strings.ToUpper(personID)})).ObjectID)

	p = ask(person().with(fields{"name": "Ada\r\n\x00\u202e\u2028 " + strings.Repeat("é", 400)}))
	require.Equal(t, "Ada "+strings.Repeat("é", 252), p.Name)
}

func TestChallengeSaysWhyOnlyWhereATokenWasSent(t *testing.T) {
	v := verifier(t, newAuthority())
	for _, header := range [][]string{nil, {}, {""}, {"Basic YTpi"}, {"Negotiate abc"}} {
		_, err := v.Authenticate(t.Context(), header)
		require.ErrorIs(t, err, ErrNoToken)
		require.Equal(t, "Bearer", v.Challenge(err))
	}
	err := authenticate(v, mint(person().with(fields{"exp": 1000})))
	require.ErrorIs(t, err, ErrBadToken)
	require.Equal(t, `Bearer error="invalid_token", error_description="the token has expired"`, v.Challenge(err))
	require.Equal(t, int64(5), v.Stats().Refused["no_token"])
	require.Equal(t, int64(1), v.Stats().Refused["time"])
	require.Equal(t, int64(0), v.Stats().Refused["forbidden"])
}

func TestDisabledLetsEverybodyIn(t *testing.T) {
	p, err := Disabled{}.Authenticate(context.Background(), []string{"Basic", "x"})
	require.NoError(t, err)
	require.Equal(t, audit.Anonymous, p.Kind)
	require.True(t, p.Admin)
	require.True(t, p.Scope.Whole())
}

func TestNewDialsNobodyAndTellsAllMistakes(t *testing.T) {
	a := newAuthority()
	var log strings.Builder
	verifier(t, a, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	require.Zero(t, a.total())
	require.Contains(t, log.String(), "AUTH_ALLOWED_ROLES")

	_, err := New(Config{
		TenantID: "common", ClientID: "aoc", Audiences: []string{"", "https://graph.microsoft.com/"}, Authority: "http://login.example",
		AllowedGroups: []string{"Admins"}, AllowedRoles: []string{" Reader"}, PrivacyServices: []string{""},
	})
	for _, part := range []string{"tenant id", "client id", "empty audience", "API of Microsoft's", "expected https", "allowed group", "allowed role", "hidden service"} {
		require.ErrorContains(t, err, part)
	}
	for _, bad := range []string{"https://", "login.microsoftonline.com", "https://u:secret@login.example", "https://login.example/tenant", "https://login.example?x=1", "https://login.example#f", "%"} {
		_, err := New(Config{TenantID: tenantID, ClientID: clientID, Authority: bad})
		require.ErrorContains(t, err, "authority", bad)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestFurtherAudiences(t *testing.T) {
	v := verifier(t, newAuthority(), func(c *Config) {
		c.Audiences = []string{"https://aoc.example.com", "6e74172b-be56-4843-9ff4-e66a39bb12e3"}
		c.ClientID = strings.ToUpper(clientID)
		c.TenantID = strings.ToUpper(tenantID)
		c.Authority = "https://LOGIN.microsoftonline.com:443/"
	})
	for aud, ok := range map[string]bool{
		"https://aoc.example.com": true, "https://aoc.example.com/": true, "6e74172b-be56-4843-9ff4-e66a39bb12e3": true, clientID: true,
		"https://aoc.example.com//": false, "https://aoc.example.com.evil": false, "6e74172b-be56-4843-9ff4-e66a39bb12e3/": false, "HTTPS://aoc.example.com": false,
	} {
		err := authenticate(v, mint(person1().with(fields{"aud": aud})))
		require.Equal(t, ok, err == nil, "%s: %v", aud, err)
	}
}
