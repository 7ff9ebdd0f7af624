package normalize

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"aoc/internal/audit"
)

// maxMappings is the largest file of mappings that is read, in bytes.
const maxMappings = 1 << 20

// ParseMappings reads a file of mappings. What it says comes before the
// mappings that come with the program, which stand for all that it leaves out.
// Its error holds every mistake, each with its line.
func ParseMappings(file []byte) (*Mappings, error) {
	return parseMappings(file, DefaultMappings().clone())
}

// clone copies so far that entries can be added; rules themselves never change.
func (m *Mappings) clone() *Mappings {
	return &Mappings{
		recordTypes: maps.Clone(m.recordTypes), categories: maps.Clone(m.categories), errors: maps.Clone(m.errors),
		exact: maps.Clone(m.exact), prefixes: clonePrefixes(m.prefixes), fallback: m.fallback,
	}
}

func clonePrefixes(p map[string][]*rule) map[string][]*rule {
	out := make(map[string][]*rule, len(p))
	for service, rules := range p {
		out[service] = slices.Clone(rules)
	}
	return out
}

func parseMappings(file []byte, into *Mappings) (*Mappings, error) {
	if len(file) > maxMappings {
		return nil, fmt.Errorf("mappings: the file is larger than %d KiB", maxMappings>>10)
	}
	dec := yaml.NewDecoder(bytes.NewReader(file))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) { // nothing but comments
			return into, nil
		}
		return nil, fmt.Errorf("mappings: %w", err)
	}
	p := &mappingsParser{into: into, seen: map[string]int{}}
	p.document(&doc)
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		p.wrong(&more, "more than one document: expected one")
	}
	if len(p.mistakes) > 0 {
		return nil, p.all()
	}
	for _, rules := range into.prefixes {
		slices.SortStableFunc(rules, func(a, b *rule) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	}
	return into, nil
}

// mappingsParser goes over the file's nodes and goes on after a mistake.
type mappingsParser struct {
	into     *Mappings
	mistakes []mistake
	seen     map[string]int // what was said already, and on which line
}

type mistake struct {
	line int
	err  error
}

func (p *mappingsParser) wrong(n *yaml.Node, format string, args ...any) {
	p.mistakes = append(p.mistakes, mistake{n.Line, fmt.Errorf("mappings: line %d: "+format, append([]any{n.Line}, args...)...)})
}

// all joins the mistakes in the order of their lines.
func (p *mappingsParser) all() error {
	slices.SortStableFunc(p.mistakes, func(a, b mistake) int { return cmp.Compare(a.line, b.line) })
	errs := make([]error, len(p.mistakes))
	for i, m := range p.mistakes {
		errs[i] = m.err
	}
	return errors.Join(errs...)
}

// once reports whether key is said for the first time.
func (p *mappingsParser) once(n *yaml.Node, key, what string) bool {
	if line, ok := p.seen[key]; ok {
		p.wrong(n, "%s is there twice, first on line %d", what, line)
		return false
	}
	p.seen[key] = n.Line
	return true
}

// pairs calls each for the keys and values of a map.
func (p *mappingsParser) pairs(n *yaml.Node, what string, each func(key, val *yaml.Node)) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		p.wrong(n, "%s: expected names and values", what)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind != yaml.ScalarNode {
			p.wrong(n.Content[i], "%s: expected a name", what)
			continue
		}
		each(n.Content[i], n.Content[i+1])
	}
}

// text reads a value that must be a text with something in it.
func (p *mappingsParser) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || strings.TrimSpace(n.Value) == "" {
		p.wrong(n, "%s: expected a text", what)
		return ""
	}
	if len(n.Value) > maxSummary {
		p.wrong(n, "%s: the text is longer than %d bytes", what, maxSummary)
		return ""
	}
	return strings.TrimSpace(n.Value)
}

func (p *mappingsParser) document(doc *yaml.Node) {
	if len(doc.Content) == 0 {
		return
	}
	p.pairs(doc.Content[0], "the file", func(key, val *yaml.Node) {
		if !p.once(key, "section\x00"+key.Value, key.Value) {
			return
		}
		switch key.Value {
		case "record_types":
			p.pairs(val, key.Value, p.recordType)
		case "categories":
			p.labels(val, key.Value, p.into.categories)
		case "errors":
			p.labels(val, key.Value, p.into.errors)
		case "operations":
			p.operations(val)
		case "fallback":
			if r := p.rule(val, "fallback"); r != nil {
				p.fallback(val, r)
			}
		default:
			p.wrong(key, "unknown section %q: expected record_types, categories, errors, operations or fallback", clip(key.Value, 60))
		}
	})
}

func (p *mappingsParser) labels(n *yaml.Node, section string, into map[string]string) {
	p.pairs(n, section, func(key, val *yaml.Node) {
		if !p.once(key, section+"\x00"+audit.Fold(key.Value), clip(key.Value, 60)) {
			return
		}
		if label := p.text(val, clip(key.Value, 60)); label != "" {
			into[audit.Fold(key.Value)] = label
		}
	})
}

// recordType reads a label for a RecordType, by its number or its name.
func (p *mappingsParser) recordType(key, val *yaml.Node) {
	n, err := strconv.Atoi(key.Value)
	if err != nil {
		known := false
		if n, known = recordTypes().byName[lower(key.Value)]; !known {
			p.wrong(key, "no RecordType is called %q: expected a number or a name of Microsoft's list", clip(key.Value, 60))
			return
		}
	}
	if !p.once(key, "record_types\x00"+strconv.Itoa(n), "RecordType "+strconv.Itoa(n)) {
		return
	}
	if label := p.text(val, clip(key.Value, 60)); label != "" {
		p.into.recordTypes[n] = label
	}
}

func (p *mappingsParser) fallback(n *yaml.Node, r *rule) {
	if r.summary == nil || r.failure == nil {
		p.wrong(n, "fallback: expected both summary and failure")
		return
	}
	p.into.fallback = r
}

func (p *mappingsParser) operations(n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		p.wrong(n, "operations: expected a list")
		return
	}
	for _, entry := range n.Content {
		p.operation(entry)
	}
}

// operation reads one entry: which operations, of which service, and their words.
func (p *mappingsParser) operation(n *yaml.Node) {
	r := p.rule(n, "operations")
	if r == nil {
		return
	}
	service, names := "", []*yaml.Node(nil)
	p.pairs(n, "operations", func(key, val *yaml.Node) {
		switch key.Value {
		case "service":
			service = audit.Fold(p.text(val, "service"))
		case "operation":
			names = p.names(val)
		}
	})
	if len(names) == 0 {
		p.wrong(n, "operations: expected operation, a name or a list of names")
		return
	}
	if r.summary == nil && r.category == "" {
		p.wrong(n, "operations: expected a summary, a category or both")
		return
	}
	for _, name := range names {
		p.add(name, service, *r)
	}
}

func (p *mappingsParser) names(n *yaml.Node) []*yaml.Node {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	var names []*yaml.Node
	for _, name := range list {
		if p.text(name, "operation") != "" {
			names = append(names, name)
		}
	}
	return names
}

// add enters the rule for one operation; a * at its end stands for any rest.
func (p *mappingsParser) add(n *yaml.Node, service string, r rule) {
	operation := audit.Fold(n.Value)
	if !p.once(n, "operations\x00"+service+"\x00"+operation, clip(n.Value, 60)) {
		return
	}
	prefix, open := strings.CutSuffix(operation, "*")
	switch {
	case strings.Contains(prefix, "*"):
		p.wrong(n, "%q: expected a * at the end only", clip(n.Value, 60))
	case !open:
		key := ruleKey{service, operation}
		if before, ok := p.into.exact[key]; ok { // the program's own
			r = r.or(before)
		}
		p.into.exact[key] = &r
	default:
		r.prefix = prefix
		rules := p.into.prefixes[service]
		if i := slices.IndexFunc(rules, func(o *rule) bool { return o.prefix == prefix }); i >= 0 {
			r = r.or(rules[i])
			rules = slices.Delete(rules, i, i+1)
		}
		p.into.prefixes[service] = append(rules, &r)
	}
}

// rule reads an entry's words. It is nil where the entry is none.
func (p *mappingsParser) rule(n *yaml.Node, what string) *rule {
	if n.Kind != yaml.MappingNode {
		p.wrong(n, "%s: expected names and values", what)
		return nil
	}
	r, had := &rule{}, map[string]bool{}
	p.pairs(n, what, func(key, val *yaml.Node) {
		if had[key.Value] {
			p.wrong(key, "%s is there twice in one entry", clip(key.Value, 60))
			return
		}
		had[key.Value] = true
		switch key.Value {
		case "category":
			r.category = p.text(val, "category")
		case "summary":
			r.summary = p.template(val, "summary")
		case "failure":
			r.failure = p.template(val, "failure")
		case "service", "operation":
			if what == "fallback" {
				p.wrong(key, "fallback takes no %s", key.Value)
			}
		default:
			p.wrong(key, "unknown key %q: expected operation, service, category, summary or failure", clip(key.Value, 60))
		}
	})
	return r
}

// template reads a sentence. It is never nil, so that a bad one is not called a
// missing one too.
func (p *mappingsParser) template(n *yaml.Node, what string) *template {
	s := p.text(n, what)
	if s == "" {
		return &template{}
	}
	t, err := parseTemplate(s)
	if err != nil {
		p.wrong(n, "%s: %w", what, err)
		return &template{}
	}
	return t
}
