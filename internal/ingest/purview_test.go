package ingest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

// unified is a tenant's audit log, as Purview's queries read it.
type unified struct {
	records map[time.Time][]string
	takes   time.Duration // until a query has ended
	most    int           // records that one query gives; 0: no bound
	queries []*asked

	refuse  func(from time.Time) error                          // a submission
	fails   func(q *asked) bool                                 // a query
	blind   func(q *asked) error                                // a look at a query
	gives   func(q *asked, reading int, list []string) []string // another list than that
	breaks  func(q *asked, reading int) int                     // after so many records; -1: not
	founds  map[string]int                                      // what status says, where it is more than that
	running int                                                 // the most at one time
}

// asked is a query that was submitted.
type asked struct {
	id       string
	from, to time.Time
	over     time.Time
	readings int
}

func (u *unified) Submit(_ context.Context, from, to time.Time, displayName string) (string, error) {
	if u.refuse != nil {
		if err := u.refuse(from); err != nil {
			return "", err
		}
	}
	if displayName == "" || !from.Before(to) {
		return "", errors.New("400")
	}
	q := &asked{id: fmt.Sprint("q", len(u.queries)), from: from, to: to, over: time.Now().Add(u.takes)}
	u.queries = append(u.queries, q)
	running := 0
	for _, other := range u.queries {
		if other.over.After(time.Now()) {
			running++
		}
	}
	u.running = max(u.running, running)
	return q.id, nil
}

func (u *unified) query(id string) *asked {
	i := slices.IndexFunc(u.queries, func(q *asked) bool { return q.id == id })
	if i < 0 {
		panic("no such query: " + id)
	}
	return u.queries[i]
}

func (u *unified) found(q *asked) (list []string, limited bool) {
	for at := q.from; at.Before(q.to); at = at.Add(time.Second) {
		list = append(list, u.records[at]...)
	}
	if u.most > 0 && len(list) > u.most {
		return list[:u.most], true
	}
	return list, false
}

func (u *unified) Status(_ context.Context, id string) (QueryStatus, error) {
	q := u.query(id)
	if u.blind != nil {
		if err := u.blind(q); err != nil {
			return QueryStatus{}, err
		}
	}
	if q.over.After(time.Now()) {
		return QueryStatus{}, nil
	}
	if u.fails != nil && u.fails(q) {
		return QueryStatus{Over: true, Failed: true}, nil
	}
	list, limited := u.found(q)
	return QueryStatus{Over: true, Limited: limited, Records: max(u.founds[id], len(list))}, nil
}

func (u *unified) Records(_ context.Context, id string) iter.Seq2[audit.Record, error] {
	q := u.query(id)
	q.readings++
	list, _ := u.found(q)
	if u.gives != nil {
		list = u.gives(q, q.readings, list)
	}
	broken := -1
	if u.breaks != nil {
		broken = u.breaks(q, q.readings)
	}
	return func(yield func(audit.Record, error) bool) {
		for i, raw := range list {
			if i == broken {
				break
			}
			if !yield(audit.Record{Source: audit.PurviewQuery, TenantID: tenant, Blob: id, Raw: []byte(raw)}, nil) {
				return
			}
		}
		if broken >= 0 {
			yield(audit.Record{}, errors.New("502"))
		}
	}
}

func (u *unified) happen(at time.Time, n int) {
	at = at.UTC().Truncate(time.Second)
	for range n {
		id := fmt.Sprintf("%s-%d", at.Format(time.RFC3339), len(u.records[at]))
		u.records[at] = append(u.records[at], record(id, at))
	}
}

// inquiry is a rig with a purview job over the days before a week ago.
type inquiry struct {
	*rig
	*unified
	from, to time.Time
	id       string
}

func inquire(t *testing.T, days int, test func(t *testing.T, q *inquiry)) {
	t.Helper()
	bubble(t, func(t *testing.T, r *rig) {
		to := audit.WindowOf(time.Now()).Add(-7 * 24 * time.Hour)
		q := &inquiry{rig: r, unified: &unified{records: map[time.Time][]string{}}, from: to.Add(-time.Duration(days) * 24 * time.Hour), to: to, id: "p"}
		r.worker.Queries = q.unified
		r.planner.Periodic = false
		require.NoError(t, r.store.AddJob(t.Context(), purviewJob(q.from, q.to, time.Now().UTC(), q.id)))
		test(t, q)
	})
}

func (q *inquiry) job(t *testing.T) audit.Job {
	t.Helper()
	job, err := q.planner.Job(t.Context(), q.id)
	require.NoError(t, err)
	return job
}

// turn is one invocation for the job.
func (q *inquiry) turn(t *testing.T) audit.Job {
	t.Helper()
	require.NoError(t, q.worker.Run(t.Context(), Item{Job: q.id}))
	return q.job(t)
}

// end lets the job come to its end, a minute a turn.
func (q *inquiry) end(t *testing.T) audit.Job {
	t.Helper()
	for range 5000 {
		if job := q.turn(t); job.State == audit.JobDone {
			require.Zero(t, job.Error)
			require.False(t, job.DoneAt.IsZero())
			require.Contains(t, job.Notes[0], "not proven complete")
			return job
		}
		time.Sleep(time.Minute)
	}
	require.Fail(t, "the job does not end", "%+v", q.job(t))
	return audit.Job{}
}

// leaves are the job's queries that were not divided, oldest first; they must
// be the whole span without gap or overlap.
func (q *inquiry) leaves(t *testing.T, job audit.Job) []audit.JobQuery {
	t.Helper()
	list := slices.DeleteFunc(slices.Clone(job.Queries), func(q audit.JobQuery) bool { return q.State == queryDivided })
	slices.SortFunc(list, func(a, b audit.JobQuery) int { return a.Start.Compare(b.Start) })
	at := q.from
	for _, leaf := range list {
		require.Equal(t, at, leaf.Start)
		at = leaf.End
	}
	require.Equal(t, q.to, at)
	return list
}

func TestPurviewIsAskedInTurns(t *testing.T) {
	inquire(t, 6, func(t *testing.T, q *inquiry) {
		q.takes = 10 * time.Minute
		for at := q.from; at.Before(q.to); at = at.Add(time.Hour) {
			q.happen(at, 2)
		}
		q.happen(q.to, 1) // the Management API's own
		q.happen(q.from.Add(-time.Second), 1)
		job := q.turn(t)
		require.Equal(t, audit.JobRunning, job.State)
		require.Equal(t, audit.Progress{Windows: 6}, job.Progress)
		require.Len(t, q.queries, 4)
		require.Equal(t, q.to, q.queries[0].to, "the newest first")
		q.turn(t)
		require.Len(t, q.queries, 4, "they run")
		require.Zero(t, q.queries[0].readings)

		job = q.end(t)
		require.Equal(t, queriesAtATime, q.running)
		require.Len(t, q.queries, 6)
		require.Equal(t, audit.Progress{Windows: 6, Done: 6, Counts: audit.Counts{Read: 288, New: 288}}, job.Progress)
		require.Equal(t, 288, q.events(t))
		require.Len(t, job.Notes, 1)
		for i, leaf := range q.leaves(t, job) {
			require.Equal(t, queryRead, leaf.State)
			require.Equal(t, 48, leaf.Records)
			require.Empty(t, leaf.Note)
			require.Equal(t, 2, q.queries[i].readings)
		}
		q.turn(t)
		require.Len(t, q.queries, 6, "a job that is done is done")
	})
}

func TestPurviewFindsNothing(t *testing.T) {
	inquire(t, 1, func(t *testing.T, q *inquiry) {
		job := q.end(t)
		require.Equal(t, audit.Progress{Windows: 1, Done: 1}, job.Progress)
		require.Len(t, job.Notes, 1)
	})
}

func TestAPurviewQueryFails(t *testing.T) {
	inquire(t, 3, func(t *testing.T, q *inquiry) {
		q.takes = 5 * time.Minute
		for at := q.from; at.Before(q.to); at = at.Add(24 * time.Hour) {
			q.happen(at, 5)
		}
		tries := map[time.Time]int{}
		q.fails = func(a *asked) bool {
			tries[a.from]++
			return a.from.Equal(q.from) || a.from.Equal(q.from.Add(24*time.Hour)) && tries[a.from] == 1
		}
		job := q.end(t)
		require.Equal(t, 10, q.events(t))
		leaves := q.leaves(t, job)
		require.Equal(t, []string{queryFailed, queryRead, queryRead}, []string{leaves[0].State, leaves[1].State, leaves[2].State})
		require.Equal(t, 3, tries[q.from])
		require.Equal(t, 1, leaves[1].Tries)
		require.Len(t, q.queries, 3+2+1, "each try is a new query")
		require.Equal(t, audit.Progress{Windows: 3, Done: 3, Counts: audit.Counts{Read: 10, New: 10}}, job.Progress)
		require.Len(t, job.Notes, 2, "what came right in the end is no matter")
		require.Equal(t, q.from.Format(time.RFC3339)+" to "+q.from.Add(24*time.Hour).Format(time.RFC3339)+": Purview failed it 3 times: its records are missing", job.Notes[1])
	})
}

func TestAPurviewQueryFindsTooMany(t *testing.T) {
	inquire(t, 1, func(t *testing.T, q *inquiry) {
		q.most = 10
		for i := range 60 {
			q.happen(q.from.Add(5*time.Hour+time.Duration(i)*time.Minute), 1)
		}
		dense := q.from.Add(20 * time.Hour)
		q.happen(dense, 15) // in one second: no division helps
		job := q.end(t)
		require.Equal(t, 60+10, q.events(t))
		require.Equal(t, queryDivided, job.Queries[0].State)
		require.Zero(t, q.queries[0].readings, "what is divided is not read")
		require.Len(t, job.Notes, 2)
		require.Contains(t, job.Notes[1], "some are missing")
		leaves := q.leaves(t, job)
		for _, leaf := range leaves {
			require.Equal(t, queryRead, leaf.State)
			short := leaf.End.Sub(leaf.Start) <= time.Minute
			require.GreaterOrEqual(t, leaf.End.Sub(leaf.Start), 30*time.Second)
			holds := !leaf.Start.After(dense) && leaf.End.After(dense)
			require.Equal(t, holds, leaf.Note != "", "of that stretch alone it is said")
			require.False(t, holds && !short, "divided down to a minute")
		}
		require.Equal(t, audit.Progress{Windows: len(leaves), Done: len(leaves), Counts: audit.Counts{Read: 70, New: 70}}, job.Progress)
	})
}

func TestAPurviewQueryIsTooMuchForOneReading(t *testing.T) {
	inquire(t, 1, func(t *testing.T, q *inquiry) {
		q.happen(q.from, 1)
		q.happen(q.to.Add(-time.Second), 1)
		q.founds = map[string]int{"q0": maxQueryRecords + 1}
		job := q.end(t)
		require.Equal(t, 2, q.events(t))
		require.Equal(t, queryDivided, job.Queries[0].State)
		require.Len(t, q.leaves(t, job), 2)
		require.Zero(t, q.queries[0].readings)
	})
}

func TestAPurviewQueryDoesNotSayHowManyItFound(t *testing.T) {
	inquire(t, 1, func(t *testing.T, q *inquiry) {
		q.happen(q.from, 3)
		given := 0
		q.gives = func(a *asked, _ int, list []string) []string {
			if a.id != "q0" {
				return list
			}
			given++
			return slices.Repeat(list[:1], maxQueryRecords+1)
		}
		job := q.end(t)
		require.Equal(t, 1, given, "it is not read to its end, and not again")
		require.Equal(t, queryDivided, job.Queries[0].State)
		require.Equal(t, 3, q.events(t))
		require.Equal(t, audit.Progress{Windows: 2, Done: 2, Counts: audit.Counts{Read: 3, New: 3}}, job.Progress)
	})
}

func TestAPurviewQueryGivesTwoAnswers(t *testing.T) {
	at := time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)
	a, b, c, bad := record("a", at), record("b", at), record("c", at), `{"Id":"x","CreationTime":"soon"}`
	tests := map[string]struct {
		first, second []string
		counts        audit.Counts
		note          string
	}{
		"the same":           {[]string{a, b}, []string{b, a}, audit.Counts{Read: 2, New: 2}, ""},
		"more":               {[]string{a, b}, []string{a, b, c}, audit.Counts{Read: 3, New: 3}, "gave 2 and then 3 records"},
		"fewer":              {[]string{a, b, c}, []string{a}, audit.Counts{Read: 3, New: 3}, "gave 3 and then 1 records"},
		"fewer and others":   {[]string{a, b}, []string{c}, audit.Counts{Read: 3, New: 3}, "gave 2 and then 1 records"},
		"as many and others": {[]string{a, b}, []string{b, c}, audit.Counts{Read: 3, New: 3}, "gave 2 records each time, and not the same"},
		"a bad one":          {[]string{a, bad}, []string{a, bad}, audit.Counts{Read: 2, New: 1, Quarantined: 1}, ""},
		"then a bad one":     {[]string{a}, []string{bad}, audit.Counts{Read: 2, New: 1, Quarantined: 1}, "not the same"},
		"nothing, then some": {nil, []string{a}, audit.Counts{Read: 1, New: 1}, "gave 0 and then 1 records"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inquire(t, 1, func(t *testing.T, q *inquiry) {
				q.gives = func(_ *asked, reading int, _ []string) []string {
					return [][]string{tt.first, tt.second}[reading-1]
				}
				job := q.end(t)
				require.Equal(t, tt.counts, job.Progress.Counts)
				require.Equal(t, tt.counts.New, q.events(t), "both readings are stored")
				require.Equal(t, tt.counts.Read, job.Queries[0].Records)
				bad, err := q.store.Quarantined(t.Context(), "", 10)
				require.NoError(t, err)
				require.Len(t, bad, tt.counts.Quarantined)
				if tt.note == "" {
					require.Len(t, job.Notes, 1)
					return
				}
				require.Len(t, job.Notes, 2)
				require.Contains(t, job.Notes[1], tt.note)
				require.Contains(t, job.Notes[1], "cannot be known")
			})
		})
	}
}

func TestPurviewGivesTheManagementRecords(t *testing.T) {
	inquire(t, 1, func(t *testing.T, q *inquiry) {
		at := q.from.Add(3 * time.Hour)
		q.happen(at, 4)
		q.reach = 30 * 24 * time.Hour
		q.blobs = []audit.Blob{{Source: q.source, ID: "b", Created: at}}
		q.bodies["b"] = q.records[at][:3]
		_, err := q.store.Plan(t.Context(), grid(q.source, at, at.Add(time.Hour), time.Now()))
		require.NoError(t, err)
		require.NoError(t, q.worker.Run(t.Context(), Item{Source: q.source, Start: at, End: at.Add(time.Hour)}))
		require.Equal(t, 3, q.events(t))

		job := q.end(t)
		require.Equal(t, audit.Counts{Read: 4, New: 1, Known: 3}, job.Progress.Counts)
		require.Len(t, job.Notes, 1)
		page, err := q.store.After(t.Context(), 0, 10)
		require.NoError(t, err)
		require.Len(t, page, 4, "one id is one record")
		sources := map[audit.Source]int{}
		for _, s := range page {
			sources[s.Event.Source]++
		}
		require.Equal(t, map[audit.Source]int{q.source: 3, audit.PurviewQuery: 1}, sources, "what came first stays")
	})
}

func TestABackfillAsksPurview(t *testing.T) {
	tests := map[string]struct {
		on    bool
		hours int
		asks  bool
	}{
		"on":                         {true, 240, true},
		"off":                        {false, 240, false},
		"on, and all is still there": {true, 24, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				log := &unified{records: map[time.Time][]string{}}
				for i := range 240 {
					log.happen(audit.WindowOf(time.Now()).Add(-time.Duration(i)*time.Hour), 1)
				}
				r.worker.Queries = log
				r.planner.Periodic, r.planner.Purview = false, tt.on
				entra := newTrail() // Purview has no part in it
				entra.source, entra.reach = audit.EntraDirectory, 7*24*time.Hour
				dlp := newTrail() // lists less than the other
				dlp.source, dlp.reach = audit.M365DLP, 6*24*time.Hour
				r.planner.Feeds = append(r.planner.Feeds, entra, dlp)
				r.worker.Feeds = r.planner.Feeds
				job, err := r.planner.Backfill(t.Context(), tt.hours)
				require.NoError(t, err)
				for _, span := range job.Spans {
					says := strings.Contains(span.Note, "what is older is asked of Purview, in job "+job.ID+"-purview")
					require.Equal(t, tt.asks && span.Source != audit.EntraDirectory, says, "%s: %s", span.Source, span.Note)
				}
				for range 10 {
					r.tick(t)
					time.Sleep(time.Minute)
				}
				jobs, err := r.planner.Jobs(t.Context(), 10)
				require.NoError(t, err)
				if !tt.asks {
					require.Len(t, jobs, 1)
					require.Empty(t, log.queries)
					return
				}
				require.Len(t, jobs, 2)
				made, err := r.planner.Job(t.Context(), job.ID+"-purview")
				require.NoError(t, err)
				require.Equal(t, kindPurview, made.Kind)
				require.Equal(t, audit.JobDone, made.State, made.Error)
				from := audit.WindowOf(job.CreatedAt.Add(-240 * time.Hour))
				to := audit.WindowOf(job.CreatedAt).Add(-6*24*time.Hour + time.Hour)
				(&inquiry{from: from, to: to}).leaves(t, made)
				require.Equal(t, 240-6*24, made.Progress.New)
				require.Equal(t, 240-6*24, r.events(t))

				kept, err := r.planner.Job(t.Context(), job.ID)
				require.NoError(t, err)
				require.Equal(t, job.Spans, kept.Spans, "it is written down")
			})
		})
	}
}
