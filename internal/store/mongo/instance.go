package mongo

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	maxInstances = 200            // returned at most
	forgetAfter  = 24 * time.Hour // an instance that has not told anything for so long
)

// instanceDoc is what a process told of itself.
type instanceDoc struct {
	ID   string `bson:"_id"`
	At   int64  `bson:"at"` // in ns since 1970
	JSON string `bson:"json"`
}

// SaveInstance overwrites what an instance told before; see storetest.Instances.
func (s *Store) SaveInstance(ctx context.Context, instance audit.Instance) error {
	coll, err := s.coll(ctx, instancesColl)
	if err != nil {
		return err
	}
	instance.Started, instance.At = instance.Started.UTC(), instance.At.UTC()
	body, err := json.Marshal(instance)
	if err != nil {
		return fmt.Errorf("encode instance: %w", err)
	}
	doc := instanceDoc{ID: valid(instance.ID), At: nanos(instance.At), JSON: string(body)}
	there, err := change(ctx, coll, byID(doc.ID), bson.D{{Key: "at", Value: doc.At}, {Key: "json", Value: doc.JSON}})
	if err == nil && !there {
		_, err = claim(ctx, coll, doc)
	}
	if err != nil {
		return fmt.Errorf("save instance: %w", err)
	}
	old := bson.D{{Key: "at", Value: bson.D{{Key: "$lt", Value: s.now().Add(-forgetAfter).UnixNano()}}}}
	if _, err := deleteAll(ctx, coll, old); err != nil {
		return fmt.Errorf("forget instances: %w", err)
	}
	return nil
}

// Instances returns those that told something lately; see storetest.Instances.
func (s *Store) Instances(ctx context.Context, since time.Time) ([]audit.Instance, error) {
	coll, err := s.coll(ctx, instancesColl)
	if err != nil {
		return nil, err
	}
	lately := bson.D{{Key: "at", Value: bson.D{{Key: "$gte", Value: nanos(since)}}}}
	docs, err := findAll[instanceDoc](ctx, coll, lately, options.Find().SetSort(bson.D{{Key: "at", Value: -1}, {Key: "_id", Value: -1}}).SetLimit(maxInstances))
	if err != nil {
		return nil, fmt.Errorf("read instances: %w", err)
	}
	list := make([]audit.Instance, len(docs))
	for i, d := range docs {
		if err := json.Unmarshal([]byte(d.JSON), &list[i]); err != nil {
			return nil, fmt.Errorf("decode instance %s: %w", d.ID, err)
		}
	}
	return list, nil
}
