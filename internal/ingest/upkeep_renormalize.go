package ingest

import (
	"cmp"
	"context"
	"reflect"
	"slices"

	"aoc/internal/audit"
)

// renormalizeStep makes the next events anew from the raw bytes that are kept
// of them, and replaces those that come out otherwise. Of the job's figures
// Failing counts the events that keep what they had, because their record is
// refused now.
func (w *Worker) renormalizeStep(ctx context.Context, job *audit.Job) (done bool, err error) {
	return w.overEvents(ctx, job, w.renormalize)
}

func (w *Worker) renormalize(ctx context.Context, job *audit.Job, events []audit.Event) error {
	raws, err := w.Store.Raws(ctx, idsOf(events))
	if err != nil {
		return err
	}
	var olds []audit.Event
	var anew []audit.Stored
	refused, open := 0, 0
	for _, old := range events {
		raw, ok := raws[old.ID]
		if !ok {
			continue // deleted meanwhile
		}
		s, err := w.Normalizer.Normalize(audit.Record{Source: old.Source, TenantID: old.TenantID, Raw: raw.Bytes})
		if err != nil {
			w.Log.DebugContext(ctx, "a record is refused now", "event_id", old.ID, "error", err)
			refused++
			continue
		}
		if s.Raw.SHA256 != raw.SHA256 {
			open++
		}
		keep(&s, old, raw)
		olds, anew = append(olds, old), append(anew, s)
	}
	if err := w.describeAll(ctx, job, anew); err != nil {
		return err
	}
	changed := differing(olds, anew)
	if !job.Options.DryRun && len(changed) > 0 {
		if _, err := w.Store.Replace(ctx, changed); err != nil {
			return err
		}
	}
	job.Progress.Changed += len(changed)
	job.Progress.Failing += refused
	tell(job, refused, "events that keep what they had, because today's rules refuse their records")
	tell(job, open, "events whose raw bytes still hold what today's rules cut out of new records as a secret")
	return nil
}

// differing returns those of the new events that are not what the old ones are.
func differing(olds []audit.Event, anew []audit.Stored) (changed []audit.Stored) {
	for i := range anew {
		if !sameEvent(olds[i], anew[i].Event) {
			changed = append(changed, anew[i])
		}
	}
	return changed
}

// keep hands on what normalisation cannot know: the id that the event is stored
// under, its tags, the places that were cut out of the bytes as they are stored,
// and the names that things had then.
func keep(s *audit.Stored, old audit.Event, raw audit.Raw) {
	e := &s.Event
	e.ID, e.Tags = old.ID, old.Tags
	if s.Raw.SHA256 != raw.SHA256 {
		e.Redactions = old.Redactions
	}
	s.Raw = raw
	keepActor(e, &old)
	for i := range e.Targets {
		t := &e.Targets[i]
		same := func(o audit.Target) bool { return o.ID == t.ID && o.Name != "" }
		if n := slices.IndexFunc(old.Targets, same); n >= 0 && t.ID != "" && t.Name == "" {
			t.Name, t.Type = old.Targets[n].Name, cmp.Or(t.Type, old.Targets[n].Type)
		}
	}
	keepContext(e, &old)
}

func keepActor(e, old *audit.Event) {
	if a, was := &e.Actor, old.Actor; a.ID != "" && a.ID == was.ID {
		a.Name, a.UPN = cmp.Or(a.Name, was.Name), cmp.Or(a.UPN, was.UPN)
	}
}

func keepContext(e, old *audit.Event) {
	c, was := &e.Context, old.Context
	if c.DeviceID != "" && c.DeviceID == was.DeviceID {
		c.DeviceName = cmp.Or(c.DeviceName, was.DeviceName)
	}
	if c.AppID == "" || c.AppID != was.AppID {
		return
	}
	// An app without a name is told by its id.
	if e.Actor.App == c.AppID && c.AppName == "" {
		e.Actor.App = cmp.Or(old.Actor.App, was.AppName, c.AppID)
	}
	c.AppName = cmp.Or(c.AppName, was.AppName)
}

// sameEvent reports whether two events say the same. A store may give back an
// empty list as none, and a time in another form.
func sameEvent(a, b audit.Event) bool {
	if !a.Time.Equal(b.Time) || !slices.Equal(a.Targets, b.Targets) || !slices.Equal(a.Changes, b.Changes) ||
		!slices.Equal(a.Redactions, b.Redactions) || !slices.Equal(a.Tags, b.Tags) {
		return false
	}
	a.Time, a.Targets, a.Changes, a.Redactions, a.Tags = b.Time, b.Targets, b.Changes, b.Redactions, b.Tags
	return reflect.DeepEqual(a, b)
}
