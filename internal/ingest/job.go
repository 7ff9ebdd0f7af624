package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"aoc/internal/audit"
)

// The kinds of jobs. All but backfills go over what is stored, step by step,
// and remember in the job how far they have come.
const (
	kindBackfill    = "backfill"
	KindRetry       = "quarantine.retry" // run quarantined records again
	KindRenormalize = "renormalize"      // run normalisation and names again over the raw bytes
	KindDedupe      = "dedupe"           // merge events that are one record
	KindRetention   = "retention"        // delete what is older than Options.Since
)

// step does the next part of a job and says whether the job has ended. What it
// changes of the job is written after it.
type step func(w *Worker, ctx context.Context, job *audit.Job) (done bool, err error)

var steps = map[string]step{
	KindRetry:       (*Worker).retryStep,
	KindRenormalize: (*Worker).renormalizeStep,
	KindDedupe:      (*Worker).dedupeStep,
	KindRetention:   (*Worker).retentionStep,
	kindPurview:     (*Worker).purviewStep,
	kindNames:       (*Worker).namesStep,
}

// NewJob returns a job of a kind, ready to be kept with AddJob; the planner
// queues it, or RunJob runs it here. An unknown kind is invalid.
func NewJob(kind string, options audit.JobOptions) (audit.Job, error) {
	if steps[kind] == nil || kind == kindPurview || kind == kindNames {
		return audit.Job{}, audit.Invalid("kind", fmt.Sprintf("no such job: %q", kind))
	}
	return audit.Job{ID: rand.Text(), Kind: kind, State: audit.JobRunning, CreatedAt: time.Now().UTC(), Options: options}, nil
}

// RunJob goes on with a job until it has ended or its time is up. Two instances
// with the same job do not disturb each other. A failure is kept in the job,
// which is gone on with later; an error means that it could not be kept.
func (w *Worker) RunJob(ctx context.Context, id string) error {
	return w.alone(ctx, "job/"+id, func(ctx context.Context, _ audit.Lease) error {
		job, err := w.Store.Job(ctx, id)
		if errors.Is(err, audit.ErrNotFound) {
			return nil // retention has deleted it meanwhile
		}
		if err != nil {
			return err
		}
		next := steps[job.Kind]
		if job.State != audit.JobRunning || next == nil {
			return nil
		}
		for began := time.Now(); job.State == audit.JobRunning && time.Since(began) < softRunTime; {
			done, err := next(w, ctx, &job)
			if errors.Is(err, errLater) {
				return nil
			}
			if err != nil {
				return w.keepFailure(ctx, job, err)
			}
			job.Error = ""
			if done {
				job.State, job.DoneAt = audit.JobDone, time.Now().UTC()
			}
			if err := w.Store.SaveJob(ctx, job); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *Worker) keepFailure(ctx context.Context, job audit.Job, err error) error {
	if stopped(ctx) {
		return ctx.Err()
	}
	job.Error = words(err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return w.Store.SaveJob(ctx, job)
}
