package api

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/auth"
)

// memory is a store that answers by the contract's own words.
type memory struct {
	stored []audit.Stored
	raw    map[string][]byte
	err    error
}

func (m *memory) Search(_ context.Context, q audit.Query) (audit.Page, error) {
	var page audit.Page
	slices.SortFunc(m.stored, func(a, b audit.Stored) int {
		return cmp.Or(b.Event.Time.Compare(a.Event.Time), cmp.Compare(b.Event.ID, a.Event.ID))
	})
	for i := range m.stored {
		if !q.Matches(&m.stored[i]) {
			continue
		}
		if len(page.Events) == q.Limit {
			last := audit.PositionOf(&page.Events[q.Limit-1])
			page.Next = &last
			break
		}
		page.Events = append(page.Events, m.stored[i].Event)
	}
	return page, m.err
}

func (m *memory) Event(_ context.Context, scope audit.Scope, id string) (audit.Event, error) {
	for _, s := range m.stored {
		if s.Event.ID == id && scope.Sees(s.Event.Service, s.Event.Operation) {
			return s.Event, m.err
		}
	}
	return audit.Event{}, fmt.Errorf("event: %w", audit.ErrNotFound)
}

func (m *memory) Raw(_ context.Context, _ audit.Scope, id string) (audit.Raw, error) {
	return audit.NewRaw(m.raw[id]), m.err
}

func (m *memory) Facets(_ context.Context, scope audit.Scope) ([]audit.Facet, error) {
	var facets []audit.Facet
	for i := range m.stored {
		if e := &m.stored[i].Event; scope.Sees(e.Service, e.Operation) {
			facets = append(facets, e.Facet())
		}
	}
	return facets, m.err
}

// planner remembers what was asked of it.
type planner struct {
	hours  []int
	jobs   map[string]audit.Job
	kinds  []string
	asked  audit.JobOptions
	pushed []audit.Blob
	failed error
	checks []audit.Check
}

func (p *planner) StartJob(_ context.Context, kind string, options audit.JobOptions) (audit.Job, error) {
	if kind == "nonsense" {
		return audit.Job{}, audit.Invalid("kind", "no such job")
	}
	p.kinds, p.asked = append(p.kinds, kind), options
	return audit.Job{ID: "j2", Kind: kind, State: audit.JobRunning}, nil
}

func (p *planner) Push(_ context.Context, blobs []audit.Blob) error {
	p.pushed = append(p.pushed, blobs...)
	return p.failed
}

func (p *planner) Check(context.Context, ...audit.Source) []audit.Check { return p.checks }

func (p *planner) Backfill(_ context.Context, hours int) (audit.Job, error) {
	p.hours = append(p.hours, hours)
	return audit.Job{ID: "j1", Kind: "backfill", State: audit.JobRunning, Hours: hours}, nil
}

func (p *planner) Job(_ context.Context, id string) (audit.Job, error) {
	if job, ok := p.jobs[id]; ok {
		return job, nil
	}
	return audit.Job{}, audit.ErrNotFound
}

func (p *planner) Jobs(context.Context, int) ([]audit.Job, error) { return nil, nil }

type ledger struct {
	states []audit.FeedState
	rows   []audit.Window
	bad    []audit.Quarantined
	ping   error
}

func (l *ledger) Windows(_ context.Context, q audit.LedgerQuery) ([]audit.Window, error) {
	var rows []audit.Window
	for _, row := range l.rows {
		if slices.Contains(q.Sources, row.Source) && !row.Start.Before(q.Start) && row.Start.Before(q.End) {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

func (l *ledger) Quarantined(_ context.Context, after string, limit int) ([]audit.Quarantined, error) {
	var list []audit.Quarantined
	for _, q := range l.bad {
		if q.ID > after && len(list) < limit {
			list = append(list, q)
		}
	}
	return list, nil
}

func (l *ledger) Feeds(context.Context) ([]audit.FeedState, error) { return l.states, nil }
func (l *ledger) Ping(context.Context) error                       { return l.ping }

// door lets people in by a word; without one sign-in is off.
type door map[string]audit.Principal

func (d door) Authenticate(_ context.Context, authorization []string) (audit.Principal, error) {
	if len(d) == 0 {
		return audit.Principal{Kind: audit.Anonymous, Admin: true, Scope: audit.Everything()}, nil
	}
	if len(authorization) == 0 {
		return audit.Principal{}, auth.ErrNoToken
	}
	word := strings.TrimPrefix(authorization[0], "Bearer ")
	if word == outsider {
		return audit.Principal{}, fmt.Errorf("%w: none of the roles", auth.ErrForbidden)
	}
	if p, ok := d[word]; ok {
		return p, nil
	}
	return audit.Principal{}, fmt.Errorf("%w: the token has expired", auth.ErrBadToken)
}

func (door) Challenge(error) string { return `Bearer error="invalid_token"` }

// counter counts like a store, of one slot that never ends.
type counter struct {
	took map[string]int
	err  error
}

func (c *counter) Take(_ context.Context, q audit.Quota, who string) (audit.Decision, error) {
	if c.err != nil {
		return audit.Decision{}, c.err
	}
	if c.took == nil {
		c.took = map[string]int{}
	}
	key := q.Name + " " + who
	d := q.Slide(c.took[key], 0, 0)
	if d.OK {
		c.took[key]++
	}
	return d, nil
}

// fleet is the processes that told of themselves.
type fleet struct {
	told []audit.Instance
	err  error
}

func (f *fleet) Instances(context.Context, time.Time) ([]audit.Instance, error) { return f.told, f.err }

// journal keeps acts by their ids, as the log does.
type journal struct {
	acts []audit.Act
	err  error
}

func (j *journal) Note(_ context.Context, act audit.Act) error {
	if j.err != nil {
		return j.err
	}
	if !slices.ContainsFunc(j.acts, func(a audit.Act) bool { return a.ID == act.ID }) {
		j.acts = append(j.acts, act)
	}
	return nil
}

var noon = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)

// testAPI serves seven events, one an hour up to noon.
func testAPI(t *testing.T) (*API, *memory, *planner, *ledger) {
	m := &memory{raw: map[string][]byte{}}
	for i := range 7 {
		e := audit.Event{
			ID: fmt.Sprintf("%032d", i), Time: noon.Add(-time.Duration(i) * time.Hour), Service: []string{"Entra", "Exchange"}[i%2], Result: audit.Success,
			Operation: "Add user", Source: audit.EntraDirectory, Actor: audit.Actor{UPN: "alice@contoso.com"}, Summary: "Alice added Bob",
		}
		m.stored = append(m.stored, audit.Stored{Event: e, Tokens: audit.Tokenize(e.Summary)})
		m.raw[e.ID] = []byte(`{"n":9007199254740993, "who":"Alice"}`)
	}
	p, l := &planner{jobs: map[string]audit.Job{}}, &ledger{}
	return &API{
		Events: m, Jobs: p, Ledger: l, Preflight: p, Push: p, MaxHours: 720, DocsEnabled: true, LateAfter: time.Hour, Version: Version{Version: "v1"},
		Features: Features{Sources: []audit.Source{audit.EntraDirectory, audit.M365DLP}}, TrustedOrigins: []string{"https://page.example"},
		Callers: door{}, Limiter: &counter{}, OwnLog: &journal{}, Instances: &fleet{}, Quotas: DefaultQuotas(120, time.Minute),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}, m, p, l
}
