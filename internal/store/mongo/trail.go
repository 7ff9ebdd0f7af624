package mongo

import (
	"context"
	"fmt"
	"time"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// maxUnfinished is how many unfinished blocks one look takes in: far more than
// there are writers.
const maxUnfinished = 10_000

// Widths of the spans of numbers that are read at a time. Few blocks are full,
// so spans grow until there are enough events; but where there are some, not
// without end: a span's events are sorted in memory on vCore.
const (
	firstSpan = 4 * blockSize
	maxSpan   = 64 * blockSize
)

// After returns events in insertion order; see storetest.Trail. Along the way
// it gives up blocks whose writers stopped and renumbers what came late.
func (s *Store) After(ctx context.Context, seq int64, limit int) ([]audit.Sequenced, error) {
	events, err := s.after(ctx, seq, limit)
	if err != nil {
		return nil, fmt.Errorf("read events after number %d: %w", seq, err)
	}
	return events, nil
}

func (s *Store) after(ctx context.Context, seq int64, limit int) ([]audit.Sequenced, error) {
	if limit < 1 {
		return nil, audit.Invalid("limit", fmt.Sprintf("expected 1 or more, got %d", limit))
	}
	fence, err := s.fence(ctx)
	if err != nil {
		return nil, err
	}
	coll, err := s.coll(ctx, eventsColl)
	if err != nil {
		return nil, err
	}
	found := make([]audit.Sequenced, 0, min(limit, blockSize))
	from := max(seq+1, block(1).first())
	for span := int64(firstSpan); from < fence && len(found) < limit; {
		to := min(from+span, fence)
		rows, err := findAll[storedEvent](ctx, coll, between("seq", from, to),
			options.Find().SetSort(bson.D{{Key: "seq", Value: 1}}).SetLimit(int64(limit-len(found))).SetProjection(fields("t", "seq", "event")))
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			found = append(found, audit.Sequenced{Seq: row.Seq, Event: row.event()})
		}
		from, span = to, 4*span
		if len(rows) > 0 {
			span = min(span, maxSpan)
		}
	}
	return found, nil
}

// fence returns the first number that readers must not reach yet.
func (s *Store) fence(ctx context.Context) (int64, error) {
	coll, err := s.coll(ctx, blocksColl)
	if err != nil {
		return 0, err
	}
	for {
		// The last block first: one that is claimed after this look is beyond the
		// fence, whether the next look sees it or not.
		last, err := s.findLastBlock(ctx, coll)
		if err != nil {
			return 0, err
		}
		unfinished := bson.D{{Key: "state", Value: bson.D{{Key: "$in", Value: bson.A{blockOpen, blockGivenUp}}}}}
		docs, err := findAll[blockDoc](ctx, coll, unfinished, options.Find().SetLimit(maxUnfinished))
		if err != nil {
			return 0, fmt.Errorf("look for open blocks: %w", err)
		}
		lowest, renumbered, err := s.tend(ctx, docs, last+1)
		if err != nil || !renumbered {
			return lowest.first(), err
		}
	}
}

// tend gives up blocks that were open for too long, renumbers those given up
// long enough ago, and returns the lowest that readers must still wait for. It
// says whether any were renumbered, for those events are in a new block then.
func (s *Store) tend(ctx context.Context, docs []blockDoc, lowest block) (_ block, renumbered bool, _ error) {
	now := s.now()
	for _, d := range docs {
		b, err := d.block()
		if err != nil {
			return 0, false, err
		}
		age := now.Sub(time.Unix(0, d.At))
		switch {
		case d.State == blockGivenUp && age >= lookAgain:
			err, renumbered = s.renumber(ctx, b), true
		case d.State == blockOpen && age >= giveUp:
			_, err = s.moveOn(ctx, b, blockOpen, blockGivenUp)
		case d.State == blockOpen:
			lowest = min(lowest, b)
		}
		if err != nil {
			return 0, false, err
		}
	}
	return lowest, renumbered, nil
}
