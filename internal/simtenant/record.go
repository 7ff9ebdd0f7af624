package simtenant

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// Feeds of the wire: collections of Graph and content types of the Management
// Activity API. Their texts are the ones that stand in addresses, but for the
// kinds of sign-ins, which share one.
const (
	DirectoryAudits = "directoryAudits"
	SignIns         = "signIns"
	IntuneAudits    = "auditEvents"

	NonInteractiveSignIns   = "nonInteractiveUserSignIns" // these three are parts of beta's signIns
	ServicePrincipalSignIns = "servicePrincipalSignIns"
	ManagedIdentitySignIns  = "managedIdentitySignIns"
	Provisioning            = "provisioning"
	RiskDetections          = "riskDetections"

	AuditAzureAD    = "Audit.AzureActiveDirectory"
	AuditExchange   = "Audit.Exchange"
	AuditSharePoint = "Audit.SharePoint"
	AuditGeneral    = "Audit.General"
	DLPAll          = "DLP.All"
)

// record is one audit record as the tenant's service wrote it.
type record struct {
	Feed      string    // one of the constants above
	ID        string    // the record's own id, "" for the rare record without one
	At        time.Time // the time in the record, UTC
	Published time.Time // when the service lists it; never before At
	Body      json.RawMessage
}

// compare orders records as feeds list them: by publication, then by id.
func (r record) compare(o record) int {
	if c := r.Published.Compare(o.Published); c != 0 {
		return c
	}
	if r.ID != o.ID {
		if r.ID < o.ID {
			return -1
		}
		return 1
	}
	return bytes.Compare(r.Body, o.Body)
}

// pair is one entry of the wire's lists of names and values.
type pair struct{ name, value string }

// change is one entry of the wire's lists of modified properties.
type change struct{ name, old, new string }

// writer appends JSON in the order in which it is told. Encoding maps would
// sort the keys, which no service does, and cost several times as much.
type writer struct{ b []byte }

func (w *writer) comma() {
	if n := len(w.b); n > 0 && w.b[n-1] != '{' && w.b[n-1] != '[' {
		w.b = append(w.b, ',')
	}
}

func (w *writer) key(k string) {
	w.comma()
	w.b = append(w.b, '"')
	w.b = append(w.b, k...)
	w.b = append(w.b, '"', ':')
}

// open begins the object or list of a key; close ends it.
func (w *writer) open(k string, bracket byte) {
	w.key(k)
	w.b = append(w.b, bracket)
}

// item begins an object inside a list.
func (w *writer) item() {
	w.comma()
	w.b = append(w.b, '{')
}

func (w *writer) close(bracket byte) { w.b = append(w.b, bracket) }

func (w *writer) str(k, v string) {
	w.key(k)
	w.b = appendString(w.b, v)
}

// orNull writes null for an empty text.
func (w *writer) orNull(k, v string) {
	if v == "" {
		w.raw(k, "null")
		return
	}
	w.str(k, v)
}

// text writes an element of a list of texts.
func (w *writer) text(v string) {
	w.comma()
	w.b = appendString(w.b, v)
}

func (w *writer) num(k string, v int) {
	w.key(k)
	w.b = strconv.AppendInt(w.b, int64(v), 10)
}

func (w *writer) flag(k string, v bool) {
	w.key(k)
	w.b = strconv.AppendBool(w.b, v)
}

func (w *writer) raw(k, v string) {
	w.key(k)
	w.b = append(w.b, v...)
}

// pairs writes the Management API's [{"Name":…,"Value":…}].
func (w *writer) pairs(k string, list ...pair) {
	w.open(k, '[')
	for _, p := range list {
		w.item()
		w.str("Name", p.name)
		w.str("Value", p.value)
		w.close('}')
	}
	w.close(']')
}

const hexDigits = "0123456789abcdef"

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' {
			b = append(b, s[from:i]...)
			b = appendEscape(b, c)
			from = i + 1
		}
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// Layouts of the wire. Graph writes seven fractional digits, the Management
// API whole seconds and no zone.
const (
	graphLayout      = "2006-01-02T15:04:05.0000000Z"
	secondsLayout    = "2006-01-02T15:04:05Z"
	managementLayout = "2006-01-02T15:04:05"
)

// uuid formats 128 random bits as a version 4 UUID.
func uuid(hi, lo uint64) string {
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(3<<62) | 1<<63
	var b [36]byte
	for i, n := 0, 0; i < 36; i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			b[i] = '-'
			continue
		}
		v := hi
		if n >= 16 {
			v = lo
		}
		b[i] = hexDigits[v>>(60-4*(n%16))&15]
		n++
	}
	return string(b[:])
}

// reordered returns an object with its top-level keys in reverse. The
// Management API hands out one record in several blobs, and the order of the
// keys differs between them.
func reordered(body json.RawMessage) json.RawMessage {
	members := membersOf(body)
	slices.Reverse(members)
	out := append(make([]byte, 0, len(body)), '{')
	out = append(out, bytes.Join(members, []byte{','})...)
	return append(out, '}')
}

// membersOf splits an object that writer made at its outermost commas.
func membersOf(body []byte) [][]byte {
	var out [][]byte
	depth, from, quoted := 0, 1, false
	for i := 1; i < len(body)-1; i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 0:
			out = append(out, body[from:i])
			from = i + 1
		}
	}
	return append(out, body[from:len(body)-1])
}

func itoa(n int) string { return strconv.Itoa(n) }

// degrees writes a coordinate.
func degrees(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
