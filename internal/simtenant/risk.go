package simtenant

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// detection is one risk that Entra ID Protection saw, in a sign-in or in what
// became known of an account.
type detection struct {
	at, detected time.Time
	who          *person
	id           string
	kind         string // riskEventType
	level, state string
	offline      bool
	signIn       *signIn // nil: the account, not a sign-in
	request      string  // the sign-in's id
	correlation  string
}

// risks are detections that nothing in the sign-ins tells of.
var risks = []pair{
	{"leakedCredentials", "high"}, {"anomalousUserActivity", "medium"}, {"suspiciousInboxForwarding", "low"}, {"investigationsThreatIntelligence", "medium"},
}

// risk is an hour of what is found out about accounts; mostly nothing.
func (m *maker) risk(part float64) {
	for range m.times(0.006 * part) {
		r := risks[m.rng.IntN(len(risks))]
		d := detection{
			detected: m.moment(), who: m.someone(), id: m.longID(), kind: r.name, level: r.value, state: "atRisk", offline: true,
		}
		d.at = d.detected.Add(-m.between(time.Hour, 40*time.Hour))
		if m.chance(3) {
			d.state = "dismissed"
		}
		m.detected(d)
	}
}

// longID is an id as risk detections have it: 64 hexadecimal digits.
func (m *maker) longID() string { return hex64(m.newID(), m.newID()) }

func hex64(a, b string) string {
	h := ""
	for _, s := range [...]string{a + b, b + a, a + "." + b, b + "." + a} {
		h += uuidDigits(hash64(s))
	}
	return h
}

func uuidDigits(v uint64) string {
	var b [16]byte
	for i := range b {
		b[i] = hexDigits[v>>(60-4*i)&15]
	}
	return string(b[:])
}

// judged writes what ID Protection says of a sign-in whose password was right
// and whose circumstances were not. It draws no numbers: with it or without,
// the sign-ins are the same.
func (m *maker) judged(s signIn, id, correlation string) {
	if s.risk == "none" || s.code != 0 && s.code != 50074 {
		return
	}
	d := detection{
		at: s.at, detected: s.at.Add(time.Duration(90+hash64(id)%60) * time.Second), who: s.who, id: hex64(id, correlation),
		kind: "unfamiliarFeatures", level: s.risk, state: "atRisk", signIn: &s, request: id, correlation: correlation,
	}
	if s.risk == "high" {
		d.kind, d.offline, d.detected = "passwordSpray", true, s.at.Add(3*time.Hour)
	}
	if d.detected.Truncate(time.Hour) != s.at.Truncate(time.Hour) && !d.offline {
		d.detected = s.at
	}
	m.detected(d)
}

// detected writes the record. [riskDetection resource, v1.0]
func (m *maker) detected(d detection) {
	m.begin(d.id, d.detected)
	w := &m.w
	w.str("@odata.type", "#microsoft.graph.riskDetection")
	w.str("id", d.id)
	w.orNull("requestId", d.request)
	w.orNull("correlationId", d.correlation)
	w.str("riskEventType", d.kind)
	w.str("riskState", d.state)
	w.str("riskLevel", d.level)
	if d.state == "dismissed" {
		w.str("riskDetail", "adminDismissedAllRiskForUser")
	} else {
		w.str("riskDetail", "none")
	}
	w.str("source", "IdentityProtection")
	timing := "realtime"
	if d.offline {
		timing = "offline"
	}
	w.str("detectionTimingType", timing)
	d.circumstances(w)
	w.str("activityDateTime", d.at.Format(graphLayout))
	w.str("detectedDateTime", d.detected.Format(graphLayout))
	w.str("lastUpdatedDateTime", d.detected.Add(time.Minute).Format(graphLayout))
	w.str("userId", d.who.id)
	w.str("userDisplayName", d.who.name)
	w.str("userPrincipalName", d.who.upn)
	w.str("additionalInfo", d.info())
	m.end(RiskDetections, lagOf(d.id, 2, 8))
}

func (d *detection) circumstances(w *writer) {
	if d.signIn == nil {
		w.str("activity", "user")
		w.str("tokenIssuerType", "AzureAD")
		w.raw("ipAddress", "null")
		w.raw("location", "null")
		return
	}
	w.str("activity", "signin")
	w.str("tokenIssuerType", "AzureAD")
	w.str("ipAddress", d.signIn.ip)
	d.signIn.location(w)
}

// info is JSON in a text, as the reference shows it.
func (d *detection) info() string {
	if d.signIn == nil {
		return "[]"
	}
	var w writer
	w.b = append(w.b, '[')
	w.item()
	w.str("Key", "userAgent")
	w.str("Value", d.signIn.agent.text)
	w.close('}')
	w.close(']')
	return string(w.b)
}

// plainRisks are the detections that need no P2. [Entra ID Protection, risk
// types and detection]
var plainRisks = [][]byte{
	[]byte(`"anonymizedIPAddress"`), []byte(`"leakedCredentials"`), []byte(`"investigationsThreatIntelligence"`), []byte(`"adminConfirmedUserCompromised"`),
}

// limited is a risk detection as a tenant without P2 is told it: what is
// premium about it is called generic, and how bad it is stays hidden.
func limited(body json.RawMessage) json.RawMessage {
	members := membersOf(body)
	kind := slices.IndexFunc(members, func(m []byte) bool { return bytes.HasPrefix(m, []byte(`"riskEventType":`)) })
	if kind < 0 || slices.ContainsFunc(plainRisks, func(p []byte) bool { return bytes.HasSuffix(members[kind], p) }) {
		return body
	}
	for i, m := range members {
		switch name, _, _ := bytes.Cut(m, []byte{':'}); string(name) {
		case `"riskEventType"`:
			members[i] = []byte(`"riskEventType":"generic"`)
		case `"riskLevel"`:
			members[i] = []byte(`"riskLevel":"hidden"`)
		case `"riskDetail"`:
			members[i] = []byte(`"riskDetail":"hidden"`)
		case `"additionalInfo"`:
			members[i] = []byte(`"additionalInfo":"[]"`)
		}
	}
	out := append([]byte{'{'}, bytes.Join(members, []byte{','})...)
	return append(out, '}')
}
