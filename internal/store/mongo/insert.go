package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// writeTime is how long the events of one block may take to be inserted. It is
// well below giveUp: a writer that lives is done, or has failed, before readers
// stop to wait for it.
const writeTime = time.Minute

// Insert makes a batch durable; see storetest.Events. A record too large for a
// document refuses the whole batch with an audit.InvalidError that names it,
// before anything is stored.
func (s *Store) Insert(ctx context.Context, batch []audit.Stored) (audit.Inserted, error) {
	fresh, err := s.unknown(ctx, batch)
	if err == nil {
		err = checkSizes(fresh)
	}
	counts := audit.Inserted{}
	for part := range slices.Chunk(fresh, blockSize) {
		if err != nil {
			break
		}
		var n int
		n, err = s.insertPart(ctx, part)
		counts.New += n
	}
	if err != nil {
		return counts, fmt.Errorf("insert events: %w", err)
	}
	counts.Known = len(batch) - counts.New
	return counts, nil
}

// unknown returns those of a batch whose ids are not stored, each id once and
// as it came first. Windows are listed again several times, so most batches are
// known, and knowing it first saves sending them.
func (s *Store) unknown(ctx context.Context, batch []audit.Stored) ([]*audit.Stored, error) {
	var ids []string
	first := make(map[string]*audit.Stored, len(batch))
	for i := range batch {
		if id := batch[i].Event.ID; first[id] == nil {
			first[id] = &batch[i]
			ids = append(ids, id)
		}
	}
	events, err := s.coll(ctx, eventsColl)
	if err != nil {
		return nil, err
	}
	for part := range slices.Chunk(ids, blockSize) {
		there, err := findAll[storedEvent](ctx, events, anyID(part), options.Find().SetProjection(fields("_id")))
		if err != nil {
			return nil, fmt.Errorf("look for known events: %w", err)
		}
		for _, e := range there {
			delete(first, e.ID)
		}
	}
	var fresh []*audit.Stored
	for _, id := range ids {
		if e := first[id]; e != nil {
			fresh = append(fresh, e)
		}
	}
	return fresh, nil
}

// checkSizes refuses records whose documents would be too large. Only large
// ones are encoded for it: compression adds next to nothing.
func checkSizes(batch []*audit.Stored) error {
	for _, e := range batch {
		if len(e.Raw.Bytes) < maxDoc/8 {
			continue
		}
		if _, err := newRawDoc(e); err != nil {
			return err
		}
		if _, err := newEventDoc(e); err != nil {
			return err
		}
	}
	return nil
}

// insertPart stores what fits into one block of numbers: raw bytes, then what
// must be known before the events are seen, then the events themselves.
func (s *Store) insertPart(ctx context.Context, part []*audit.Stored) (int, error) {
	docs, err := s.prepare(ctx, part)
	if err != nil {
		return 0, err
	}
	b, err := s.openBlock(ctx)
	if err != nil {
		return 0, err
	}
	n, err := s.insertEvents(ctx, b, 0, docs)
	// After an answer about every event nothing of them can come later; after
	// any other failure it can, and the block stays open until it is given up.
	if answer := (mongo.WriteError{}); err != nil && !errors.As(err, &answer) {
		return n, err
	}
	err = errors.Join(err, s.closeBlock(ctx, b))
	if err != nil || n == 0 {
		return n, err
	}
	return n, s.countDays(ctx, docs)
}

// prepare makes durable all that events need before them, and encodes them.
func (s *Store) prepare(ctx context.Context, part []*audit.Stored) ([]eventDoc, error) {
	docs := make([]eventDoc, len(part))
	raws := make([]rawDoc, len(part))
	for i, e := range part {
		var err error
		if docs[i], err = newEventDoc(e); err != nil {
			return nil, err
		}
		if raws[i], err = newRawDoc(e); err != nil {
			return nil, err
		}
	}
	coll, err := s.coll(ctx, rawColl)
	if err != nil {
		return nil, err
	}
	if _, err := insertNew(ctx, coll, raws); err != nil {
		return nil, fmt.Errorf("store raw records: %w", err)
	}
	return docs, s.noteEvents(ctx, part)
}

// insertEvents stores events under a block's numbers from its i-th on and
// returns how many were new.
func (s *Store) insertEvents(ctx context.Context, b block, i int, docs []eventDoc) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	coll, err := s.coll(ctx, eventsColl)
	if err != nil {
		return 0, err
	}
	for j := range docs {
		docs[j].Seq = b.first() + int64(i+j)
	}
	return insertNew(ctx, coll, docs)
}
