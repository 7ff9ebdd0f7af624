package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"aoc/internal/audit"
)

const (
	defaultHours = 24
	maxJobs      = 100
)

type fetchAnswer struct {
	Job     jobAnswer `json:"job"`
	Clamped bool      `json:"clamped"` // more hours were asked for than are ever planned
	Message string    `json:"message"`
}

// fetch plans a backfill. It answers at once; the job tells how it goes.
func (a *API) fetch(w http.ResponseWriter, r *http.Request) error {
	hours, err := a.hours(r)
	if err != nil {
		return err
	}
	if err := a.note(r, noted{details: []audit.Change{{Name: "hours", New: strconv.Itoa(min(hours, a.MaxHours))}}}); err != nil {
		return err
	}
	job, err := a.Jobs.Backfill(r.Context(), min(hours, a.MaxHours))
	if err != nil {
		return err
	}
	answer := fetchAnswer{Clamped: hours > a.MaxHours, Message: fmt.Sprintf("The last %d hours are read again, as far as each feed still lists them.", job.Hours)}
	if answer.Clamped {
		answer.Message = fmt.Sprintf("%d hours are the most that one backfill reads, so %d became %d. ", a.MaxHours, hours, job.Hours) + answer.Message
	}
	w.Header().Set("Location", "/api/jobs/"+job.ID)
	answer.Job = a.shownJob(r, job)
	return writeJSON(w, http.StatusAccepted, answer)
}

// hours reads the span from the query or from a body {"hours":n}.
func (a *API) hours(r *http.Request) (int, error) {
	values, err := params(r, "hours")
	if err != nil {
		return 0, err
	}
	asked, err := number(values, "hours", 0)
	if err != nil {
		return 0, err
	}
	var body struct {
		Hours *int `json:"hours"`
	}
	if err := decodeBody(r, &body); err != nil {
		return 0, err
	}
	switch {
	case body.Hours == nil && asked == 0:
		return defaultHours, nil
	case body.Hours == nil:
		return asked, nil
	case *body.Hours < 1:
		return 0, audit.Invalid("hours", fmt.Sprintf("expected a whole number from 1, got %d", *body.Hours))
	case asked != 0 && asked != *body.Hours:
		return 0, audit.Invalid("hours", "the query and the body say different things")
	}
	return *body.Hours, nil
}

// decodeBody reads a JSON object, unknown fields refused; no body is an empty one.
func decodeBody(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &tooLarge):
		return errTooLarge
	case err != nil:
		return audit.Invalid("body", "expected a JSON object: "+strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return audit.Invalid("body", "expected one JSON object and nothing after it")
	}
	return nil
}

func (a *API) jobs(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	jobs, err := a.Jobs.Jobs(r.Context(), maxJobs)
	if err != nil {
		return err
	}
	shown := make([]jobAnswer, len(jobs))
	for i, job := range jobs {
		shown[i] = a.shownJob(r, job)
	}
	return writeJSON(w, http.StatusOK, jobsAnswer{shown})
}

func (a *API) job(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	job, err := a.Jobs.Job(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, a.shownJob(r, job))
}

type jobsAnswer struct {
	Jobs []jobAnswer `json:"jobs"`
}

// jobAnswer is a job as its asker may see it: what it counted is about all
// services together, so it is for callers from whom none is hidden.
type jobAnswer struct {
	audit.Job
	After    string           `json:"after,omitempty"` // never shown: where it stands is an event's id
	Progress progressAnswer   `json:"progress"`
	Before   *audit.Counts    `json:"before"`
	Queries  []audit.JobQuery `json:"queries,omitempty"`
}

type progressAnswer struct {
	Windows     int  `json:"windows"`
	Done        int  `json:"done"`
	Failing     int  `json:"failing"`
	Scanned     *int `json:"scanned"`
	Changed     *int `json:"changed"`
	Read        *int `json:"read"`
	New         *int `json:"new"`
	Known       *int `json:"known"`
	Quarantined *int `json:"quarantined"`
}

func (a *API) shownJob(r *http.Request, job audit.Job) jobAnswer {
	p := job.Progress
	shown := jobAnswer{Job: job, Progress: progressAnswer{Windows: p.Windows, Done: p.Done, Failing: p.Failing}}
	if !a.scope(r).Whole() {
		shown.Job.Position, shown.Job.Notes = 0, nil
		return shown
	}
	shown.Before, shown.Queries = &job.Before, job.Queries
	shown.Progress.Scanned, shown.Progress.Changed = &p.Scanned, &p.Changed
	shown.Progress.Read, shown.Progress.New, shown.Progress.Known, shown.Progress.Quarantined = &p.Read, &p.New, &p.Known, &p.Quarantined
	return shown
}

type sourceHealth struct {
	Source      audit.Source `json:"source"`
	Enabled     bool         `json:"enabled"`
	State       string       `json:"state"` // ok, late, failing, waiting, off
	LastSuccess time.Time    `json:"last_success,omitzero"`
	LagSeconds  int64        `json:"lag_seconds"` // now less the end of the newest window read; -1 where none was
	Error       string       `json:"error"`       // the last failure that stands, in words
	Advice      string       `json:"advice"`      // what to do about it
	FailedAt    time.Time    `json:"failed_at,omitzero"`
	Windows     windowSums   `json:"windows"`
	Records     *int         `json:"records"` // new ones stored; null for callers from whom some services are hidden
}

type healthAnswer struct {
	Sources   []sourceHealth `json:"sources"`
	CheckedAt time.Time      `json:"checked_at"`
}

type windowSums struct {
	Total   int `json:"total"`
	Waiting int `json:"waiting"`
	Failing int `json:"failing"`
	Lost    int `json:"lost"`
}

// sourceHealth tells how each feed does, as the ledger says: those that are
// switched on, and those that once were.
func (a *API) sourceHealth(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	states, err := a.ledgerFeeds(r.Context())
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	known := make(map[audit.Source]audit.FeedState, len(states))
	for _, s := range states {
		known[s.Source] = s
	}
	whole := a.scope(r).Whole()
	sources := []sourceHealth{}
	for _, source := range a.Features.Sources {
		sources = append(sources, a.healthOf(source, known[source], true, whole, now))
		delete(known, source)
	}
	for _, s := range states {
		if _, left := known[s.Source]; left {
			sources = append(sources, a.healthOf(s.Source, s, false, whole, now))
		}
	}
	return writeJSON(w, http.StatusOK, healthAnswer{sources, now})
}

func (a *API) ledgerFeeds(ctx context.Context) ([]audit.FeedState, error) {
	return timed(a.metrics(), "feeds", func() ([]audit.FeedState, error) { return a.Ledger.Feeds(ctx) })
}

func (a *API) healthOf(source audit.Source, s audit.FeedState, enabled, whole bool, now time.Time) sourceHealth {
	what, advice, _ := strings.Cut(s.LastError, "\n")
	h := sourceHealth{
		Source: source, Enabled: enabled, LastSuccess: s.LastSuccess, LagSeconds: -1, Error: what, Advice: advice, FailedAt: s.FailedAt,
		Windows: windowSums{s.Windows, s.Waiting, s.Failing, s.Lost},
	}
	if whole {
		h.Records = &s.Counts.New
	}
	lag := now.Sub(s.CaughtUpTo)
	if !s.CaughtUpTo.IsZero() {
		h.LagSeconds = max(0, int64(lag.Seconds()))
	}
	switch {
	case !enabled:
		h.State = "off"
	case s.Failing > 0:
		h.State = "failing"
	case s.CaughtUpTo.IsZero():
		h.State = "waiting"
	case lag > a.LateAfter || now.Sub(s.LastSuccess) > a.LateAfter:
		h.State = "late"
	default:
		h.State = "ok"
	}
	return h
}
