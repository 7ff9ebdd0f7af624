package mongo

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A lease is one document for each fence that was given out, the newest being
// the claim. It is claimed by inserting the next fence's _id, renewed and
// released by changing its own document, and documents of older fences are
// deleted. Two things could go wrong between reading the newest and inserting
// the next, and are looked for after the insert:
//
//   - the process slept so long that its fence had been given out and deleted:
//     then a newer one is there;
//   - the old holder renewed at that very moment. Renewing changes the document
//     and then looks for a newer one, claiming inserts the newer one and then
//     looks at the old document: at least one of the two sees the other, and
//     gives way.
type leaseDoc struct {
	ID      string `bson:"_id"`
	Holder  string `bson:"holder"`
	Expires int64  `bson:"expires"` // in ns since 1970; 0 once it was released
}

// leasePrefix begins the ids of a name's documents. Escaping keeps a name from
// beginning another name's ids.
func leasePrefix(name string) string { return url.QueryEscape(name) + "|" }

func leaseID(name string, fence int64) string {
	return fmt.Sprintf("%s%016d", leasePrefix(name), fence)
}

func (d *leaseDoc) fence() (int64, error) {
	n, err := strconv.ParseInt(d.ID[strings.LastIndexByte(d.ID, '|')+1:], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("lease %q: %w", d.ID, err)
	}
	return n, nil
}

// blocks reports whether the claim keeps a holder from claiming.
func (d *leaseDoc) blocks(holder string, now time.Time) bool {
	return d.Holder != holder && d.Expires > now.UnixNano()
}

// Acquire claims a name; see storetest.Leases.
func (s *Store) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (audit.Lease, error) {
	coll, err := s.coll(ctx, leasesColl)
	if err != nil {
		return audit.Lease{}, err
	}
	lease := audit.Lease{Name: name, Holder: holder, Fence: 1, Expires: s.now().Add(ttl)}
	docs, err := newestLeases(ctx, coll, name)
	if err != nil {
		return audit.Lease{}, err
	}
	if len(docs) > 0 {
		newest, err := docs[0].fence()
		if err != nil {
			return audit.Lease{}, err
		}
		if docs[0].blocks(holder, s.now()) {
			return audit.Lease{}, busy(name)
		}
		lease.Fence = newest + 1
	}
	ours, err := claim(ctx, coll, leaseDoc{ID: leaseID(name, lease.Fence), Holder: holder, Expires: lease.Expires.UnixNano()})
	if err != nil {
		return audit.Lease{}, fmt.Errorf("acquire lease %s: %w", name, err)
	}
	if !ours {
		return audit.Lease{}, busy(name)
	}
	return lease, s.confirm(ctx, coll, lease)
}

func busy(name string) error { return fmt.Errorf("acquire lease %s: %w", name, audit.ErrBusy) }

// confirm makes sure of a claim that was just made, or takes it back.
func (s *Store) confirm(ctx context.Context, coll *mongo.Collection, lease audit.Lease) error {
	id := leaseID(lease.Name, lease.Fence)
	docs, err := newestLeases(ctx, coll, lease.Name)
	if err != nil {
		return err
	}
	if len(docs) == 0 || docs[0].ID != id || len(docs) > 1 && docs[1].blocks(lease.Holder, s.now()) {
		if err := deleteLeases(ctx, coll, byID(id)); err != nil {
			return err
		}
		return busy(lease.Name)
	}
	return deleteLeases(ctx, coll, bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: leasePrefix(lease.Name)}, {Key: "$lt", Value: id}}}})
}

func deleteLeases(ctx context.Context, coll *mongo.Collection, filter bson.D) error {
	if _, err := deleteAll(ctx, coll, filter); err != nil {
		return fmt.Errorf("delete old leases: %w", err)
	}
	return nil
}

// newestLeases returns a name's two newest documents, newest first. There are
// seldom more.
func newestLeases(ctx context.Context, coll *mongo.Collection, name string) ([]leaseDoc, error) {
	prefix := leasePrefix(name)
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: prefix}, {Key: "$lt", Value: successor(prefix)}}}}
	docs, err := findAll[leaseDoc](ctx, coll, filter, options.Find().SetSort(bson.D{{Key: "_id", Value: -1}}).SetLimit(2))
	if err != nil {
		return nil, fmt.Errorf("read lease %s: %w", name, err)
	}
	return docs, nil
}

// Renew makes a lease last longer; see storetest.Leases.
func (s *Store) Renew(ctx context.Context, lease audit.Lease, ttl time.Duration) (audit.Lease, error) {
	coll, err := s.coll(ctx, leasesColl)
	if err != nil {
		return audit.Lease{}, err
	}
	id := leaseID(lease.Name, lease.Fence)
	lease.Expires = s.now().Add(ttl)
	found, err := change(ctx, coll, byID(id), bson.D{{Key: "expires", Value: lease.Expires.UnixNano()}})
	if err != nil {
		return audit.Lease{}, fmt.Errorf("renew lease %s: %w", lease.Name, err)
	}
	docs, err := newestLeases(ctx, coll, lease.Name)
	if err != nil {
		return audit.Lease{}, err
	}
	if !found || len(docs) == 0 || docs[0].ID != id {
		return audit.Lease{}, fmt.Errorf("renew lease %s: %w", lease.Name, audit.ErrFenced)
	}
	return lease, nil
}

// Release ends a lease early; see storetest.Leases. Its document stays, for the
// next fence must be higher.
func (s *Store) Release(ctx context.Context, lease audit.Lease) error {
	coll, err := s.coll(ctx, leasesColl)
	if err != nil {
		return err
	}
	if _, err := change(ctx, coll, byID(leaseID(lease.Name, lease.Fence)), bson.D{{Key: "expires", Value: 0}}); err != nil {
		return fmt.Errorf("release lease %s: %w", lease.Name, err)
	}
	return nil
}
