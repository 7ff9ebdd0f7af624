package ingest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func TestPurviewRefusesASubmission(t *testing.T) {
	inquire(t, 6, func(t *testing.T, q *inquiry) {
		for at := q.from; at.Before(q.to); at = at.Add(24 * time.Hour) {
			q.happen(at, 5)
		}
		q.takes = 3 * time.Minute
		q.refuse = func(time.Time) error {
			if len(q.queries) == 2 {
				return told{}
			}
			return nil
		}
		for range 5 {
			job := q.turn(t)
			require.Equal(t, audit.JobRunning, job.State)
			require.Equal(t, "403 AF10001\nGrant ActivityFeed.Read.", job.Error, "and what to do about it")
			time.Sleep(time.Minute)
		}
		require.Equal(t, 10, q.events(t), "what had been submitted is read meanwhile")
		require.Equal(t, 2, q.job(t).Progress.Done)
		q.refuse = nil
		job := q.end(t)
		require.Equal(t, 30, q.events(t))
		require.Equal(t, audit.Progress{Windows: 6, Done: 6, Counts: audit.Counts{Read: 30, New: 30}}, job.Progress)
		require.Len(t, q.queries, 6)
		require.Len(t, job.Notes, 1)
	})
}

func TestAPurviewQueryCannotBeLookedAt(t *testing.T) {
	inquire(t, 6, func(t *testing.T, q *inquiry) {
		for at := q.from; at.Before(q.to); at = at.Add(24 * time.Hour) {
			q.happen(at, 5)
		}
		looks := 0
		q.blind = func(a *asked) error {
			if a.from.Equal(q.to.Add(-24 * time.Hour)) {
				looks++
				return errors.New("503")
			}
			return nil
		}
		turns := 10
		for range turns {
			q.turn(t)
			time.Sleep(time.Minute)
		}
		require.Equal(t, 25, q.events(t), "it stands in nobody's way")
		require.LessOrEqual(t, looks, turns, "and is left alone until the next turn")
		job := q.job(t)
		require.Equal(t, "503", job.Error)
		require.Equal(t, 5, job.Progress.Done)
		q.blind = nil
		job = q.end(t)
		require.Equal(t, 30, q.events(t))
		require.Equal(t, audit.Counts{Read: 30, New: 30}, job.Progress.Counts)
		q.leaves(t, job)
	})
}

func TestAPurviewReadingBreaks(t *testing.T) {
	for _, breaksIn := range []int{1, 2} {
		t.Run(fmt.Sprint("reading ", breaksIn), func(t *testing.T) {
			inquire(t, 2, func(t *testing.T, q *inquiry) {
				q.happen(q.from, 700)
				q.happen(q.to.Add(-time.Hour), 5)
				q.breaks = func(a *asked, reading int) int {
					if a.from.Equal(q.from) && reading == breaksIn {
						return 600
					}
					return -1
				}
				for q.turn(t).Error == "" {
					time.Sleep(time.Minute)
				}
				job := q.job(t)
				require.Equal(t, audit.JobRunning, job.State)
				require.Contains(t, job.Error, "502")
				before := map[int]int{1: 605, 2: 705}[breaksIn]
				require.Equal(t, before, q.events(t), "what stood before the break is stored")
				require.Equal(t, before, job.Progress.New, "and counted")

				job = q.end(t)
				require.Equal(t, 705, q.events(t))
				require.Equal(t, audit.Progress{Windows: 2, Done: 2, Counts: audit.Counts{Read: 705, New: 705}}, job.Progress)
				require.Len(t, job.Notes, 1, "two whole readings were alike")
				require.Len(t, q.queries, 2, "the query is read again, not asked again")
			})
		})
	}
}

func TestTheProcessDiesInAPurviewJob(t *testing.T) {
	tests := map[string]func(q *inquiry, die func()){
		"in a submission": func(q *inquiry, die func()) {
			q.refuse = func(from time.Time) error {
				if from.Equal(q.from.Add(24 * time.Hour)) {
					q.refuse = nil
					die() // it is taken, and nobody writes it down
				}
				return nil
			}
		},
		"in a reading": func(q *inquiry, die func()) {
			q.breaks = func(a *asked, _ int) int {
				if a.from.Equal(q.from.Add(24 * time.Hour)) {
					q.breaks = nil
					die()
					return 3
				}
				return -1
			}
		},
	}
	for name, kill := range tests {
		t.Run(name, func(t *testing.T) {
			inquire(t, 4, func(t *testing.T, q *inquiry) {
				for at := q.from; at.Before(q.to); at = at.Add(24 * time.Hour) {
					q.happen(at, 5)
				}
				ctx, die := context.WithCancel(t.Context())
				defer die()
				kill(q, die)
				require.ErrorIs(t, q.worker.Run(ctx, Item{Job: q.id}), context.Canceled, "the host tries again")
				require.Empty(t, q.job(t).Error, "it counts against nobody")
				require.NotEmpty(t, q.queries)

				queries := q.worker.Queries
				q.worker = q.newWorker(t, q.store, "one")
				q.worker.Queries = queries
				job := q.end(t)
				require.Equal(t, 20, q.events(t))
				require.Equal(t, audit.Progress{Windows: 4, Done: 4, Counts: audit.Counts{Read: 20, New: 20}}, job.Progress)
				for _, leaf := range q.leaves(t, job) {
					require.Equal(t, queryRead, leaf.State)
					require.Equal(t, 5, leaf.Records)
				}
			})
		})
	}
}

func TestPurviewIsSwitchedOffDuringAJob(t *testing.T) {
	inquire(t, 1, func(t *testing.T, q *inquiry) {
		q.happen(q.from, 5)
		q.worker.Queries = nil
		job := q.turn(t)
		require.Equal(t, audit.JobRunning, job.State)
		require.Contains(t, job.Error, "PURVIEW_BACKFILL")
		require.Empty(t, job.Notes)
		q.worker.Queries = q.unified
		q.end(t)
		require.Equal(t, 5, q.events(t))
	})
}

func TestAPurviewQueryThatNeverEnds(t *testing.T) {
	inquire(t, 1, func(t *testing.T, q *inquiry) {
		q.takes = 365 * 24 * time.Hour
		job := q.turn(t)
		for job.State == audit.JobRunning {
			time.Sleep(12 * time.Hour)
			job = q.turn(t)
		}
		require.Len(t, q.queries, queryTries, "submitted again, and then given up")
		require.Equal(t, queryFailed, job.Queries[0].State)
		require.Len(t, job.Notes, 2)
	})
}
