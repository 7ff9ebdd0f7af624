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

// Tokenize returns the distinct tokens of texts, folded and sorted: every word
// between white space without the punctuation at its edges, and the runs of
// letters and digits inside it. So an address is found by itself, by its start
// and by each of its parts. At most 256 are kept, the first texts' first.
func Tokenize(texts ...string) []string {
	seen := make(map[string]bool, 64)
	for _, text := range texts {
		for _, word := range strings.Fields(Fold(text)) {
			addTokens(seen, word)
		}
	}
	tokens := make([]string, 0, len(seen))
	for t := range seen {
		tokens = append(tokens, t)
	}
	slices.Sort(tokens)
	return tokens
}

func addTokens(seen map[string]bool, word string) {
	add := func(token string) {
		if token != "" && len(seen) < maxTokens {
			seen[clip(token)] = true
		}
	}
	whole := strings.TrimFunc(word, notWord)
	add(whole)
	for part := range strings.FieldsFuncSeq(whole, notWord) {
		add(part)
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

func notWord(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) }

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
