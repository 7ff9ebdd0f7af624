package normalize

import (
	"iter"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// value is one value of a tape. The zero value is absent, and everything asked
// of it is absent or empty too, so that shapes need no checks on the way down.
type value struct {
	t *tape
	i int32
}

func (t *tape) root() value { return value{t, 0} }

func (v value) node() node {
	if v.t == nil {
		return node{}
	}
	return v.t.nodes[v.i]
}

func (v value) kind() kind { return v.node().kind }

// isEmpty reports whether it says nothing: absent, null, "", [] or {}.
func (v value) isEmpty() bool {
	n := v.node()
	switch n.kind {
	case absent, null:
		return true
	case text:
		return n.end-n.start == 2
	case array, object:
		return n.next == v.i+1
	}
	return false
}

// bytes are the source's own, quotes included.
func (v value) bytes() []byte {
	if v.t == nil {
		return nil
	}
	n := v.node()
	return v.t.src[n.start:n.end]
}

// String is a text's content, the digits of a number, true or false; else "".
// It is valid UTF-8 and trimmed, whatever the record holds.
func (v value) String() string {
	n := v.node()
	switch n.kind {
	case text:
		b := v.t.src[n.start+1 : n.end-1]
		if !n.escaped && isPlain(b) {
			return string(b)
		}
		return strings.TrimSpace(content(b, n.escaped))
	case number, boolean:
		return string(v.t.src[n.start:n.end])
	}
	return ""
}

// isPlain reports whether b is ASCII without anything to trim: nearly all is.
func isPlain(b []byte) bool {
	if len(b) > 0 && (b[0] == ' ' || b[len(b)-1] == ' ') {
		return false
	}
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// is reports whether it is this text, case aside, without making a string of it.
func (v value) is(s string) bool { return v.kind() == text && v.t.isKey(v.i, s) }

// isAny reports whether it is one of the texts.
func (v value) isAny(texts []string) bool {
	for _, s := range texts {
		if v.is(s) {
			return true
		}
	}
	return false
}

// count is how many elements a list has.
func (v value) count() int {
	n := 0
	for range v.elements() {
		n++
	}
	return n
}

// get returns the member of that name, in whatever case: Microsoft's own
// records and those that passed through other hands differ in it. Of several,
// the last counts, as with encoding/json.
func (v value) get(name string) value {
	var found value
	if v.kind() != object {
		return found
	}
	for k, end := v.i+1, v.node().next; k < end; k = v.t.nodes[k+1].next {
		if v.t.isKey(k, name) {
			found = value{v.t, k + 1}
		}
	}
	return found
}

// str is the text of a member, "" where there is none.
func (v value) str(name string) string { return v.get(name).String() }

// first is the first of the members that says something real.
func (v value) first(names ...string) string {
	for _, name := range names {
		if s := meaning(v.str(name)); s != "" {
			return s
		}
	}
	return ""
}

// members yields an object's names and values in order.
func (v value) members() iter.Seq2[value, value] {
	return func(yield func(k, val value) bool) {
		if v.kind() != object {
			return
		}
		for k, end := v.i+1, v.node().next; k < end; k = v.t.nodes[k+1].next {
			if !yield(value{v.t, k}, value{v.t, k + 1}) {
				return
			}
		}
	}
}

// elements yields a list's values in order.
func (v value) elements() iter.Seq[value] {
	return func(yield func(value) bool) {
		if v.kind() != array {
			return
		}
		for i, end := v.i+1, v.node().next; i < end; i = v.t.nodes[i].next {
			if !yield(value{v.t, i}) {
				return
			}
		}
	}
}

// named yields what a list of {Name, Value} or {Key, Value} says, or an object
// to which an export has folded such a list.
func (v value) named() iter.Seq2[string, value] {
	return func(yield func(string, value) bool) {
		for e := range v.elements() {
			if !yield(e.first("Name", "Key"), e.get("Value")) {
				return
			}
		}
		for k, val := range v.members() {
			if !yield(k.String(), val) {
				return
			}
		}
	}
}

// isKey reports whether node k, a text, is name but for the case of ASCII letters.
func (t *tape) isKey(k int32, name string) bool {
	n := &t.nodes[k]
	if n.escaped {
		return strings.EqualFold(content(t.src[n.start+1:n.end-1], true), name)
	}
	return int(n.end-n.start)-2 == len(name) && equalFold(t.src[n.start+1:n.end-1], name)
}

// equalFold compares ASCII letters without their case; lengths are equal.
func equalFold(b []byte, s string) bool {
	for i := range b {
		if x, y := b[i], s[i]; x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}

// content decodes what stands between a text's quotes.
func content(b []byte, escaped bool) string {
	s := string(b)
	if escaped {
		s = unescape(b)
	}
	if strings.IndexByte(s, 0) >= 0 { // stores and screens cut texts at a NUL
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// unescape decodes the escapes of a text that the tape has checked. Half a
// surrogate pair becomes U+FFFD.
func unescape(b []byte) string {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			out = append(out, b[i])
			continue
		}
		i++
		switch b[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, n := codepoint(b[i+1:])
			out, i = utf8.AppendRune(out, r), i+n
		default:
			out = append(out, b[i])
		}
	}
	return string(out)
}

// codepoint decodes the digits after \u, and the second half of a pair if one
// follows; n is how many bytes it took.
func codepoint(b []byte) (r rune, n int) {
	r = hex4(b)
	if !utf16.IsSurrogate(r) {
		return r, 4
	}
	if len(b) >= 10 && b[4] == '\\' && b[5] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(b[6:])); pair != utf8.RuneError {
			return pair, 10
		}
	}
	return utf8.RuneError, 4
}

// hex4 is the value of four hexadecimal digits, -1 if they are none.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return r
}

// integer is the value of a whole number, or of a text that is one.
func (v value) integer() (int, bool) {
	if k := v.kind(); k != number && k != text {
		return 0, false
	}
	n, err := strconv.ParseInt(v.String(), 10, 32)
	return int(n), err == nil
}

// parseText reads a text that holds JSON of its own.
func parseText(s string) (value, bool) {
	t := &tape{}
	if err := t.read([]byte(s)); err != nil {
		return value{}, false
	}
	return t.root(), true
}
