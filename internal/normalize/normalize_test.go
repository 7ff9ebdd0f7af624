package normalize

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

// record makes a Management record of the members; later ones come last.
func record(members string) audit.Record {
	return audit.Record{Source: audit.M365General, TenantID: tenant, Raw: json.RawMessage(
		`{"Id":"r-1","CreationTime":"2025-03-04T09:10:11","Operation":"Op","RecordType":1,"Workload":"Exchange","UserId":"alice@contoso.example"` +
			members + `}`)}
}

func event(t *testing.T, members string) audit.Event {
	t.Helper()
	s, err := New(DefaultMappings()).Normalize(record(members))
	require.NoError(t, err)
	requireWhole(t, s)
	return s.Event
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]string{
		"2021-05-18T21:13:33":               "2021-05-18T21:13:33Z",
		"2021-05-18T21:13:33Z":              "2021-05-18T21:13:33Z",
		"2021-05-18T21:13:33.1234567":       "2021-05-18T21:13:33.1234567Z",
		"2021-05-18T21:13:33.123456789Z":    "2021-05-18T21:13:33.1234567Z",
		"2016-12-31T23:59:51.6363086-08:00": "2017-01-01T07:59:51.6363086Z",
		"2024-12-16 16:32:16.087554000":     "2024-12-16T16:32:16.087554Z",
		"2022-12-12 15:57:57Z":              "2022-12-12T15:57:57Z",
		"3/24/2022 2:42:35 PM":              "2022-03-24T14:42:35Z",
		"03/04/2022 14:42:35":               "2022-03-04T14:42:35Z",
		"":                                  errNoTime.Error(),
		"yesterday":                         errBadTime.Error(),
		"2021-13-18T21:13:33":               errBadTime.Error(),
		"/Date(1658751973240)/":             errBadTime.Error(),
		"0001-01-01T00:00:00":               errYear.Error(),
		"2201-01-01T00:00:00":               errYear.Error(),
		"1989-12-31T23:59:59-05:00":         "1990-01-01T04:59:59Z",
	} {
		got, err := parseTime(text)
		if err != nil {
			require.Equal(t, want, err.Error(), text)
			continue
		}
		require.Equal(t, want, got.Format(time.RFC3339Nano), text)
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.9":               "203.0.113.9",
		"203.0.113.9:63070":         "203.0.113.9",
		"[2001:db8::1]:443":         "2001:db8::1",
		"[2001:DB8::1]":             "2001:db8::1",
		"2001:db8:0:0::1":           "2001:db8::1",
		"fe80::1%eth0":              "fe80::1",
		"::ffff:203.0.113.9":        "203.0.113.9",
		"203.0.113.9, 198.51.100.1": "203.0.113.9",
		"":                          "",
		"<null>":                    "",
		"Not Available":             "",
		"999.1.1.1":                 "",
		"203.0.113.9:port":          "",
	} {
		require.Equal(t, want, parseIP(text), text)
	}
}

func TestResults(t *testing.T) {
	for members, want := range map[string]audit.Result{
		``:                                     audit.Success, // nothing said: it was done
		`,"ResultStatus":""`:                   audit.Success,
		`,"ResultStatus":"True"`:               audit.Success,
		`,"ResultStatus":"False"`:              audit.Failure,
		`,"ResultStatus":"Succeeded"`:          audit.Success,
		`,"ResultStatus":"failed"`:             audit.Failure,
		`,"ResultStatus":"PartiallySucceeded"`: audit.Partial,
		`,"ResultStatus":"Pending"`:            audit.Unknown,
		`,"ResultStatus":true`:                 audit.Success,
		`,"resultstatus":"Failed"`:             audit.Failure,
		`,"Operation":"UserLoginFailed","ResultStatus":"Success"`: audit.Failure,
		`,"ResultStatus":"Success","ErrorNumber":"50126"`:         audit.Failure,
		`,"ResultStatus":"Success","ErrorNumber":"0"`:             audit.Success,
		`,"ResultStatus":"Success","LogonError":"IdsLocked"`:      audit.Failure,
		`,"LoginStatus":-2147217390`:                              audit.Failure,
		`,"IsSuccess":false`:                                      audit.Failure,
	} {
		require.Equal(t, want, event(t, members).Result, members)
	}
}

func TestActors(t *testing.T) {
	for members, want := range map[string]audit.Actor{
		`,"UserType":0,"UserKey":"i:0h.f|membership|10032001266c162c@live.com","ClientIP":"1.2.3.4:5"`: {
			ID: "10032001266C162C", UPN: "alice@contoso.example", Type: "user", IP: "1.2.3.4",
		},
		`,"UserType":"Admin","UserKey":"alice@contoso.example","ClientIP":"","ClientIPAddress":"[::1]:9"`: {
			UPN: "alice@contoso.example", Type: "admin", IP: "::1",
		},
		`,"UserId":"NT AUTHORITY\\SYSTEM (w3wp)","UserKey":"NT AUTHORITY\\SYSTEM (w3wp)","UserType":3`: {
			Name: `NT AUTHORITY\SYSTEM (w3wp)`, Type: "system",
		},
		`,"UserId":"eve_evil#EXT#@contoso.example","UserType":0,"ActorIpAddress":"2001:db8::1"`: {
			UPN: "eve_evil#EXT#@contoso.example", Type: "guest", IP: "2001:db8::1",
		},
		`,"UserId":"app@sharepoint","UserType":0,"UserKey":"i:0i.t|00000003-0000-0ff1-ce00-000000000000|app@sharepoint"`: {
			Name: "app@sharepoint", Type: "app",
		},
		`,"UserId":"Not Available","UserKey":"NOT-FOUND","UserType":4`: {Type: "system"},
		`,"UserType":10`: {UPN: "alice@contoso.example", Type: "guest"},
		`,"UserType":77`: {UPN: "alice@contoso.example"},
	} {
		require.Equal(t, want, event(t, members).Actor, members)
	}
}

func TestServices(t *testing.T) {
	for members, want := range map[string]string{
		`,"Workload":"AzureActiveDirectory"`:                     "Entra",
		`,"Workload":"MicrosoftTeams"`:                           "Teams",
		`,"Workload":"OneDrive"`:                                 "OneDrive",
		`,"Workload":"SecurityComplianceCenter"`:                 "Purview",
		`,"Workload":"SecurityComplianceCenter","RecordType":40`: "Defender",
		`,"Workload":"ThreatIntelligence","RecordType":28`:       "Defender",
		`,"Workload":"PowerBI","RecordType":20`:                  "Power Platform",
		`,"Workload":"PowerApps"`:                                "Power Platform",
		`,"Workload":"MicrosoftFlow"`:                            "Power Platform",
		`,"Workload":"Copilot","RecordType":261`:                 "Copilot",
		`,"Workload":"Yammer","RecordType":22`:                   "Yammer",
		`,"Workload":"SharePoint","RecordType":11`:               "Purview",
		`,"Workload":null,"RecordType":15`:                       "Entra",
		`,"Workload":null,"RecordType":99999`:                    "Microsoft 365",
		`,"Workload":null,"RecordType":"ExchangeAdmin"`:          "Exchange",
	} {
		require.Equal(t, want, event(t, members).Service, members)
	}
}

func TestRecordTypes(t *testing.T) {
	e := event(t, `,"RecordType":99901`)
	require.Equal(t, 99901, e.RecordType)
	require.Equal(t, "RecordType 99901", e.Category)
	require.Equal(t, "Physical badging signal", event(t, `,"RecordType":"91"`).Category)
	require.Equal(t, 15, event(t, `,"RecordType":"AzureActiveDirectoryStsLogon"`).RecordType)
}

// Every refusal must name its reason and none of the record's values.
func TestReasons(t *testing.T) {
	n := New(DefaultMappings())
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for raw, want := range map[string]string{
		``:                      "the record is not valid JSON: it ends too early at byte 0",
		`<html>xyzzy</html>`:    "the record is not valid JSON: no value at byte 0",
		`{"Id":"xyzzy"`:         "the record is not valid JSON: an unfinished object at byte 13",
		`{"Id":"xyzzy"} {}`:     "the record is not valid JSON: more after its end at byte 15",
		`["xyzzy"]`:             "the record is no JSON object",
		`{"Id":"xyzzy"}`:        "the record names no operation",
		`{"Operation":"xyzzy"}`: "the record says no time",
		`{"Operation":". . ","CreationTime":"2025-01-01T00:00:00"}`:  "the record names no operation",
		`{"Operation":"xyzzy","CreationTime":"xyzzy"}`:               "the record's time cannot be read",
		`{"Operation":"xyzzy","CreationTime":"0001-01-01T00:00:00"}`: "the record's time lies outside the years 1990 to 2200",
		`{"x":` + deep(10_000) + `}`:                                 "the record is nested deeper than 256 levels",
	} {
		_, err := n.Normalize(audit.Record{Source: audit.M365General, Raw: []byte(raw)})
		require.EqualError(t, err, want)
	}
	_, err := n.Normalize(audit.Record{Source: audit.M365General, Raw: []byte(strings.Repeat(`{"x":`, 10_000) + "1" + strings.Repeat("}", 10_000))})
	require.EqualError(t, err, "the record is nested deeper than 256 levels")
	for _, feed := range []audit.Source{audit.EntraSignIn, audit.EntraDirectory, audit.EntraProvisioning, audit.EntraRisk, audit.IntuneAudit, audit.AzureMonitor, audit.GraphNotification} {
		_, err := n.Normalize(audit.Record{Source: feed, Raw: []byte(`{"id":"xyzzy","title":"xyzzy","createdDateTime":"2025-01-01T00:00:00Z"}`)})
		require.Error(t, err, feed)
		require.NotContains(t, err.Error(), "xyzzy")
	}
}

func TestRecordsWithoutIDAreTheirContent(t *testing.T) {
	n := New(DefaultMappings())
	ids := map[string]bool{}
	for _, raw := range []string{
		`{"Operation":"a","CreationTime":"2025-01-01T00:00:00","Id":""}`,
		`{"Id":"","CreationTime":"2025-01-01T00:00:00",  "Operation":"a"}`, // the same, said in another order
		`{"Operation":"b","CreationTime":"2025-01-01T00:00:00","Id":null}`,
		`{"Operation":"a","CreationTime":"2025-01-01T00:00:00","Id":"00000000-0000-0000-0000-000000000000"}`,
	} {
		s, err := n.Normalize(audit.Record{Source: audit.M365General, TenantID: tenant, Raw: []byte(raw)})
		require.NoError(t, err)
		require.Empty(t, s.Event.RecordID)
		ids[s.Event.ID] = true
	}
	require.Len(t, ids, 3)
}

func TestTenant(t *testing.T) {
	rec := record(`,"OrganizationId":"ABCD0000-0000-4000-8000-00000000000A"`)
	rec.TenantID = " " + strings.ToUpper(tenant)
	s, err := New(DefaultMappings()).Normalize(rec)
	require.NoError(t, err)
	require.Equal(t, tenant, s.Event.TenantID)
	rec.TenantID = ""
	s, err = New(DefaultMappings()).Normalize(rec)
	require.NoError(t, err)
	require.Equal(t, "abcd0000-0000-4000-8000-00000000000a", s.Event.TenantID)
}

func TestTwinsOfTwoFeedsShareAnID(t *testing.T) {
	n := New(DefaultMappings())
	rec := record("")
	a, err := n.Normalize(rec)
	require.NoError(t, err)
	rec.Source = audit.PurviewQuery
	b, err := n.Normalize(rec)
	require.NoError(t, err)
	require.Equal(t, a.Event.ID, b.Event.ID)
	require.Equal(t, audit.PurviewQuery, b.Event.Source)
}

func TestNumbersKeepTheirDigits(t *testing.T) {
	e := event(t, `,"Name":"Limit","OldValue":1,"NewValue":9007199254740993`)
	require.Equal(t, []audit.Change{{Name: "Limit", Old: "1", New: "9007199254740993"}}, e.Changes)
}

func TestOddTextsAreMadeValid(t *testing.T) {
	e := event(t, `,"UserId":"a\ud800b","ObjectId":"n\u0000ul","ItemType":"File","SourceFileName":"`+"\xff"+`\ud83d\ude00"`)
	require.Equal(t, "a\uFFFDb", e.Actor.Name)
	require.Equal(t, audit.Target{ID: "n\uFFFDul", Name: "\uFFFD😀", Type: "file"}, e.Targets[0])
}

func TestOfTwoMembersTheLastCounts(t *testing.T) {
	require.Equal(t, "second", event(t, `,"Operation":"first","Operation":"second"`).Operation)
	require.Equal(t, "second", event(t, `,"Operation":"first","opeRAtion":"second"`).Operation)
	require.Equal(t, "second", event(t, `,"Operation":"first","\u006fperation":"second"`).Operation)
}

func TestListsAndTextsAreBounded(t *testing.T) {
	long := strings.Repeat("é", 5000)
	e := event(t, `,"MailboxGuid":"m","AffectedItems":[`+strings.TrimSuffix(strings.Repeat(`{"Id":"`+long+`","Subject":"s"},`, 1)+manyItems(200), ",")+
		`],"Parameters":[`+manyParameters(300)+`],"UserId":"`+long+`"`)
	require.Len(t, e.Targets, maxTargets)
	require.Len(t, e.Changes, maxChanges)
	require.LessOrEqual(t, len(e.Targets[1].ID), maxName)
	require.LessOrEqual(t, len(e.Actor.Name), maxName)
	require.LessOrEqual(t, len(e.Summary), maxSummary+20)
	require.True(t, strings.HasSuffix(e.Actor.Name, "é…"))
}

func manyItems(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`{"Id":"item-` + strings.Repeat("x", i) + `"},`)
	}
	return b.String()
}

func manyParameters(n int) string {
	return strings.TrimSuffix(strings.Repeat(`{"Name":"P","Value":"v"},`, n), ",")
}

func TestParameters(t *testing.T) {
	want := []audit.Change{{Name: "Identity", New: "bob b"}, {Name: "Quota", New: "5 GB"}, {Name: "Force", New: "True"}}
	for _, form := range []string{
		`[{"Name":"Identity","Value":"bob b"},{"Name":"Quota","Value":"5 GB"},{"Name":"Force","Value":true},{"Name":"Empty","Value":""}]`,
		`"[{\"Name\":\"Identity\",\"Value\":\"bob b\"},{\"Name\":\"Quota\",\"Value\":\"5 GB\"},{\"Name\":\"Force\",\"Value\":\"True\"}]"`,
		`"-Identity \"bob b\" -Quota 5 GB -Force"`,
		`["Identity=bob b","Quota: 5 GB","Force=True"]`,
		`{"Identity":"bob b","Quota":"5 GB","Force":"True"}`,
	} {
		got := event(t, `,"Operation":"Set-Mailbox","Parameters":`+form).Changes
		for i := range got {
			got[i].New = strings.Replace(got[i].New, "true", "True", 1)
		}
		require.Equal(t, want, got, form)
	}
	require.Equal(t, []audit.Change{{Name: "Parameters", New: "anything else"}}, event(t, `,"Parameters":"anything else"`).Changes)
}

func TestFoldedLists(t *testing.T) {
	e := event(t, `,"ModifiedProperties":{"Role.DisplayName":{"OldValue":"","NewValue":"[\"Reader\"]"}},"ExtendedProperties":{"UserAgent":"curl"}`)
	require.Equal(t, []audit.Change{{Name: "Role.DisplayName", New: "Reader"}}, e.Changes)
	require.Equal(t, "curl", e.Context.UserAgent)
}

func TestDescribeIsPureAndRunsAgain(t *testing.T) {
	n := New(DefaultMappings())
	for file, rec := range fixtures(t) {
		s, err := n.Normalize(rec)
		require.NoError(t, err)
		again := s
		n.Describe(&again)
		require.Equal(t, s, again, file)
	}
}

func TestDescribeWithNamesAndOtherMappings(t *testing.T) {
	s, err := New(DefaultMappings()).Normalize(record(`,"Operation":"New-Mailbox","Parameters":[{"Name":"Name","Value":"x"}]`))
	require.NoError(t, err)
	m, err := ParseMappings([]byte("record_types: {1: Mail admin}\noperations:\n- {operation: 'new-*', service: exchange, summary: '{actor} made {target}'}"))
	require.NoError(t, err)
	s.Event.Actor.Name = "Alice Meyer"
	before := s.Event
	New(m).Describe(&s)
	require.Equal(t, "Mail admin", s.Event.Category)
	require.Equal(t, "Alice Meyer created the mailbox x", s.Event.Summary) // the whole name says more than a prefix
	require.Contains(t, s.Tokens, "meyer")
	s.Event.Category, s.Event.Summary = before.Category, before.Summary
	require.Equal(t, before, s.Event)
}

func TestDescribeKeepsALabelThatCameFromTheSourcesCategory(t *testing.T) {
	rec := fixtures(t)["testdata/entra.directory/app_without_appid_fails.json"]
	m, err := ParseMappings([]byte("categories: {ApplicationManagement: Software}\noperations: [{operation: Add service principal credentials, category: Secrets}]"))
	require.NoError(t, err)
	s, err := New(m).Normalize(rec)
	require.NoError(t, err)
	require.Equal(t, "Secrets", s.Event.Category)
	m, err = ParseMappings([]byte("operations: [{operation: x, category: y}]"))
	require.NoError(t, err)
	New(m).Describe(&s)
	require.Equal(t, "Applications", s.Event.Category)
}

func TestQuarantine(t *testing.T) {
	at := time.Date(2025, 3, 4, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		source    audit.Source
		raw, kept string
	}{
		"valid JSON is kept":                {audit.M365Exchange, `{"Id":"1"}`, `{"Id":"1"}`},
		"less its secrets":                  {audit.M365Exchange, `{"Parameters":[{"Name":"Password","Value":"x1"}]}`, `{"Parameters":[{"Name":"Password","Value":"[redacted]"}]}`},
		"broken bytes of Exchange are not":  {audit.M365Exchange, `{"Parameters":[{"Name":"Pass`, ""},
		"nor of DLP":                        {audit.M365DLP, `{`, ""},
		"nor of Intune":                     {audit.IntuneAudit, `{`, ""},
		"of SharePoint they are":            {audit.M365SharePoint, `{"Id":"1`, `{"Id":"1`},
		"but not with a secret's name":      {audit.M365SharePoint, `{"Id":"1","ClientSecret":"x1"`, ""},
		"settings are judged more strictly": {audit.IntuneAudit, `{"p":[{"displayName":"WifiKey","newValue":"x1"}]}`, `{"p":[{"displayName":"WifiKey","newValue":"[redacted]"}]}`},
	} {
		q := Quarantine(audit.Record{Source: c.source, TenantID: strings.ToUpper(tenant), Blob: "b", Raw: []byte(c.raw)}, errors.New("why"), at)
		require.Equal(t, c.kept, string(q.Raw), name)
		require.Equal(t, audit.Quarantined{ID: q.ID, TenantID: tenant, Source: c.source, Blob: "b", Reason: "why", At: at, Raw: q.Raw}, q)
		require.NotEmpty(t, q.ID)
	}
}
