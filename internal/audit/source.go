package audit

import "strings"

// Source is a feed: one audit trail of a tenant, read through one API.
type Source string

// The feeds. Their texts are stored with every event and are what filters,
// privacy and rules compare.
const (
	EntraDirectory       Source = "entra.directory"
	EntraSignIn          Source = "entra.signin"
	EntraSignInNonInter  Source = "entra.signin.noninteractive"
	EntraSignInPrincipal Source = "entra.signin.serviceprincipal"
	EntraSignInManaged   Source = "entra.signin.managedidentity"
	EntraProvisioning    Source = "entra.provisioning"
	EntraRisk            Source = "entra.risk"
	IntuneAudit          Source = "intune.audit"
	M365Exchange         Source = "m365.exchange"
	M365SharePoint       Source = "m365.sharepoint"
	M365General          Source = "m365.general"
	M365DLP              Source = "m365.dlp"
	M365Entra            Source = "m365.entra"
	PurviewQuery         Source = "purview.query"
	GraphNotification    Source = "graph.notification"
	AzureMonitor         Source = "azure.monitor"
	AOC                  Source = "aoc"
)

// Family is the name under which a feed's record ids are unique. The
// Management API's content types and Purview's queries hand out the same
// records under the same ids, so they share one.
func (s Source) Family() string {
	if s == PurviewQuery || strings.HasPrefix(string(s), "m365.") {
		return "m365"
	}
	return string(s)
}

// What people call the service that an event belongs to. A Workload that is
// none of these is kept as it came.
const (
	ServiceEntra         = "Entra"
	ServiceIntune        = "Intune"
	ServiceExchange      = "Exchange"
	ServiceSharePoint    = "SharePoint"
	ServiceOneDrive      = "OneDrive"
	ServiceTeams         = "Teams"
	ServicePurview       = "Purview"
	ServiceDefender      = "Defender"
	ServicePowerPlatform = "Power Platform"
	ServiceCopilot       = "Copilot"
	ServiceAOC           = "AOC"
	ServiceAzureMonitor  = "Azure Monitor"
)

// Services lists those.
func Services() []string {
	return []string{
		ServiceEntra, ServiceIntune, ServiceExchange, ServiceSharePoint, ServiceOneDrive, ServiceTeams, ServicePurview, ServiceDefender,
		ServicePowerPlatform, ServiceCopilot, ServiceAOC, ServiceAzureMonitor,
	}
}
