package normalize

import (
	"bytes"
	"strings"
)

// valueStyle says where the value of name=value ends.
type valueStyle uint8

const (
	queryValue  valueStyle = iota // of a URL: at & and #, quotes and white space
	listedValue                   // of a connection string: at ; and quotes
)

// assignedNames are secrets wherever name=value stands, as in a connection
// string, a cookie or a form.
var assignedNames = wordSet(`accountkey sharedaccesskey sharedaccesssignature sharedsecretvalue client_secret clientsecret
	client_assertion refresh_token access_token id_token guestaccesstoken tempauth authkey
	estsauth estsauthpersistent fedauth rtfa x-amz-signature x-amz-security-token x-goog-signature`)

// assignedSecrets finds the secret values of name=value.
func assignedSecrets(b []byte, encoded bool, found []span) []span {
	for i := 0; i < len(b); {
		at, width := equals(b, i, encoded)
		if at < 0 {
			break
		}
		i = at + width
		name, before := nameBefore(b, at)
		if len(name) < 3 || len(name) > 40 {
			continue
		}
		if s, ok := assigned(b, lower(string(name)), string(name), before, i, width); ok {
			found = append(found, s)
			i = s.to
		}
	}
	return found
}

// equals finds the next = or, in a URL within a URL, %3D or %253D.
func equals(b []byte, i int, encoded bool) (at, width int) {
	if !encoded {
		if at = bytes.IndexByte(b[i:], '='); at >= 0 {
			at += i
		}
		return at, 1
	}
	for ; i < len(b); i++ {
		switch {
		case b[i] == '=':
			return i, 1
		case b[i] != '%':
		case hasFold(b[i:], "%3d"):
			return i, 3
		case hasFold(b[i:], "%253d"):
			return i, 5
		}
	}
	return -1, 0
}

func hasFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && strings.EqualFold(string(b[:len(prefix)]), prefix)
}

// place is what stands before a name.
type place uint8

const (
	elsewhere place = iota
	inQuery         // ? & #, or where these are encoded
	inList          // ; or a line's or the text's beginning
)

// nameBefore is the name that ends at i, without what is left of an escape
// before it.
func nameBefore(b []byte, end int) (name []byte, before place) {
	i := end
	for i > 0 && (isLetterOrDigit(b[i-1]) || b[i-1] == '_' || b[i-1] == '-') {
		i--
	}
	name = b[i:end]
	if i == 0 {
		return name, inList
	}
	switch b[i-1] {
	case '?', '&', '#':
		return name, inQuery
	case '%':
		return encodedBefore(name)
	case '\\':
		return escapedBefore(name)
	}
	for i > 0 && b[i-1] == ' ' {
		i--
	}
	if i == 0 || b[i-1] == ';' || b[i-1] == '\n' || b[i-1] == '\r' {
		return name, inList
	}
	return name, elsewhere
}

func encodedBefore(name []byte) ([]byte, place) {
	for _, c := range [...]string{"26", "3F", "23", "2526", "253F", "2523"} {
		if hasFold(name, c) {
			return name[len(c):], inQuery
		}
	}
	return name[min(2, len(name)):], elsewhere
}

func escapedBefore(name []byte) ([]byte, place) {
	switch {
	case len(name) == 0:
		return name, elsewhere
	case hasFold(name, "u0026"), hasFold(name, "u003f"):
		return name[5:], inQuery
	case name[0] == 'n', name[0] == 'r', name[0] == 't':
		return name[1:], inList
	case len(name) > 5 && name[0] == 'u' && hex4(name[1:]) >= 0:
		return name[5:], elsewhere
	}
	return name, elsewhere
}

// assigned judges name=value: from is where the value begins.
func assigned(b []byte, folded, name string, before place, from, width int) (span, bool) {
	style := listedValue
	if before == inQuery {
		style = queryValue
	}
	switch {
	case assignedNames[folded]:
		if before == elsewhere {
			style = queryValue
		}
		if folded == "accountkey" || folded == "sharedaccesskey" || folded == "sharedaccesssignature" {
			style = listedValue
		}
	case before == elsewhere:
		return span{}, false
	case folded == "sig", folded == "ticket" && before == inQuery, folded == "code" && before == inQuery:
		style = queryValue
	case !isSecretName(name, false):
		return span{}, false
	}
	s := assignedValue(b, from, style, width)
	value := b[s.from:s.to]
	if bytes.HasPrefix(value, []byte(marker)) || isHarmlessText(string(value)) {
		return span{}, false
	}
	return s, !isShort(folded, value)
}

// isShort knows values that are too short to be what goes by the name, such as
// the number of an error after ?code=.
func isShort(folded string, value []byte) bool {
	switch folded {
	case "code", "ticket":
		return len(value) < 16 || bytes.IndexFunc(value, func(r rune) bool { return !isDigit(byte(r)) }) < 0
	case "sig":
		return len(value) < 8
	}
	return false
}

// assignedValue is where a value stands. One of a list may be in quotes, which
// in a text of JSON have backslashes; quotes right after the = of a URL are the
// URL's end.
func assignedValue(b []byte, from int, style valueStyle, width int) span {
	open := run(b, from, func(c byte) bool { return c == '\\' })
	if style == listedValue && open < len(b) && (b[open] == '"' || b[open] == '\'') && (open > from || b[open] == '\'' || !isJSON(b)) {
		quote := b[from : open+1]
		if n := bytes.Index(b[open+1:], quote); n >= 0 {
			return span{from, open + 1 + n + len(quote)}
		}
	}
	to := valueEnd(b, from, style)
	if width == 1 {
		return span{from, to}
	}
	for _, and := range [...]string{"%26", "%2526"} {
		if n := bytes.Index(b[from:to], []byte(and)); n >= 0 {
			to = from + n
		}
	}
	return span{from, to}
}

func isJSON(b []byte) bool {
	b = bytes.TrimLeft(b, ` \nrt`)
	return len(b) > 0 && (b[0] == '{' || b[0] == '[' || b[0] == '"')
}

// valueEnd returns where a value that begins at i ends. An escape is part of
// the value, unless it is a quote or stands for a byte that ends it.
func valueEnd(b []byte, i int, style valueStyle) int {
	for i < len(b) {
		c := b[i]
		if c != '\\' {
			if endsValue(rune(c), style) {
				return i
			}
			i++
			continue
		}
		k := run(b, i, func(c byte) bool { return c == '\\' })
		switch {
		case k == len(b):
			return i
		case b[k] == '/':
			i = k + 1
		case b[k] == 'u' && hex4(b[k+1:]) >= 0:
			if endsValue(hex4(b[k+1:]), style) {
				return i
			}
			i = k + 5
		case style == queryValue, b[k] == '"', k == i+1 && bytes.IndexByte([]byte("nrt"), b[k]) >= 0:
			return i
		default:
			i = k
		}
	}
	return i
}

func endsValue(r rune, style valueStyle) bool {
	switch r {
	case '"', '<', '\n', '\r':
		return true
	case '&', '#', ' ', '\t', '\'', '>', '`':
		return style == queryValue
	case ';':
		return style == listedValue
	}
	return false
}
