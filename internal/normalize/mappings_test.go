package normalize

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

// The embedded file must stand alone, not over itself.
func TestDefaultMappings(t *testing.T) {
	m, err := parseMappings(defaultYAML, newMappings())
	require.NoError(t, err)
	require.NotNil(t, m.fallback)
	require.NotEmpty(t, m.exact)
}

func TestEveryMistakeIsToldWithItsLine(t *testing.T) {
	_, err := ParseMappings([]byte(`record_types:
  ExchangeAdmin: Mail
  1: Mail again
  NoSuchType: x
categories: [a]
colours: {}
errors:
  50126: ""
  50127: [x]
operations:
  - operation: Add user
    summary: "{actor} made {tarjet}"
    colour: red
  - operation: [add USER, "a*b", ""]
    summary: "[{actor}"
  - summary: "{actor}"
  - operation: x
  - just text
  - operation: y
    summary: "{target.99} x"
    summary: "x"
fallback:
  summary: "{actor}"
  operation: x
fallback: {}
`))
	require.Equal(t, []string{
		`mappings: line 3: RecordType 1 is there twice, first on line 2`,
		`mappings: line 4: no RecordType is called "NoSuchType": expected a number or a name of Microsoft's list`,
		`mappings: line 5: categories: expected names and values`,
		`mappings: line 6: unknown section "colours": expected record_types, categories, errors, operations or fallback`,
		`mappings: line 8: 50126: expected a text`,
		`mappings: line 9: 50127: expected a text`,
		`mappings: line 12: summary: no such placeholder {tarjet}`,
		`mappings: line 13: unknown key "colour": expected operation, service, category, summary or failure`,
		`mappings: line 14: operation: expected a text`,
		`mappings: line 14: add USER is there twice, first on line 11`,
		`mappings: line 14: "a*b": expected a * at the end only`,
		`mappings: line 15: summary: a [ without its ]`,
		`mappings: line 16: operations: expected operation, a name or a list of names`,
		`mappings: line 17: operations: expected a summary, a category or both`,
		`mappings: line 18: operations: expected names and values`,
		`mappings: line 20: summary: no such placeholder {target.99}`,
		`mappings: line 21: summary is there twice in one entry`,
		`mappings: line 23: fallback: expected both summary and failure`,
		`mappings: line 24: fallback takes no operation`,
		`mappings: line 25: fallback is there twice, first on line 22`,
	}, strings.Split(err.Error(), "\n"))
	for _, broken := range []string{"a: [", "\t", "a: b\n---\nc: d", "just text", strings.Repeat("#", maxMappings+1)} {
		_, err := ParseMappings([]byte(broken))
		require.ErrorContains(t, err, "mappings: ", broken[:1])
	}
}

func TestAFileLiesOverTheDefaults(t *testing.T) {
	m, err := ParseMappings([]byte("# nothing but comments\n"))
	require.NoError(t, err)
	require.Len(t, m.exact, len(DefaultMappings().exact))
	m, err = ParseMappings([]byte("operations: [{operation: Add User, service: Entra, category: People}]"))
	require.NoError(t, err)
	e := audit.Event{Operation: "Add user", Service: "Entra", Result: audit.Success, Actor: audit.Actor{UPN: "a@b.example"}}
	r := m.ruleFor(&e)
	require.Equal(t, "People", m.label(r, "", &e))
	require.Equal(t, "a@b.example created the user something", m.summary(r, &e)) // its sentence stays
	require.Equal(t, "Users", DefaultMappings().label(DefaultMappings().ruleFor(&e), "", &e), "the defaults themselves never change")
}

func TestTemplates(t *testing.T) {
	e := audit.Event{
		Operation: "Op", Service: "Entra", Result: audit.Failure, Category: "Cat",
		Actor:   audit.Actor{Name: "Al\n  Ice", UPN: "al@x.example", IP: "1.2.3.4"},
		Targets: []audit.Target{{ID: "1", Name: "one", Type: "User"}, {ID: "2", Type: "Role"}, {Name: "three"}, {Name: "four"}},
		Changes: []audit.Change{{Name: "A.b", Old: "x", New: "y"}, {Name: "gone", Old: "z"}},
		Context: audit.Context{ErrorCode: "50126", DeviceID: "d", Country: "NL"},
	}
	for template, want := range map[string]string{
		"{actor} {target} {target.2} {target:role} {target.9}":                       "Al Ice one 2 2 something",
		"{targets}; {changes}":                                                       "one, 2, three and 1 more; A.b, gone",
		"{change:a.B} {change:A.b.old} {change:A.b.new} {change:gone} {change:none}": "y x y z (none)",
		"x[ from {ip}][ ({city}, {country})]":                                        "x from 1.2.3.4",
		"{error}, {device}, {result}, {category}":                                    "invalid user name or password (50126), d, failure, Cat",
	} {
		parsed, err := parseTemplate(template)
		require.NoError(t, err, template)
		require.Equal(t, want, parsed.fill(&e, DefaultMappings()))
	}
	for template, want := range map[string]string{
		"": "the sentence is empty", "a]": "a ] without its [", "[a": "a [ without its ]", "[[a]]": "a [ inside of brackets",
		"{a": "a { without its }", "a}": "a } without its {", "{}": "no such placeholder {}", "{target.0}": "no such placeholder {target.0}",
	} {
		_, err := parseTemplate(template)
		require.EqualError(t, err, want, template)
	}
}

func TestErrorTexts(t *testing.T) {
	m := DefaultMappings()
	require.Equal(t, "error 12345", m.errorText("12345"))
	require.Equal(t, "Some new reason", m.errorText("SomeNewReason"))
	require.Equal(t, "the account is locked", m.errorText("idslocked"))
	require.Empty(t, m.errorText(""))
}
