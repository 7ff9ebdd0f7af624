package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// maxFetch is how many events one query of a search returns at most.
const maxFetch = 2000

// Event returns one event; see storetest.Events.
func (s *Store) Event(ctx context.Context, scope audit.Scope, id string) (audit.Event, error) {
	doc, err := s.visible(ctx, scope, id, fields("t", "event"))
	if err != nil {
		return audit.Event{}, err
	}
	return doc.event(), nil
}

// Raw returns an event's evidence; see storetest.Events. Bytes that do not
// match their hash any more are an error.
func (s *Store) Raw(ctx context.Context, scope audit.Scope, id string) (audit.Raw, error) {
	if _, err := s.visible(ctx, scope, id, fields("event.service", "event.operation")); err != nil {
		return audit.Raw{}, err
	}
	coll, err := s.coll(ctx, rawColl)
	if err != nil {
		return audit.Raw{}, err
	}
	doc, found, err := findOne[rawDoc](ctx, coll, id, nil)
	switch {
	case err != nil:
		return audit.Raw{}, fmt.Errorf("read raw record %s: %w", id, err)
	case !found: // it was written before the event, so somebody deleted it
		return audit.Raw{}, fmt.Errorf("raw record %s is missing", id)
	}
	return doc.raw()
}

// visible reads some fields of an event that is in the scope.
func (s *Store) visible(ctx context.Context, scope audit.Scope, id string, fields bson.D) (storedEvent, error) {
	if scope.Nothing() || !utf8.ValidString(id) {
		return storedEvent{}, audit.ErrNotFound
	}
	coll, err := s.coll(ctx, eventsColl)
	if err != nil {
		return storedEvent{}, err
	}
	doc, found, err := findOne[storedEvent](ctx, coll, id, fields)
	switch {
	case err != nil:
		return storedEvent{}, fmt.Errorf("read event %s: %w", id, err)
	case !found || !scope.Sees(doc.Event.Service, doc.Event.Operation):
		return storedEvent{}, audit.ErrNotFound
	}
	return doc, nil
}

// Search answers a query; see storetest.Events. It looks through windows of
// time, from the newest, until the page is full.
func (s *Store) Search(ctx context.Context, q audit.Query) (audit.Page, error) {
	if err := q.Validate(); err != nil {
		return audit.Page{}, err
	}
	page := audit.Page{Events: []audit.Event{}}
	if q.Scope.Nothing() {
		return page, nil
	}
	found, err := s.search(ctx, &q)
	if err != nil {
		return audit.Page{}, fmt.Errorf("search events: %w", err)
	}
	if len(found) > q.Limit {
		found = found[:q.Limit]
		last := found[q.Limit-1].position()
		page.Next = &last
	}
	for i := range found {
		page.Events = append(page.Events, found[i].event())
	}
	return page, nil
}

// search returns up to one event more than the page holds.
func (s *Store) search(ctx context.Context, q *audit.Query) ([]storedEvent, error) {
	windows, err := s.timeWindows(ctx, q)
	if err != nil {
		return nil, err
	}
	coll, err := s.coll(ctx, eventsColl)
	if err != nil {
		return nil, err
	}
	wanted := wantedBy(q)
	var found []storedEvent
	for len(found) <= q.Limit {
		from, to, more, err := windows.next()
		if err != nil || !more {
			return found, err
		}
		rows, err := searchWindow(ctx, coll, q, wanted, from, to, q.Limit+1-len(found))
		if err != nil {
			return nil, err
		}
		found = append(found, rows...)
	}
	return found, nil
}

// searchWindow returns the newest events of a window that the query wants.
func searchWindow(ctx context.Context, coll *mongo.Collection, q *audit.Query, wanted bson.D, from, to audit.Ticks, limit int) ([]storedEvent, error) {
	var found []storedEvent
	after, fetch := q.After, limit
	for {
		filter := slices.Concat(between("t", int64(from), int64(to)), wanted, behind(after, to))
		rows, err := findAll[storedEvent](ctx, coll, filter, options.Find().
			SetSort(bson.D{{Key: "t", Value: -1}, {Key: "_id", Value: -1}}).
			SetLimit(int64(fetch)).SetProjection(projection(q)))
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if hasTerms(row.Tokens, q.Terms) && len(found) < limit {
				found = append(found, row)
			}
		}
		if len(rows) < fetch || len(found) == limit {
			return found, nil
		}
		last := rows[len(rows)-1].position()
		after, fetch = &last, maxFetch
	}
}

// wantedBy is the part of a query's filter that does not depend on time.
func wantedBy(q *audit.Query) bson.D {
	filter := inScope(q.Scope)
	var all bson.A
	for _, f := range q.Filters {
		keys := make([]string, len(f.Values))
		for i, v := range f.Values {
			keys[i] = key(f.Field, audit.Fold(v))
		}
		all = append(all, bson.D{{Key: "k", Value: bson.D{{Key: "$in", Value: keys}}}})
	}
	for _, term := range q.Terms {
		all = append(all, bson.D{{Key: "w", Value: bson.D{{Key: "$elemMatch", Value: prefixed(term)}}}})
	}
	if len(all) > 0 {
		filter = append(filter, bson.E{Key: "$and", Value: all})
	}
	return filter
}

// prefixed is the range of the strings that begin with a term: strings are
// compared by their bytes, and UTF-8 keeps the order of the runes.
func prefixed(term string) bson.D {
	term = strings.ToValidUTF8(term, string(utf8.RuneError))
	bounds := bson.D{{Key: "$gte", Value: term}}
	if next := successor(term); next != "" {
		bounds = append(bounds, bson.E{Key: "$lt", Value: next})
	}
	return bounds
}

// successor returns the first string after all that begin with a term, ""
// where there is none.
func successor(term string) string {
	runes := []rune(term)
	for i := len(runes) - 1; i >= 0; i-- {
		next := runes[i] + 1
		if next == surrogates {
			next = afterSurrogates
		}
		if next <= utf8.MaxRune {
			return string(append(runes[:i], next))
		}
	}
	return ""
}

// Code points between these are none, and cannot be written in UTF-8.
const surrogates, afterSurrogates = 0xD800, 0xE000

// hasTerms reports whether each term begins some token. The filter says so too,
// but engines differ in what $elemMatch means over plain strings: some test the
// two bounds of a range on different elements.
func hasTerms(tokens, terms []string) bool {
	return !slices.ContainsFunc(terms, func(term string) bool {
		return !slices.ContainsFunc(tokens, func(token string) bool { return strings.HasPrefix(token, term) })
	})
}

func projection(q *audit.Query) bson.D {
	if len(q.Terms) > 0 {
		return fields("t", "event", "w")
	}
	return fields("t", "event")
}

// behind is the filter of what comes after a position, as far as the end of the
// window does not say it already.
func behind(p *audit.Position, to audit.Ticks) bson.D {
	if p == nil || to <= p.Time {
		return nil
	}
	id := strings.ToValidUTF8(p.ID, string(utf8.RuneError))
	return bson.D{{Key: "$or", Value: bson.A{
		bson.D{{Key: "t", Value: bson.D{{Key: "$lt", Value: int64(p.Time)}}}},
		bson.D{{Key: "t", Value: int64(p.Time)}, {Key: "_id", Value: bson.D{{Key: "$lt", Value: id}}}},
	}}}
}
