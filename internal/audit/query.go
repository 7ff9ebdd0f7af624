package audit

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of a query; more is refused or clamped where it comes in.
const (
	MaxPageSize     = 500 // events on a page
	DefaultPageSize = 50
	MaxFilterValues = 100 // values of one filter
	MaxValueLength  = 512 // bytes of one value
	MaxTerms        = 16  // search terms
)

// Field is what a filter compares.
type Field string

// The fields that queries can filter by. An event can have several values of
// one; it matches when any of them equals any value of the filter.
const (
	FieldService   Field = "service"
	FieldActor     Field = "actor" // id, upn or name
	FieldOperation Field = "operation"
	FieldResult    Field = "result"
	FieldCategory  Field = "category"
	FieldSource    Field = "source"
)

// Fields lists all fields, in the order in which people are shown them.
func Fields() []Field {
	return []Field{FieldService, FieldActor, FieldOperation, FieldResult, FieldCategory, FieldSource}
}

// Filter keeps events that have one of the values, compared with case folded.
type Filter struct {
	Field  Field
	Values []string
}

// Query is a question to a store. Its zero value sees nothing: Scope must be set.
// Answers come newest first, ties by id descending.
type Query struct {
	Scope   Scope
	Filters []Filter  // all must hold
	Start   time.Time // events at or after it; zero: no bound
	End     time.Time // events before it; zero: no bound
	Terms   []string  // folded; each must be the prefix of some token of the event, see SearchTerms
	After   *Position // only events that come after it in the answer's order
	Limit   int       // events at most, 1 to MaxPageSize
}

// Position is a place in the order of events.
type Position struct {
	Time Ticks
	ID   string
}

// Page is one page of an answer. Next is nil when nothing comes after it.
type Page struct {
	Events []Event
	Next   *Position
}

// Validate reports the first thing that is out of bounds, as an InvalidError.
func (q *Query) Validate() error {
	switch {
	case q.Limit < 1 || q.Limit > MaxPageSize:
		return Invalid("page_size", fmt.Sprintf("expected 1 to %d, got %d", MaxPageSize, q.Limit))
	case !q.Start.IsZero() && !q.End.IsZero() && !q.Start.Before(q.End):
		return Invalid("end", "expected a time after start")
	case len(q.Terms) > MaxTerms:
		return Invalid("search", fmt.Sprintf("expected at most %d words, got %d", MaxTerms, len(q.Terms)))
	}
	for _, f := range q.Filters {
		if err := f.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (f Filter) validate() error {
	if !slices.Contains(Fields(), f.Field) {
		return Invalid(string(f.Field), "no such filter")
	}
	if n := len(f.Values); n < 1 || n > MaxFilterValues {
		return Invalid(string(f.Field), fmt.Sprintf("expected 1 to %d values, got %d", MaxFilterValues, n))
	}
	for _, v := range f.Values {
		if v == "" || len(v) > MaxValueLength {
			return Invalid(string(f.Field), fmt.Sprintf("expected a value of 1 to %d bytes, got %d", MaxValueLength, len(v)))
		}
	}
	return nil
}

// Keys returns the folded values under which the event is found by filters.
func (e *Event) Keys() map[Field][]string {
	keys := map[Field][]string{
		FieldService:   {Fold(e.Service)},
		FieldOperation: {Fold(e.Operation)},
		FieldResult:    {Fold(string(e.Result))},
		FieldSource:    {Fold(string(e.Source))},
		FieldCategory:  {Fold(e.Category)},
	}
	for _, v := range []string{e.Actor.ID, e.Actor.UPN, e.Actor.Name} {
		if v = Fold(v); v != "" && !slices.Contains(keys[FieldActor], v) {
			keys[FieldActor] = append(keys[FieldActor], v)
		}
	}
	return keys
}

// Matches says whether the query finds the event. Stores must agree with it;
// it is their contract in code, and what rules over single events use.
func (q *Query) Matches(s *Stored) bool {
	e := &s.Event
	switch {
	case !q.Scope.Sees(e.Service, e.Operation),
		!q.Start.IsZero() && e.Time.Before(q.Start),
		!q.End.IsZero() && !e.Time.Before(q.End),
		q.After != nil && !q.After.precedes(PositionOf(e)):
		return false
	}
	keys := e.Keys()
	for _, f := range q.Filters {
		if !slices.ContainsFunc(f.Values, func(v string) bool { return slices.Contains(keys[f.Field], Fold(v)) }) {
			return false
		}
	}
	for _, term := range q.Terms {
		if !slices.ContainsFunc(s.Tokens, func(t string) bool { return strings.HasPrefix(t, term) }) {
			return false
		}
	}
	return true
}

// PositionOf returns the event's place in the order of events.
func PositionOf(e *Event) Position { return Position{Time: TicksOf(e.Time), ID: e.ID} }

// precedes reports whether o comes after p, newest first.
func (p Position) precedes(o Position) bool {
	return o.Time < p.Time || o.Time == p.Time && o.ID < p.ID
}

// Cursor writes a position as an opaque token that is good for this query's
// filters only. The scope is no part of it: privacy is applied anew on every page.
func (q *Query) Cursor(p Position) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(p.Time))
	b = append(b, q.fingerprint()...)
	return base64.RawURLEncoding.EncodeToString(append(b, p.ID...))
}

// ParseCursor reads a token made by Cursor. It fails with an InvalidError when
// the token is none, or was made for other filters.
func (q *Query) ParseCursor(token string) (*Position, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	// The decoder passes over line ends, and one cursor has one spelling.
	if err != nil || len(b) < 17 || len(b) > 16+64 || strings.ContainsAny(token, "\r\n") {
		return nil, Invalid("cursor", "expected the next_cursor of an earlier answer")
	}
	if string(b[8:16]) != string(q.fingerprint()) {
		return nil, Invalid("cursor", "it was made for other filters: start again without it")
	}
	return &Position{Time: Ticks(binary.BigEndian.Uint64(b)), ID: string(b[16:])}, nil
}

// fingerprint is eight bytes over all that decides which events are found.
func (q *Query) fingerprint() []byte {
	parts := []string{"cursor", boundKey(q.Start), boundKey(q.End), strings.Join(q.Terms, "\x00")}
	var filters []string
	for _, f := range q.Filters {
		values := make([]string, len(f.Values))
		for i, v := range f.Values {
			values[i] = Fold(v)
		}
		slices.Sort(values)
		filters = append(filters, string(f.Field)+"\x00"+strings.Join(slices.Compact(values), "\x00"))
	}
	slices.Sort(filters)
	sum, _ := hex.DecodeString(hash(append(parts, filters...)...))
	return sum[:8]
}

func boundKey(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
