package source

import (
	"net/http"
	"strings"
)

// advice says what people can do about an error. The first that fits is given.
// Codes: Management Activity API reference, "Errors"; troubleshooting guide;
// Graph's error responses; Entra's authentication error codes.
var advice = []struct {
	code  string // equals the code
	words string // or the message holds it
	text  string
}{
	{words: "DataServiceException", text: "Auditing is switched off in the tenant: switch it on in the Purview portal under Audit; it takes some hours to begin."},
	{code: "AF10001", text: grantManagement},
	{code: "AF20010", text: "TENANT_ID is not the tenant that the app registration signs in to; set both to the same tenant."},
	{code: "AF20011", text: "TENANT_ID is not a tenant that the Management API knows; compare it with the tenant id in the Entra admin center."},
	{code: "AF20012", text: "Microsoft says that the tenant is misconfigured; switch on auditing in the Purview portal, or ask Microsoft's support."},
	{code: "AF20013", text: "Set TENANT_ID to the tenant's GUID."},
	{code: "AF20020", text: "This cloud does not offer the content type; leave it out of SOURCES."},
	{code: "AF20022", text: "The subscription to this content type was just started; Microsoft can take up to 12 hours to publish first content."},
	{code: "AF20023", text: "An administrator has disabled the subscription to this content type; have it enabled again, or leave the feed out of SOURCES."},
	{code: "AF20030", text: "The Management API lists 7 days back and 24 hours at once; nothing older can be had from it."},
	{code: "AF20055", text: "The Management API lists 7 days back and 24 hours at once; nothing older can be had from it."},
	{code: "AF20050", text: "Microsoft has removed this content; its records can be looked for with a Purview audit search."},
	{code: "AF20051", text: "This content has expired; its records can be looked for with a Purview audit search."},
	{code: "Authentication_RequestFromNonPremiumTenantOrB2CTenant", text: "Sign-in and provisioning logs need a Microsoft Entra ID P1 or P2 licence in the tenant; without one, leave entra.signin, its kinds and entra.provisioning out of SOURCES and switch on m365.entra."},
	{words: "not licensed for this feature", text: "Risk detections need a Microsoft Entra ID P2 licence in the tenant (with P1 some are named only \"generic\"); without one, leave entra.risk out of SOURCES."},
	{words: "required scopes are missing in the token", text: grantRisk},
	{code: "Authorization_RequestDenied", text: grantGraph},
	{code: "Authentication_MSGraphPermissionMissing", text: grantGraph},
	{code: "Forbidden", text: grantGraph},
	{code: "AADSTS7000215", text: "CLIENT_SECRET is wrong: it must be the secret's value, not its id."},
	{code: "AADSTS7000222", text: "The client secret has expired: make a new one for the app registration and set CLIENT_SECRET."},
	{code: "AADSTS700016", text: "CLIENT_ID is not an app registration in the tenant TENANT_ID; compare both."},
	{code: "AADSTS7000229", text: "The app registration has no service principal in this tenant; grant it admin consent."},
	{code: "AADSTS90002", text: "TENANT_ID is no tenant of this cloud; compare it, and AUTHORITY_HOST."},
	{code: "AADSTS500011", text: "The tenant does not know this API; a tenant without Office 365 has no Management API."},
}

const grantManagement = "Grant the app registration the application permission ActivityFeed.Read (ActivityFeed.ReadDlp too for DLP.All) of \"Office 365 Management APIs\", and admin consent."

const grantGraph = "Grant the app registration the application permissions AuditLog.Read.All and Directory.Read.All (DeviceManagementApps.Read.All for Intune, IdentityRiskEvent.Read.All for risk detections) of Microsoft Graph, and admin consent."

const grantRisk = "Grant the app registration the application permission IdentityRiskEvent.Read.All of Microsoft Graph, and admin consent."

// Advice says in a sentence what people can do, "" where there is nothing to
// be done but wait.
func (e *APIError) Advice() string {
	for _, a := range advice {
		if a.code != "" && a.code == e.Code || a.words != "" && strings.Contains(e.Message, a.words) {
			return a.text
		}
	}
	return e.adviceByStatus()
}

func (e *APIError) adviceByStatus() string {
	switch {
	case e.API == Login:
		return "Check TENANT_ID, CLIENT_ID and CLIENT_SECRET, or the managed identity of the app, and that AUTHORITY_HOST can be reached."
	case e.throttled():
		return "Nothing needs to be done: calls go on when the API allows it. If this stays, lower MANAGEMENT_REQUESTS_PER_MINUTE, or look for other apps that read the same tenant."
	case e.Status == http.StatusUnauthorized:
		return "The API does not accept the token: check that TENANT_ID, GRAPH_BASE_URL, MANAGEMENT_BASE_URL and AUTHORITY_HOST are of one cloud, and that the app registration has admin consent."
	case e.Status == http.StatusForbidden && e.API == Graph:
		return grantGraph
	case e.Status == http.StatusForbidden:
		return grantManagement
	case e.Status >= 300 && e.Status < 400:
		return "Redirects are not followed: set GRAPH_BASE_URL and MANAGEMENT_BASE_URL to the origins that answer themselves."
	}
	return ""
}
