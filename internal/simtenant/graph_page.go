package simtenant

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// position is where a page ends: at a record, not at a number of records, so
// that what is published meanwhile moves nothing.
type position struct {
	at time.Time
	id string
}

func positionOf(r *record) position {
	if r.ID != "" {
		return position{r.At.Truncate(tick), r.ID}
	}
	sum := sha256.Sum256(r.Body)
	return position{r.At.Truncate(tick), "~" + hex.EncodeToString(sum[:])}
}

func (p position) compare(o position) int {
	return cmp.Or(p.at.Compare(o.at), strings.Compare(p.id, o.id))
}

// String is the $skiptoken of a position.
func (p position) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.at.UnixNano(), 36) + " " + p.id))
}

func parsePosition(text string) (*position, error) {
	bad := errors.New("the skip token is not valid")
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, bad
	}
	at, id, ok := strings.Cut(string(b), " ")
	ns, err := strconv.ParseInt(at, 36, 64)
	if err != nil || !ok {
		return nil, bad
	}
	return &position{time.Unix(0, ns).UTC(), id}, nil
}

// scan is how much of a feed is looked at at once. A page is seldom more.
const scan = 12 * time.Hour

// page returns the records of a page and whether there are more.
func (q query) page(t *Tenant) (records []record, more bool) {
	now := t.now().UTC()
	from, to := now, now.Add(tick)
	for _, feed := range q.feeds { // kinds of one collection are kept alike
		from = now.Add(-t.retention(feed))
	}
	if q.filter.from.After(from) {
		from = q.filter.from
	}
	if !q.filter.to.IsZero() && q.filter.to.Before(to) {
		to = q.filter.to
	}
	if q.after != nil {
		from, to = q.after.narrow(from, to, q.asc)
	}
	for from.Before(to) && len(records) <= q.top {
		part, end := from, to
		if q.asc {
			end = earlier(from.Add(scan), to)
			from = end
		} else {
			part = later(to.Add(-scan), from)
			to = part
		}
		records = append(records, q.slice(t, part, end, now)...)
	}
	if len(records) > q.top {
		return records[:q.top], true
	}
	return records, false
}

// narrow leaves of a span what lies beyond a position.
func (p *position) narrow(from, to time.Time, asc bool) (time.Time, time.Time) {
	if asc {
		return later(from, p.at), to
	}
	return from, earlier(to, p.at.Add(tick))
}

// slice returns what of a span belongs to the answer, in its order.
func (q query) slice(t *Tenant, from, to, now time.Time) []record {
	var list []record
	for _, feed := range q.feeds {
		list = append(list, t.records.occurred(feed, from, to, now)...)
	}
	list = slices.DeleteFunc(list, func(r record) bool { return !q.wants(&r) })
	slices.SortFunc(list, func(a, b record) int {
		c := positionOf(&a).compare(positionOf(&b))
		if q.asc {
			return c
		}
		return -c
	})
	return slices.CompactFunc(list, func(a, b record) bool { return positionOf(&a).compare(positionOf(&b)) == 0 })
}

func (q query) wants(r *record) bool {
	if q.after != nil {
		c := positionOf(r).compare(*q.after)
		if q.asc && c <= 0 || !q.asc && c >= 0 {
			return false
		}
	}
	return q.filter.match(r)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
