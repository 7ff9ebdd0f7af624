package mongo

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Events are numbered in the order in which they became durable, although
// several processes write and any of them may stop at any point.
//
// A writer claims block n+1, where n is the last there is, by inserting its _id:
// two cannot have it, and since only the next is ever claimed and none is ever
// deleted there are no gaps, so the last one is found by looking up single ids.
// It inserts its events under the block's numbers and closes the block. A
// reader looks which block is the last, then which are open, then reads events
// below the lowest open one: of the blocks below that one nothing can come
// later, and of the blocks after the last it has read nothing yet.
//
// Where a writer stops, the following becomes of its batch:
//
//   - before it claimed a block: raw records, facets and days without events.
//     Nobody sees raw records alone; the batch is inserted again by its caller.
//   - with its block open: readers wait for giveUp since it was claimed. Then
//     one of them gives it up, and they read what is there and go on.
//   - after it closed the block: everything is stored.
//
// A writer that was only slow may insert events under numbers that readers have
// passed. When it then closes the block it finds it given up, and gives its
// events new numbers in a new block. If it dies before that, a reader does it:
// given-up blocks are looked at again after lookAgain, and all events in them
// get new numbers, whether they were seen or not: a reader gets them at least
// once. An insert ends within writeTime, so nothing comes after that; and if it
// did (a process frozen for minutes in the middle of sending), its writer would
// still find its block gone and renumber.
//
// Renumbering moves an event by its id and its old number, so that of two that
// do it one has it, and it claims, fills and closes a block as any writer does:
// whoever stops in the middle leaves the rest in the old block, which is looked
// at again until it is empty, and what was moved in an open block, which is
// given up and looked at in its turn.
const (
	blockSize = 1000            // numbers in a block
	giveUp    = 2 * time.Minute // how long an open block holds readers back
	lookAgain = 3 * giveUp      // how long after that its events get new numbers
)

// The states of a block.
const (
	blockOpen    = "open"     // its writer is at work, or stopped
	blockClosed  = "closed"   // its events are durable
	blockGivenUp = "given up" // readers passed it; events may have come since
	blockEmptied = "emptied"  // given up, and its events have other numbers
)

// block is a block of sequence numbers, counted from 1.
type block int64

func (b block) id() string   { return fmt.Sprintf("%012d", int64(b)) }
func (b block) first() int64 { return int64(b) * blockSize }

// blockDoc is a block's document.
type blockDoc struct {
	ID    string `bson:"_id"`
	State string `bson:"state"`
	At    int64  `bson:"at"` // when it came to that state, in ns since 1970 by the clock of who did it
}

func (d *blockDoc) block() (block, error) {
	n, err := strconv.ParseInt(d.ID, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("block %q: %w", d.ID, err)
	}
	return block(n), nil
}

// openBlock claims the next block.
func (s *Store) openBlock(ctx context.Context) (block, error) {
	coll, err := s.coll(ctx, blocksColl)
	if err != nil {
		return 0, err
	}
	for {
		last, err := s.findLastBlock(ctx, coll)
		if err != nil {
			return 0, err
		}
		next := last + 1
		ours, err := claim(ctx, coll, blockDoc{ID: next.id(), State: blockOpen, At: s.now().UnixNano()})
		if err != nil {
			return 0, fmt.Errorf("claim block %d: %w", next, err)
		}
		if ours {
			return next, nil
		}
	}
}

// findLastBlock returns the last block there is, 0 for none. It goes on from
// the last one that it found, in steps that double and then halve.
func (s *Store) findLastBlock(ctx context.Context, coll *mongo.Collection) (block, error) {
	low := block(s.lastBlock.Load())
	exists := func(b block) (bool, error) {
		_, found, err := findOne[blockDoc](ctx, coll, b.id(), fields("_id"))
		if err != nil {
			return false, fmt.Errorf("look for block %d: %w", b, err)
		}
		return found, nil
	}
	step, growing := block(1), true
	for step > 0 {
		found, err := exists(low + step)
		if err != nil {
			return 0, err
		}
		if found {
			low += step
		}
		if growing = growing && found; growing {
			step *= 2
		} else {
			step /= 2
		}
	}
	s.lastBlock.Store(int64(low))
	return low, nil
}

// closeBlock says that a block's events are durable. If readers stopped to wait
// for it meanwhile, its events get new numbers.
func (s *Store) closeBlock(ctx context.Context, b block) error {
	inTime, err := s.moveOn(ctx, b, blockOpen, blockClosed)
	if err != nil || inTime {
		return err
	}
	return s.renumber(ctx, b)
}

// moveOn changes a block's state and reports whether it was in the old one.
func (s *Store) moveOn(ctx context.Context, b block, from, to string) (bool, error) {
	coll, err := s.coll(ctx, blocksColl)
	if err != nil {
		return false, err
	}
	filter := bson.D{{Key: "_id", Value: b.id()}, {Key: "state", Value: from}}
	found, err := change(ctx, coll, filter, bson.D{{Key: "state", Value: to}, {Key: "at", Value: s.now().UnixNano()}})
	if err != nil {
		return false, fmt.Errorf("make block %d %s: %w", b, to, err)
	}
	return found, nil
}

// renumber gives the events of a given-up block numbers in new ones, until it
// is empty.
func (s *Store) renumber(ctx context.Context, old block) error {
	coll, err := s.coll(ctx, eventsColl)
	if err != nil {
		return err
	}
	for {
		rows, err := findAll[storedEvent](ctx, coll, between("seq", old.first(), (old+1).first()), options.Find().SetProjection(fields("seq")))
		if err != nil {
			return fmt.Errorf("read block %d: %w", old, err)
		}
		if len(rows) == 0 {
			_, err := s.moveOn(ctx, old, blockGivenUp, blockEmptied)
			return err
		}
		fresh, err := s.openBlock(ctx)
		if err != nil {
			return err
		}
		if err := move(ctx, coll, rows, fresh); err != nil {
			return fmt.Errorf("renumber block %d: %w", old, err)
		}
		if err := s.closeBlock(ctx, fresh); err != nil {
			return err
		}
	}
}

// move gives each event a number of the block, unless another did so first.
func move(ctx context.Context, coll *mongo.Collection, rows []storedEvent, to block) error {
	updates := make([]mongo.WriteModel, len(rows))
	for i, e := range rows {
		updates[i] = mongo.NewUpdateOneModel().
			SetFilter(bson.D{{Key: "_id", Value: e.ID}, {Key: "seq", Value: e.Seq}}).
			SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: "seq", Value: to.first() + int64(i)}}}})
	}
	return bulkWrite(ctx, coll, updates)
}

// between is the range from..to-1 of a field.
func between(field string, from, to int64) bson.D {
	return bson.D{{Key: field, Value: bson.D{{Key: "$gte", Value: from}, {Key: "$lt", Value: to}}}}
}
