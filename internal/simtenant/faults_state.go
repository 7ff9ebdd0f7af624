package simtenant

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// faultStates are faults that last, rather than strike requests.
type faultStates struct {
	disabled      map[string]string // content type → who disabled it
	barred        map[string]bool   // content types without permission
	doubled       map[string]bool   // content types whose blobs are listed twice
	held          []heldBlobs
	added         []blob
	badTenantSide bool
}

type heldBlobs struct {
	feed     string
	from, to time.Time
}

func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = v
}

// Disable makes a subscription one that an administrator has disabled: by is
// "a tenant admin" or "a service admin". Content and start answer AF20023
// until Clear.
func (f *Faults) Disable(contentType, by string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	put(&f.states.disabled, contentType, by)
}

// Unauthorise takes the permission for one content type away (AF10001) until
// Clear.
func (f *Faults) Unauthorise(contentType string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	put(&f.states.barred, contentType, true)
}

// Misconfigure makes every operation of the Management API answer AF20012
// until Clear.
func (f *Faults) Misconfigure() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.states.badTenantSide = true
}

// DoubleBlobs lists every blob of a content type twice, under a second id and
// with the keys of its records in another order, until Clear.
func (f *Faults) DoubleBlobs(contentType string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	put(&f.states.doubled, contentType, true)
}

// HoldBack keeps blobs with from <= contentCreated < to out of all lists until
// Release or Clear. Then they are there, created before windows that were read
// meanwhile: late blobs.
func (f *Faults) HoldBack(contentType string, from, to time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.states.held = append(f.states.held, heldBlobs{contentType, from, to})
}

// Release lists what was held back.
func (f *Faults) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.states.held = nil
}

// AddBlob publishes one more blob, with contentCreated at a moment that may
// lie in a window that was read long ago. Its records count as truth. It fails
// for a content type that is none and for a record that is no JSON object.
func (f *Faults) AddBlob(contentType string, created time.Time, records ...json.RawMessage) error {
	b := blob{feed: contentType, created: created.UTC().Truncate(time.Millisecond)}
	for _, body := range records {
		var head struct {
			ID string `json:"Id"`
		}
		if err := json.Unmarshal(body, &head); err != nil || !isObject(body) {
			return fmt.Errorf("add a blob: expected a JSON object, got %.40q", body)
		}
		b.records = append(b.records, record{Feed: contentType, ID: head.ID, At: b.created, Published: b.created, Body: body})
	}
	return f.add(b)
}

// hugeRecord is about how many bytes one record of a huge blob has.
const hugeRecord = 64 << 10

// AddHugeBlob publishes a blob of about so many bytes (at least that, at most
// two records more), which is made while it is sent and never held. Its records
// count as truth.
func (f *Faults) AddHugeBlob(contentType string, created time.Time, bytes int) error {
	n := bytes/hugeRecord + 1
	return f.add(blob{feed: contentType, created: created.UTC().Truncate(time.Millisecond), huge: n, filler: bytes/n + 1})
}

func (f *Faults) add(b blob) error {
	if !slices.Contains(contentTypes, b.feed) {
		return errors.New("add a blob: no such content type: " + b.feed)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b.part = addedPart + len(f.states.added)
	f.states.added = append(f.states.added, b)
	return nil
}

func (f *Faults) disabledBy(feed string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.states.disabled[feed]
}

func (f *Faults) unauthorised(feed string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.states.barred[feed]
}

func (f *Faults) misconfigured() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.states.badTenantSide
}

func (f *Faults) heldBack(b blob) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.states.held, func(h heldBlobs) bool {
		return h.feed == b.feed && !b.created.Before(h.from) && b.created.Before(h.to)
	})
}

// extra returns the blobs that faults put beside those of the history.
func (f *Faults) extra(feed string, from, to time.Time, own []blob) []blob {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []blob
	for _, b := range f.states.added {
		if b.feed == feed && !b.created.Before(from) && b.created.Before(to) {
			out = append(out, b)
		}
	}
	if f.states.doubled[feed] {
		for _, b := range own {
			b.part += copyPart
			b.reversed = true
			out = append(out, b)
		}
	}
	return out
}
