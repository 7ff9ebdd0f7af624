package api

import (
	"fmt"
	"net/http"
	"time"

	"aoc/internal/audit"
)

// retryKind is the job that runs quarantined records again.
const retryKind = "quarantine.retry"

// startJob starts a job over what is stored: renormalize, dedupe, retention.
func (a *API) startJob(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	var body struct {
		Kind   string    `json:"kind"`
		Since  time.Time `json:"since"`
		Limit  int       `json:"limit"`
		DryRun bool      `json:"dry_run"`
	}
	if err := decodeBody(r, &body); err != nil {
		return err
	}
	if body.Limit < 0 {
		return audit.Invalid("limit", fmt.Sprintf("expected a whole number from 0, got %d", body.Limit))
	}
	if body.Kind == "" {
		return audit.Invalid("kind", "expected renormalize, dedupe, retention or quarantine.retry")
	}
	return a.start(w, r, body.Kind, audit.JobOptions{Since: body.Since.UTC(), Limit: body.Limit, DryRun: body.DryRun})
}

func (a *API) retryQuarantine(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	if err := decodeBody(r, &struct{}{}); err != nil {
		return err
	}
	return a.start(w, r, retryKind, audit.JobOptions{})
}

func (a *API) start(w http.ResponseWriter, r *http.Request, kind string, options audit.JobOptions) error {
	job, err := a.Jobs.StartJob(r.Context(), kind, options)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/jobs/"+job.ID)
	return writeJSON(w, http.StatusAccepted, map[string]any{"job": job})
}

// preflight looks whether collection can work. It calls Microsoft, so it takes
// some seconds.
func (a *API) preflight(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	checks := a.Preflight.Check(r.Context(), a.Features.Sources...)
	ok := true
	for _, c := range checks {
		ok = ok && c.State != audit.CheckFailed
	}
	return writeJSON(w, http.StatusOK, map[string]any{"ok": ok, "checks": checks})
}
