package ingest

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"aoc/internal/audit"
)

// stray is an event that is stored under another key than its record's.
type stray struct {
	id    string       // that it is stored under
	moved audit.Stored // under its own
}

// dedupeStep finds the next events that are stored under another key than their
// record's, as an older rule or another name of the feed's family made it, and
// moves each to its own, or merges it into the event that is there. The copy
// goes last, so that whatever is broken off is found again. Of the job's figures
// New counts those that were moved and Known those that were merged.
func (w *Worker) dedupeStep(ctx context.Context, job *audit.Job) (done bool, err error) {
	if ids, ok := strings.CutPrefix(job.After, partDoomed); ok {
		err = w.deleteDoomed(ctx, job, ids)
		return err == nil && room(job, job.Progress.Scanned) == 0, err
	}
	done, err = w.overEvents(ctx, job, w.dedupe)
	return done && job.After == "", err
}

func (w *Worker) dedupe(ctx context.Context, job *audit.Job, events []audit.Event) error {
	strays, err := w.strays(ctx, job, events)
	if err != nil || len(strays) == 0 {
		return err
	}
	if job.Options.DryRun {
		return w.countStrays(ctx, job, strays)
	}
	moved := make([]audit.Stored, len(strays))
	for i := range strays {
		w.Normalizer.Describe(&strays[i].moved)
		moved[i] = strays[i].moved
	}
	inserted, err := w.Store.Insert(ctx, moved)
	if err != nil {
		return err
	}
	left := 0
	for i := range strays {
		gone, err := w.mergeTags(ctx, strays[i].id, strays[i].moved.Event)
		if err != nil {
			return err
		}
		if len(gone) == 0 {
			left++
		} else {
			job.After = cmp.Or(job.After, partDoomed) + " " + strings.Join(gone, " ")
		}
	}
	job.Progress.Changed += len(strays) - left
	job.Progress.New += inserted.New
	job.Progress.Known += inserted.Known - left
	job.Progress.Failing += left
	tell(job, left, "events with tags that were not merged, because the event that they belong to has another time (renormalize first)")
	return nil
}

// strays returns those of the events that are not stored under their own key.
func (w *Worker) strays(ctx context.Context, job *audit.Job, events []audit.Event) (list []stray, err error) {
	suspects := slices.DeleteFunc(slices.Clone(events), func(e audit.Event) bool {
		id, err := audit.NewID(e.TenantID, e.Source, e.RecordID)
		return err == nil && id == e.ID
	})
	raws, err := w.Store.Raws(ctx, idsOf(suspects))
	if err != nil {
		return nil, err
	}
	unreadable := 0
	for _, e := range suspects {
		raw, ok := raws[e.ID]
		if !ok {
			continue // deleted meanwhile
		}
		id, err := ownID(e, raw)
		if err != nil {
			unreadable++
		} else if id != e.ID {
			s := stray{id: e.ID, moved: audit.Stored{Event: e, Raw: raw}}
			s.moved.Event.ID = id
			list = append(list, s)
		}
	}
	job.Progress.Failing += unreadable
	tell(job, unreadable, "events passed over, because their records have no id and their raw bytes cannot be read")
	return list, nil
}

// ownID is the key that an event is to be stored under.
func ownID(e audit.Event, raw audit.Raw) (string, error) {
	if e.RecordID != "" {
		return audit.NewID(e.TenantID, e.Source, e.RecordID)
	}
	return audit.ContentID(e.TenantID, e.Source, raw.Bytes)
}

// countStrays tells what would become of strays.
func (w *Worker) countStrays(ctx context.Context, job *audit.Job, strays []stray) error {
	ids := make([]string, len(strays))
	for i := range strays {
		ids[i] = strays[i].moved.Event.ID
	}
	there, err := w.Store.Raws(ctx, ids)
	if err != nil {
		return err
	}
	slices.Sort(ids)
	fresh := 0
	for _, id := range slices.Compact(ids) {
		if _, ok := there[id]; !ok {
			fresh++
		}
	}
	job.Progress.Changed += len(strays)
	job.Progress.New += fresh
	job.Progress.Known += len(strays) - fresh
	return nil
}

// mergeTags puts the tags of an event, the copy of a stray, onto the one that is
// stored under its id, and returns what is to be deleted then; nothing where that
// one is not found. What else people put on events has to be merged here too,
// comments above all: the stray that they hang on is deleted.
func (w *Worker) mergeTags(ctx context.Context, from string, e audit.Event) (gone []string, err error) {
	if len(e.Tags) == 0 {
		return []string{from}, nil
	}
	there, ok, err := w.stored(ctx, e)
	if err != nil || !ok {
		return nil, err
	}
	spare, err := audit.NewID(e.TenantID, "dedupe", from)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(e.Tags, func(tag string) bool { return !slices.Contains(there.Tags, tag) }) {
		return []string{from, spare}, nil
	}
	raws, err := w.Store.Raws(ctx, []string{there.ID})
	if err != nil || raws[there.ID].Bytes == nil {
		return nil, err
	}
	there.Tags = slices.Compact(slices.Sorted(slices.Values(slices.Concat(there.Tags, e.Tags))))
	whole, err := w.rewrite(ctx, spare, audit.Stored{Event: there, Raw: raws[there.ID]})
	if err != nil || !whole {
		return []string{from}, err
	}
	return []string{from, spare}, nil
}

// rewrite stores an event anew under its id, tags and all, which replacing does
// not do. A spare copy stands for it meanwhile. Where that is broken off, or
// ingestion has put the event back first and so it is not whole, the copy stays,
// to be found as a stray.
func (w *Worker) rewrite(ctx context.Context, spare string, s audit.Stored) (whole bool, err error) {
	w.Normalizer.Describe(&s)
	copied := s
	copied.Event.ID = spare
	if _, err := w.Store.Insert(ctx, []audit.Stored{copied}); err != nil {
		return false, err
	}
	if _, err := w.Store.Delete(ctx, []string{s.Event.ID}); err != nil {
		return false, err
	}
	inserted, err := w.Store.Insert(ctx, []audit.Stored{s})
	return inserted.New == 1, err
}

// stored reads an event by its id and time.
func (w *Worker) stored(ctx context.Context, e audit.Event) (audit.Event, bool, error) {
	q := audit.Query{Scope: audit.Everything(), Start: e.Time, End: e.Time.Add(audit.TickLength), Limit: audit.MaxPageSize}
	for {
		page, err := w.Store.Search(ctx, q)
		if err != nil {
			return audit.Event{}, false, err
		}
		if i := slices.IndexFunc(page.Events, func(o audit.Event) bool { return o.ID == e.ID }); i >= 0 {
			return page.Events[i], true, nil
		}
		if page.Next == nil {
			return audit.Event{}, false, nil
		}
		q.After = page.Next
	}
}
