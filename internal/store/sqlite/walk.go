package sqlite

import (
	"context"
	"math"
	"slices"
)

// Walks go down an index from the newest event that is wanted. Those that read
// tokens read the events' rows too; the others stay within the index.
const (
	walkTail        = " AND (t, id) < (?, ?) AND t >= ? ORDER BY t DESC, id DESC LIMIT ?"
	walkTime        = "SELECT doc, t, id, facet, NULL FROM events INDEXED BY events_time WHERE 1" + walkTail
	walkTimeTokens  = "SELECT doc, t, id, facet, tokens FROM events INDEXED BY events_time WHERE 1" + walkTail
	walkFacet       = "SELECT doc, t, id, facet, NULL FROM events INDEXED BY events_facet WHERE facet = ?" + walkTail
	walkFacetTokens = "SELECT doc, t, id, facet, tokens FROM events INDEXED BY events_facet WHERE facet = ?" + walkTail
	walkActor       = "SELECT doc, t, id, facet, NULL FROM events INDEXED BY events_actor WHERE actor = ? AND facet = ?" + walkTail
	walkActorTokens = "SELECT doc, t, id, facet, tokens FROM events INDEXED BY events_actor WHERE actor = ? AND facet = ?" + walkTail
	selectFacetsOf  = `WITH RECURSIVE f(x) AS (
		SELECT min(facet) FROM events WHERE actor = ?1
		UNION ALL SELECT (SELECT min(facet) FROM events WHERE actor = ?1 AND facet > f.x) FROM f WHERE f.x IS NOT NULL
	) SELECT x FROM f WHERE x IS NOT NULL`
)

var hotReads = []string{
	selectKnown, selectNewFacets, selectActors, selectFacetsOf, selectMatches, selectBodies,
	walkTime, walkTimeTokens, walkFacet, walkFacetTokens, walkActor, walkActorTokens,
}

// walk is one way down an index, read in parts.
type walk struct {
	text  string
	key   []any
	below spot   // where it goes on, exclusive
	part  int    // rows to read next
	rows  []step // read and not yet taken
	ended bool   // nothing comes after rows
}

// step is one event on a walk.
type step struct {
	spot
	facet  int64
	tokens []byte
}

// merger takes the newest of several walks, one event after another.
type merger struct {
	*search
	walks []*walk
	found []spot
	sample
}

// find returns the newest events that the search wants, limit at most. It asks
// in the way that is likely to be cheap first, and gives that up when it is not.
func (s *search) find(ctx context.Context) ([]spot, error) {
	wide := s.actors == nil && len(s.facets) > s.budgets.facets
	words := expression(s.terms) != ""
	m, err := s.newMerger(ctx, wide)
	if err != nil {
		return nil, err
	}
	if wide || words {
		if whole, err := m.advance(ctx, s.budgets.walk); whole || err != nil {
			return m.found, err
		}
	}
	if words {
		if found, whole, err := s.match(ctx, m.rare(s.terms), s.budgets.match); whole || err != nil {
			return found, err
		}
	}
	if wide {
		if m, err = s.newMerger(ctx, false); err != nil {
			return nil, err
		}
	}
	_, err = m.advance(ctx, math.MaxInt)
	return m.found, err
}

// walks are those that together pass all events of the search's facets and
// actors, and no others.
func (s *search) walks(ctx context.Context) (walks []*walk, err error) {
	switch {
	case s.actors != nil:
		for actor := range s.actors {
			facets, err := s.numbers(ctx, selectFacetsOf, actor)
			if err != nil {
				return nil, err
			}
			for _, facet := range facets {
				if s.facets == nil || s.facets[facet] {
					walks = append(walks, s.walk(walkActor, walkActorTokens, actor, facet))
				}
			}
		}
	case s.facets != nil:
		for facet := range s.facets {
			walks = append(walks, s.walk(walkFacet, walkFacetTokens, facet))
		}
	default:
		walks = append(walks, s.walk(walkTime, walkTimeTokens))
	}
	return walks, nil
}

func (s *search) walk(plain, withTokens string, key ...any) *walk {
	if len(s.terms) > 0 {
		plain = withTokens
	}
	return &walk{text: plain, key: key, below: s.until}
}

// newMerger begins at the newest event that is wanted: on the one walk past all
// events when wide, else on those that meet no facet or actor in vain.
func (s *search) newMerger(ctx context.Context, wide bool) (m *merger, err error) {
	m = &merger{search: s, sample: sample{met: make([]int, len(s.terms))}}
	if wide {
		m.walks = []*walk{s.walk(walkTime, walkTimeTokens)}
	} else if m.walks, err = s.walks(ctx); err != nil {
		return nil, err
	}
	for _, w := range m.walks {
		w.part = max(16, min(largestPart, 2*s.limit/len(m.walks)))
	}
	return m, nil
}

// advance looks at up to budget more events and says whether the answer is whole.
func (m *merger) advance(ctx context.Context, budget int) (whole bool, err error) {
	for range budget {
		next, err := m.next(ctx)
		if err != nil || next == nil {
			return err == nil, err
		}
		if (m.facets == nil || m.facets[next.facet]) && m.before(next.spot) && m.take(next.tokens, m.terms) {
			m.found = append(m.found, next.spot)
		}
		if len(m.found) == m.limit {
			return true, nil
		}
	}
	return false, nil
}

// next takes the newest event that is left on any walk, nil where none is.
func (m *merger) next(ctx context.Context) (*step, error) {
	var newest *walk
	for _, w := range m.walks {
		if err := m.fill(ctx, w); err != nil {
			return nil, err
		}
		if len(w.rows) > 0 && (newest == nil || w.rows[0].compare(newest.rows[0].spot) > 0) {
			newest = w
		}
	}
	if newest == nil {
		return nil, nil
	}
	first := newest.rows[0]
	newest.rows, newest.below = newest.rows[1:], first.spot
	return &first, nil
}

const largestPart = 1000 // rows

// fill reads on where a walk has no rows left. Parts grow, since who walks on
// is likely to walk far.
func (m *merger) fill(ctx context.Context, w *walk) error {
	if len(w.rows) > 0 || w.ended {
		return nil
	}
	args := append(slices.Clone(w.key), int64(w.below.t), w.below.id, int64(m.from), w.part)
	rows, err := m.reads.in(ctx, m.tx, w.text).QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	w.rows = make([]step, 0, w.part)
	for rows.Next() {
		var r step
		if err = rows.Scan(&r.doc, &r.t, &r.id, &r.facet, &r.tokens); err != nil {
			return err
		}
		w.rows = append(w.rows, r)
	}
	w.ended, w.part = len(w.rows) < w.part, min(2*w.part, largestPart)
	return rows.Err()
}
