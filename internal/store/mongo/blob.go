package mongo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// contentDoc is a content blob's row of the ledger. Its times are in ns since
// 1970, 0 for none.
type contentDoc struct {
	ID       string            `bson:"_id"` // the source, a space, and the blob's own
	Source   audit.Source      `bson:"source"`
	URI      string            `bson:"uri"`
	Created  int64             `bson:"created"`
	Until    int64             `bson:"until"`
	Expires  int64             `bson:"expires"`
	State    audit.WindowState `bson:"state"`
	Reason   string            `bson:"reason"`
	Late     bool              `bson:"late"`
	Attempts int               `bson:"attempts"`
	Error    string            `bson:"error"`
	NextAt   int64             `bson:"next"`
	HeldTill int64             `bson:"held"`
	StoredAt int64             `bson:"stored"`
	FailedAt int64             `bson:"failed"`
	Counts   audit.Counts      `bson:"counts"`
	Lags     audit.Lags        `bson:"lags"`
	Fence    int64             `bson:"fence"`
}

func newContentDoc(b *audit.BlobRow) contentDoc {
	return contentDoc{
		ID: string(b.Source) + " " + b.ID, Source: b.Source, URI: b.URI, Created: nanos(b.Created), Until: nanos(b.Until), Expires: nanos(b.Expires),
		State: b.State, Reason: valid(b.Reason), Late: b.Late, Attempts: b.Attempts, Error: valid(b.Error),
		NextAt: nanos(b.NextAt), HeldTill: nanos(b.HeldTill), StoredAt: nanos(b.StoredAt), FailedAt: nanos(b.FailedAt),
		Counts: b.Counts, Lags: b.Lags, Fence: b.Fence,
	}
}

func (d *contentDoc) row() audit.BlobRow {
	return audit.BlobRow{
		Blob: audit.Blob{
			Source: d.Source, ID: d.ID[len(d.Source)+1:], URI: d.URI, Created: moment(d.Created), Until: moment(d.Until), Expires: moment(d.Expires),
		},
		State: d.State, Reason: d.Reason, Late: d.Late, Attempts: d.Attempts, Error: d.Error,
		NextAt: moment(d.NextAt), HeldTill: moment(d.HeldTill), StoredAt: moment(d.StoredAt), FailedAt: moment(d.FailedAt),
		Counts: d.Counts, Lags: d.Lags, Fence: d.Fence,
	}
}

func blobRows(docs []contentDoc) []audit.BlobRow {
	rows := make([]audit.BlobRow, len(docs))
	for i := range docs {
		rows[i] = docs[i].row()
	}
	return rows
}

// contentDocs are the documents of rows, each id once: as it came first or, to
// be saved, last.
func contentDocs(rows []audit.BlobRow, last bool) []contentDoc {
	at := make(map[string]int, len(rows))
	docs := make([]contentDoc, 0, len(rows))
	for i := range rows {
		doc := newContentDoc(&rows[i])
		n, seen := at[doc.ID]
		switch {
		case !seen:
			at[doc.ID] = len(docs)
			docs = append(docs, doc)
		case last:
			docs[n] = doc
		}
	}
	return docs
}

// AddBlobs adds rows that are not there yet; see storetest.Blobs.
func (s *Store) AddBlobs(ctx context.Context, rows []audit.BlobRow) (added int, _ error) {
	coll, err := s.notedContent(ctx, rows)
	if err != nil {
		return 0, err
	}
	for part := range slices.Chunk(contentDocs(rows, false), blockSize) {
		n, err := insertNew(ctx, coll, part)
		added += n
		if err != nil {
			return added, fmt.Errorf("add blobs: %w", err)
		}
	}
	return added, nil
}

// notedContent is the blobs' collection, after their sources were noted.
func (s *Store) notedContent(ctx context.Context, rows []audit.BlobRow) (*mongo.Collection, error) {
	feeds := map[string]any{}
	for i := range rows {
		feeds[string(rows[i].Source)] = noteDoc{ID: string(rows[i].Source)}
	}
	if err := s.note(ctx, feedsColl, feeds); err != nil {
		return nil, err
	}
	return s.coll(ctx, contentColl)
}

// HandOutBlobs holds blobs that are due; see storetest.Blobs.
func (s *Store) HandOutBlobs(ctx context.Context, sources []audit.Source, now time.Time, hold time.Duration, limit int) ([]audit.BlobRow, error) {
	coll, err := s.coll(ctx, contentColl)
	if err != nil {
		return nil, err
	}
	order, till := fields("source", "next"), nanos(now.Add(hold))
	docs, err := handOut(limit, func(limit int) ([]contentDoc, error) {
		return dueRows(ctx, coll, sources, now, limit, order, func(a, b contentDoc) int { return cmp.Compare(a.NextAt, b.NextAt) })
	}, func(d *contentDoc) (bool, error) {
		was := d.HeldTill
		d.HeldTill = till
		return holdRow(ctx, coll, d.ID, d.NextAt, was, till)
	})
	if err != nil {
		return blobRows(docs), fmt.Errorf("hand out blobs: %w", err)
	}
	return blobRows(docs), nil
}

// SaveBlobs writes rows whole; see storetest.Blobs.
func (s *Store) SaveBlobs(ctx context.Context, lease audit.Lease, rows []audit.BlobRow) error {
	coll, err := s.notedContent(ctx, rows)
	if err != nil {
		return err
	}
	docs := contentDocs(rows, true)
	for i := range docs {
		docs[i].Fence = lease.Fence
	}
	fenced := 0
	for part := range slices.Chunk(docs, blockSize) {
		n, err := saveContent(ctx, coll, lease.Fence, part)
		if err != nil {
			return fmt.Errorf("save blobs: %w", err)
		}
		fenced += n
	}
	if fenced > 0 {
		return fmt.Errorf("save blobs under fence %d: %d of %d: %w", lease.Fence, fenced, len(docs), audit.ErrFenced)
	}
	return nil
}

// saveContent writes rows but for those that have seen a higher fence, which it
// counts. Most are there; who adds one is told by its _id, and whoever comes
// second writes over it if the fence lets them.
func saveContent(ctx context.Context, coll *mongo.Collection, fence int64, docs []contentDoc) (fenced int, _ error) {
	for range maxRounds {
		replaced, err := replaceContent(ctx, coll, fence, docs)
		if err != nil || replaced == len(docs) {
			return 0, err
		}
		absent, higher, err := missed(ctx, coll, fence, docs)
		if err != nil || len(absent) == 0 {
			return higher, err
		}
		added, err := insertNew(ctx, coll, absent)
		if err != nil || added == len(absent) {
			return higher, err
		}
	}
	return 0, fmt.Errorf("others add and fold the same rows at this moment: %w", audit.ErrBusy)
}

func replaceContent(ctx context.Context, coll *mongo.Collection, fence int64, docs []contentDoc) (replaced int, err error) {
	models := make([]mongo.WriteModel, len(docs))
	for i := range docs {
		filter := append(byID(docs[i].ID), bson.E{Key: "fence", Value: bson.D{{Key: "$lte", Value: fence}}})
		models[i] = mongo.NewReplaceOneModel().SetFilter(filter).SetReplacement(docs[i])
	}
	return bulkMatch(ctx, coll, models)
}

// missed says which of the documents are not there, and how many have a higher fence.
func missed(ctx context.Context, coll *mongo.Collection, fence int64, docs []contentDoc) (absent []contentDoc, higher int, err error) {
	ids := make([]string, len(docs))
	for i := range docs {
		ids[i] = docs[i].ID
	}
	there, err := findAll[contentDoc](ctx, coll, anyID(ids), options.Find().SetProjection(fields("fence")))
	if err != nil {
		return nil, 0, err
	}
	known := make(map[string]bool, len(there))
	for _, d := range there {
		known[d.ID] = true
		if d.Fence > fence {
			higher++
		}
	}
	for _, d := range docs {
		if !known[d.ID] {
			absent = append(absent, d)
		}
	}
	return absent, higher, nil
}

// Blobs lists rows; see storetest.Blobs.
func (s *Store) Blobs(ctx context.Context, q audit.LedgerQuery) ([]audit.BlobRow, error) {
	if q.Limit < 1 {
		return nil, audit.Invalid("limit", fmt.Sprintf("expected 1 or more, got %d", q.Limit))
	}
	sources, err := s.sources(ctx, q.Sources)
	if err != nil {
		return nil, err
	}
	coll, err := s.coll(ctx, contentColl)
	if err != nil {
		return nil, err
	}
	rows := []audit.BlobRow{}
	for _, source := range sources {
		left := q.Limit - len(rows)
		if left < 1 {
			break
		}
		docs, err := findAll[contentDoc](ctx, coll, createdIn(source, q.Start, q.End), options.Find().SetSort(fields("source", "created", "_id")).SetLimit(int64(left)))
		if err != nil {
			return nil, fmt.Errorf("list blobs of %s: %w", source, err)
		}
		rows = append(rows, blobRows(docs)...)
	}
	return rows, nil
}

// createdIn is the filter of a source's blobs of a span; a zero time is no bound.
func createdIn(source audit.Source, start, end time.Time) bson.D {
	bounds := bson.D{}
	if !start.IsZero() {
		bounds = append(bounds, bson.E{Key: "$gte", Value: nanos(start)})
	}
	if !end.IsZero() {
		bounds = append(bounds, bson.E{Key: "$lt", Value: nanos(end)})
	}
	filter := bson.D{{Key: "source", Value: source}}
	if len(bounds) > 0 {
		filter = append(filter, bson.E{Key: "created", Value: bounds})
	}
	return filter
}

// FoldBlobs deletes rows that wait for nothing any more; see storetest.Blobs.
func (s *Store) FoldBlobs(ctx context.Context, source audit.Source, start, end time.Time) (int, error) {
	if end.IsZero() { // nothing was created before it, and as a filter it would be no bound
		return 0, nil
	}
	coll, err := s.coll(ctx, contentColl)
	if err != nil {
		return 0, err
	}
	n, err := deleteAll(ctx, coll, append(createdIn(source, start, end), bson.E{Key: "state", Value: bson.D{{Key: "$ne", Value: audit.Listed}}}))
	if err != nil {
		return n, fmt.Errorf("fold blobs of %s: %w", source, err)
	}
	return n, nil
}
