package mongo

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

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
		// The database has left out what is hidden, by the keys that it was given
		// when the event was stored. What a scope sees is for the scope to say.
		if e := found[i].event(); q.Scope.Sees(e.Service, e.Operation) {
			page.Events = append(page.Events, e)
		}
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
	return readSpan(q.After, from, to, limit, func(when bson.D, limit int) ([]storedEvent, error) {
		return findAll[storedEvent](ctx, coll, slices.Concat(when, wanted), options.Find().
			SetSort(bson.D{{Key: "t", Value: -1}, {Key: "_id", Value: -1}}).
			SetLimit(int64(limit)).SetProjection(fields("t", "event")))
	})
}

// readSpan reads up to limit events of [from, to) that come after a position; no
// span goes beyond the position's tick. What is left of that tick is asked for
// by itself: where a lower bound stands beside an $or whose branches bound the
// same indexed field, DocumentDB 0.108 leaves the tick out.
func readSpan(after *audit.Position, from, to audit.Ticks, limit int, find func(when bson.D, limit int) ([]storedEvent, error)) ([]storedEvent, error) {
	if after == nil || to <= after.Time {
		return find(between("t", int64(from), int64(to)), limit)
	}
	id := strings.ToValidUTF8(after.ID, string(utf8.RuneError))
	rows, err := find(bson.D{{Key: "t", Value: int64(after.Time)}, {Key: "_id", Value: bson.D{{Key: "$lt", Value: id}}}}, limit)
	if err != nil || len(rows) == limit || after.Time == from {
		return rows, err
	}
	older, err := find(between("t", int64(from), int64(after.Time)), limit-len(rows))
	return append(rows, older...), err
}

// wantedBy is the part of a query's filter that does not depend on time.
func wantedBy(q *audit.Query) bson.D {
	var all bson.A
	if hidden := hiddenKeys(q.Scope); len(hidden) > 0 {
		all = append(all, bson.D{{Key: "k", Value: bson.D{{Key: "$nin", Value: hidden}}}})
	}
	for _, f := range q.Filters {
		keys := make([]string, len(f.Values))
		for i, v := range f.Values {
			keys[i] = key(f.Field, audit.Fold(v))
		}
		all = append(all, bson.D{{Key: "k", Value: bson.D{{Key: "$in", Value: keys}}}})
	}
	for _, term := range q.Terms {
		all = append(all, bson.D{{Key: "w", Value: bson.D{{Key: "$regex", Value: prefixed(term)}}}})
	}
	if len(all) == 0 {
		return nil
	}
	return bson.D{{Key: "$and", Value: all}}
}

// hiddenKeys are the keys of events that a scope does not see.
func hiddenKeys(scope audit.Scope) []string {
	services, operations := scope.Hidden()
	keys := make([]string, 0, len(services)+len(operations))
	for _, v := range services {
		keys = append(keys, key(audit.FieldService, v))
	}
	for _, v := range operations {
		keys = append(keys, key(audit.FieldOperation, v))
	}
	return keys
}

// prefixed is the pattern of the strings that begin with a term. All engines
// find those through an index, as vCore does not with a range in an $elemMatch.
// Patterns end at a NUL, so that is written in another way.
func prefixed(term string) string {
	term = strings.ToValidUTF8(term, string(utf8.RuneError))
	return "^" + strings.ReplaceAll(regexp.QuoteMeta(term), "\x00", `\x00`)
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
