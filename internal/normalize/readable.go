package normalize

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what an event takes over; the raw record has it all.
const (
	maxTargets = 50
	maxChanges = 100
	maxName    = 512  // bytes of a name or an id
	maxValue   = 2048 // bytes of a changed value
)

// clip shortens s to n bytes without breaking a rune, and shows that it did.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := n - len("…")
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// readable is a changed value for people. Feeds write JSON into texts:
// "\"False\"" is False, "[\"a\",\"b\"]" is a, b, and [] is nothing.
func readable(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	switch s[0] {
	case '"', '[', '{':
		if v, ok := parseText(s); ok {
			s = spell(v)
		}
	}
	return s
}

// spell writes a JSON value for people: texts bare, lists of plain values with
// commas, everything else as compact JSON.
func spell(v value) string {
	switch v.kind() {
	case absent, null:
		return ""
	case array:
		return spellList(v)
	case object:
		return compact(v)
	}
	return v.String()
}

func spellList(v value) string {
	var parts []string
	for e := range v.elements() {
		if e.kind() >= array {
			if n := v.node(); n.next == e.node().next { // the only element
				return strings.Join(append(parts, spell(e)), ", ")
			}
			return compact(v)
		}
		parts = append(parts, e.String())
	}
	return strings.Join(parts, ", ")
}

// compact is a value's own bytes without the white space between them.
func compact(v value) string {
	b := v.bytes()
	out := make([]byte, 0, len(b))
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\' && quoted:
			out = append(out, c, b[i+1])
			i++
			continue
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\n' || c == '\r' || c == '\t'):
			continue
		}
		out = append(out, b[i])
	}
	return strings.ToValidUTF8(string(out), "\uFFFD")
}

// oneLine folds white space and control characters, for sentences.
func oneLine(s string) string {
	if isOneLine(s) {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

// isOneLine reports whether s is ASCII without anything to fold.
func isOneLine(s string) bool {
	before := byte(' ')
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c >= 0x7f || c == ' ' && before == ' ' {
			return false
		}
		before = c
	}
	return s == "" || before != ' '
}

// spaced writes a name in camel case as words: "InvalidUserName" is "Invalid
// user name", and MIPLabel is MIP label.
func spaced(name string) string {
	if strings.ContainsAny(name, " _-./") {
		return name
	}
	runes := []rune(name)
	var b strings.Builder
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) && startsWord(runes, i) {
			b.WriteByte(' ')
			if i+1 < len(runes) && !unicode.IsUpper(runes[i+1]) {
				r = unicode.ToLower(r)
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isUPN reports whether s has the form of a user's sign-in name.
func isUPN(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && strings.Contains(s[at+1:], ".") && !strings.ContainsAny(s, " \\/|<>;")
}
