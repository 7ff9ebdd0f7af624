package ingest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/store/sqlite"

	"github.com/stretchr/testify/require"
)

// astray gives an event a key as an older rule made it.
func astray(t *testing.T, s audit.Stored, tags ...string) audit.Stored {
	id, err := audit.NewID(keptTenant, "an older rule", s.Event.ID)
	require.NoError(t, err)
	s.Event.ID, s.Event.Tags = id, tags
	return s
}

// fillStrays stores 20 events that are right, four strays of them of which three
// have tags, and a stray whose own place is empty, twice, once with a record id
// and once without.
func (k *keeper) fillStrays(t *testing.T) {
	var batch, strays []audit.Stored
	for i := range 20 {
		s := k.event(t, fileRead(fmt.Sprintf(knownRecord, i), k.now), nil)
		if i == 1 {
			s.Event.Tags = []string{"b", "c"}
		}
		batch = append(batch, s)
	}
	strays = append(strays, astray(t, batch[0]), astray(t, batch[1], "a", "c"), astray(t, batch[2], "x"), astray(t, astray(t, batch[1]), "d"))
	strays[3].Event.RecordID = batch[1].Event.RecordID
	alone := k.event(t, fileRead(fmt.Sprintf(knownRecord, 90), k.now), nil)
	nameless := k.event(t, fileRead("", k.now), nil)
	strays = append(strays, astray(t, alone, "kept"), astray(t, nameless))
	k.insert(t, batch...)
	k.insert(t, strays...)
}

// requireMerged holds that every event is stored once, under its own key.
func (k *keeper) requireMerged(t *testing.T) {
	t.Helper()
	events := k.events(t)
	require.Len(t, events, 22)
	tags := map[string][]string{}
	for _, e := range events {
		raw, err := k.store.Raw(t.Context(), audit.Everything(), e.ID)
		require.NoError(t, err)
		require.Equal(t, k.event(t, string(raw.Bytes), nil).Event.ID, e.ID)
		if e.Tags != nil {
			tags[e.RecordID] = e.Tags
		}
	}
	require.Equal(t, map[string][]string{
		fmt.Sprintf(knownRecord, 1): {"a", "b", "c", "d"}, fmt.Sprintf(knownRecord, 2): {"x"}, fmt.Sprintf(knownRecord, 90): {"kept"},
	}, tags)
}

func TestDedupe(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		k.fillStrays(t)
		before := k.events(t)
		job := k.do(t, KindDedupe, audit.JobOptions{DryRun: true})
		require.Equal(t, audit.Progress{Scanned: 26, Changed: 6, Counts: audit.Counts{New: 2, Known: 4}}, job.Progress)
		require.Equal(t, before, k.events(t))

		job = k.do(t, KindDedupe, audit.JobOptions{Limit: 20})
		require.Equal(t, audit.Progress{Scanned: 20}, job.Progress)
		job = k.do(t, KindDedupe, audit.JobOptions{Since: k.now.Add(time.Minute)})
		require.Zero(t, job.Progress.Scanned)

		job = k.do(t, KindDedupe, audit.JobOptions{})
		require.Equal(t, 6, job.Progress.Changed)
		require.Equal(t, audit.Counts{New: 2, Known: 4}, job.Progress.Counts)
		k.requireMerged(t)
		require.Equal(t, audit.Progress{Scanned: 22}, k.do(t, KindDedupe, audit.JobOptions{}).Progress)
	})
	dieEverywhere(t, KindDedupe, func(t *testing.T, k *keeper) audit.JobOptions {
		k.fillStrays(t)
		return audit.JobOptions{}
	}, func(t *testing.T, k *keeper, _ audit.Job) { k.requireMerged(t) })
}

func TestDedupeEndsAtItsLimitWithNothingLeftToDelete(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		s := k.event(t, fileRead(fmt.Sprintf(knownRecord, 1), k.now), nil)
		k.insert(t, astray(t, s))
		k.do(t, KindDedupe, audit.JobOptions{Limit: 1})
		require.Equal(t, []string{s.Event.ID}, k.ids(t))
	})
}

func TestDedupeLeavesWhatItCannotMerge(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		s := k.event(t, fileRead(fmt.Sprintf(knownRecord, 1), k.now), nil)
		early := k.event(t, fileRead(fmt.Sprintf(knownRecord, 1), k.now), func(e *audit.Event) { e.Time = e.Time.Add(-time.Hour) })
		k.insert(t, s, astray(t, early, "tag"))
		job := k.do(t, KindDedupe, audit.JobOptions{})
		require.Len(t, k.events(t), 2)
		require.Equal(t, 1, job.Progress.Failing)
		require.Len(t, job.Notes, 1)
		k.do(t, KindRenormalize, audit.JobOptions{})
		k.do(t, KindDedupe, audit.JobOptions{})
		require.Len(t, k.events(t), 1)
		require.Equal(t, []string{"tag"}, k.events(t)[0].Tags)
	})
}

// eager puts an event back the moment that it is deleted, as a settle pass might.
type eager struct {
	*sqlite.Store
	event audit.Stored
	times int
}

func (e *eager) Delete(ctx context.Context, ids []string) (int, error) {
	n, err := e.Store.Delete(ctx, ids)
	if err == nil && e.times > 0 && slices.Contains(ids, e.event.Event.ID) {
		e.times--
		_, err = e.Insert(ctx, []audit.Stored{e.event})
	}
	return n, err
}

func TestDedupeBesideIngestion(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		s := k.event(t, fileRead(fmt.Sprintf(knownRecord, 1), k.now), nil)
		k.insert(t, s, astray(t, s, "tag"))
		k.worker = k.on(t, &eager{k.store, s, 2})
		k.do(t, KindDedupe, audit.JobOptions{})
		require.Equal(t, []string{s.Event.ID}, k.ids(t))
		require.Equal(t, []string{"tag"}, k.events(t)[0].Tags)
	})
}
