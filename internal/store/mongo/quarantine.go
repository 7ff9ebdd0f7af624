package mongo

import (
	"context"
	"fmt"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// quarantinedDoc is a record that could not be made an event.
type quarantinedDoc struct {
	ID       string       `bson:"_id"`
	TenantID string       `bson:"tenant_id"`
	Source   audit.Source `bson:"source"`
	Blob     string       `bson:"blob"`
	Reason   string       `bson:"reason"`
	At       int64        `bson:"at"`             // in ns since 1970
	Zstd     *[]byte      `bson:"zstd,omitempty"` // absent where the bytes were not kept
}

func newQuarantinedDoc(q *audit.Quarantined) quarantinedDoc {
	d := quarantinedDoc{ID: q.ID, TenantID: valid(q.TenantID), Source: q.Source, Blob: valid(q.Blob), Reason: valid(q.Reason), At: nanos(q.At)}
	if q.Raw == nil {
		return d
	}
	if packed := pack(q.Raw); len(packed) <= maxDoc && len(q.Raw) <= maxUnpacked {
		d.Zstd = &packed
		return d
	}
	d.Reason += fmt.Sprintf(" (its %d bytes are too many to keep)", len(q.Raw))
	return d
}

func (d *quarantinedDoc) record() (audit.Quarantined, error) {
	q := audit.Quarantined{ID: d.ID, TenantID: d.TenantID, Source: d.Source, Blob: d.Blob, Reason: d.Reason, At: moment(d.At)}
	if d.Zstd == nil {
		return q, nil
	}
	var err error
	if q.Raw, err = unpack(*d.Zstd); err != nil {
		return q, fmt.Errorf("quarantined record %s: %w", d.ID, err)
	}
	return q, nil
}

// SetAside keeps bad records; see storetest.Quarantine. One too large for a
// document is kept without its bytes, and its reason says so.
func (s *Store) SetAside(ctx context.Context, records []audit.Quarantined) (int, error) {
	coll, err := s.coll(ctx, quarantineColl)
	if err != nil {
		return 0, err
	}
	var docs []quarantinedDoc
	seen := map[string]bool{}
	for i := range records {
		if id := records[i].ID; !seen[id] {
			seen[id] = true
			docs = append(docs, newQuarantinedDoc(&records[i]))
		}
	}
	n, err := insertNew(ctx, coll, docs)
	if err != nil {
		return n, fmt.Errorf("set records aside: %w", err)
	}
	return n, nil
}

// Quarantined lists records that were set aside; see storetest.Quarantine.
func (s *Store) Quarantined(ctx context.Context, after string, limit int) ([]audit.Quarantined, error) {
	if limit < 1 {
		return nil, audit.Invalid("limit", fmt.Sprintf("expected 1 or more, got %d", limit))
	}
	coll, err := s.coll(ctx, quarantineColl)
	if err != nil {
		return nil, err
	}
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: valid(after)}}}}
	docs, err := findAll[quarantinedDoc](ctx, coll, filter, options.Find().SetSort(fields("_id")).SetLimit(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("list quarantined records: %w", err)
	}
	records := make([]audit.Quarantined, len(docs))
	for i := range docs {
		if records[i], err = docs[i].record(); err != nil {
			return nil, err
		}
	}
	return records, nil
}
