package mongo

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	// throttled is the code of RU's "request rate is too large".
	// https://learn.microsoft.com/azure/cosmos-db/mongodb/error-codes-solutions
	throttled    = 16500
	duplicateKey = 11000

	maxTries  = 9                     // of an operation that is throttled: about 13 s in all
	firstWait = 50 * time.Millisecond // doubles from try to try
)

func isThrottled(err error) bool {
	se := mongo.ServerError(nil)
	return errors.As(err, &se) && se.HasErrorCode(throttled)
}

// patiently runs an operation that may be repeated, again for as long as the
// database says that it is asked too much.
func patiently(ctx context.Context, op func() error) error {
	for try := 1; ; try++ {
		err := op()
		if err == nil || !isThrottled(err) || try == maxTries {
			return err
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, try int) error {
	wait := firstWait << (try - 1)
	select {
	case <-time.After(wait/2 + rand.N(wait/2)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// insertNew inserts those of the documents whose _id is not there yet and
// returns how many that were. Those that were throttled are sent again.
func insertNew[T any](ctx context.Context, coll *mongo.Collection, docs []T) (int, error) {
	inserted := 0
	for try := 1; len(docs) > 0; try++ {
		_, err := coll.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
		refused, known, err := sortOut(docs, err)
		inserted += len(docs) - len(refused) - known
		if docs = refused; len(docs) == 0 || err != nil && (!isThrottled(err) || try == maxTries) {
			return inserted, err
		}
		if err := pause(ctx, try); err != nil {
			return inserted, err
		}
	}
	return inserted, nil
}

// sortOut reads an unordered insert's error: which documents were refused, how
// many were there already, and what is left of the error.
func sortOut[T any](docs []T, err error) (refused []T, known int, _ error) {
	if err == nil {
		return nil, 0, nil
	}
	bulk := mongo.BulkWriteException{}
	if !errors.As(err, &bulk) || bulk.WriteConcernError != nil {
		return docs, 0, err
	}
	var cause error
	for _, we := range bulk.WriteErrors {
		if we.Code == duplicateKey {
			known++
			continue
		}
		refused = append(refused, docs[we.Index])
		// One that is not a throttle decides: it would fail again.
		if cause == nil || isThrottled(cause) {
			cause = we.WriteError
		}
	}
	return refused, known, cause
}

// claim inserts a document whose _id is wanted by many and reports whether it
// is ours. The answer to an insert that the driver repeated can be "known"
// though the first try wrote it; then nobody has it, which all callers bear.
func claim(ctx context.Context, coll *mongo.Collection, doc any) (bool, error) {
	err := patiently(ctx, func() error {
		_, err := coll.InsertOne(ctx, doc)
		return err
	})
	if mongo.IsDuplicateKeyError(err) {
		return false, nil
	}
	return err == nil, err
}

// change updates one document and reports whether the filter found it.
func change(ctx context.Context, coll *mongo.Collection, filter, set bson.D) (bool, error) {
	found := false
	err := patiently(ctx, func() error {
		res, err := coll.UpdateOne(ctx, filter, bson.D{{Key: "$set", Value: set}})
		found = err == nil && res.MatchedCount > 0
		return err
	})
	return found, err
}

// bulkWrite makes changes that may be repeated, in any order.
func bulkWrite(ctx context.Context, coll *mongo.Collection, updates []mongo.WriteModel) error {
	_, err := bulkMatch(ctx, coll, updates)
	return err
}

// bulkSize is how many changes are sent at once: few enough for the smallest RU
// database to make within opTime, and to make again where it was throttled.
const bulkSize = 100

// bulkMatch is bulkWrite, and says how many documents the changes' filters
// found. What is repeated must be found again.
func bulkMatch(ctx context.Context, coll *mongo.Collection, updates []mongo.WriteModel) (matched int, _ error) {
	for part := range slices.Chunk(updates, bulkSize) {
		err := patiently(ctx, func() error {
			res, err := coll.BulkWrite(ctx, part, options.BulkWrite().SetOrdered(false))
			if err == nil {
				matched += int(res.MatchedCount)
			}
			return err
		})
		if err != nil {
			return matched, err
		}
	}
	return matched, nil
}

// deleteAll deletes what a filter finds and says how many that were.
func deleteAll(ctx context.Context, coll *mongo.Collection, filter bson.D) (deleted int, _ error) {
	err := patiently(ctx, func() error {
		res, err := coll.DeleteMany(ctx, filter)
		if res != nil { // some may be gone though others were throttled
			deleted += int(res.DeletedCount)
		}
		return err
	})
	return deleted, err
}

// findAll reads everything that a bounded query finds.
func findAll[T any](ctx context.Context, coll *mongo.Collection, filter bson.D, opts *options.FindOptionsBuilder) ([]T, error) {
	var docs []T
	err := patiently(ctx, func() error {
		docs = nil
		cur, err := coll.Find(ctx, filter, opts)
		if err != nil {
			return err
		}
		return cur.All(ctx, &docs)
	})
	return docs, err
}

// findOne reads fields, nil for all, of the document with an _id; found is false where there is none.
func findOne[T any](ctx context.Context, coll *mongo.Collection, id string, fields bson.D) (doc T, found bool, err error) {
	err = patiently(ctx, func() error {
		opts := options.FindOne()
		if len(fields) > 0 {
			opts.SetProjection(fields)
		}
		return coll.FindOne(ctx, byID(id), opts).Decode(&doc)
	})
	if errors.Is(err, mongo.ErrNoDocuments) {
		return doc, false, nil
	}
	return doc, err == nil, err
}

func byID(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }

func anyID(ids []string) bson.D {
	return bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}
}

func fields(names ...string) bson.D {
	d := make(bson.D, len(names))
	for i, name := range names {
		d[i] = bson.E{Key: name, Value: 1}
	}
	return d
}
