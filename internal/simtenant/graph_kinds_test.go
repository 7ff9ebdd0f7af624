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

// pageOf asks for one page.
func (c *caller) pageOf(path, filter, top string) []json.RawMessage {
	c.t.Helper()
	got := c.get(path + "?" + url.Values{"$filter": {filter}, "$top": {top}}.Encode())
	require.Equal(c.t, 200, got.status, "%s", got.body)
	var page struct {
		Next  string `json:"@odata.nextLink"`
		Value []json.RawMessage
	}
	require.NoError(c.t, json.Unmarshal(got.body, &page))
	require.Empty(c.t, page.Next)
	return page.Value
}

func TestBetaTellsKindsOfSignInsApart(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	from := noon.Add(-20 * time.Hour)
	span := "createdDateTime ge " + from.Format(time.RFC3339) + " and createdDateTime lt " + noon.Format(time.RFC3339)
	ids := func(filter string) []string {
		got := map[string]int{}
		recordIDs(t, c.pageOf("/beta/auditLogs/signIns", filter, "1000"), "id", got)
		out := []string{}
		for id := range got {
			out = append(out, id)
		}
		slices.Sort(out)
		return out
	}
	union := []string{}
	for kind, feed := range kinds {
		truth := c.tenant.Truth(feed, from, noon).IDs
		require.NotEmpty(t, truth, kind)
		require.Equal(t, truth, ids(span+" and signInEventTypes/any(t: t eq '"+kind+"')"), kind)
		if kind == "servicePrincipal" || kind == "managedIdentity" {
			union = append(union, truth...)
		}
	}
	slices.Sort(union)
	require.Equal(t, union, ids("signInEventTypes/any(t:t eq 'servicePrincipal' or t eq 'managedIdentity') and "+span))
	require.Equal(t, c.tenant.Truth(SignIns, from, noon).IDs, ids(span), "interactive ones alone unless others are asked for")
	require.Empty(t, ids(span+" and signInEventTypes/any(t: t eq 'servicePrincipal') and signInEventTypes/any(t: t eq 'managedIdentity')"))
	require.Empty(t, ids(span+" and signInEventTypes/any(t: t eq 'nobody')"))
	got := c.get("/v1.0/auditLogs/signIns?$filter=" + url.QueryEscape("signInEventTypes/any(t: t eq 'servicePrincipal')"))
	require.Equal(t, 400, got.status)
}

func TestKindsPageByPage(t *testing.T) {
	c := call(t, newTenant(t, Options{}))
	from := noon.Add(-30 * time.Hour)
	filter := "createdDateTime ge " + from.Format(time.RFC3339) + " and signInEventTypes/any(t: t eq 'nonInteractiveUser')"
	seen, pages := map[string]int{}, 0
	for link := "/beta/auditLogs/signIns?" + (url.Values{"$filter": {filter}, "$top": {"13"}}).Encode(); link != ""; pages++ {
		var page struct {
			Next  string `json:"@odata.nextLink"`
			Value []json.RawMessage
		}
		require.NoError(t, json.Unmarshal(c.get(link).body, &page))
		require.True(t, page.Next == "" || strings.HasPrefix(page.Next, c.origin+"/beta/auditLogs/signIns?"), page.Next)
		recordIDs(t, page.Value, "id", seen)
		link = page.Next
	}
	require.Greater(t, pages, 3)
	requireTruth(t, c.tenant.Truth(NonInteractiveSignIns, from, noon.Add(time.Second)), seen)
}

func TestProvisioningAndRiskOverTheWire(t *testing.T) {
	c := call(t, newTenant(t, Options{People: 60}))
	from := noon.Add(-7 * 24 * time.Hour)
	for feed, q := range map[string]struct{ path, filter, top string }{
		Provisioning:   {"auditLogs/provisioning", "activityDateTime gt " + from.Add(-tick).Format(time.RFC3339Nano) + " and activityDateTime lt " + noon.Format(time.RFC3339), "9"},
		RiskDetections: {"identityProtection/riskDetections", "detectedDateTime ge " + from.Format(time.RFC3339) + " and detectedDateTime lt " + noon.Format(time.RFC3339), "3"},
	} {
		got := map[string]int{}
		recordIDs(t, c.walkGraph(q.path, q.filter, "", q.top), "id", got)
		truth := c.tenant.Truth(feed, from, noon)
		require.Greater(t, truth.Count(), 5, feed)
		requireTruth(t, truth, got)
	}
}

func TestWhatTheReferencesOfTheNewCollectionsSay(t *testing.T) {
	c := call(t, newTenant(t, Options{People: 200}))
	for _, bad := range []string{
		"auditLogs/provisioning?$filter=activityDateTime ge 2026-03-01", "auditLogs/provisioning?$filter=activityDateTime le 2026-03-01",
		"auditLogs/provisioning?$filter=createdDateTime gt 2026-03-01", "identityProtection/riskDetections?$top=501",
		"identityProtection/riskDetections?$filter=createdDateTime ge 2026-03-01",
	} {
		require.Equal(t, 400, c.get("/v1.0/"+strings.ReplaceAll(bad, " ", "%20")).status, bad)
	}
	var page struct{ Value []json.RawMessage }
	require.NoError(t, json.Unmarshal(c.get("/v1.0/identityProtection/riskDetections").body, &page))
	require.Len(t, page.Value, 20, "the default page")
}

func TestPermissionsAndLicencesOfTheNewFeeds(t *testing.T) {
	const principals, risk, provisioning = "/beta/auditLogs/signIns?$filter=signInEventTypes/any(t:t%20eq%20'servicePrincipal')", "/v1.0/identityProtection/riskDetections", "/v1.0/auditLogs/provisioning"
	free := call(t, newTenant(t, Options{Free: true}))
	unpermitted := call(t, newTenant(t, Options{Roles: []string{RoleDirectoryRead}}))
	for _, tt := range []struct {
		c                *caller
		path, code, text string
	}{
		{free, principals, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", "premium license"},
		{free, provisioning, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", "premium license"},
		{free, risk, "Forbidden", "Your tenant is not licensed for this feature."},
		{unpermitted, principals, "Authentication_MSGraphPermissionMissing", RoleAuditLogRead},
		{unpermitted, provisioning, "Authentication_MSGraphPermissionMissing", RoleAuditLogRead},
		{unpermitted, risk, "Forbidden", "required scopes are missing in the token"},
	} {
		got := tt.c.get(tt.path)
		require.Equal(t, http.StatusForbidden, got.status, tt.path)
		require.Equal(t, tt.code, got.code(t))
		require.Contains(t, got.message(t), tt.text)
	}
}

func TestWithoutP2RiskIsGeneric(t *testing.T) {
	kindsOf := func(p1 bool) map[string]int {
		c := call(t, newTenant(t, Options{People: 300, P1: p1}))
		out := map[string]int{}
		for _, body := range c.pageOf("/v1.0/identityProtection/riskDetections", "detectedDateTime ge "+noon.Add(-9*24*time.Hour).Format(time.RFC3339), "500") {
			var d struct{ ID, RiskEventType, RiskLevel, UserID string }
			require.NoError(t, json.Unmarshal(body, &d))
			require.NotEmpty(t, d.UserID)
			require.Equal(t, d.RiskEventType == "generic", d.RiskLevel == "hidden")
			out[d.RiskEventType]++
		}
		return out
	}
	full, less := kindsOf(false), kindsOf(true)
	require.Zero(t, full["generic"])
	require.Positive(t, full["unfamiliarFeatures"])
	require.Positive(t, full["passwordSpray"])
	require.Positive(t, full["leakedCredentials"])
	require.Equal(t, full["leakedCredentials"], less["leakedCredentials"])
	require.Zero(t, less["unfamiliarFeatures"]+less["passwordSpray"])
	require.Positive(t, less["generic"])
}

func TestRiskHasALimitOfItsOwn(t *testing.T) {
	at := &clock{noon}
	c := call(t, newTenant(t, Options{Now: at.now, Limits: DocumentedLimits()}))
	const risk, reports = "/v1.0/identityProtection/riskDetections?$top=1", "/v1.0/auditLogs/provisioning?$top=1"
	require.Equal(t, 200, c.get(risk).status)
	got := c.get(risk)
	require.Equal(t, 429, got.status)
	require.Empty(t, got.header.Get("Retry-After"))
	at.at = noon.Add(time.Second)
	require.Equal(t, 200, c.get(risk).status)
	for range 5 {
		require.Equal(t, 200, c.get(reports).status)
	}
	require.Equal(t, 429, c.get(reports).status)
	got = c.get("/beta/auditLogs/signIns?$top=1")
	require.Equal(t, 429, got.status, "the audit logs share one limit")
	require.NotEmpty(t, got.header.Get("Retry-After"))
}

func TestStoriesAreSeenByTheNewFeeds(t *testing.T) {
	for name, epoch := range epochs() {
		h := newHistory(31, epoch, 120)
		found := map[string]int{}
		signIns := map[string]bool{}
		for _, s := range h.stories {
			for _, r := range s.Records {
				found[s.Name+" "+r.Feed]++
				signIns[r.ID] = signIns[r.ID] || r.Feed == SignIns
			}
		}
		require.Positive(t, found[StorySpray+" "+RiskDetections], name)
		require.Positive(t, found[StoryEscalation+" "+RiskDetections], name)
		require.Equal(t, 16, found[StoryConsent+" "+ServicePrincipalSignIns], name)
		require.Equal(t, 1, found[StoryLeaver+" "+Provisioning], name)
		for _, r := range h.told[RiskDetections] {
			var d struct {
				RequestID                          string
				ActivityDateTime, DetectedDateTime time.Time
			}
			require.NoError(t, json.Unmarshal(r.Body, &d))
			require.True(t, signIns[d.RequestID], "a detection names the sign-in that it judges")
			require.False(t, d.DetectedDateTime.Before(d.ActivityDateTime))
		}
	}
}

func TestTokensAreMoreThanSignIns(t *testing.T) {
	h := newHistory(5, testEpoch, 120)
	seen := len(weekOf(h, SignIns))
	require.InEpsilon(t, 4*seen, len(weekOf(h, NonInteractiveSignIns)), 0.4)
	require.Less(t, len(weekOf(h, ServicePrincipalSignIns)), 3000)
	require.Less(t, len(weekOf(h, ManagedIdentitySignIns)), 1000)
	require.Less(t, len(weekOf(h, RiskDetections)), 60)
	require.NotEmpty(t, weekOf(h, Provisioning))
	kind, body, ok := h.object(h.company.identities[0].id)
	require.True(t, ok)
	require.Equal(t, "servicePrincipal", kind)
	require.Equal(t, h.company.identities[0].name, body["displayName"])
}

func TestReplayPlacesTheNewKinds(t *testing.T) {
	lines := map[string]string{
		NonInteractiveSignIns:   `{"id":"n","createdDateTime":"2024-02-08T10:00:00Z","appDisplayName":"A","signInEventTypes":["nonInteractiveUser"],"status":{"errorCode":0}}`,
		ServicePrincipalSignIns: `{"id":"p","createdDateTime":"2024-02-08T10:00:00Z","servicePrincipalId":"x","signInEventTypes":["servicePrincipal"],"status":{"errorCode":0}}`,
		ManagedIdentitySignIns:  `{"category":"ManagedIdentitySignInLogs","operationName":"x","properties":{"id":"m","createdDateTime":"2024-02-08T10:00:00Z"}}`,
		Provisioning:            `{"id":"v","activityDateTime":"2024-02-08T10:00:00Z","jobId":"j","provisioningAction":"create"}`,
		RiskDetections:          `{"id":"r","activityDateTime":"2024-02-08T10:00:00Z","detectedDateTime":"2024-02-08T10:02:00Z","riskEventType":"generic"}`,
		SignIns:                 `{"id":"i","createdDateTime":"2024-02-08T10:00:00Z","appDisplayName":"A","signInEventTypes":["interactiveUser"],"status":{"errorCode":0}}`,
	}
	var all []string
	want := map[string]int{}
	for feed, line := range lines {
		all = append(all, line)
		want[feed] = 1
	}
	c := call(t, newTenant(t, Options{Replay: replayFile(t, false, all...)}))
	report, _ := c.tenant.Replayed()
	require.Equal(t, want, report.Feeds)
	require.Len(t, c.pageOf("/beta/auditLogs/signIns", "signInEventTypes/any(t: t eq 'managedIdentity')", "9"), 1)
}
