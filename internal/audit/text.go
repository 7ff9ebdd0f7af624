package audit

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of an event's search index.
const (
	maxTokens      = 256
	maxTokenLength = 64 // bytes; a longer word is found by its first 64
)

// Fold makes two spellings of one word equal: lower case, edges trimmed,
// invalid UTF-8 replaced.
func Fold(s string) string {
	return strings.ToLower(strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD")))
}

// Readable is s without what would make it read as another text: control
// characters, line and direction marks.
func Readable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, s)
}

// OperationName is an operation as events have it: without the dots and spaces
// that some of Microsoft's end with.
func OperationName(s string) string { return strings.TrimSpace(strings.TrimRight(s, ". ")) }

// Tokenize returns the distinct tokens of texts, folded and sorted: every word
// between white space without the punctuation at its edges, and the runs of
// letters and digits inside it. So an address is found by itself, by its start
// and by each of its parts. At most 256 are kept, the first texts' first.
func Tokenize(texts ...string) []string {
	t := tokens{list: make([]string, 0, 64)}
	for _, text := range texts {
		for word := range strings.FieldsSeq(Fold(text)) {
			if len(t.list) == maxTokens {
				break
			}
			t.addWord(word)
		}
	}
	slices.Sort(t.list)
	return t.list
}

// tokens is a small set: every event is tokenized, and a map of its own for
// each would cost more than all the rest.
type tokens struct {
	list  []string
	table [2 * maxTokens]uint16 // index into list plus one, by hash; 0 is free
}

func (t *tokens) add(token string) {
	if token == "" || len(t.list) == maxTokens {
		return
	}
	token = clip(token)
	hash := uint32(2166136261) // FNV-1a
	for i := range len(token) {
		hash = (hash ^ uint32(token[i])) * 16777619
	}
	at := hash % uint32(len(t.table))
	for ; t.table[at] != 0; at = (at + 1) % uint32(len(t.table)) {
		if t.list[t.table[at]-1] == token {
			return
		}
	}
	t.list = append(t.list, token)
	t.table[at] = uint16(len(t.list))
}

func (t *tokens) addWord(word string) {
	whole := strings.TrimFunc(word, notWord)
	t.add(whole)
	start := 0
	for i, r := range whole {
		if !notWord(r) {
			continue
		}
		t.add(whole[start:i])
		start = i + utf8.RuneLen(r)
	}
	if start > 0 {
		t.add(whole[start:])
	}
}

// SearchTerms splits what a person typed into the terms of a Query.
func SearchTerms(search string) []string {
	var terms []string
	for _, word := range strings.Fields(Fold(search)) {
		// A word of nothing but punctuation would match every token.
		if term := clip(strings.TrimFunc(word, notWord)); term != "" && !slices.Contains(terms, term) {
			terms = append(terms, term)
		}
	}
	return terms
}

func notWord(r rune) bool {
	if r < utf8.RuneSelf { // nearly all is ASCII
		return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9')
	}
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
}

// clip cuts a token to its bound without breaking a rune.
func clip(token string) string {
	if len(token) <= maxTokenLength {
		return token
	}
	n := maxTokenLength
	for !utf8.RuneStart(token[n]) {
		n--
	}
	return token[:n]
}
