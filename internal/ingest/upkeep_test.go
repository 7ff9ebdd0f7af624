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
	const untold = "2 records stay in quarantine because their bytes were not kept: they might have held secrets"
	keeping(t, func(t *testing.T, k *keeper) {
		staying := k.fillQuarantine(t, 250)
		k.directory.err = errors.New("down")

		job := k.do(t, KindRetry, audit.JobOptions{DryRun: true})
		require.Equal(t, 250, job.Progress.Changed)
		require.Equal(t, []string{untold}, job.Notes)
		require.Len(t, k.events(t), 1)
		require.Len(t, k.quarantined(t), 255)

		job = k.do(t, KindRetry, audit.JobOptions{Limit: 120})
		require.Equal(t, 120, job.Progress.Scanned)
		require.Len(t, k.quarantined(t), 255-job.Progress.Changed)

		require.Zero(t, k.do(t, KindRetry, audit.JobOptions{Since: k.now.Add(time.Second)}).Progress.Scanned)

		job = k.do(t, KindRetry, audit.JobOptions{Since: k.now})
		require.Equal(t, staying, k.quarantined(t))
		require.Len(t, k.events(t), 250)
		require.Equal(t, []string{untold}, job.Notes)
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
		require.Equal(t, []string{untold}, job.Notes)
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
			"1 events keep what they had: their records are refused by the rules of today",
			"1 events have more in their raw bytes than today's rules would keep: what is cut out of new records as a secret is still in those",
		}, job.Notes)
		e, err := k.store.Event(t.Context(), audit.Everything(), refused.Event.ID)
		require.NoError(t, err)
		require.Equal(t, "fileaccessed", e.Operation)
		e, err = k.store.Event(t.Context(), audit.Everything(), secret.Event.ID)
		require.NoError(t, err)
		require.Empty(t, e.Redactions, "nothing was cut out of the bytes that are kept")
	})
}

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

// fillOld stores events, quarantined records, jobs and a ledger that begins
// days before the moment in their middle, which it returns.
func (k *keeper) fillOld(t *testing.T, old, days int) (cutoff time.Time) {
	k.now = k.now.Add(-30 * 24 * time.Hour)
	cutoff = k.now.Truncate(24 * time.Hour).Add(-10*time.Hour - 30*time.Minute)
	var batch []audit.Stored
	for i := range old + 100 {
		batch = append(batch, k.event(t, fileRead(fmt.Sprintf(knownRecord, i), cutoff.Add(time.Duration(i-old)*time.Second)), nil))
	}
	k.insert(t, batch...)
	var refused []audit.Quarantined
	for i := range 210 {
		refused = append(refused, bad(untold(fileRead(fmt.Sprintf(knownRecord, i), k.now)), cutoff.Add(time.Duration(i-150)*time.Second)))
	}
	k.setAside(t, refused...)
	for i, done := range []time.Time{cutoff.Add(-time.Hour), cutoff, {}} {
		job := audit.Job{ID: fmt.Sprint("old", i), Kind: "backfill", State: audit.JobDone, CreatedAt: cutoff.Add(-2 * time.Hour), DoneAt: done}
		require.NoError(t, k.store.AddJob(t.Context(), job))
	}
	for _, source := range []audit.Source{audit.EntraDirectory, audit.M365SharePoint} {
		_, err := k.store.Plan(t.Context(), grid(source, cutoff.Add(-time.Duration(days)*24*time.Hour), cutoff.Add(24*time.Hour), cutoff))
		require.NoError(t, err)
	}
	return cutoff
}

func (k *keeper) marked(t *testing.T) (marked, unmarked []audit.Window) {
	t.Helper()
	rows, err := k.store.Windows(t.Context(), audit.LedgerQuery{Limit: maxRows})
	require.NoError(t, err)
	for _, row := range rows {
		if row.Deleted.IsZero() {
			unmarked = append(unmarked, row)
		} else {
			marked = append(marked, row)
		}
	}
	return marked, unmarked
}

// requireKept holds that what is older than the cutoff is gone, and no more.
func (k *keeper) requireKept(t *testing.T, cutoff time.Time, days int) {
	t.Helper()
	events := k.events(t)
	require.Len(t, events, 100)
	for _, e := range events {
		require.False(t, e.Time.Before(cutoff))
	}
	require.Len(t, k.quarantined(t), 60)
	_, err := k.store.Job(t.Context(), "old0")
	require.ErrorIs(t, err, audit.ErrNotFound)
	for _, id := range []string{"old1", "old2"} {
		_, err = k.store.Job(t.Context(), id)
		require.NoError(t, err)
	}
	marked, unmarked := k.marked(t)
	for _, row := range marked {
		require.False(t, row.End().After(cutoff))
		require.Equal(t, audit.Planned, row.State, "nothing else of it is touched")
		require.Equal(t, cutoff, row.NextAt)
	}
	for _, row := range unmarked {
		require.True(t, row.End().After(cutoff))
	}
	require.Len(t, marked, 2*days*24)
	require.Len(t, unmarked, 2*25)
}

func TestRetention(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		time.Sleep(100 * 24 * time.Hour)
		cutoff := k.fillOld(t, 700, 50)
		before := k.ids(t)
		job := k.do(t, KindRetention, audit.JobOptions{Since: cutoff, DryRun: true})
		require.Equal(t, audit.Progress{Scanned: 910, Changed: 850, Windows: 2400, Counts: audit.Counts{Quarantined: 150}}, job.Progress)
		require.Equal(t, []string{"1 of the newest 1000 jobs have ended and would be deleted"}, job.Notes)
		require.Equal(t, before, k.ids(t))
		require.Len(t, k.quarantined(t), 210)
		marked, _ := k.marked(t)
		require.Empty(t, marked)

		job = k.do(t, KindRetention, audit.JobOptions{Since: cutoff, Limit: 600})
		require.Equal(t, 600, job.Progress.Changed)
		require.Len(t, k.events(t), 200)
		require.Len(t, k.quarantined(t), 210)
		marked, _ = k.marked(t)
		require.Empty(t, marked, "there are events left")
		require.Len(t, job.Notes, 1)

		job = k.do(t, KindRetention, audit.JobOptions{Since: cutoff, Limit: 120})
		require.Equal(t, 20, job.Progress.Quarantined)
		require.Len(t, k.quarantined(t), 190)

		job = k.do(t, KindRetention, audit.JobOptions{Since: cutoff})
		require.Equal(t, []string{"1 jobs that had ended were deleted"}, job.Notes)
		require.Equal(t, 2400, job.Progress.Done)
		k.requireKept(t, cutoff, 50)
		marked, _ = k.marked(t)
		require.Equal(t, audit.Progress{Scanned: 60}, k.do(t, KindRetention, audit.JobOptions{Since: cutoff}).Progress)
		again, _ := k.marked(t)
		require.Equal(t, marked, again, "they are marked once")
	})
}

func TestRetentionAfterACrash(t *testing.T) {
	var cutoff time.Time
	dieEverywhere(t, KindRetention, func(t *testing.T, k *keeper) audit.JobOptions {
		time.Sleep(100 * 24 * time.Hour)
		cutoff = k.fillOld(t, 510, 1)
		return audit.JobOptions{Since: cutoff}
	}, func(t *testing.T, k *keeper, job audit.Job) {
		k.requireKept(t, cutoff, 1)
		require.Equal(t, 510, job.Progress.Changed-job.Progress.Quarantined, "each is counted once")
	})
}

// half deletes the events and is gone before their raw bytes are, as a store
// without transactions may.
type half struct {
	*sqlite.Store
	left []string // whose raw bytes are still there
	dead bool
}

func (h *half) Delete(ctx context.Context, ids []string) (int, error) {
	if !h.dead {
		h.dead, h.left = true, slices.Clone(ids)
		_, _ = h.Store.Delete(ctx, ids)
		return 0, errDead
	}
	h.left = slices.DeleteFunc(h.left, func(id string) bool { return slices.Contains(ids, id) })
	return h.Store.Delete(ctx, ids)
}

func TestADeletionThatIsBrokenOffIsRepeated(t *testing.T) {
	for _, kind := range []string{KindRetention, KindDedupe} {
		t.Run(kind, func(t *testing.T) {
			keeping(t, func(t *testing.T, k *keeper) {
				s := k.event(t, fileRead(fmt.Sprintf(knownRecord, 1), k.now.Add(-2*time.Hour)), nil)
				k.insert(t, astray(t, s))
				store := &half{Store: k.store}
				k.worker = k.on(t, store)
				job := k.ask(t, kind, audit.JobOptions{Since: map[string]time.Time{KindRetention: k.now}[kind]})
				require.NoError(t, k.worker.RunJob(t.Context(), job.ID))
				require.Len(t, store.left, 1)
				k.run(t, job)
				require.Empty(t, store.left, "the same ids are deleted again")
			})
		})
	}
}

func TestRetentionWaitsForWhoeverRunsTheWindows(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		time.Sleep(100 * 24 * time.Hour)
		cutoff := k.fillOld(t, 10, 3)
		_, err := k.store.Acquire(t.Context(), "ingest/m365.sharepoint/"+day(cutoff.Add(-48*time.Hour)), "another", time.Hour)
		require.NoError(t, err)
		k.do(t, KindRetention, audit.JobOptions{Since: cutoff})
		marked, _ := k.marked(t)
		require.Len(t, marked, 144-24)
		time.Sleep(time.Hour)
		k.do(t, KindRetention, audit.JobOptions{Since: cutoff})
		marked, _ = k.marked(t)
		require.Len(t, marked, 144)
	})
}

func TestRetentionWithoutACutoffDeletesNothing(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		k.fillStale(t, 10)
		for _, since := range []time.Time{{}, k.now.Add(time.Hour)} {
			job := k.do(t, KindRetention, audit.JobOptions{Since: since})
			require.Len(t, job.Notes, 1)
			require.Len(t, k.events(t), 10)
		}
	})
}
