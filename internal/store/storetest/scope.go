package storetest

import (
	"testing"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func testScope(t *testing.T, e Engine) {
	b := newBed(t, e)
	all := b.seed(t, 0, 200)
	for name, scope := range map[string]audit.Scope{
		"nothing":                  {},
		"everything":               audit.Everything(),
		"without services":         audit.Except([]string{"SharePoint", "Teams"}, nil),
		"without operations":       audit.Except(nil, []string{"MailItemsAccessed", "Update user"}),
		"without both":             audit.Except([]string{"Entra"}, []string{"SharingSet"}),
		"values are exact":         audit.Except([]string{"entra", "Share", "*"}, []string{"update user", "%", ""}),
		"hidden names are data":    audit.Except([]string{"' OR 1=1 --", "$ne"}, []string{`"`, "\x00"}),
		"everything hidden by one": audit.Except(services(), nil),
	} {
		t.Run(name, func(t *testing.T) {
			requireAnswer(t, b, name, audit.Query{Scope: scope, Limit: 300}, all)
			requireAnswer(t, b, name, audit.Query{Scope: scope, Limit: 300, Terms: []string{"contoso"}}, all)
			requireAnswer(t, b, name, audit.Query{Scope: scope, Limit: 300, Filters: []audit.Filter{{Field: audit.FieldService, Values: []string{"Entra", "SharePoint"}}}}, all)
			requireAnswer(t, b, name, audit.Query{Scope: scope, Limit: 300, Filters: []audit.Filter{{Field: audit.FieldActor, Values: []string{all[0].Event.Actor.ID}}}}, all)
			for _, s := range all[:60] {
				requireShown(t, b, scope, s)
			}
			requireFacets(t, b, scope, all)
		})
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
