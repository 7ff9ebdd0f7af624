package source

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func TestGraphFeedsAskForTheirSpan(t *testing.T) {
	const members = "include-unknown-enum-members"
	const span = " ge 2026-03-02T08:00:00Z and %s lt 2026-03-02T09:30:00.25Z"
	tests := map[audit.Source]struct {
		path, property, orderBy, top string
		days                         int
		more, prefer                 string
	}{
		audit.EntraDirectory:       {"/v1.0/auditLogs/directoryAudits", "activityDateTime", "activityDateTime asc", "999", 30, "", ""},
		audit.EntraSignIn:          {"/v1.0/auditLogs/signIns", "createdDateTime", "", "1000", 30, "", ""},
		audit.IntuneAudit:          {"/v1.0/deviceManagement/auditEvents", "activityDateTime", "", "999", 365, "", ""},
		audit.EntraSignInNonInter:  {"/beta/auditLogs/signIns", "createdDateTime", "", "1000", 30, " and signInEventTypes/any(t: t eq 'nonInteractiveUser')", members},
		audit.EntraSignInPrincipal: {"/beta/auditLogs/signIns", "createdDateTime", "", "1000", 30, " and signInEventTypes/any(t: t eq 'servicePrincipal')", members},
		audit.EntraSignInManaged:   {"/beta/auditLogs/signIns", "createdDateTime", "", "1000", 30, " and signInEventTypes/any(t: t eq 'managedIdentity')", members},
		audit.EntraRisk:            {"/v1.0/identityProtection/riskDetections", "detectedDateTime", "", "500", 90, "", members},
	}
	for source, tt := range tests {
		t.Run(string(source), func(t *testing.T) {
			raws := []string{`{"id" : "1", "unknown":{"b":2,"a":1},"at":"2026-03-02T08:00:00.1234567Z"}`, `{"id":"2"}`, `{"id":"3"}`}
			c, _ := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				q := r.URL.Query()
				require.Equal(t, tt.prefer, r.Header.Get("Prefer"), "of every page")
				if q.Get("$skiptoken") != "" {
					require.Equal(t, tt.path+"?$skiptoken=a%2Fb'c&x=(1)", r.URL.RequestURI(), "the link is followed as it came")
					fmt.Fprintf(w, `{"value":[%s]}`, raws[2])
					return
				}
				require.Equal(t, tt.path, r.URL.Path)
				require.Equal(t, tt.property+fmt.Sprintf(span, tt.property)+tt.more, q.Get("$filter"))
				require.Equal(t, tt.orderBy, q.Get("$orderby"))
				require.Equal(t, tt.top, q.Get("$top"))
				require.Equal(t, "Bearer token-1", r.Header.Get("Authorization"))
				require.Equal(t, "application/json", r.Header.Get("Accept"))
				fmt.Fprintf(w, `{"@odata.context":"c","@odata.nextLink":"https://%s%s?$skiptoken=a%%2Fb'c&x=(1)","value":[%s, %s]}`, r.Host, tt.path, raws[0], raws[1])
			}))
			f := feedOf(t, c, source)
			blobs, err := list(t.Context(), f, from, from.Add(90*time.Minute+250*time.Millisecond))
			require.NoError(t, err)
			require.Equal(t, []audit.Blob{{
				Source: source, ID: "2026-03-02T08:00:00Z/2026-03-02T09:30:00.25Z",
				Created: from, Until: from.Add(90*time.Minute + 250*time.Millisecond),
			}}, blobs)
			got, err := fetch(t.Context(), f, blobs[0])
			require.NoError(t, err)
			require.Equal(t, raws, got)
			oldest, note := f.Reach(from)
			require.Equal(t, from.AddDate(0, 0, -tt.days), oldest)
			require.NotEmpty(t, note)
			blobs, err = list(t.Context(), f, from, from)
			require.NoError(t, err)
			require.Empty(t, blobs)
		})
	}
}

// TestProvisioningAsksInTheWordsThatItsReferenceLists: of the comparisons with
// a time those are gt and lt, so the span's first moment needs the tick before.
func TestProvisioningAsksInTheWordsThatItsReferenceLists(t *testing.T) {
	c, _ := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		require.Equal(t, "/v1.0/auditLogs/provisioning", r.URL.Path)
		require.Equal(t, "activityDateTime gt 2026-03-02T07:59:59.9999999Z and activityDateTime lt 2026-03-02T09:00:00Z", q.Get("$filter"))
		require.Equal(t, "activityDateTime asc", q.Get("$orderby"))
		require.Equal(t, "500", q.Get("$top"))
		io.WriteString(w, `{"value":[{"id":"1"}]}`)
	}))
	f := feedOf(t, c, audit.EntraProvisioning)
	got, err := fetch(t.Context(), f, audit.Blob{Created: from, Until: from.Add(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, []string{`{"id":"1"}`}, got)
	oldest, note := f.Reach(from)
	require.Equal(t, from.AddDate(0, 0, -30), oldest)
	require.Contains(t, note, "P1 or P2")
}

func TestGraphErrors(t *testing.T) {
	tests := map[string]struct {
		h    http.HandlerFunc
		want string
		some bool
	}{
		"another host": {answer(200, `{"value":[{}],"@odata.nextLink":"https://evil.example/v1.0/x"}`), `the @odata.nextLink of Microsoft Graph points to "https://evil.example"`, true},
		"a circle": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"value":[{}],"@odata.nextLink":"https://%s/v1.0/x?p=1"}`, r.Host)
		}, "in a circle", true},
		"half a page": {answer(200, `{"value":[{"id":"1"},{"id":`), "the answer of Microsoft Graph ends in the middle", true},
		"HTML":        {answer(200, `<html>`), "the body is no page", false},
		"a list":      {answer(200, `[]`), "the body is no page", false},
		"no premium":  {answer(403, `{"error":{"code":"Authentication_RequestFromNonPremiumTenantOrB2CTenant","message":"Neither tenant is B2C or tenant doesn't have premium license"}}`), "NonPremium", false},
		"no content":  {answer(204, ``), "the body is no page", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := served(t, tt.h)
			got, err := fetch(t.Context(), feedOf(t, c, audit.EntraSignIn), audit.Blob{Created: from, Until: from.Add(time.Hour)})
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, "read signIns: ")
			require.Equal(t, tt.some, len(got) > 0)
		})
	}
}

func TestLimitersAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var limits [5]quiets
		c := stub(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/activity/feed") {
				io.WriteString(w, "[]")
				return
			}
			io.WriteString(w, `{"value":[]}`)
		}, func(cfg *Config) {
			cfg.Limits = Limits{Management: &limits[0], Reports: &limits[1], Intune: &limits[2], Directory: &limits[3], Risk: &limits[4]}
		})
		blob := audit.Blob{Created: from, Until: from.Add(time.Hour), URI: "https://stub.example" + testFeed + "/audit/1"}
		for _, s := range []audit.Source{audit.M365Exchange, audit.EntraDirectory, audit.EntraSignIn, audit.IntuneAudit, audit.EntraSignInPrincipal, audit.EntraProvisioning, audit.EntraRisk} {
			_, err := fetch(t.Context(), feedOf(t, c, s), blob)
			require.NoError(t, err)
		}
		_, err := c.Names(t.Context(), []string{testTenant})
		require.NoError(t, err)
		require.Equal(t, []int{1, 4, 1, 1, 1}, []int{limits[0].waits, limits[1].waits, limits[2].waits, limits[3].waits, limits[4].waits})
	})
}

func TestNames(t *testing.T) {
	var asked []int
	c, _ := served(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ IDs, Types []string }
		require.NoError(t, json.NewDecoder(r.Body).Decode(&body))
		require.Equal(t, "/v1.0/directoryObjects/getByIds", r.URL.Path)
		require.Equal(t, "id,displayName,userPrincipalName", r.URL.Query().Get("$select"))
		require.Equal(t, http.MethodPost, r.Method)
		require.Equal(t, "application/json", r.Header.Get("Content-Type"))
		require.Equal(t, []string{"user", "group", "servicePrincipal", "device"}, body.Types)
		if asked = append(asked, len(body.IDs)); len(asked) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable) // the body is sent again, whole
			return
		}
		fmt.Fprintf(w, `{"value":[{"@odata.type":"#microsoft.graph.user","id":%q,"displayName":"Ada","userPrincipalName":"ada@contoso.example"},
			{"@odata.type":"#microsoft.graph.group","id":"g","displayName":"Owners"}]}`, strings.ToLower(body.IDs[0]))
	}))
	ids := make([]string, 1001)
	for i := range ids {
		ids[i] = fmt.Sprintf("ABCDEF00-0000-0000-0000-%012d", i)
	}
	names, err := c.Names(t.Context(), ids)
	require.NoError(t, err)
	require.Equal(t, []int{1000, 1000, 1}, asked)
	ada := audit.Identity{Name: "Ada", UPN: "ada@contoso.example", Type: "user"}
	require.Equal(t, map[string]audit.Identity{ids[0]: ada, ids[1000]: ada, "g": {Name: "Owners", Type: "group"}}, names)

	c, _ = served(t, answer(200, `{"value":[[1]]}`))
	_, err = c.Names(t.Context(), ids[:1])
	require.ErrorContains(t, err, "an object of another form")
}
