package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aoc/internal/audit"
	"aoc/internal/normalize"
	"aoc/internal/store/sqlite"

	"github.com/stretchr/testify/require"
)

// keeper is a store with what maintenance finds in it.
type keeper struct {
	store     *sqlite.Store
	worker    *Worker
	directory directory
	now       time.Time
}

// directory knows names by id, or is down.
type directory struct {
	names map[string]string
	err   error
}

func (d *directory) Fill(_ context.Context, batch []audit.Stored) error {
	for i := range batch {
		e := &batch[i].Event
		e.Actor.Name = cmp.Or(e.Actor.Name, d.names[e.Actor.ID])
		for n := range e.Targets {
			e.Targets[n].Name = cmp.Or(e.Targets[n].Name, d.names[e.Targets[n].ID])
		}
	}
	return d.err
}

func keeping(t *testing.T, test func(t *testing.T, k *keeper)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * time.Minute)
		test(t, newKeeper(t))
	})
}

func newKeeper(t *testing.T) *keeper {
	store, err := sqlite.Open(filepath.Join(t.TempDir(), "aoc.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	k := &keeper{store: store, now: time.Now().UTC()}
	k.worker = k.on(t, store)
	return k
}

// on is a worker over a store, which may be one that dies.
func (k *keeper) on(t *testing.T, store Store) *Worker {
	return &Worker{
		Store: store, Normalizer: normalize.New(normalize.DefaultMappings()), Names: &k.directory,
		Holder: "one", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

const knownRecord = "11111111-2222-3333-4444-%012d"

// fileRead is a record of the Management API.
func fileRead(id string, at time.Time) string {
	if id != "" {
		id = fmt.Sprintf(`"Id":%q,`, id)
	}
	return fmt.Sprintf(`{"CreationTime":%q,%s"Operation":"FileAccessed","OrganizationId":"%s","RecordType":6,"UserKey":"k","UserType":0,"Workload":"SharePoint","UserId":"alice@contoso.com","ObjectId":"https://contoso.sharepoint.com/a.docx"}`,
		at.UTC().Format("2006-01-02T15:04:05"), id, keptTenant)
}

const keptTenant = "11111111-2222-3333-4444-555555555555"

// event makes what a record is stored as, changed by what an older rule would
// have made otherwise.
func (k *keeper) event(t *testing.T, raw string, older func(*audit.Event)) audit.Stored {
	t.Helper()
	s, err := k.worker.Normalizer.Normalize(audit.Record{Source: audit.M365SharePoint, TenantID: keptTenant, Raw: []byte(raw)})
	require.NoError(t, err)
	if older != nil {
		older(&s.Event)
	}
	return s
}

func (k *keeper) insert(t *testing.T, batch ...audit.Stored) {
	t.Helper()
	_, err := k.store.Insert(t.Context(), batch)
	require.NoError(t, err)
}

func (k *keeper) events(t *testing.T) []audit.Event {
	t.Helper()
	var all []audit.Event
	for seq := int64(0); ; {
		page, err := k.store.After(t.Context(), seq, 500)
		require.NoError(t, err)
		if len(page) == 0 {
			return all
		}
		for _, e := range page {
			all, seq = append(all, e.Event), e.Seq
		}
	}
}

func (k *keeper) ids(t *testing.T) []string {
	t.Helper()
	return slices.Sorted(slices.Values(idsOf(k.events(t))))
}

func (k *keeper) quarantined(t *testing.T) []string {
	t.Helper()
	page, err := k.store.Quarantined(t.Context(), "", 1000)
	require.NoError(t, err)
	ids := []string{}
	for _, q := range page {
		ids = append(ids, q.ID)
	}
	return ids
}

func (k *keeper) ask(t *testing.T, kind string, options audit.JobOptions) audit.Job {
	t.Helper()
	job, err := NewJob(kind, options)
	require.NoError(t, err)
	require.NoError(t, k.store.AddJob(t.Context(), job))
	return job
}

func (k *keeper) run(t *testing.T, job audit.Job) audit.Job {
	t.Helper()
	require.NoError(t, k.worker.RunJob(t.Context(), job.ID))
	job, err := k.store.Job(t.Context(), job.ID)
	require.NoError(t, err)
	require.Empty(t, job.Error)
	require.Equal(t, audit.JobDone, job.State)
	return job
}

func (k *keeper) do(t *testing.T, kind string, options audit.JobOptions) audit.Job {
	t.Helper()
	return k.run(t, k.ask(t, kind, options))
}

// mortal is a store whose process is gone before one of its writes.
type mortal struct {
	*sqlite.Store
	left int // writes until then
	dead bool
}

var errDead = errors.New("the process is gone")

func (m *mortal) write(do func() error) error {
	m.left--
	if m.dead = m.left < 0; m.dead {
		return errDead
	}
	return do()
}

func (m *mortal) Insert(ctx context.Context, batch []audit.Stored) (n audit.Inserted, err error) {
	err = m.write(func() error { n, err = m.Store.Insert(ctx, batch); return err })
	return n, err
}

func (m *mortal) Replace(ctx context.Context, batch []audit.Stored) (n int, err error) {
	err = m.write(func() error { n, err = m.Store.Replace(ctx, batch); return err })
	return n, err
}

func (m *mortal) Delete(ctx context.Context, ids []string) (n int, err error) {
	err = m.write(func() error { n, err = m.Store.Delete(ctx, ids); return err })
	return n, err
}

func (m *mortal) Unquarantine(ctx context.Context, ids []string) (n int, err error) {
	err = m.write(func() error { n, err = m.Store.Unquarantine(ctx, ids); return err })
	return n, err
}

func (m *mortal) DeleteJobs(ctx context.Context, before time.Time) (n int, err error) {
	err = m.write(func() error { n, err = m.Store.DeleteJobs(ctx, before); return err })
	return n, err
}

func (m *mortal) SaveJob(ctx context.Context, job audit.Job) error {
	return m.write(func() error { return m.Store.SaveJob(ctx, job) })
}

func (m *mortal) SaveWindows(ctx context.Context, lease audit.Lease, rows []audit.Window) error {
	return m.write(func() error { return m.Store.SaveWindows(ctx, lease, rows) })
}

func (m *mortal) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (lease audit.Lease, err error) {
	err = m.write(func() error { lease, err = m.Store.Acquire(ctx, name, holder, ttl); return err })
	return lease, err
}

func (m *mortal) Release(ctx context.Context, lease audit.Lease) error {
	return m.write(func() error { return m.Store.Release(ctx, lease) })
}

// dieEverywhere runs a job once for each of its writes, with a process that dies
// before it and so after the one before, goes on with a new process, and looks at
// what there is then.
func dieEverywhere(t *testing.T, kind string, fill func(*testing.T, *keeper) audit.JobOptions, check func(*testing.T, *keeper, audit.Job)) {
	t.Helper()
	for n, alive := 0, false; !alive; n++ {
		t.Run(fmt.Sprint("write ", n), func(t *testing.T) {
			keeping(t, func(t *testing.T, k *keeper) {
				job := k.ask(t, kind, fill(t, k))
				store := &mortal{Store: k.store, left: n}
				err := k.on(t, store).RunJob(t.Context(), job.ID)
				if alive = !store.dead; alive {
					require.NoError(t, err)
					require.Greater(t, n, 4, "it wrote nothing")
				}
				check(t, k, k.run(t, job))
			})
		})
		require.False(t, t.Failed())
	}
}

// untold takes from a record what makes it an event.
func untold(raw string) string { return strings.Replace(raw, "CreationTime", "CreatedSome", 1) }

// busy stores a new event between any two steps of a job.
type busy struct {
	*sqlite.Store
	next func() audit.Stored
	left int
}

func (b *busy) SaveJob(ctx context.Context, job audit.Job) error {
	if b.left--; b.left >= 0 {
		if _, err := b.Insert(ctx, []audit.Stored{b.next()}); err != nil {
			return err
		}
	}
	return b.Store.SaveJob(ctx, job)
}

func TestUpkeepBesideIngestion(t *testing.T) {
	for _, kind := range []string{KindRetry, KindRenormalize, KindDedupe, KindRetention} {
		t.Run(kind, func(t *testing.T) {
			keeping(t, func(t *testing.T, k *keeper) {
				k.fillStale(t, 700)
				k.fillQuarantine(t, 250)
				n := 5000
				k.worker = k.on(t, &busy{Store: k.store, left: 3, next: func() audit.Stored {
					n++
					return k.event(t, fileRead(fmt.Sprintf(knownRecord, n), k.now), nil)
				}})
				job := k.do(t, kind, audit.JobOptions{Since: map[string]time.Time{KindRetention: k.now.Add(-time.Hour)}[kind]})
				require.Positive(t, job.Progress.Scanned)
				var live int
				for _, e := range k.events(t) {
					if e.RecordID > fmt.Sprintf(knownRecord, 5000) {
						live++
					}
				}
				require.Equal(t, 3, live)
			})
		})
	}
}
