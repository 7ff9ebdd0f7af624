package normalize

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

// own normalizes a record of AOC's own feed.
func own(t *testing.T, change func(*OwnRecord)) audit.Event {
	t.Helper()
	record := OwnRecord{
		ID: "act-1", Time: time.Date(2025, 3, 4, 9, 0, 0, 0, time.UTC), Operation: "Search events", IP: "203.0.113.9",
		By: OwnActor{Kind: audit.Person, ObjectID: "o", Name: "Anna Schmidt", UPN: "anna@contoso.example", AppID: "a"}, Result: audit.Success, RequestID: "r",
	}
	change(&record)
	raw, err := json.Marshal(record)
	require.NoError(t, err)
	s, err := New(DefaultMappings()).Normalize(audit.Record{Source: audit.AOC, TenantID: tenant, Raw: raw})
	require.NoError(t, err)
	requireWhole(t, s)
	require.Equal(t, "AOC", s.Event.Service)
	return s.Event
}

func TestOwnSentences(t *testing.T) {
	refused := func(operation string) func(*OwnRecord) {
		return func(r *OwnRecord) { r.Operation, r.Result, r.Reason = operation, audit.Failure, "no role" }
	}
	given := func(operation string, details ...audit.Change) func(*OwnRecord) {
		return func(r *OwnRecord) { r.Operation, r.Details = operation, details }
	}
	event := []audit.Target{{ID: "e1", Name: "Bob ran Set-Mailbox", Type: "event"}}
	for _, c := range []struct {
		change             func(*OwnRecord)
		category, sentence string
	}{
		{given("Sign in"), "AOC sign-ins", "Anna Schmidt signed in to AOC from 203.0.113.9"},
		{refused("Sign in"), "AOC sign-ins", "Anna Schmidt could not sign in to AOC from 203.0.113.9: no role"},
		{refused("Sign-in refused"), "AOC sign-ins", "Anna Schmidt was refused: no role"},
		{given("Sign out"), "AOC sign-ins", "Anna Schmidt: Sign out"},
		{given("Search events"), "AOC access", "Anna Schmidt searched events"},
		{given("Search events", audit.Change{Name: "service", New: "Exchange"}, audit.Change{Name: "result", New: "failure"}), "AOC access", "Anna Schmidt searched events (service Exchange, result failure)"},
		{refused("Search events"), "AOC access", "Anna Schmidt could not search events: no role"},
		{func(r *OwnRecord) { r.Operation, r.Targets = "Read raw record", event }, "AOC access", "Anna Schmidt read the raw record of Bob ran Set-Mailbox"},
		{refused("Read raw record"), "AOC access", "Anna Schmidt could not read a raw record: no role"},
		{func(r *OwnRecord) { r.Operation, r.Targets = "Read event", event }, "AOC access", "Anna Schmidt looked at the event Bob ran Set-Mailbox"},
		{given("Read filter options"), "AOC access", "Anna Schmidt looked at what there is to filter by"},
		{given("Read coverage"), "AOC access", "Anna Schmidt looked at what is collected and what is missing"},
		{given("Read quarantine"), "AOC access", "Anna Schmidt read the quarantine"},
		{given("Export events", audit.Change{Name: "format", New: "csv"}), "AOC access", "Anna Schmidt exported events (format csv)"},
		{func(r *OwnRecord) {
			r.Operation, r.Result, r.Reason, r.Targets = "Read", audit.Failure, "not for you", []audit.Target{{Name: "GET /api/jobs", Type: "route"}}
		}, "AOC access", "Anna Schmidt could not read GET /api/jobs: not for you"},
		{given("Ask", audit.Change{Name: "question", New: "who?"}), "AOC access", "Anna Schmidt asked “who?”"},
		{given("Start backfill", audit.Change{Name: "hours", New: "48"}), "AOC changes", "Anna Schmidt started a backfill of 48 hours"},
		{given("Start job", audit.Change{Name: "kind", New: "dedupe"}, audit.Change{Name: "dry_run", New: "true"}), "AOC changes", "Anna Schmidt started the job dedupe (kind dedupe, dry run true)"},
		{given("Retry quarantine"), "AOC changes", "Anna Schmidt had the records in quarantine tried again"},
		{given("Run preflight"), "AOC changes", "Anna Schmidt had the connection to Microsoft checked"},
		{given("Read something new"), "AOC access", "Anna Schmidt: Read something new"},
		{given("Delete rule", audit.Change{Name: "rule", New: "x"}), "AOC changes", "Anna Schmidt: Delete rule (rule x)"},
		{refused("Delete rule"), "AOC changes", "Anna Schmidt: Delete rule failed or was refused: no role"},
		{given("Add user"), "AOC changes", "Anna Schmidt: Add user"}, // a name that Entra has too
	} {
		e := own(t, c.change)
		require.Equal(t, c.sentence, e.Summary)
		require.Equal(t, c.category, e.Category, c.sentence)
	}
}

func TestOwnActors(t *testing.T) {
	for _, c := range []struct {
		change func(*OwnRecord)
		want   audit.Actor
	}{
		{func(*OwnRecord) {}, audit.Actor{ID: "o", Name: "Anna Schmidt", UPN: "anna@contoso.example", Type: "user", IP: "203.0.113.9", App: "a"}},
		{func(r *OwnRecord) { r.By = OwnActor{Kind: audit.App, ObjectID: "o", AppID: "a"} }, audit.Actor{ID: "o", Type: "app", IP: "203.0.113.9", App: "a"}},
		{func(r *OwnRecord) { r.By = OwnActor{Kind: audit.App, AppID: "a"} }, audit.Actor{ID: "a", Type: "app", IP: "203.0.113.9", App: "a"}},
		{func(r *OwnRecord) { r.By = OwnActor{Kind: audit.Anonymous} }, audit.Actor{Name: "Anonymous", Type: "user", IP: "203.0.113.9"}},
		{func(r *OwnRecord) { r.By = OwnActor{} }, audit.Actor{IP: "203.0.113.9"}},
		{func(r *OwnRecord) { r.By, r.IP, r.RequestID = OwnActor{}, "", "" }, audit.Actor{Name: "AOC", Type: "system"}},
	} {
		require.Equal(t, c.want, own(t, c.change).Actor)
	}
}

func TestOwnRecordsThatAreNone(t *testing.T) {
	for raw, want := range map[string]string{
		`{"id":"1"}`:         "the record is none of AOC's own: it does not say by whom",
		`{"id":"1","by":{}}`: "the record names no operation",
		`{"by":{},"operation":"xyzzy","time":"xyzzy"}`: "the record's time cannot be read",
	} {
		_, err := New(DefaultMappings()).Normalize(audit.Record{Source: audit.AOC, Raw: []byte(raw)})
		require.EqualError(t, err, want)
	}
}
