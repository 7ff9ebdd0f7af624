package simtenant

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type signInTimes struct {
	ID      string
	Created time.Time `json:"createdDateTime"`
}

func timesOf(t *testing.T, list []json.RawMessage) []signInTimes {
	t.Helper()
	out := make([]signInTimes, len(list))
	for i, body := range list {
		require.NoError(t, json.Unmarshal(body, &out[i]))
	}
	return out
}

func TestOrder(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	filter := "createdDateTime ge " + noon.Add(-30*time.Hour).Format(time.RFC3339)
	newestFirst := timesOf(t, c.walkGraph("auditLogs/signIns", filter, "", "7"))
	require.Greater(t, len(newestFirst), 30)
	require.True(t, slices.IsSortedFunc(newestFirst, func(a, b signInTimes) int { return b.Created.Compare(a.Created) }))
	require.Equal(t, newestFirst, timesOf(t, c.walkGraph("auditLogs/signIns", filter, "createdDateTime desc", "1000")))
	asc := timesOf(t, c.walkGraph("auditLogs/signIns", filter, "createdDateTime asc", "9"))
	slices.Reverse(asc)
	require.Equal(t, newestFirst, asc)
	require.Equal(t, 200, c.get("/v1.0/auditLogs/signIns?$orderby=createdDateTime&$top=1").status)
}

func TestTimeBoundsAreExact(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	all := timesOf(t, c.walkGraph("auditLogs/signIns", "createdDateTime ge "+noon.Add(-10*time.Hour).Format(time.RFC3339), "createdDateTime asc", "1000"))
	mid := all[len(all)/2].Created
	at := mid.Format("2006-01-02T15:04:05.0000000Z")
	tests := map[string]func(time.Time) bool{
		"ge " + at: func(x time.Time) bool { return !x.Before(mid) },
		"gt " + at: func(x time.Time) bool { return x.After(mid) },
		"le " + at + " and createdDateTime ge " + noon.Add(-10*time.Hour).Format(time.RFC3339): func(x time.Time) bool { return !x.After(mid) },
		"lt " + at + " and createdDateTime ge " + noon.Add(-10*time.Hour).Format(time.RFC3339): func(x time.Time) bool { return x.Before(mid) },
		"eq " + at: mid.Equal,
	}
	for filter, want := range tests {
		n := 0
		for _, s := range all {
			if want(s.Created) {
				n++
			}
		}
		require.NotZero(t, n)
		require.Len(t, c.walkGraph("auditLogs/signIns", "createdDateTime "+filter, "", "1000"), n, filter)
	}
}

func TestFiltersOnProperties(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	since := " and activityDateTime ge " + noon.Add(-5*24*time.Hour).Format(time.RFC3339)
	var one struct {
		ID, Category        string
		ActivityDisplayName string
		TargetResources     []struct{ ID string }
	}
	list := c.walkGraph("auditLogs/directoryAudits", strings.TrimPrefix(since, " and "), "", "1000")
	require.NoError(t, json.Unmarshal(list[0], &one))
	for filter, atMost := range map[string]int{
		"id eq '" + one.ID + "'":                                                             1,
		"category eq '" + strings.ToUpper(one.Category) + "'":                                len(list),
		"startswith(activityDisplayName,'" + one.ActivityDisplayName[:4] + "')":              len(list),
		"targetResources/any(t:t/id eq '" + one.TargetResources[0].ID + "')":                 len(list),
		"(category eq '" + one.Category + "' and (activityDateTime lt 2030-01-01))":          len(list),
		"activityDisplayName eq '" + one.ActivityDisplayName + "'":                           len(list),
		"targetResources/any(t: t/id eq 'x' or t/id eq '" + one.TargetResources[0].ID + "')": len(list),
	} {
		got := c.walkGraph("auditLogs/directoryAudits", filter+since, "", "1000")
		require.NotEmpty(t, got, filter)
		require.LessOrEqual(t, len(got), atMost, filter)
	}
	require.Empty(t, c.walkGraph("auditLogs/directoryAudits", "category eq 'O''Nobody'"+since, "", "5"))
	failed := c.walkGraph("auditLogs/signIns", "status/errorCode eq 50126", "", "1000")
	require.NotEmpty(t, failed)
	for _, body := range failed {
		require.Contains(t, string(body), "50126")
	}
}

func TestBadGraphQueries(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	for _, query := range []string{
		"$top=0", "$top=1001", "$top=x", "$orderby=id", "$orderby=createdDateTime up", "$orderby=createdDateTime asc x", "$skiptoken=!", "$skiptoken=eA",
		"$select=id", "$search=x", "$filter=createdDateTime", "$filter=createdDateTime ge yesterday", "$filter=createdDateTime ne 2026-01-01",
		"$filter=createdDateTime ge '2026-01-01'", "$filter=activityDateTime ge 2026-01-01", "$filter=userPrincipalName ne 'x'",
		"$filter=userPrincipalName eq 'x", "$filter=appId eq 'x' or appId eq 'y'", "$filter=nothing eq 'x'", "$filter=(appId eq 'x'",
		"$filter=appId eq 'x')", "$filter=startswith(nothing,'x')", "$filter=startswith(appId,'x'", "$filter=signInEventTypes/any(t: t eq 'interactiveUser')",
		"$filter=not appId eq 'x'", "$filter=", "$filter=appId eq \"x\"", "$filter=" + strings.Repeat("(", 30), "$filter=createdDateTime ge 2026-13-01",
	} {
		name, value, _ := strings.Cut(query, "=")
		got := c.get("/v1.0/auditLogs/signIns?" + name + "=" + url.QueryEscape(value))
		require.Equal(t, 400, got.status, query)
		require.Equal(t, "BadRequest", got.code(t), query)
	}
	require.Equal(t, 400, c.get("/v1.0/auditLogs/signIns?%zz=1").status)
	require.Equal(t, 200, c.get("/beta/auditLogs/signIns?$top=1&$filter="+url.QueryEscape("signInEventTypes/any(t: t eq 'interactiveUser')")).status)
}

func TestSkipTokenSurvivesInserts(t *testing.T) {
	at := &clock{noon.Add(-6 * time.Hour)}
	c := call(t, newTenant(t, Options{Now: at.now}))
	var page struct {
		Next  string `json:"@odata.nextLink"`
		Value []json.RawMessage
	}
	read := func(link string) map[string]int {
		page.Next, page.Value = "", nil
		require.NoError(t, json.Unmarshal(c.get(link).body, &page))
		got := map[string]int{}
		recordIDs(t, page.Value, "id", got)
		return got
	}
	seen := read("/v1.0/auditLogs/signIns?$top=20")
	at.at = noon // the morning's sign-ins push in before the page
	c.tokens = map[string]string{}
	fresh := read("/v1.0/auditLogs/signIns?$top=20")
	require.NotContains(t, fresh, slices.Collect(func(yield func(string) bool) {
		for id := range seen {
			if !yield(id) {
				return
			}
		}
	})[0])
	at.at = noon.Add(-6 * time.Hour)
	c.tokens = map[string]string{}
	read("/v1.0/auditLogs/signIns?$top=20")
	at.at = noon.Add(-5 * time.Hour)
	for id, n := range read(page.Next) {
		require.Equal(t, 1, n)
		require.NotContains(t, seen, id)
	}
}

func TestRecordsAppearWhenPublished(t *testing.T) {
	const hour = time.Hour
	morning := noon.Add(-3 * hour)
	at := &clock{morning}
	c := call(t, newTenant(t, Options{Now: at.now, Epoch: noon}))
	filter := "createdDateTime ge " + morning.Add(-hour).Format(time.RFC3339) + " and createdDateTime lt " + morning.Format(time.RFC3339)
	before := len(c.walkGraph("auditLogs/signIns", filter, "", "1000"))
	require.Equal(t, c.tenant.Truth(SignIns, morning.Add(-hour), morning).Count(), before)
	at.at = noon
	c.tokens = map[string]string{}
	after := len(c.walkGraph("auditLogs/signIns", filter, "", "1000"))
	require.Greater(t, after, before)
	require.Equal(t, c.tenant.Truth(SignIns, morning.Add(-hour), morning).Count(), after)
}

func TestRetentionAndLicence(t *testing.T) {
	oldest := func(c *caller, path string) time.Duration {
		var page struct {
			Value []struct {
				At time.Time `json:"activityDateTime"`
			}
		}
		require.NoError(t, json.Unmarshal(c.get("/v1.0/"+path+"?$top=1&$orderby=activityDateTime+asc").body, &page))
		return noon.Sub(page.Value[0].At)
	}
	old := Options{Epoch: noon.AddDate(0, 0, -20)} // its past begins fifty days ago
	paid := call(t, newTenant(t, old))
	old.Free = true
	free := call(t, newTenant(t, old))
	const day = 24 * time.Hour
	require.InDelta(t, 30*day, oldest(paid, paths[DirectoryAudits]), float64(3*day))
	require.InDelta(t, 7*day, oldest(free, paths[DirectoryAudits]), float64(3*day))
	require.Greater(t, oldest(free, paths[IntuneAudits]), 40*day)
	got := free.get("/v1.0/auditLogs/signIns")
	require.Equal(t, http.StatusForbidden, got.status)
	require.Equal(t, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", got.code(t))
}

func TestGetByIDs(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	who := c.tenant.SignInPeople()[0]
	ask := func(query string, ids, types []string) []any {
		body, err := json.Marshal(map[string]any{"ids": ids, "types": types})
		require.NoError(t, err)
		got := c.send("POST", "/v1.0/directoryObjects/getByIds"+query, string(body))
		require.Equal(t, 200, got.status, "%s", got.body)
		require.Equal(t, c.origin+"/v1.0/$metadata#directoryObjects", got.json(t)["@odata.context"])
		return got.json(t)["value"].([]any)
	}
	list := ask("", []string{who.ObjectID, newRequestID(), strings.ToUpper(who.ObjectID)}, nil)
	require.Len(t, list, 1)
	one := list[0].(map[string]any)
	require.Equal(t, "#microsoft.graph.user", one["@odata.type"])
	require.Equal(t, who.UPN, one["userPrincipalName"])
	require.Empty(t, ask("", []string{who.ObjectID}, []string{"group", "device"}))
	require.Equal(t, map[string]any{"@odata.type": "#microsoft.graph.user", "id": who.ObjectID, "displayName": who.Name},
		ask("?$select=id,displayName,unknown", []string{who.ObjectID}, []string{"user"})[0])
	for _, body := range []string{`{"ids":[]}`, `{`, `{"ids":["` + strings.Repeat(`x","`, 1000) + `"]}`} {
		require.Equal(t, 400, c.send("POST", "/beta/directoryObjects/getByIds", body).status)
	}
}

func FuzzFilter(f *testing.F) {
	for _, text := range []string{
		"createdDateTime ge 2026-03-01T00:00:00Z and createdDateTime lt 2026-03-02", "userPrincipalName eq 'o''hara'",
		"startswith(appDisplayName,'Of')", "signInEventTypes/any(t: t eq 'a' or t eq 'b')", "(status/errorCode eq -5)", "isInteractive eq true and (((", "'", "-",
	} {
		f.Add(text)
	}
	r := record{Body: json.RawMessage(`{"id":"1","status":{"errorCode":-5},"signInEventTypes":["a"],"isInteractive":true,"appDisplayName":"Office"}`)}
	f.Fuzz(func(t *testing.T, text string) {
		for _, beta := range []bool{false, true} {
			got, err := parseFilter(SignIns, beta, text)
			if err != nil {
				require.ErrorContains(t, err, "invalid filter clause")
				continue
			}
			got.match(&r)
			again, err := parseFilter(SignIns, beta, "("+text+")")
			if strings.Count(text, "(") < maxDepth-1 && len(text) < maxFilter-2 {
				require.NoError(t, err)
				require.Equal(t, got, again)
			}
		}
	})
}
