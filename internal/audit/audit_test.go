package audit

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestNewID(t *testing.T) {
	id := func(tenant string, s Source, record string) string {
		got, err := NewID(tenant, s, record)
		require.NoError(t, err)
		require.Len(t, got, 32)
		return got
	}
	require.Equal(t, id("t", M365General, "r"), id("t", PurviewQuery, "r"), "Purview hands out the Management API's records")
	require.Equal(t, id("t", M365Exchange, "r"), id("t", M365General, "r"), "a record can be listed under two content types")
	distinct := []string{
		id("t", M365General, "r"), id("t", EntraDirectory, "r"), id("t", EntraSignIn, "r"), id("u", M365General, "r"), id("t", M365General, "s"),
		id("t:", EntraDirectory, "r"), id("t", EntraDirectory, ":r"),
	}
	slices.Sort(distinct)
	require.Len(t, slices.Compact(distinct), 7)

	_, err := NewID("t", M365General, "")
	require.ErrorIs(t, err, ErrInvalid, "an empty id is never a shared key")
}

func TestContentID(t *testing.T) {
	id := func(raw string) string {
		got, err := ContentID("t", M365General, []byte(raw))
		require.NoError(t, err)
		return got
	}
	same := id(`{"a":1,"b":{"c":[1,2],"d":null}}`)
	require.Equal(t, same, id("{ \"b\": {\"d\":null,\n\"c\":[1, 2]}, \"a\":1 }"), "neither order nor space says what a record is")
	require.NotEqual(t, same, id(`{"a":1,"b":{"c":[2,1],"d":null}}`), "order in a list does")
	require.NotEqual(t, id(`{"n":9007199254740993}`), id(`{"n":9007199254740992}`), "digits past 2^53 count")

	_, err := ContentID("t", M365General, []byte(`{"a":`))
	require.Error(t, err)
}

func TestTicks(t *testing.T) {
	for _, text := range []string{"2026-03-31T08:00:00.1234567Z", "1969-12-31T23:59:59.9999999Z", "1601-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z"} {
		want, err := time.Parse(time.RFC3339Nano, text)
		require.NoError(t, err)
		require.Equal(t, want, TicksOf(want).Time(), text)
	}
	a := time.Date(2026, 1, 1, 0, 0, 0, 199, time.UTC)
	require.Equal(t, 100, TicksOf(a).Time().Nanosecond(), "what is below a tick is cut off")
}

func TestScope(t *testing.T) {
	var none Scope
	require.True(t, none.Nothing())
	require.False(t, none.Sees("Entra", "Add user"))
	require.True(t, Everything().Sees("Entra", "Add user"))
	some := Except([]string{"Exchange"}, []string{"Add user"})
	require.False(t, some.Sees("Exchange", "Send"))
	require.False(t, some.Sees("Entra", "Add user"))
	require.True(t, some.Sees("Entra", "Delete user"))
}

func TestTokenizeAndSearch(t *testing.T) {
	tests := []struct {
		name, text, search string
		found              bool
	}{
		{"whole word", "Add member to role.", "role", true},
		{"with its dot", "Add member to role.", "role.", true},
		{"prefix", "Add member to role", "mem", true},
		{"not a middle", "Add member to role", "ember", false},
		{"all words", "Add member to role", "role add", true},
		{"one missing", "Add member to role", "role remove", false},
		{"case", "GRÜẞE an Ärzte", "grüße ärz", true},
		{"upn whole", "alice.meyer@contoso.com", "alice.meyer@contoso.com", true},
		{"upn start", "alice.meyer@contoso.com", "alice.meyer@con", true},
		{"upn part", "alice.meyer@contoso.com", "contoso", true},
		{"address", "203.0.113.7", "203.0.113.", true},
		{"address not by middle", "203.0.113.7", "0.113", false},
		{"address part", "203.0.113.7", "113", true},
		{"syntax is data", `report"(2026)*.xlsx`, `report"(2026)`, true},
		{"wildcard is data", "abcd", "ab%", true}, // the edge is trimmed, as in the token
		{"wildcard inside is data", "abcd", "a%d", false},
		{"long word by its start", strings.Repeat("é", 90), strings.Repeat("é", 80), true},
		{"invalid utf-8", "caf\xff bar", "bar", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			terms := SearchTerms(tt.search)
			require.NotEmpty(t, terms)
			q := Query{Scope: Everything(), Terms: terms, Limit: 1}
			require.Equal(t, tt.found, q.Matches(&Stored{Tokens: Tokenize(tt.text)}))
		})
	}
	require.Empty(t, SearchTerms(" ... -- "), "nothing but punctuation would match everything")
}

func TestTokenizeIsBounded(t *testing.T) {
	var text strings.Builder
	for range 5000 {
		text.WriteString(strings.Repeat("x", rand.IntN(200)) + " " + string(rune('a'+rand.IntN(26))) + string(rune(rand.IntN(0x2fff))) + " ")
	}
	tokens := Tokenize("first", text.String())
	require.LessOrEqual(t, len(tokens), maxTokens)
	require.Contains(t, tokens, "first")
	for _, token := range tokens {
		require.LessOrEqual(t, len(token), maxTokenLength)
		require.True(t, utf8.ValidString(token))
	}
}

func TestQueryValidate(t *testing.T) {
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		field string
		q     Query
	}{
		{"page_size", Query{}},
		{"page_size", Query{Limit: 501}},
		{"end", Query{Limit: 1, Start: day, End: day}},
		{"search", Query{Limit: 1, Terms: make([]string, 17)}},
		{"service", Query{Limit: 1, Filters: []Filter{{Field: FieldService}}}},
		{"actor", Query{Limit: 1, Filters: []Filter{{Field: FieldActor, Values: []string{""}}}}},
		{"actor", Query{Limit: 1, Filters: []Filter{{Field: FieldActor, Values: []string{strings.Repeat("x", 513)}}}}},
		{"$where", Query{Limit: 1, Filters: []Filter{{Field: "$where", Values: []string{"1"}}}}},
	}
	for _, tt := range tests {
		err := tt.q.Validate()
		require.ErrorIs(t, err, ErrInvalid)
		var invalid *InvalidError
		require.True(t, errors.As(err, &invalid))
		require.Equal(t, tt.field, invalid.Field)
	}
	good := Query{Limit: 500, Filters: []Filter{{Field: FieldResult, Values: []string{"success"}}}, Start: day}
	require.NoError(t, good.Validate())
}

func TestCursor(t *testing.T) {
	q := Query{Filters: []Filter{{FieldService, []string{"Entra", "Teams"}}, {FieldResult, []string{"failure"}}}, Terms: []string{"role"}}
	at := Position{Time: TicksOf(time.Date(2026, 1, 1, 0, 0, 0, 700, time.UTC)), ID: "0123456789abcdef0123456789abcdef"}
	token := q.Cursor(at)

	same := Query{Filters: []Filter{{FieldResult, []string{"Failure"}}, {FieldService, []string{"teams", "entra", "Teams"}}}, Terms: []string{"role"}, Limit: 7}
	got, err := same.ParseCursor(token)
	require.NoError(t, err, "order, case and page size do not change what is found")
	require.Equal(t, &at, got)

	for name, other := range map[string]Query{
		"fewer filters": {Filters: q.Filters[:1], Terms: q.Terms},
		"other terms":   {Filters: q.Filters, Terms: []string{"roles"}},
		"bounded":       {Filters: q.Filters, Terms: q.Terms, Start: time.Unix(0, 0)},
	} {
		_, err := other.ParseCursor(token)
		require.ErrorContains(t, err, "other filters", name)
	}
	for _, junk := range []string{token[:4] + "\n" + token[4:], "x", "%%", "AAAA", strings.Repeat("A", 400), token + "=="} {
		_, err := q.ParseCursor(junk)
		require.ErrorIs(t, err, ErrInvalid, junk)
	}
}

func TestMatchesFollowsThePosition(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	event := func(offset time.Duration, id string) *Stored {
		return &Stored{Event: Event{ID: id, Time: at.Add(offset)}}
	}
	q := Query{Scope: Everything(), After: &Position{Time: TicksOf(at), ID: "m"}}
	require.True(t, q.Matches(event(-TickLength, "z")))
	require.True(t, q.Matches(event(0, "a")))
	require.False(t, q.Matches(event(0, "m")))
	require.False(t, q.Matches(event(0, "z")))
	require.False(t, q.Matches(event(TickLength, "a")))
}

func TestWindowDue(t *testing.T) {
	now := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	due := func(next, held time.Time) bool { return Window{NextAt: next, HeldTill: held}.Due(now) }
	require.True(t, due(now, time.Time{}))
	require.True(t, due(now, now))
	require.False(t, due(now.Add(1), time.Time{}))
	require.False(t, due(now, now.Add(1)))
	require.False(t, due(time.Time{}, time.Time{}), "zero means never again")
	require.Equal(t, now, WindowOf(now.Add(59*time.Minute).In(time.FixedZone("", 5*3600+1800))), "the grid is of UTC")
}

func FuzzParseCursor(f *testing.F) {
	q := Query{Terms: []string{"a"}}
	f.Add(q.Cursor(Position{1, "x"}))
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := q.ParseCursor(token)
		if err == nil && q.Cursor(*p) != token {
			t.Fatalf("%q is read as %v, which writes %q", token, p, q.Cursor(*p))
		}
	})
}
