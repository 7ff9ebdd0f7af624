package simtenant

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMemberObjects(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	ask := func(path, body string) []any {
		got := c.send("POST", path+"/getMemberObjects", body)
		require.Equal(t, 200, got.status, "%s", got.body)
		require.Equal(t, c.origin+"/v1.0/$metadata#Collection(Edm.String)", got.json(t)["@odata.context"])
		return got.json(t)["value"].([]any)
	}
	const security, all = `{"securityEnabledOnly":true}`, `{"securityEnabledOnly":false}`
	for _, who := range c.tenant.SignInPeople() {
		for _, path := range []string{"/v1.0/users/" + who.ObjectID, "/v1.0/directoryObjects/" + who.ObjectID, "/v1.0/users/" + who.UPN} {
			require.ElementsMatch(t, who.Groups, ask(path, security))
			every := ask(path, all)
			require.Subset(t, every, toAny(who.Groups))
			require.Greater(t, len(every), len(who.Groups), "Microsoft 365 groups and directory roles too")
			require.Equal(t, every, ask(path, `{}`))
		}
	}
	company := c.tenant.history.company
	require.Contains(t, ask("/v1.0/users/"+company.staff[globalAdmin].id, all), company.derivedID("directory role", "Global Administrator"))
	require.Empty(t, ask("/v1.0/servicePrincipals/"+c.tenant.principalID(), all))
	require.Empty(t, ask("/v1.0/directoryObjects/"+company.readers.id, all))
	for _, g := range []group{company.readers, company.rooms[0]} {
		got := c.send("POST", "/v1.0/directoryObjects/getByIds", `{"ids":["`+g.id+`"]}`)
		require.Contains(t, string(got.body), g.name)
	}
}

func toAny(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func TestMemberObjectsErrors(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	who := c.tenant.SignInPeople()[0]
	for _, path := range []string{
		"/v1.0/users/" + newRequestID(), "/beta/directoryObjects/" + newRequestID(), "/v1.0/servicePrincipals/" + who.ObjectID,
		"/v1.0/users/" + c.tenant.principalID(), "/v1.0/directoryObjects/" + who.UPN,
	} {
		got := c.send("POST", path+"/getMemberObjects", `{"securityEnabledOnly":true}`)
		require.Equal(t, 404, got.status, path)
		require.Equal(t, "Request_ResourceNotFound", got.code(t))
	}
	own := "/v1.0/users/" + who.ObjectID + "/getMemberObjects"
	require.Equal(t, 400, c.send("POST", own, "{").status)
	require.Equal(t, 400, c.send("POST", own, `{"securityEnabledOnly":"yes"}`).status)
	c.tenant.Faults().Add(Fault{Kind: FaultStatus, Status: 429, Endpoint: "getMemberObjects", Times: 1, RetryAfter: RetryAfterSeconds(3)})
	require.Equal(t, "3", c.send("POST", own, "{}").header.Get("Retry-After"))
	c.tenant.SetLimits(Limits{Directory: Rate{1, time.Minute}})
	require.Equal(t, 200, c.send("POST", own, "{}").status)
	require.Equal(t, 429, c.send("POST", own, "{}").status)
	require.Equal(t, 2, c.tenant.Calls("getMemberObjects").Throttled)

	poor := call(t, newTenant(t, Options{Roles: []string{RoleAuditLogRead}}))
	got := poor.send("POST", own, `{}`)
	require.Equal(t, 403, got.status)
	require.Equal(t, "Authorization_RequestDenied", got.code(t))
}
