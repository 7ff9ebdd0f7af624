package mongo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// windowDoc is a row of the ledger. Its times are in ns since 1970, 0 for none.
type windowDoc struct {
	ID       string            `bson:"_id"`
	Source   audit.Source      `bson:"source"`
	Start    int64             `bson:"start"`
	State    audit.WindowState `bson:"state"`
	Reason   string            `bson:"reason"`
	Passes   int               `bson:"passes"`
	Attempts int               `bson:"attempts"`
	Error    string            `bson:"error"`
	NextAt   int64             `bson:"next"`
	HeldTill int64             `bson:"held"`
	ListedAt int64             `bson:"listed"`
	FailedAt int64             `bson:"failed"`
	Counts   audit.Counts      `bson:"counts"`
	Late     int               `bson:"late"`
	Lags     audit.Lags        `bson:"lags"`
	Deleted  int64             `bson:"deleted"`
	Fence    int64             `bson:"fence"`
}

// windowID names a row so that a source's rows lie together, by their start. A
// space sorts before all that names of sources are made of, so that
// "entra.signin" is not mixed with "entra.signin.noninteractive".
func windowID(source audit.Source, start time.Time) string {
	return string(source) + " " + start.UTC().Format(time.RFC3339)
}

func newWindowDoc(w *audit.Window) windowDoc {
	return windowDoc{
		ID: windowID(w.Source, w.Start), Source: w.Source, Start: nanos(w.Start), State: w.State, Reason: valid(w.Reason),
		Passes: w.Passes, Attempts: w.Attempts, Error: valid(w.Error), NextAt: nanos(w.NextAt), HeldTill: nanos(w.HeldTill),
		ListedAt: nanos(w.ListedAt), FailedAt: nanos(w.FailedAt), Counts: w.Counts, Late: w.Late, Lags: w.Lags, Deleted: nanos(w.Deleted), Fence: w.Fence,
	}
}

func (d *windowDoc) window() audit.Window {
	return audit.Window{
		Source: d.Source, Start: moment(d.Start), State: d.State, Reason: d.Reason, Passes: d.Passes, Attempts: d.Attempts, Error: d.Error,
		NextAt: moment(d.NextAt), HeldTill: moment(d.HeldTill), ListedAt: moment(d.ListedAt), FailedAt: moment(d.FailedAt),
		Counts: d.Counts, Late: d.Late, Lags: d.Lags, Deleted: moment(d.Deleted), Fence: d.Fence,
	}
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func moment(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// valid makes text storable: errors may quote bytes that are no UTF-8.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// Plan adds windows to the ledger; see storetest.Ledger.
func (s *Store) Plan(ctx context.Context, windows []audit.Window) (int, error) {
	coll, err := s.coll(ctx, windowsColl)
	if err != nil || len(windows) == 0 {
		return 0, err
	}
	if err := s.noteFeeds(ctx, windows); err != nil {
		return 0, err
	}
	rows := make([]windowDoc, 0, len(windows))
	seen := make(map[string]bool, len(windows))
	for i := range windows {
		if row := newWindowDoc(&windows[i]); !seen[row.ID] {
			seen[row.ID] = true
			rows = append(rows, row)
		}
	}
	added, err := insertNew(ctx, coll, rows)
	if err == nil && added < len(windows) {
		err = bringForward(ctx, coll, windows)
	}
	if err != nil {
		return added, fmt.Errorf("plan windows: %w", err)
	}
	return added, nil
}

// noteFeeds writes which sources have rows, before they have.
func (s *Store) noteFeeds(ctx context.Context, windows []audit.Window) error {
	feeds := map[string]any{}
	for _, w := range windows {
		feeds[string(w.Source)] = noteDoc{ID: string(w.Source)}
	}
	return s.note(ctx, feedsColl, feeds)
}

// bringForward makes windows due at their NextAt where they are due later, or
// never and are not lost. To those just added it does nothing.
func bringForward(ctx context.Context, coll *mongo.Collection, windows []audit.Window) error {
	var updates []mongo.WriteModel
	for _, w := range windows {
		next := nanos(w.NextAt)
		if next == 0 {
			continue
		}
		updates = append(updates, mongo.NewUpdateOneModel().
			SetFilter(append(byID(windowID(w.Source, w.Start)), bson.E{Key: "$or", Value: bson.A{
				bson.D{{Key: "next", Value: bson.D{{Key: "$gt", Value: next}}}},
				bson.D{{Key: "next", Value: 0}, {Key: "state", Value: bson.D{{Key: "$ne", Value: audit.Lost}}}},
			}})).
			SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: "next", Value: next}}}}))
	}
	return bulkWrite(ctx, coll, updates)
}

// HandOut holds windows that are due; see storetest.Ledger.
func (s *Store) HandOut(ctx context.Context, sources []audit.Source, now time.Time, hold time.Duration, limit int) ([]audit.Window, error) {
	coll, err := s.coll(ctx, windowsColl)
	if err != nil {
		return nil, err
	}
	till := now.Add(hold)
	rows, err := handOut(limit, func(limit int) ([]windowDoc, error) {
		return dueWindows(ctx, coll, sources, now, limit)
	}, func(row *windowDoc) (bool, error) {
		return holdWindow(ctx, coll, row, till)
	})
	windows := make([]audit.Window, len(rows))
	for i := range rows {
		windows[i] = rows[i].window()
	}
	if err != nil {
		return windows, fmt.Errorf("hand out windows: %w", err)
	}
	return windows, nil
}

func dueWindows(ctx context.Context, coll *mongo.Collection, sources []audit.Source, now time.Time, limit int) ([]windowDoc, error) {
	order := bson.D{{Key: "source", Value: 1}, {Key: "next", Value: 1}, {Key: "start", Value: -1}}
	return dueRows(ctx, coll, sources, now, limit, order, func(a, b windowDoc) int {
		return cmp.Or(cmp.Compare(a.NextAt, b.NextAt), cmp.Compare(b.Start, a.Start))
	})
}

func holdWindow(ctx context.Context, coll *mongo.Collection, row *windowDoc, till time.Time) (bool, error) {
	was := row.HeldTill
	row.HeldTill = nanos(till)
	return holdRow(ctx, coll, row.ID, row.NextAt, was, row.HeldTill)
}

// SaveWindows writes outcomes over rows; see storetest.Ledger.
func (s *Store) SaveWindows(ctx context.Context, lease audit.Lease, windows []audit.Window) error {
	coll, err := s.coll(ctx, windowsColl)
	if err != nil || len(windows) == 0 {
		return err
	}
	if err := s.noteFeeds(ctx, windows); err != nil {
		return err
	}
	fenced := 0
	for _, w := range windows {
		w.Fence = lease.Fence
		saved, err := saveWindow(ctx, coll, newWindowDoc(&w))
		if err != nil {
			return fmt.Errorf("save window %s: %w", windowID(w.Source, w.Start), err)
		}
		if !saved {
			fenced++
		}
	}
	if fenced > 0 {
		return fmt.Errorf("save windows under fence %d: %d of %d: %w", lease.Fence, fenced, len(windows), audit.ErrFenced)
	}
	return nil
}

// saveWindow writes a row unless it has seen a higher fence.
func saveWindow(ctx context.Context, coll *mongo.Collection, row windowDoc) (bool, error) {
	replace := func() (bool, error) {
		var found bool
		err := patiently(ctx, func() error {
			filter := append(byID(row.ID), bson.E{Key: "fence", Value: bson.D{{Key: "$lte", Value: row.Fence}}})
			res, err := coll.ReplaceOne(ctx, filter, row)
			found = err == nil && res.MatchedCount > 0
			return err
		})
		return found, err
	}
	if saved, err := replace(); saved || err != nil {
		return saved, err
	}
	// It is not there, or fenced; where another adds it now, the fence decides.
	if added, err := claim(ctx, coll, row); added || err != nil {
		return added, err
	}
	return replace()
}

// Windows lists rows of the ledger; see storetest.Ledger.
func (s *Store) Windows(ctx context.Context, q audit.LedgerQuery) ([]audit.Window, error) {
	sources, err := s.sources(ctx, q.Sources)
	if err != nil {
		return nil, err
	}
	coll, err := s.coll(ctx, windowsColl)
	if err != nil {
		return nil, err
	}
	windows := []audit.Window{}
	for _, source := range sources {
		left := q.Limit - len(windows)
		if left < 1 {
			break
		}
		rows, err := findAll[windowDoc](ctx, coll, rowsOf(source, q.Start, q.End), options.Find().SetSort(fields("_id")).SetLimit(int64(left)))
		if err != nil {
			return nil, fmt.Errorf("list windows of %s: %w", source, err)
		}
		for i := range rows {
			windows = append(windows, rows[i].window())
		}
	}
	return windows, nil
}

// rowsOf is the filter of a source's rows that start in a span.
func rowsOf(source audit.Source, start, end time.Time) bson.D {
	from, to := string(source)+" ", string(source)+"!" // ! follows the space
	if !start.IsZero() {
		from = windowID(source, start.Add(time.Second-1)) // ids have no fractions
	}
	if !end.IsZero() {
		to = windowID(source, end.Add(time.Second-1))
	}
	return bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: from}, {Key: "$lt", Value: to}}}}
}

// sources returns those asked for, or all that have rows, sorted.
func (s *Store) sources(ctx context.Context, asked []audit.Source) ([]audit.Source, error) {
	if len(asked) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(asked))), nil
	}
	coll, err := s.coll(ctx, feedsColl)
	if err != nil {
		return nil, err
	}
	feeds, err := findAll[noteDoc](ctx, coll, bson.D{}, options.Find().SetLimit(maxFacets))
	if err != nil {
		return nil, fmt.Errorf("list feeds: %w", err)
	}
	slices.SortFunc(feeds, func(a, b noteDoc) int { return cmp.Compare(a.ID, b.ID) })
	all := make([]audit.Source, len(feeds))
	for i, f := range feeds {
		all[i] = audit.Source(f.ID)
	}
	return all, nil
}
