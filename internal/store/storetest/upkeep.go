package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func testUpkeep(t *testing.T, e Engine) {
	t.Run("raws", func(t *testing.T) { testRaws(t, e) })
	t.Run("replace", func(t *testing.T) { testReplace(t, e) })
	t.Run("replace keeps what is not its own", func(t *testing.T) { testReplaceKeeps(t, e) })
	t.Run("replace moves in time", func(t *testing.T) { testReplaceTime(t, e) })
	t.Run("delete", func(t *testing.T) { testDelete(t, e) })
	t.Run("unquarantine", func(t *testing.T) { testUnquarantine(t, e) })
	t.Run("delete jobs", func(t *testing.T) { testDeleteJobs(t, e) })
}

// noIDs are texts that name no event though one of this id is stored.
func noIDs(id string) []string {
	return []string{"", "nope", "%", strings.Repeat("0", 32), strings.ToUpper(id), id[:31], id + "00", id + "\x00", "{\"$ne\":1}"}
}

func idsOf(batch []audit.Stored) []string {
	list := make([]string, len(batch))
	for i := range batch {
		list[i] = batch[i].Event.ID
	}
	return list
}

func testRaws(t *testing.T, e Engine) {
	b := newBed(t, e)
	all := b.seed(t, 0, 30)
	raws := func(ids ...string) map[string]audit.Raw {
		t.Helper()
		raws, err := b.Raws(t.Context(), ids)
		require.NoError(t, err)
		return raws
	}
	require.Empty(t, raws())
	require.Empty(t, raws(noIDs(all[0].Event.ID)...))
	some := all[5:20]
	got := raws(slices.Concat(idsOf(some), idsOf(Batch(500, 510)), idsOf(some[:3]))...)
	require.Len(t, got, len(some))
	for _, s := range some {
		require.Equal(t, s.Raw, got[s.Event.ID])
	}
}

// rewritten is an event as another normaliser would make it.
func rewritten(s audit.Stored) audit.Stored {
	s.Event.Summary, s.Event.Operation, s.Event.Result = "rewritten "+s.Event.RecordID, "Rewritten", audit.Partial
	s.Event.Service = "Elsewhere"
	s.Event.Actor = audit.Actor{ID: "new-actor", Name: "Renée Nouvelle", Type: "app"}
	s.Event.Targets, s.Event.Redactions = []audit.Target{}, []string{"/Secret"}
	s.Tokens = audit.Tokenize("rewritten", s.Event.RecordID)
	return s
}

func replace(t *testing.T, s Store, found int, batch ...audit.Stored) {
	t.Helper()
	n, err := s.Replace(t.Context(), batch)
	require.NoError(t, err)
	require.Equal(t, found, n)
}

func testReplace(t *testing.T, e Engine) {
	b := newBed(t, e)
	all := b.seed(t, 0, 60)
	replace(t, b, 0)
	replace(t, b, 0, Batch(500, 503)...)
	var batch []audit.Stored
	for i := 0; i < len(all); i += 4 {
		all[i] = rewritten(all[i])
		batch = append(batch, all[i])
	}
	interim := batch[0]
	interim.Event.Summary = "must not stay"
	replace(t, b.again(), len(batch), slices.Concat([]audit.Stored{interim}, Batch(500, 503), batch)...)
	for _, id := range idsOf(Batch(500, 503)) {
		_, err := b.Event(t.Context(), audit.Everything(), id)
		require.ErrorIs(t, err, audit.ErrNotFound, "what is not there is not added")
	}
	requireTheseStored(t, b, all)
	replace(t, b, len(all), all...)
	requireTheseStored(t, b, all)
	facets, err := b.Facets(t.Context(), audit.Everything())
	require.NoError(t, err)
	require.Contains(t, facets, batch[0].Event.Facet())
}

// requireTheseStored checks that the store has these events and no others, and
// finds them by all that they are found by.
func requireTheseStored(t *testing.T, b *bed, all []audit.Stored) {
	t.Helper()
	for _, s := range all {
		requireStored(t, b, s)
	}
	actor, operation := Event(4).Event.Actor, Event(4).Event.Operation
	for _, q := range []audit.Query{
		{},
		{Terms: []string{"rewritten"}},
		{Terms: audit.SearchTerms(Event(0).Event.RecordID)},
		{Terms: audit.SearchTerms(Event(4).Event.Targets[0].Name)},
		{Filters: []audit.Filter{{Field: audit.FieldActor, Values: []string{"new-actor", actor.ID}}}},
		{Filters: []audit.Filter{{Field: audit.FieldActor, Values: []string{actor.UPN}}}},
		{Filters: []audit.Filter{{Field: audit.FieldActor, Values: []string{"RENÉE nouvelle"}}}},
		{Filters: []audit.Filter{{Field: audit.FieldOperation, Values: []string{"rewritten"}}}},
		{Filters: []audit.Filter{{Field: audit.FieldOperation, Values: []string{operation}}}},
		{Filters: []audit.Filter{{Field: audit.FieldResult, Values: []string{"partial"}}}, Terms: []string{"record"}},
		{Start: Epoch.Add(48 * time.Hour)},
		{Scope: audit.Except(nil, []string{"Rewritten"})},
		{Scope: audit.Except([]string{"Elsewhere"}, nil)},
	} {
		q.Limit = 100
		if q.Scope.Nothing() {
			q.Scope = audit.Everything()
		}
		require.Equal(t, answer(q, all), search(t, b, q), "%+v", q)
	}
}

func testReplaceKeeps(t *testing.T, e Engine) {
	b := newBed(t, e)
	all := Batch(0, 20)
	all[3].Event.Tags = []string{"case 7", "seen"}
	all[4].Event.Tags = []string{"seen"}
	insert(t, b, all, len(all), 0)
	before, err := b.After(t.Context(), 0, 100)
	require.NoError(t, err)

	batch := slices.Clone(all[:10])
	for i := range batch {
		if i != 4 { // of which nothing but what is kept differs
			batch[i] = rewritten(batch[i])
		}
		batch[i].Event.Tags = []string{"the normaliser's"}
		batch[i].Raw = audit.NewRaw([]byte(`{"other":"bytes"}`))
	}
	replace(t, b, len(batch), batch...)
	for i := range batch {
		batch[i].Event.Tags, batch[i].Raw = all[i].Event.Tags, all[i].Raw
		all[i] = batch[i]
	}
	requireTheseStored(t, b, all)
	after, err := b.After(t.Context(), 0, 100)
	require.NoError(t, err)
	require.Len(t, after, len(before))
	for i := range after {
		require.Equal(t, before[i].Seq, after[i].Seq)
		require.Equal(t, before[i].Event.ID, after[i].Event.ID)
	}
	insert(t, b, batch, 0, len(batch))
}

func testReplaceTime(t *testing.T, e Engine) {
	b := newBed(t, e)
	all := b.seed(t, 0, 40)
	var batch []audit.Stored
	for i, by := range []time.Duration{audit.TickLength, -audit.TickLength, time.Second, 30 * 24 * time.Hour, -400 * 24 * time.Hour, 60 * 24 * time.Hour} {
		all[i] = rewritten(all[i])
		all[i].Event.Time = all[i].Event.Time.Add(by)
		batch = append(batch, all[i])
	}
	replace(t, b, len(batch), batch...)
	requireTheseStored(t, b, all)
	one := audit.Query{Scope: audit.Everything(), Limit: 5, Start: all[4].Event.Time, End: all[4].Event.Time.Add(audit.TickLength), Terms: []string{"rewritten"}}
	require.Equal(t, answer(one, all), search(t, b, one))
	newest := audit.Query{Scope: audit.Everything(), Limit: 2, Terms: []string{"rewritten"}}
	require.Equal(t, answer(newest, all), search(t, b, newest))
	n, err := b.Delete(t.Context(), idsOf(batch))
	require.NoError(t, err)
	require.Equal(t, len(batch), n)
	requireTheseStored(t, b, all[len(batch):])
}

func testDelete(t *testing.T, e Engine) {
	b := newBed(t, e)
	all := b.seed(t, 0, 60)
	remove := func(s Store, want int, ids ...string) {
		t.Helper()
		n, err := s.Delete(t.Context(), ids)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	f := follow(b.Store)
	f.read(t, 100)
	remove(b, 0)
	remove(b, 0, slices.Concat(noIDs(all[0].Event.ID), idsOf(Batch(500, 503)))...)
	requireTheseStored(t, b, all)

	gone, rest := all[10:40], slices.Concat(all[:10], all[40:])
	remove(b.again(), len(gone), append(idsOf(gone), idsOf(gone[:5])...)...)
	requireTheseStored(t, b, rest)
	raws, err := b.Raws(t.Context(), idsOf(all))
	require.NoError(t, err)
	require.Len(t, raws, len(rest))
	for _, s := range gone {
		_, err := b.Event(t.Context(), audit.Everything(), s.Event.ID)
		require.ErrorIs(t, err, audit.ErrNotFound)
		_, err = b.Raw(t.Context(), audit.Everything(), s.Event.ID)
		require.ErrorIs(t, err, audit.ErrNotFound)
	}
	trail, err := b.After(t.Context(), 0, 100)
	require.NoError(t, err)
	require.Len(t, trail, len(rest))
	remove(b, 0, idsOf(gone)...)
	replace(t, b, 0, gone...)

	// What was deleted can be stored again, by other bytes and in its turn.
	for i := range gone {
		gone[i].Raw = audit.NewRaw(fmt.Appendf(nil, `{"again":%d}`, i))
	}
	insert(t, b, gone, len(gone), 0)
	requireTheseStored(t, b, all)
	seen := len(f.order)
	f.read(t, 100)
	require.Len(t, f.order, seen+len(gone), "a number is given once")
}

func testUnquarantine(t *testing.T, e Engine) {
	b := newBed(t, e)
	var records []audit.Quarantined
	for i := range 5 {
		records = append(records, audit.Quarantined{ID: fmt.Sprintf("%032x", i+1), Source: audit.M365DLP, Reason: "no time", At: Epoch, Raw: []byte{byte(i)}})
	}
	_, err := b.SetAside(t.Context(), records)
	require.NoError(t, err)
	remove := func(want int, ids ...string) {
		t.Helper()
		n, err := b.Unquarantine(t.Context(), ids)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	remove(0)
	remove(0, "", "none", "%")
	remove(2, records[1].ID, "none", records[3].ID, records[1].ID)
	remove(0, records[1].ID)
	left, err := b.again().Quarantined(t.Context(), "", 10)
	require.NoError(t, err)
	require.Equal(t, []audit.Quarantined{records[0], records[2], records[4]}, left)
	n, err := b.SetAside(t.Context(), records[:2])
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func testDeleteJobs(t *testing.T, e Engine) {
	b := newBed(t, e)
	remove := func(want int, before time.Time) {
		t.Helper()
		n, err := b.DeleteJobs(t.Context(), before)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	remove(0, Epoch.Add(1000*time.Hour))
	jobs := []audit.Job{job(3), job(2), job(1), job(0)}
	at := Epoch.Add(time.Hour)
	jobs[0].DoneAt, jobs[1].DoneAt, jobs[2].DoneAt = at, at.Add(-audit.TickLength), time.Time{}
	jobs[3].DoneAt = at.Add(-time.Minute)
	for _, j := range jobs {
		require.NoError(t, b.AddJob(t.Context(), j))
	}
	remove(0, jobs[3].DoneAt)
	remove(2, at)
	requireJobs(t, b, 10, jobs[0], jobs[2])
	remove(0, at)
	remove(1, at.Add(1000*time.Hour))
	requireJobs(t, b, 10, jobs[2])
}
