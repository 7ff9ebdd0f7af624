package ingest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aoc/internal/audit"
	"aoc/internal/normalize"
	"aoc/internal/store/sqlite"

	"github.com/stretchr/testify/require"
)

const tenant = "11111111-2222-3333-4444-555555555555"

// trail is a feed of made records: blobs by the hour of publication.
type trail struct {
	source audit.Source
	reach  time.Duration
	blobs  []audit.Blob
	bodies map[string][]string // by blob id
	fail   map[string]error    // by blob id: after its records; "list" fails the listing
	listed [][2]time.Time
	onRead func(blob string)
}

func (f *trail) Source() audit.Source { return f.source }

func (f *trail) Reach(now time.Time) (time.Time, string) {
	return now.Add(-f.reach), "it lists the last " + f.reach.String()
}

func (f *trail) List(_ context.Context, from, to time.Time) iter.Seq2[audit.Blob, error] {
	f.listed = append(f.listed, [2]time.Time{from, to})
	return func(yield func(audit.Blob, error) bool) {
		if err := f.fail["list"]; err != nil {
			yield(audit.Blob{}, err)
			return
		}
		for _, b := range f.blobs {
			if !b.Created.Before(from) && b.Created.Before(to) && !yield(b, nil) {
				return
			}
		}
	}
}

func (f *trail) Fetch(_ context.Context, blob audit.Blob) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		if f.onRead != nil {
			f.onRead(blob.ID)
		}
		for _, body := range f.bodies[blob.ID] {
			if !yield(audit.Record{Source: f.source, TenantID: tenant, Blob: blob.ID, Raw: []byte(body)}, nil) {
				return
			}
		}
		if err := f.fail[blob.ID]; err != nil {
			yield(audit.Record{}, err)
		}
	}
}

// onFirstRead runs do once, when the first blob is read.
func (f *trail) onFirstRead(do func()) {
	var once sync.Once
	f.onRead = func(string) { once.Do(do) }
}

// publish adds a blob of n records at a moment.
func (f *trail) publish(at time.Time, id string, n int) {
	f.blobs = append(f.blobs, audit.Blob{Source: f.source, ID: id, Created: at})
	for i := range n {
		f.bodies[id] = append(f.bodies[id], record(fmt.Sprintf("%s-%d", id, i), at))
	}
}

func record(id string, at time.Time) string {
	return fmt.Sprintf(`{"CreationTime":%q,"Id":%q,"Operation":"FileAccessed","OrganizationId":%q,"RecordType":6,"UserKey":"k","UserType":0,"Workload":"SharePoint","UserId":"alice@contoso.com","ObjectId":"https://contoso.sharepoint.com/a.docx"}`,
		at.UTC().Format("2006-01-02T15:04:05"), id, tenant)
}

func newTrail() *trail {
	return &trail{source: audit.M365SharePoint, reach: 7 * 24 * time.Hour, bodies: map[string][]string{}, fail: map[string]error{}}
}

// names is a directory that may be down, and else knows Alice.
type names struct{ err error }

func (n *names) Fill(_ context.Context, batch []audit.Stored) error {
	for i := range batch {
		if e := &batch[i].Event; n.err == nil && e.Actor.UPN == "alice@contoso.com" {
			e.Actor.Name = "Alice Meyer"
		}
	}
	return n.err
}

type rig struct {
	*trail
	names   *names
	store   *sqlite.Store
	planner *Planner
	worker  *Worker
}

func newRig(t *testing.T) *rig {
	store, err := sqlite.Open(filepath.Join(t.TempDir(), "aoc.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	feed := newTrail()
	r := &rig{trail: feed, names: &names{}, store: store, planner: &Planner{Store: store, Feeds: []Feed{feed}, Periodic: true}}
	r.worker = r.newWorker(t, store, "one")
	return r
}

func (r *rig) newWorker(t *testing.T, store Store, holder string) *Worker {
	return &Worker{
		Store: store, Feeds: []Feed{r.trail}, Normalizer: normalize.New(normalize.DefaultMappings()), Names: r.names,
		Schedule: Schedule{Interval: 5 * time.Minute}, Holder: holder, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// tick plans and runs what is due, as timer and queue would.
func (r *rig) tick(t *testing.T) []Item {
	t.Helper()
	items, err := r.planner.Tick(t.Context(), time.Now().UTC())
	require.NoError(t, err)
	for _, item := range items {
		require.NoError(t, r.worker.Run(t.Context(), item))
	}
	return items
}

func (r *rig) rows(t *testing.T) []audit.Window {
	t.Helper()
	rows, err := r.store.Windows(t.Context(), audit.LedgerQuery{Limit: maxRows})
	require.NoError(t, err)
	return rows
}

func (r *rig) blob(t *testing.T, id string) audit.BlobRow {
	t.Helper()
	rows, err := r.store.Blobs(t.Context(), audit.LedgerQuery{Limit: maxRows})
	require.NoError(t, err)
	i := slices.IndexFunc(rows, func(b audit.BlobRow) bool { return b.ID == id })
	require.GreaterOrEqual(t, i, 0, "there is no blob %s", id)
	return rows[i]
}

func (r *rig) events(t *testing.T) int {
	t.Helper()
	n, seq := 0, int64(0)
	for {
		page, err := r.store.After(t.Context(), seq, 500)
		require.NoError(t, err)
		if len(page) == 0 {
			return n
		}
		n += len(page)
		seq = page[len(page)-1].Seq
	}
}

// bubble runs a test in simulated time, on the half hour.
func bubble(t *testing.T, test func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * time.Minute)
		test(t, newRig(t))
	})
}

func TestAWindowsLife(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		start := audit.WindowOf(time.Now())
		r.publish(start.Add(10*time.Minute), "early", 3)
		window := func() audit.Window {
			rows := r.rows(t)
			i := slices.IndexFunc(rows, func(w audit.Window) bool { return w.Start.Equal(start) })
			require.GreaterOrEqual(t, i, 0)
			return rows[i]
		}
		r.tick(t)
		require.Equal(t, 3, r.events(t))
		w := window()
		require.Equal(t, audit.Planned, w.State, "its hour is not over")
		require.Equal(t, time.Now().UTC().Add(5*time.Minute), w.NextAt)
		require.Zero(t, w.Passes)

		r.publish(start.Add(50*time.Minute), "later", 2)
		time.Sleep(31 * time.Minute) // over, but too young to trust
		r.tick(t)
		require.Equal(t, 5, r.events(t))
		require.Equal(t, audit.Planned, window().State)

		var late int
		for i, pass := range []time.Duration{15 * time.Minute, 4 * time.Hour, 24 * time.Hour, 6 * 24 * time.Hour} {
			time.Sleep(time.Until(start.Add(time.Hour + pass)))
			late++
			r.publish(start.Add(59*time.Minute), fmt.Sprint("late", i), 1) // back-dated into a window already read
			r.tick(t)
			require.Equal(t, i+1, window().Passes)
			require.Equal(t, 5+late, r.events(t), "what came late is read")
		}
		w = window()
		require.Equal(t, audit.Settled, w.State)
		require.True(t, w.NextAt.IsZero())
		require.Equal(t, 9, w.Counts.New)
	})
}

func TestNothingIsSkippedBetweenTwoStarts(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.tick(t)
		first := r.rows(t)[0].Start
		time.Sleep(53 * time.Hour) // the program was not running
		r.publish(time.Now().Add(-30*time.Hour), "meanwhile", 4)
		_, err := r.planner.Backfill(t.Context(), 1) // somebody asks for the last hour before the timer fires
		require.NoError(t, err)
		for range 3 {
			r.tick(t)
		}
		require.Equal(t, 4, r.events(t))
		rows := r.rows(t)
		for i, w := range rows {
			require.Equal(t, first.Add(time.Duration(i)*time.Hour), w.Start, "the grid has no gap")
		}
	})
}

func TestAFailedBlobHarmsNoNeighbour(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		hour := audit.WindowOf(time.Now()).Add(-3 * time.Hour)
		r.publish(hour, "good", 2)
		r.publish(hour.Add(time.Hour), "broken", 3)
		r.publish(hour.Add(2*time.Hour), "after", 2)
		r.fail["broken"] = errors.New("half an array")
		r.tick(t)
		require.Equal(t, 7, r.events(t), "what stood before the break is stored")
		var failing []audit.Window
		for _, w := range r.rows(t) {
			if w.Attempts > 0 {
				failing = append(failing, w)
			} else {
				require.Empty(t, w.Error)
			}
		}
		require.Len(t, failing, 1)
		require.Equal(t, hour.Add(time.Hour), failing[0].Start)
		require.Equal(t, "read blob broken: half an array", failing[0].Error)
		require.Equal(t, audit.Listed, failing[0].State, "something of it is still to be read")
		broken := r.blob(t, "broken")
		require.Equal(t, audit.Listed, broken.State)
		require.WithinRange(t, broken.NextAt, time.Now().Add(45*time.Second), time.Now().Add(time.Minute))
		require.Equal(t, audit.Kept, r.blob(t, "good").State)

		delete(r.fail, "broken")
		r.bodies["broken"] = append(r.bodies["broken"], record("the rest", hour))
		time.Sleep(time.Minute)
		r.tick(t)
		require.Equal(t, 8, r.events(t))
		feeds, err := r.store.Feeds(t.Context())
		require.NoError(t, err)
		require.Zero(t, feeds[0].Failing)
	})
}

func TestABlobIsRetriedUntilItsOwnExpiry(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		at := audit.WindowOf(time.Now()).Add(-2 * time.Hour)
		r.publish(at, "good", 1)
		r.publish(at.Add(time.Minute), "bad", 2)
		expires := time.Now().Add(30 * time.Hour)
		r.blobs[1].Expires = expires
		r.fail["bad"] = errors.New("truncated")
		r.bodies["bad"] = r.bodies["bad"][:1]
		var tries, goods atomic.Int64
		r.onRead = func(id string) {
			if id == "bad" {
				tries.Add(1)
			} else {
				goods.Add(1)
			}
		}
		for time.Now().Before(expires.Add(time.Hour)) {
			r.tick(t)
			time.Sleep(10 * time.Minute)
		}
		require.Greater(t, tries.Load(), int64(20))
		require.Less(t, tries.Load(), int64(50), "an hour apart at last")
		require.EqualValues(t, 1, goods.Load(), "what is stored is not read again")
		row := r.blob(t, "bad")
		require.Equal(t, audit.Lost, row.State)
		require.Contains(t, row.Reason, "blob bad could not be read before the feed forgot it")
		for _, w := range r.rows(t) {
			if w.Start.Equal(at) {
				require.Equal(t, audit.Lost, w.State)
				require.Contains(t, w.Reason, "blob bad")
				require.Zero(t, w.Attempts, "nothing is being tried any more")
			} else {
				require.NotEqual(t, audit.Lost, w.State)
			}
		}
		require.Equal(t, 2, r.events(t), "what stood before the break is stored")
	})
}

// vanished is an answer that the blob is not there.
type vanished struct{}

func (vanished) Error() string { return "404 AF20050" }
func (vanished) Gone() bool    { return true }

func TestABlobThatTheFeedDoesNotHave(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.publish(time.Now().Add(-2*time.Hour), "b", 0)
		r.fail["b"] = vanished{}
		for range goneAttempts {
			r.tick(t)
			require.NotEmpty(t, r.blob(t, "b").Error)
			time.Sleep(time.Hour)
		}
		require.Equal(t, audit.Lost, r.blob(t, "b").State)
	})
}

func TestQuietIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		at := audit.WindowOf(time.Now()).Add(-2 * time.Hour)
		for i := range 40 {
			id := fmt.Sprint("b", i)
			r.publish(at, id, 1)
			r.fail[id] = told{at: time.Now().Add(20 * time.Minute)}
		}
		var mu sync.Mutex
		read := 0
		r.onRead = func(string) { mu.Lock(); read++; mu.Unlock() }
		r.tick(t)
		require.LessOrEqual(t, read, 3*fetchers, "those that were under way, and no more")
		clear(r.fail)
		time.Sleep(20 * time.Minute)
		r.tick(t)
		require.Equal(t, 40, r.events(t))
		require.Equal(t, audit.Kept, r.blob(t, "b39").State)
	})
}

func TestTheLedgerIsFolded(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		at := audit.WindowOf(time.Now())
		for i := range 20 {
			r.publish(at.Add(time.Duration(i)*time.Minute), fmt.Sprint("b", i), 3)
		}
		for range 7 * 24 {
			r.tick(t)
			time.Sleep(time.Hour)
		}
		rows, err := r.store.Blobs(t.Context(), audit.LedgerQuery{Limit: maxRows})
		require.NoError(t, err)
		require.Empty(t, rows, "settled for good")
		for _, w := range r.rows(t) {
			if w.Start.Equal(at) {
				require.Equal(t, audit.Settled, w.State)
				require.Equal(t, audit.Counts{Blobs: 20, Read: 60, New: 60}, w.Counts)
				p50, ok := w.Lags.Percentile(50)
				require.True(t, ok)
				require.LessOrEqual(t, p50, time.Hour)
				require.Zero(t, w.Late)
			}
		}
	})
}

func TestLateRecordsAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		at := audit.WindowOf(time.Now())
		r.publish(at, "early", 3)
		time.Sleep(2 * time.Hour)
		r.tick(t)
		r.publish(at, "late", 2)
		time.Sleep(4 * time.Hour)
		r.tick(t)
		for _, w := range r.rows(t) {
			if w.Start.Equal(at) {
				require.Equal(t, 2, w.Late)
				require.Equal(t, 5, w.Counts.Read)
			}
		}
	})
}

func TestPush(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.publish(time.Now().Add(-time.Minute), "pushed", 4)
		require.NoError(t, r.planner.Push(t.Context(), r.blobs))
		require.Equal(t, audit.Listed, r.blob(t, "pushed").State, "it is in the ledger before the answer")
		require.NoError(t, r.planner.Push(t.Context(), r.blobs), "told twice")
		r.planner.Periodic = false
		for _, item := range r.tick(t) {
			require.Equal(t, audit.WindowOf(r.blobs[0].Created), item.Start)
		}
		require.Empty(t, r.listed, "no listing was needed")
		require.Equal(t, 4, r.events(t))
		time.Sleep(listAfterPush)
		r.tick(t)
		require.NotEmpty(t, r.listed, "polling remains the truth")
		require.Equal(t, 4, r.events(t))
	})
}

func TestABadRecordCostsItself(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		at := time.Now().Add(-2 * time.Hour)
		r.publish(at, "mixed", 2)
		r.bodies["mixed"] = append(r.bodies["mixed"], `{"Id":"x","CreationTime":"soon"}`, record("last", at))
		r.tick(t)
		require.Equal(t, 3, r.events(t))
		bad, err := r.store.Quarantined(t.Context(), "", 10)
		require.NoError(t, err)
		require.Len(t, bad, 1)
		require.Equal(t, `{"Id":"x","CreationTime":"soon"}`, string(bad[0].Raw))
		require.NotEmpty(t, bad[0].Reason)
	})
}

// told is an error that knows more than its text.
type told struct{ at time.Time }

func (told) Error() string        { return "403 AF10001" }
func (told) Advice() string       { return "Grant ActivityFeed.Read." }
func (e told) RetryAt() time.Time { return e.at }

func TestAFailedListing(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.fail["list"] = told{at: time.Now().Add(20 * time.Minute)}
		r.tick(t)
		for _, w := range r.rows(t) {
			require.Equal(t, "list: 403 AF10001\nGrant ActivityFeed.Read.", w.Error)
			require.Equal(t, time.Now().UTC().Add(20*time.Minute), w.NextAt, "not before it was asked for")
			require.Equal(t, audit.Planned, w.State)
		}
		calls := len(r.listed)
		time.Sleep(19 * time.Minute)
		r.tick(t)
		require.Len(t, r.listed, calls)

		r.fail["list"] = errors.New("refused")
		time.Sleep(time.Minute)
		for _, wait := range []time.Duration{2, 4, 8, 16, 32, 60, 60} { // minutes
			r.tick(t)
			row := r.rows(t)[0]
			require.LessOrEqual(t, time.Until(row.NextAt), wait*time.Minute)
			require.GreaterOrEqual(t, time.Until(row.NextAt), wait*time.Minute*3/4, "a little apart, and no less")
			time.Sleep(wait * time.Minute)
		}
	})
}

func TestTooOldToBeListed(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.fail["list"] = errors.New("refused")
		r.tick(t)
		first := r.rows(t)[0].Start
		time.Sleep(8 * 24 * time.Hour)
		for range 3 {
			r.tick(t)
			time.Sleep(time.Hour)
		}
		w := r.rows(t)[0]
		require.Equal(t, first, w.Start)
		require.Equal(t, audit.Lost, w.State)
		require.Contains(t, w.Reason, "it lists the last 168h")
		require.True(t, w.NextAt.IsZero())
	})
}

func TestStoredThoughNeverSettled(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.tick(t)
		time.Sleep(9 * 24 * time.Hour) // nobody was there for the later passes
		for range 2 {
			r.tick(t)
		}
		w := r.rows(t)[0]
		require.Equal(t, audit.Kept, w.State, "stored, not settled, is not lost")
		require.True(t, w.NextAt.IsZero())
	})
}

func TestTwoWorkersOneItem(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.publish(time.Now().Add(-2*time.Hour), "b", 5)
		items, err := r.planner.Tick(t.Context(), time.Now().UTC())
		require.NoError(t, err)
		other := r.newWorker(t, r.store, "two")
		inside := false
		r.onFirstRead(func() {
			inside = true
			before := len(r.listed)
			for _, item := range items {
				if day(item.Start) == day(time.Now().Add(-2*time.Hour)) {
					require.NoError(t, other.Run(t.Context(), item), "it is busy, which is no failure")
				}
			}
			require.Len(t, r.listed, before)
		})
		for _, item := range items {
			require.NoError(t, r.worker.Run(t.Context(), item))
		}
		require.True(t, inside)
		require.Equal(t, 5, r.events(t))
	})
}

func TestAnotherHasTakenOver(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.publish(time.Now().Add(-2*time.Hour), "b", 5)
		r.onFirstRead(func() {
			// The worker sleeps past its lease, as a frozen instance would, and
			// another takes over.
			lease, err := r.store.Acquire(t.Context(), "ingest/m365.sharepoint/"+day(time.Now().Add(-2*time.Hour)), "one", time.Minute)
			require.NoError(t, err)
			rows := r.rows(t)
			for i := range rows {
				rows[i].State, rows[i].NextAt = audit.Settled, time.Time{}
			}
			require.NoError(t, r.store.SaveWindows(t.Context(), lease, rows))
		})
		r.tick(t)
		settled := 0
		for _, w := range r.rows(t) {
			if w.State == audit.Settled {
				settled++
			}
		}
		require.NotZero(t, settled, "the newer holder's account stands")
		require.Equal(t, 5, r.events(t), "and storing twice is storing once")
	})
}

func TestNamesAreFilledInLater(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		found := func(term string) int {
			page, err := r.store.Search(t.Context(), audit.Query{Scope: audit.Everything(), Terms: []string{term}, Limit: 500})
			require.NoError(t, err)
			return len(page.Events)
		}
		r.publish(time.Now().Add(-2*time.Hour), "b", 5)
		r.names.err = errors.New("503")
		r.tick(t)
		require.Equal(t, 5, r.events(t), "a directory that is down holds nothing back")
		require.Zero(t, found("meyer"))
		r.tick(t)
		jobs, err := r.store.Jobs(t.Context(), 5)
		require.NoError(t, err)
		require.Len(t, jobs, 1)
		require.Equal(t, "503", jobs[0].Error)

		r.names.err = nil
		r.tick(t)
		require.Equal(t, 5, found("meyer"), "in the event and in the index")
		jobs, err = r.store.Jobs(t.Context(), 5)
		require.NoError(t, err)
		require.Equal(t, audit.JobDone, jobs[0].State)
		require.Equal(t, 5, jobs[0].Progress.Changed)
		require.Empty(t, r.tick(t))
	})
}

func TestARunThatIsStoppedCountsAgainstNobody(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.publish(time.Now().Add(-2*time.Hour), "b", 5)
		items, err := r.planner.Tick(t.Context(), time.Now().UTC())
		require.NoError(t, err)
		for _, in := range []string{"b", "list"} {
			ctx, stop := context.WithCancel(t.Context())
			r.fail[in] = context.Canceled
			r.onRead = func(string) { stop() }
			if in == "list" {
				stop()
			}
			for _, item := range items {
				if !item.Start.After(time.Now().Add(-2*time.Hour)) && item.End.After(time.Now().Add(-2*time.Hour)) {
					require.Error(t, r.worker.Run(ctx, item), "the host tries again")
				}
			}
			stop()
			delete(r.fail, in)
		}
		for _, w := range r.rows(t) {
			require.Zero(t, w.Attempts)
			require.Empty(t, w.Error)
		}
		time.Sleep(5 * time.Minute)
		r.onRead = nil
		r.tick(t)
		require.Equal(t, 5, r.events(t))
	})
}

func TestCrashBetweenStoringAndTheLedger(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.publish(time.Now().Add(-2*time.Hour), "b", 700)
		items, err := r.planner.Tick(t.Context(), time.Now().UTC())
		require.NoError(t, err)
		ctx, die := context.WithCancel(t.Context())
		crash := r.newWorker(t, dyingStore{r.store, die}, "one")
		for _, item := range items {
			_ = crash.Run(ctx, item)
		}
		require.Equal(t, 500, r.events(t), "one batch was durable")
		for _, w := range r.rows(t) {
			require.NotEqual(t, audit.Settled, w.State)
			require.Zero(t, w.Passes, "nothing is done before it is durable")
		}
		time.Sleep(5 * time.Minute) // the hold and the lease run out
		r.tick(t)
		require.Equal(t, 700, r.events(t))
	})
}

// dyingStore lets one batch through and nothing after it.
type dyingStore struct {
	*sqlite.Store
	die func()
}

func (d dyingStore) Insert(ctx context.Context, batch []audit.Stored) (audit.Inserted, error) {
	n, err := d.Store.Insert(ctx, batch)
	d.die()
	return n, err
}

func (d dyingStore) SaveWindows(ctx context.Context, lease audit.Lease, rows []audit.Window) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if rows[0].Passes > 0 {
		return errors.New("the process is gone")
	}
	return d.Store.SaveWindows(ctx, lease, rows)
}

func TestBackfill(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.planner.Periodic = false
		for i := range 100 {
			r.publish(time.Now().Add(-time.Duration(i)*time.Hour), fmt.Sprint("b", i), 3)
		}
		job, err := r.planner.Backfill(t.Context(), 48) // the blob of this very moment is for the next listing
		require.NoError(t, err)
		require.Equal(t, 49, job.Progress.Windows, "48 hours back, from the middle of an hour")
		require.Empty(t, job.Spans[0].Note)
		items := r.tick(t)
		require.Len(t, items, 3, "one a day of UTC")
		job, err = r.planner.Job(t.Context(), job.ID)
		require.NoError(t, err)
		require.Equal(t, audit.JobDone, job.State)
		require.Equal(t, audit.Progress{Windows: 49, Done: 49, Counts: audit.Counts{Blobs: 48, Read: 144, New: 144}}, job.Progress)

		time.Sleep(time.Hour)
		again, err := r.planner.Backfill(t.Context(), 5000)
		require.NoError(t, err)
		require.Equal(t, 720, again.Hours)
		require.Equal(t, "it lists the last 168h0m0s", again.Spans[0].Note)
		require.Equal(t, 168, again.Progress.Windows)
		require.Zero(t, again.Progress.Done, "windows that were read before are read again")
		r.tick(t)
		again, err = r.planner.Job(t.Context(), again.ID)
		require.NoError(t, err)
		require.Equal(t, 168, again.Progress.Done)
		require.Equal(t, 300-144, again.Progress.New)
		require.Zero(t, again.Progress.Known, "what was read is not read again")
		job, err = r.planner.Job(t.Context(), job.ID)
		require.NoError(t, err)
		require.Equal(t, 144, job.Progress.New, "a job that has ended keeps its figures")
	})
}

func TestABackfillWhosePlanningWasCutOff(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.planner.Periodic = false
		r.publish(time.Now().Add(-2*time.Hour), "b", 1)
		now := time.Now().UTC()
		job := audit.Job{ID: "cut", Kind: "backfill", State: audit.JobRunning, CreatedAt: now, Hours: 3, Spans: []audit.Span{reachable(r.trail, 3, now)}}
		require.NoError(t, r.store.AddJob(t.Context(), job))
		r.tick(t)
		require.Equal(t, 1, r.events(t))
		r.tick(t)
		jobs, err := r.store.Jobs(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, audit.JobDone, jobs[0].State, "it ends though nobody watches")
	})
}

func TestItemsThatAreNone(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		now := audit.WindowOf(time.Now())
		for _, item := range []Item{
			{Source: audit.M365SharePoint, Start: now, End: now},
			{Source: audit.M365SharePoint, Start: now, End: now.Add(48 * time.Hour)},
		} {
			require.ErrorIs(t, r.worker.Run(t.Context(), item), audit.ErrInvalid)
		}
	})
}

func TestABlobThatHasMoved(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.publish(time.Now().Add(-2*time.Hour), "b", 2)
		r.blobs[0].URI = "https://old.example/b"
		require.NoError(t, r.planner.Push(t.Context(), r.blobs)) // in the ledger, and the process is killed before it is read
		r.blobs[0].URI = "https://new.example/b"
		time.Sleep(listAfterPush)
		r.tick(t)
		require.Equal(t, "https://new.example/b", r.blob(t, "b").URI, "read where it is now")
		require.Equal(t, 2, r.events(t))
	})
}

func TestTwoItemsOfOneDay(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		day := time.Now().UTC().Truncate(24 * time.Hour).Add(-24 * time.Hour)
		for h := range 24 {
			r.publish(day.Add(time.Duration(h)*time.Hour), fmt.Sprint("b", h), 1)
		}
		_, err := r.store.Plan(t.Context(), grid(r.source, day, day.Add(24*time.Hour), time.Now()))
		require.NoError(t, err)
		second := Item{Source: r.source, Start: day.Add(12 * time.Hour), End: day.Add(24 * time.Hour)}
		r.onFirstRead(func() {
			require.NoError(t, r.worker.Run(t.Context(), second), "dropped: the first is at it")
		})
		require.NoError(t, r.worker.Run(t.Context(), Item{Source: r.source, Start: day, End: day.Add(12 * time.Hour)}))
		require.Equal(t, 24, r.events(t), "and none of its windows waits for its hold to run out")
	})
}

func TestAFeedThatWasSwitchedOff(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		_, err := r.store.Plan(t.Context(), grid(audit.M365DLP, time.Now().Add(-30*time.Hour), time.Now(), time.Now()))
		require.NoError(t, err)
		for _, item := range r.tick(t) {
			require.Equal(t, audit.M365SharePoint, item.Source)
		}
		now := audit.WindowOf(time.Now())
		require.NoError(t, r.worker.Run(t.Context(), Item{Source: audit.M365DLP, Start: now, End: now.Add(time.Hour)}), "trying again would change nothing")
	})
}

func TestARestartWithAQueueInMemory(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.publish(time.Now().Add(-2*time.Hour), "b", 5)
		lost, err := r.planner.Tick(t.Context(), time.Now().UTC())
		require.NoError(t, err)
		require.NotEmpty(t, lost, "handed out, and then the process is killed")
		_, err = r.store.Acquire(t.Context(), "ingest/m365.sharepoint/"+day(time.Now().Add(-2*time.Hour)), "one", leaseTTL)
		require.NoError(t, err)

		require.Empty(t, r.tick(t), "the queue may still have it")
		r.planner = &Planner{Store: r.store, Feeds: r.planner.Feeds, Periodic: true, QueueGone: true}
		require.Equal(t, lost, r.tick(t))
		require.Equal(t, 5, r.events(t), "at once, without waiting for hold and lease to run out")
		require.Empty(t, r.tick(t), "that is done once")
	})
}

// pickyStore cannot take one of the records.
type pickyStore struct{ *sqlite.Store }

func (p pickyStore) Insert(ctx context.Context, batch []audit.Stored) (audit.Inserted, error) {
	for _, s := range batch {
		if s.Event.RecordID == "b-3" {
			return audit.Inserted{}, audit.Invalid("raw", "too large")
		}
	}
	return p.Store.Insert(ctx, batch)
}

func TestARecordThatTheStoreCannotTake(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.publish(time.Now().Add(-2*time.Hour), "b", 5)
		r.worker = r.newWorker(t, pickyStore{r.store}, "one")
		r.tick(t)
		require.Equal(t, 4, r.events(t))
		bad, err := r.store.Quarantined(t.Context(), "", 10)
		require.NoError(t, err)
		require.Len(t, bad, 1)
	})
}

func TestCoalesce(t *testing.T) {
	at := func(h int) time.Time { return time.Date(2026, 3, 31, h, 0, 0, 0, time.UTC) }
	w := func(source audit.Source, h int) audit.Window { return audit.Window{Source: source, Start: at(h)} }
	got := coalesce([]audit.Window{w("b", 25), w("a", 22), w("a", 23), w("a", 24), w("b", 3), w("a", 2), w("b", 4)})
	require.Equal(t, []Item{
		{Source: "b", Start: at(25), End: at(26)},
		{Source: "a", Start: at(24), End: at(25)}, // another day
		{Source: "a", Start: at(22), End: at(24)},
		{Source: "b", Start: at(3), End: at(5)},
		{Source: "a", Start: at(2), End: at(3)},
	}, got)
}
