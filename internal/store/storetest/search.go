package storetest

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func testSearch(t *testing.T, e Engine) {
	b := newBed(t, e)
	all := b.seed(t, 0, e.size(2000, 300))
	t.Run("chosen", func(t *testing.T) {
		for name, q := range chosenQueries(all) {
			requireAnswer(t, b, name, q, all)
		}
	})
	t.Run("random", func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		queries, found := e.size(250, 60), 0
		for range queries {
			q := randomQuery(r, all)
			found += len(requireAnswer(t, b, "", q, all))
		}
		require.Greater(t, found, queries, "the random queries hardly find anything: they prove nothing")
	})
	t.Run("a context that is over", func(t *testing.T) {
		_, err := b.Search(over(t), audit.Query{Scope: audit.Everything(), Limit: 1})
		require.ErrorIs(t, err, context.Canceled)
	})
}

// chosenQueries are those that a store is likely to get wrong.
func chosenQueries(all []audit.Stored) map[string]audit.Query {
	everyone := audit.Query{Scope: audit.Everything(), Limit: 50}
	queries := map[string]audit.Query{"everything": everyone}
	with := func(name string, change func(q *audit.Query)) {
		q := everyone
		change(&q)
		queries[name] = q
	}
	for _, term := range []string{
		`"`, `""`, `*`, `%`, `_`, `'`, `\`, `(`, `{`, `^`, `$`, `.*`, `[`, `-`, `:`, `a*b`, `100%_off`, `col:umn`, `col:umn^3`, `near/2`, `and`, `not`, `or`,
		`o'brien`, `c:\temp`, `straße`, `strauß`, `ss`, `résumé`, `resume`, `nguyễn`, `数`, `李`, `мария`, "i̇stanbul", "istanbul", "e\u0301", "é", "٣", "x²", "🙂",
		"\x00", "a\x00b", "\u200b", "zero\u200b", "zero\u200bwid", `$where`, `drop`, `global`, `adm`, `a`, `record-00000042`, `198.51.100.1`, "{curly}",
		strings.Repeat("a", 64), strings.Repeat("a", 65), "\u017f", "\ufffd",
	} {
		with("term "+term, func(q *audit.Query) { q.Terms = []string{term} })
	}
	with("two terms", func(q *audit.Query) { q.Terms = []string{"sharing", "contoso"} })
	with("two terms, one unknown", func(q *audit.Query) { q.Terms = []string{"sharing", "nowhere"} })
	with("terms one of which begins the other", func(q *audit.Query) { q.Terms = []string{"file", "filedown"} })
	one := all[len(all)/2].Event
	with("one tick", func(q *audit.Query) { q.Start, q.End = one.Time, one.Time.Add(audit.TickLength) })
	with("end is exclusive", func(q *audit.Query) { q.End = one.Time })
	with("start is inclusive", func(q *audit.Query) { q.Start = one.Time })
	with("bounds between ticks", func(q *audit.Query) { q.Start, q.End = one.Time.Add(1), one.Time.Add(time.Minute+1) })
	with("bounds in another zone", func(q *audit.Query) { q.Start = one.Time.In(time.FixedZone("", 7200)) })
	with("before everything", func(q *audit.Query) { q.End = time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC) })
	with("after everything", func(q *audit.Query) { q.Start = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) })
	with("one event", func(q *audit.Query) { q.Limit = 1 })
	with("a page that just holds all", func(q *audit.Query) { q.Terms, q.Limit = []string{"record-00000042"}, 1 })
	with("end just behind an event", func(q *audit.Query) { q.Start, q.End = one.Time.Add(-time.Minute), one.Time.Add(1) })
	with("the largest page", func(q *audit.Query) { q.Limit = audit.MaxPageSize })
	with("behind the last", func(q *audit.Query) { q.After = &audit.Position{} })
	with("behind a place with an odd id", func(q *audit.Query) { p := audit.PositionOf(&one); p.ID = "zz"; q.After = &p })
	with("behind a place without an id", func(q *audit.Query) { p := audit.PositionOf(&one); p.ID = ""; q.After = &p })
	filter := func(name string, filters ...audit.Filter) {
		with(name, func(q *audit.Query) { q.Filters = filters })
	}
	filter("case folded", audit.Filter{Field: audit.FieldService, Values: []string{" sharePOINT "}})
	filter("case folded beyond ASCII", audit.Filter{Field: audit.FieldActor, Values: []string{strings.ToUpper(one.Actor.Name)}})
	filter("the same value twice", audit.Filter{Field: audit.FieldService, Values: []string{"Teams", "TEAMS"}})
	filter("wildcards are data", audit.Filter{Field: audit.FieldOperation, Values: []string{"*", "%", "Add%", "_", ".*"}})
	filter("quotes are data", audit.Filter{Field: audit.FieldActor, Values: []string{"' OR 1=1 --", `"`}})
	filter("an unknown value", audit.Filter{Field: audit.FieldCategory, Values: []string{"nowhere"}})
	filter("a value of another field", audit.Filter{Field: audit.FieldService, Values: []string{"SharingSet"}})
	filter("nothing but white space", audit.Filter{Field: audit.FieldActor, Values: []string{" "}})
	filter("one field twice", audit.Filter{Field: audit.FieldResult, Values: []string{"success", "failure"}}, audit.Filter{Field: audit.FieldResult, Values: []string{"failure"}})
	filter("one field twice, nothing in both", audit.Filter{Field: audit.FieldResult, Values: []string{"success"}}, audit.Filter{Field: audit.FieldResult, Values: []string{"failure"}})
	filter("an actor by id, name or upn", audit.Filter{Field: audit.FieldActor, Values: []string{one.Actor.ID, all[7].Event.Actor.Name, all[8].Event.Actor.UPN}})
	filter("an actor by two names of one", audit.Filter{Field: audit.FieldActor, Values: []string{one.Actor.ID, one.Actor.Name}})
	return queries
}

func randomQuery(r *rand.Rand, all []audit.Stored) audit.Query {
	q := audit.Query{Scope: randomScope(r), Limit: 1 + r.IntN(60)}
	pick := func() *audit.Stored { return &all[r.IntN(len(all))] }
	for range r.IntN(3) {
		q.Filters = append(q.Filters, randomFilter(r, pick))
	}
	for range max(0, r.IntN(5)-2) {
		q.Terms = append(q.Terms, prefixOf(r, pick().Tokens))
	}
	if r.IntN(3) == 0 {
		q.Start = pick().Event.Time
	}
	if r.IntN(3) == 0 {
		if end := pick().Event.Time; q.Start.IsZero() || end.After(q.Start) {
			q.End = end
		}
	}
	if r.IntN(3) == 0 {
		p := audit.PositionOf(&pick().Event)
		q.After = &p
	}
	return q
}

func randomFilter(r *rand.Rand, pick func() *audit.Stored) audit.Filter {
	field := audit.Fields()[r.IntN(len(audit.Fields()))]
	f := audit.Filter{Field: field}
	for range 1 + r.IntN(4) {
		values := pick().Event.Keys()[field]
		v := values[r.IntN(len(values))]
		switch r.IntN(4) {
		case 0:
			v = strings.ToUpper(v)
		case 1:
			v = "\t" + v + " "
		}
		f.Values = append(f.Values, v)
	}
	return f
}

func randomScope(r *rand.Rand) audit.Scope {
	switch r.IntN(4) {
	case 0:
		return audit.Except([]string{acts[r.IntN(len(acts))].service}, nil)
	case 1:
		return audit.Except(nil, []string{acts[r.IntN(len(acts))].operation, acts[r.IntN(len(acts))].operation})
	}
	return audit.Everything()
}

// prefixOf cuts one of the tokens behind one of its runes.
func prefixOf(r *rand.Rand, tokens []string) string {
	runes := []rune(tokens[r.IntN(len(tokens))])
	return string(runes[:1+r.IntN(len(runes))])
}

// answer is the contract: what a store must say, found by looking at everything.
func answer(q audit.Query, all []audit.Stored) audit.Page {
	page := audit.Page{Events: []audit.Event{}}
	for _, s := range all {
		if q.Matches(&s) {
			page.Events = append(page.Events, s.Event)
		}
	}
	slices.SortFunc(page.Events, func(x, y audit.Event) int { return compare(audit.PositionOf(&y), audit.PositionOf(&x)) })
	if len(page.Events) > q.Limit {
		page.Events = page.Events[:q.Limit]
		last := audit.PositionOf(&page.Events[q.Limit-1])
		page.Next = &last
	}
	return page
}

func compare(x, y audit.Position) int {
	if x.Time != y.Time {
		return int(max(-1, min(1, x.Time-y.Time)))
	}
	return strings.Compare(x.ID, y.ID)
}

func search(t *testing.T, s Store, q audit.Query) audit.Page {
	t.Helper()
	page, err := s.Search(t.Context(), q)
	require.NoError(t, err, "%+v", q)
	if page.Events == nil {
		page.Events = []audit.Event{}
	}
	return page
}

func requireAnswer(t *testing.T, s Store, name string, q audit.Query, all []audit.Stored) []audit.Event {
	t.Helper()
	want, got := answer(q, all), search(t, s, q)
	require.Equal(t, ids(want.Events), ids(got.Events), "%s %+v", name, q)
	require.Equal(t, want, got, "%s %+v", name, q)
	return got.Events
}

func ids(events []audit.Event) []string {
	list := make([]string, len(events))
	for i, e := range events {
		list[i] = e.ID
	}
	return list
}

// over returns a context that has been cancelled.
func over(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
