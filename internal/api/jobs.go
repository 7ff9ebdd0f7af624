package api

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"aoc/internal/audit"
)

// retryKind is the job that runs quarantined records again.
const retryKind = "quarantine.retry"

// retentionKind is the job that deletes.
const retentionKind = "retention"

// keep holds a caller to RETENTION_DAYS: whoever may start jobs must not be able
// to delete the trail of having done something.
func (a *API) keep(options *audit.JobOptions) error {
	if a.Retention == 0 {
		return audit.Invalid("kind", "RETENTION_DAYS is 0: nothing is deleted")
	}
	last := time.Now().UTC().Add(-a.Retention)
	if options.Since.IsZero() {
		options.Since = last
	}
	if options.Since.After(last) {
		return audit.Invalid("since", fmt.Sprintf("expected %s or earlier: RETENTION_DAYS keeps what is younger", last.Format(time.RFC3339)))
	}
	return nil
}

type jobRequest struct {
	Kind   string    `json:"kind" jsonschema:"renormalize, dedupe, retention or quarantine.retry."`
	Since  time.Time `json:"since,omitzero" jsonschema:"Only events at or after it; of retention, delete what is older."`
	Limit  int       `json:"limit,omitzero" jsonschema:"Events at most; 0 is no limit."`
	DryRun bool      `json:"dry_run,omitzero" jsonschema:"Count what would change, and change nothing."`
}

// startJob starts a job over what is stored: renormalize, dedupe, retention.
func (a *API) startJob(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	var body jobRequest
	if err := decodeBody(r, &body); err != nil {
		return err
	}
	if body.Limit < 0 {
		return audit.Invalid("limit", fmt.Sprintf("expected a whole number from 0, got %d", body.Limit))
	}
	if body.Kind == "" {
		return audit.Invalid("kind", "expected renormalize, dedupe, retention or quarantine.retry")
	}
	options := audit.JobOptions{Since: body.Since.UTC(), Limit: body.Limit, DryRun: body.DryRun}
	if body.Kind == retentionKind {
		if err := a.keep(&options); err != nil {
			return err
		}
	}
	return a.start(w, r, body.Kind, options)
}

// retryRequest says nothing: all of the quarantine is run again.
type retryRequest struct{}

func (a *API) retryQuarantine(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	if err := decodeBody(r, &retryRequest{}); err != nil {
		return err
	}
	return a.start(w, r, retryKind, audit.JobOptions{})
}

type startedAnswer struct {
	Job jobAnswer `json:"job" jsonschema:"What was started."`
}

func (a *API) start(w http.ResponseWriter, r *http.Request, kind string, options audit.JobOptions) error {
	details := []audit.Change{{Name: "kind", New: clipped(kind)}, {Name: "limit", New: strconv.Itoa(options.Limit)}, {Name: "dry_run", New: strconv.FormatBool(options.DryRun)}}
	if !options.Since.IsZero() {
		details = append(details, audit.Change{Name: "since", New: options.Since.Format(time.RFC3339)})
	}
	if err := a.note(r, noted{details: details}); err != nil {
		return err
	}
	job, err := a.Jobs.StartJob(r.Context(), kind, options)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/jobs/"+job.ID)
	return writeJSON(w, http.StatusAccepted, startedAnswer{a.shownJob(r, job)})
}

// preflight looks whether collection can work. It calls Microsoft, so it takes
// some seconds.
func (a *API) preflight(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	if err := a.note(r, noted{}); err != nil {
		return err
	}
	checks := a.Preflight.Check(r.Context(), a.Features.Sources...)
	ok := true
	for _, c := range checks {
		ok = ok && c.State != audit.CheckFailed
	}
	return writeJSON(w, http.StatusOK, preflightAnswer{ok, filled(checks)})
}

type preflightAnswer struct {
	OK     bool          `json:"ok" jsonschema:"No check failed: collection can begin."`
	Checks []audit.Check `json:"checks" jsonschema:"What was looked at, in order."`
}
