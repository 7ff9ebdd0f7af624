package ingest

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"aoc/internal/audit"
)

const (
	// firstLook is how far back the timer plans a feed that was never read;
	// more is a backfill.
	firstLook = 24 * time.Hour
	// hold is how long a window that was handed out is left to its worker. A
	// worker keeps its lease alive, so a second message for the same windows
	// costs one look at the ledger.
	hold = 3 * time.Minute
	// maxHeld bounds the windows that are with workers at one time.
	maxHeld      = 768
	maxHeldBlobs = 2000
	// maxRows bounds one reading of the ledger: a year of hours.
	maxRows = 400 * 24
)

// Planner writes windows into the ledger and hands out what is due. It keeps
// nothing in memory that matters.
type Planner struct {
	Store    Store
	Feeds    []Feed
	Periodic bool // plan windows as time goes on; backfills are run either way
	// Purview says that what the Management API no longer lists is asked of Purview.
	Purview bool
	// QueueGone says that what was handed out before this process is on no queue
	// any more, as on one machine where the queue lives in memory.
	QueueGone bool

	begun atomic.Bool
}

// Tick plans what is new and returns the work that is due at the moment now.
func (p *Planner) Tick(ctx context.Context, now time.Time) (items []Item, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("plan: %w", err)
		}
	}()
	if p.Periodic {
		if err := p.planNew(ctx, now); err != nil {
			return nil, err
		}
	}
	jobs, err := p.followUp(ctx, now)
	if err != nil {
		return nil, err
	}
	due, err := p.handOut(ctx, now)
	if err != nil {
		return nil, err
	}
	return append(coalesce(due), jobs...), nil
}

// handOut takes what is due, as far as the workers' hands are not full.
func (p *Planner) handOut(ctx context.Context, now time.Time) ([]audit.Window, error) {
	sources := make([]audit.Source, len(p.Feeds))
	for i, f := range p.Feeds {
		sources[i] = f.Source()
	}
	from, keep, room := now, hold, maxHeld
	if p.QueueGone && p.begun.CompareAndSwap(false, true) {
		// Seen from the end of their hold, windows are free again. A worker runs
		// only what is due at its own moment, so none is read too early.
		from, keep = now.Add(hold), 0
	} else if held, err := p.Store.Held(ctx, now); err != nil || held >= maxHeld {
		return nil, err
	} else {
		room -= held
	}
	due, err := p.Store.HandOut(ctx, sources, from, keep, room)
	if err != nil {
		return nil, err
	}
	blobs, err := p.Store.HandOutBlobs(ctx, sources, from, keep, maxHeldBlobs)
	if err != nil {
		return nil, err
	}
	for _, b := range blobs {
		due = append(due, audit.Window{Source: b.Source, Start: audit.WindowOf(b.Created)})
	}
	return due, nil
}

// planNew adds every feed's windows up to now, from where it was last run
// well, else from where its ledger begins, so that nothing between two starts
// of the program is ever skipped. Windows that exist are left alone.
func (p *Planner) planNew(ctx context.Context, now time.Time) error {
	states, err := p.Store.Feeds(ctx)
	if err != nil {
		return err
	}
	caughtUp := make(map[audit.Source]time.Time, len(states))
	for _, s := range states {
		caughtUp[s.Source] = s.CaughtUpTo
	}
	for _, feed := range p.Feeds {
		from := now.Add(-firstLook)
		if upTo, begun := caughtUp[feed.Source()]; begun {
			if from, err = p.resumeFrom(ctx, feed, upTo, now); err != nil {
				return err
			}
		}
		if err := p.planMissing(ctx, feed, audit.WindowOf(from), now); err != nil {
			return err
		}
	}
	return nil
}

// resumeFrom is where a feed that has rows is planned on from.
func (p *Planner) resumeFrom(ctx context.Context, feed Feed, caughtUp, now time.Time) (time.Time, error) {
	if !caughtUp.IsZero() {
		return earlier(caughtUp, now), nil
	}
	first, err := p.Store.Windows(ctx, audit.LedgerQuery{Sources: []audit.Source{feed.Source()}, Limit: 1})
	if err != nil || len(first) == 0 {
		return now.Add(-firstLook), err
	}
	return first[0].Start, nil
}

func (p *Planner) planMissing(ctx context.Context, feed Feed, from, now time.Time) error {
	to := audit.WindowOf(now).Add(audit.WindowLength)
	rows, err := p.Store.Windows(ctx, audit.LedgerQuery{Sources: []audit.Source{feed.Source()}, Start: from, End: to, Limit: maxRows})
	if err != nil {
		return err
	}
	there := make(map[time.Time]bool, len(rows))
	for _, row := range rows {
		there[row.Start] = true
	}
	missing := slices.DeleteFunc(grid(feed.Source(), from, to, now), func(w audit.Window) bool { return there[w.Start] })
	if len(missing) == 0 {
		return nil
	}
	_, err = p.Store.Plan(ctx, missing)
	return err
}

// grid returns the windows of [from, to), planned and due at the moment at.
func grid(source audit.Source, from, to, at time.Time) []audit.Window {
	var windows []audit.Window
	for start := audit.WindowOf(from); start.Before(to); start = start.Add(audit.WindowLength) {
		windows = append(windows, audit.Window{Source: source, Start: start, State: audit.Planned, NextAt: at})
	}
	return windows
}

// coalesce joins neighbouring windows of a feed and UTC day into items, the
// newest first: what just happened is asked for first.
func coalesce(due []audit.Window) []Item {
	slices.SortFunc(due, func(a, b audit.Window) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		return compareSource(a.Source, b.Source)
	})
	due = slices.CompactFunc(due, func(a, b audit.Window) bool { return a.Source == b.Source && a.Start.Equal(b.Start) })
	open := map[audit.Source]int{}
	var items []Item
	for _, w := range due {
		i, ok := open[w.Source]
		if ok && items[i].End.Equal(w.Start) && day(items[i].Start) == day(w.Start) {
			items[i].End = w.End()
			continue
		}
		open[w.Source] = len(items)
		items = append(items, Item{Source: w.Source, Start: w.Start, End: w.End()})
	}
	slices.SortStableFunc(items, func(a, b Item) int { return b.Start.Compare(a.Start) })
	return items
}

func compareSource(a, b audit.Source) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
