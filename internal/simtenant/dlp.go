package simtenant

import "time"

// dlpMatch is one match of a data loss prevention rule. What was found stands
// in its record in clear text.
type dlpMatch struct {
	at        time.Time
	operation string
	who       *person
	file      string // full address, or a path on the person's machine
	title     string
	subject   string // of a mail, or ""
	to        string
	rule      string
	severity  string
	count     int
}

// dlp is an hour of matches.
func (m *maker) dlp(part float64) {
	for range m.times(0.14 * part) {
		p := m.someone()
		d := dlpMatch{at: m.moment(), operation: "DlpRuleMatch", who: p, rule: "Low volume of card numbers", severity: "Low", count: 1 + m.rng.IntN(3)}
		switch m.pick(5, 4, 1, 1, 2) {
		case 0:
			d.title = "Customer refunds.xlsx"
			d.file = p.drive.url + "/Documents/" + d.title
		case 1:
			d.subject, d.to = "Fwd: refund of the calibration fee", "claims@partner"+itoa(m.rng.IntN(9))+".example"
		case 2:
			d.operation, d.title = "DlpRuleUndo", "Customer refunds.xlsx"
			d.file = p.drive.url + "/Documents/" + d.title
		case 3:
			d.operation, d.title = "DlpInfo", "Payroll 2026.xlsx"
			d.file = m.site("People").url + "/Shared Documents/" + d.title
		case 4:
			d.title = "Customer refunds.xlsx"
			d.file = `C:\Users\` + p.alias + `\Downloads\` + d.title
		}
		m.matched(d)
	}
}

// matched writes the record.
func (m *maker) matched(d dlpMatch) {
	h := head{operation: d.operation, kind: 11, userKey: "DlpAgent", userType: 4, workload: d.workload(), object: d.file, user: d.who.upn}
	switch h.workload {
	case "Exchange":
		h.kind, h.object = 13, m.messageID()
	case "Endpoint":
		h.kind, h.ip = 63, m.presence(d.who, d.at).ip
	}
	w := m.manage(m.newID(), d.at, h)
	w.flag("SensitiveInfoDetectionIsIncluded", true)
	w.str("IncidentId", m.newID())
	w.open("PolicyDetails", '[')
	w.item()
	w.str("PolicyId", fixedID(m, "payment data"))
	w.str("PolicyName", "Payment and personal data")
	w.open("Rules", '[')
	w.item()
	w.raw("Actions", `["NotifyUser","GenerateAlert"]`)
	w.open("ConditionsMatched", '{')
	w.raw("ConditionMatchedInNewScheme", "true")
	m.sensitive(w, d)
	w.close('}')
	w.str("RuleId", fixedID(m, d.rule))
	w.str("RuleMode", "Enable")
	w.str("RuleName", d.rule)
	w.str("Severity", d.severity)
	w.close('}')
	w.close(']')
	w.close('}')
	w.close(']')
	m.dlpSource(w, d)
	m.end(DLPAll, m.soon())
}

func (d *dlpMatch) workload() string {
	switch {
	case d.subject != "":
		return "Exchange"
	case d.file[0] == 'C':
		return "Endpoint"
	}
	return site{url: d.file}.workload()
}

// sensitive writes what the rule found, cards that are none among it.
func (m *maker) sensitive(w *writer, d dlpMatch) {
	w.open("SensitiveInformation", '[')
	w.item()
	w.num("Confidence", 85)
	w.num("Count", d.count)
	w.str("Location", "Message Body")
	w.str("SensitiveType", "50842eb7-edc8-4019-85dd-5a5c1f2bb085")
	w.str("SensitiveInformationTypeName", "Credit Card Number")
	w.num("UniqueCount", d.count)
	if d.operation != "DlpInfo" {
		w.open("SensitiveInformationDetections", '{')
		w.open("DetectedValues", '[')
		for range d.count {
			w.item()
			w.str("Name", m.canary("4111"))
			w.str("Value", "card of "+d.who.given+": "+m.canary("4111"))
			w.close('}')
		}
		w.close(']')
		w.raw("ResultsTruncated", "false")
		w.close('}')
	}
	w.close('}')
	w.close(']')
}

// dlpSource writes where it was found, in the form that the workload has.
func (m *maker) dlpSource(w *writer, d dlpMatch) {
	switch d.workload() {
	case "Exchange":
		m.exchangeSource(w, d)
	case "Endpoint":
		m.endpointSource(w, d)
	default:
		m.fileSource(w, d)
	}
}

func (m *maker) exchangeSource(w *writer, d dlpMatch) {
	w.open("ExchangeMetaData", '{')
	w.raw("BCC", "[]")
	w.raw("CC", "[]")
	w.num("FileSize", 8000+m.rng.IntN(90000))
	w.str("From", d.who.upn)
	w.str("MessageID", m.messageID())
	w.num("RecipientCount", 1)
	w.str("Sent", d.at.Format(managementLayout))
	w.str("Subject", d.subject)
	w.open("To", '[')
	w.text(d.to)
	w.close(']')
	w.close('}')
}

func (m *maker) endpointSource(w *writer, d dlpMatch) {
	w.open("EndpointMetaData", '{')
	w.str("Application", "chrome.exe")
	w.str("DeviceName", d.who.device.name)
	w.num("EndpointOperation", 5)
	w.str("FileExtension", "xlsx")
	w.num("FileSize", 8000+m.rng.IntN(90000))
	w.str("OriginatingDomain", "upload.example")
	w.open("SensitiveInfoTypeData", '[')
	w.item()
	w.num("Count", d.count)
	w.str("SensitiveInformationTypeName", "Credit Card Number")
	w.open("SensitiveInformationDetectionsInfo", '{')
	w.open("DetectedValues", '[')
	w.item()
	w.str("Name", m.canary("4111"))
	w.str("Value", "refund "+m.canary("4111"))
	w.close('}')
	w.close(']')
	w.close('}')
	w.close('}')
	w.close(']')
	w.close('}')
}

func (m *maker) fileSource(w *writer, d dlpMatch) {
	w.open("SharePointMetaData", '{')
	w.raw("DocumentLastModifier", "null")
	w.str("FileName", d.title)
	w.str("FileOwner", d.who.name)
	w.str("FilePathUrl", d.file)
	w.str("From", d.who.upn)
	w.str("ItemCreationTime", d.at.AddDate(0, -2, 0).Format(managementLayout))
	w.str("ItemLastModifiedTime", d.at.Format(managementLayout))
	w.str("SiteCollectionGuid", d.who.drive.id)
	w.str("SiteCollectionUrl", d.who.drive.url)
	w.str("UniqueID", m.newID())
	w.close('}')
}
