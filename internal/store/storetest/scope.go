package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func testScope(t *testing.T, e Engine) {
	b := newBed(t, e)
	all := append(b.seed(t, 0, 200), respelled(t, b)...)
	for name, scope := range map[string]audit.Scope{
		"nothing":                  {},
		"everything":               audit.Everything(),
		"without services":         audit.Except([]string{"SharePoint", "Teams"}, nil),
		"without operations":       audit.Except(nil, []string{"MailItemsAccessed", "Update user"}),
		"without both":             audit.Except([]string{"Entra"}, []string{"SharingSet"}),
		"case does not count":      audit.Except([]string{"eNTRA", " exchange "}, []string{"FILEdownloaded", "\u00c9TUDE"}),
		"one operation, any case":  audit.Except(nil, []string{"mailitemsACCESSED"}),
		"a part is another value":  audit.Except([]string{"Share", "*"}, []string{"Update", "%", ".*"}),
		"nothing is a value too":   audit.Except([]string{""}, nil),
		"a very long operation":    audit.Except(nil, []string{longOperation}),
		"hidden names are data":    audit.Except([]string{"' OR 1=1 --", "$ne"}, []string{`"`, "\x00"}),
		"everything hidden by one": audit.Except(services(), nil),
	} {
		t.Run(name, func(t *testing.T) {
			requireAnswer(t, b, name, audit.Query{Scope: scope, Limit: 300}, all)
			requireAnswer(t, b, name, audit.Query{Scope: scope, Limit: 300, Terms: []string{"contoso"}}, all)
			requireAnswer(t, b, name, audit.Query{Scope: scope, Limit: 300, Filters: []audit.Filter{{Field: audit.FieldService, Values: []string{"Entra", "SharePoint"}}}}, all)
			requireAnswer(t, b, name, audit.Query{Scope: scope, Limit: 300, Filters: []audit.Filter{{Field: audit.FieldActor, Values: []string{all[0].Event.Actor.ID}}}}, all)
			for _, s := range slices.Concat(all[:40], all[200:]) {
				requireShown(t, b, scope, s)
			}
			requireFacets(t, b, scope, all)
		})
	}
}

// longOperation is longer than any value that a filter may name.
var longOperation = strings.Repeat("Operation", audit.MaxValueLength)

// respelled stores events whose services and operations are spelled in several ways.
func respelled(t *testing.T, b *bed) []audit.Stored {
	t.Helper()
	var batch []audit.Stored
	for i, as := range [][2]string{
		{"EXCHANGE", "Send"},
		{"exchange", "MAILITEMSACCESSED"},
		{" eXchange\t", "SendAs"},
		{"Ex\u0441hange", "a letter that only looks alike"},
		{"Teams", "mailitemsaccessed "},
		{"Teams", "\u00e9tude"},
		{"Teams", "\u00c9TUDE"},
		{"", ""},
		{"Teams", longOperation},
		{"Teams", longOperation + "s"},
	} {
		e := Event(i).Event
		e.RecordID, e.Service, e.Operation = fmt.Sprintf("respelled-%d", i), as[0], as[1]
		batch = append(batch, stored(e, []byte(`"Respelled":true`)))
	}
	insert(t, b, batch, len(batch), 0)
	return batch
}

// testScopePages walks what a scope sees to its end. A page that is shorter than
// it might be would tell that something is hidden there.
func testScopePages(t *testing.T, e Engine) {
	b := newBed(t, e)
	all := append(b.seed(t, 0, e.size(500, 150)), crowd(t, b, 60)...)
	for name, q := range map[string]audit.Query{
		"most is hidden":  {Limit: 3, Scope: audit.Except([]string{"ENTRA", "exchange", "SharePoint", "Intune"}, nil)},
		"by operation":    {Limit: 20, Scope: audit.Except(nil, []string{"add member to role", "UPDATE USER"})},
		"with a filter":   {Limit: 9, Scope: audit.Except([]string{"entra"}, nil), Filters: []audit.Filter{{Field: audit.FieldResult, Values: []string{"success"}}}},
		"with terms":      {Limit: 9, Scope: audit.Except([]string{"entra"}, nil), Terms: []string{"contoso"}},
		"nothing is left": {Limit: 9, Scope: audit.Except(services(), nil)},
	} {
		for {
			events := requireAnswer(t, b, name, q, all)
			if len(events) < q.Limit {
				break
			}
			last := audit.PositionOf(&events[len(events)-1])
			q.After = &last
		}
	}
}

// testHidden asks for events that are hidden in every way that there is.
func testHidden(t *testing.T, e Engine) {
	b := newBed(t, e)
	all := b.seed(t, 0, 60)
	scope := audit.Except([]string{"hush"}, []string{"Read Secret"})
	for i, as := range [][2]string{{"Hush", "Send"}, {"HUSH", "Read secret"}, {"Exchange", "Read secret"}, {"Teams", "READ SECRET"}} {
		one := Event(i).Event
		one.RecordID, one.Service, one.Operation = fmt.Sprintf("quiet-%d", i), as[0], as[1]
		one.Actor.Name, one.Category, one.Time = "quiet", "quiet", Epoch.Add(-time.Duration(i+2)*24*time.Hour) // nothing else is that old
		hidden := stored(one, []byte(`"Quiet":true`))
		insert(t, b, []audit.Stored{hidden}, 1, 0)
		all = append(all, hidden)
	}
	for _, s := range all[60:] {
		for _, scope := range []audit.Scope{scope, {}} {
			requireShown(t, b, scope, s)
			requireAbsent(t, b, scope, s, all)
		}
		requireShown(t, b, audit.Everything(), s)
	}
	facets, err := b.Facets(t.Context(), scope)
	require.NoError(t, err)
	requireQuiet(t, facets)
}

// requireAbsent searches for a hidden event by all that it has.
func requireAbsent(t *testing.T, b *bed, scope audit.Scope, hidden audit.Stored, all []audit.Stored) {
	t.Helper()
	behind := audit.Position{Time: audit.TicksOf(hidden.Event.Time) + 1}
	queries := []audit.Query{
		{Limit: 500},
		{Limit: 1, Start: hidden.Event.Time, End: hidden.Event.Time.Add(audit.TickLength)},
		{Limit: 1, After: &behind},
	}
	for field, values := range hidden.Event.Keys() {
		queries = append(queries, audit.Query{Limit: 100, Filters: []audit.Filter{{Field: field, Values: values}}})
	}
	for _, token := range hidden.Tokens {
		queries = append(queries, audit.Query{Limit: 100, Terms: []string{token}})
	}
	for _, q := range queries {
		q.Scope = scope
		requireAnswer(t, b, "", q, all)
		requireQuiet(t, search(t, b, q))
	}
}

func requireQuiet(t *testing.T, answer any) {
	t.Helper()
	text := strings.ToLower(asJSON(t, answer))
	for _, trace := range []string{"quiet", "hush", "secret"} {
		require.NotContains(t, text, trace)
	}
}

func requireShown(t *testing.T, b *bed, scope audit.Scope, s audit.Stored) {
	t.Helper()
	_, errEvent := b.Event(t.Context(), scope, s.Event.ID)
	_, errRaw := b.Raw(t.Context(), scope, s.Event.ID)
	if scope.Sees(s.Event.Service, s.Event.Operation) {
		require.NoError(t, errEvent)
		require.NoError(t, errRaw)
		return
	}
	require.ErrorIs(t, errEvent, audit.ErrNotFound)
	require.ErrorIs(t, errRaw, audit.ErrNotFound)
}

func testFacets(t *testing.T, e Engine) {
	b := newBed(t, e)
	facets, err := b.Facets(t.Context(), audit.Everything())
	require.NoError(t, err)
	require.Empty(t, facets)
	all := b.seed(t, 0, 100)
	requireFacets(t, b, audit.Everything(), all)
	odd := Event(100).Event
	odd.Service, odd.Operation, odd.Category = "", `Sé|"\`, "a\x00b"
	insert(t, b, []audit.Stored{stored(odd, []byte(`"Odd":1`))}, 1, 0)
	insert(t, b, Batch(90, 100), 0, 10)
	requireFacets(t, b.again(), audit.Everything(), append(all, audit.Stored{Event: odd}))
}

func requireFacets(t *testing.T, s Store, scope audit.Scope, all []audit.Stored) {
	t.Helper()
	want := map[audit.Facet]bool{}
	for _, s := range all {
		if scope.Sees(s.Event.Service, s.Event.Operation) {
			want[s.Event.Facet()] = true
		}
	}
	got, err := s.Facets(t.Context(), scope)
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for _, f := range got {
		require.True(t, want[f], "%+v", f)
		delete(want, f)
	}
}

func services() []string {
	var list []string
	for _, a := range acts {
		list = append(list, a.service)
	}
	return list
}
