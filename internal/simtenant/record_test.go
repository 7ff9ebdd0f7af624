package simtenant

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// mandatory is the fields that the schema of each feed promises, by the name
// under which Management records have one schema. A few records lack an Id,
// and only those.
var mandatory = map[string][]string{
	DirectoryAudits: {"id", "category", "correlationId", "result", "activityDisplayName", "activityDateTime", "loggedByService", "operationType", "initiatedBy", "targetResources", "additionalDetails"},
	SignIns:         {"id", "createdDateTime", "userDisplayName", "userPrincipalName", "userId", "appId", "appDisplayName", "ipAddress", "status", "deviceDetail", "location", "conditionalAccessStatus"},
	NonInteractiveSignIns: {
		"id", "createdDateTime", "userId", "userPrincipalName", "appId", "isInteractive", "signInEventTypes", "incomingTokenType",
		"authenticationRequirement", "uniqueTokenIdentifier", "resourceDisplayName", "resourceId", "status", "deviceDetail", "location",
	},
	ServicePrincipalSignIns: {
		"id", "createdDateTime", "servicePrincipalId", "servicePrincipalName", "appId", "signInEventTypes", "clientCredentialType",
		"servicePrincipalCredentialKeyId", "uniqueTokenIdentifier", "resourceDisplayName", "resourceId", "status",
	},
	ManagedIdentitySignIns: {"id", "createdDateTime", "servicePrincipalId", "servicePrincipalName", "signInEventTypes", "managedServiceIdentity", "resourceDisplayName", "status"},
	Provisioning: {
		"id", "activityDateTime", "tenantId", "jobId", "cycleId", "changeId", "provisioningAction", "durationInMilliseconds", "sourceSystem",
		"targetSystem", "initiatedBy", "servicePrincipal", "sourceIdentity", "targetIdentity", "provisioningStatusInfo", "provisioningSteps", "modifiedProperties",
	},
	RiskDetections: {
		"id", "requestId", "correlationId", "riskEventType", "riskState", "riskLevel", "riskDetail", "source", "detectionTimingType", "activity",
		"tokenIssuerType", "ipAddress", "location", "activityDateTime", "detectedDateTime", "lastUpdatedDateTime", "userId", "userDisplayName",
		"userPrincipalName", "additionalInfo",
	},
	IntuneAudits: {"id", "displayName", "componentName", "actor", "activity", "activityDateTime", "activityType", "activityOperationType", "activityResult", "correlationId", "resources", "category"},
	"management": {"RecordType", "CreationTime", "Operation", "OrganizationId", "UserType", "UserKey", "Workload", "UserId", "Version"},
}

func TestRecordsHaveTheShapeOfTheirFeed(t *testing.T) {
	h := newHistory(11, testEpoch, 120)
	for _, feed := range everyFeed {
		for _, r := range weekOf(h, feed) {
			var body map[string]any
			require.NoError(t, json.Unmarshal(r.Body, &body), "%s", r.Body)
			require.Equal(t, feed, r.Feed)
			switch {
			case slices.Contains(graphFeeds, feed):
				requireFields(t, body, mandatory[feed])
				require.Equal(t, r.ID, body["id"])
			default:
				requireFields(t, body, mandatory["management"])
				require.Equal(t, h.tenantID(), body["OrganizationId"])
				id, has := body["Id"]
				require.Equal(t, r.ID != "", has)
				if has {
					require.Equal(t, r.ID, id)
				}
			}
			require.True(t, r.At.Equal(timeIn(t, feed, body)), "%s %s", r.At, r.Body)
		}
	}
}

func requireFields(t *testing.T, body map[string]any, fields []string) {
	t.Helper()
	for _, f := range fields {
		if _, ok := body[f]; !ok {
			require.Fail(t, "no "+f, "%v", body)
		}
	}
}

func timeIn(t *testing.T, feed string, body map[string]any) time.Time {
	t.Helper()
	field, layout := "CreationTime", managementLayout
	switch feed {
	case SignIns, NonInteractiveSignIns, ServicePrincipalSignIns, ManagedIdentitySignIns:
		field, layout = "createdDateTime", secondsLayout
	case Provisioning:
		field, layout = "activityDateTime", secondsLayout
	case RiskDetections:
		field, layout = "detectedDateTime", graphLayout
	case DirectoryAudits, IntuneAudits:
		field, layout = "activityDateTime", graphLayout
	}
	text, _ := body[field].(string)
	require.Len(t, text, len(layout))
	at, err := time.Parse(layout, text)
	require.NoError(t, err)
	return at
}

func TestKeysComeInTheServicesOrder(t *testing.T) {
	h := newHistory(11, testEpoch, 40)
	for _, r := range h.batch(exchangeWork, testEpoch.Add(-10*time.Hour).Truncate(time.Hour))[AuditExchange] {
		require.Regexp(t, `^\{"CreationTime":"[^"]+","Id":"[^"]+","Operation":"[^"]+","OrganizationId":"`, string(r.Body))
	}
}

func TestUUID(t *testing.T) {
	for _, c := range []struct {
		hi, lo uint64
		want   string
	}{
		{0, 0, "00000000-0000-4000-8000-000000000000"},
		{^uint64(0), ^uint64(0), "ffffffff-ffff-4fff-bfff-ffffffffffff"},
		{0x0123456789abcdef, 0x0123456789abcdef, "01234567-89ab-4def-8123-456789abcdef"},
	} {
		require.Equal(t, c.want, uuid(c.hi, c.lo))
	}
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", `a"b\c`, "tab\tline\r\n", "\x00\x1f", "Müller – Angebot", "<b>&"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			t.Skip("only valid text is written")
		}
		var back string
		require.NoError(t, json.Unmarshal(appendString(nil, s), &back))
		require.Equal(t, s, back)
	})
}

func FuzzReordered(f *testing.F) {
	f.Add("a", `x",{}[]`, `\`, "z")
	f.Add("", "", "", "")
	f.Fuzz(func(t *testing.T, k1, v1, v2, v3 string) {
		var w writer
		w.b = append(w.b, '{')
		w.str("first", v1)
		w.open("inner", '[')
		w.item()
		w.str("deep", v2)
		w.close('}')
		w.text(k1)
		w.close(']')
		w.raw("nothing", "null")
		w.str("last", v3)
		w.close('}')
		if !json.Valid(w.b) {
			t.Skip("not valid text")
		}
		got := reordered(w.b)
		require.JSONEq(t, string(w.b), string(got))
		require.Equal(t, string(w.b), string(reordered(got)))
		require.NotEqual(t, string(w.b), string(got))
	})
}
