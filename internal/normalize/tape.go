package normalize

import (
	"fmt"
	"math"
)

// maxDepth is how deep a record may be nested. Microsoft's go to about ten;
// the bound keeps a hostile one from exhausting the stack.
const maxDepth = 256

// maxRecordSize is the largest record that is read, in bytes.
const maxRecordSize = 16 << 20

type kind uint8

const (
	absent kind = iota
	null
	boolean
	number
	text
	array
	object
)

// node is one JSON value of the source bytes, or one key of an object.
type node struct {
	kind       kind
	escaped    bool  // a text that holds a backslash
	marks      mark  // what a text holds
	start, end int32 // in the source, quotes and brackets included
	next       int32 // the node after this one and all that it holds
}

// tape is a document read in one pass: its values in the order in which they
// stand, each knowing where the next begins. Nothing is copied or converted
// until it is asked for, which is what makes it faster than a map.
type tape struct {
	src   []byte
	nodes []node
}

// syntaxError says where a document stops being JSON, and nothing of its values.
type syntaxError struct {
	offset int
	what   string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("the record is not valid JSON: %s at byte %d", e.what, e.offset)
}

// read takes in one document. It accepts what encoding/json accepts, but for
// documents that are too large or too deep. It keeps src.
func (t *tape) read(src []byte) error {
	t.src, t.nodes = src, t.nodes[:0]
	if len(src) > min(maxRecordSize, math.MaxInt32) {
		return fmt.Errorf("the record is larger than %d MiB", maxRecordSize>>20)
	}
	end, err := t.value(t.space(0), 0)
	if err != nil {
		return err
	}
	if end = t.space(end); end != len(src) {
		return &syntaxError{end, "more after its end"}
	}
	return nil
}

func (t *tape) space(i int) int {
	for i < len(t.src) && (t.src[i] == ' ' || t.src[i] == '\n' || t.src[i] == '\r' || t.src[i] == '\t') {
		i++
	}
	return i
}

func (t *tape) at(i int) byte {
	if i < len(t.src) {
		return t.src[i]
	}
	return 0
}

// value reads the value that starts at i and returns where it ends.
func (t *tape) value(i, depth int) (int, error) {
	if depth > maxDepth {
		return i, fmt.Errorf("the record is nested deeper than %d levels", maxDepth)
	}
	switch c := t.at(i); {
	case c == '"':
		return t.text(i)
	case c == '{':
		return t.object(i, depth+1)
	case c == '[':
		return t.array(i, depth+1)
	case c == '-' || isDigit(c):
		return t.number(i)
	case c == 't':
		return t.literal(i, "true", boolean)
	case c == 'f':
		return t.literal(i, "false", boolean)
	case c == 'n':
		return t.literal(i, "null", null)
	case i >= len(t.src):
		return i, &syntaxError{i, "it ends too early"}
	}
	return i, &syntaxError{i, "no value"}
}

func (t *tape) leaf(k kind, start, end int) {
	t.nodes = append(t.nodes, node{kind: k, start: int32(start), end: int32(end), next: int32(len(t.nodes) + 1)})
}

func (t *tape) literal(i int, word string, k kind) (int, error) {
	end := i + len(word)
	if end > len(t.src) || string(t.src[i:end]) != word {
		return i, &syntaxError{i, "no value"}
	}
	t.leaf(k, i, end)
	return end, nil
}

func (t *tape) number(start int) (int, error) {
	i := start
	if t.at(i) == '-' {
		i++
	}
	switch {
	case t.at(i) == '0':
		i++
	case isDigit(t.at(i)):
		i = t.digits(i)
	default:
		return i, &syntaxError{i, "no digit"}
	}
	if t.at(i) == '.' {
		if i++; !isDigit(t.at(i)) {
			return i, &syntaxError{i, "no digit"}
		}
		i = t.digits(i)
	}
	if c := t.at(i); c == 'e' || c == 'E' {
		if i++; t.at(i) == '+' || t.at(i) == '-' {
			i++
		}
		if !isDigit(t.at(i)) {
			return i, &syntaxError{i, "no digit"}
		}
		i = t.digits(i)
	}
	t.leaf(number, start, i)
	return i, nil
}

func (t *tape) digits(i int) int {
	for isDigit(t.at(i)) {
		i++
	}
	return i
}

func (t *tape) text(start int) (int, error) {
	src, marks := t.src, mark(0)
	for i := start + 1; i < len(src); i++ {
		m := byteMarks[src[i]]
		if m == 0 {
			continue
		}
		switch marks |= m; m {
		case quoteByte:
			t.leaf(text, start, i+1)
			n := &t.nodes[len(t.nodes)-1]
			n.escaped, n.marks = marks&escapeByte != 0, marks&allMarks
			return i + 1, nil
		case escapeByte:
			n := escapeLength(src[i:])
			if n == 0 {
				return i, &syntaxError{i, "a bad escape"}
			}
			i += n - 1
		case controlByte:
			return i, &syntaxError{i, "a control character in a text"}
		}
	}
	return len(src), &syntaxError{len(src), "it ends too early"}
}

// escapeLength is the length of the escape that s starts with, 0 for none.
func escapeLength(s []byte) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(s) < 6 || hex4(s[2:6]) < 0 {
			return 0
		}
		return 6
	}
	return 0
}

func (t *tape) object(start, depth int) (int, error) {
	self := len(t.nodes)
	t.leaf(object, start, start)
	i := t.space(start + 1)
	if t.at(i) == '}' {
		return t.close(self, i), nil
	}
	for {
		if t.at(i) != '"' {
			return i, &syntaxError{i, "no name"}
		}
		end, err := t.text(i)
		if err != nil {
			return end, err
		}
		if i = t.space(end); t.at(i) != ':' {
			return i, &syntaxError{i, "no colon"}
		}
		if end, err = t.value(t.space(i+1), depth); err != nil {
			return end, err
		}
		switch i = t.space(end); t.at(i) {
		case ',':
			i = t.space(i + 1)
		case '}':
			return t.close(self, i), nil
		default:
			return i, &syntaxError{i, "an unfinished object"}
		}
	}
}

func (t *tape) array(start, depth int) (int, error) {
	self := len(t.nodes)
	t.leaf(array, start, start)
	i := t.space(start + 1)
	if t.at(i) == ']' {
		return t.close(self, i), nil
	}
	for {
		end, err := t.value(i, depth)
		if err != nil {
			return end, err
		}
		switch i = t.space(end); t.at(i) {
		case ',':
			i = t.space(i + 1)
		case ']':
			return t.close(self, i), nil
		default:
			return i, &syntaxError{i, "an unfinished list"}
		}
	}
}

// close ends the object or list that began at node self with the bracket at i.
func (t *tape) close(self, i int) int {
	t.nodes[self].end, t.nodes[self].next = int32(i+1), int32(len(t.nodes))
	return i + 1
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
