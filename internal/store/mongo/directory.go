package mongo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// nameDoc is what a directory said of an id.
type nameDoc struct {
	ID    string `bson:"_id"`
	Found bool   `bson:"found"`
	Name  string `bson:"name"`
	UPN   string `bson:"upn"`
	Type  string `bson:"type"`
	Until int64  `bson:"until"` // in ns since 1970
}

func (d *nameDoc) known() audit.KnownName {
	return audit.KnownName{Identity: audit.Identity{Name: d.Name, UPN: d.UPN, Type: d.Type}, Found: d.Found, Until: moment(d.Until)}
}

// KnownNames returns what is kept of ids; see storetest.Names.
func (s *Store) KnownNames(ctx context.Context, ids []string, now time.Time) (map[string]audit.KnownName, error) {
	coll, err := s.coll(ctx, namesColl)
	if err != nil {
		return nil, err
	}
	known := map[string]audit.KnownName{}
	for part := range slices.Chunk(ids, blockSize) {
		filter := append(anyID(part), bson.E{Key: "until", Value: bson.D{{Key: "$gt", Value: now.UnixNano()}}})
		docs, err := findAll[nameDoc](ctx, coll, filter, options.Find())
		if err != nil {
			return nil, fmt.Errorf("read names: %w", err)
		}
		for i := range docs {
			known[docs[i].ID] = docs[i].known()
		}
	}
	return known, nil
}

// KeepNames adds or overwrites; see storetest.Names.
func (s *Store) KeepNames(ctx context.Context, names map[string]audit.KnownName) error {
	coll, err := s.coll(ctx, namesColl)
	if err != nil {
		return err
	}
	docs := make([]nameDoc, 0, len(names))
	for id, n := range names {
		docs = append(docs, nameDoc{ID: id, Found: n.Found, Name: valid(n.Identity.Name), UPN: valid(n.Identity.UPN), Type: valid(n.Identity.Type), Until: nanos(n.Until)})
	}
	for part := range slices.Chunk(docs, blockSize) {
		if err := keepNames(ctx, coll, part); err != nil {
			return fmt.Errorf("keep names: %w", err)
		}
	}
	return nil
}

// keepNames inserts what is new and overwrites the rest: two that upsert one
// _id at once could refuse each other.
func keepNames(ctx context.Context, coll *mongo.Collection, docs []nameDoc) error {
	added, err := insertNew(ctx, coll, docs)
	if err != nil || added == len(docs) {
		return err
	}
	models := make([]mongo.WriteModel, len(docs))
	for i := range docs {
		models[i] = mongo.NewReplaceOneModel().SetFilter(byID(docs[i].ID)).SetReplacement(docs[i])
	}
	return bulkWrite(ctx, coll, models)
}
