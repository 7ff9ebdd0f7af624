package simtenant

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const queriesPath = "/v1.0/security/auditLog/queries"

// searcher is a client that may query the audit log of a tenant whose clock a
// test moves.
type searcher struct {
	*caller
	clock *clock
}

func searching(t *testing.T, o Options) searcher {
	t.Helper()
	at := &clock{noon}
	o.Now, o.Roles = at.now, append(AllRoles(), RoleAuditLogsQuery)
	return searcher{call(t, newTenant(t, o)), at}
}

func (s searcher) submit(from, to time.Time) reply {
	s.t.Helper()
	return s.send(http.MethodPost, queriesPath, fmt.Sprintf(`{"displayName":"a search","filterStartDateTime":%q,"filterEndDateTime":%q}`,
		from.Format(time.RFC3339), to.Format(time.RFC3339)))
}

func (s searcher) submitted(from, to time.Time) (id string) {
	s.t.Helper()
	got := s.submit(from, to)
	require.Equal(s.t, 201, got.status, "%s", got.body)
	return got.json(s.t)["id"].(string)
}

func (s searcher) after(d time.Duration) { s.clock.at = s.clock.at.Add(d) }

// found is an element of a query's records.
type found struct {
	ID, CreatedDateTime, AuditLogRecordType, Operation, UserType string

	AdministrativeUnits []string
	AuditData           json.RawMessage
}

// read pages through a query's records.
func (s searcher) read(id, options string) (all []found) {
	s.t.Helper()
	for link := queriesPath + "/" + id + "/records" + options; link != ""; {
		got := s.get(link)
		require.Equal(s.t, 200, got.status, "%s", got.body)
		var page struct {
			Next  string `json:"@odata.nextLink"`
			Value []found
		}
		require.NoError(s.t, json.Unmarshal(got.body, &page))
		all, link = append(all, page.Value...), page.Next
	}
	return all
}

// innerID reads the record's own id, in either form of auditData.
func innerID(t *testing.T, data json.RawMessage) string {
	t.Helper()
	var text string
	if json.Unmarshal(data, &text) == nil {
		data = json.RawMessage(text)
	}
	var head struct{ ID string }
	require.NoError(t, json.Unmarshal(data, &head), "%s", data)
	return head.ID
}

func innerIDs(t *testing.T, all []found) (ids []string, nameless int) {
	t.Helper()
	for _, f := range all {
		if id := innerID(t, f.AuditData); id != "" {
			ids = append(ids, id)
		} else {
			nameless++
		}
	}
	slices.Sort(ids)
	return ids, nameless
}

func TestQueryFindsWhatHappened(t *testing.T) {
	for _, text := range []bool{false, true} {
		t.Run(strconv.FormatBool(text), func(t *testing.T) {
			s := searching(t, Options{})
			s.tenant.SetPurview(PurviewWire{Text: text})
			from, to := noon.AddDate(0, 0, -20), noon.AddDate(0, 0, -19)
			id := s.submitted(from, to)
			for _, step := range []struct {
				after time.Duration
				want  string
			}{{0, "notStarted"}, {time.Minute, "running"}, {5*time.Minute - 1, "running"}} {
				s.after(step.after)
				require.Equal(t, step.want, s.get(queriesPath + "/" + id).json(t)["status"])
				require.Empty(t, s.read(id, ""), "nothing before it succeeded")
			}
			s.after(1)
			view := s.get("/beta/security/auditLog/queries/" + id).json(t)
			require.Equal(t, "succeeded", view["status"])
			require.Equal(t, false, view["isRecordCountLimitExceeded"])
			truth := s.tenant.PurviewTruth(from, to)
			require.NotZero(t, truth.Count())
			require.InDelta(t, truth.Count(), view["approximateReturnedRecordCount"], float64(truth.Count())/10)

			all := s.read(id, "?$top=97")
			ids, nameless := innerIDs(t, all)
			require.Equal(t, truth.IDs, ids, "every record, and none twice")
			require.Equal(t, truth.Nameless, nameless)
			require.Equal(t, ids, func() []string { ids, _ := innerIDs(t, s.read(id, "")); return ids }())
		})
	}
}

// The Management API must list the same records, however late.
func TestQueryFindsWhatTheFeedsListed(t *testing.T) {
	s := searching(t, Options{})
	from, to := noon.AddDate(0, 0, -5), noon.AddDate(0, 0, -4)
	listed := map[string]bool{}
	for _, feed := range contentTypes {
		for _, b := range s.tenant.blobs(feed, from, noon) {
			for _, r := range b.records {
				if r.ID != "" && !r.At.Before(from) && r.At.Before(to) {
					listed[r.ID] = true
				}
			}
		}
	}
	require.NotEmpty(t, listed)
	require.Len(t, s.tenant.PurviewTruth(from, to).IDs, len(listed))
	for _, id := range s.tenant.PurviewTruth(from, to).IDs {
		require.True(t, listed[id], id)
	}
}

func TestQueryRecordsAsGraphWrapsThem(t *testing.T) {
	s := searching(t, Options{})
	body := `{"CreationTime":"2026-03-12T07:00:01","Id":"11111111-0000-4000-8000-000000000000","Operation":"Send","OrganizationId":"o","RecordType":2,"UserType":0,"UserKey":"k","Version":1,"Workload":"Exchange","UserId":"a@b.example","Text":"a \"CreationTime\" {"}`
	require.NoError(t, s.tenant.Faults().AddBlob(AuditExchange, noon.Add(-time.Hour), json.RawMessage(body)))
	s.tenant.Faults().HoldBack(AuditExchange, noon.AddDate(0, 0, -1), noon)
	at := time.Date(2026, 3, 12, 7, 0, 1, 0, time.UTC)
	id := s.submitted(at, at.Add(time.Second))
	s.after(6 * time.Minute)
	at1 := func(all []found) found {
		i := slices.IndexFunc(all, func(f found) bool { return f.ID == "11111111-0000-4000-8000-000000000000" })
		require.GreaterOrEqual(t, i, 0, "what a blob that is held back holds is found")
		return all[i]
	}
	got := at1(s.read(id, ""))
	require.Equal(t, found{
		ID: got.ID, CreatedDateTime: "2026-03-12T07:00:01Z", AuditLogRecordType: "exchangeItem", Operation: "Send", UserType: "Regular",
		AdministrativeUnits: []string{""}, AuditData: got.AuditData,
	}, got)
	require.Equal(t, `{"@odata.type":"#microsoft.graph.security.defaultAuditData","CreationTime":"2026-03-12T07:00:01Z",`+
		`"Id":"11111111-0000-4000-8000-000000000000","Operation":"Send","OrganizationId":"o","RecordType@odata.type":"#Int64","RecordType":2,`+
		`"UserType@odata.type":"#Int64","UserType":0,"UserKey":"k","Version":1,"Workload":"Exchange","UserId":"a@b.example","Text":"a \"CreationTime\" {"}`,
		string(got.AuditData))

	s.tenant.SetPurview(PurviewWire{Text: true})
	var text string
	require.NoError(t, json.Unmarshal(at1(s.read(id, "")).AuditData, &text))
	require.Equal(t, body, text)
	require.Equal(t, `{"@odata.type":"#microsoft.graph.security.defaultAuditData"}`, string(asAuditData([]byte(" { } "))))

	s.tenant.Faults().Add(Fault{Kind: FaultNoID, Endpoint: "queryRecords", Times: 1})
	require.Empty(t, innerID(t, s.read(id, "?$top=1")[0].AuditData), "faults of records strike here too")
}

func TestQueryRecordLimit(t *testing.T) {
	s := searching(t, Options{})
	from, to := noon.AddDate(0, 0, -2), noon.AddDate(0, 0, -1)
	n := s.tenant.PurviewTruth(from, to).Count()
	require.Greater(t, n, 50)
	for limit, over := range map[int]bool{50: true, n - 1: true, n: false} {
		s.tenant.SetPurview(PurviewWire{RecordLimit: limit})
		id := s.submitted(from, to)
		s.after(6 * time.Minute)
		view := s.get(queriesPath + "/" + id).json(t)
		require.Equal(t, over, view["isRecordCountLimitExceeded"])
		require.Equal(t, "succeeded", view["status"])
		require.EqualValues(t, limit, view["recordCountLimit"])
		require.Len(t, s.read(id, "?$top=20"), limit)
		require.Len(t, s.read(id, "?$top=50"), limit)
		require.EqualValues(t, limit, s.get(queriesPath + "/" + id + "/records?$top=1&$count=true").json(t)["@odata.count"])
	}
}

func TestUnsteadyQuery(t *testing.T) {
	s := searching(t, Options{})
	s.tenant.SetPurview(PurviewWire{Unsteady: true})
	from, to := noon.AddDate(0, 0, -2), noon.AddDate(0, 0, -1)
	n := s.tenant.PurviewTruth(from, to).Count()
	id := s.submitted(from, to)
	s.after(6 * time.Minute)
	lost := n/7 + map[bool]int{true: 1}[n%7 > 3]
	require.Len(t, s.read(id, "?$top=100"), n-lost)
	require.Len(t, s.read(id, "?$top=100"), n)
	require.Len(t, s.read(id, "?$top=13"), n-lost)
}

func TestQueriesThatEndOtherwise(t *testing.T) {
	s := searching(t, Options{})
	for _, end := range []string{"failed", "cancelled"} {
		s.tenant.SetPurview(PurviewWire{Ends: end})
		id := s.submitted(noon.Add(-24*time.Hour), noon)
		s.tenant.SetPurview(PurviewWire{})
		s.after(6 * time.Minute)
		view := s.get(queriesPath + "/" + id).json(t)
		require.Equal(t, end, view["status"])
		require.Zero(t, view["approximateReturnedRecordCount"])
		require.Empty(t, s.read(id, ""))
	}
}

func TestQueryLimits(t *testing.T) {
	s := searching(t, Options{})
	s.tenant.SetPurview(PurviewWire{AtOnce: 2, PerDay: 3})
	hour := func() reply { return s.submit(noon.Add(-time.Hour), noon) }
	require.Equal(t, 201, hour().status)
	s.after(2 * time.Minute)
	require.Equal(t, 201, hour().status)
	no := hour()
	require.Equal(t, 429, no.status)
	require.Equal(t, "TooManyRequests", no.code(t))
	require.Equal(t, "240", no.header.Get("Retry-After"), "until the first is over")
	require.Equal(t, 1, s.tenant.Calls("submitQuery").Throttled)
	s.after(4 * time.Minute)
	require.Equal(t, 201, hour().status)
	s.after(6 * time.Minute)
	require.Equal(t, strconv.Itoa(24*3600-12*60), hour().header.Get("Retry-After"), "until the first is a day old")
	require.Len(t, s.get(queriesPath).json(t)["value"], 3)
	s.after(24*time.Hour - 12*time.Minute)
	clear(s.tokens)
	require.Equal(t, 201, hour().status)
	s.after(30 * 24 * time.Hour)
	clear(s.tokens)
	require.Equal(t, 201, hour().status)
	require.Len(t, s.get(queriesPath).json(t)["value"], 2, "queries are gone after 30 days")
}

func TestBaselineOfQueryLimits(t *testing.T) {
	s := searching(t, Options{})
	for want, after := range map[int]time.Duration{50: 0, 200: 7 * time.Minute} {
		s.tenant.purview.queries, s.clock.at = nil, noon
		passed := 0
		for ; s.submit(noon.Add(-time.Hour), noon).status == 201; passed++ {
			s.after(after / 50)
		}
		require.Equal(t, want, passed)
	}
}

func TestQueryErrors(t *testing.T) {
	s := searching(t, Options{})
	for body, want := range map[string]struct {
		status int
		words  string
	}{
		`{`:    {400, "Unable to read JSON"},
		`null`: {400, "Unable to read JSON"},
		`{}`:   {400, "The start date must be before the end date"},
		`{"filterStartDateTime":"2026-03-12T00:00:00Z","filterEndDateTime":"2026-03-12T00:00:00Z"}`: {400, "before the end date"},
		`{"filterStartDateTime":"yesterday","filterEndDateTime":"2026-03-12T00:00:00Z"}`:            {400, "before the end date"},
		`{"displayName":7}`:                 {400, "Cannot convert"},
		`{"filterStart":"x"}`:               {400, "'filterStart' does not exist"},
		`{"operationFilters":["x"]}`:        {501, "does not filter by operationFilters"},
		`{"serviceFilters":[],"status":""}`: {400, "before the end date"},
	} {
		got := s.send(http.MethodPost, queriesPath, body)
		require.Equal(t, want.status, got.status, body)
		require.Contains(t, got.message(t), want.words, body)
	}
	id := s.submitted(noon.Add(-time.Hour), noon)
	for path, status := range map[string]int{
		"/nothing": 404, "/nothing/records": 404, "/" + id + "/records?$top=1001": 400, "/" + id + "/records?$skiptoken=x": 400,
		"/" + id + "/records?$skiptoken=MSAx": 400, "/" + id + "/records?$skiptoken=eCAxIHg": 400, "/" + id + "/records?$filter=x": 400,
		"/" + id + "/records?$count=x": 400,
	} {
		require.Equal(t, status, s.get(queriesPath+path).status, path)
	}
	require.NotEqual(t, 200, s.send(http.MethodDelete, queriesPath+"/"+id, "").status, "there is no such operation")
}

func TestQueriesNeedTheirPermission(t *testing.T) {
	s := searching(t, Options{})
	s.tenant.Grant(AllRoles()...)
	got := s.submit(noon.Add(-time.Hour), noon)
	require.Equal(t, 403, got.status)
	require.Contains(t, got.message(t), RoleAuditLogsQuery)
	require.Equal(t, 401, s.get(queriesPath, "Authorization", "Bearer x").status)
}

func TestQueriesOnBetaOnly(t *testing.T) {
	s := searching(t, Options{})
	s.tenant.SetPurview(PurviewWire{NoV1: true})
	got := s.submit(noon.Add(-time.Hour), noon)
	require.Equal(t, 404, got.status)
	require.Equal(t, "UnknownError", got.code(t))
	require.Equal(t, 200, s.get("/beta/security/auditLog/queries").status)
}

func TestQueriesOfAReplay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "replay.ndjson")
	line := `{"CreationTime":"2026-02-01T09:0%d:00","Id":"%d","Operation":"Send","OrganizationId":"o","RecordType":2,"UserType":0,"UserKey":"k","Version":1,"Workload":"Exchange","UserId":"a@b.example"}` + "\n"
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, line+line+line, 1, 1, 2, 2, 3, 3), 0o600))
	s := searching(t, Options{Replay: file})
	from := time.Date(2026, 2, 1, 9, 1, 0, 0, time.UTC)
	require.Equal(t, []string{"1", "2"}, s.tenant.PurviewTruth(from, from.Add(2*time.Minute)).IDs)
	require.Empty(t, s.tenant.PurviewTruth(from.AddDate(-1, 0, 0), from).IDs)
}

func TestQueriesReachBackHalfAYear(t *testing.T) {
	file := filepath.Join(t.TempDir(), "replay.ndjson")
	line := `{"CreationTime":"%s","Id":"%s","Operation":"Send","OrganizationId":"o","RecordType":2,"UserType":0,"UserKey":"k","Version":1,"Workload":"Exchange","UserId":"a@b.example"}` + "\n"
	young, old := noon.Add(-auditKept).Format(managementLayout), noon.Add(-auditKept-time.Second).Format(managementLayout)
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, line+line, young, "young", old, "old"), 0o600))
	s := searching(t, Options{Replay: file})
	require.Equal(t, []string{"young"}, s.tenant.PurviewTruth(noon.AddDate(-1, 0, 0), noon).IDs)
}

func TestWrapperIDs(t *testing.T) {
	one, two := record{Body: json.RawMessage(`{"a":1}`)}, record{Body: json.RawMessage(`{"a":2}`)}
	require.Regexp(t, regexp.MustCompile(`^[0-9a-f-]{36}$`), wrapperID(&one))
	require.NotEqual(t, wrapperID(&one), wrapperID(&two))
}
