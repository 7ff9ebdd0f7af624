package simtenant

import (
	"net/url"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

func TestTokensOfVersion1(t *testing.T) {
	v := visit(t, newTenant(t, Options{}))
	v.tenant.SetTokenVersion(1)
	who := v.tenant.SignInPeople()[0]
	got := v.tokens(0)
	claims := v.claims(got["access_token"])
	id, client := v.tenant.TenantID(), v.tenant.ClientID()
	for name, want := range map[string]any{
		"aud": "api://" + client, "iss": "https://sts.windows.net/" + id + "/", "ver": "1.0", "appid": client, "appidacr": "0",
		"upn": who.UPN, "unique_name": who.UPN, "oid": who.ObjectID, "tid": id, "scp": "access_as_user",
		"given_name": "Marit", "family_name": "Halvorsen", "roles": []any{"AOC.Admin", "AOC.Privacy"},
	} {
		require.Equal(t, want, claims[name], name)
	}
	require.NotContains(t, claims, "azp")
	require.NotContains(t, claims, "preferred_username")
	require.Equal(t, "2.0", v.claims(got["id_token"])["ver"], "the endpoint's version is the id token's")
	v.tenant.SetTokenVersion(2)
	token, err := v.tenant.UserToken(who.UPN, time.Hour)
	require.NoError(t, err)
	require.Equal(t, "2.0", v.claims(token)["ver"])
}

func TestTokensOfTheClientForTheAPI(t *testing.T) {
	v := newVisitor(dial(t, newTenant(t, Options{})))
	id, client := v.tenant.TenantID(), v.tenant.ClientID()
	form := func(scope, resource string) url.Values {
		return url.Values{"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {v.tenant.ClientSecret()}, "scope": {scope}, "resource": {resource}}
	}
	token := func(path string, asked url.Values) jwt.MapClaims {
		got := v.form("/"+id+path, asked)
		require.Equal(t, 200, got.status, "%s", got.body)
		return v.claims(got.json(t)["access_token"])
	}
	for _, resource := range []string{client, "api://" + client} {
		v.tenant.SetTokenVersion(2)
		for path, asked := range map[string]url.Values{"/oauth2/v2.0/token": form(resource+"/.default", ""), "/oauth2/token": form("", resource)} {
			claims := token(path, asked)
			require.Equal(t, client, claims["aud"])
			require.Equal(t, "https://login.microsoftonline.com/"+id+"/v2.0", claims["iss"])
			require.Equal(t, client, claims["azp"])
			require.Equal(t, "1", claims["azpacr"])
			require.Equal(t, []any{"AOC.Admin"}, claims["roles"])
			for _, name := range []string{"idtyp", "scp", "appid", "preferred_username"} {
				require.NotContains(t, claims, name)
			}
		}
		v.tenant.SetTokenVersion(1)
		claims := token("/oauth2/v2.0/token", form(resource+"/.default", ""))
		require.Equal(t, "api://"+client, claims["aud"])
		require.Equal(t, "https://sts.windows.net/"+id+"/", claims["iss"])
		require.Equal(t, client, claims["appid"])
	}
	v.tenant.GrantAPI("AOC.Analyst", "AOC.Privacy")
	require.Equal(t, []any{"AOC.Analyst", "AOC.Privacy"}, token("/oauth2/token", form("", client))["roles"])
	v.tenant.GrantAPI()
	require.NotContains(t, token("/oauth2/token", form("", client)), "roles")
}

func TestTokensOfPeopleOpenNoService(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	token, err := c.tenant.UserToken(c.tenant.SignInPeople()[0].UPN, time.Hour)
	require.NoError(t, err)
	require.Equal(t, "InvalidAuthenticationToken", c.bare("/v1.0/auditLogs/directoryAudits", "Bearer "+token).code(t))
	require.Equal(t, 401, c.bare(c.feed("subscriptions/list"), "Bearer "+token).status)
	bare, err := c.tenant.Sign(map[string]any{"tid": c.tenant.TenantID(), "exp": noon.Add(time.Hour).Unix()}, nil)
	require.NoError(t, err)
	require.Equal(t, 401, c.bare("/v1.0/auditLogs/directoryAudits", "Bearer "+bare).status, "a token for nobody")
}

func TestUserToken(t *testing.T) {
	v := visit(t, newTenant(t, Options{}))
	for _, who := range v.tenant.SignInPeople() {
		for _, named := range []string{who.ObjectID, who.UPN} {
			token, err := v.tenant.UserToken(named, 20*time.Minute)
			require.NoError(t, err)
			claims := v.claims(token)
			require.Equal(t, who.ObjectID, claims["oid"])
			require.EqualValues(t, noon.Add(20*time.Minute).Unix(), claims["exp"])
		}
		old, err := v.tenant.UserToken(who.UPN, -time.Hour)
		require.NoError(t, err)
		_, err = v.verified(old)
		require.ErrorIs(t, err, jwt.ErrTokenExpired)
		past, _, err := jwt.NewParser().ParseUnverified(old, jwt.MapClaims{})
		require.NoError(t, err)
		claims := past.Claims.(jwt.MapClaims)
		require.Less(t, claims["nbf"], claims["exp"], "it was good once")
	}
	_, err := v.tenant.UserToken("stranger@else.example", time.Hour)
	require.ErrorContains(t, err, "stranger@else.example")
}

func TestGroupClaims(t *testing.T) {
	v := visit(t, newTenant(t, Options{}))
	people := v.tenant.SignInPeople()
	v.tenant.SetGroupClaims(true)
	for i, who := range people {
		got := v.tokens(i)
		for _, name := range []string{"access_token", "id_token"} {
			claims := v.claims(got[name])
			switch {
			case len(who.Groups) > 200:
				require.NotContains(t, claims, "groups")
				require.Equal(t, map[string]any{"groups": "src1"}, claims["_claim_names"])
				source := claims["_claim_sources"].(map[string]any)["src1"].(map[string]any)
				require.Equal(t, "https://graph.windows.net/"+v.tenant.TenantID()+"/users/"+who.ObjectID+"/getMemberObjects", source["endpoint"])
			case len(who.Groups) == 0:
				require.NotContains(t, claims, "groups")
			default:
				require.ElementsMatch(t, who.Groups, claims["groups"])
				require.NotContains(t, claims, "_claim_names")
			}
		}
	}
	readers := v.tenant.history.company.readers.id
	require.Greater(t, len(people[1].Groups), 200)
	require.Contains(t, people[1].Groups, readers)
	require.Contains(t, people[2].Groups, readers)
	require.NotContains(t, people[0].Groups, readers)
	require.NotContains(t, people[3].Groups, readers)
	v.tenant.SetGroupClaims(false)
	require.NotContains(t, v.claims(v.tokens(1)["access_token"]), "_claim_names")
}

func TestSign(t *testing.T) {
	v := visit(t, newTenant(t, Options{}))
	claims := map[string]any{"exp": noon.Add(time.Hour).Unix(), "hello": "world"}
	token, err := v.tenant.Sign(claims, nil)
	require.NoError(t, err)
	require.Equal(t, "world", v.claims(token)["hello"])
	token, err = v.tenant.Sign(claims, map[string]any{"kid": nil, "alg": "none", "jku": "https://evil.example"})
	require.NoError(t, err)
	got, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"typ": "JWT", "alg": "none", "jku": "https://evil.example", "x5t": v.tenant.keys.current().id}, got.Header)
	_, err = v.tenant.Sign(map[string]any{"f": func() {}}, nil)
	require.Error(t, err)
}

func TestKeysRotate(t *testing.T) {
	tenant := newTenant(t, Options{})
	v, whole := visit(t, tenant), call(t, tenant)
	who := tenant.SignInPeople()[0].UPN
	mint := func() string {
		token, err := tenant.UserToken(who, time.Hour)
		require.NoError(t, err)
		return token
	}
	old, graph := mint(), whole.token("https://graph.microsoft.com")
	before := v.publishedKeys()
	require.Len(t, before, 1)
	kid, err := tenant.RotateKeys()
	require.NoError(t, err)
	require.NotContains(t, before, kid)
	now := v.publishedKeys()
	require.Len(t, now, 2)
	require.Contains(t, now, kid)
	v.claims(old)
	v.claims(mint())
	logs := "/v1.0/auditLogs/directoryAudits?$top=1"
	require.Equal(t, 200, whole.bare(logs, "Bearer "+graph).status, "the old key is still good")

	tenant.RetireKeys()
	require.Len(t, v.publishedKeys(), 1)
	_, err = v.verified(old)
	require.ErrorContains(t, err, "not published")
	v.claims(mint())
	require.Equal(t, 401, whole.bare(logs, "Bearer "+graph).status)
	require.Len(t, visit(t, newTenant(t, Options{Seed: 9})).publishedKeys(), 1, "tenants rotate for themselves")
}
