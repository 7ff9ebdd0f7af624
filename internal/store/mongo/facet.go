package mongo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const maxFacets = 10_000 // returned at most

// facetDoc is a combination of values that events have.
type facetDoc struct {
	ID        string       `bson:"_id"` // hash of the others
	Service   string       `bson:"service"`
	Operation string       `bson:"operation"`
	Category  string       `bson:"category"`
	Source    audit.Source `bson:"source"`
	Result    audit.Result `bson:"result"`
}

// noteDoc says by its _id that something is there.
type noteDoc struct {
	ID string `bson:"_id"`
}

func newFacetDoc(f audit.Facet) facetDoc {
	h := sha256.New()
	for _, part := range []string{f.Service, f.Operation, f.Category, string(f.Source), string(f.Result)} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	id := hex.EncodeToString(h.Sum(nil)[:16])
	return facetDoc{ID: id, Service: f.Service, Operation: f.Operation, Category: f.Category, Source: f.Source, Result: f.Result}
}

// noteEvents writes the facets and the days of events that are about to be
// stored, those that this store has not written yet.
func (s *Store) noteEvents(ctx context.Context, events []*audit.Stored) error {
	facets, days := map[string]any{}, map[string]any{}
	for _, e := range events {
		f := newFacetDoc(e.Event.Facet())
		facets[f.ID] = f
		day := dayOf(audit.TicksOf(e.Event.Time))
		days[day] = dayDoc{ID: day}
	}
	if err := s.note(ctx, facetsColl, facets); err != nil {
		return err
	}
	return s.note(ctx, daysColl, days)
}

// note writes documents, by their ids, that are written once and never change.
func (s *Store) note(ctx context.Context, name string, docs map[string]any) error {
	var missing []any
	// In one order: of two that insert the same in other orders, DocumentDB fails
	// one as deadlocked.
	for _, id := range slices.Sorted(maps.Keys(docs)) {
		if _, there := s.noted.Load(name + " " + id); !there {
			missing = append(missing, docs[id])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	coll, err := s.coll(ctx, name)
	if err != nil {
		return err
	}
	if _, err := insertNew(ctx, coll, missing); err != nil {
		return fmt.Errorf("note %s: %w", name, err)
	}
	for id := range docs {
		s.noted.Store(name+" "+id, true)
	}
	return nil
}

// Facets returns the combinations of values in the scope; see storetest.Trail.
func (s *Store) Facets(ctx context.Context, scope audit.Scope) ([]audit.Facet, error) {
	if scope.Nothing() {
		return nil, nil
	}
	coll, err := s.coll(ctx, facetsColl)
	if err != nil {
		return nil, err
	}
	var facets []audit.Facet
	for after := ""; len(facets) < maxFacets; {
		docs, err := findAll[facetDoc](ctx, coll, bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}},
			options.Find().SetSort(fields("_id")).SetLimit(maxFacets))
		if err != nil {
			return nil, fmt.Errorf("read facets: %w", err)
		}
		facets = appendSeen(facets, docs, scope)
		if len(docs) < maxFacets {
			break
		}
		after = docs[len(docs)-1].ID
	}
	return facets, nil
}

// appendSeen adds those that are in the scope, up to the bound. They are chosen
// here and not by the database, which holds their values as they were spelled.
func appendSeen(facets []audit.Facet, docs []facetDoc, scope audit.Scope) []audit.Facet {
	for _, d := range docs {
		if len(facets) < maxFacets && scope.Sees(d.Service, d.Operation) {
			facets = append(facets, audit.Facet{Service: d.Service, Operation: d.Operation, Category: d.Category, Source: d.Source, Result: d.Result})
		}
	}
	return facets
}
