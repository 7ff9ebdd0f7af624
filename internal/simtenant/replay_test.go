package simtenant

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// replayLines are records of every kind, in shapes as they come.
var replayLines = []string{
	`{"CreationTime": "2021-05-18T21:13:33", "Id": "m1", "Operation": "Set-Mailbox", "RecordType": 1, "Workload": "Exchange", "Nested": {"b" : 1,  "a":"2024-01-01T00:00:00"}}`,
	`{"CreationTime":"2021-05-18T21:13:34","Id":"m2","Operation":"FileAccessed","RecordType":6,"Workload":"OneDrive"}`,
	`{"CreationTime":"2021-05-18T21:13:35","Id":"m3","Operation":"UserLoggedIn","RecordType":15,"Workload":"AzureActiveDirectory"}`,
	`{"CreationTime":"2021-05-18T21:13:36","Id":"m4","Operation":"DlpRuleMatch","RecordType":13,"Workload":"Exchange"}`,
	`{"CreationTime":"2021-05-18T21:13:37","Id":"m5","Operation":"TeamCreated","RecordType":25,"Workload":"MicrosoftTeams"}`,
	`{"rule":"x","event":{"CreationTime":"2021-05-18T21:13:38","Id":"m6","Operation":"Old","RecordType":4}}`,
	`{"CreationTime":"2021-05-18T21:13:39","Id":"m7","Operation":"?","RecordType":"Oddity"}`,
	`{"CreationTime":"2021-05-18T21:13:33","Id":"m1","Operation":"Set-Mailbox","RecordType":1,"Workload":"Exchange"}`,
	``,
	`{"id":"d1","activityDisplayName":"Add user","activityDateTime":"2024-02-08T21:49:53.7643129Z","initiatedBy":{"user":{"id":"u"}},"targetResources":[{"modifiedProperties":[{"displayName":"x","newValue":"[\"2024-02-08T00:00:00Z\"]"}]}],"never":"0001-01-01T00:00:00Z"}`,
	`{"src":"y","event":{ "id" : "s1", "createdDateTime":"2024-02-06T10:00:00Z", "appDisplayName":"Portal", "userPrincipalName":"a@x.example", "status":{"errorCode":0} }}`,
	`{"id":"i1","displayName":"Patch","componentName":"DeviceConfiguration","activityDateTime":"2023-02-08T09:00:00+00:00","activityOperationType":"Patch","actor":{"userPrincipalName":"a@x.example"}}`,
	`{"time":"2024-02-08T21:49:53Z","category":"AuditLogs","operationName":"x","properties":{"id":"d2","activityDisplayName":"Add app","activityDateTime":"2024-02-07T01:02:03.5+00:00"}}`,
	`{"category":"SignInLogs","properties":{"id":"s2","createdDateTime":"2024-02-08T11:00:00Z","appDisplayName":"A","status":{"errorCode":50126}}}`,
	`{"category":"Administrative","properties":{"x":1}}`,
	`{"name":"not an audit record"}`,
	`[1,2]`,
	`{"id":"d3","activityDisplayName":"x","activityDateTime":"yesterday"}`,
}

func replayFile(t *testing.T, packed bool, lines ...string) string {
	t.Helper()
	body := []byte(strings.Join(lines, "\n"))
	if packed {
		var b bytes.Buffer
		zip := gzip.NewWriter(&b)
		_, err := zip.Write(body)
		require.NoError(t, err)
		require.NoError(t, zip.Close())
		body = b.Bytes()
	}
	path := filepath.Join(t.TempDir(), "records.ndjson")
	require.NoError(t, writeFile(path, body, 0o600))
	return path
}

func TestReplayReport(t *testing.T) {
	for _, packed := range []bool{false, true} {
		tenant := newTenant(t, Options{Replay: replayFile(t, packed, replayLines...)})
		report, ok := tenant.Replayed()
		require.True(t, ok)
		require.Equal(t, map[string]int{
			AuditExchange: 2, AuditSharePoint: 2, AuditAzureAD: 1, DLPAll: 1, AuditGeneral: 5,
			DirectoryAudits: 2, SignIns: 2, IntuneAudits: 1,
		}, report.Feeds)
		require.Equal(t, 17, report.Lines)
		require.Equal(t, 1, report.Skipped, "what is no object would break its neighbours")
		require.Equal(t, 3, report.Strays, "what no feed knows is for the reader to refuse")
		require.Equal(t, 1, report.Unplaced)
		require.Len(t, report.Reasons, 4)
		require.Contains(t, report.String(), `17 lines: 2 directoryAudits, 2 signIns, 1 auditEvents, 1 Audit.AzureActiveDirectory, 2 Audit.Exchange`)
		require.Contains(t, report.String(), `3 are no records of a feed and in Audit.General all the same; 1 not served: line 15: an Azure Monitor record of category "Administrative", which no feed serves; line 16: `)
	}
	_, ok := newTenant(t, Options{}).Replayed()
	require.False(t, ok)
}

func TestReplayKeepsBytes(t *testing.T) {
	c := call(t, newTenant(t, Options{Replay: replayFile(t, false, replayLines...)}))
	require.Empty(t, c.tenant.Stories())
	require.Equal(t, newTenant(t, Options{}).TenantID(), c.tenant.TenantID())
	got := map[string]int{}
	for _, feed := range contentTypes {
		for id, n := range c.walkManagement(feed, noon.Add(-24*time.Hour), noon) {
			got[id] += n
		}
	}
	require.Equal(t, map[string]int{
		"m1": 2, "m2": 1, "m3": 1, "m4": 1, "m5": 1, "m6": 1, "m7": 1,
		`nameless {"category":"Administrative","properties":{"x":1}}`: 1, `nameless {"name":"not an audit record"}`: 1,
		`nameless {"activityDateTime":"yesterday","activityDisplayName":"x","id":"d3"}`: 1,
	}, got)
	items := c.listAll(AuditExchange, noon.Add(-time.Hour), noon)
	require.Len(t, items, 1)
	require.Equal(t, "["+replayLines[0]+","+replayLines[7]+"]", string(c.get(items[0].ContentURI).body))
	require.Equal(t, Truth{IDs: []string{"m1"}}, c.tenant.Truth(AuditExchange, noon.Add(-time.Hour), noon))
}

func TestReplayShiftsGraph(t *testing.T) {
	// The newest is of 2024-02-08 21:49; at noon that is a time of yesterday.
	tests := map[string]struct {
		now  time.Time
		want string
	}{
		"later in the day":   {noon, "2026-03-11"},
		"earlier in the day": {noon.Add(10 * time.Hour), "2026-03-12"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := call(t, newTenant(t, Options{Replay: replayFile(t, false, replayLines...), Now: (&clock{tt.now}).now}))
			day, err := time.Parse(time.DateOnly, tt.want)
			require.NoError(t, err)
			list := c.walkGraph("auditLogs/directoryAudits", "activityDateTime ge "+day.AddDate(0, 0, -3).Format(time.DateOnly), "", "1")
			require.Len(t, list, 2)
			report, _ := c.tenant.Replayed()
			require.Equal(t, day.AddDate(0, 0, -365).Add(9*time.Hour), report.Oldest)
			require.Equal(t, strings.Replace(replayLines[9], `"activityDateTime":"2024-02-08`, `"activityDateTime":"`+tt.want, 1), string(list[0]))
			require.Contains(t, string(list[1]), day.AddDate(0, 0, -1).Format(time.DateOnly)+"T01:02:03.5+00:00")
			signIns := c.walkGraph("auditLogs/signIns", "createdDateTime ge "+day.AddDate(0, 0, -3).Format(time.DateOnly), "createdDateTime asc", "1000")
			require.Equal(t, `{ "id" : "s1", "createdDateTime":"`+day.AddDate(0, 0, -2).Format(time.DateOnly)+`T10:00:00Z", "appDisplayName":"Portal", "userPrincipalName":"a@x.example", "status":{"errorCode":0} }`, string(signIns[0]))
			require.Len(t, signIns, 2)
			require.Empty(t, c.walkGraph("deviceManagement/auditEvents", "activityDateTime ge 2020-01-01", "", "9"), "a year and more ago")
		})
	}
}

func TestReplayFailures(t *testing.T) {
	for text, path := range map[string]string{
		"no such file":           filepath.Join(t.TempDir(), "absent"),
		"none of its 1 lines":    replayFile(t, false, `["x"]`),
		"none of its 0 lines":    replayFile(t, false, ""),
		"longer than 16 MiB":     replayFile(t, false, strings.Repeat("x", maxReplayLine+1)),
		"gzip: invalid header":   replayFile(t, false, "\x1f\x8b\x00"+strings.Repeat("x", 20)),
		"line 1: unexpected EOF": replayFile(t, false, "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00"),
	} {
		_, err := New(Options{Replay: path})
		require.ErrorContains(t, err, text)
	}
}

func FuzzClassify(f *testing.F) {
	for _, line := range replayLines {
		f.Add([]byte(line), 3)
	}
	f.Fuzz(func(t *testing.T, line []byte, days int) {
		r, _, err := classify(line)
		if err != nil {
			return
		}
		require.Contains(t, Feeds(), r.Feed)
		require.True(t, json.Valid(r.Body))
		days %= 100_000
		shifted := shiftTimes(r.Body, days)
		require.Len(t, shifted, len(r.Body))
		require.True(t, json.Valid(shifted))
		if days == 0 {
			require.Equal(t, string(r.Body), string(shifted))
		}
	})
}
