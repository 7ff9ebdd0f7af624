package source

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// auditData returns the audit record inside one element of a query's records.
// An element without one is returned as it came, for whoever parses records to
// set aside: it is not to vanish.
func auditData(element []byte) []byte {
	data, ok := member(element, "auditData")
	switch {
	case !ok || string(data) == "null":
		return element
	case data[0] == '"':
		return unquote(data)
	}
	return data
}

// member returns the value of a name of an object, as the bytes that stand
// there. It looks at nothing deeper, so that neither depth nor a broken
// neighbour costs the value. Of two with one name the last counts, as for
// encoding/json.
func member(object []byte, name string) (value []byte, ok bool) {
	rest := bytes.TrimLeft(object, space)
	if len(rest) == 0 || rest[0] != '{' {
		return nil, false
	}
	for rest = rest[1:]; ; {
		rest = bytes.TrimLeft(rest, space+",")
		key, after, whole := nextValue(rest)
		if !whole || key[0] != '"' {
			return value, ok
		}
		rest = bytes.TrimLeft(after, space)
		if len(rest) == 0 || rest[0] != ':' {
			return value, ok
		}
		found, after, whole := nextValue(bytes.TrimLeft(rest[1:], space))
		if !whole {
			return value, ok
		}
		if string(key[1:len(key)-1]) == name {
			value, ok = found, true
		}
		rest = after
	}
}

const space = " \t\r\n"

// nextValue cuts the value off that text begins with; whole is false where it
// does not end, or none begins.
func nextValue(text []byte) (value, rest []byte, whole bool) {
	if len(text) == 0 || bytes.IndexByte([]byte(",:]}"), text[0]) >= 0 {
		return nil, nil, false
	}
	var v scan
	n, whole := v.over(text)
	return text[:n], text[n:], whole && !v.broken
}

// unquote returns the text of a JSON string. Other than encoding/json it keeps
// bytes that are no UTF-8, and escapes that say nothing (half of a surrogate
// pair, an unknown letter) as they are: what is inside is a record, whose bytes
// are evidence.
func unquote(quoted []byte) []byte {
	text := quoted[1 : len(quoted)-1]
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		at := bytes.IndexByte(text, '\\')
		if at < 0 {
			return append(out, text...)
		}
		out = append(out, text[:at]...)
		var n int
		out, n = appendUnescaped(out, text[at:])
		text = text[at+n:]
	}
	return out
}

var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// appendUnescaped appends what the escape means that text begins with, and
// returns how long the escape is.
func appendUnescaped(out, text []byte) ([]byte, int) {
	if len(text) < 2 {
		return append(out, text...), len(text)
	}
	if c, ok := escapes[text[1]]; ok {
		return append(out, c), 2
	}
	first, ok := codeUnit(text)
	switch {
	case !ok:
		return append(out, text[:2]...), 2
	case !utf16.IsSurrogate(first):
		return utf8.AppendRune(out, first), 6
	}
	if second, ok := codeUnit(text[6:]); ok {
		if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
			return utf8.AppendRune(out, r), 12
		}
	}
	return append(out, text[:6]...), 6
}

// codeUnit reads the \uXXXX that text begins with.
func codeUnit(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}
