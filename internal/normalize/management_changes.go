package normalize

import "strings"

// managementChanges reads what was changed, and what a command was given.
func (r *reading) managementChanges() {
	f := &r.record
	r.properties(f.get("ModifiedProperties"))
	before := len(r.event.Changes)
	r.parameters(f.get("Parameters"))
	if len(r.event.Changes) == before { // some cmdlets say their parameters here alone
		r.parameters(f.get("NonPIIParameters"))
	}
	for name, val := range f.get("OperationProperties").named() {
		r.changeTo(name, spellReadable(val))
	}
}

// parameters reads a cmdlet's parameters: a list of {Name, Value}, a list of
// texts, JSON in a text, or a command line.
func (r *reading) parameters(v value) {
	switch v.kind() {
	case array:
		r.expectChanges(v.count())
		for p := range v.elements() {
			r.parameter(p)
		}
	case object:
		for k, val := range v.members() {
			r.changeTo(k.String(), spellReadable(val))
		}
	case text:
		s := v.String()
		if inner, ok := parseText(s); ok && inner.kind() >= array {
			r.parameters(inner)
			return
		}
		r.commandLine(s)
	}
}

func (r *reading) parameter(p value) {
	if p.kind() != text {
		r.changeTo(p.first("Name", "Key"), spellReadable(p.get("Value")))
		return
	}
	name, val, ok := strings.Cut(p.String(), "=")
	if !ok {
		name, val, _ = strings.Cut(p.String(), ":")
	}
	r.changeTo(strings.TrimSpace(name), strings.TrimSpace(val))
}

// commandLine reads -Identity "bob" -Force. What is no such line is taken as
// it is.
func (r *reading) commandLine(line string) {
	if line != "" && line[0] != '-' {
		r.change("Parameters", "", line)
		return
	}
	for line != "" {
		var name, val string
		name, line = cutWord(strings.TrimLeft(line, " \t\r\n-"))
		if name, val, _ = strings.Cut(name, ":"); val == "" {
			val, line = parameterValue(line)
		}
		if name != "" {
			r.change(name, "", firstOf(val, "True")) // a switch alone is on
		}
	}
}

// parameterValue takes what stands before the next parameter.
func parameterValue(line string) (val, rest string) {
	line = strings.TrimLeft(line, " \t\r\n")
	if line == "" || line[0] == '-' && len(line) > 1 && !isDigit(line[1]) {
		return "", line
	}
	if q := line[0]; q == '"' || q == '\'' {
		if end := strings.IndexByte(line[1:], q); end >= 0 {
			return line[1 : 1+end], line[2+end:]
		}
	}
	if end := strings.Index(line, " -"); end >= 0 {
		return strings.TrimSpace(line[:end]), line[end:]
	}
	return strings.TrimSpace(line), ""
}

func cutWord(s string) (word, rest string) {
	if i := strings.IndexAny(s, " \t\r\n"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}
