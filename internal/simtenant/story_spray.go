package simtenant

import "time"

// tellSpray: one password is tried on everybody by night, it fits once, on an
// account that an old protocol reaches without a second factor.
func (m *maker) tellSpray() {
	victim := m.staff[payableClerk]
	session := m.newID()
	m.sprayed(m.on(-5, 2, 40), victim)
	at := m.on(-5, 4, 20)
	m.signedIn(m.foreignSignIn(at, victim, attackerIP(21), session, 0))
	m.forwarded(at.Add(6*time.Minute), victim, attackerIP(21), session)
	for range 45 {
		m.mailbox(mail{
			at: at.Add(m.between(8*time.Minute, 50*time.Minute)), operation: "MailItemsAccessed", kind: 50, who: victim, ip: attackerIP(21),
			session: session, client: "Client=OWA;" + attackAgent.text + ";", result: "Succeeded", items: 3 + m.rng.IntN(12),
		})
	}
	m.taken(m.on(-4, 5, 5), victim, session)
	m.defrauded(m.on(-4, 9, 30), victim, session)
	m.sprayAnswered(victim)
}

// sprayed tries everybody once, faster than anybody types.
func (m *maker) sprayed(at time.Time, victim *person) {
	for i, p := range m.staff[:min(len(m.staff), 70)] {
		s := m.foreignSignIn(at.Add(time.Duration(i)*75*time.Second), p, attackerIP(16+i%16), m.newID(), 50126)
		s.agent, s.client = scripted, "Other clients"
		if i%23 == 11 {
			s.code = 50053
		}
		if p != victim {
			m.signedIn(s)
		}
	}
	s := m.foreignSignIn(at.Add(90*time.Minute), victim, attackerIP(21), m.newID(), 0)
	s.agent, s.client, s.risk = scripted, "Other clients", "high"
	m.signedIn(s)
}

// forwarded makes the rule that sends invoices outside and hides them.
func (m *maker) forwarded(at time.Time, victim *person, ip, session string) {
	rule := m.ran(cmdlet{
		at: at, name: "New-InboxRule", who: victim, ip: ip, session: session, object: victim.alias + `\.`,
		parameters: []pair{
			{"AlwaysDeleteOutlookRulesBlob", "False"},
			{"Force", "False"},
			{"Name", "."},
			{"SubjectOrBodyContainsWords", "invoice;payment;IBAN;Rechnung"},
			{"ForwardTo", "archive.tb@mail-relay.example"},
			{"MarkAsRead", "True"},
			{"DeleteMessage", "True"},
			{"StopProcessingRules", "True"},
		},
	})
	m.alert(alert{
		at: at.Add(4 * time.Minute), name: "Creation of forwarding/redirect rule", operation: "MailRedirect",
		severity: "Informational", category: "ThreatManagement", about: victim.upn, cause: rule,
	})
}

// taken downloads what finance has.
func (m *maker) taken(at time.Time, victim *person, session string) {
	m.signedIn(m.foreignSignIn(at.Add(-3*time.Minute), victim, attackerIP(23), session, 0))
	for i := range 72 {
		doc := documents[m.rng.IntN(len(documents))]
		m.file(fileEvent{
			at: at.Add(time.Duration(i)*9*time.Second + m.between(0, 8*time.Second)), operation: "FileDownloaded", kind: 6, who: victim,
			site: m.site("Finance"), folder: "Shared Documents/Payables", name: doc.name + " " + itoa(i+1) + "." + doc.value,
			ip: attackerIP(23), session: session, agent: attackAgent.text, bytes: 20_000 + m.rng.IntN(4_000_000),
		})
	}
}

// defrauded sends the mail that it was all for, and wipes its trace.
func (m *maker) defrauded(at time.Time, victim *person, session string) {
	e := mail{
		at: at, operation: "Send", kind: 2, who: victim, ip: attackerIP(23), session: session, items: 1,
		client: "Client=OWA;" + attackAgent.text + ";", result: "Succeeded", subject: "Updated bank details for invoice 20418",
	}
	m.mailbox(e)
	e.at, e.operation, e.kind = at.Add(70*time.Second), "HardDelete", 3
	m.mailbox(e)
}

// sprayAnswered is the defence: password, sessions, rule.
func (m *maker) sprayAnswered(victim *person) {
	at := m.on(lastWorkday(m.epoch, -3), 10, 5)
	desk, post := m.staff[globalAdmin], m.staff[exchangeAdmin]
	m.reset(at, desk, m.presence(desk, m.hour).ip, victim)
	m.revoked(at.Add(time.Minute), desk, m.presence(desk, m.hour).ip, victim)
	m.ran(cmdlet{
		at: at.Add(11 * time.Minute), name: "Remove-InboxRule", who: post, ip: m.presence(post, m.hour).ip, object: victim.alias + `\.`,
		parameters: []pair{{"Identity", victim.upn + `\.`}, {"Force", "True"}, {"Confirm", "False"}},
	})
}

func (m *maker) reset(at time.Time, by *person, ip string, whose *person) {
	m.changed(directoryChange{
		at: at, operation: "Reset user password", category: "UserManagement", service: coreDirectory, operationType: "Update",
		by: by, ip: ip, targets: []target{userTarget(whose)},
	})
}

func (m *maker) revoked(at time.Time, by *person, ip string, whose *person) {
	m.changed(directoryChange{
		at: at, operation: "Update StsRefreshTokenValidFrom Timestamp", category: "UserManagement", service: coreDirectory, operationType: "Update",
		by: by, ip: ip,
		targets: []target{userTarget(whose,
			change{"StsRefreshTokensValidFrom", `["` + at.AddDate(0, -2, 0).Format(secondsLayout) + `"]`, `["` + at.Format(secondsLayout) + `"]`},
			change{"Included Updated Properties", "", "StsRefreshTokensValidFrom"})},
	})
}
