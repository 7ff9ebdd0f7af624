package source

import (
	"fmt"
	"strings"

	"aoc/internal/audit"
)

// need is what must be granted before a feed can be read. Sources: Graph's
// reference of each list operation, "Permissions"; Management Activity API
// reference, "Permissions".
type need struct {
	title   string
	api     API
	role    string // the application permission
	also    string // one without which some tenants refuse the call all the same
	licence string // "" where every tenant has the feed
	without string // what happens without it, where that is not the whole feed
	instead string // what can be done without the licence
}

const (
	auditLogRead      = "AuditLog.Read.All"
	directoryRead     = "Directory.Read.All"
	riskRead          = "IdentityRiskEvent.Read.All"
	intuneRead        = "DeviceManagementApps.Read.All"
	purviewRead       = "AuditLogsQuery.Read.All"
	activityRead      = "ActivityFeed.Read"
	activityReadOfDLP = "ActivityFeed.ReadDlp"

	licenceP1     = "a Microsoft Entra ID P1 or P2 licence"
	licenceP2     = "a Microsoft Entra ID P2 licence"
	licenceIntune = "Microsoft Intune"
)

const signInsInstead = "m365.entra brings interactive sign-ins without one"

var needs = map[audit.Source]need{
	audit.EntraDirectory:       {title: "Entra directory audits", api: Graph, role: auditLogRead, also: directoryRead},
	audit.EntraSignIn:          {title: "Entra sign-ins, interactive", api: Graph, role: auditLogRead, also: directoryRead, licence: licenceP1, instead: signInsInstead},
	audit.EntraSignInNonInter:  {title: "Entra sign-ins, non-interactive", api: Graph, role: auditLogRead, also: directoryRead, licence: licenceP1},
	audit.EntraSignInPrincipal: {title: "Entra sign-ins of service principals", api: Graph, role: auditLogRead, also: directoryRead, licence: licenceP1},
	audit.EntraSignInManaged:   {title: "Entra sign-ins of managed identities", api: Graph, role: auditLogRead, also: directoryRead, licence: licenceP1},
	audit.EntraProvisioning:    {title: "Entra provisioning logs", api: Graph, role: auditLogRead, also: directoryRead, licence: licenceP1},
	audit.EntraRisk:            {title: "Entra risk detections", api: Graph, role: riskRead, licence: licenceP2},
	audit.IntuneAudit:          {title: "Intune audit events", api: Graph, role: intuneRead, licence: licenceIntune},
	audit.PurviewQuery:         {title: "Purview audit search", api: Graph, role: purviewRead},
	audit.M365Exchange:         {title: "Exchange (Audit.Exchange)", api: Management, role: activityRead},
	audit.M365SharePoint:       {title: "SharePoint and OneDrive (Audit.SharePoint)", api: Management, role: activityRead},
	audit.M365General:          {title: "Teams, Purview and other workloads (Audit.General)", api: Management, role: activityRead},
	audit.M365Entra:            {title: "Entra through Microsoft 365 (Audit.AzureActiveDirectory)", api: Management, role: activityRead},
	audit.M365DLP:              {title: "Data loss prevention (DLP.All)", api: Management, role: activityReadOfDLP},
}

var namesNeed = need{
	title: "Names of people, groups and apps", api: Graph, role: directoryRead,
	without: "Collection works without it, but events show ids where names could be.",
}

// roleIDs are what commands call the application permissions by. Source:
// Microsoft Graph permissions reference; app roles of Office 365 Management APIs.
var roleIDs = map[string]string{
	auditLogRead:      "b0afded3-3588-46d8-8b3d-9842eff778da",
	directoryRead:     "7ab1d382-f21e-4acd-a863-ba3e13f7da61",
	riskRead:          "6e472fd1-ad78-48da-a0f0-97ab2c6b769e",
	intuneRead:        "7a6ee1e7-141e-4cec-ae74-d9db155731ff",
	purviewRead:       "5e1e9171-754d-478c-812c-f1755a9a4c2d",
	activityRead:      "594c1fb6-4f81-4475-ae41-0c394909246c",
	activityReadOfDLP: "4807a72c-ad38-4250-94c9-4eabfe26cd55",
}

// portalNames are what the Entra admin center calls the APIs.
var portalNames = map[API]string{Graph: "Microsoft Graph", Management: "Office 365 Management APIs"}

// apiIDs are the application ids of the APIs, the same in every tenant.
var apiIDs = map[API]string{
	Graph:      "00000003-0000-0000-c000-000000000000",
	Management: "c5393580-f805-4401-95e8-94b7a6ef2fc2",
}

// grant says how a permission is granted to who the token was made for. The
// portal has no page for granting one to a managed identity.
func grant(api API, role string, who *claims) string {
	if who != nil && who.managed() && audit.IsGUID(who.ObjectID) {
		return fmt.Sprintf("Grant the managed identity the application permission %s of %q, as an administrator in a Bash shell: "+
			`az rest --method POST --url https://graph.microsoft.com/v1.0/servicePrincipals/%[3]s/appRoleAssignments --body "{\"principalId\":\"%[3]s\",\"appRoleId\":\"%[4]s\",\"resourceId\":\"$(az ad sp show --id %[5]s --query id --output tsv)\"}"`+
			". Its token is kept by Azure for up to a day, so the grant can take that long to show.",
			role, portalNames[api], who.ObjectID, roleIDs[role], apiIDs[api])
	}
	app := "<CLIENT_ID>"
	if who != nil && audit.IsGUID(who.client()) && !who.person() {
		app = who.client()
	}
	return strings.NewReplacer("{role}", role, "{api}", portalNames[api], "{app}", app, "{apiID}", apiIDs[api], "{roleID}", roleIDs[role]).Replace(
		"Grant the application permission {role} of \"{api}\": Microsoft Entra admin center > App registrations > All applications > {app} > API permissions > Add a permission > {api} > Application permissions > {role}, then \"Grant admin consent\". " +
			"Or: az ad app permission add --id {app} --api {apiID} --api-permissions {roleID}=Role && az ad app permission admin-consent --id {app}")
}
