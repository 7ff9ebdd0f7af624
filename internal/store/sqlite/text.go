package sqlite

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"unicode"
)

// tokenizer keeps our tokens whole: all of ASCII's punctuation belongs to them,
// all beyond ASCII does so anyway, and nothing is folded that is folded already.
const tokenizer = `ascii tokenchars '!""#$%&''()*+,-./:;<=>?@[\]^_` + "`" + `{|}~'`

const selectMatches = `SELECT e.doc, e.t, e.id, e.facet, e.actor, e.tokens
	FROM words w CROSS JOIN events e ON e.doc = w.rowid
	WHERE w.words MATCH ? AND w.rowid BETWEEN ? AND ? ORDER BY w.rowid DESC`

// indexable is the text as the text index sees it. Control characters, which
// its tokenizer would split at or end at, become something else: the index may
// find too much, never too little, and hasTerm decides.
func indexable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, text)
}

// expression asks the text index for all of the terms as prefixes.
func expression(terms []string) string {
	var b strings.Builder
	for _, term := range terms {
		if term != "" {
			b.WriteString(`"` + strings.ReplaceAll(indexable(term), `"`, `""`) + `"* `)
		}
	}
	return b.String()
}

// impossible reports whether a term is none: no token holds white space.
func impossible(term string) bool { return strings.ContainsFunc(term, unicode.IsSpace) }

// hasTerm is the rule of audit.Query.Matches over joined tokens.
func hasTerm(tokens []byte, term string) bool {
	return bytes.HasPrefix(tokens, []byte(term)) || bytes.Contains(tokens, []byte(" "+term))
}

// sample counts how often terms were met on a walk.
type sample struct {
	looked int
	met    []int // by term
}

// take reports whether tokens have all of the terms, and counts each.
func (s *sample) take(tokens []byte, terms []string) bool {
	s.looked++
	all := true
	for i, term := range terms {
		if hasTerm(tokens, term) {
			s.met[i]++
		} else {
			all = false
		}
	}
	return all
}

// rare returns the terms worth asking the text index for: it gathers all
// matches of each before it gives the first, so one that most events have costs
// much and narrows little. Where none is rare they may be so together.
func (s *sample) rare(terms []string) []string {
	var rare []string
	for i, term := range terms {
		if s.met[i]*20 < s.looked {
			rare = append(rare, term)
		}
	}
	if len(rare) == 0 {
		return terms
	}
	return rare
}

// match answers from the text index, asked for these of the terms, newest first.
// It looks at no more than budget events and says whether that was enough.
func (s *search) match(ctx context.Context, terms []string, budget int) (found []spot, whole bool, err error) {
	low, high := s.docBounds()
	rows, err := s.reads.in(ctx, s.tx, selectMatches).QueryContext(ctx, expression(terms), low, high)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for looked := 0; rows.Next(); looked++ {
		if looked == budget {
			return nil, false, nil
		}
		var c candidate
		if err = rows.Scan(&c.doc, &c.t, &c.id, &c.facet, &c.actor, &c.tokens); err != nil {
			return nil, false, err
		}
		// Docs are in order by the second only: the last second is read whole.
		if len(found) >= s.limit && c.doc>>docBits != found[len(found)-1].doc>>docBits {
			break
		}
		if s.wants(&c) {
			found = append(found, c.spot)
		}
	}
	slices.SortFunc(found, func(x, y spot) int { return y.compare(x) })
	return found[:min(len(found), s.limit)], true, rows.Err()
}

// candidate is an event that the text index offers.
type candidate struct {
	spot
	facet, actor int64
	tokens       []byte
}

func (s *search) wants(c *candidate) bool {
	return c.t >= s.from && s.before(c.spot) && (s.facets == nil || s.facets[c.facet]) &&
		(s.actors == nil || s.actors[c.actor]) && !slices.ContainsFunc(s.terms, func(term string) bool { return !hasTerm(c.tokens, term) })
}

// docBounds are the docs of all events between the search's times.
func (s *search) docBounds() (low, high int64) {
	low, high = math.MinInt64, math.MaxInt64
	if s.from > math.MinInt64 {
		low = firstDoc(s.from)
	}
	if s.until.t < math.MaxInt64 {
		high = firstDoc(s.until.t) | (1<<docBits - 1)
	}
	return low, high
}
