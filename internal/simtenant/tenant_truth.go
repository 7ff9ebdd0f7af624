package simtenant

import (
	"encoding/json"
	"slices"
	"time"
)

// Truth is what a tenant published of a feed.
type Truth struct {
	IDs      []string // the distinct ids of the records, sorted
	Nameless int      // distinct records that carry no id
}

// Count is the number of distinct records.
func (t Truth) Count() int { return len(t.IDs) + t.Nameless }

// Truth returns what has been published of a feed until now, with from <= time
// < to: of a Graph feed by the time in the record, of a content type of the
// Management Activity API by contentCreated, which is when its blob came to be.
// It includes blobs that are held back and ones that a fault added, and does
// not ask whether anyone had subscribed.
func (t *Tenant) Truth(feed string, from, to time.Time) Truth {
	known, nameless := map[string]struct{}{}, map[string]struct{}{}
	add := func(list []record) {
		for i := range list {
			if list[i].ID != "" {
				known[list[i].ID] = struct{}{}
			} else {
				nameless[canonical(list[i].Body)] = struct{}{}
			}
		}
	}
	if slices.Contains(graphFeeds, feed) {
		add(t.records.occurred(feed, from, to, t.now()))
	} else {
		for _, b := range t.blobs(feed, from, to) {
			add(b.records)
			for i := range b.huge {
				known[hugeID(b, i)] = struct{}{}
			}
		}
	}
	out := Truth{IDs: make([]string, 0, len(known)), Nameless: len(nameless)}
	for id := range known {
		out.IDs = append(out.IDs, id)
	}
	slices.Sort(out.IDs)
	return out
}

// canonical is a text that two encodings of one record share: the order of
// keys differs between blobs.
func canonical(body json.RawMessage) string {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return string(body)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return string(body)
	}
	return string(b)
}

// Stories returns the attacks that the made records tell of, none for a tenant
// that replays a file.
func (t *Tenant) Stories() []Story {
	if t.replay != nil {
		return nil
	}
	return t.history.stories
}
