package simtenant

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// bookmark is where in which reading of a query's records a page begins.
type bookmark struct {
	reading int
	passed  int // records of the pages before
	after   *position
}

// String is the $skiptoken of a bookmark.
func (p bookmark) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d %s", p.reading, p.passed, p.after))
}

func parseBookmark(text string) (p bookmark, err error) {
	bad := errors.New("the skip token is not valid")
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return bookmark{}, bad
	}
	parts := strings.Split(string(b), " ")
	if len(parts) != 3 {
		return bookmark{}, bad
	}
	var errReading, errPassed error
	p.reading, errReading = strconv.Atoi(parts[0])
	p.passed, errPassed = strconv.Atoi(parts[1])
	if p.after, err = parsePosition(parts[2]); err != nil || errReading != nil || errPassed != nil {
		return bookmark{}, bad
	}
	return p, nil
}

// recordsTop is the size of a page that nobody asked a size for.
const recordsTop = 150

// recordsPage is one request for records.
type recordsPage struct {
	bookmark
	top   int
	count bool
}

func readPage(values url.Values) (p recordsPage, err error) {
	p.top = recordsTop
	for name := range values {
		value := values.Get(name)
		switch name {
		case "$top":
			p.top, err = parseTop(value)
		case "$count":
			p.count, err = strconv.ParseBool(value)
		case "$skiptoken":
			p.bookmark, err = parseBookmark(value)
		default:
			err = fmt.Errorf("query option '%s' is not allowed", name)
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// queryRecords answers with a page of what a query found. A query that did not
// succeed (yet) has an empty list, which a client must not take for the truth.
// [security-auditlogquery-list-records; the empty list is a guess]
func (t *Tenant) queryRecords(w http.ResponseWriter, r *http.Request, version string) error {
	q, err := t.queryOf(r)
	if err != nil {
		return err
	}
	p, err := readPage(r.URL.Query())
	if err != nil {
		return t.graphRefusal(r, http.StatusBadRequest, "BadRequest", err.Error())
	}
	head := map[string]any{"@odata.context": origin(r) + version + "/$metadata#security/auditLog/queries('" + q.id + "')/records"}
	var records []record
	if q.status(t.now()) == "succeeded" {
		if p.after == nil {
			p.reading = q.begin()
		}
		var more bool
		if records, more = q.page(t, p.bookmark, p.top); more {
			values := r.URL.Query()
			last := positionOf(&records[len(records)-1])
			values.Set("$skiptoken", bookmark{p.reading, p.passed + len(records), &last}.String())
			head["@odata.nextLink"] = origin(r) + r.URL.Path + "?" + values.Encode()
		}
		if p.count {
			head["@odata.count"] = min(q.count(t), q.limit)
		}
	}
	wire := t.purview.onWire()
	if wire.Unsteady && p.reading%2 == 1 {
		records = withGaps(records, p.passed)
	}
	return writePage(w, r, head, records, wire.Text)
}

// withGaps leaves out every seventh record of a query.
func withGaps(records []record, passed int) []record {
	var out []record
	for i, r := range records {
		if (passed+i)%7 != 3 {
			out = append(out, r)
		}
	}
	return out
}

func writePage(w http.ResponseWriter, r *http.Request, head map[string]any, records []record, text bool) error {
	b, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("encode a page: %w", err)
	}
	change := changeOf(r)
	w.Header().Set("Content-Type", "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8")
	_, _ = w.Write(append(b[:len(b)-1], `,"value":[`...)) // the client may be gone
	for i := range records {
		if i > 0 {
			_, _ = w.Write([]byte{','})
		}
		if _, err := w.Write(auditLogRecord(&records[i], change(i, &records[i]), text)); err != nil {
			return nil
		}
	}
	_, _ = w.Write([]byte("]}"))
	return nil
}

// recordTypes are the names of a few of auditLogRecordType's numbers.
var recordTypes = map[int]string{
	1: "exchangeAdmin", 2: "exchangeItem", 3: "exchangeItemGroup", 4: "sharePoint", 6: "sharePointFileOperation", 7: "oneDrive",
	8: "azureActiveDirectory", 9: "azureActiveDirectoryAccountLogon", 11: "complianceDLPSharePoint", 13: "complianceDLPExchange",
	14: "sharePointSharingOperation", 15: "azureActiveDirectoryStsLogon", 18: "securityComplianceCenterEOPCmdlet", 20: "powerBIAudit",
	25: "microsoftTeams", 28: "threatIntelligence", 30: "microsoftFlow", 36: "sharePointListOperation", 40: "securityComplianceAlerts",
	45: "powerAppsApp", 50: "exchangeItemAggregated", 57: "microsoftTeamsAdmin", 63: "dlpEndpoint",
}

// userTypes are the names of UserType's numbers.
var userTypes = []string{
	"Regular", "Reserved", "Admin", "DcAdmin", "System", "Application", "ServicePrincipal", "CustomPolicy", "SystemPolicy",
	"PartnerTechnician", "Guest",
}

// auditLogRecord is a record as Graph wraps it. [security-auditlogrecord; the
// order as seen on the wire by rknightion/graph2otel]
func auditLogRecord(r *record, body []byte, text bool) []byte {
	var head struct {
		Operation, OrganizationID, UserID, Workload, ObjectID, ClientIP string
		RecordType, UserType                                            int
	}
	_ = json.Unmarshal(body, &head) // of another kind it stays empty
	w := writer{b: append(make([]byte, 0, len(body)+1024), '{')}
	w.str("id", wrapperID(r))
	w.str("createdDateTime", r.At.Format(secondsLayout))
	kind, ok := recordTypes[head.RecordType]
	if !ok {
		kind = "unknownFutureValue"
	}
	w.str("auditLogRecordType", kind)
	w.str("operation", head.Operation)
	w.str("organizationId", head.OrganizationID)
	w.str("userType", userTypes[max(0, min(head.UserType, len(userTypes)-1))])
	w.str("userId", head.UserID)
	w.str("service", head.Workload)
	w.orNull("objectId", head.ObjectID)
	w.str("userPrincipalName", head.UserID)
	w.orNull("clientIp", head.ClientIP)
	w.open("administrativeUnits", '[')
	w.text("")
	w.close(']')
	if text {
		w.str("auditData", string(body))
	} else {
		w.raw("auditData", string(asAuditData(body)))
	}
	w.close('}')
	return w.b
}

// wrapperID is the id of the wrapper: the record's own, or one made of what it
// says for a record that has none.
func wrapperID(r *record) string {
	if r.ID != "" {
		return r.ID
	}
	var hi, lo uint64
	for _, c := range []byte(positionOf(r).id) {
		hi, lo = hi*31+uint64(c), lo*131+uint64(c)
	}
	return uuid(hi, lo)
}

var (
	creation  = regexp.MustCompile(`("CreationTime":\s*"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)"`)
	int64Keys = regexp.MustCompile(`"(RecordType|UserType)":`)
)

// asAuditData writes into a record what Graph was seen to write into it: the
// type first, a zone after CreationTime, the type of its numbers. [samples of
// rknightion/graph2otel]
func asAuditData(body []byte) []byte {
	body = creation.ReplaceAll(body, []byte(`${1}Z"`))
	body = int64Keys.ReplaceAll(body, []byte(`"$1@odata.type":"#Int64","$1":`))
	rest := bytes.TrimLeft(bytes.TrimPrefix(bytes.TrimSpace(body), []byte("{")), " \t\r\n")
	head := `{"@odata.type":"#microsoft.graph.security.defaultAuditData"`
	if rest[0] != '}' {
		head += ","
	}
	return append([]byte(head), rest...)
}
