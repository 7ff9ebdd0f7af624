package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"

	"aoc/internal/audit"
)

const (
	selectFacet      = "SELECT facet FROM facets WHERE body = ?"
	insertFacet      = "INSERT INTO facets (body) VALUES (?)"
	selectNewFacets  = "SELECT facet, body FROM facets WHERE facet > ? ORDER BY facet"
	selectActor      = "SELECT actor FROM actors WHERE body = ?"
	insertActor      = "INSERT INTO actors (body) VALUES (?)"
	insertActorValue = "INSERT INTO actor_values (value, actor) VALUES (?, ?)"
	selectActors     = "SELECT actor FROM actor_values WHERE value = ?"
)

// facets are the combinations of values that stored events have, kept in
// memory. Numbers are never taken back, so what was read once holds; another
// process may add some, so the list is read on from its end before each use.
type facets struct {
	mu      sync.Mutex
	last    int64
	list    []numberedFacet
	numbers map[audit.Facet]int64
}

type numberedFacet struct {
	number int64
	audit.Facet
	keys map[audit.Field]string // folded
}

// refresh reads what was added since, and returns the list, which is not to be changed.
func (s *Store) refreshFacets(ctx context.Context, tx *sql.Tx) ([]numberedFacet, error) {
	s.facets.mu.Lock()
	defer s.facets.mu.Unlock()
	rows, err := s.reads.in(ctx, tx, selectNewFacets).QueryContext(ctx, s.facets.last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var f numberedFacet
		var body []byte
		if err = rows.Scan(&f.number, &body); err != nil {
			return nil, err
		}
		if err = json.Unmarshal(body, &f.Facet); err != nil {
			return nil, err
		}
		f.keys = facetKeys(f.Facet)
		s.facets.list, s.facets.last = append(s.facets.list, f), f.number
	}
	return slices.Clip(s.facets.list), rows.Err()
}

func facetKeys(f audit.Facet) map[audit.Field]string {
	e := audit.Event{Service: f.Service, Operation: f.Operation, Category: f.Category, Source: f.Source, Result: f.Result}
	keys := map[audit.Field]string{}
	for field, values := range e.Keys() {
		if len(values) == 1 {
			keys[field] = values[0]
		}
	}
	return keys
}

// actors are the numbers of actors seen by this process's inserts, by their body.
type actors struct {
	mu      sync.Mutex
	numbers map[string]int64
}

// maxActors bounds the memory of actors' numbers; the file knows them all.
const maxActors = 100_000

// names gives the facets and actors of one transaction their numbers. What it
// learns becomes the store's only when the transaction is durable: numbers of
// one that is rolled back are given to others.
type names struct {
	store  *Store
	tx     *sql.Tx
	facets map[audit.Facet]int64
	actors map[string]int64
}

func (s *Store) newNames(tx *sql.Tx) *names {
	return &names{store: s, tx: tx, facets: map[audit.Facet]int64{}, actors: map[string]int64{}}
}

func (n *names) facet(ctx context.Context, f audit.Facet) (int64, error) {
	n.store.facets.mu.Lock()
	number, ok := n.store.facets.numbers[f]
	n.store.facets.mu.Unlock()
	if ok {
		return number, nil
	}
	if number, ok = n.facets[f]; ok {
		return number, nil
	}
	body, err := json.Marshal(f)
	if err != nil {
		return 0, err
	}
	n.facets[f], _, err = n.number(ctx, selectFacet, insertFacet, body)
	return n.facets[f], err
}

func (n *names) actor(ctx context.Context, values []string) (int64, error) {
	body, err := json.Marshal(values)
	if err != nil {
		return 0, err
	}
	n.store.actors.mu.Lock()
	number, ok := n.store.actors.numbers[string(body)]
	n.store.actors.mu.Unlock()
	if ok {
		return number, nil
	}
	if number, ok = n.actors[string(body)]; ok {
		return number, nil
	}
	number, fresh, err := n.number(ctx, selectActor, insertActor, body)
	if err != nil {
		return 0, err
	}
	if fresh {
		for _, v := range values {
			if _, err = n.store.writes.in(ctx, n.tx, insertActorValue).ExecContext(ctx, []byte(v), number); err != nil {
				return 0, err
			}
		}
	}
	n.actors[string(body)] = number
	return number, nil
}

// number finds the row with this body, or adds it.
func (n *names) number(ctx context.Context, find, add string, body []byte) (number int64, fresh bool, err error) {
	err = n.store.writes.in(ctx, n.tx, find).QueryRowContext(ctx, body).Scan(&number)
	if !errors.Is(err, sql.ErrNoRows) {
		return number, false, err
	}
	added, err := n.store.writes.in(ctx, n.tx, add).ExecContext(ctx, body)
	if err != nil {
		return 0, false, err
	}
	number, err = added.LastInsertId()
	return number, true, err
}

// keep makes the numbers the store's, after the transaction was committed.
func (n *names) keep() {
	s := n.store
	s.facets.mu.Lock()
	maps.Copy(s.facets.numbers, n.facets)
	s.facets.mu.Unlock()

	s.actors.mu.Lock()
	defer s.actors.mu.Unlock()
	if len(s.actors.numbers) > maxActors {
		clear(s.actors.numbers)
	}
	maps.Copy(s.actors.numbers, n.actors)
}
