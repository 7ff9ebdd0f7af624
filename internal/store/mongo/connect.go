package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

const (
	selectTime = 5 * time.Second  // to find a server
	opTime     = 30 * time.Second // for one operation; the driver sends what is left of it as maxTimeMS
)

// The collections.
const (
	rawColl        = "raw"
	eventsColl     = "events"
	facetsColl     = "facets"
	daysColl       = "days"
	blocksColl     = "blocks"
	feedsColl      = "feeds"
	windowsColl    = "windows"
	leasesColl     = "leases"
	jobsColl       = "jobs"
	quarantineColl = "quarantine"
	contentColl    = "blobs" // content blobs; blocksColl is another thing
	namesColl      = "names"
	quotasColl     = "quotas"
	instancesColl  = "instances"
)

// indexes lists what is indexed besides _id: twelve in all, none unique, since
// RU takes unique ones only while a collection is empty. (vCore allows 64 a
// collection.) RU needs an index for every sort, and cannot put an array into a
// compound one; it combines single ones instead.
// https://learn.microsoft.com/azure/cosmos-db/mongodb/indexing
func indexes(ru bool) map[string][]bson.D {
	byKey := bson.D{{Key: "k", Value: 1}, {Key: "t", Value: -1}, {Key: "_id", Value: -1}}
	if ru {
		byKey = byKey[:1]
	}
	return map[string][]bson.D{
		eventsColl: {
			{{Key: "t", Value: -1}, {Key: "_id", Value: -1}}, // pages
			byKey,                    // filters
			{{Key: "w", Value: 1}},   // search terms
			{{Key: "seq", Value: 1}}, // insertion order
		},
		blocksColl:    {{{Key: "state", Value: 1}}},
		windowsColl:   {{{Key: "source", Value: 1}, {Key: "next", Value: 1}, {Key: "start", Value: -1}}, {{Key: "held", Value: 1}}},
		contentColl:   {{{Key: "source", Value: 1}, {Key: "next", Value: 1}}, {{Key: "source", Value: 1}, {Key: "created", Value: 1}, {Key: "_id", Value: 1}}},
		jobsColl:      {{{Key: "at", Value: -1}, {Key: "_id", Value: -1}}},
		quotasColl:    {{{Key: "until", Value: 1}}},
		instancesColl: {{{Key: "at", Value: -1}, {Key: "_id", Value: -1}}},
	}
}

// database returns the database, connected and with its indexes. Callers that
// come while another connects wait for its outcome, as long as they may.
func (s *Store) database(ctx context.Context) (*mongo.Database, error) {
	if client := s.client.Load(); client != nil {
		s.renewWhenDue()
		return client.Database(s.name), nil
	}
	select {
	case s.dialling <- struct{}{}:
		defer func() { <-s.dialling }()
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to the database: %w", ctx.Err())
	}
	if s.closed.Load() {
		return nil, errClosed
	}
	if client := s.client.Load(); client != nil {
		return client.Database(s.name), nil
	}
	client, err := s.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return client.Database(s.name), nil
}

// connect makes the first client. It is for who holds the token.
func (s *Store) connect(ctx context.Context) (*mongo.Client, error) {
	if err := checkName(s.name); err != nil {
		return nil, err
	}
	uri, err := s.connectionString(ctx)
	if err != nil {
		return nil, err
	}
	client, err := s.dial(ctx, uri)
	if err != nil {
		return nil, err
	}
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.closed.Load() {
		_ = disconnect(client) // nobody has used it
		return nil, errClosed
	}
	s.uri = uri
	s.client.Store(client)
	return client, nil
}

func (s *Store) dial(ctx context.Context, uri string) (*mongo.Client, error) {
	// The appName stays the one of the URI, which RU hands out.
	client, err := mongo.Connect(options.Client().ApplyURI(uri).
		SetServerSelectionTimeout(selectTime).
		SetTimeout(opTime).
		SetPoolMonitor(s.watchPool()).
		SetMonitor(s.watchCommands()).
		// Blocks and leases rely on reading what was just written.
		SetReadPreference(readpref.Primary()).
		SetBSONOptions(&options.BSONOptions{UseJSONStructTags: true}))
	if err != nil {
		return nil, err
	}
	if err := s.makeIndexes(ctx, client.Database(s.name), isRU(uri)); err != nil {
		_ = client.Disconnect(context.WithoutCancel(ctx)) // the error that matters is the other
		return nil, err
	}
	return client, nil
}

func (s *Store) makeIndexes(ctx context.Context, db *mongo.Database, ru bool) error {
	for name, keys := range indexes(ru) {
		err := patiently(ctx, func() error { return makeMissing(ctx, db.Collection(name).Indexes(), keys) })
		if err != nil {
			return fmt.Errorf("make the indexes of %s: %w", name, err)
		}
	}
	return nil
}

// makeMissing makes those indexes that are not there. Once all are, starting
// needs no right to make any.
func makeMissing(ctx context.Context, view mongo.IndexView, keys []bson.D) error {
	there, err := view.ListSpecifications(ctx)
	if err != nil {
		return err
	}
	var models []mongo.IndexModel
	for _, k := range keys {
		name := indexName(k)
		if !slices.ContainsFunc(there, func(spec mongo.IndexSpecification) bool { return spec.Name == name }) {
			models = append(models, mongo.IndexModel{Keys: k, Options: options.Index().SetName(name)})
		}
	}
	if len(models) == 0 {
		return nil
	}
	_, err = view.CreateMany(ctx, models)
	return err
}

// indexName is the name that MongoDB itself would give an index.
func indexName(keys bson.D) string {
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = fmt.Sprintf("%s_%v", k.Key, k.Value)
	}
	return strings.Join(parts, "_")
}

// isRU reports whether a URI is of Cosmos DB for MongoDB RU, by the name that
// its hosts have in all Azure clouds; vCore's is .mongocluster.cosmos.azure.
func isRU(uri string) bool { return strings.Contains(uri, ".mongo.cosmos.azure.") }

// coll returns a collection, connecting where that was not done yet.
func (s *Store) coll(ctx context.Context, name string) (*mongo.Collection, error) {
	db, err := s.database(ctx)
	if err != nil {
		return nil, err
	}
	return db.Collection(name), nil
}
