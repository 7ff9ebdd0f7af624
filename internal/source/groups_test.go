package source

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aoc/internal/audit"
	"aoc/internal/simtenant"

	"github.com/stretchr/testify/require"
)

const someone = "5D1F2C3B-0A9E-4B7C-8D6F-112233445566"

// groupsPage is an answer with n groups.
func groupsPage(n int) string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("ABCDEF00-0000-0000-0000-%012d", i)
	}
	body, _ := json.Marshal(map[string]any{"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#Collection(Edm.String)", "value": ids})
	return string(body)
}

func TestMemberGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		c := stub(t, inTurn(&calls, answer(503, `{}`), func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Equal(t, "POST /v1.0/directoryObjects/"+strings.ToLower(someone)+"/getMemberObjects", r.Method+" "+r.URL.RequestURI())
			require.JSONEq(t, `{"securityEnabledOnly":false}`, string(body), "groups of Microsoft 365 too; sent again whole")
			require.Equal(t, "application/json", r.Header.Get("Content-Type"))
			require.Equal(t, "Bearer token-1", r.Header.Get("Authorization"))
			io.WriteString(w, groupsPage(11_000))
		}))
		groups, err := c.MemberGroups(t.Context(), someone)
		require.NoError(t, err)
		require.Len(t, groups, 11_000)
		require.Equal(t, "abcdef00-0000-0000-0000-000000010999", groups[10_999], "in lower case")
	})
}

func TestMemberGroupsThatAreNone(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"no group":  answer(200, `{"value":[]}`),
		"not there": answer(404, `{"error":{"code":"Request_ResourceNotFound","message":"Resource '5d1f' does not exist or one of its queried reference-property objects are not present."}}`),
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := served(t, h)
			groups, err := c.MemberGroups(t.Context(), someone)
			require.NoError(t, err)
			require.Empty(t, groups)
		})
	}
}

func TestMemberGroupsErrors(t *testing.T) {
	tests := map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"another address":  {answer(404, `{"error":{"code":"ResourceNotFound","message":"no"}}`), "answered 404 ResourceNotFound"},
		"no permission":    {answer(403, `{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges"}}`), "answered 403 Authorization_RequestDenied"},
		"too many for it":  {answer(400, `{"error":{"code":"Directory_ResultSizeLimitExceeded","message":"too large"}}`), "Directory_ResultSizeLimitExceeded"},
		"too many for us":  {answer(200, groupsPage(maxGroups+1)), "more than 20000 groups"},
		"no GUID":          {answer(200, `{"value":["abcdef00-0000-0000-0000-000000000001/x"]}`), "whose id is no GUID"},
		"an object":        {answer(200, `{"value":[{"id":"abcdef00-0000-0000-0000-000000000001"}]}`), "whose id is no GUID"},
		"null":             {answer(200, `{"value":[null]}`), "whose id is no GUID"},
		"HTML":             {answer(200, `<html>`), "the body is no page"},
		"a page elsewhere": {answer(200, `{"value":[],"@odata.nextLink":"https://evil.example/x"}`), `points to "https://evil.example"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := served(t, tt.h)
			groups, err := c.MemberGroups(t.Context(), someone)
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, "look up the groups of a directory object: ")
			require.Empty(t, groups, "some of the groups are not all")
		})
	}
}

// TestMemberGroupsTakesGUIDsOnly: the id becomes part of an address that is
// called with a token.
func TestMemberGroupsTakesGUIDsOnly(t *testing.T) {
	var calls atomic.Int32
	c, _ := served(t, inTurn(&calls, answer(200, `{"value":[]}`)))
	for _, id := range []string{
		"", "me", "../users", "..%2fusers", someone + "/../x", someone + "?$select=x", someone + "#", someone + "\n", " " + someone,
		"{" + someone + "}", someone[:35], someone + "0", strings.Replace(someone, "-", "–", 1), "ada@contoso.example", someone + "%00", someone + `\x`,
	} {
		_, err := c.MemberGroups(t.Context(), id)
		require.ErrorIs(t, err, audit.ErrInvalid, "%q", id)
	}
	require.Zero(t, calls.Load())
}

func TestMemberGroupsEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stub(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		start := time.Now()
		_, err := c.MemberGroups(t.Context(), someone)
		require.Error(t, err)
		require.Equal(t, groupsTimeout, time.Since(start))
	})
	synctest.Test(t, func(t *testing.T) {
		c := stub(t, answer(429, `{}`, "Retry-After", "60"))
		start := time.Now()
		_, err := c.MemberGroups(t.Context(), someone)
		var throttled *ThrottledError
		require.ErrorAs(t, err, &throttled, "it says so at once when it cannot wait as long")
		require.Zero(t, time.Since(start))
	})
}

func TestMemberGroupsOfTheTenant(t *testing.T) {
	tenant, err := simtenant.New(simtenant.Options{Seed: 7, People: 10})
	require.NoError(t, err)
	srv := httptest.NewTLSServer(tenant)
	t.Cleanup(srv.Close)
	c := simulated(t, tenant, srv.URL, srv.Client().Transport)
	for _, who := range tenant.SignInPeople() {
		groups, err := c.MemberGroups(t.Context(), strings.ToUpper(who.ObjectID))
		require.NoError(t, err)
		require.Subset(t, groups, who.Groups)
		require.Greater(t, len(groups), len(who.Groups), "groups of Microsoft 365 and directory roles too")
	}
	groups, err := c.MemberGroups(t.Context(), "00000000-0000-0000-0000-00000000dead")
	require.NoError(t, err)
	require.Empty(t, groups)

	tenant.Grant(simtenant.RoleAuditLogRead)
	c = simulated(t, tenant, srv.URL, srv.Client().Transport)
	_, err = c.MemberGroups(t.Context(), tenant.SignInPeople()[0].ObjectID)
	var refusal *APIError
	require.ErrorAs(t, err, &refusal)
	require.Contains(t, refusal.Advice(), "Directory.Read.All")
}
