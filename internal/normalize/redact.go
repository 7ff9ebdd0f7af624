package normalize

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// marker stands where a secret stood.
const marker = "[redacted]"

// maxNesting is how many times JSON may stand in a text in JSON in a text …
// before it is cut out for its names alone.
const maxNesting = 4

// maxRedactions is how many places are listed.
const maxRedactions = 500

// cut is a stretch of the source to be replaced by the marker.
type cut struct {
	start, end int32
	quoted     bool // the stretch is a whole value: the marker needs its quotes
}

// cutter goes over a document and notes what must not be stored. It changes
// nothing itself.
type cutter struct {
	setting  bool   // judge the names of changed properties as settings
	path     []step // where it is
	cuts     []cut  // in order of place
	pointers []string
	nesting  int // texts in texts
}

// step is one level of a JSON Pointer: a member, or the element at an index.
type step struct {
	key   value
	index int
}

// context is what a value inherits from what it stands in.
type context struct {
	parameters bool // command lines are to be expected
	detections bool // texts are what DLP detected
}

// redact returns the document less its secrets, and the places as JSON
// Pointers (RFC 6901). All other bytes are as they were; without secrets it is
// src itself. Redacting once more changes nothing and finds the same places.
func redact(t *tape, setting bool) ([]byte, []string) {
	c := &cutter{setting: setting, path: make([]step, 0, 16)}
	c.value(t.root(), context{})
	if len(c.cuts) == 0 {
		return t.src, c.pointers
	}
	out := make([]byte, 0, len(t.src))
	var from int32
	for _, cut := range c.cuts {
		out = append(out, t.src[from:cut.start]...)
		if cut.quoted {
			out = append(out, '"')
		}
		out = append(out, marker...)
		if cut.quoted {
			out = append(out, '"')
		}
		from = cut.end
	}
	return append(out, t.src[from:]...), c.pointers
}

func (c *cutter) value(v value, in context) {
	switch v.kind() {
	case object:
		c.object(v, in)
	case array:
		c.array(v, in)
	case text:
		c.text(v, in)
	}
}

func (c *cutter) object(v value, in context) {
	p := c.pairOf(v)
	for k, val := range v.members() {
		c.path = append(c.path, step{key: k})
		isValue := p.marked() && roleOf(v.t, k.i) == valueRole
		inner := context{parameters: in.parameters || p.command && isValue}
		name := k.node()
		raw := v.t.src[name.start+1 : name.end-1]
		switch {
		case in.detections && val.kind() >= text, p.reveals && isValue:
			c.cut(v.t, val)
		case p.secret && isValue, p.keyed && isKeyName(raw):
			c.cutWhole(v.t, val)
		case name.escaped || mayBeSecret(raw) || mayReveal(raw) || holdsCommand(raw):
			c.member(k.String(), v.t, val, inner)
		default:
			c.value(val, inner)
		}
		c.path = c.path[:len(c.path)-1]
	}
}

// member handles a member whose name needs a closer look.
func (c *cutter) member(name string, t *tape, val value, in context) {
	switch {
	case isSecretName(name, false):
		c.cutWhole(t, val)
	case isDetections(name) && val.kind() == object:
		c.value(val, context{detections: true})
	case isRevealing(name), isDetections(name):
		c.cut(t, val)
	default:
		in.parameters = in.parameters || holdsCommand(name)
		c.value(val, in)
	}
}

func (c *cutter) array(v value, in context) {
	i, afterSecret := 0, false
	for e := range v.elements() {
		c.path = append(c.path, step{index: i})
		if afterSecret && e.kind() != object { // ["-Password", "…"]
			c.cutWhole(v.t, e)
			afterSecret = false
		} else {
			c.value(e, in)
			afterSecret = in.parameters && e.kind() == text && isSwitch(e.String())
		}
		c.path = c.path[:len(c.path)-1]
		i++
	}
}

// isSwitch reports whether an argument is the name of a secret by itself.
func isSwitch(arg string) bool {
	name, dashed := strings.CutPrefix(arg, "-")
	return dashed && isSecretName(strings.TrimRight(name, ":"), false)
}

// text looks into a text: for JSON, XML or a command line that holds a secret,
// and for what is a secret by its form.
func (c *cutter) text(v value, in context) {
	n := v.node()
	raw := v.t.src[n.start+1 : n.end-1]
	if string(raw) == marker {
		c.note() // cut out before
		return
	}
	unicode := n.escaped && bytes.Contains(raw, []byte(`\u`))
	if c.hides(n, raw, unicode, in) {
		c.cut(v.t, v)
		return
	}
	found := secretShapes(raw, n.marks)
	if unicode {
		found = c.decoded(raw, found)
	} else if c.nesting > 0 {
		found = nil // the text around finds it, and cuts there
	}
	if in.parameters && (mayBeSecret(raw) || unicode) {
		found = apart(append(found, commandSecrets(string(raw))...))
	}
	if len(found) > 0 || n.marks&markBracket != 0 && bytes.Contains(raw, []byte(marker)) {
		c.note()
	}
	for _, s := range found {
		c.cuts = append(c.cuts, cut{start: n.start + 1 + int32(s.from), end: n.start + 1 + int32(s.to)})
	}
}

// hides reports whether a text holds a secret of which only the name tells, in
// JSON or XML of its own.
func (c *cutter) hides(n node, raw []byte, unicode bool, in context) bool {
	if !in.parameters && !unicode && !mayHide(raw) && n.marks&markBrace == 0 || !unicode && !mayBeSecret(raw) && !mayReveal(raw) {
		return false
	}
	return hidesSecret(content(raw, n.escaped), c.setting, c.nesting)
}

// decoded adds what is found only when the escapes \u of a text are read. In a
// text in a text that is all that counts.
func (c *cutter) decoded(raw []byte, found []span) []span {
	plain, from := unescapeAt(raw)
	var more []span
	for _, s := range secretShapes(plain, allMarks) {
		more = append(more, span{from[s.from], from[s.to]})
	}
	all := apart(append(slices.Clone(found), more...))
	if c.nesting > 0 && slices.Equal(all, found) {
		return nil
	}
	return all
}

// mayHide is a quick look: only a text that begins like JSON, white space aside,
// or has a tag in it can hide something.
func mayHide(raw []byte) bool {
	if len(raw) < 3 {
		return false
	}
	switch raw[0] {
	case '{', '[', '\\', ' ':
		return true
	}
	return bytes.IndexByte(raw, '<') >= 0
}

// cutWhole notes that a secret's value is to be replaced, if there is anything
// to hide.
func (c *cutter) cutWhole(t *tape, v value) {
	if !isHarmless(v) {
		c.cut(t, v)
	}
}

// cut notes that a value is to be replaced, if it has one.
func (c *cutter) cut(t *tape, v value) {
	if v.isEmpty() || v.kind() == boolean {
		return
	}
	c.note()
	if n := v.node(); string(t.src[n.start:n.end]) != `"`+marker+`"` {
		c.cuts = append(c.cuts, cut{n.start, n.end, true})
	}
}

// isHarmless reports whether a secret's value gives nothing away.
func isHarmless(v value) bool {
	switch v.kind() {
	case boolean:
		return true
	case text:
		s := v.String()
		if isHarmlessText(s) {
			return true
		}
		inner, ok := parseText(s)
		return ok && inner.kind() >= array && onlyDescribes(inner)
	case array, object:
		return onlyDescribes(v)
	}
	return v.isEmpty()
}

// onlyDescribes reports whether a structure says things about a secret and not
// the secret: Entra writes Credential as [{CredentialType, KeyStoreId, KeyGroupId}].
func onlyDescribes(v value) bool {
	for e := range v.elements() {
		if e.kind() < array || !onlyDescribes(e) {
			return false
		}
	}
	for k, val := range v.members() {
		words := nameWords(k.String())
		about := len(words) > 0 && aboutWords[words[len(words)-1]] && (len(words) > 1 || !bareWords[words[0]])
		if !about && !val.isEmpty() && val.kind() != boolean && (val.kind() < array || !onlyDescribes(val)) {
			return false
		}
	}
	return true
}

func isHarmlessText(s string) bool {
	switch strings.ToLower(strings.Trim(s, `"'`)) {
	case "", "true", "false", "$true", "$false", "null", "$null", "[]", "{}", `[""]`, "[true]", "[false]",
		"<null>", "system.security.securestring", "securestring", "system.management.automation.pscredential",
		"system.net.networkcredential":
		return true
	}
	return strings.Trim(s, "*") == ""
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// note adds the place where the cutter is to the list. After a great many the
// list ends with "", which points at the whole record.
func (c *cutter) note() {
	if len(c.pointers) >= maxRedactions {
		c.pointers = append(c.pointers[:maxRedactions-1], "")
		return
	}
	var b strings.Builder
	for _, s := range c.path {
		b.WriteByte('/')
		if s.key.t == nil {
			b.WriteString(strconv.Itoa(s.index))
			continue
		}
		n := s.key.node()
		name := content(s.key.t.src[n.start+1:n.end-1], n.escaped)
		b.WriteString(pointerEscapes.Replace(name))
	}
	// One command line can hold several secrets, one after the other.
	if p := b.String(); len(c.pointers) == 0 || c.pointers[len(c.pointers)-1] != p {
		c.pointers = append(c.pointers, p)
	}
}
