package api

import (
	"cmp"
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
	Job     jobAnswer `json:"job" jsonschema:"What was started."`
	Clamped bool      `json:"clamped" jsonschema:"More hours were asked for than one backfill reads."`
	Message string    `json:"message" jsonschema:"What happens now, for people."`
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

type fetchRequest struct {
	Hours *int `json:"hours,omitempty" jsonschema:"How far back, from 1; 24 unless said."`
}

// hours reads the span from the query or from a body {"hours":n}.
func (a *API) hours(r *http.Request) (int, error) {
	values, err := params(r)
	if err != nil {
		return 0, err
	}
	asked, err := number(values, "hours", 0)
	if err != nil {
		return 0, err
	}
	var body fetchRequest
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
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &tooLarge):
		return errTooLarge
	case errors.As(err, &wrong):
		return audit.Invalid(cmp.Or(wrong.Field, "body"), fmt.Sprintf("expected another type of value, got a JSON %s", wrong.Value))
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
	Jobs []jobAnswer `json:"jobs" jsonschema:"Newest first."`
}

// jobAnswer is a job as its asker may see it: what it counted is about all
// services together, so it is for callers from whom none is hidden.
type jobAnswer struct {
	audit.Job
	After    string           `json:"after,omitempty" jsonschema:"-"` // never set: where it stands is an event's id
	Progress progressAnswer   `json:"progress" jsonschema:"How much of it is done."`
	Before   *audit.Counts    `json:"before" jsonschema:"What its windows had counted when it was made; null for callers from whom some services are hidden."`
	Queries  []audit.JobQuery `json:"queries,omitempty" jsonschema:"Of a Purview job; left out for callers from whom some services are hidden."`
}

type progressAnswer struct {
	Windows     int  `json:"windows" jsonschema:"Hours of feeds, in all."`
	Done        int  `json:"done" jsonschema:"Of them read well since the job was made, or known to be lost."`
	Failing     int  `json:"failing" jsonschema:"Tried since, failed, and to be tried again."`
	Scanned     *int `json:"scanned" jsonschema:"Events looked at, for jobs over what is stored; null, as are those below, for callers from whom some services are hidden."`
	Changed     *int `json:"changed" jsonschema:"Of them changed, or with dry_run that would be."`
	Read        *int `json:"read" jsonschema:"Records read."`
	New         *int `json:"new" jsonschema:"Of them stored."`
	Known       *int `json:"known" jsonschema:"Of them stored before."`
	Quarantined *int `json:"quarantined" jsonschema:"Of them set aside."`
}

func (a *API) shownJob(r *http.Request, job audit.Job) jobAnswer {
	p := job.Progress
	job.Spans = filled(job.Spans)
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
	Source      audit.Source `json:"source" jsonschema:"The feed."`
	Enabled     bool         `json:"enabled" jsonschema:"It is switched on."`
	State       feedState    `json:"state" jsonschema:"How it does."`
	LastSuccess time.Time    `json:"last_success,omitzero" jsonschema:"When a window was last read well."`
	LagSeconds  int64        `json:"lag_seconds" jsonschema:"Now less the end of the newest window read; -1 where none was."`
	Error       string       `json:"error" jsonschema:"The last failure that stands, in words."`
	Advice      string       `json:"advice" jsonschema:"What to do about it."`
	FailedAt    time.Time    `json:"failed_at,omitzero" jsonschema:"When that was."`
	Windows     windowSums   `json:"windows" jsonschema:"Its hours in the ledger."`
	Records     *int         `json:"records" jsonschema:"New ones stored; null for callers from whom some services are hidden."`
}

// feedState is how a feed does.
type feedState string

const (
	feedOK      feedState = "ok"
	feedLate    feedState = "late"
	feedFailing feedState = "failing"
	feedWaiting feedState = "waiting" // nothing was read yet
	feedOff     feedState = "off"     // it once was on
)

type healthAnswer struct {
	Sources   []sourceHealth `json:"sources" jsonschema:"Those switched on, then those that once were."`
	CheckedAt time.Time      `json:"checked_at" jsonschema:"When it was looked."`
}

type windowSums struct {
	Total   int `json:"total" jsonschema:"Hours in the ledger."`
	Waiting int `json:"waiting" jsonschema:"Of them never read well and not lost."`
	Failing int `json:"failing" jsonschema:"Of them whose last reading failed."`
	Lost    int `json:"lost" jsonschema:"Of them lost."`
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
		h.State = feedOff
	case s.Failing > 0:
		h.State = feedFailing
	case s.CaughtUpTo.IsZero():
		h.State = feedWaiting
	case lag > a.LateAfter || now.Sub(s.LastSuccess) > a.LateAfter:
		h.State = feedLate
	default:
		h.State = feedOK
	}
	return h
}
