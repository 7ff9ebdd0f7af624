package simtenant

import "time"

// exchange is an hour of the mailboxes and of those who run them.
func (m *maker) exchange(part float64) {
	for range m.times(6.2 * part) {
		m.mailboxEvent()
	}
	for range m.times(0.22 * part) {
		m.exchangeAdminEvent()
	}
	if m.chance(3) && part > 0.5 {
		m.serviceCmdlet() // Microsoft's own upkeep knows no night
	}
}

// mail is one operation on a mailbox.
type mail struct {
	at        time.Time
	operation string
	kind      int // 2 item, 3 group of items, 50 accessed
	who       *person
	owner     *person // whose mailbox, who's own when nil
	ip        string
	session   string
	app       app // an application acts for itself when appOnly
	appOnly   bool
	client    string
	result    string
	items     int
	subject   string
}

func (m *maker) mailboxEvent() {
	p := m.someone()
	here := m.presence(p, m.hour)
	e := mail{at: m.moment(), who: p, ip: here.ip, session: here.session, result: "Succeeded", kind: 2, items: 1}
	e.client = [...]string{"Client=MSExchangeRPC", "Client=OWA;" + p.agent.text + ";", "Client=REST;Client=RESTSystem;;", "Client=OutlookService;Outlook-iOS/2.0;"}[m.pick(5, 3, 2, 2)]
	e.subject = subjects[m.rng.IntN(len(subjects))]
	switch m.pick(46, 24, 9, 6, 7, 3, 2, 3) {
	case 0:
		e.operation, e.kind, e.items = "MailItemsAccessed", 50, 1+m.rng.IntN(8)
	case 1:
		e.operation = "Send"
	case 2:
		e.operation = "Create"
	case 3:
		e.operation, e.kind, e.items = "SoftDelete", 3, 1+m.rng.IntN(3)
		if m.chance(8) {
			e.result = "PartiallySucceeded"
		}
	case 4:
		e.operation, e.kind, e.items = "MoveToDeletedItems", 3, 1+m.rng.IntN(4)
	case 5:
		e.operation, e.kind = "HardDelete", 3
	case 6:
		e.operation = "MailboxLogin"
	case 7:
		e.operation = "Update"
	}
	m.mailbox(e)
}

// mailbox writes the record of a mailbox operation.
func (m *maker) mailbox(e mail) {
	if e.owner == nil {
		e.owner = e.who
	}
	h, logon := m.mailHead(e)
	w := m.manage(m.newID(), e.at, h)
	if e.app.appID != "" {
		w.str("AppId", e.app.appID)
		w.str("ClientAppId", e.app.appID)
	}
	w.str("ClientIPAddress", e.ip) // the same address, never with a port
	w.str("ClientInfoString", e.client)
	if e.client == "Client=MSExchangeRPC" {
		w.str("ClientProcessName", "OUTLOOK.EXE")
		w.str("ClientVersion", "16.0.18129.20158")
	}
	w.flag("ExternalAccess", false)
	w.num("InternalLogonType", 0)
	w.num("LogonType", logon)
	if !e.appOnly {
		w.str("LogonUserSid", e.who.sid)
	}
	w.str("MailboxGuid", e.owner.mailbox)
	w.str("MailboxOwnerSid", e.owner.sid)
	w.str("MailboxOwnerUPN", e.owner.upn)
	if e.operation == "MailItemsAccessed" {
		w.pairs("OperationProperties", pair{"MailAccessType", "Bind"}, pair{"IsThrottled", "False"})
	}
	w.str("OrganizationName", initialDomain)
	w.str("OriginatingServer", m.server()+" (15.20.8182.018)\r\n")
	if e.session != "" {
		w.str("SessionId", e.session)
	}
	m.mailItems(w, e)
	m.end(AuditExchange, m.soon())
}

// mailHead returns who did it and the LogonType: 0 the owner, 1 an
// application with rights on every mailbox, 2 somebody with rights on this one.
func (m *maker) mailHead(e mail) (h head, logon int) {
	h = head{operation: e.operation, kind: e.kind, result: e.result, workload: "Exchange", ip: m.oddIP(e.ip)}
	switch {
	case e.appOnly:
		h.userKey, h.user, h.userType = e.app.id, "ServicePrincipal_"+e.app.id, 5
		return h, 1
	case e.owner != e.who:
		logon = 2
	}
	h.userKey, h.user = e.who.puid, e.who.upn
	return h, logon
}

func (m *maker) server() string {
	return "HL1PR0" + itoa(1+m.rng.IntN(8)) + "MB" + itoa(1000+m.rng.IntN(9000))
}

func (m *maker) messageID() string {
	return "<HL1PR04MB" + mailKey(m.rng, 24) + "@HL1PR04MB5056.eurprd04.prod.outlook.com>"
}

// mailItems writes what an operation touched, in the form that its kind has.
func (m *maker) mailItems(w *writer, e mail) {
	switch e.kind {
	case 50:
		m.folders(w, e)
	case 3:
		m.affectedItems(w, e)
	case 2:
		if e.operation == "MailboxLogin" {
			return
		}
		w.open("Item", '{')
		m.mailItem(w, e, `\Drafts`)
		w.num("SizeInBytes", 2000+m.rng.IntN(90000))
		w.str("Subject", e.subject)
		w.close('}')
		if e.operation == "Update" {
			w.raw("ModifiedProperties", `["RecipientCollection","ReceivedTime","ItemClass"]`)
		}
	}
}

func (m *maker) mailItem(w *writer, e mail, path string) {
	w.str("Id", "RgAAAAD"+e.owner.folder+mailKey(m.rng, 24)+"AAAA")
	w.str("InternetMessageId", m.messageID())
	w.open("ParentFolder", '{')
	w.str("Id", "LgAAAAD"+e.owner.folder+"AAAB")
	w.str("Path", path)
	w.close('}')
}

func (m *maker) folders(w *writer, e mail) {
	w.open("Folders", '[')
	w.item()
	w.open("FolderItems", '[')
	for range e.items {
		w.item()
		w.str("InternetMessageId", m.messageID())
		w.num("SizeInBytes", 2000+m.rng.IntN(90000))
		w.close('}')
	}
	w.close(']')
	w.str("Id", "LgAAAAD"+e.owner.folder+"AAAB")
	w.str("Path", `\Inbox`)
	w.close('}')
	w.close(']')
	w.num("OperationCount", e.items)
}

func (m *maker) affectedItems(w *writer, e mail) {
	w.open("AffectedItems", '[')
	for range e.items {
		w.item()
		m.mailItem(w, e, `\Inbox`)
		w.str("Subject", e.subject)
		w.close('}')
	}
	w.close(']')
	w.flag("CrossMailboxOperation", false)
	if e.operation == "MoveToDeletedItems" {
		w.open("DestFolder", '{')
		w.str("Id", "LgAAAAD"+e.owner.folder+"AAAC")
		w.str("Path", `\Deleted Items`)
		w.close('}')
	}
	w.open("Folder", '{')
	w.str("Id", "LgAAAAD"+e.owner.folder+"AAAB")
	w.str("Path", `\Inbox`)
	w.close('}')
}
