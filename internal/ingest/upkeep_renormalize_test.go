package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/store/sqlite"

	"github.com/stretchr/testify/require"
)

// wrong is an operation as no rule names it now.
func wrong(e *audit.Event) { e.Operation, e.Summary = "fileaccessed", "?" }

func (k *keeper) fillStale(t *testing.T, n int) {
	var batch []audit.Stored
	for i := range n {
		at := k.now.Add(-time.Duration(i) * time.Minute)
		var older func(*audit.Event)
		if i%3 == 0 {
			older = wrong
		}
		s := k.event(t, fileRead(fmt.Sprintf(knownRecord, i), at), older)
		s.Event.Tags = []string{fmt.Sprint("tag", i)}
		batch = append(batch, s)
	}
	k.insert(t, batch...)
}

func (k *keeper) stale(t *testing.T) (n int) {
	for _, e := range k.events(t) {
		require.Len(t, e.Tags, 1)
		if e.Operation != "FileAccessed" {
			n++
		}
	}
	return n
}

func TestRenormalize(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		k.fillStale(t, 1200)
		before := k.events(t)
		require.Equal(t, 400, k.do(t, KindRenormalize, audit.JobOptions{DryRun: true}).Progress.Changed)
		require.Equal(t, before, k.events(t))

		job := k.do(t, KindRenormalize, audit.JobOptions{Limit: 601})
		require.Equal(t, audit.Progress{Scanned: 601, Changed: 400 - k.stale(t)}, job.Progress)
		require.NotZero(t, k.stale(t))

		since := k.now.Add(-time.Hour)
		k.do(t, KindRenormalize, audit.JobOptions{Since: since})
		for _, e := range k.events(t) {
			require.True(t, e.Operation == "FileAccessed" || e.Time.Before(since))
		}

		require.Equal(t, 1200, k.do(t, KindRenormalize, audit.JobOptions{}).Progress.Scanned)
		require.Zero(t, k.stale(t))
		require.Equal(t, audit.Progress{Scanned: 1200}, k.do(t, KindRenormalize, audit.JobOptions{}).Progress, "nothing differs any more")
		page, err := k.store.Search(t.Context(), audit.Query{Scope: audit.Everything(), Terms: []string{"fileaccessed"}, Limit: 500})
		require.NoError(t, err)
		require.Len(t, page.Events, 500, "they are found by what they say now")
		require.Len(t, k.events(t), 1200)
	})
	dieEverywhere(t, KindRenormalize, func(t *testing.T, k *keeper) audit.JobOptions {
		k.fillStale(t, 510)
		return audit.JobOptions{}
	}, func(t *testing.T, k *keeper, job audit.Job) {
		require.Zero(t, k.stale(t))
		require.Equal(t, 510, job.Progress.Scanned)
		require.Len(t, k.events(t), 510)
	})
}

func TestRenormalizeKeepsTheNamesOfThen(t *testing.T) {
	const alice, group, app = "aaaaaaaa-0000-0000-0000-000000000001", "aaaaaaaa-0000-0000-0000-000000000002", "aaaaaaaa-0000-0000-0000-000000000003"
	raw := fmt.Sprintf(`{"id":"Directory_1","category":"GroupManagement","activityDisplayName":"Add member to group","activityDateTime":"2000-01-01T00:00:00Z","result":"success",
		"initiatedBy":{"user":{"id":%q}},"targetResources":[{"id":%q,"type":"Group"},{"id":%q,"type":"User"}]}`, alice, group, "aaaaaaaa-0000-0000-0000-000000000009")
	keeping(t, func(t *testing.T, k *keeper) {
		s, err := k.worker.Normalizer.Normalize(audit.Record{Source: audit.EntraDirectory, TenantID: keptTenant, Raw: []byte(raw)})
		require.NoError(t, err)
		s.Event.Actor.Name, s.Event.Actor.UPN = "Alice Then", "then@contoso.com"
		s.Event.Targets[0].Name = "Group Then"
		s.Event.Summary = "?"
		k.insert(t, s)
		k.directory.names = map[string]string{alice: "Alice Now", group: "Group Now", "aaaaaaaa-0000-0000-0000-000000000009": "Bob"}
		require.Equal(t, 1, k.do(t, KindRenormalize, audit.JobOptions{}).Progress.Changed)
		e := k.events(t)[0]
		require.Equal(t, "Alice Then", e.Actor.Name)
		require.Equal(t, "then@contoso.com", e.Actor.UPN)
		require.Equal(t, "Group Then", e.Targets[0].Name)
		require.Equal(t, "Bob", e.Targets[1].Name, "what had no name gets today's")
		require.Contains(t, e.Summary, "Then")
	})

	old := audit.Event{Actor: audit.Actor{ID: "x", Name: "X", App: "Portal"}, Targets: []audit.Target{{ID: "", Name: "?"}}, Context: audit.Context{AppID: app, AppName: "Portal", DeviceID: "d", DeviceName: "PC"}}
	s := audit.Stored{Event: audit.Event{Actor: audit.Actor{ID: "y", App: app}, Targets: []audit.Target{{ID: ""}}, Context: audit.Context{AppID: app, DeviceID: "d"}}}
	keep(&s, old, audit.Raw{})
	require.Equal(t, audit.Actor{ID: "y", App: "Portal"}, s.Event.Actor, "another actor has no name of the first")
	require.Equal(t, old.Context, s.Event.Context)
	require.Empty(t, s.Event.Targets[0].Name, "no id is nobody's")
}

func TestRenormalizeWhatIsRefusedNow(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		good := k.event(t, fileRead(fmt.Sprintf(knownRecord, 1), k.now), wrong)
		refused := k.event(t, fileRead(fmt.Sprintf(knownRecord, 2), k.now), wrong)
		refused.Raw = audit.NewRaw([]byte(untold(string(refused.Raw.Bytes))))
		secret := k.event(t, fileRead(fmt.Sprintf(knownRecord, 3), k.now), nil)
		secret.Raw = audit.NewRaw([]byte(strings.Replace(string(secret.Raw.Bytes), `"UserKey"`, `"Password":"hunter2","UserKey"`, 1)))
		k.insert(t, good, refused, secret)
		job := k.do(t, KindRenormalize, audit.JobOptions{})
		require.Equal(t, audit.Progress{Scanned: 3, Changed: 1, Failing: 1}, job.Progress)
		require.Equal(t, []string{
			"events that keep what they had, because today's rules refuse their records: 1",
			"events whose raw bytes still hold what today's rules cut out of new records as a secret: 1",
		}, job.Notes)
		e, err := k.store.Event(t.Context(), audit.Everything(), refused.Event.ID)
		require.NoError(t, err)
		require.Equal(t, "fileaccessed", e.Operation)
		e, err = k.store.Event(t.Context(), audit.Everything(), secret.Event.ID)
		require.NoError(t, err)
		require.Empty(t, e.Redactions, "nothing was cut out of the bytes that are kept")
	})
}

// stubborn replaces nothing at first.
type stubborn struct {
	*sqlite.Store
	failed bool
}

func (s *stubborn) Replace(ctx context.Context, batch []audit.Stored) (int, error) {
	if !s.failed {
		s.failed = true
		return 0, errors.New("the disk is full")
	}
	return s.Store.Replace(ctx, batch)
}

func TestAStepThatFailedIsToldOfOnce(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		batch := []audit.Stored{}
		for i := range stepRaws + 1 {
			batch = append(batch, k.event(t, fileRead(fmt.Sprintf(knownRecord, i), k.now.Add(time.Duration(i)*time.Second)), nil))
		}
		batch[0].Raw = audit.NewRaw([]byte("{}"))
		wrong(&batch[stepRaws].Event)
		k.insert(t, batch...)
		k.worker = k.on(t, &stubborn{Store: k.store})
		job, err := NewJob(KindRenormalize, audit.JobOptions{})
		require.NoError(t, err)
		job.Notes = []string{"events that keep what they had, because today's rules refuse their records: 1"} // of an earlier step
		require.NoError(t, k.store.AddJob(t.Context(), job))
		require.NoError(t, k.worker.RunJob(t.Context(), job.ID))
		kept, err := k.store.Job(t.Context(), job.ID)
		require.NoError(t, err)
		require.Equal(t, "the disk is full", kept.Error)
		require.Equal(t, job.Notes, kept.Notes)
		require.Zero(t, kept.Progress)
		kept = k.run(t, job)
		require.Equal(t, []string{strings.Replace(job.Notes[0], ": 1", ": 2", 1)}, kept.Notes)
		require.Equal(t, audit.Progress{Scanned: stepRaws + 1, Changed: 1, Failing: 1}, kept.Progress)
	})
}
