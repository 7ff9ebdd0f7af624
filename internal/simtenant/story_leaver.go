package simtenant

import (
	"slices"
	"time"
)

// tellLeaver: evenings of downloads, open links, mail to oneself; then the
// account is closed and the machine wiped.
func (m *maker) tellLeaver() {
	leaver := m.staff[engineer]
	last := lastWorkday(m.epoch, -1)
	for evening := 1; evening <= 3; evening++ {
		m.carriedOff(m.on(last-4+evening, 18, 40), leaver, 18+22*evening)
	}
	m.linked(m.on(last-2, 20, 15), leaver)
	m.mailedHome(m.on(last-1, 19, 50), leaver)
	m.closed(leaverClosed(m.epoch).Add(m.between(2*time.Minute, 6*time.Minute)), leaver)
}

// carriedOff is an evening of downloads, more every day.
func (m *maker) carriedOff(at time.Time, leaver *person, files int) {
	here := m.presence(leaver, m.hour)
	m.signedIn(signIn{
		at: at.Add(-4 * time.Minute), who: leaver, app: m.app("Office 365 SharePoint Online"), ip: leaver.home, place: leaver.city, agent: leaver.agent,
		session: here.session, client: "Browser", managed: true, mfa: true, risk: "none",
	})
	for i := range files {
		m.file(fileEvent{
			at: at.Add(time.Duration(i)*40*time.Second + m.between(0, 30*time.Second)), operation: "FileDownloaded", kind: 6, who: leaver,
			site: m.site("Research"), folder: "Shared Documents/Sensor heads", name: m.drawing(i), ip: leaver.home, session: here.session,
			agent: leaver.agent.text, bytes: 400_000 + m.rng.IntN(30_000_000),
		})
	}
}

func (m *maker) drawing(i int) string {
	return "HX" + itoa(300+i) + " " + [...]string{"sensor head.step", "optics.pdf", "firmware keys.zip", "test bench.xlsx"}[i%4]
}

// linked shares without a name, and somebody uses the links.
func (m *maker) linked(at time.Time, leaver *person) {
	here := m.presence(leaver, m.hour)
	stranger := &person{upn: "anonymous"}
	for i := range 7 {
		e := fileEvent{
			at: at.Add(time.Duration(i) * 50 * time.Second), operation: "AnonymousLinkCreated", kind: 14, who: leaver,
			site: leaver.drive, folder: "Documents/Photos", name: m.drawing(i), ip: leaver.home, session: here.session, agent: leaver.agent.text,
			eventData: "<Type>View</Type>",
		}
		m.file(e)
		e.at, e.operation, e.who, e.ip, e.agent = e.at.Add(m.between(20*time.Minute, 90*time.Minute)), "AnonymousLinkUsed", stranger, attackerIP(140), attackAgent.text
		m.file(e)
	}
	m.alert(alert{
		at: at.Add(2 * time.Hour), name: "Unusual volume of external file sharing", operation: "AnonymousLinkCreated",
		severity: "High", category: "DataGovernance", about: leaver.upn,
	})
}

// mailedHome sends what rules notice.
func (m *maker) mailedHome(at time.Time, leaver *person) {
	here := m.presence(leaver, m.hour)
	for i := range 5 {
		sent := at.Add(time.Duration(i) * 3 * time.Minute)
		subject := "photos part " + itoa(i+1)
		m.mailbox(mail{
			at: sent, operation: "Send", kind: 2, who: leaver, ip: leaver.home, session: here.session, items: 1,
			client: "Client=OWA;" + leaver.agent.text + ";", result: "Succeeded", subject: subject,
		})
		m.matched(dlpMatch{
			at: sent.Add(30 * time.Second), operation: "DlpRuleMatch", who: leaver, subject: subject, to: "p.novotny.private@freemail.example",
			rule: "High volume of customer data", severity: "High", count: 9 + i,
		})
	}
}

// closed ends the account; he tries twice more.
func (m *maker) closed(at time.Time, leaver *person) {
	admin := m.staff[globalAdmin]
	m.hour = at.Truncate(time.Hour)
	ip := m.presence(admin, m.hour).ip
	m.changed(directoryChange{
		at: at, operation: "Disable account", category: "UserManagement", service: coreDirectory, operationType: "Update", by: admin, ip: ip,
		targets: []target{userTarget(leaver, change{"AccountEnabled", "[true]", "[false]"}, change{"Included Updated Properties", "", "AccountEnabled"})},
	})
	m.revoked(at.Add(20*time.Second), admin, ip, leaver)
	g := m.groups[slices.IndexFunc(m.groups, func(g group) bool { return g.name == "Project Meridian" })]
	m.changed(directoryChange{
		at: at.Add(3 * time.Minute), operation: "Remove member from group", category: "GroupManagement", service: coreDirectory, operationType: "Unassign",
		by: admin, ip: ip,
		targets: []target{userTarget(leaver, change{"Group.ObjectID", g.id, ""}, change{"Group.DisplayName", g.name, ""}), groupTarget(g)},
	})
	m.deprovisioned(at.Add(25*time.Minute), leaver)
	wipe := deviceAdmin{at: at.Add(10 * time.Minute), who: m.staff[endpointAdmin], activity: "wipe ManagedDevice", kind: "wipe ManagedDevice", operation: "Action"}
	wipe.on(leaver.device)
	wipe.changes = []change{{"KeepEnrollmentData", "", "False"}, {"KeepUserData", "", "False"}}
	m.administered(wipe)
	for i := range 2 {
		m.signedIn(signIn{
			at: at.Add(time.Duration(38+i) * time.Minute), who: leaver, app: m.app("OfficeHome"), ip: leaver.home, place: leaver.city, agent: leaver.agent,
			session: m.newID(), code: 50057, client: "Browser", risk: "none",
		})
	}
}
