package simtenant

import "time"

// deviceAdmin is one act in Intune, which Graph's auditEvents tells.
type deviceAdmin struct {
	at        time.Time
	who       *person
	activity  string // as the portal names it
	kind      string // activityType
	operation string // Create, Patch, Delete, Action, Get
	component string
	category  string
	failed    bool
	name      string // of what it was done to
	resource  string // its type
	id        string
	changes   []change
}

// intune is an hour of Intune's administration.
func (m *maker) intune(part float64) {
	acts := []func(*maker, *deviceAdmin){
		synced, complianceEdited, appAssigned, scriptMade, wirelessSet, deviceRenamed, keyRead,
	}
	for range m.times(0.30 * part) {
		d := deviceAdmin{at: m.moment(), who: m.staff[endpointAdmin], failed: m.chance(25)}
		if m.chance(4) {
			d.who = m.staff[helpdeskAdmin]
		}
		acts[m.pick(30, 12, 14, 4, 3, 10, 5)](m, &d)
		m.administered(d)
	}
}

func (d *deviceAdmin) on(t *device) {
	d.name, d.resource, d.id = t.name, "ManagedDevice", t.id
	d.component, d.category = "ManagedDevices", "Device"
}

func synced(m *maker, d *deviceAdmin) {
	d.on(m.someone().device)
	d.activity, d.kind, d.operation = "syncDevice ManagedDevice", "syncDevice ManagedDevice", "Action"
}

func deviceRenamed(m *maker, d *deviceAdmin) {
	t := m.someone().device
	d.on(t)
	d.activity, d.kind, d.operation = "setDeviceName ManagedDevice", "setDeviceName ManagedDevice", "Action"
	d.changes = []change{{"DeviceName", "DESKTOP-" + mailCode(m) + "7Q", t.name}}
}

// keyRead is a recovery key that somebody looked at.
func keyRead(m *maker, d *deviceAdmin) {
	t := m.someone().device
	d.on(t)
	d.activity, d.kind, d.operation = "rotateBitLockerKeys ManagedDevice", "rotateBitLockerKeys ManagedDevice", "Action"
	d.changes = []change{{"DeviceManagementAPIVersion", "", "5024-08-01"}}
}

func complianceEdited(m *maker, d *deviceAdmin) {
	d.activity, d.kind, d.operation = "patch DeviceCompliancePolicy", "Patch DeviceCompliancePolicy", "Patch"
	d.name, d.resource, d.id = "Windows 11 baseline", "Microsoft.Management.Services.Api.Windows10CompliancePolicy", fixedID(m, "baseline")
	d.component, d.category = "DeviceConfiguration", "Compliance"
	d.changes = []change{
		{"OsMinimumVersion", "10.0.22631.4037", "10.0.22631.4169"},
		{"PasswordRequired", "False", "True"},
		{"PasswordMinimumLength", "8", "12"},
		{"$Collection.ScheduledActionsForRule[0]", "<null>", "Default"},
	}
}

func appAssigned(m *maker, d *deviceAdmin) {
	d.activity, d.kind, d.operation = "assign MobileApp", "assign MobileApp", "Action"
	d.name, d.resource, d.id = "7-Zip 24.08 x64", "MobileApp", fixedID(m, "7zip")
	d.component, d.category = "MobileApps", "Application"
	d.changes = []change{{"Assignment.Target", "", m.groups[m.rng.IntN(len(m.groups))].id}, {"Intent", "Available", "Required"}}
}

// scriptMade is a script with a password in it.
func scriptMade(m *maker, d *deviceAdmin) {
	d.activity, d.kind, d.operation = "create DeviceManagementScript", "Create DeviceManagementScript", "Create"
	d.name, d.resource, d.id = "Map printers", "DeviceManagementScript", fixedID(m, "printers")
	d.component, d.category = "DeviceManagementScripts", "Device"
	d.changes = []change{
		{"FileName", "<null>", "map-printers.ps1"},
		{"RunAsAccount", "<null>", "System"},
		{"ScriptContent", "<null>", `$password = "` + m.canary("SCRIPT") + `"; net use \\print01\ipc$ /user:svc-print $password`},
	}
}

// wirelessSet is a profile with a shared key in it.
func wirelessSet(m *maker, d *deviceAdmin) {
	d.activity, d.kind, d.operation = "patch DeviceConfiguration", "Patch DeviceConfiguration", "Patch"
	d.name, d.resource, d.id = "Warehouse WLAN", "Microsoft.Management.Services.Api.WindowsWifiConfiguration", fixedID(m, "wlan")
	d.component, d.category = "DeviceConfiguration", "DeviceConfiguration"
	d.changes = []change{
		{"Ssid", "HAL-WH", "HAL-WH"},
		{"PreSharedKey", m.canary("WIFI"), m.canary("WIFI")},
		{"OmaSettings[0].Password", m.canary("OMA"), m.canary("OMA")},
		{"OmaSettings[0].SecretReferenceValueId", m.newID(), m.newID()},
	}
}

// fixedID is the id of something that there is one of.
func fixedID(m *maker, name string) string {
	return uuid(m.seed^hash64(name), hash64(m.tenant+name))
}

// administered writes the record.
func (m *maker) administered(d deviceAdmin) {
	id := m.newID()
	m.begin(id, d.at)
	w := &m.w
	w.str("id", id)
	w.str("displayName", d.activity)
	w.str("componentName", d.component)
	w.str("activity", d.activity)
	w.str("activityDateTime", d.at.Format(graphLayout))
	w.str("activityType", d.kind)
	w.str("activityOperationType", d.operation)
	if d.failed {
		w.str("activityResult", "Failure")
	} else {
		w.str("activityResult", "Success")
	}
	w.str("correlationId", m.newID())
	w.str("category", d.category)
	m.auditActor(w, d)
	w.open("resources", '[')
	w.item()
	w.str("displayName", d.name)
	w.str("auditResourceType", d.resource) // the wire's name; the documentation says type
	w.str("resourceId", d.id)
	w.open("modifiedProperties", '[')
	for _, c := range d.changes {
		w.item()
		w.str("displayName", c.name)
		w.orNull("oldValue", c.old)
		w.orNull("newValue", c.new)
		w.close('}')
	}
	w.close(']')
	w.close('}')
	w.close(']')
	m.end(IntuneAudits, m.between(2*time.Minute, 10*time.Minute))
}

func (m *maker) auditActor(w *writer, d deviceAdmin) {
	w.open("actor", '{')
	w.str("auditActorType", "ItPro")
	w.raw("userPermissions", `["*"]`)
	w.str("applicationId", "5926fc8e-304e-4f59-8bed-58ca97cc39a4")
	w.str("applicationDisplayName", "Microsoft Intune portal extension")
	w.str("userPrincipalName", d.who.upn)
	w.raw("servicePrincipalName", "null")
	w.raw("ipAddress", "null") // Intune leaves it out
	w.str("userId", d.who.id)
	w.raw("userRoleScopeTags", "[]")
	w.raw("remoteTenantId", "null")
	w.raw("remoteUserId", "null")
	w.close('}')
}
