package simtenant

// Services that tell changes of the directory.
const (
	coreDirectory = "Core Directory"
	selfService   = "Self-service Password Management"
	authMethods   = "Authentication Methods"
	pim           = "PIM"
)

// roleTemplates are Microsoft's ids of directory roles, the same in every
// tenant.
var roleTemplates = map[string]string{
	"Global Administrator":          "62e90394-69f5-4237-9190-012177145e10",
	"Exchange Administrator":        "29232cdf-9323-42fd-ade2-1d097af3e4de",
	"Helpdesk Administrator":        "729827e3-9c14-49f7-bb1b-9608f156bbb8",
	"Security Reader":               "5d6b6bb7-de71-4623-b4af-96380a352509",
	"Intune Administrator":          "3a2c62db-5318-420d-8d74-23affee5d9d5",
	"Teams Administrator":           "69091246-20e8-4a56-aa4d-066075b2a7a8",
	"Compliance Administrator":      "17315797-102d-40b4-93e0-432062caca18",
	"Privileged Role Administrator": "e8611ab8-c189-46e8-94e1-60213ab1f814",
}

// directory is an hour of ordinary changes.
func (m *maker) directory(part float64) {
	ordinary := []func(*maker){
		(*maker).profileSynced, (*maker).memberAdded, (*maker).memberRemoved, (*maker).passwordReset, (*maker).passwordChanged,
		(*maker).deviceUpdated, (*maker).deviceAdded, (*maker).methodRegistered, (*maker).roleActivated, (*maker).secretRenewed, (*maker).guestInvited,
	}
	for range m.times(0.55 * part) {
		ordinary[m.pick(24, 16, 8, 6, 7, 18, 4, 5, 5, 1, 3)](m)
	}
}

func (m *maker) admin() *person {
	return m.staff[[...]int{globalAdmin, exchangeAdmin, helpdeskAdmin, helpdeskAdmin, endpointAdmin}[m.rng.IntN(5)]]
}

func (m *maker) profileSynced() {
	p := m.someone()
	m.changed(directoryChange{
		at: m.moment(), operation: "Update user", category: "UserManagement", service: coreDirectory, operationType: "Update",
		byApp: m.app("HR Sync"),
		targets: []target{userTarget(p,
			change{"JobTitle", `["` + p.title + `"]`, `["` + p.title + ` II"]`},
			change{"Included Updated Properties", "", "JobTitle"},
			change{"TargetId.UserType", "", "Member"})},
		details: []pair{{"UserType", "Member"}},
	})
}

func (m *maker) memberAdded() {
	g, p, by := m.groups[m.rng.IntN(len(m.groups))], m.someone(), m.admin()
	m.changed(directoryChange{
		at: m.moment(), operation: "Add member to group", category: "GroupManagement", service: coreDirectory, operationType: "Assign",
		by: by, ip: m.presence(by, m.hour).ip,
		targets: []target{
			userTarget(p, change{"Group.ObjectID", "", g.id}, change{"Group.DisplayName", "", g.name}, change{"Group.WellKnownObjectName", "", ""}),
			groupTarget(g),
		},
	})
}

func (m *maker) memberRemoved() {
	g, p, by := m.groups[m.rng.IntN(len(m.groups))], m.someone(), m.admin()
	m.changed(directoryChange{
		at: m.moment(), operation: "Remove member from group", category: "GroupManagement", service: coreDirectory, operationType: "Unassign",
		by: by, ip: m.presence(by, m.hour).ip,
		targets: []target{
			userTarget(p, change{"Group.ObjectID", g.id, ""}, change{"Group.DisplayName", g.name, ""}),
			groupTarget(g),
		},
	})
}

// passwordReset is somebody who forgot theirs; one in six gives up.
func (m *maker) passwordReset() {
	p := m.someone()
	d := directoryChange{
		at: m.moment(), operation: "Reset password (self-service)", category: "UserManagement", service: selfService, operationType: "Update",
		by: p, ip: m.presence(p, m.hour).ip, targets: []target{userTarget(p)}, details: []pair{{"OnPremisesAgent", "None"}},
	}
	if m.chance(6) {
		d.failed = "User canceled before passing the required authentication methods"
	}
	m.changed(d)
}

func (m *maker) passwordChanged() {
	p := m.someone()
	m.changed(directoryChange{
		at: m.moment(), operation: "Change user password", category: "UserManagement", service: coreDirectory, operationType: "Update",
		by: p, ip: m.presence(p, m.hour).ip, targets: []target{userTarget(p)},
	})
}

func deviceTarget(d *device, changes ...change) target {
	return target{id: d.id, kind: "Device", name: d.name, changes: changes}
}

func (m *maker) deviceUpdated() {
	d := m.someone().device
	m.changed(directoryChange{
		at: m.moment(), operation: "Update device", category: "Device", service: coreDirectory, operationType: "Update",
		byApp: m.app("Device Registration Service"),
		targets: []target{deviceTarget(d,
			change{"CloudDeviceOSVersion", `["10.0.22631.4169"]`, `["` + d.version + `"]`},
			change{"Included Updated Properties", "", "CloudDeviceOSVersion"},
			change{"TargetId.DeviceId", "", d.deviceID})},
		details: []pair{{"DeviceId", d.deviceID}, {"DeviceOSType", d.system}, {"DeviceTrustType", "AzureAd"}},
	})
}

func (m *maker) deviceAdded() {
	d := m.someone().device
	m.changed(directoryChange{
		at: m.moment(), operation: "Add device", category: "Device", service: coreDirectory, operationType: "Add",
		byApp: m.app("Device Registration Service"),
		targets: []target{deviceTarget(d,
			change{"AccountEnabled", "[]", "[true]"},
			change{"DisplayName", "[]", `["` + d.name + `"]`},
			change{"DeviceOSType", "[]", `["Windows"]`},
			change{"Included Updated Properties", "", "AccountEnabled, DisplayName, DeviceOSType"})},
		details: []pair{{"User-Agent", "Dsreg/10.0 (Windows 10.0.22631.4317)"}},
	})
}

func (m *maker) methodRegistered() {
	p := m.someone()
	m.changed(directoryChange{
		at: m.moment(), operation: "User registered security info", category: "UserManagement", service: authMethods, operationType: "Add",
		by: p, ip: m.presence(p, m.hour).ip, targets: []target{userTarget(p)},
		details: []pair{{"UserAgent", p.agent.text}},
	})
}

// roleActivated is an administrator who takes up a role for some hours.
func (m *maker) roleActivated() {
	by := m.admin()
	role := by.roles[m.rng.IntN(len(by.roles))]
	m.changed(directoryChange{
		at: m.moment(), operation: "Add member to role completed (PIM activation)", category: "RoleManagement", service: pim, operationType: "ActivateRole",
		by: by, ip: m.presence(by, m.hour).ip,
		targets: []target{{id: roleTemplates[role], kind: "Role", name: role}, userTarget(by)},
		details: []pair{{"RoleDefinitionOriginId", roleTemplates[role]}, {"TicketNumber", "HD-" + itoa(20000+m.rng.IntN(9999))}},
	})
}

// secretRenewed is a credential put on an application: the operation's name
// has a dash in it and, in the Management API, a space at its end.
func (m *maker) secretRenewed() {
	a, by := m.app("Meridian Portal"), m.staff[globalAdmin]
	m.changed(directoryChange{
		at: m.moment(), operation: "Update application – Certificates and secrets management", category: "ApplicationManagement", service: coreDirectory, operationType: "Update",
		by: by, ip: m.presence(by, m.hour).ip,
		targets: []target{{id: a.id, kind: "Application", name: a.name, changes: []change{
			{"KeyDescription", "[]", `["[KeyIdentifier=` + m.newID() + `,KeyType=Password,KeyUsage=Verify,DisplayName=renewed]"]`},
			{"Included Updated Properties", "", "KeyDescription"},
		}}},
		details: []pair{{"User-Agent", by.agent.text}},
	})
}

func (m *maker) guestInvited() {
	by := m.someone()
	guest := [...]string{"o.lindgren", "m.tanaka", "purchasing", "qa.lab"}[m.rng.IntN(4)] + "@partner" + itoa(m.rng.IntN(9)) + ".example"
	m.changed(directoryChange{
		at: m.moment(), operation: "Invite external user", category: "UserManagement", service: "Invited Users", operationType: "Add",
		by: by, ip: m.presence(by, m.hour).ip,
		targets: []target{{id: m.newID(), kind: "User", name: guest, upn: guest + "#EXT#@" + initialDomain}},
		details: []pair{{"InvitedUserEmailAddress", guest}},
	})
}
