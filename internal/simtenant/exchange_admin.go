package simtenant

import "time"

// cmdlet is one command of Exchange's administration. ResultStatus is True or
// False here and nowhere else.
type cmdlet struct {
	at         time.Time
	name       string
	who        *person // Microsoft itself when nil
	ip         string
	session    string
	object     string
	failed     bool
	parameters []pair
	modified   []change
}

const exchangeService = `NT AUTHORITY\SYSTEM (Microsoft.Exchange.ServiceHost)`

// ran writes the record of a command and returns its id.
func (m *maker) ran(c cmdlet) string {
	id := m.newID()
	h := head{operation: c.name, kind: 1, result: "True", workload: "Exchange", object: c.object}
	if c.failed {
		h.result = "False"
	}
	if c.who == nil {
		h.userKey, h.user, h.userType = exchangeService, exchangeService, 3
	} else {
		h.userKey, h.user, h.userType, h.ip = c.who.puid, c.who.upn, 2, m.withPort(c.ip)
	}
	w := m.manage(id, c.at, h)
	w.str("AppId", "")
	w.str("ClientAppId", "")
	w.flag("ExternalAccess", c.who == nil)
	w.str("OrganizationName", initialDomain)
	w.str("OriginatingServer", m.server()+" (15.20.8182.018)")
	w.pairs("Parameters", c.parameters...)
	if len(c.modified) > 0 {
		w.open("ModifiedProperties", '[')
		for _, p := range c.modified {
			twinChange(w, p)
		}
		w.close(']')
	}
	if c.session != "" {
		w.str("SessionId", c.session)
	}
	m.end(AuditExchange, m.soon())
	return id
}

func (m *maker) exchangeAdminEvent() {
	by := m.staff[exchangeAdmin]
	here := m.presence(by, m.hour)
	p := m.someone()
	c := cmdlet{at: m.moment(), who: by, ip: here.ip, session: here.session, object: p.alias, failed: m.chance(18)}
	identity := pair{"Identity", p.upn}
	switch m.pick(8, 5, 4, 4, 3, 1, 1, 2) {
	case 0:
		c.name, c.parameters = "Set-Mailbox", []pair{identity, {"MaxReceiveSize", "36 MB (37,748,736 bytes)"}}
		c.modified = []change{{"MaxReceiveSize", "25 MB (26,214,400 bytes)", "36 MB (37,748,736 bytes)"}}
	case 1:
		other := m.someone()
		c.name, c.parameters = "Add-MailboxPermission", []pair{identity, {"User", other.upn}, {"AccessRights", "FullAccess"}, {"InheritanceType", "All"}}
	case 2:
		c.name, c.parameters = "Set-CASMailbox", []pair{identity, {"PopEnabled", "False"}, {"ImapEnabled", "False"}}
	case 3:
		c.who, c.ip, c.name = p, m.presence(p, m.hour).ip, "New-InboxRule"
		c.object = p.alias + `\Newsletters`
		c.parameters = []pair{{"AlwaysDeleteOutlookRulesBlob", "False"}, {"Force", "False"}, {"Name", "Newsletters"}, {"MoveToFolder", "Reading"}, {"SubjectContainsWords", "newsletter;digest"}}
	case 4:
		c.name, c.parameters = "Set-DistributionGroup", []pair{{"Identity", "assembly-news"}, {"RequireSenderAuthenticationEnabled", "True"}}
	case 5:
		c.name, c.object = "Set-TransportRule", "External banner"
		c.parameters = []pair{{"Identity", "External banner"}, {"FromScope", "NotInOrganization"}, {"ApplyHtmlDisclaimerText", "<p>This mail comes from outside.</p>"}}
	case 6: // a password on the command line, as it should never be
		c.name, c.object = "Set-Mailbox", "meeting.room7"
		c.parameters = []pair{{"Identity", "meeting.room7@" + companyDomain}, {"EnableRoomMailboxAccount", "True"}, {"RoomMailboxPassword", "System.Security.SecureString"}, {"Password", m.canary("PASSWORD")}}
	case 7:
		c.name, c.parameters = "Set-MailboxAutoReplyConfiguration", []pair{identity, {"AutoReplyState", "Scheduled"}}
	}
	m.ran(c)
}

// serviceCmdlet is Microsoft working on the tenant.
func (m *maker) serviceCmdlet() {
	c := cmdlet{at: m.moment(), name: "Set-TransportConfig", object: initialDomain + `\Transport Settings`, parameters: []pair{{"Identity", initialDomain}, {"DomainController", ""}}}
	if m.chance(2) {
		c.name, c.object = "Set-MailboxPlan", "ExchangeOnlineEnterprise-"+m.newID()
		c.parameters = []pair{{"Identity", c.object}, {"ProhibitSendQuota", "99 GB (106,300,440,576 bytes)"}, {"Force", "True"}}
	}
	m.ran(c)
}

// canary is a secret that is none. Whoever finds one stored has found a place
// where real ones would be stored too.
func (m *maker) canary(kind string) string {
	return "CANARY-" + kind + "-" + itoa(1000+m.rng.IntN(9000)) + "-" + itoa(1000+m.rng.IntN(9000))
}
