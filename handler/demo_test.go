package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/simtenant"

	"github.com/stretchr/testify/require"
)

// feedOf names AOC's feed for the simulated tenant's.
var feedOf = map[string]audit.Source{
	simtenant.DirectoryAudits: audit.EntraDirectory, simtenant.SignIns: audit.EntraSignIn, simtenant.IntuneAudits: audit.IntuneAudit,
	simtenant.AuditExchange: audit.M365Exchange, simtenant.AuditSharePoint: audit.M365SharePoint,
	simtenant.AuditGeneral: audit.M365General, simtenant.DLPAll: audit.M365DLP, simtenant.AuditAzureAD: audit.M365Entra,
}

// tenantIn is the tenant whose seed and epoch lie in a folder.
func tenantIn(t *testing.T, dir string) *simtenant.Tenant {
	identity, err := simtenant.LoadOrCreateIdentity(filepath.Join(dir, "tenant.json"), time.Now(), 0)
	require.NoError(t, err)
	tenant, err := simtenant.New(simtenant.Options{Seed: identity.Seed, Epoch: identity.Epoch, People: identity.People})
	require.NoError(t, err)
	return tenant
}

// requireTruth compares what a program has stored of what the tenant published
// in a span of whole hours with what the tenant says it published.
func requireTruth(t *testing.T, p *program, tenant *simtenant.Tenant, from, to time.Time) {
	t.Helper()
	stored := map[audit.Source][]string{}
	nameless := map[audit.Source]int{}
	seen := map[string]bool{}
	for _, e := range p.events("") {
		require.False(t, seen[e.ID], "an event is listed once")
		seen[e.ID] = true
		if e.RecordID == "" {
			nameless[e.Source]++
		} else {
			stored[e.Source] = append(stored[e.Source], e.RecordID)
		}
	}
	total := 0
	for feed, source := range feedOf {
		if feed == simtenant.AuditAzureAD {
			continue // off in the demo: it repeats what entra.directory says
		}
		truth := tenant.Truth(feed, from, to)
		all := tenant.Truth(feed, from.Add(-31*24*time.Hour), time.Now().Add(time.Hour))
		missing := slices.DeleteFunc(slices.Clone(truth.IDs), func(id string) bool { return slices.Contains(stored[source], id) })
		require.Empty(t, missing, "%s: %d of %d records are missing", source, len(missing), truth.Count())
		invented := slices.DeleteFunc(stored[source], func(id string) bool {
			_, found := slices.BinarySearch(all.IDs, id)
			return found
		})
		require.Empty(t, invented, "%s: records that the tenant never published", source)
		require.GreaterOrEqual(t, nameless[source], truth.Nameless, "%s: records without an id", source)
		total += truth.Count()
	}
	require.Greater(t, total, 1000)
	t.Logf("%d records from %s to %s are all stored", total, from.Format(time.RFC3339), to.Format(time.RFC3339))
}

// pastWeek is the span of whole hours that the first look has certainly read.
func pastWeek(job audit.Job) (from, to time.Time) {
	from, to = job.CreatedAt, job.CreatedAt.Truncate(time.Hour)
	for i, span := range job.Spans {
		if i == 0 || span.Start.After(from) {
			from = span.Start
		}
	}
	return from, to
}

func TestDemoStoresTheTruth(t *testing.T) {
	t.Parallel() // most of it is waiting for Graph's bound on calls
	data := t.TempDir()
	p := start(t, nil, "--demo", "--people", "40", "--data", data)
	job := p.jobDone()
	require.Zero(t, job.Progress.Quarantined)
	tenant := tenantIn(t, filepath.Join(data, "demo"))
	from, to := pastWeek(job)
	requireTruth(t, p, tenant, from, to)

	t.Run("every feed is well", func(t *testing.T) {
		var health struct {
			Sources []struct {
				Source, State, Error string
				Windows              struct{ Failing, Lost int }
			}
		}
		require.Equal(t, 200, p.call("GET", "/api/source-health", &health))
		require.Len(t, health.Sources, 7)
		for _, s := range health.Sources {
			require.Equal(t, "ok", s.State, s)
			require.Zero(t, s.Windows.Failing+s.Windows.Lost, s)
		}
	})
	t.Run("secrets are nowhere", func(t *testing.T) {
		for _, e := range p.events("search=canary") {
			require.Fail(t, "a secret is in the index", "%s %s", e.Operation, e.ID)
		}
		for _, e := range p.events("service=Purview&service=Intune&service=Exchange") {
			if len(e.Redactions) == 0 {
				continue
			}
			var answer struct{ Raw struct{ Text string } }
			require.Equal(t, 200, p.call("GET", "/api/events/"+e.ID, &answer))
			require.NotContains(t, answer.Raw.Text, "CANARY")
			require.Contains(t, answer.Raw.Text, "[redacted]")
		}
	})
	t.Run("the stories can be followed", func(t *testing.T) {
		for _, story := range tenant.Stories() {
			found := 0
			for _, r := range story.Records {
				if r.Feed != simtenant.AuditAzureAD && r.At.After(from) && r.At.Before(to.Add(-2*time.Hour)) {
					found++
				}
			}
			require.NotZero(t, found, story.Name)
		}
	})
	t.Run("filters agree with each other", func(t *testing.T) {
		var options map[string][]string
		require.Equal(t, 200, p.call("GET", "/api/filter-options", &options))
		sum := 0
		for _, service := range options["service"] {
			sum += len(p.events("service=" + strings.ReplaceAll(service, " ", "%20") + "&end=" + to.Format(time.RFC3339)))
		}
		require.Equal(t, len(p.events("end="+to.Format(time.RFC3339))), sum)
		both := len(p.events("service=Entra,Intune&end=" + to.Format(time.RFC3339)))
		require.Equal(t, both, len(p.events("service=Entra&service=Intune&end="+to.Format(time.RFC3339))))
	})
	t.Run("foreign pages plan nothing", func(t *testing.T) {
		require.Equal(t, 404, p.call("POST", "/ingest-timer", nil), "the host has no such route")
		require.Equal(t, 404, p.call("POST", "/ingest-worker", nil))
	})
	t.Run("commands beside it", func(t *testing.T) {
		for args, want := range map[string][]string{
			"check":                                  {"ok       ", "Sign-in"},
			"coverage --hours 48":                    {"# complete", "m365.exchange", "records"},
			"renormalize --dry-run":                  {" looked at, 0 would be changed."},
			"renormalize --limit 600":                {"600 looked at, 0 changed."},
			"dedupe --dry-run":                       {" looked at, 0 would be changed."},
			"retention --dry-run --since 2020-01-01": {" 0 would be changed."},
		} {
			out, errs, code := run1(t, nil, append(strings.Fields(args), "--demo", "--data", data)...)
			require.Zero(t, code, "%s: %s%s", args, out, errs)
			for _, text := range want {
				require.Contains(t, out, text, args)
			}
		}
		_, errs, code := run1(t, nil, "retention", "--demo", "--data", data)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errs, "set RETENTION_DAYS")
		_, errs, code = run1(t, nil, "retention", "--demo", "--data", data, "--since", time.Now().Format(time.RFC3339))
		require.Equal(t, exitUsage, code)
		require.Contains(t, errs, "at least seven days ago")
	})
	t.Run("the ledger tells it by the hour", func(t *testing.T) {
		var answer struct {
			Feeds []struct {
				Source string
				States map[string]int
				Hours  []struct {
					Start   time.Time
					State   string
					Records int
				}
			}
		}
		require.Equal(t, 200, p.call("GET", "/api/coverage?start="+from.Format(time.RFC3339)+"&end="+to.Format(time.RFC3339), &answer))
		require.Len(t, answer.Feeds, 7)
		for _, f := range answer.Feeds {
			require.Len(t, f.Hours, int(to.Sub(from)/time.Hour))
			for _, h := range f.Hours {
				// The last hour may be too young to be trusted.
				require.True(t, h.State == "complete" || h.Start.Equal(to.Add(-time.Hour)), "%s %s %s", f.Source, h.Start, h.State)
			}
		}
		var checks struct {
			OK     bool
			Checks []audit.Check
		}
		require.Equal(t, 200, p.call("GET", "/api/preflight", &checks))
		require.True(t, checks.OK, checks.Checks)
		require.Greater(t, len(checks.Checks), 7)
	})
	t.Run("the same tenant after a restart", func(t *testing.T) {
		before := len(p.events("end=" + to.Format(time.RFC3339)))
		p.stop()
		again := start(t, nil, "--demo", "--people", "40", "--data", data)
		require.Len(t, again.events("end="+to.Format(time.RFC3339)), before)
	})
}

// TestKilledInTheMiddle kills the program while it reads, at any moment, and
// starts it again. AOC_TEST_KILLS says how often; a few times by default.
func TestKilledInTheMiddle(t *testing.T) {
	t.Parallel() // most of it is waiting for Graph's bound on calls
	kills := 3
	if n := os.Getenv("AOC_TEST_KILLS"); n != "" {
		_, err := fmt.Sscan(n, &kills)
		require.NoError(t, err)
	}
	data := t.TempDir()
	for i := range kills {
		p := start(t, nil, "--demo", "--people", "40", "--data", data)
		var answer struct{ Jobs []audit.Job }
		begun := func() bool { return p.call("GET", "/api/jobs", &answer) == 200 && len(answer.Jobs) > 0 }
		require.Eventually(t, begun, time.Minute, 50*time.Millisecond, "the first look has begun")
		time.Sleep(time.Duration(rand.IntN(4000)) * time.Millisecond)
		p.call("GET", "/api/jobs", &answer)
		p.kill()
		t.Logf("kill %d with %d of %d windows done", i+1, answer.Jobs[0].Progress.Done, answer.Jobs[0].Progress.Windows)
	}
	p := start(t, nil, "--demo", "--people", "40", "--data", data)
	job := p.jobDone()
	from, to := pastWeek(job)
	requireTruth(t, p, tenantIn(t, filepath.Join(data, "demo")), from, to)
}

func TestReplay(t *testing.T) {
	t.Parallel() // most of it is waiting for Graph's bound on calls
	recent := time.Now().UTC().Add(-400 * 24 * time.Hour).Format("2006-01-02T15:04:05")
	lines := []string{
		`{"CreationTime":"` + recent + `","Id":"r-1","Operation":"Set-Mailbox","OrganizationId":"x","RecordType":1,"ResultStatus":"True","UserKey":"k","UserType":2,"Workload":"Exchange","UserId":"admin@x.example","Parameters":[{"Name":"Identity","Value":"bob"}]}`,
		`{"ResultStatus":"True","CreationTime":"` + recent + `","Id":"r-1","Operation":"Set-Mailbox","OrganizationId":"x","RecordType":1,"UserKey":"k","UserType":2,"Workload":"Exchange","UserId":"admin@x.example","Parameters":[{"Name":"Identity","Value":"bob"}]}`,
		`{"CreationTime":"` + recent + `","Id":"r-2","Operation":"UserLoggedIn","RecordType":15,"Workload":"AzureActiveDirectory","UserId":"a@x.example","UserKey":"a","UserType":0}`,
		`{"event":{"id":"g-1","category":"UserManagement","result":"success","activityDisplayName":"Add user","activityDateTime":"2024-02-08T21:49:53.7643129Z","loggedByService":"Core Directory","initiatedBy":{"user":{"id":"u","userPrincipalName":"a@x.example"}},"targetResources":[]}}`,
		`{"name":"no audit record at all"}`,
	}
	file := filepath.Join(t.TempDir(), "records.ndjson")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600))
	p := start(t, nil, "--replay", file, "--data", t.TempDir())
	job := p.jobDone()
	byRecord := map[string]audit.Event{}
	for _, e := range p.events("") {
		byRecord[e.RecordID] = e
	}
	require.Len(t, byRecord, 3, "the same record twice is one event")
	require.Equal(t, 1, job.Progress.Quarantined)
	require.Equal(t, recent, byRecord["r-1"].Time.Format("2006-01-02T15:04:05"), "their own times are untouched")
	require.Equal(t, audit.M365Entra, byRecord["r-2"].Source)
	shifted := byRecord["g-1"].Time
	require.Equal(t, "21:49:53.7643129", shifted.Format("15:04:05.0000000"))
	require.Less(t, time.Since(shifted), 48*time.Hour)

	var answer struct{ Raw struct{ Text string } }
	require.Equal(t, 200, p.call("GET", "/api/events/"+byRecord["r-1"].ID, &answer))
	require.Contains(t, lines[:2], answer.Raw.Text, "byte by byte as it came")
	require.True(t, json.Valid([]byte(answer.Raw.Text)))
}
