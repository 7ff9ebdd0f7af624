package normalize

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"aoc/internal/audit"
)

//go:embed mappings.yml
var defaultYAML []byte

// Mappings are the words for events: labels of categories, sentences for
// operations, texts for error codes. They never change once made.
type Mappings struct {
	recordTypes map[int]string    // labels by RecordType
	categories  map[string]string // labels by the source's own category, folded
	errors      map[string]string // texts by error code, folded
	exact       map[ruleKey]*rule
	prefixes    map[string][]*rule // by folded service, "" for any; longest prefix first
	fallback    *rule
}

// ruleKey is a folded service ("" for any) and a folded operation.
type ruleKey struct{ service, operation string }

// rule is what an operation is called and how it is told.
type rule struct {
	prefix   string // folded; for rules by prefix
	category string // "" leaves the category to others
	summary  *template
	failure  *template // nil: the fallback's
}

// DefaultMappings returns the mappings that come with the program.
func DefaultMappings() *Mappings { return defaults() }

var defaults = sync.OnceValue(func() *Mappings {
	m, err := parseMappings(defaultYAML, newMappings())
	if err != nil {
		panic(fmt.Sprintf("the embedded mappings.yml: %v", err)) // a test reads them at every build
	}
	return m
})

func newMappings() *Mappings {
	return &Mappings{
		recordTypes: map[int]string{}, categories: map[string]string{}, errors: map[string]string{},
		exact: map[ruleKey]*rule{}, prefixes: map[string][]*rule{},
	}
}

// ruleFor puts together what the rules say about the event's operation: of its
// service before any, whole before prefix, long prefix before short. A rule that
// leaves something out leaves it to the next.
func (m *Mappings) ruleFor(e *audit.Event) rule {
	var found rule
	operation := audit.Fold(e.Operation)
	for _, service := range [...]string{audit.Fold(e.Service), ""} {
		if r, ok := m.exact[ruleKey{service, operation}]; ok {
			found = found.or(r)
		}
		for _, r := range m.prefixes[service] {
			if strings.HasPrefix(operation, r.prefix) {
				found = found.or(r)
			}
		}
	}
	return found.or(m.fallback)
}

// or fills in what r leaves out. Sentences stay together: one that is told of
// another rule's failure would not fit.
func (r rule) or(next *rule) rule {
	r.category = firstOf(r.category, next.category)
	if r.summary == nil {
		r.summary = next.summary
		if r.failure == nil {
			r.failure = next.failure
		}
	}
	return r
}

// label is the category under which people find the event: its operation's, a
// label for the source's own, a label for its RecordType, and failing these
// whatever the source says.
func (m *Mappings) label(r rule, own string, e *audit.Event) string {
	if r.category != "" {
		return r.category
	}
	if label, ok := m.categories[audit.Fold(own)]; ok {
		return label
	}
	if e.RecordType == 0 {
		return firstOf(own, e.Service)
	}
	if label, ok := m.recordTypes[e.RecordType]; ok {
		return label
	}
	if name, ok := recordTypes().names[e.RecordType]; ok {
		return spaced(name)
	}
	return "RecordType " + strconv.Itoa(e.RecordType)
}

// errorText is an error code with its meaning: "wrong password (50126)".
func (m *Mappings) errorText(code string) string {
	if code == "" {
		return ""
	}
	if text, ok := m.errors[audit.Fold(code)]; ok {
		if strings.Trim(code, "-0123456789") == "" {
			return text + " (" + code + ")"
		}
		return text
	}
	if strings.Trim(code, "-0123456789") == "" {
		return "error " + code
	}
	return spaced(code)
}
