package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"time"

	"aoc/internal/audit"
)

// budgets are what a search spends on one way of asking before it takes another.
type budgets struct {
	walk   int // events of a walk looked at
	match  int // matches of the text index looked at, most of which fall to the other filters
	facets int // facets that are walked each on its own right away, without a walk past all events
}

// A walk of 1,500 events costs about 5 ms. A term or a set of facets that is
// frequent has filled its page by then; one that is rare is cheap another way.
var defaultBudgets = budgets{walk: 1500, match: 50_000, facets: 32}

const selectBodies = "SELECT doc, body FROM events WHERE doc IN (SELECT value FROM json_each(?))"

// spot is an event's place in the order of answers, and where its row is.
type spot struct {
	doc int64
	t   audit.Ticks
	id  []byte
}

// compare is negative when p is older than o.
func (p spot) compare(o spot) int {
	if p.t != o.t {
		if p.t < o.t {
			return -1
		}
		return 1
	}
	return bytes.Compare(p.id, o.id)
}

// search is a query made ready for one snapshot of the file.
type search struct {
	*Store
	tx     *sql.Tx
	from   audit.Ticks // inclusive
	until  spot        // exclusive
	odd    bool        // the position to go on from has an id that is none
	oddID  string
	facets map[int64]bool
	actors map[int64]bool // nil, as facets: no bound
	terms  []string
	limit  int
}

// Search answers a query by walking indexes from the newest event on.
func (s *Store) Search(ctx context.Context, q audit.Query) (page audit.Page, err error) {
	if err = q.Validate(); err != nil {
		return audit.Page{}, err
	}
	if q.Scope.Nothing() || slices.ContainsFunc(q.Terms, impossible) {
		return audit.Page{}, ctx.Err()
	}
	err = s.read(ctx, func(tx *sql.Tx) error {
		page, err = s.page(ctx, tx, q)
		return err
	})
	if err != nil {
		return audit.Page{}, s.fault(ctx, "search events", err)
	}
	return page, nil
}

func (s *Store) page(ctx context.Context, tx *sql.Tx, q audit.Query) (audit.Page, error) {
	plan := &search{Store: s, tx: tx, terms: q.Terms, limit: q.Limit + 1}
	plan.bound(q)
	if some, err := plan.narrow(ctx, q); err != nil || !some {
		return audit.Page{}, err
	}
	spots, err := plan.find(ctx)
	if err != nil {
		return audit.Page{}, err
	}
	var page audit.Page
	if len(spots) > q.Limit {
		spots = spots[:q.Limit]
		last := spots[q.Limit-1]
		page.Next = &audit.Position{Time: last.t, ID: hex.EncodeToString(last.id)}
	}
	page.Events, err = plan.events(ctx, spots)
	return page, err
}

// bound turns the query's times and cursor into ticks.
func (s *search) bound(q audit.Query) {
	s.from, s.until = math.MinInt64, spot{t: math.MaxInt64, id: []byte{}}
	if !q.Start.IsZero() {
		s.from = ceil(q.Start)
	}
	if !q.End.IsZero() {
		s.until.t = ceil(q.End)
	}
	if q.After == nil || q.After.Time > s.until.t {
		return
	}
	id, ok := parseID(q.After.ID)
	switch {
	case q.After.Time == s.until.t: // the end bounds as much
		return
	case !ok:
		s.oddID = q.After.ID
		id = bytes.Repeat([]byte{0xff}, idLength+1)
	}
	s.until = spot{t: q.After.Time, id: id}
	s.odd = !ok
}

// before reports whether an event comes after the position to go on from. Only
// a position that no event can have is not settled by the walks' own bounds.
func (s *search) before(p spot) bool {
	if s.odd && p.t == s.until.t {
		return hex.EncodeToString(p.id) < s.oddID
	}
	return p.compare(s.until) < 0
}

// ceil is the first tick at or after a moment.
func ceil(t time.Time) audit.Ticks {
	ticks := audit.TicksOf(t)
	if ticks.Time().Before(t) {
		ticks++
	}
	return ticks
}

// narrow turns filters and scope into sets of facets and actors. It says
// whether any event can be among them.
func (s *search) narrow(ctx context.Context, q audit.Query) (some bool, err error) {
	all, err := s.refreshFacets(ctx, s.tx)
	if err != nil {
		return false, err
	}
	s.facets = map[int64]bool{}
	for _, f := range all {
		if q.Scope.Sees(f.Service, f.Operation) && f.passes(q.Filters) {
			s.facets[f.number] = true
		}
	}
	if some = len(s.facets) > 0; len(s.facets) == len(all) {
		s.facets = nil
	}
	for _, filter := range q.Filters {
		if filter.Field == audit.FieldActor && some {
			some, err = s.narrowActors(ctx, filter.Values)
		}
	}
	return some, err
}

// passes applies the filters that a facet decides.
func (f *numberedFacet) passes(filters []audit.Filter) bool {
	for _, filter := range filters {
		key, ok := f.keys[filter.Field]
		if ok && !slices.ContainsFunc(filter.Values, func(v string) bool { return audit.Fold(v) == key }) {
			return false
		}
	}
	return true
}

func (s *search) narrowActors(ctx context.Context, values []string) (some bool, err error) {
	was := s.actors
	s.actors = map[int64]bool{}
	for _, v := range values {
		numbers, err := s.numbers(ctx, selectActors, []byte(audit.Fold(v)))
		if err != nil {
			return false, err
		}
		for _, n := range numbers {
			if was == nil || was[n] {
				s.actors[n] = true
			}
		}
	}
	return len(s.actors) > 0, nil
}

// numbers runs a prepared statement that selects one column of integers.
func (s *search) numbers(ctx context.Context, text string, args ...any) (list []int64, err error) {
	rows, err := s.reads.in(ctx, s.tx, text).QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err = rows.Scan(&n); err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, rows.Err()
}

// events reads the bodies of the events found.
func (s *search) events(ctx context.Context, spots []spot) ([]audit.Event, error) {
	at := make(map[int64]int, len(spots))
	docs := make([]int64, len(spots))
	for i, p := range spots {
		docs[i], at[p.doc] = p.doc, i
	}
	list, err := json.Marshal(docs)
	if err != nil {
		return nil, err
	}
	rows, err := s.reads.in(ctx, s.tx, selectBodies).QueryContext(ctx, list)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	events := make([]audit.Event, len(spots))
	for rows.Next() {
		var doc int64
		var body sql.RawBytes
		if err = rows.Scan(&doc, &body); err != nil {
			return nil, err
		}
		if err = json.Unmarshal(body, &events[at[doc]]); err != nil {
			return nil, err
		}
	}
	return events, rows.Err()
}
