package normalize

import "strings"

// dlp reads a match of a data loss prevention rule: the file or message, the
// policies and rules, what kind of content was found, and what was done. The
// content itself was cut out before.
func (r *reading) dlp() {
	f := &r.record
	policies := f.get("PolicyDetails")
	if policies.kind() != array {
		return
	}
	file, mail := f.get("SharePointMetaData"), f.get("ExchangeMetaData")
	r.target(file.first("FilePathUrl", "FileID", "UniqueID"), file.str("FileName"), "file")
	r.target(mail.first("MessageID", "UniqueID"), mail.str("Subject"), "message")
	if f.get("EndpointMetaData").kind() == object {
		r.target(f.first("ObjectId"), leaf(f.first("ObjectId")), "file")
	}
	for to := range mail.get("To").elements() {
		r.target("", to.String(), "recipient")
	}
	for p := range policies.elements() {
		r.target(p.first("PolicyId"), p.str("PolicyName"), "policy")
		for rule := range p.get("Rules").elements() {
			r.rule(rule)
		}
	}
}

func (r *reading) rule(rule value) {
	r.target(rule.first("RuleId"), rule.str("RuleName"), "rule")
	r.changeTo("Severity", rule.first("Severity"))
	r.changeTo("Actions", spell(rule.get("Actions")))
	for s := range rule.get("ConditionsMatched").get("SensitiveInformation").elements() {
		found := firstOf(s.first("SensitiveInformationTypeName", "SensitiveTypeName"), s.first("SensitiveType"))
		if n := s.str("Count"); n != "" && found != "" {
			found += " (" + n + ")"
		}
		r.changeTo("Found", found)
	}
}

// changeTo adds what something came to, if it came to anything.
func (r *reading) changeTo(name, after string) {
	if after = meaning(after); after != "" {
		r.change(name, "", after)
	}
}

// threats reads alerts, mail that was found to be bad, and investigations.
func (r *reading) threats() {
	f := &r.record
	switch {
	case f.first("AlertId") != "":
		r.alert()
	case f.get("NetworkMessageId").kind() != absent, f.get("P2Sender").kind() != absent:
		r.badMail()
	case f.first("InvestigationId") != "":
		r.target(f.str("InvestigationId"), f.str("InvestigationName"), "investigation")
		r.changeTo("Status", f.first("Status"))
	}
}

func (r *reading) alert() {
	f := &r.record
	r.target(f.str("AlertId"), f.str("Name"), "alert")
	r.target("", f.first("AlertEntityId"), firstOf(lower(f.first("EntityType")), "entity"))
	if f.first("AlertEntityId") == "" {
		details, _ := parseText(f.str("Data"))
		r.target("", details.first("f3u"), "user") // whom the alert is about
	}
	r.target(f.first("PolicyId"), f.first("PolicyName"), "policy")
	for _, name := range [...]string{"Severity", "Status", "Category", "Comments"} {
		r.changeTo(name, f.first(name))
	}
}

func (r *reading) badMail() {
	f := &r.record
	r.target(f.first("InternetMessageId", "NetworkMessageId"), f.str("Subject"), "message")
	for to := range f.get("Recipients").elements() {
		r.target("", to.String(), "recipient")
	}
	r.target("", f.first("P2Sender", "P1Sender"), "sender")
	for _, name := range [...]string{"Verdict", "DetectionMethod", "DetectionType", "Policy", "PolicyAction", "DeliveryAction", "SenderIp"} {
		r.changeTo(name, strings.TrimSpace(spell(f.get(name))))
	}
}
