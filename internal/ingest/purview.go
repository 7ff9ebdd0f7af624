package ingest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"aoc/internal/audit"
	"aoc/internal/normalize"
)

// Queries are Purview's audit log queries: the only way to records that the
// Management API no longer lists, and best effort.
type Queries interface {
	Submit(ctx context.Context, from, to time.Time, displayName string) (id string, err error)
	Status(ctx context.Context, id string) (QueryStatus, error)
	Records(ctx context.Context, id string) iter.Seq2[audit.Record, error]
}

// QueryStatus is what Purview says of a query.
type QueryStatus struct {
	Over    bool // it has ended, well or not
	Failed  bool
	Limited bool // more matched than one query gives
	Records int  // found, give or take
}

const (
	kindPurview    = "purview"
	querySpan      = 24 * time.Hour // of one query, until a cap divides it
	leastSpan      = time.Minute    // a query is not divided below it
	queriesAtATime = 4              // apps were refused from about ten on
	queryTries     = 3
	// queryPatience is how long a query may run: hours are common.
	queryPatience = 24 * time.Hour
	// maxQueryRecords is what is read of one query: a reading must end within an
	// invocation, and twice.
	maxQueryRecords = 50_000
)

// The states of a job's query.
const (
	queryWaiting = "waiting"
	queryRunning = "running"
	queryRead    = "read"
	queryFailed  = "failed"
	queryDivided = "divided"
)

// purviewJob is a job over [from, to), newest spans first.
func purviewJob(from, to, now time.Time, id string) audit.Job {
	job := audit.Job{ID: id, Kind: kindPurview, State: audit.JobRunning, CreatedAt: now}
	for end := to; end.After(from); end = end.Add(-querySpan) {
		job.Queries = append(job.Queries, audit.JobQuery{Start: maxTime(from, end.Add(-querySpan)), End: end, State: queryWaiting})
	}
	job.Progress.Windows = len(job.Queries)
	return job
}

// purviewStep takes one query one step on. Each step is small, so that what was
// submitted is written down before anything else is. A query that fails stands
// in nobody's way: what runs is read though no more can be submitted, and one
// that cannot be read goes to the end of the row.
func (w *Worker) purviewStep(ctx context.Context, job *audit.Job) (done bool, err error) {
	if w.Queries == nil {
		return false, audit.Invalid("PURVIEW_BACKFILL", "it was switched off while a job was running")
	}
	running := 0
	for _, q := range job.Queries {
		if q.State == queryRunning {
			running++
		}
	}
	var refused error
	waiting := slices.IndexFunc(job.Queries, func(q audit.JobQuery) bool { return q.State == queryWaiting })
	if waiting >= 0 && running < queriesAtATime {
		if refused = w.submitQuery(ctx, job, waiting); refused == nil {
			return false, nil
		}
	}
	moved, err := w.readAny(ctx, job)
	switch {
	case err != nil || moved:
		return false, err
	case refused != nil:
		return false, refused
	case running > 0 || waiting >= 0:
		return false, errLater
	}
	job.Notes = append(job.Notes, proof(job.Queries)...)
	return true, nil
}

// readAny reads the first of the running queries that has ended; moved is false
// while none has.
func (w *Worker) readAny(ctx context.Context, job *audit.Job) (moved bool, err error) {
	for i, q := range job.Queries {
		if q.State != queryRunning {
			continue
		}
		if moved, err := w.readQuery(ctx, job, i); err != nil {
			job.Queries = append(slices.Delete(job.Queries, i, i+1), q)
			return false, err
		} else if moved {
			return true, nil
		}
	}
	return false, nil
}

func (w *Worker) submitQuery(ctx context.Context, job *audit.Job, i int) error {
	q := &job.Queries[i]
	id, err := w.Queries.Submit(ctx, q.Start, q.End, "AOC "+q.Start.Format(time.RFC3339)+" to "+q.End.Format(time.RFC3339))
	if err != nil {
		return err
	}
	q.ID, q.State, q.Asked = id, queryRunning, time.Now().UTC()
	return nil
}

// readQuery reads a query that has ended; moved is false while it has not.
func (w *Worker) readQuery(ctx context.Context, job *audit.Job, i int) (moved bool, err error) {
	q := &job.Queries[i]
	status, err := w.Queries.Status(ctx, q.ID)
	if err == nil && !status.Over && !q.Asked.IsZero() && time.Since(q.Asked) > queryPatience {
		status = QueryStatus{Over: true, Failed: true}
	}
	switch {
	case err != nil || !status.Over:
		return false, err
	case status.Failed:
		if q.Tries++; q.Tries < queryTries {
			q.ID, q.State = "", queryWaiting
			return true, nil
		}
		q.State, q.Note = queryFailed, fmt.Sprintf("Purview failed it %d times: its records are missing", queryTries)
	case (status.Limited || status.Records > maxQueryRecords) && divisible(*q):
		divideQuery(job, i)
	default:
		return true, w.readTwice(ctx, job, i, status.Limited)
	}
	countQueries(job)
	return true, nil
}

func divisible(q audit.JobQuery) bool { return q.End.Sub(q.Start) > leastSpan }

func divideQuery(job *audit.Job, i int) {
	whole := &job.Queries[i]
	whole.State = queryDivided
	middle := whole.Start.Add(whole.End.Sub(whole.Start) / 2).Truncate(time.Second)
	job.Queries = append(
		job.Queries,
		audit.JobQuery{Start: middle, End: whole.End, State: queryWaiting},
		audit.JobQuery{Start: whole.Start, End: middle, State: queryWaiting},
	)
}

// readTwice pages a query's records twice and stores both readings, which one
// id makes one: the same query has been seen to give different records.
func (w *Worker) readTwice(ctx context.Context, job *audit.Job, i int, limited bool) error {
	q := &job.Queries[i]
	var got [2]tally
	for n := range got {
		var err error
		got[n], err = w.readRecords(ctx, *q)
		job.Progress.New += got[n].New // of a reading that broke off too: they are stored
		if errors.Is(err, errTooMany) {
			divideQuery(job, i)
			break
		}
		if err != nil {
			return err
		}
	}
	if q = &job.Queries[i]; q.State == queryRunning {
		first, second := got[0], got[1]
		more := second.New + max(0, second.Quarantined-first.Quarantined) // that the first did not give
		q.State, q.Records, q.Note = queryRead, max(first.Read+more, second.Read), doubt(first.Read, second.Read, more, limited)
		job.Progress.Read += q.Records
		job.Progress.Quarantined += max(first.Quarantined, second.Quarantined)
		job.Progress.Known = max(0, job.Progress.Read-job.Progress.New-job.Progress.Quarantined)
	}
	countQueries(job)
	return nil
}

// doubt says why a query that was read may lack records, "" where nothing tells.
func doubt(first, second, more int, limited bool) string {
	switch {
	case limited:
		return "it matched more records than one query gives, even within a minute: some are missing"
	case first != second:
		return fmt.Sprintf("read twice, it gave %d and then %d records: what neither gave cannot be known", first, second)
	case more > 0:
		return fmt.Sprintf("read twice, it gave %d records each time, and not the same: what neither gave cannot be known", first)
	}
	return ""
}

// errTooMany breaks off the reading of a query that is to be divided.
var errTooMany = errors.New("more records than are read of one query")

// readRecords reads a query once. What came before an error is stored.
func (w *Worker) readRecords(ctx context.Context, q audit.JobQuery) (tally, error) {
	b := w.newBatch(audit.PurviewQuery, []time.Time{{}})
	var broken error
	for rec, err := range w.Queries.Records(ctx, q.ID) {
		if err != nil {
			broken = fmt.Errorf("read query %s: %w", q.ID, err)
			break
		}
		if b.owners[0].Read == maxQueryRecords && divisible(q) {
			broken = errTooMany
			break
		}
		if stored, err := w.Normalizer.Normalize(rec); err != nil {
			b.reject(0, normalize.Quarantine(rec, err, time.Now().UTC()))
		} else {
			b.add(0, stored)
		}
		if b.full() {
			if err := b.flush(ctx); err != nil {
				return b.owners[0], err
			}
		}
	}
	if err := b.flush(ctx); err != nil {
		return b.owners[0], err
	}
	return b.owners[0], broken
}

func countQueries(job *audit.Job) {
	job.Progress.Windows, job.Progress.Done = 0, 0
	for _, q := range job.Queries {
		if q.State != queryDivided {
			job.Progress.Windows++
		}
		if q.State == queryRead || q.State == queryFailed {
			job.Progress.Done++
		}
	}
}

// proof says what the job could not prove.
func proof(queries []audit.JobQuery) []string {
	notes := []string{"Purview's queries are best effort: they do not say what they leave out, so what they gave is stored, and not proven complete."}
	for _, q := range queries {
		if q.Note != "" {
			notes = append(notes, fmt.Sprintf("%s to %s: %s", q.Start.Format(time.RFC3339), q.End.Format(time.RFC3339), q.Note))
		}
	}
	return notes
}

// startPurview adds the job for what of a backfill the Management API no longer
// lists, and says so in the backfill's spans.
func (p *Planner) startPurview(ctx context.Context, job *audit.Job) error {
	from := audit.WindowOf(job.CreatedAt.Add(-time.Duration(job.Hours) * time.Hour))
	to := from
	for i, span := range job.Spans {
		if strings.HasPrefix(string(span.Source), "m365.") && span.Start.After(from) {
			to = maxTime(to, span.Start)
			job.Spans[i].Note += "; what is older is asked of Purview, in job " + job.ID + "-purview"
		}
	}
	if !to.After(from) {
		return nil
	}
	return p.Store.AddJob(ctx, purviewJob(from, to, job.CreatedAt, job.ID+"-purview"))
}

// errLater ends a job's turn: there is nothing to do for it right now.
var errLater = errors.New("later")
