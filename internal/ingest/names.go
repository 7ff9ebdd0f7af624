package ingest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"aoc/internal/audit"
)

// kindNames is the job that fills in the names of events that were stored while
// the directory was down.
const kindNames = "names"

// askLater makes sure that somebody asks for names again: one job an hour is
// enough for all that was stored without them.
func (w *Worker) askLater(ctx context.Context) error {
	now := time.Now().UTC()
	id := "names-" + now.Format("2006-01-02T15")
	if _, asked := w.running.LoadOrStore("asked/"+id, true); asked {
		return nil
	}
	_, err := w.Store.Job(ctx, id)
	if !errors.Is(err, audit.ErrNotFound) {
		return err
	}
	return w.Store.AddJob(ctx, audit.Job{ID: id, Kind: kindNames, State: audit.JobRunning, CreatedAt: now})
}

// namesStep fills names into the next events in insertion order. While the
// directory is down it fails, and is tried again.
func (w *Worker) namesStep(ctx context.Context, job *audit.Job) (done bool, err error) {
	page, err := w.Store.After(ctx, job.Position, batchRecords)
	if err != nil || len(page) == 0 {
		return err == nil, err
	}
	batch := make([]audit.Stored, len(page))
	for i, s := range page {
		batch[i].Event = s.Event
		batch[i].Event.Targets = slices.Clone(s.Event.Targets)
	}
	if err := w.Names.Fill(ctx, batch); err != nil {
		return false, err
	}
	changed := slices.DeleteFunc(batch, func(s audit.Stored) bool {
		i := slices.IndexFunc(page, func(p audit.Sequenced) bool { return p.Event.ID == s.Event.ID })
		return reflect.DeepEqual(s.Event, page[i].Event)
	})
	if err := w.redescribe(ctx, changed); err != nil {
		return false, err
	}
	job.Progress.Scanned += len(page)
	job.Progress.Changed += len(changed)
	job.Position = page[len(page)-1].Seq
	return false, nil
}

// redescribe writes events whose names have changed.
func (w *Worker) redescribe(ctx context.Context, batch []audit.Stored) error {
	if len(batch) == 0 {
		return nil
	}
	ids := make([]string, len(batch))
	for i := range batch {
		ids[i] = batch[i].Event.ID
	}
	raws, err := w.Store.Raws(ctx, ids)
	if err != nil {
		return err
	}
	for i := range batch {
		batch[i].Raw = raws[batch[i].Event.ID]
		w.Normalizer.Describe(&batch[i])
	}
	_, err = w.Store.Replace(ctx, batch)
	return err
}
