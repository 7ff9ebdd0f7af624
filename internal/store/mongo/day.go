package mongo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// dayDoc says that a day of UTC may have events, and about how many: enough to
// choose how much time to look through at once, and for nothing else, since a
// writer that dies before it has counted leaves the number too low.
type dayDoc struct {
	ID     string `bson:"_id"` // 2006-01-02
	Events int64  `bson:"events"`
}

// countDays adds new events to their days' numbers.
func (s *Store) countDays(ctx context.Context, docs []eventDoc) error {
	times := make([]audit.Ticks, len(docs))
	for i, d := range docs {
		times[i] = audit.Ticks(d.Ticks)
	}
	return s.addToDays(ctx, times, nil)
}

// addToDays counts events that came and events that went.
func (s *Store) addToDays(ctx context.Context, came, went []audit.Ticks) error {
	coll, err := s.coll(ctx, daysColl)
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, t := range came {
		counts[dayOf(t)]++
	}
	for _, t := range went {
		counts[dayOf(t)]--
	}
	updates := make([]mongo.WriteModel, 0, len(counts))
	for _, day := range slices.Sorted(maps.Keys(counts)) { // in one order, as in note
		if n := counts[day]; n != 0 {
			updates = append(updates, mongo.NewUpdateOneModel().SetFilter(byID(day)).
				SetUpdate(bson.D{{Key: "$inc", Value: bson.D{{Key: "events", Value: n}}}}))
		}
	}
	if err := bulkWrite(ctx, coll, updates); err != nil {
		return fmt.Errorf("count days: %w", err)
	}
	return nil
}

// timeWindows are the windows of time through which one search looks, newest
// first. vCore sorts in memory what a query's filter finds, so a window holds
// about so many events that sorting all of them would do: few at first, then
// four times as many from window to window. Days without events are left out.
type timeWindows struct {
	from, to audit.Ticks // what is left to look through
	days     []dayDoc    // that have events in it, newest first
	budget   int64       // events that the next window may hold
}

const (
	firstBudget = 4 * audit.MaxPageSize
	maxBudget   = 1 << 20

	// maxDays bounds the days that events may lie on: all of the years 1 to 9999.
	maxDays = 4_000_000
)

// Bounds of event times.
const (
	firstTick = audit.Ticks(-1 << 62)
	lastTick  = audit.Ticks(1 << 62)
)

func (s *Store) timeWindows(ctx context.Context, q *audit.Query) (*timeWindows, error) {
	w := &timeWindows{from: firstTick, to: lastTick, budget: firstBudget}
	if !q.Start.IsZero() {
		w.from = ceiling(q.Start)
	}
	if !q.End.IsZero() {
		w.to = ceiling(q.End)
	}
	if q.After != nil {
		w.to = min(w.to, min(q.After.Time, lastTick-1)+1)
	}
	coll, err := s.coll(ctx, daysColl)
	if err != nil {
		return nil, err
	}
	w.days, err = findAll[dayDoc](ctx, coll, w.daysInside(), options.Find().SetLimit(maxDays))
	if err != nil {
		return nil, fmt.Errorf("look for days with events: %w", err)
	}
	slices.SortFunc(w.days, func(a, b dayDoc) int { return -strings.Compare(a.ID, b.ID) })
	return w, nil
}

// daysInside finds the days that the windows' range touches.
func (w *timeWindows) daysInside() bson.D {
	bounds := bson.D{}
	if w.from != firstTick {
		bounds = append(bounds, bson.E{Key: "$gte", Value: dayOf(w.from)})
	}
	if w.to != lastTick {
		bounds = append(bounds, bson.E{Key: "$lte", Value: dayOf(w.to)})
	}
	if len(bounds) == 0 {
		return bson.D{}
	}
	return bson.D{{Key: "_id", Value: bounds}}
}

// next returns the next window, its end exclusive; more is false at the end. A
// window ends within a day where all of the day would be too much.
func (w *timeWindows) next() (from, to audit.Ticks, more bool, _ error) {
	left := w.budget
	w.budget = min(4*w.budget, maxBudget)
	for len(w.days) > 0 {
		start, err := startOf(w.days[0].ID)
		if err != nil {
			return 0, 0, false, err
		}
		low, high := max(start, w.from), min(start+day, w.to)
		if low >= high {
			w.days = w.days[1:]
			continue
		}
		if !more {
			to, more = high, true
		}
		events := max(1, int64(float64(w.days[0].Events)*float64(high-low)/float64(day)))
		if events > left {
			from = high - max(1, audit.Ticks(float64(high-low)*float64(left)/float64(events)))
			w.to = from
			return from, to, true, nil
		}
		from, w.to = low, low
		left -= events
		w.days = w.days[1:]
	}
	return from, to, more, nil
}

// day is 24 hours in ticks.
const day = audit.Ticks(24 * time.Hour / audit.TickLength)

// dayOf names the day of UTC that a moment of the years 1 to 9999 lies in.
func dayOf(t audit.Ticks) string { return t.Time().Format(time.DateOnly) }

// startOf is the first moment of a day.
func startOf(name string) (audit.Ticks, error) {
	t, err := time.Parse(time.DateOnly, name)
	if err != nil {
		return 0, fmt.Errorf("day %q: %w", name, err)
	}
	return audit.TicksOf(t), nil
}

// ceiling is the first tick that is not before t.
func ceiling(t time.Time) audit.Ticks {
	ticks := audit.TicksOf(t)
	if ticks.Time().Before(t) {
		ticks++
	}
	return ticks
}
