package normalize

import (
	"bytes"
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
	secretPair := c.isSecretPair(v)
	for k, val := range v.members() {
		c.path = append(c.path, step{key: k})
		inner := context{parameters: in.parameters}
		name := k.node()
		raw := v.t.src[name.start+1 : name.end-1]
		switch {
		case in.detections && val.kind() >= text, secretPair && roleOf(v.t, k.i) == valueRole:
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
	case isRevealing(name), isSecretName(name, false):
		c.cutWhole(t, val)
	case isDetections(name) && val.kind() == object:
		c.value(val, context{detections: true})
	case isDetections(name):
		c.cutWhole(t, val)
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

// isSecretPair reports whether v is a name and its values, and the name is a
// secret's: the form of Parameters, ModifiedProperties and the like.
func (c *cutter) isSecretPair(v value) bool {
	var name value
	values, flagged := false, false
	for k, end := v.i+1, v.node().next; k < end; k = v.t.nodes[k+1].next {
		val := value{v.t, k + 1}
		switch roleOf(v.t, k) {
		case valueRole:
			values = true
		case nameRole:
			if val.kind() == text {
				name = val
			}
		case flagRole:
			flagged = flagged || strings.EqualFold(val.String(), "true")
		}
	}
	if !values {
		return false
	}
	return flagged || name.t != nil && c.isSecretText(name.node(), v.t.src)
}

// isSecretText reports whether the text is the name of a secret.
func (c *cutter) isSecretText(n node, src []byte) bool {
	raw := src[n.start+1 : n.end-1]
	if !n.escaped && !mayBeSecret(raw) && !mayReveal(raw) {
		return false
	}
	name := content(raw, n.escaped)
	return isSecretName(name, c.setting) || isRevealing(name)
}

// role is what a member's name says of it in a pair of name and values.
type role uint8

const (
	noRole role = iota
	nameRole
	valueRole
	flagRole
)

var roles = map[string]role{
	"name": nameRole, "key": nameRole, "displayname": nameRole, "propertyname": nameRole,
	"value": valueRole, "values": valueRole, "newvalue": valueRole, "oldvalue": valueRole, "new": valueRole, "old": valueRole,
	"issecret": flagRole, "isencrypted": flagRole,
}

// roleOf looks the name of node k up, whatever its case.
func roleOf(t *tape, k int32) role {
	n := t.nodes[k]
	raw := t.src[n.start+1 : n.end-1]
	if n.escaped {
		return roles[lower(content(raw, true))]
	}
	if len(raw) < 3 || len(raw) > 12 {
		return noRole
	}
	var folded [12]byte
	for i, c := range raw {
		folded[i] = c | 0x20
	}
	return roles[string(folded[:len(raw)])]
}

// text looks into a text: for JSON, XML or a command line that holds a secret.
func (c *cutter) text(v value, in context) {
	n := v.node()
	raw := v.t.src[n.start+1 : n.end-1]
	if string(raw) == marker {
		c.note() // cut out before
		return
	}
	if !in.parameters && !mayHide(raw) {
		return
	}
	if !mayBeSecret(raw) && !mayReveal(raw) && !(n.escaped && bytes.Contains(raw, []byte(`\u`))) {
		return
	}
	s := content(raw, n.escaped)
	if hidesSecret(s, c.setting, c.nesting) {
		c.cutWhole(v.t, v)
		return
	}
	if in.parameters && (mayBeSecret(s) || strings.Contains(s, marker)) {
		c.commandLine(n, raw)
	}
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

// cutWhole notes that a value is to be replaced, if there is anything to hide.
func (c *cutter) cutWhole(t *tape, v value) {
	if isHarmless(v) {
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
		about := len(words) > 0 && aboutWords[words[len(words)-1]]
		if !about && !val.isEmpty() && val.kind() != boolean && (val.kind() < array || !onlyDescribes(val)) {
			return false
		}
	}
	return true
}

func isHarmlessText(s string) bool {
	switch strings.ToLower(strings.Trim(s, `"'`)) {
	case "", "true", "false", "$true", "$false", "null", "$null", "[]", "{}", `[""]`, "[true]", "[false]",
		"<null>", "system.security.securestring", "securestring":
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
