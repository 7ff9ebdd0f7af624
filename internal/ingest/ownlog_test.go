package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aoc/internal/audit"
	"aoc/internal/normalize"

	"github.com/stretchr/testify/require"
)

// shelf counts what is inserted, keeps it, or fails.
type shelf struct {
	mu     sync.Mutex
	writes int
	last   audit.Stored
	err    error
	hangs  bool
}

func (s *shelf) Insert(ctx context.Context, batch []audit.Stored) (audit.Inserted, error) {
	if s.hangs {
		<-ctx.Done()
		return audit.Inserted{}, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writes++; s.err != nil {
		return audit.Inserted{}, s.err
	}
	s.last = batch[0]
	return audit.Inserted{New: 1}, ctx.Err()
}

func newOwnLog(store Inserter) *OwnLog {
	return &OwnLog{Store: store, Normalizer: normalize.New(normalize.DefaultMappings()), TenantID: strings.ToUpper(keptTenant)}
}

var anna = audit.Principal{
	Kind: audit.Person, TenantID: keptTenant, ObjectID: "aaaaaaaa-0000-0000-0000-000000000001", Name: "Anna Schmidt", UPN: "anna@contoso.example",
	AppID: "bbbbbbbb-0000-0000-0000-000000000002", Session: "s-1",
}

func anAct(id, operation string, details ...audit.Change) audit.Act {
	return audit.Act{
		ID: id, Time: time.Date(2025, 3, 4, 9, 0, 0, 123456789, time.UTC), Operation: operation, By: anna, IP: "203.0.113.9", UserAgent: "Firefox",
		Details: details, Result: audit.Success, RequestID: "req-1",
	}
}

func TestNote(t *testing.T) {
	store := &shelf{}
	act := anAct("act-1", "Search events", audit.Change{Name: "service", New: "Exchange"}, audit.Change{Name: "result", New: "failure"})
	act.Targets = []audit.Target{{ID: "e-1", Name: "<x> & y", Type: "event"}}
	require.NoError(t, newOwnLog(store).Note(t.Context(), act))
	id, err := audit.NewID(keptTenant, audit.AOC, "act-1")
	require.NoError(t, err)
	require.Equal(t, audit.Event{
		ID: id, RecordID: "act-1", TenantID: keptTenant, Source: audit.AOC, Service: "AOC", Operation: "Search events", Category: "AOC access",
		Time: time.Date(2025, 3, 4, 9, 0, 0, 123456700, time.UTC), Result: audit.Success, CorrelationID: "req-1",
		Actor:   audit.Actor{ID: anna.ObjectID, Name: "Anna Schmidt", UPN: anna.UPN, Type: "user", IP: "203.0.113.9", App: anna.AppID},
		Targets: act.Targets, Changes: act.Details, Context: audit.Context{SessionID: "s-1", UserAgent: "Firefox", AppID: anna.AppID},
		Summary: "Anna Schmidt searched events (service Exchange, result failure)",
	}, store.last.Event)
	require.Subset(t, store.last.Tokens, []string{"anna", "exchange", "203.0.113.9", "searched"})
	require.Equal(t, audit.NewRaw(store.last.Raw.Bytes), store.last.Raw)
	var record normalize.OwnRecord
	require.NoError(t, json.Unmarshal(store.last.Raw.Bytes, &record))
	require.Equal(t, act.Time, record.Time)
	require.Equal(t, act.Targets, record.Targets)
	require.Contains(t, string(store.last.Raw.Bytes), "<x> & y")
}

func TestNoteIsIdempotent(t *testing.T) {
	store := &shelf{}
	log := newOwnLog(store)
	for range 3 {
		require.NoError(t, log.Note(t.Context(), anAct("a", "Read event")))
	}
	require.Equal(t, 1, store.writes)
	for i := range maxNoted {
		require.NoError(t, log.Note(t.Context(), anAct(fmt.Sprint(i), "Read event")))
		require.NoError(t, log.Note(t.Context(), anAct("0", "Read event")), "what is used stays")
	}
	require.Equal(t, 1+maxNoted, store.writes)
	require.Len(t, log.noted.byID, maxNoted)
	require.Equal(t, maxNoted, log.noted.order.Len())
	require.NoError(t, log.Note(t.Context(), anAct("a", "Read event")))
	require.Equal(t, 2+maxNoted, store.writes, "what was forgotten is written again, and known to the store")
}

func TestNoteThatFailsIsNotRemembered(t *testing.T) {
	store := &shelf{err: errors.New("the disk is full")}
	log := newOwnLog(store)
	require.EqualError(t, log.Note(t.Context(), anAct("a", "Export events")), "note in AOC's own log: the disk is full")
	store.err = nil
	require.NoError(t, log.Note(t.Context(), anAct("a", "Export events")))
	require.Equal(t, 2, store.writes)
	for _, bad := range []audit.Act{{Operation: "x", Time: time.Now()}, anAct("b", ""), {ID: "c", Operation: "x"}, anAct(strings.Repeat("x", 600), "y")} {
		require.ErrorContains(t, log.Note(t.Context(), bad), "note in AOC's own log: the ")
	}
	require.Equal(t, 2, store.writes)
}

func TestNoteOfACallerThatHungUp(t *testing.T) {
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	require.NoError(t, newOwnLog(&shelf{}).Note(ctx, anAct("a", "Read event")))
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		require.ErrorIs(t, newOwnLog(&shelf{hangs: true}).Note(t.Context(), anAct("a", "Read event")), context.DeadlineExceeded)
		require.Equal(t, noteDeadline, time.Since(start))
	})
}

func TestNotesAtOnce(t *testing.T) {
	store := &shelf{}
	log := newOwnLog(store)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			if err := log.Note(t.Context(), anAct(fmt.Sprint(i%10), "Read event")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Len(t, log.noted.byID, 10)
	require.Equal(t, 10, log.noted.order.Len())
}

func TestNotesAreBounded(t *testing.T) {
	store := &shelf{}
	long := strings.Repeat("é", 5000)
	act := anAct("a", "Search events")
	act.UserAgent, act.Reason, act.By.Name, act.IP = "\u202e\x1b[2J"+long, long, long, long
	for i := range 80 {
		act.Details = append(act.Details, audit.Change{Name: fmt.Sprint("d", i), Old: long, New: long + "\xff"})
		act.Targets = append(act.Targets, audit.Target{ID: fmt.Sprint(i), Name: long})
	}
	require.NoError(t, newOwnLog(store).Note(t.Context(), act))
	var record normalize.OwnRecord
	require.NoError(t, json.Unmarshal(store.last.Raw.Bytes, &record))
	require.Len(t, record.Details, maxDetails)
	require.Equal(t, audit.Change{Name: "left out", New: "31 more details"}, record.Details[maxDetails-1])
	require.LessOrEqual(t, len(record.Details[0].New), maxOwnValue)
	require.True(t, strings.HasSuffix(record.Details[0].New, "é…"))
	require.Len(t, record.Targets, maxDetails)
	require.LessOrEqual(t, len(record.By.Name), maxOwnTexts)
	require.True(t, strings.HasPrefix(record.UserAgent, "[2J"), "what would make it read as another text is dropped")
	require.Less(t, len(store.last.Raw.Bytes), 300<<10)
}

// What a person searched for is kept as it is, but for what is a secret by its form.
func TestNoteCutsSecrets(t *testing.T) {
	store := &shelf{}
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJlLXhyenp5"
	act := anAct("a", "Search events", audit.Change{Name: "search", New: "password hunter2 token"}, audit.Change{Name: "operation", New: "Bearer " + token})
	act.UserAgent = "curl https://x/?sig=abcdefgh12345"
	require.NoError(t, newOwnLog(store).Note(t.Context(), act))
	b, err := json.Marshal(store.last)
	require.NoError(t, err)
	kept := string(b) + string(store.last.Raw.Bytes)
	require.NotContains(t, kept, token)
	require.NotContains(t, strings.ToLower(kept), "eyjh")
	require.NotContains(t, kept, "abcdefgh12345")
	require.Contains(t, store.last.Event.Summary, "password hunter2 token")
	require.Equal(t, []string{"/userAgent", "/details/1/new"}, store.last.Event.Redactions)
}

func TestNotesAreKeptByMaintenance(t *testing.T) {
	keeping(t, func(t *testing.T, k *keeper) {
		log := newOwnLog(k.store)
		acts := []audit.Act{
			anAct("1", "Sign in"), anAct("2", "Start backfill", audit.Change{Name: "hours", New: "48"}), anAct("3", "Anything new", audit.Change{Name: "since", New: "x"}),
			{ID: "4", Time: k.now, Operation: "Start job", Result: audit.Success},
			{ID: "5", Time: k.now, Operation: "Read", IP: "::1", Result: audit.Failure, Reason: "no role", RequestID: "r"},
		}
		for _, act := range acts {
			act.Time = k.now.Add(-time.Hour)
			require.NoError(t, log.Note(t.Context(), act))
		}
		require.NoError(t, newOwnLog(k.store).Note(t.Context(), acts[0]), "another instance's")
		before := k.events(t)
		require.Len(t, before, len(acts))
		k.directory.names = map[string]string{anna.ObjectID: "Somebody else"}
		require.Equal(t, audit.Progress{Scanned: 5}, k.do(t, KindRenormalize, audit.JobOptions{}).Progress)
		require.Equal(t, audit.Progress{Scanned: 5}, k.do(t, KindDedupe, audit.JobOptions{}).Progress)
		require.Equal(t, before, k.events(t))

		page, err := k.store.Search(t.Context(), audit.Query{Scope: audit.Everything(), Terms: []string{"anna"}, Filters: []audit.Filter{{Field: audit.FieldService, Values: []string{"aoc"}}}, Limit: 10})
		require.NoError(t, err)
		require.Len(t, page.Events, 3)
		facets, err := k.store.Facets(t.Context(), audit.Everything())
		require.NoError(t, err)
		require.Len(t, facets, 5)

		require.Equal(t, 5, k.do(t, KindRetention, audit.JobOptions{Since: k.now}).Progress.Changed, "what is too old goes like all else")
		require.Empty(t, k.events(t))
	})
}
