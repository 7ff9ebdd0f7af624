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

// maxRounds is how often something is tried again after others were faster.
const maxRounds = 5

// handOut holds up to limit rows that are due, and looks for others instead of
// those that somebody else held first.
func handOut[T any](limit int, due func(limit int) ([]T, error), hold func(row *T) (bool, error)) (held []T, _ error) {
	for range maxRounds {
		rows, err := due(limit - len(held))
		if err != nil {
			return held, fmt.Errorf("look for what is due: %w", err)
		}
		before := len(held)
		for _, row := range rows {
			ours, err := hold(&row)
			if err != nil {
				return held, fmt.Errorf("hold: %w", err)
			}
			if ours {
				held = append(held, row)
			}
		}
		if len(held)-before == len(rows) { // nobody was faster
			break
		}
	}
	return held, nil
}

// dueRows asks for each source by itself: so many rows of each at most are
// read, in the index's order, however many are due. The order begins with the
// source too, though it is one: RU sorts by whole indexes only.
func dueRows[T any](ctx context.Context, coll *mongo.Collection, sources []audit.Source, now time.Time, limit int, order bson.D, compare func(a, b T) int) ([]T, error) {
	if limit < 1 {
		return nil, nil
	}
	at := now.UnixNano()
	var due []T
	for _, source := range slices.Compact(slices.Sorted(slices.Values(sources))) {
		filter := bson.D{
			{Key: "source", Value: source},
			{Key: "next", Value: bson.D{{Key: "$gt", Value: 0}, {Key: "$lte", Value: at}}},
			{Key: "held", Value: bson.D{{Key: "$lte", Value: at}}},
		}
		of, err := findAll[T](ctx, coll, filter, options.Find().SetSort(order).SetLimit(int64(limit)))
		if err != nil {
			return nil, err
		}
		due = append(due, of...)
	}
	slices.SortStableFunc(due, compare)
	return due[:min(limit, len(due))], nil
}

// holdRow holds a row for us, unless it was held or saved since it was read.
func holdRow(ctx context.Context, coll *mongo.Collection, id string, next, held, till int64) (bool, error) {
	filter := bson.D{{Key: "_id", Value: id}, {Key: "held", Value: held}, {Key: "next", Value: next}}
	return change(ctx, coll, filter, bson.D{{Key: "held", Value: till}})
}
