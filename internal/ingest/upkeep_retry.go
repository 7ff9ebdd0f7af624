package ingest

import (
	"context"
	"errors"

	"aoc/internal/audit"
)

// cured is a quarantined record that has become an event.
type cured struct {
	id     string // in quarantine
	stored audit.Stored
}

// retryStep runs the next quarantined records again. Those that are events now
// are stored and only then leave quarantine; the others stay as they are.
// Options.Since goes by when a record was set aside, for the time of one that is
// refused is not known. Of the job's figures Read counts the records with bytes,
// Quarantined those of them that are still refused.
func (w *Worker) retryStep(ctx context.Context, job *audit.Job) (done bool, err error) {
	page, err := w.Store.Quarantined(ctx, job.After, stepRaws)
	if err != nil || len(page) == 0 {
		return err == nil, err
	}
	next := draft(job)
	var batch []cured
	without := 0 // bytes
	for _, q := range page {
		if room(&next, next.Progress.Scanned) == 0 {
			break
		}
		next.After = q.ID
		if q.At.Before(next.Options.Since) {
			continue
		}
		next.Progress.Scanned++
		if len(q.Raw) == 0 {
			without++
			continue
		}
		if s, ok := w.again(&next, q); ok {
			batch = append(batch, cured{q.ID, s})
		}
	}
	if job.Options.DryRun {
		next.Progress.Changed += len(batch)
	} else if err := w.release(ctx, &next, batch); err != nil {
		return false, err
	}
	tell(&next, without, "records that stay in quarantine because their bytes were not kept, which might have held secrets")
	*job = next
	return room(job, job.Progress.Scanned) == 0, nil
}

// again normalises a quarantined record, and counts it.
func (w *Worker) again(job *audit.Job, q audit.Quarantined) (audit.Stored, bool) {
	job.Progress.Read++
	s, err := w.Normalizer.Normalize(audit.Record{Source: q.Source, TenantID: q.TenantID, Blob: q.Blob, Raw: q.Raw})
	if err != nil {
		job.Progress.Quarantined++
		return audit.Stored{}, false
	}
	return s, true
}

// release stores what was cured and takes it out of quarantine. A store refuses
// a batch for one event that it can never take; then each is tried alone, and
// that one stays.
func (w *Worker) release(ctx context.Context, job *audit.Job, batch []cured) error {
	if len(batch) == 0 {
		return nil
	}
	stored, ids := make([]audit.Stored, len(batch)), make([]string, len(batch))
	for i, c := range batch {
		stored[i], ids[i] = c.stored, c.id
	}
	if err := w.describeAll(ctx, job, stored); err != nil {
		return err
	}
	inserted, err := w.Store.Insert(ctx, stored)
	switch {
	case errors.Is(err, audit.ErrInvalid) && len(batch) > 1:
		for i := range batch {
			if err := w.release(ctx, job, batch[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	case errors.Is(err, audit.ErrInvalid):
		job.Progress.Quarantined++
		return nil
	case err != nil:
		return err
	}
	released, err := w.Store.Unquarantine(ctx, ids)
	if err != nil {
		return err
	}
	job.Progress.New += inserted.New
	job.Progress.Known += inserted.Known
	job.Progress.Changed += released
	return nil
}
