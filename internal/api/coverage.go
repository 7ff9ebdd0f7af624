package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"aoc/internal/audit"
)

const (
	coverageSpan = 7 * 24 * time.Hour  // unless asked otherwise
	maxCoverage  = 31 * 24 * time.Hour // of one answer
	maxPage      = 500
)

// hourState is what an hour of a feed is said to be.
type hourState string

const (
	hourComplete hourState = "complete" // all that the feed listed for it, up to the last settle pass, is stored
	hourPending  hourState = "pending"  // planned, or something that was listed is still to be read
	hourStored   hourState = "stored"   // read whole, but too old to be listed for the last time
	hourLost     hourState = "lost"     // something cannot be had any more
	hourUnknown  hourState = "unknown"  // it was never planned, so nothing is said of it
)

// hourCoverage is one cell of the heat map.
type hourCoverage struct {
	Start       time.Time `json:"start" jsonschema:"A whole hour, UTC."`
	State       hourState `json:"state" jsonschema:"What can be said of it."`
	Settled     bool      `json:"settled" jsonschema:"It was listed for the last time."`
	Records     *int      `json:"records" jsonschema:"Read, less what was set aside; null, as are the next two, for callers from whom some services are hidden."`
	Late        *int      `json:"late" jsonschema:"Of them known only after the first good listing."`
	Quarantined *int      `json:"quarantined" jsonschema:"Set aside."`
	LagP50      int64     `json:"lag_p50_seconds,omitempty" jsonschema:"From event to store, the median; the upper bound of its class; over 259200: longer than 72 h."`
	LagP95      int64     `json:"lag_p95_seconds,omitempty" jsonschema:"The same of the slowest in twenty."`
	Reason      string    `json:"reason,omitempty" jsonschema:"Why it is lost, or what failed; a second line says what to do."`
	Deleted     time.Time `json:"deleted_at,omitzero" jsonschema:"When retention deleted its events, on purpose."`
}

type feedCoverage struct {
	Source audit.Source      `json:"source" jsonschema:"The feed."`
	States map[hourState]int `json:"states" jsonschema:"How many hours are in each state."`
	Hours  []hourCoverage    `json:"hours" jsonschema:"Each hour of the span, in order."`
}

type coverageAnswer struct {
	Start time.Time      `json:"start" jsonschema:"The span's first hour."`
	End   time.Time      `json:"end" jsonschema:"Where it ends, exclusive."`
	Feeds []feedCoverage `json:"feeds" jsonschema:"Those asked for, or all that are switched on."`
}

// coverage tells of each feed and hour whether all of it is here.
func (a *API) coverage(w http.ResponseWriter, r *http.Request) error {
	values, err := params(r)
	if err != nil {
		return err
	}
	start, end, err := coverageBounds(values)
	if err != nil {
		return err
	}
	sources, err := a.coveredSources(values["source"])
	if err != nil {
		return err
	}
	q := audit.LedgerQuery{Sources: sources, Start: start, End: end, Limit: len(sources) * int(maxCoverage/audit.WindowLength)}
	rows, err := timed(a.metrics(), "windows", func() ([]audit.Window, error) { return a.Ledger.Windows(r.Context(), q) })
	if err != nil {
		return err
	}
	whole := a.scope(r).Whole()
	answer := coverageAnswer{Start: start, End: end, Feeds: make([]feedCoverage, 0, len(sources))}
	for _, source := range sources {
		answer.Feeds = append(answer.Feeds, coverageOf(source, rows, start, end, whole))
	}
	return writeJSON(w, http.StatusOK, answer)
}

// coverageBounds reads the span: whole hours, the last week unless said otherwise.
func coverageBounds(values url.Values) (start, end time.Time, err error) {
	if end, err = moment(values, "end"); err != nil {
		return start, end, err
	}
	if start, err = moment(values, "start"); err != nil {
		return start, end, err
	}
	if end.IsZero() {
		end = time.Now().UTC()
	}
	end = audit.WindowOf(end.Add(audit.WindowLength - 1))
	if start.IsZero() {
		start = end.Add(-coverageSpan)
	}
	start = audit.WindowOf(start)
	if length := end.Sub(start); length <= 0 || length > maxCoverage {
		return start, end, audit.Invalid("start", fmt.Sprintf("expected a time before end, and at most %d days before it", int(maxCoverage.Hours()/24)))
	}
	return start, end, nil
}

// coveredSources are the feeds that were asked for, or all that are switched on.
func (a *API) coveredSources(asked []string) ([]audit.Source, error) {
	if len(asked) == 0 {
		return a.Features.Sources, nil
	}
	var sources []audit.Source
	for _, s := range asked {
		if !slices.Contains(a.Features.Sources, audit.Source(s)) {
			return nil, audit.Invalid("source", fmt.Sprintf("%q is not switched on", clipped(s)))
		}
		if !slices.Contains(sources, audit.Source(s)) {
			sources = append(sources, audit.Source(s))
		}
	}
	return sources, nil
}

func coverageOf(source audit.Source, rows []audit.Window, start, end time.Time, whole bool) feedCoverage {
	feed := feedCoverage{Source: source, States: map[hourState]int{}}
	byStart := map[time.Time]*audit.Window{}
	for i := range rows {
		if rows[i].Source == source {
			byStart[rows[i].Start] = &rows[i]
		}
	}
	for at := start; at.Before(end); at = at.Add(audit.WindowLength) {
		hour := hourOf(&audit.Window{Start: at}, whole)
		if row := byStart[at]; row != nil {
			hour = hourOf(row, whole)
		} else {
			hour.State = hourUnknown
		}
		feed.States[hour.State]++
		feed.Hours = append(feed.Hours, hour)
	}
	return feed
}

// hourOf tells of an hour; how many records it has, only where the caller may
// see all of them.
func hourOf(row *audit.Window, whole bool) hourCoverage {
	hour := hourCoverage{Start: row.Start, State: hourPending, Deleted: row.Deleted}
	if whole {
		records := row.Counts.Read - row.Counts.Quarantined
		hour.Records, hour.Late, hour.Quarantined = &records, &row.Late, &row.Counts.Quarantined
	}
	if whole && row.Lags != (audit.Lags{}) {
		hour.LagP50, hour.LagP95 = lagSeconds(row.Lags, 50), lagSeconds(row.Lags, 95)
	}
	switch {
	case row.State == audit.Lost:
		hour.State, hour.Reason = hourLost, row.Reason
	case row.State == audit.Settled:
		hour.State, hour.Settled = hourComplete, true
	case row.State == audit.Kept && row.NextAt.IsZero():
		hour.State = hourStored
	case row.State == audit.Kept:
		hour.State = hourComplete
	case row.Error != "":
		hour.Reason = row.Error
	}
	return hour
}

// lagSeconds is a percentile of lags; one beyond the last class is told as a
// second more than its bound of 72 hours.
func lagSeconds(lags audit.Lags, percent int) int64 {
	bound, ok := lags.Percentile(percent)
	if !ok {
		bound = 72*time.Hour + time.Second
	}
	return int64(bound.Seconds())
}

// quarantine lists the records that were set aside, by id.
func (a *API) quarantine(w http.ResponseWriter, r *http.Request) error {
	values, err := params(r)
	if err != nil {
		return err
	}
	limit, err := number(values, "limit", audit.DefaultPageSize)
	if err != nil {
		return err
	}
	after, err := single(values, "after")
	if err != nil {
		return err
	}
	if len(after) > audit.MaxValueLength {
		return audit.Invalid("after", "expected the next of an earlier answer")
	}
	limit = min(limit, maxPage)
	if err := a.note(r, noted{same: []string{"quarantine"}}); err != nil {
		return err
	}
	records, err := a.Ledger.Quarantined(r.Context(), after, limit)
	if err != nil {
		return err
	}
	next := ""
	if len(records) == limit {
		next = records[limit-1].ID
	}
	list := make([]quarantined, len(records))
	for i, q := range records {
		list[i] = quarantined{Quarantined: q, Size: len(q.Raw), BytesCut: q.Raw == nil}
	}
	return writeJSON(w, http.StatusOK, quarantineAnswer{list, next})
}

type quarantineAnswer struct {
	Records []quarantined `json:"records" jsonschema:"By id."`
	Next    string        `json:"next" jsonschema:"What after takes for the next page; empty on the last one."`
}

type quarantined struct {
	audit.Quarantined
	Size     int  `json:"size" jsonschema:"Of its bytes."`
	BytesCut bool `json:"bytes_cut" jsonschema:"They were not kept: they may hold secrets."`
}
