package simtenant

import "time"

// otherWorkload is one of the many workloads that share Audit.General, each
// with fields of its own.
func (m *maker) otherWorkload() {
	p := m.someone()
	at, here := m.moment(), m.presence(p, m.hour)
	switch m.pick(20, 14, 10, 10, 10, 8, 2, 4, 2) {
	case 0:
		m.copilot(at, p, here.ip)
	case 1:
		m.form(at, p, here.ip)
	case 2:
		m.flow(at, p)
	case 3:
		m.powerApp(at, p)
	case 4:
		m.powerBI(at, p, here.ip)
	case 5:
		m.complianceCmdlet(at)
	case 6:
		m.alert(alert{at: at, name: "Elevation of Exchange admin privilege", operation: "GrantAdminPermission", severity: "Low", category: "AccessGovernance", about: m.staff[exchangeAdmin].upn})
	case 7:
		m.unknownType(at, p)
	case 8:
		m.nameless(at, p)
	}
}

func (m *maker) copilot(at time.Time, p *person, ip string) {
	w := m.manage(m.newID(), at, head{operation: "CopilotInteraction", kind: 261, userKey: p.id, workload: "Copilot", ip: ip, user: p.upn})
	w.open("CopilotEventData", '{')
	w.open("AccessedResources", '[')
	w.item()
	w.str("ID", m.newID())
	w.str("Name", documents[m.rng.IntN(len(documents))].name)
	w.str("SiteUrl", p.drive.url)
	w.str("Type", "File")
	w.close('}')
	w.close(']')
	w.str("AppHost", [...]string{"Word", "Teams", "Office", "Excel"}[m.rng.IntN(4)])
	w.open("Messages", '[')
	for i := range 2 {
		w.item()
		w.str("Id", itoa(1730000000000+m.rng.IntN(9_000_000)))
		w.flag("isPrompt", i == 0)
		w.close('}')
	}
	w.close(']')
	w.str("ThreadId", "19:"+mailKey(m.rng, 24)+"@thread.v2")
	w.close('}')
	m.end(AuditGeneral, m.soon())
}

func (m *maker) form(at time.Time, p *person, ip string) {
	w := m.manage(m.newID(), at, head{operation: "SubmitResponse", kind: 66, result: "Succeeded", userKey: p.id, workload: "MicrosoftForms", ip: ip, user: p.upn})
	w.str("ActivityParameters", `{"ResponderId":"`+p.id+`"}`)
	w.str("FormId", mailKey(m.rng, 40))
	w.str("FormName", "Canteen week\n")
	w.num("FormType", 1)
	w.num("FormsUserType", 1)
	w.str("SourceApp", "ms-formweb")
	m.end(AuditGeneral, m.soon())
}

func (m *maker) flow(at time.Time, p *person) {
	w := m.manage(m.newID(), at, head{operation: "EditFlow", kind: 30, result: "Success", userKey: p.id, workload: "MicrosoftFlow", ip: nullIP, user: p.upn})
	w.str("FlowDetailsUrl", "https://make.powerautomate.com/environments/Default-"+m.tenant+"/flows/"+m.newID()+"/details")
	w.str("FlowConnectorNames", "Office 365 Outlook, SharePoint")
	w.str("SharingPermission", "")
	w.str("UserUPN", p.upn)
	m.end(AuditGeneral, m.soon())
}

func (m *maker) powerApp(at time.Time, p *person) {
	w := m.manage(m.newID(), at, head{operation: "LaunchPowerApp", kind: 45, result: "Success", userKey: p.id, workload: "PowerApps", ip: emptyIP, user: p.upn})
	w.str("AppName", fixedID(m, "shift planner"))
	w.str("AdditionalInfo", `{"environmentName":"Default-`+m.tenant+`","appDisplayName":"Shift planner"}`)
	m.end(AuditGeneral, m.soon())
}

func (m *maker) powerBI(at time.Time, p *person, ip string) {
	w := m.manage(m.newID(), at, head{operation: "ViewReport", kind: 20, userKey: p.puid, workload: "PowerBI", ip: ip, user: p.upn})
	w.str("UserAgent", p.agent.text)
	w.str("Activity", "ViewReport")
	w.str("ItemName", "Line throughput")
	w.str("WorkSpaceName", "Production")
	w.str("ReportName", "Line throughput")
	w.flag("IsSuccess", !m.chance(15))
	w.str("RequestId", m.newID())
	m.end(AuditGeneral, m.soon())
}

// complianceCmdlet is a command of the compliance centre: Parameters are one
// text here, not a list.
func (m *maker) complianceCmdlet(at time.Time) {
	p := m.staff[complianceOfficer]
	op := [...]string{"Get-ComplianceTag", "Get-RetentionCompliancePolicy", "New-ComplianceSearch", "Set-DlpCompliancePolicy"}[m.rng.IntN(4)]
	w := m.manage(m.newID(), at, head{operation: op, kind: 18, result: "Success", userKey: p.upn, userType: 2, workload: "SecurityComplianceCenter", user: p.upn})
	w.num("SecurityComplianceCenterEventType", 0)
	w.str("ClientApplication", "EMC")
	w.str("CmdletVersion", "...")
	w.str("EffectiveOrganization", initialDomain)
	w.str("NonPIIParameters", "-Identity -ErrorAction")
	w.str("Parameters", `-Identity "Retain seven years" -ErrorAction "Stop"`)
	w.str("StartTime", at.Format(managementLayout))
	w.str("UserServicePlan", "")
	m.end(AuditGeneral, m.soon())
}

// unknownType is a record of a type that no table has.
func (m *maker) unknownType(at time.Time, p *person) {
	w := m.manage(m.newID(), at, head{operation: "WorkspaceHorizonOpened ", kind: 999, result: "Succeeded", userKey: p.id, workload: "MicrosoftHorizon", ip: emptyIP, user: p.upn})
	w.raw("HorizonDetail", `{"Depth":3,"Facets":["a","b"],"Hint":null}`)
	m.end(AuditGeneral, m.soon())
}

// nameless is the rare record without an Id.
func (m *maker) nameless(at time.Time, p *person) {
	w := m.manage("", at, head{operation: "TaskRead", kind: 188, result: "1", userKey: p.id, workload: "Planner", ip: nullIP, user: p.upn, object: mailKey(m.rng, 28)})
	w.str("PlanId", mailKey(m.rng, 28))
	m.end(AuditGeneral, m.soon())
}

// alert is one alert of the compliance centre.
type alert struct {
	at        time.Time
	name      string
	operation string // of what raised it
	severity  string
	category  string
	about     string
	cause     string // id of the record that raised it
}

// alert writes AlertTriggered and AlertEntityGenerated, whose details are
// JSON inside a text.
func (m *maker) alert(a alert) {
	alertID, policy := m.newID(), fixedID(m, a.name)
	h := head{operation: "AlertTriggered", kind: 40, result: "Succeeded", userKey: "SecurityComplianceAlerts", userType: 4, workload: "SecurityComplianceCenter", object: alertID, user: "SecurityComplianceAlerts"}
	w := m.manage(m.newID(), a.at, h)
	m.alertFields(w, a, alertID, policy, m.alertData(a, policy, pair{"f3u", a.about}), false)

	h.operation, h.object = "AlertEntityGenerated", a.about
	w = m.manage(m.newID(), a.at, h)
	w.str("AlertEntityId", a.about)
	m.alertFields(w, a, alertID, policy, m.alertData(a, policy, pair{"etype", "User"}, pair{"eid", a.about}), true)
}

// alertData is the details of an alert, in the service's short names.
func (m *maker) alertData(a alert, policy string, about ...pair) string {
	var w writer
	w.b = append(w.b, '{')
	ts := a.at.Format(graphLayout)
	about = append(about, pair{"tid", m.tenant}, pair{"ts", ts}, pair{"te", ts}, pair{"op", a.operation}, pair{"tdc", "1"})
	if a.cause != "" {
		about = append(about, pair{"reid", a.cause})
	}
	about = append(about, pair{"cid", policy}, pair{"lon", a.operation}, pair{"an", a.name}, pair{"sev", a.severity})
	for _, p := range about {
		w.str(p.name, p.value)
	}
	w.close('}')
	return string(w.b)
}

func (m *maker) alertFields(w *writer, a alert, id, policy, data string, entity bool) {
	w.str("AlertId", id)
	w.raw("AlertLinks", `[{"AlertLinkHref":""}]`)
	w.str("AlertType", "System")
	w.str("Category", a.category)
	w.str("Comments", "New alert")
	w.str("Data", data)
	if entity {
		w.str("EntityType", "User")
	}
	w.str("Name", a.name)
	w.str("PolicyId", policy)
	w.str("Severity", a.severity)
	w.str("Source", "Office 365 Security & Compliance")
	w.str("Status", "Active")
	m.end(AuditGeneral, m.soon())
}
