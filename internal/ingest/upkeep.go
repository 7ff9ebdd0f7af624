package ingest

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"aoc/internal/audit"
)

const (
	// stepEvents is how many events one step of a job looks at or deletes.
	stepEvents = 500
	// stepRaws is how many records' bytes are in memory together: one may have
	// several MB.
	stepRaws = 100
)

// draft is the job as it will be when a step has succeeded. Until then the job
// itself stays as it is, for a failure is kept in it and the step done again.
func draft(job *audit.Job) audit.Job {
	next := *job
	next.Notes = slices.Clone(job.Notes)
	return next
}

// room is how many more of what it has used so far a job may take.
func room(job *audit.Job, used int) int {
	if job.Options.Limit <= 0 {
		return stepEvents
	}
	return max(0, min(stepEvents, job.Options.Limit-used))
}

// tell keeps a note that ends with a count, and adds to the count of the same
// note. Of nothing there is nothing to tell.
func tell(job *audit.Job, n int, words string) {
	if n == 0 {
		return
	}
	words += ": "
	at := slices.IndexFunc(job.Notes, func(note string) bool { return strings.HasPrefix(note, words) })
	if at < 0 {
		job.Notes = append(job.Notes, words+strconv.Itoa(n))
		return
	}
	before, _ := strconv.Atoi(strings.TrimPrefix(job.Notes[at], words))
	job.Notes[at] = words + strconv.Itoa(before+n)
}

// overEvents does the next step of a job that goes over what is stored in
// insertion order. do gets the events that the job is about, few at a time, and
// what came of them goes into the job that it is handed. The job ends when
// nothing comes after; where a writer has not finished that is sooner, and what
// is then stored was made by today's rules.
func (w *Worker) overEvents(ctx context.Context, job *audit.Job, do func(context.Context, *audit.Job, []audit.Event) error) (done bool, err error) {
	page, err := w.Store.After(ctx, job.Position, stepEvents)
	if err != nil || len(page) == 0 {
		return err == nil, err
	}
	next := draft(job)
	var events []audit.Event
	for _, e := range page {
		if room(&next, next.Progress.Scanned) == 0 {
			break
		}
		next.Position = e.Seq
		if e.Event.Time.Before(next.Options.Since) {
			continue
		}
		next.Progress.Scanned++
		events = append(events, e.Event)
	}
	for part := range slices.Chunk(events, stepRaws) {
		if err := do(ctx, &next, part); err != nil {
			return false, err
		}
	}
	*job = next
	return room(job, job.Progress.Scanned) == 0, nil
}

// describeAll puts names, summaries and tokens to events. Without the directory
// they go on without names, which are asked for again later.
func (w *Worker) describeAll(ctx context.Context, job *audit.Job, batch []audit.Stored) error {
	if err := w.Names.Fill(ctx, batch); err != nil {
		if stopped(ctx) {
			return ctx.Err()
		}
		w.Log.WarnContext(ctx, "a job goes on without some names", "job", job.ID, "error", err)
		if !job.Options.DryRun {
			if err := w.askLater(ctx); err != nil {
				return err
			}
		}
	}
	for i := range batch {
		w.Normalizer.Describe(&batch[i])
	}
	return nil
}

// partDoomed begins Job.After where a step has said which events the next one is
// to delete, by ids that follow it. They are kept first because a store may have
// the raw bytes left of an event that is found no more when a deletion is broken
// off, and only the same ids again remove those.
const partDoomed = "delete"

func (w *Worker) deleteDoomed(ctx context.Context, job *audit.Job, ids string) error {
	if _, err := w.Store.Delete(ctx, strings.Fields(ids)); err != nil {
		return err
	}
	job.After = ""
	return nil
}

func idsOf(events []audit.Event) []string {
	ids := make([]string, len(events))
	for i := range events {
		ids[i] = events[i].ID
	}
	return ids
}
