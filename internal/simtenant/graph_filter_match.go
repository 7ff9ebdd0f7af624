package simtenant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// match says whether a record fits the conditions on other properties than
// its time, by which it was fetched.
func (f filter) match(r *record) bool {
	if len(f.tests) == 0 {
		return true
	}
	dec := json.NewDecoder(bytes.NewReader(r.Body))
	dec.UseNumber()
	var body any
	if dec.Decode(&body) != nil {
		return false
	}
	for _, t := range f.tests {
		if !t.match(body) {
			return false
		}
	}
	return true
}

func (t test) match(body any) bool {
	v := walk(body, t.path)
	if !t.any {
		return t.one(v)
	}
	list, _ := v.([]any)
	for _, item := range list {
		if t.one(walk(item, t.inner)) {
			return true
		}
	}
	return false
}

// one compares texts without case, as Graph does.
func (t test) one(v any) bool {
	text, isText := v.(string)
	for _, want := range t.values {
		w, textWanted := want.(string)
		switch {
		case isText && textWanted && t.prefix:
			if len(text) >= len(w) && strings.EqualFold(text[:len(w)], w) {
				return true
			}
		case isText && textWanted:
			if strings.EqualFold(text, w) {
				return true
			}
		case v == want:
			return true
		}
	}
	return false
}

func walk(v any, path []string) any {
	for _, name := range path {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return v
}

// tokenKind is what a part of a $filter is.
type tokenKind int

const (
	tokenWord tokenKind = iota // a name, an operator
	tokenText                  // '…'
	tokenTime
	tokenNumber
	tokenSign // ( ) : ,
)

type filterToken struct {
	kind tokenKind
	text string
	at   time.Time
}

// maxFilter bounds a $filter, in bytes.
const maxFilter = 8 << 10

func filterTokens(text string) ([]filterToken, error) {
	if len(text) > maxFilter {
		return nil, errors.New("invalid filter clause: it is too long")
	}
	var out []filterToken
	for text = strings.TrimLeft(text, " "); text != ""; text = strings.TrimLeft(text, " ") {
		tok, rest, err := nextToken(text)
		if err != nil {
			return nil, err
		}
		out, text = append(out, tok), rest
	}
	return out, nil
}

func nextToken(text string) (filterToken, string, error) {
	switch c := text[0]; {
	case c == '\'':
		return textToken(text)
	case strings.IndexByte("():,", c) >= 0:
		return filterToken{kind: tokenSign, text: text[:1]}, text[1:], nil
	case isDigit(c) || c == '-':
		return literalToken(text)
	}
	n := 0
	for n < len(text) && isNameByte(text[n]) {
		n++
	}
	if n == 0 {
		return filterToken{}, "", fmt.Errorf("invalid filter clause: unexpected character %q", text[0])
	}
	return filterToken{kind: tokenWord, text: text[:n]}, text[n:], nil
}

// textToken reads a text in quotes, in which a quote is written twice.
func textToken(text string) (filterToken, string, error) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		if text[i] != '\'' {
			b.WriteByte(text[i])
			continue
		}
		if i+1 == len(text) || text[i+1] != '\'' {
			return filterToken{kind: tokenText, text: b.String()}, text[i+1:], nil
		}
		b.WriteByte('\'')
		i++
	}
	return filterToken{}, "", errors.New("invalid filter clause: there is an unterminated string literal")
}

// literalToken reads a number or a time: both begin with a digit.
func literalToken(text string) (filterToken, string, error) {
	n := 1
	for n < len(text) && (isNameByte(text[n]) || strings.IndexByte(":.+-", text[n]) >= 0) {
		n++
	}
	lit := text[:n]
	if strings.Trim(lit[1:], "0123456789") == "" {
		return filterToken{kind: tokenNumber, text: lit}, text[n:], nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02"} {
		if at, err := time.Parse(layout, lit); err == nil {
			return filterToken{kind: tokenTime, text: lit, at: at.UTC()}, text[n:], nil
		}
	}
	return filterToken{}, "", fmt.Errorf("invalid filter clause: '%s' is neither a time nor a number", lit)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameByte(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '/' || c == '_' || c == '.'
}
