package mongo

import (
	"context"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"testing"

	"aoc/internal/audit"
	"aoc/internal/store/storetest"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
)

// listener remembers the shapes of the commands that are sent: all names and
// operators, how they lie in each other, and of what type each value is.
type listener struct {
	mu       sync.Mutex
	shapes   map[string]bool
	patterns map[string]bool // of $regex
	sent     int
}

func (l *listener) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.sent++
		l.shapes[l.document(e.Command)] = true
	}}
}

// heard returns what was sent so far, and forgets it.
func (l *listener) heard() (shapes, patterns map[string]bool, sent int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	shapes, patterns, sent = l.shapes, l.patterns, l.sent
	l.shapes, l.patterns, l.sent = map[string]bool{}, map[string]bool{}, 0
	return shapes, patterns, sent
}

func (l *listener) document(d bson.Raw) string {
	elements, err := d.Elements()
	if err != nil {
		return "broken: " + err.Error()
	}
	parts := make([]string, len(elements))
	for i, e := range elements {
		parts[i] = fmt.Sprintf("%q:%s", e.Key(), l.value(e.Value()))
		if e.Key() == "$regex" {
			text, _ := e.Value().StringValueOK() // "" is no pattern of ours
			l.patterns[text] = true
		}
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// value is a value's shape. How many elements a list has is no part of it.
func (l *listener) value(v bson.RawValue) string {
	switch v.Type {
	case bson.TypeEmbeddedDocument:
		return l.document(v.Document())
	case bson.TypeArray:
		elements, err := v.Array().Values()
		if err != nil {
			return "broken: " + err.Error()
		}
		var shapes []string
		for _, e := range elements {
			shapes = append(shapes, l.value(e))
		}
		slices.Sort(shapes)
		return "[" + strings.Join(slices.Compact(shapes), " ") + "]"
	}
	return v.Type.String()
}

// TestNoTextOfACallerIsAQuery asks with harmless values, then with hostile ones,
// and listens to all that is sent: no command has a name, an operator or a type
// that those of the harmless values do not have in that place.
func TestNoTextOfACallerIsAQuery(t *testing.T) {
	l := &listener{shapes: map[string]bool{}, patterns: map[string]bool{}}
	s, _ := fresh(t)
	s.monitor = l.monitor() // it has not connected yet
	all := storetest.Batch(0, 25)
	_, err := s.Insert(t.Context(), all)
	require.NoError(t, err)
	l.heard()

	storetest.Attack(t, s, all, storetest.Harmless())
	known, patterns, _ := l.heard()
	require.NotEmpty(t, patterns)
	tried, reached := storetest.Attack(t, s, all, storetest.Hostile())
	shapes, patterns, sent := l.heard()
	require.Greater(t, tried, 5000)
	require.Greater(t, sent, reached)
	for shape := range shapes {
		require.True(t, known[shape], "harmless values do not need this: %s", shape)
		for _, code := range []string{"$where", "$expr", "$function", "$accumulator", "mapReduce", "javascript"} {
			require.NotContains(t, shape, code)
		}
	}
	for pattern := range patterns {
		requireOnePrefix(t, pattern)
	}
	events, err := s.After(t.Context(), 0, 100)
	require.NoError(t, err)
	require.Len(t, events, len(all), "nothing was changed")
	t.Logf("%d combinations of value, spelling and place, %d of which reached the store: %d commands of %d shapes, none new; %d patterns, each one anchored literal",
		tried, reached, sent, len(known), len(patterns))
}

// requireOnePrefix looks that a pattern is ^ and a quoted text.
func requireOnePrefix(t *testing.T, pattern string) {
	t.Helper()
	tree, err := syntax.Parse(pattern, syntax.Perl)
	require.NoError(t, err, "%q", pattern)
	require.Equal(t, syntax.OpConcat, tree.Op, "%q", pattern)
	require.Len(t, tree.Sub, 2, "%q", pattern)
	require.Equal(t, syntax.OpBeginText, tree.Sub[0].Op, "%q", pattern)
	require.Equal(t, syntax.OpLiteral, tree.Sub[1].Op, "%q", pattern)
	quoted := "^" + regexp.QuoteMeta(string(tree.Sub[1].Rune))
	require.Equal(t, strings.ReplaceAll(quoted, "\x00", `\x00`), pattern)
}

// TestListenerHears makes sure that the test above would hear what it must.
func TestListenerHears(t *testing.T) {
	l := &listener{shapes: map[string]bool{}, patterns: map[string]bool{}}
	shape := func(filter any) string {
		b, err := bson.Marshal(bson.D{{Key: "find", Value: "events"}, {Key: "filter", Value: filter}})
		require.NoError(t, err)
		return l.document(b)
	}
	plain := shape(bson.D{{Key: "k", Value: "x"}})
	require.Equal(t, plain, shape(bson.D{{Key: "k", Value: `{"$ne":null}`}}), "text is text")
	for _, other := range []any{
		bson.D{{Key: "k", Value: bson.D{{Key: "$ne", Value: nil}}}},
		bson.D{{Key: "$where", Value: "x"}},
		bson.D{{Key: "k", Value: bson.Regex{Pattern: "x"}}},
		bson.D{{Key: "k", Value: bson.JavaScript("x")}},
		bson.D{{Key: "k", Value: nil}},
		bson.D{{Key: "k", Value: bson.A{"x"}}},
		bson.D{{Key: "k.x", Value: "x"}},
	} {
		require.NotEqual(t, plain, shape(other), "%v", other)
	}
}

// TestScopeRulesOverKeys stores an event without the keys by which the database
// leaves hidden events out.
func TestScopeRulesOverKeys(t *testing.T) {
	s, _ := fresh(t)
	all := storetest.Batch(0, 3)
	_, err := s.Insert(t.Context(), all)
	require.NoError(t, err)
	coll, err := s.coll(t.Context(), eventsColl)
	require.NoError(t, err)
	for _, e := range all {
		found, err := change(t.Context(), coll, byID(e.Event.ID), bson.D{{Key: "k", Value: bson.A{}}})
		require.NoError(t, err)
		require.True(t, found)
	}
	page, err := s.Search(t.Context(), audit.Query{Scope: audit.Except([]string{all[0].Event.Service, all[1].Event.Service, all[2].Event.Service}, nil), Limit: 5})
	require.NoError(t, err)
	require.Empty(t, page.Events)
}
