package simtenant

import "time"

// tellEscalation: an agent of the service desk is worn down by prompts at
// night. Her account may activate more than anybody remembered.
func (m *maker) tellEscalation() {
	desk, post := m.staff[helpdeskAdmin], m.staff[exchangeAdmin]
	ip, session := attackerIP(200), m.newID()
	at := m.on(-2, 1, 40)
	for i := range 6 {
		m.signedIn(m.foreignSignIn(at.Add(time.Duration(i)*80*time.Second), desk, ip, session, 50074))
	}
	s := m.foreignSignIn(at.Add(9*time.Minute), desk, ip, session, 0)
	s.app, s.mfa = m.app("Azure Portal"), true
	m.signedIn(s)
	m.risen(at.Add(12*time.Minute), desk, ip)
	m.reset(at.Add(19*time.Minute), desk, ip, post)
	m.weakened(at.Add(24*time.Minute), desk, ip, post)
	m.signedIn(m.foreignSignIn(at.Add(40*time.Minute), post, ip, session, 0))
	m.ran(cmdlet{
		at: at.Add(44 * time.Minute), name: "Set-AdminAuditLogConfig", who: post, ip: ip, session: session, object: initialDomain + `\Admin Audit Log Settings`,
		parameters: []pair{{"UnifiedAuditLogIngestionEnabled", "False"}},
	})
	m.ran(cmdlet{
		at: at.Add(52 * time.Minute), name: "Add-MailboxPermission", who: post, ip: ip, session: session, object: m.staff[financeChief].alias,
		parameters: []pair{{"Identity", m.staff[financeChief].upn}, {"User", desk.upn}, {"AccessRights", "FullAccess"}, {"AutoMapping", "False"}},
	})
	m.putBack(desk, post)
}

// risen activates one role and assigns the highest.
func (m *maker) risen(at time.Time, desk *person, ip string) {
	m.changed(directoryChange{
		at: at, operation: "Add member to role completed (PIM activation)", category: "RoleManagement", service: pim, operationType: "ActivateRole",
		by: desk, ip: ip, details: []pair{{"RoleDefinitionOriginId", roleTemplates["Privileged Role Administrator"]}, {"TicketNumber", ""}},
		targets: []target{{id: roleTemplates["Privileged Role Administrator"], kind: "Role", name: "Privileged Role Administrator"}, userTarget(desk)},
	})
	m.roleChanged(at.Add(3*time.Minute), "Add member to role", desk, ip, desk)
}

func (m *maker) roleChanged(at time.Time, operation string, by *person, ip string, whose *person) {
	const role = "Global Administrator"
	d := directoryChange{at: at, operation: operation, category: "RoleManagement", service: coreDirectory, operationType: "Assign", by: by, ip: ip}
	facts := []pair{{"Role.ObjectID", fixedID(m, role)}, {"Role.DisplayName", role}, {"Role.TemplateId", roleTemplates[role]}, {"Role.WellKnownObjectName", "TenantAdmins"}}
	var changes []change
	for _, f := range facts {
		if operation == "Remove member from role" {
			d.operationType = "Unassign"
			changes = append(changes, change{f.name, f.value, ""})
			continue
		}
		changes = append(changes, change{f.name, "", f.value})
	}
	d.targets = []target{userTarget(whose, changes...), {id: fixedID(m, role), kind: "Role", name: role}}
	m.changed(d)
}

// weakened takes away what would have stopped it.
func (m *maker) weakened(at time.Time, desk *person, ip string, post *person) {
	m.policyChanged(at, "Update conditional access policy", desk, ip, m.policies[0], "enabled", "disabled")
	m.policyChanged(at.Add(2*time.Minute), "Delete conditional access policy", desk, ip, m.policies[2], "enabled", "")
	m.changed(directoryChange{
		at: at.Add(5 * time.Minute), operation: "Disable Strong Authentication", category: "UserManagement", service: coreDirectory, operationType: "Update",
		by: desk, ip: ip,
		targets: []target{userTarget(post,
			change{"StrongAuthenticationRequirement", `[{"RelyingParty":"*","State":1}]`, "[]"},
			change{"Included Updated Properties", "", "StrongAuthenticationRequirement"})},
	})
}

func (m *maker) policyChanged(at time.Time, operation string, by *person, ip string, policy pair, before, after string) {
	state := func(s string) string {
		if s == "" {
			return ""
		}
		return `{"id":"` + policy.name + `","displayName":"` + policy.value + `","state":"` + s + `"}`
	}
	kind := "Update"
	if after == "" {
		kind = "Delete"
	}
	m.changed(directoryChange{
		at: at, operation: operation, category: "Policy", service: "Conditional Access", operationType: kind, by: by, ip: ip,
		targets: []target{{id: policy.name, kind: "Policy", name: policy.value, changes: []change{{"ConditionalAccessPolicy", state(before), state(after)}}}},
		details: []pair{{"Category", "Conditional Access"}},
	})
}

// putBack is the morning after.
func (m *maker) putBack(desk, post *person) {
	admin := m.staff[globalAdmin]
	at := m.on(-2, 6, 50)
	ip := m.presence(admin, m.hour).ip
	m.roleChanged(at, "Remove member from role", admin, ip, desk)
	m.revoked(at.Add(time.Minute), admin, ip, desk)
	m.reset(at.Add(2*time.Minute), admin, ip, post)
	m.policyChanged(at.Add(6*time.Minute), "Update conditional access policy", admin, ip, m.policies[0], "disabled", "enabled")
	m.ran(cmdlet{
		at: at.Add(15 * time.Minute), name: "Set-AdminAuditLogConfig", who: admin, ip: ip, object: initialDomain + `\Admin Audit Log Settings`,
		parameters: []pair{{"UnifiedAuditLogIngestionEnabled", "True"}},
	})
}
