package api

import (
	"bytes"
	"encoding/json"
	"strings"
)

// sampleBody is the first example of a request's body, on one line.
func sampleBody(body *requestBody) string {
	m := body.Content[mediaJSON]
	sample := m.Example
	if first, ok := m.Examples["1"]; ok {
		sample = first.Value
	}
	text, err := json.Marshal(sample)
	if err != nil {
		return ""
	}
	return string(text)
}

// quoted is a word as a shell takes it, whatever is in it.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// paragraph is lines that belong together.
type paragraph struct {
	List  bool
	Lines [][]segment
}

type segment struct {
	Text string
	Code bool
}

// paragraphs reads the little of Markdown that descriptions use: empty lines,
// lists by "- ", and `code`.
func paragraphs(text string) []paragraph {
	var all []paragraph
	for block := range strings.SplitSeq(text, "\n\n") {
		var plain, list paragraph
		for line := range strings.SplitSeq(block, "\n") {
			if item, ok := strings.CutPrefix(line, "- "); ok {
				list.Lines, list.List = append(list.Lines, segments(item)), true
			} else if line != "" {
				plain.Lines = append(plain.Lines, segments(line))
			}
		}
		for _, p := range []paragraph{plain, list} {
			if len(p.Lines) > 0 {
				all = append(all, p)
			}
		}
	}
	return all
}

func segments(line string) []segment {
	var all []segment
	code := false
	for part := range strings.SplitSeq(line, "`") {
		if part != "" {
			all = append(all, segment{part, code})
		}
		code = !code
	}
	return all
}

// indented is JSON as people read it.
func indented(v any) (string, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // the template escapes
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return strings.TrimSpace(out.String()), err
}
