package source

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Where a listing may send us with a token in hand.
func TestFollowSendsNoTokenElsewhere(t *testing.T) {
	c := open(t, "https://manage.office.com", nil, func(cfg *Config) { cfg.GraphBaseURL = "https://graph.microsoft.com" })
	root := "https://manage.office.com/api/v1.0/" + testTenant + "/activity/feed/"
	good := []string{
		root + "audit/492638008028$492638008028$f28ab78a$4a81$04",
		root + "audit/20171014180051748005825$2017$audit_sharepoint$Audit_SharePoint$emea0036",
		"https://manage.office.com/api/v1/" + testTenant + "/activity/feed/subscriptions/content?nextPage=2015101900R022885001761",
		"https://MANAGE.office.com:443/api/v1.0/" + "0D4B32A1-6C1F-4B4E-9D5C-5B8F4D1F6A10" + "/activity/feed/audit/1",
		root + "audit/1\r\n",
		root + "audit/a%20b",
	}
	for _, link := range good {
		_, err := follow(c.management, "the contentUri", link, c.feedRoots()...)
		require.NoError(t, err, link)
	}
	bad := []string{
		"",
		"/api/v1.0/" + testTenant + "/activity/feed/audit/1",
		"//manage.office.com/api/v1.0/" + testTenant + "/activity/feed/audit/1",
		"http://manage.office.com/api/v1.0/" + testTenant + "/activity/feed/audit/1",
		"https://manage.office.com:8443/api/v1.0/" + testTenant + "/activity/feed/audit/1",
		"https://manage.office.com.evil.example/api/v1.0/" + testTenant + "/activity/feed/audit/1",
		"https://evil.example/api/v1.0/" + testTenant + "/activity/feed/audit/1",
		"https://manage.office.com@evil.example/api/v1.0/" + testTenant + "/activity/feed/audit/1",
		"https://user:pass@manage.office.com/api/v1.0/" + testTenant + "/activity/feed/audit/1",
		"https://169.254.169.254/api/v1.0/" + testTenant + "/activity/feed/audit/1",
		"https://[::1]/api/v1.0/" + testTenant + "/activity/feed/audit/1",
		"https://manage.office.com./api/v1.0/" + testTenant + "/activity/feed/audit/1",
		"https://manage.office.com/api/v1.0/11111111-1111-1111-1111-111111111111/activity/feed/audit/1",
		"https://manage.office.com/api/v2.0/" + testTenant + "/activity/feed/audit/1",
		"https://manage.office.com/other",
		root,
		root + "../../../../other",
		root + "audit/%2e%2e/%2E%2E/x",
		root + "audit/..%2f..%2f..",
		root + `audit\..\..\x`,
		root + "audit//1",
		"https:manage.office.com/api/v1.0/" + testTenant + "/activity/feed/audit/1",
		"javascript:alert(1)",
		"file:///etc/passwd",
		"https://manage.office.com/\x00",
	}
	for _, link := range bad {
		_, err := follow(c.management, "the contentUri", link, c.feedRoots()...)
		require.Error(t, err, link)
	}
	_, err := follow(c.management, "the contentUri", "https://evil.example/x", c.feedRoots()...)
	require.EqualError(t, err, `the contentUri of Office 365 Management API points to "https://evil.example", expected "https://manage.office.com": no token is sent there`)
	_, err = follow(c.reports, "the @odata.nextLink", "https://graph.microsoft.com/v1.0/auditLogs/directoryAudits?$filter=a&$skiptoken=x%2Fy")
	require.NoError(t, err)
	_, err = follow(c.reports, "the @odata.nextLink", "https://graph.microsoft.us/v1.0/auditLogs/directoryAudits")
	require.Error(t, err)
}

func TestOpenReportsEveryMistake(t *testing.T) {
	_, err := Open(Config{TenantID: "contoso.onmicrosoft.com", GraphBaseURL: "http://graph.microsoft.com", ManagementBaseURL: "https://a/b", PublisherIdentifier: "me"})
	for _, want := range []string{"TENANT_ID: ", "GRAPH_BASE_URL: ", "MANAGEMENT_BASE_URL: ", "PUBLISHER_IDENTIFIER: ", "credential: "} {
		require.ErrorContains(t, err, want)
	}
}

func TestOrigins(t *testing.T) {
	for _, bad := range []string{
		"graph.microsoft.com", "http://h", "https://", "https://:443", "https://h/v1.0", "https://h?x=1", "https://h?", "https://h#x", "https://u:secret@h", "https://h:port", "ftp://h",
	} {
		_, err := parseOrigin("GRAPH_BASE_URL", bad)
		require.ErrorContains(t, err, "GRAPH_BASE_URL: expected an origin", bad)
		require.NotContains(t, err.Error(), "secret")
	}
	for _, tt := range []struct {
		api                   API
		base, resource, scope string
	}{
		{Graph, "", "", "https://graph.microsoft.com/.default"},
		{Graph, "https://GRAPH.microsoft.us:443/", "", "https://graph.microsoft.us/.default"},
		{Graph, "https://dod-graph.microsoft.us", "", "https://dod-graph.microsoft.us/.default"},
		{Graph, "https://microsoftgraph.chinacloudapi.cn", "", "https://microsoftgraph.chinacloudapi.cn/.default"},
		{Graph, "https://127.0.0.1:8443", "", "https://graph.microsoft.com/.default"},
		{Graph, "https://127.0.0.1:8443", "api://other/", "api://other/.default"},
		{Management, "", "", "https://manage.office.com/.default"},
		{Management, "https://manage-gcc.office.com", "", "https://manage-gcc.office.com/.default"},
		{Management, "https://manage.office365.us", "", "https://manage.office365.us/.default"},
		{Management, "https://manage.protection.apps.mil", "", "https://manage.protection.apps.mil/.default"},
		{Management, "https://stand-in:1", "", "https://manage.office.com/.default"},
	} {
		svc, err := newService(tt.api, "X", tt.base, tt.resource)
		require.NoError(t, err)
		require.Equal(t, tt.scope, svc.scope, tt.base)
	}
}
