package simtenant

import (
	"strings"
	"time"
)

// provisioned is one object that the provisioning service looked at.
type provisioned struct {
	at              time.Time
	id              string
	who             *person
	job             *provisioningJob
	action, status  string
	code, reason    string // of what did not succeed
	changes         []change
	durationSeconds int
}

// provisioningJob carries accounts from one system to another.
type provisioningJob struct {
	app      string // the application that it belongs to
	slug     string
	from, to string
}

// inbound brings people from the personnel system, outbound takes them to an
// application.
var (
	inbound  = &provisioningJob{"HR Sync", "workday2aad", "Workday", "Microsoft Entra ID"}
	outbound = &provisioningJob{"Meridian Portal", "scim", "Microsoft Entra ID", "Meridian Portal"}
)

// provision is an hour of the provisioning service.
func (m *maker) provision(part float64) {
	for range m.times(0.25 * part) {
		p := provisioned{at: m.moment(), id: m.newID(), who: m.someone(), job: inbound, status: "success", durationSeconds: 1 + m.rng.IntN(4)}
		if m.chance(2) {
			p.job = outbound
		}
		switch m.pick(20, 3, 9, 2) {
		case 0:
			p.action, p.changes = "update", []change{{"jobTitle", "", p.who.title}, {"department", "", p.who.department}}
		case 1:
			p.action = "create"
			p.changes = []change{{"userName", "", p.who.upn}, {"active", "", "True"}, {"displayName", "", p.who.name}}
		case 2:
			p.action, p.status, p.code = "other", "skipped", "RedundantExport"
			p.reason = "The state of the entry in both the source and target systems already match. No change to the " + p.job.to + " entry is needed."
		case 3:
			p.action, p.status, p.code = "create", "failure", "DuplicateTargetEntries"
			p.reason = "There is more than one entry in " + p.job.to + " that matches the user in " + p.job.from + "."
			p.changes = []change{{"userName", "", p.who.upn}}
		}
		m.provisioned(p)
	}
}

// deprovisioned is what follows from a closed account: the application's own
// one is switched off.
func (m *maker) deprovisioned(at time.Time, who *person) {
	m.provisioned(provisioned{
		at: at, id: m.derivedID("deprovisioned", who.id), who: who, job: outbound, action: "disable", status: "success",
		changes: []change{{"active", "True", "False"}}, durationSeconds: 2,
	})
}

// provisioned writes the record. [provisioningObjectSummary-list, v1.0]
func (m *maker) provisioned(p provisioned) {
	at := p.at.Truncate(time.Second)
	m.begin(p.id, at)
	w, a := &m.w, m.app(p.job.app)
	job := p.job.slug + "." + strings.ReplaceAll(m.tenant, "-", "") + "." + m.derivedID("job", p.job.slug)
	w.str("id", p.id)
	w.str("activityDateTime", at.Format(secondsLayout))
	w.str("tenantId", m.tenant)
	w.str("jobId", job)
	w.str("cycleId", m.derivedID("cycle", p.job.slug, p.at.Truncate(40*time.Minute).String()))
	w.str("changeId", m.derivedID("change", p.id))
	w.str("provisioningAction", p.action)
	w.num("durationInMilliseconds", p.durationSeconds*1000+int(hash64(p.id)%1000))
	p.system(m, w, "sourceSystem", p.job.from)
	p.system(m, w, "targetSystem", p.job.to)
	w.open("initiatedBy", '{')
	w.str("id", "")
	w.str("displayName", "Azure AD Provisioning Service")
	w.str("initiatorType", "system")
	w.close('}')
	w.open("servicePrincipal", '{')
	w.str("id", a.id)
	w.str("displayName", a.name)
	w.close('}')
	p.identity(m, w, "sourceIdentity", p.job.from, true)
	p.identity(m, w, "targetIdentity", p.job.to, p.status != "failure")
	p.outcome(w)
	p.steps(w)
	w.open("modifiedProperties", '[')
	for _, c := range p.changes {
		w.item()
		w.str("displayName", c.name)
		w.orNull("oldValue", c.old)
		w.orNull("newValue", c.new)
		w.close('}')
	}
	w.close(']')
	m.end(Provisioning, lagOf(p.id, 2, 10))
}

func (p *provisioned) system(m *maker, w *writer, key, name string) {
	w.open(key, '{')
	w.str("id", m.derivedID("system", p.job.slug, name))
	w.str("displayName", name)
	w.open("details", '{')
	if name == p.job.app {
		a := m.app(name)
		w.str("ApplicationId", a.appID)
		w.str("ServicePrincipalId", a.id)
		w.str("ServicePrincipalDisplayName", a.name)
	}
	w.close('}')
	w.close('}')
}

// identity is the object in one of the systems; what could not be made there
// has neither id nor name.
func (p *provisioned) identity(m *maker, w *writer, key, system string, known bool) {
	id, name := "", ""
	if known {
		id, name = p.who.id, p.who.name
	}
	if known && system != "Microsoft Entra ID" {
		id = m.derivedID("identity in", system, p.who.id)
	}
	w.open(key, '{')
	w.str("id", id)
	w.str("displayName", name)
	w.str("identityType", "User")
	w.open("details", '{')
	if known && system == "Microsoft Entra ID" {
		w.str("UserPrincipalName", p.who.upn)
	}
	w.close('}')
	w.close('}')
}

func (p *provisioned) outcome(w *writer) {
	w.open("provisioningStatusInfo", '{')
	w.str("status", p.status)
	if p.code == "" {
		w.raw("errorInformation", "null")
		w.close('}')
		return
	}
	w.open("errorInformation", '{')
	w.str("errorCode", p.code)
	w.str("reason", p.reason)
	w.raw("additionalDetails", "null")
	w.str("errorCategory", "nonServiceFailure")
	w.raw("recommendedAction", "null")
	w.close('}')
	w.close('}')
}

func (p *provisioned) steps(w *writer) {
	w.open("provisioningSteps", '[')
	for _, s := range [...]struct{ name, kind, status, text string }{
		{"EntryImport", "import", "success", "Retrieved User '" + p.who.name + "' from " + p.job.from},
		{"EntryExport", "export", p.status, "User '" + p.who.name + "': " + p.action + " in " + p.job.to},
	} {
		w.item()
		w.str("name", s.name)
		w.str("provisioningStepType", s.kind)
		w.str("status", s.status)
		w.str("description", s.text)
		w.raw("details", "{}")
		w.close('}')
	}
	w.close(']')
}
