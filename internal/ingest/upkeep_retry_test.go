package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/normalize"
	"aoc/internal/store/sqlite"

	"github.com/stretchr/testify/require"
)

// bad is a record in quarantine, as one that some rule refused.
func bad(raw string, at time.Time) audit.Quarantined {
	rec := audit.Record{Source: audit.M365SharePoint, TenantID: keptTenant, Raw: []byte(raw)}
	return normalize.Quarantine(rec, errors.New("it was refused"), at)
}

func (k *keeper) setAside(t *testing.T, records ...audit.Quarantined) {
	t.Helper()
	_, err := k.store.SetAside(t.Context(), records)
	require.NoError(t, err)
}

// fillQuarantine sets n good records aside, and five that must stay: three that
// are no events and two without bytes. It returns the ids of those.
func (k *keeper) fillQuarantine(t *testing.T, n int) (staying []string) {
	var good, stay []audit.Quarantined
	for i := range n {
		good = append(good, bad(fileRead(fmt.Sprintf(knownRecord, i), k.now), k.now))
	}
	for i := range 3 {
		stay = append(stay, bad(untold(fileRead(fmt.Sprintf(knownRecord, i), k.now)), k.now))
	}
	for i := range 2 {
		id := audit.QuarantineID(keptTenant, audit.M365Exchange, []byte{byte(i)})
		stay = append(stay, audit.Quarantined{ID: id, TenantID: keptTenant, Source: audit.M365Exchange, Reason: "no JSON", At: k.now})
	}
	k.setAside(t, append(good, stay...)...)
	k.insert(t, k.event(t, fileRead(fmt.Sprintf(knownRecord, 7), k.now), nil)) // a later reading brought it
	for _, q := range stay {
		staying = append(staying, q.ID)
	}
	slices.Sort(staying)
	return staying
}

func TestQuarantineIsRunAgain(t *testing.T) {
	const note = "records that stay in quarantine because their bytes were not kept, which might have held secrets: 2"
	keeping(t, func(t *testing.T, k *keeper) {
		staying := k.fillQuarantine(t, 250)
		k.directory.err = errors.New("down")

		job := k.do(t, KindRetry, audit.JobOptions{DryRun: true})
		require.Equal(t, 250, job.Progress.Changed)
		require.Equal(t, []string{note}, job.Notes)
		require.Len(t, k.events(t), 1)
		require.Len(t, k.quarantined(t), 255)

		job = k.do(t, KindRetry, audit.JobOptions{Limit: 120})
		require.Equal(t, 120, job.Progress.Scanned)
		require.Len(t, k.quarantined(t), 255-job.Progress.Changed)

		require.Zero(t, k.do(t, KindRetry, audit.JobOptions{Since: k.now.Add(time.Second)}).Progress.Scanned)

		job = k.do(t, KindRetry, audit.JobOptions{Since: k.now})
		require.Equal(t, staying, k.quarantined(t))
		require.Len(t, k.events(t), 250)
		require.Equal(t, []string{note}, job.Notes)
		require.Equal(t, 3, job.Progress.Quarantined)
		e := k.events(t)[100]
		require.NotEmpty(t, e.Summary)

		job = k.do(t, KindRetry, audit.JobOptions{})
		require.Equal(t, audit.Progress{Scanned: 5, Counts: audit.Counts{Read: 3, Quarantined: 3}}, job.Progress)
	})
	dieEverywhere(t, KindRetry, func(t *testing.T, k *keeper) audit.JobOptions {
		k.fillQuarantine(t, 105)
		return audit.JobOptions{}
	}, func(t *testing.T, k *keeper, job audit.Job) {
		require.Len(t, k.events(t), 105)
		require.Len(t, k.quarantined(t), 5)
		require.LessOrEqual(t, job.Progress.Scanned, 110, "what had left before the crash is not met again")
		require.Equal(t, []string{note}, job.Notes)
	})
}

// choosy cannot take one of the records.
type choosy struct{ *sqlite.Store }

func (c choosy) Insert(ctx context.Context, batch []audit.Stored) (audit.Inserted, error) {
	if slices.ContainsFunc(batch, func(s audit.Stored) bool { return s.Event.RecordID == fmt.Sprintf(knownRecord, 3) }) {
		return audit.Inserted{}, audit.Invalid("raw", "too large")
	}
	return c.Store.Insert(ctx, batch)
}

func TestACuredRecordThatTheStoreCannotTake(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		k.fillQuarantine(t, 250)
		k.worker = k.on(t, choosy{k.store})
		job := k.do(t, KindRetry, audit.JobOptions{})
		require.Equal(t, 249, job.Progress.Changed)
		require.Len(t, k.quarantined(t), 6)
	})
}
