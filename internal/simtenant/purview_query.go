package simtenant

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// filterNames are what a query can be narrowed by besides its times, which is
// not simulated. serviceFilter is the name in older documentation.
var filterNames = []string{
	"recordTypeFilters", "keywordFilter", "serviceFilter", "serviceFilters", "operationFilters",
	"userPrincipalNameFilters", "ipAddressFilters", "objectIdFilters", "administrativeUnitIdFilters",
}

// readQuery reads what a query asks for.
func (t *Tenant) readQuery(r *http.Request) (*auditQuery, error) {
	bad := func(text string) (*auditQuery, error) {
		return nil, t.graphRefusal(r, http.StatusBadRequest, "BadRequest", text)
	}
	var fields map[string]json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&fields); err != nil || fields == nil {
		return bad("Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
	}
	q, texts := &auditQuery{}, map[string]string{}
	for name, raw := range fields {
		switch {
		case slices.Contains([]string{"@odata.type", "displayName", "filterStartDateTime", "filterEndDateTime", "status"}, name):
			var text string
			if json.Unmarshal(raw, &text) != nil {
				return bad("Cannot convert the literal to the expected type 'Edm.String'.")
			}
			texts[name] = text
		case !slices.Contains(filterNames, name):
			return bad("The property '" + name + "' does not exist on type 'microsoft.graph.security.auditLogQuery'.")
		case !slices.Contains([]string{"null", `""`, "[]"}, string(raw)):
			return nil, t.graphRefusal(r, http.StatusNotImplemented, "notImplemented", "The simulated tenant does not filter by "+name+".")
		}
	}
	var errFrom, errTo error
	q.name = texts["displayName"]
	q.from, errFrom = time.Parse(time.RFC3339, texts["filterStartDateTime"])
	q.to, errTo = time.Parse(time.RFC3339, texts["filterEndDateTime"])
	if errFrom != nil || errTo != nil || !q.from.Before(q.to) {
		return bad("The start date must be before the end date.")
	}
	q.from, q.to = q.from.UTC(), q.to.UTC()
	return q, nil
}

// auditKept is how far back the unified audit log goes. [Purview Audit
// (Standard)]
const auditKept = 180 * 24 * time.Hour

// kept is where a search that begins at from finds the first records.
func kept(from, now time.Time) time.Time { return later(from.UTC(), now.Add(-auditKept)) }

// happened returns the records of all content types with from <= CreationTime
// < to that were published until asOf, each once and ordered by time.
func (t *Tenant) happened(from, to, asOf time.Time) []record {
	var out []record
	for _, feed := range contentTypes {
		if t.replay == nil {
			out = append(out, t.records.occurred(feed, from, to, asOf)...)
		} else {
			out = append(out, t.purview.replayed(t.replay)[feed].between(from, to)...)
		}
		for _, b := range t.faults.extra(feed, time.Time{}, asOf.Add(1), nil) {
			out = appendCreated(out, b.records, from, to)
		}
	}
	slices.SortFunc(out, func(a, b record) int { return positionOf(&a).compare(positionOf(&b)) })
	return slices.CompactFunc(out, func(a, b record) bool { return positionOf(&a).compare(positionOf(&b)) == 0 })
}

// appendCreated adds the records that say a time in a span. Of those of a file
// and of those that a fault added, only the publication is known without
// looking; one that says no time is in no span.
func appendCreated(out, list []record, from, to time.Time) []record {
	for _, r := range list {
		var head struct{ CreationTime string }
		if json.Unmarshal(r.Body, &head) != nil {
			continue
		}
		at, err := parseWindowTime(head.CreationTime)
		if err != nil || at.Before(from) || !at.Before(to) {
			continue
		}
		r.At = at
		out = append(out, r)
	}
	return out
}

// byTime is records ordered by their own time.
type byTime []record

func (l byTime) between(from, to time.Time) []record {
	at := func(r record, when time.Time) int { return r.At.Compare(when) }
	lo, _ := slices.BinarySearchFunc(l, from, at)
	hi, _ := slices.BinarySearchFunc(l, to, at)
	return l[lo:max(lo, hi)]
}

// replayed returns the records of a file by their own time. All of them were
// published before anyone could ask.
func (p *purview) replayed(file *replay) map[string]byTime {
	p.once.Do(func() {
		p.created = map[string]byTime{}
		ever := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, feed := range contentTypes {
			list := appendCreated(nil, file.feeds[feed], time.Time{}, ever)
			slices.SortStableFunc(list, func(a, b record) int { return a.At.Compare(b.At) })
			p.created[feed] = list
		}
	})
	return p.created
}

// count is how many records a query found, at most one more than its limit.
func (q *auditQuery) count(t *Tenant) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.found < 0 {
		q.found = 0
		for start := kept(q.from, q.over); start.Before(q.to) && q.found <= q.limit; start = start.Add(scan) {
			q.found += len(t.happened(start, earlier(start.Add(scan), q.to), q.over))
		}
		q.found = min(q.found, q.limit+1)
	}
	return q.found
}

// begin counts a reading and returns its number, from 1.
func (q *auditQuery) begin() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.readings++
	return q.readings
}

// page returns the next records after a bookmark, at most top, and whether there
// are more.
func (q *auditQuery) page(t *Tenant, p bookmark, top int) (records []record, more bool) {
	top = min(top, q.limit-p.passed)
	start := kept(q.from, q.over)
	if p.after != nil {
		start = later(start, p.after.at)
	}
	for ; start.Before(q.to) && len(records) <= top; start = start.Add(scan) {
		for _, r := range t.happened(start, earlier(start.Add(scan), q.to), q.over) {
			if p.after == nil || positionOf(&r).compare(*p.after) > 0 {
				records = append(records, r)
			}
		}
	}
	if len(records) > top {
		return records[:top], p.passed+top < q.limit
	}
	return records, false
}
