package simtenant

import (
	"strings"
	"time"
)

// directoryChange is one change of the directory, which two services tell:
// Graph's directoryAudits and, under another id and with a full stop behind
// the operation, Audit.AzureActiveDirectory.
type directoryChange struct {
	at            time.Time
	operation     string
	category      string
	service       string // loggedByService
	operationType string
	by            *person // or byApp
	byApp         app
	ip            string
	targets       []target
	details       []pair // additionalDetails
	failed        string // the reason
	management    []change
}

// target is one object of a change.
type target struct {
	id, kind, name string
	upn, puid      string // of a user
	groupType      string
	changes        []change
}

func userTarget(p *person, changes ...change) target {
	return target{id: p.id, kind: "User", upn: p.upn, puid: p.puid, changes: changes}
}

func appTarget(a app, changes ...change) target {
	return target{id: a.id, kind: "ServicePrincipal", name: a.name, upn: a.appID, changes: changes}
}

func groupTarget(g group) target {
	t := target{id: g.id, kind: "Group", name: g.name, groupType: "azureAD"}
	if g.unified {
		t.groupType = "unifiedGroups"
	}
	return t
}

// changed writes a change into both feeds.
func (m *maker) changed(d directoryChange) {
	correlation := m.newID()
	m.directoryAudit(d, correlation)
	m.directoryTwin(d, correlation)
}

// directoryAudit writes Graph's side. Ids are no GUIDs: they begin with the
// service's short name and hold the correlation id.
func (m *maker) directoryAudit(d directoryChange, correlation string) {
	prefix := "Directory"
	switch d.service {
	case "Self-service Password Management":
		prefix = "SSPR"
	case "Self-service Group Management":
		prefix = "SSGM"
	case "Authentication Methods":
		prefix = "IAMUX"
	}
	id := prefix + "_" + correlation + "_" + strings.ToUpper(mailCode(m)) + "_" + itoa(10_000_000+m.rng.IntN(400_000_000))
	m.begin(id, d.at)
	w := &m.w
	w.str("id", id)
	w.str("category", d.category)
	w.str("correlationId", correlation)
	if d.failed == "" {
		w.str("result", "success")
	} else {
		w.str("result", "failure")
	}
	w.str("resultReason", d.failed)
	w.str("activityDisplayName", d.operation)
	w.str("activityDateTime", d.at.Format(graphLayout))
	w.str("loggedByService", d.service)
	w.str("operationType", d.operationType)
	m.initiator(w, d)
	w.open("targetResources", '[')
	for i := range d.targets {
		graphTarget(w, &d.targets[i])
	}
	w.close(']')
	w.open("additionalDetails", '[')
	for _, p := range d.details {
		w.item()
		w.str("key", p.name)
		w.str("value", p.value)
		w.close('}')
	}
	w.close(']')
	m.end(DirectoryAudits, m.between(2*time.Minute, 6*time.Minute))
}

func mailCode(m *maker) string {
	const letters = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
	b := make([]byte, 5)
	for i := range b {
		b[i] = letters[m.rng.IntN(len(letters))]
	}
	return string(b)
}

func (m *maker) initiator(w *writer, d directoryChange) {
	w.open("initiatedBy", '{')
	if d.by == nil {
		w.raw("user", "null")
		w.open("app", '{')
		w.raw("appId", "null") // seen null although the service principal is known
		w.str("displayName", d.byApp.name)
		w.str("servicePrincipalId", d.byApp.id)
		w.raw("servicePrincipalName", "null")
		w.close('}')
		w.close('}')
		return
	}
	w.raw("app", "null")
	w.open("user", '{')
	w.str("id", d.by.id)
	w.raw("displayName", "null")
	w.str("userPrincipalName", d.by.upn)
	w.str("ipAddress", d.ip)
	w.raw("userType", "null")
	w.raw("homeTenantId", "null")
	w.raw("homeTenantName", "null")
	w.close('}')
	w.close('}')
}

func graphTarget(w *writer, t *target) {
	w.item()
	w.str("id", t.id)
	w.orNull("displayName", t.name)
	w.str("type", t.kind)
	if t.kind == "User" {
		w.str("userPrincipalName", t.upn)
	} else {
		w.raw("userPrincipalName", "null")
	}
	w.orNull("groupType", t.groupType)
	w.open("modifiedProperties", '[')
	for _, c := range t.changes {
		w.item()
		w.str("displayName", c.name)
		quotedOrNull(w, "oldValue", c.old)
		quotedOrNull(w, "newValue", c.new)
		w.close('}')
	}
	w.close(']')
	w.close('}')
}

// quotedOrNull writes a value as Graph does: JSON inside a text.
func quotedOrNull(w *writer, k, v string) {
	switch {
	case v == "":
		w.raw(k, "null")
	case v[0] == '[':
		w.str(k, v)
	default:
		w.str(k, string(appendString(nil, v)))
	}
}

// twinOperation is the operation as the Management API writes it: with a full
// stop, or for names with a dash in them with a space behind.
func twinOperation(op string) string {
	if strings.Contains(op, "–") {
		return op + " "
	}
	return op + "."
}

// directoryTwin writes the Management API's side.
func (m *maker) directoryTwin(d directoryChange, correlation string) {
	h := head{operation: twinOperation(d.operation), kind: 8, result: "Success", workload: "AzureActiveDirectory", ip: d.ip}
	if d.failed != "" {
		h.result = "Failure"
	}
	first := target{id: "Not Available"}
	if len(d.targets) > 0 {
		first = d.targets[0]
	}
	h.object = first.kind + "_" + first.id
	if first.upn != "" {
		h.object = first.upn
	}
	if d.by != nil {
		h.userKey, h.user = d.by.puid+"@"+companyDomain, d.by.upn
	} else {
		h.userKey, h.userType, h.user = "Not Available", 4, "ServicePrincipal_"+d.byApp.id
	}
	w := m.manage(m.newID(), d.at, h)
	w.num("AzureActiveDirectoryEventType", 1)
	w.pairs("ExtendedProperties", pair{"additionalDetails", detailText(d.details)}, pair{"extendedAuditEventCategory", first.kind})
	m.twinChanges(w, d)
	m.twinActor(w, d)
	w.str("ActorContextId", m.tenant)
	if d.ip != "" {
		w.str("ActorIpAddress", d.ip)
	}
	w.str("InterSystemsId", correlation)
	w.str("IntraSystemId", m.newID())
	w.str("SupportTicketId", "")
	w.open("Target", '[')
	for _, t := range d.targets {
		twinTarget(w, t)
	}
	w.close(']')
	w.str("TargetContextId", m.tenant)
	m.end(AuditAzureAD, m.soon())
}

// twinChanges writes ModifiedProperties: objects as a rule, for one change in
// many only the properties' names.
func (m *maker) twinChanges(w *writer, d directoryChange) {
	namesOnly := len(d.management) == 0 && m.chance(40)
	w.open("ModifiedProperties", '[')
	for _, t := range d.targets {
		for _, c := range t.changes {
			if namesOnly {
				w.text(c.name)
				continue
			}
			twinChange(w, c)
		}
	}
	for _, c := range d.management {
		twinChange(w, c)
	}
	w.close(']')
}

func twinChange(w *writer, c change) {
	w.item()
	w.str("Name", c.name)
	w.str("NewValue", c.new)
	w.str("OldValue", c.old)
	w.close('}')
}

// detailText is additionalDetails as the Management API has them: an object
// in a text.
func detailText(details []pair) string {
	var w writer
	w.b = append(w.b, '{')
	for _, p := range details {
		w.str(p.name, p.value)
	}
	w.close('}')
	return string(w.b)
}

func idType(w *writer, id string, kind int) {
	w.item()
	w.str("ID", id)
	w.num("Type", kind)
	w.close('}')
}

func (m *maker) twinActor(w *writer, d directoryChange) {
	w.open("Actor", '[')
	if d.by != nil {
		idType(w, d.by.upn, 5)
		idType(w, d.by.puid, 3)
		idType(w, "User_"+d.by.id, 2)
		idType(w, d.by.id, 2)
		idType(w, "User", 2)
	} else {
		idType(w, d.byApp.name, 1)
		idType(w, "ServicePrincipal_"+d.byApp.id, 2)
		idType(w, d.byApp.id, 2)
		idType(w, "ServicePrincipal", 2)
	}
	w.close(']')
}

func twinTarget(w *writer, t target) {
	idType(w, t.kind+"_"+t.id, 2)
	idType(w, t.id, 2)
	idType(w, t.kind, 2)
	if t.name != "" {
		idType(w, t.name, 1)
	}
	if t.kind == "User" {
		idType(w, t.upn, 5)
		idType(w, t.puid, 3)
	}
}
