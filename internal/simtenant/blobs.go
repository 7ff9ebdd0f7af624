package simtenant

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBlobRecords is how many records a blob holds before another is begun.
const maxBlobRecords = 400

// Numbers of a blob among those of its moment: first the ones of the slot, then
// second copies of them, then ones that a fault added.
const (
	copyPart  = 400000
	addedPart = 800000
)

// blob is one piece of content of the Management API.
type blob struct {
	feed     string
	created  time.Time // whole milliseconds
	part     int
	records  []record
	reversed bool // a second copy, its keys in another order
	huge     int  // number of records that are made while it is written
	filler   int  // bytes of filler in each of those
}

// compare orders blobs as content lists them: as they came to be.
func (b blob) compare(o blob) int { return cmp.Or(b.created.Compare(o.created), b.part-o.part) }

// id has the newer form of content ids. It is opaque to clients and holds
// dollar signs, which many have tripped over.
func (b blob) id() string {
	stamp := strings.ReplaceAll(b.created.Format("20060102150405.000"), ".", "") + fmt.Sprintf("%06d", b.part)
	name := strings.ReplaceAll(b.feed, ".", "_")
	return stamp + "$" + stamp + "$" + strings.ToLower(name) + "$" + name + "$emea0036"
}

// parseBlobID reads which blob an id means.
func parseBlobID(id string) (b blob, ok bool) {
	fields := strings.Split(id, "$")
	if len(fields) != 5 || fields[0] != fields[1] || len(fields[0]) != 23 {
		return blob{}, false
	}
	feed := slices.IndexFunc(contentTypes, func(f string) bool { return strings.ReplaceAll(f, ".", "_") == fields[3] })
	created, err := time.Parse("20060102150405.000", fields[0][:14]+"."+fields[0][14:17])
	part, errPart := strconv.Atoi(fields[0][17:])
	if feed < 0 || err != nil || errPart != nil {
		return blob{}, false
	}
	b = blob{feed: contentTypes[feed], created: created.UTC(), part: part}
	return b, b.id() == id
}

// slotEnd is when the blobs of a publication slot come to be: a little after
// its end, so that everything in them is published by then.
func (t *Tenant) slotEnd(feed string, slot int64) time.Time {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d %d", feed, slot, t.history.company.seed)
	end := time.Unix(0, (slot+1)*int64(t.slot)).UTC()
	return end.Add(time.Duration(h.Sum64() % uint64(t.slot/4))).Truncate(time.Millisecond)
}

// blobs returns what has come to be of a content type until now, with from <=
// contentCreated < to, in order. Asked again it answers the same blobs.
func (t *Tenant) blobs(feed string, from, to time.Time) []blob {
	to = earlier(to, t.now().UTC().Add(time.Millisecond))
	var out []blob
	// From the beginning of a slot, or its blob would be a part of itself.
	first := time.Unix(0, from.UnixNano()/int64(t.slot)*int64(t.slot)).Add(-2 * t.slot).UTC()
	for list := t.records.published(feed, first, to); len(list) > 0; {
		slot := list[0].Published.UnixNano() / int64(t.slot)
		n := 1
		for n < len(list) && list[n].Published.UnixNano()/int64(t.slot) == slot {
			n++
		}
		if end := t.slotEnd(feed, slot); !end.Before(from) && end.Before(to) {
			out = appendParts(out, feed, end, list[:n])
		}
		list = list[n:]
	}
	out = append(out, t.faults.extra(feed, from, to, out)...)
	slices.SortFunc(out, blob.compare)
	return out
}

func appendParts(out []blob, feed string, created time.Time, list []record) []blob {
	part := 0
	for chunk := range slices.Chunk(list, maxBlobRecords) {
		out = append(out, blob{feed: feed, created: created, part: part, records: chunk})
		part++
	}
	return out
}

// find returns a blob by its id.
func (t *Tenant) find(id string) (blob, error) {
	asked, ok := parseBlobID(id)
	if !ok {
		return blob{}, af("AF20052", id)
	}
	if now := t.now(); now.After(t.onWire().expires(asked.created)) {
		return blob{}, af("AF20051", id)
	}
	for _, b := range t.blobs(asked.feed, asked.created, asked.created.Add(time.Millisecond)) {
		if b.part == asked.part && !t.faults.heldBack(b) {
			return b, nil
		}
	}
	return blob{}, af("AF20050", id)
}

// getBlob answers the records of a blob.
func (t *Tenant) getBlob(w http.ResponseWriter, r *http.Request, g grant) error {
	b, err := t.find(r.PathValue("contentId"))
	if err != nil {
		return err
	}
	if err := t.mayRead(b.feed, g); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	switch {
	case b.huge > 0:
		t.writeHuge(w, b)
		return nil
	case b.reversed:
		b.records = reversedKeys(b.records)
	}
	writeRecords(w, r, b.records)
	return nil
}

func reversedKeys(list []record) []record {
	list = slices.Clone(list)
	for i := range list {
		list[i].Body = reordered(list[i].Body)
	}
	return list
}

// hugeID is the id of a record of a huge blob.
func hugeID(b blob, n int) string {
	ms := uint64(b.created.UnixMilli())
	return uuid(ms<<16^uint64(b.part), uint64(n)<<8^uint64(len(b.feed)))
}

// writeHuge makes the records of a huge blob while they go out.
func (t *Tenant) writeHuge(w http.ResponseWriter, b blob) {
	filler := strings.Repeat("x", b.filler)
	at := b.created.Format(managementLayout)
	for i := range b.huge {
		sep := ","
		if i == 0 {
			sep = "["
		}
		_, err := fmt.Fprintf(w, `%s{"CreationTime":%q,"Id":%q,"Operation":"FileAccessed","OrganizationId":%q,"RecordType":6,`+
			`"UserKey":"bulk","UserType":0,"Version":1,"Workload":"SharePoint","UserId":"bulk@%s","ObjectId":"%s/bulk/%d","Filler":"%s"}`,
			sep, at, hugeID(b, i), t.TenantID(), companyDomain, sharePoint, i, filler)
		if err != nil {
			return // the client has gone
		}
	}
	_, _ = w.Write([]byte("]"))
}
