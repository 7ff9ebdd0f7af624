package mongo

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Raws returns evidence by id; see storetest.Upkeep. Bytes that do not match
// their hash any more are an error.
func (s *Store) Raws(ctx context.Context, ids []string) (map[string]audit.Raw, error) {
	raws := make(map[string]audit.Raw, len(ids))
	for part := range slices.Chunk(ids, blockSize) {
		there, err := s.find(ctx, part, "_id")
		if err != nil {
			return nil, err
		}
		if err := s.addRaws(ctx, raws, idsOf(there)); err != nil {
			return nil, err
		}
	}
	return raws, nil
}

func (s *Store) addRaws(ctx context.Context, raws map[string]audit.Raw, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	coll, err := s.coll(ctx, rawColl)
	if err != nil {
		return err
	}
	docs, err := findAll[rawDoc](ctx, coll, anyID(ids), options.Find())
	if err != nil {
		return fmt.Errorf("read raw records: %w", err)
	}
	for i := range docs {
		if raws[docs[i].ID], err = docs[i].raw(); err != nil {
			return err
		}
	}
	return nil
}

// find reads some fields of those of the ids that are stored.
func (s *Store) find(ctx context.Context, ids []string, names ...string) ([]storedEvent, error) {
	coll, err := s.coll(ctx, eventsColl)
	if err != nil {
		return nil, err
	}
	rows, err := findAll[storedEvent](ctx, coll, anyID(ids), options.Find().SetProjection(fields(names...)))
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return rows, nil
}

func idsOf(rows []storedEvent) []string {
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	return ids
}

// Replace overwrites events and their index; see storetest.Upkeep. One too
// large for a document is refused as by Insert.
func (s *Store) Replace(ctx context.Context, batch []audit.Stored) (found int, _ error) {
	last := make(map[string]*audit.Stored, len(batch))
	for i := range batch {
		last[batch[i].Event.ID] = &batch[i]
	}
	ids := make([]string, 0, len(last))
	for id := range last {
		ids = append(ids, id)
	}
	for part := range slices.Chunk(ids, blockSize) {
		n, err := s.replacePart(ctx, part, last)
		if err != nil {
			return found, fmt.Errorf("replace events: %w", err)
		}
		found += n
	}
	return found, nil
}

// replacePart writes what differs, and looks again where somebody changed tags
// or deleted events between its look and its write.
func (s *Store) replacePart(ctx context.Context, ids []string, batch map[string]*audit.Stored) (found int, _ error) {
	coll, err := s.coll(ctx, eventsColl)
	if err != nil {
		return 0, err
	}
	for range maxRounds {
		rows, err := s.find(ctx, ids, "t", "k", "w", "event")
		if err != nil {
			return 0, err
		}
		changes, err := changesOf(rows, batch)
		if err != nil || len(changes) == 0 {
			return len(rows), err
		}
		if err := s.noteEvents(ctx, events(changes)); err != nil {
			return 0, err
		}
		written, err := bulkMatch(ctx, coll, models(changes))
		if err != nil {
			return 0, err
		}
		if written == len(changes) {
			return len(rows), s.moveDays(ctx, changes)
		}
	}
	return 0, fmt.Errorf("others change the same events at this moment: %w", audit.ErrBusy)
}

// eventChange is what an event is to become.
type eventChange struct {
	to   *audit.Stored // with the tags of what is there
	doc  eventDoc
	from storedEvent
}

func changesOf(rows []storedEvent, batch map[string]*audit.Stored) (changes []eventChange, _ error) {
	for _, row := range rows {
		to := *batch[row.ID]
		to.Event.Tags = row.Event.Tags
		doc, err := newEventDoc(&to)
		if err != nil {
			return nil, err
		}
		same, err := row.is(&doc)
		if err != nil {
			return nil, err
		}
		if !same {
			changes = append(changes, eventChange{&to, doc, row})
		}
	}
	return changes, nil
}

// is reports whether a document says what is there. Engines need not give the
// bytes of an event back as they came, so what was read is encoded again.
func (e *storedEvent) is(doc *eventDoc) (bool, error) {
	there := e.event()
	body, err := marshal(&there)
	if err != nil {
		return false, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	return bytes.Equal(body, doc.Event) && int64(e.Ticks) == doc.Ticks && slices.Equal(e.Tokens, doc.Tokens) && slices.Equal(e.Keys, doc.Keys), nil
}

func events(changes []eventChange) []*audit.Stored {
	list := make([]*audit.Stored, len(changes))
	for i, c := range changes {
		list[i] = c.to
	}
	return list
}

// models are the writes of changes: each only over the tags that it keeps.
func models(changes []eventChange) []mongo.WriteModel {
	list := make([]mongo.WriteModel, len(changes))
	for i, c := range changes {
		tags := bson.E{Key: "event.tags", Value: bson.D{{Key: "$exists", Value: false}}}
		if len(c.from.Event.Tags) > 0 {
			tags.Value = c.from.Event.Tags
		}
		list[i] = mongo.NewUpdateOneModel().SetFilter(append(byID(c.doc.ID), tags)).SetUpdate(bson.D{{Key: "$set", Value: bson.D{
			{Key: "t", Value: c.doc.Ticks},
			{Key: "k", Value: c.doc.Keys},
			{Key: "w", Value: c.doc.Tokens},
			{Key: "event", Value: c.doc.Event},
		}}})
	}
	return list
}

// moveDays counts events whose time was changed to where they went.
func (s *Store) moveDays(ctx context.Context, changes []eventChange) error {
	var from, to []audit.Ticks
	for _, c := range changes {
		from, to = append(from, c.from.Ticks), append(to, audit.Ticks(c.doc.Ticks))
	}
	return s.addToDays(ctx, to, from)
}

// Delete removes events with all that is stored of them; see storetest.Upkeep.
// The event goes first, for no read may show one whose evidence is gone; where
// it stops before the evidence went, nobody sees that, and the next call with
// the same ids removes it.
func (s *Store) Delete(ctx context.Context, ids []string) (deleted int, _ error) {
	for part := range slices.Chunk(ids, blockSize) {
		n, err := s.deletePart(ctx, part)
		deleted += n
		if err != nil {
			return deleted, fmt.Errorf("delete events: %w", err)
		}
	}
	return deleted, nil
}

func (s *Store) deletePart(ctx context.Context, ids []string) (deleted int, _ error) {
	rows, err := s.find(ctx, ids, "t")
	if err != nil {
		return 0, err
	}
	for _, name := range []string{eventsColl, rawColl} {
		coll, err := s.coll(ctx, name)
		if err != nil {
			return deleted, err
		}
		n, err := deleteAll(ctx, coll, anyID(ids))
		if name == eventsColl {
			deleted = n
		}
		if err != nil {
			return deleted, fmt.Errorf("from %s: %w", name, err)
		}
	}
	gone := make([]audit.Ticks, len(rows))
	for i := range rows {
		gone[i] = rows[i].Ticks
	}
	return deleted, s.addToDays(ctx, nil, gone)
}

// Unquarantine removes records that were set aside; see storetest.Upkeep.
func (s *Store) Unquarantine(ctx context.Context, ids []string) (int, error) {
	return s.removeIDs(ctx, quarantineColl, ids)
}

// DeleteJobs removes jobs that ended; see storetest.Upkeep. There are few: what
// ended when is read off each.
func (s *Store) DeleteJobs(ctx context.Context, before time.Time) (int, error) {
	coll, err := s.coll(ctx, jobsColl)
	if err != nil {
		return 0, err
	}
	docs, err := findAll[jobDoc](ctx, coll, bson.D{{Key: "at", Value: bson.D{{Key: "$lt", Value: nanos(before)}}}}, options.Find())
	if err != nil {
		return 0, fmt.Errorf("look for jobs that ended: %w", err)
	}
	var ended []string
	for i := range docs {
		job, err := docs[i].job()
		if err != nil {
			return 0, err
		}
		if !job.DoneAt.IsZero() && job.DoneAt.Before(before) {
			ended = append(ended, job.ID)
		}
	}
	return s.removeIDs(ctx, jobsColl, ended)
}

func (s *Store) removeIDs(ctx context.Context, name string, ids []string) (removed int, _ error) {
	coll, err := s.coll(ctx, name)
	if err != nil {
		return 0, err
	}
	for part := range slices.Chunk(ids, blockSize) {
		n, err := deleteAll(ctx, coll, anyID(part))
		removed += n
		if err != nil {
			return removed, fmt.Errorf("delete from %s: %w", name, err)
		}
	}
	return removed, nil
}
