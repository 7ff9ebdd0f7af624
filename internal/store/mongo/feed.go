package mongo

import (
	"context"
	"fmt"
	"time"

	"aoc/internal/audit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Held counts the windows that are handed out; see storetest.LedgerSums.
func (s *Store) Held(ctx context.Context, now time.Time) (int, error) {
	coll, err := s.coll(ctx, windowsColl)
	if err != nil {
		return 0, err
	}
	var held int64
	err = patiently(ctx, func() error {
		held, err = coll.CountDocuments(ctx, bson.D{{Key: "held", Value: bson.D{{Key: "$gt", Value: now.UnixNano()}}}})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count held windows: %w", err)
	}
	return int(held), nil
}

// Feeds sums up the ledger; see storetest.LedgerSums. A year of a feed is 8,760
// rows, of which it reads only what it sums.
func (s *Store) Feeds(ctx context.Context) ([]audit.FeedState, error) {
	sources, err := s.sources(ctx, nil)
	if err != nil {
		return nil, err
	}
	var feeds []audit.FeedState
	for _, source := range sources {
		feed, err := s.feed(ctx, source)
		if err != nil {
			return nil, fmt.Errorf("sum up %s: %w", source, err)
		}
		if feed.Windows > 0 {
			feeds = append(feeds, feed)
		}
	}
	return feeds, nil
}

func (s *Store) feed(ctx context.Context, source audit.Source) (audit.FeedState, error) {
	coll, err := s.coll(ctx, windowsColl)
	if err != nil {
		return audit.FeedState{}, err
	}
	rows, err := findAll[windowDoc](ctx, coll, rowsOf(source, time.Time{}, time.Time{}),
		options.Find().SetProjection(fields("start", "state", "attempts", "error", "listed", "failed", "counts")))
	feed := audit.FeedState{Source: source}
	for i := range rows {
		w := rows[i].window()
		addWindow(&feed, &w)
	}
	return feed, err
}

// addWindow takes one window into its feed's summary.
func addWindow(feed *audit.FeedState, w *audit.Window) {
	feed.Windows++
	feed.Counts = feed.Counts.Add(w.Counts)
	switch {
	case !w.ListedAt.IsZero():
		feed.LastSuccess = later(feed.LastSuccess, w.ListedAt)
		feed.CaughtUpTo = later(feed.CaughtUpTo, w.End())
	case w.State != audit.Lost:
		feed.Waiting++
	}
	if w.State == audit.Lost {
		feed.Lost++
	}
	if w.Attempts > 0 {
		feed.Failing++
		if w.FailedAt.After(feed.FailedAt) {
			feed.FailedAt, feed.LastError = w.FailedAt, w.Error
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
