package mongo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A caller has one document for each slot of a quota's length in which
// something was let through. It is counted up by one atomic change that finds
// it only below a bound. Where nothing is found, it is inserted; when its _id is
// taken, it is at the bound, or another has just made it. So no slot ever counts
// more than the quota, however many ask at once. (An upsert would be both in one,
// but of two that upsert one _id at once DocumentDB fails one with an internal
// error.)
//
// The bound is the quota less the weight of the slot before, which was read
// first. That one is final once its time is over, but for callers whose clocks
// are behind: so much the sum of both can be too high.
type slotDoc struct {
	ID    string `bson:"_id"`
	N     int    `bson:"n"`
	Until int64  `bson:"until"` // from then on, in ns since 1970, it says nothing any more
}

const (
	maxTakes   = 5   // tries to count a request, while others make the same document
	sweepEvery = 16  // slots that this store begins between two sweeps
	sweepSize  = 256 // slots that one sweep removes at most: more than are begun meanwhile
)

// Take decides about one more request of a caller; see storetest.Quotas.
func (s *Store) Take(ctx context.Context, q audit.Quota, who string, now time.Time) (audit.Decision, error) {
	if q.Requests < 1 || q.Window <= 0 {
		return audit.Decision{}, fmt.Errorf("quota %q: expected a request or more in some time", q.Name)
	}
	coll, err := s.coll(ctx, quotasColl)
	if err != nil {
		return audit.Decision{}, err
	}
	t := newTaker(coll, q, who, now)
	decision, err := t.take(ctx)
	if err != nil {
		return audit.Decision{}, fmt.Errorf("count a request: %w", err)
	}
	if t.began && s.slots.Add(1)%sweepEvery == 1 {
		// Whether old counters are gone decides nothing; the next sweep tries again.
		_ = sweep(ctx, coll, now)
	}
	return decision, nil
}

// taker takes one request from a quota.
type taker struct {
	coll              *mongo.Collection
	quota             audit.Quota
	current, previous string // ids of the slots
	elapsed           time.Duration
	until             int64
	began             bool // the request was the slot's first
}

func newTaker(coll *mongo.Collection, q audit.Quota, who string, now time.Time) *taker {
	slot := now.UnixNano() / int64(q.Window)
	start := time.Unix(0, slot*int64(q.Window))
	return &taker{
		coll: coll, quota: q, current: slotID(q, who, slot), previous: slotID(q, who, slot-1),
		elapsed: now.Sub(start), until: start.Add(2 * q.Window).UnixNano(),
	}
}

// slotID hashes the caller. What the quota is called and its slots' length are
// part of it: slots of another length have other numbers.
func slotID(q audit.Quota, who string, slot int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s %d %s", len(q.Name), q.Name, q.Window, who))
	return fmt.Sprintf("%s|%d", hex.EncodeToString(sum[:16]), slot)
}

func (t *taker) take(ctx context.Context) (audit.Decision, error) {
	for range maxTakes {
		current, previous, err := t.counts(ctx)
		if err != nil {
			return audit.Decision{}, err
		}
		// Most refusals end here, and cost no write.
		if decision := t.quota.Slide(current, previous, t.elapsed); !decision.OK {
			return decision, nil
		}
		room := 1 + t.quota.Slide(0, previous, t.elapsed).Remaining
		n, counted, err := t.count(ctx, room)
		if err != nil {
			return audit.Decision{}, err
		}
		if counted {
			t.began = n == 1
			return t.quota.Slide(n-1, previous, t.elapsed), nil
		}
	}
	return audit.Decision{}, fmt.Errorf("too many at once: %w", audit.ErrBusy)
}

// counts reads what both slots have let through.
func (t *taker) counts(ctx context.Context) (current, previous int, _ error) {
	docs, err := findAll[slotDoc](ctx, t.coll, anyID([]string{t.current, t.previous}), options.Find())
	for _, d := range docs {
		if d.ID == t.current {
			current = d.N
		} else {
			previous = d.N
		}
	}
	return current, previous, err
}

// count adds one to the slot where it has let through fewer than room, and says
// how many these are then. It also counts nothing where another made the
// document at the same moment.
func (t *taker) count(ctx context.Context, room int) (n int, counted bool, _ error) {
	filter := append(byID(t.current), bson.E{Key: "n", Value: bson.D{{Key: "$lt", Value: room}}})
	var doc slotDoc
	err := patiently(ctx, func() error {
		return t.coll.FindOneAndUpdate(ctx, filter, bson.D{{Key: "$inc", Value: fields("n")}}, options.FindOneAndUpdate().SetReturnDocument(options.After)).Decode(&doc)
	})
	if !errors.Is(err, mongo.ErrNoDocuments) {
		return doc.N, err == nil, err
	}
	ours, err := claim(ctx, t.coll, slotDoc{ID: t.current, N: 1, Until: t.until})
	return 1, ours, err
}

// sweep removes some of the slots that say nothing any more.
func sweep(ctx context.Context, coll *mongo.Collection, now time.Time) error {
	over := bson.D{{Key: "until", Value: bson.D{{Key: "$lte", Value: now.UnixNano()}}}}
	docs, err := findAll[slotDoc](ctx, coll, over, options.Find().SetLimit(sweepSize).SetProjection(fields("_id")))
	if err != nil || len(docs) == 0 {
		return err
	}
	ids := make([]string, len(docs))
	for i, d := range docs {
		ids[i] = d.ID
	}
	_, err = deleteAll(ctx, coll, anyID(ids))
	return err
}
