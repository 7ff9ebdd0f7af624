package simtenant

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tick is the step of Graph's times: seven fractional digits.
const tick = 100 * time.Nanosecond

// maxTop is the default and the most of a page. [signin-list]
const maxTop = 1000

func graphRoutes(version string) []route {
	beta := version == "/beta"
	list := func(feed, path, role string, limit func(Limits) Rate) route {
		c := collection{feed: feed, path: path, version: version, role: role, limit: limit, beta: beta, top: maxTop, maxTop: maxTop}
		if feed == RiskDetections { // [riskdetection-list]
			c.top, c.maxTop = 20, 500
		}
		return route{"GET " + version + "/" + path, feed, apiGraph, c.list}
	}
	reports := func(l Limits) Rate { return l.Reports }
	return []route{
		list(DirectoryAudits, "auditLogs/directoryAudits", RoleAuditLogRead, reports),
		list(SignIns, "auditLogs/signIns", RoleAuditLogRead, reports),
		list(Provisioning, "auditLogs/provisioning", RoleAuditLogRead, reports),
		list(RiskDetections, "identityProtection/riskDetections", RoleRiskRead, func(l Limits) Rate { return l.Risk }),
		list(IntuneAudits, "deviceManagement/auditEvents", RoleIntuneRead, func(l Limits) Rate { return l.Intune }),
		{"POST " + version + "/directoryObjects/getByIds", "getByIds", apiGraph, (*Tenant).getByIDs},
	}
}

// collection is one list of audit records in Graph.
type collection struct {
	feed, path, version, role string
	limit                     func(Limits) Rate
	beta                      bool
	top, maxTop               int // of a page: where none is asked for, and at most
}

// timeProperty is what a collection's records are placed in time by.
func timeProperty(feed string) string {
	switch feed {
	case DirectoryAudits, IntuneAudits, Provisioning:
		return "activityDateTime"
	case RiskDetections:
		return "detectedDateTime"
	}
	return "createdDateTime"
}

func (c collection) list(t *Tenant, w http.ResponseWriter, r *http.Request) error {
	g, err := t.graphGrant(r)
	if err != nil {
		return err
	}
	if err := c.permit(t, r, g); err != nil {
		return err
	}
	if err := t.throttle(r, c.scope(), c.limit, g.app); err != nil {
		return err
	}
	q, err := c.query(t, r)
	if err != nil {
		return err
	}
	records, more := q.page(t)
	if c.feed == RiskDetections && t.p1 {
		for i := range records {
			records[i].Body = limited(records[i].Body)
		}
	}
	return c.write(t, w, r, q, records, more)
}

// scope names the limit that a collection counts into: both audit logs share one.
func (c collection) scope() string { return c.path[:strings.IndexByte(c.path, '/')] }

// graphGrant is who asks. Graph tells what is wrong with a token.
func (t *Tenant) graphGrant(r *http.Request) (grant, error) {
	g, err := t.bearer(r)
	text := ""
	switch {
	case errors.Is(err, errNoToken):
		text = "Access token is empty."
	case errors.Is(err, jwt.ErrTokenExpired):
		text = "Lifetime validation failed, the token is expired."
	case errors.Is(err, jwt.ErrTokenMalformed):
		text = "IDX14100: JWT is not well formed, there are no dots (.)."
	case err != nil:
		text = "Access token validation failure. Invalid signature."
	case !slices.Contains(graphAudiences, g.audience):
		text = "Access token validation failure. Invalid audience."
	case g.tenant != t.TenantID():
		text = "Access token validation failure. Invalid tenant."
	default:
		return g, nil
	}
	return grant{}, t.graphRefusal(r, http.StatusUnauthorized, "InvalidAuthenticationToken", text)
}

func (c collection) permit(t *Tenant, r *http.Request, g grant) error {
	if !slices.Contains(g.roles, c.role) {
		switch c.feed {
		case RiskDetections:
			return t.graphRefusal(r, http.StatusForbidden, "Forbidden", "You cannot perform the requested operation, required scopes are missing in the token.")
		case IntuneAudits:
			return t.graphRefusal(r, http.StatusForbidden, "Forbidden", "Application is not authorized to perform this operation. Application must have one of the following scopes: "+c.role)
		}
		return t.graphRefusal(r, http.StatusForbidden, "Authentication_MSGraphPermissionMissing", "Calling principal does not have required MSGraph permissions "+c.role)
	}
	if c.feed == RiskDetections && t.free {
		return t.graphRefusal(r, http.StatusForbidden, "Forbidden", "Your tenant is not licensed for this feature.")
	}
	if (c.feed == SignIns || c.feed == Provisioning) && t.free {
		return t.graphRefusal(r, http.StatusForbidden, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", "Neither tenant is B2C or tenant doesn't have premium license")
	}
	return nil
}

// query is one request for a page.
type query struct {
	feeds  []string
	filter filter
	asc    bool
	top    int
	after  *position
}

func (c collection) query(t *Tenant, r *http.Request) (query, error) {
	bad := func(text string) (query, error) {
		return query{}, t.graphRefusal(r, http.StatusBadRequest, "BadRequest", text)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return bad("The query string is malformed.")
	}
	q := query{feeds: []string{c.feed}, top: c.top}
	for name := range values {
		if err := q.read(c, name, values.Get(name)); err != nil {
			return bad(err.Error())
		}
	}
	if c.beta && c.feed == SignIns {
		q.feeds, q.filter = signInFeeds(q.filter)
	}
	return q, nil
}

// read takes one query option.
func (q *query) read(c collection, name, value string) (err error) {
	switch name {
	case "$filter":
		q.filter, err = parseFilter(c.feed, c.beta, value)
	case "$orderby":
		q.asc, err = parseOrder(c.feed, value)
	case "$top":
		q.top, err = parseTopOf(value, c.maxTop)
	case "$skiptoken":
		q.after, err = parsePosition(value)
	default:
		if strings.HasPrefix(name, "$") {
			return fmt.Errorf("query option '%s' is not allowed", name)
		}
	}
	return err
}

func parseOrder(feed, value string) (asc bool, err error) {
	fields := strings.Fields(value)
	switch {
	case len(fields) == 0 || len(fields) > 2 || fields[0] != timeProperty(feed):
	case len(fields) == 1 || fields[1] == "asc":
		return true, nil
	case fields[1] == "desc":
		return false, nil
	}
	return false, fmt.Errorf("invalid $orderby: '%s'", value)
}

func parseTop(value string) (int, error) { return parseTopOf(value, maxTop) }

func parseTopOf(value string, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("invalid value '%s' for $top query option found. The $top query option requires a positive integer value", value)
	}
	if n > most {
		return 0, fmt.Errorf("the limit of '%d' for Top query has been exceeded. The value from the incoming request is '%d'", most, n)
	}
	return n, nil
}

// write answers with a page. Records go out as they are.
func (c collection) write(t *Tenant, w http.ResponseWriter, r *http.Request, q query, records []record, more bool) error {
	head := map[string]string{"@odata.context": origin(r) + c.version + "/$metadata#" + c.path}
	if more {
		values := r.URL.Query()
		values.Set("$skiptoken", positionOf(&records[len(records)-1]).String())
		head["@odata.nextLink"] = origin(r) + c.version + "/" + c.path + "?" + values.Encode()
	}
	b, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("encode a page: %w", err)
	}
	w.Header().Set("Content-Type", "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8")
	w.Header().Set("request-id", newRequestID())
	w.Header().Set("x-ms-resource-unit", "1")
	_, _ = w.Write(append(b[:len(b)-1], `,"value":`...)) // the client may be gone
	writeRecords(w, r, records)
	_, _ = w.Write([]byte("}"))
	return nil
}

// writeRecords writes a JSON list, one record at a time.
func writeRecords(w http.ResponseWriter, r *http.Request, records []record) {
	change := changeOf(r)
	sep := []byte("[")
	for i := range records {
		if _, err := w.Write(sep); err != nil {
			return
		}
		_, _ = w.Write(change(i, &records[i]))
		sep = []byte(",")
	}
	if len(records) == 0 {
		_, _ = w.Write(sep)
	}
	_, _ = w.Write([]byte("]"))
}
