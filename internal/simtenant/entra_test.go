package simtenant

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type twinRecord struct {
	Operation, InterSystemsID, IntraSystemID, ResultStatus, ErrorNumber, LogonError string
	RecordType                                                                      int
}

// entraTwins is the Management API's records of twelve days by id.
func entraTwins(t *testing.T, h *history) map[string]twinRecord {
	t.Helper()
	out := map[string]twinRecord{}
	for _, r := range h.published(AuditAzureAD, testEpoch.Add(-7*24*time.Hour), testEpoch.Add(5*24*time.Hour)) {
		var twin twinRecord
		require.NoError(t, json.Unmarshal(r.Body, &twin))
		out[r.ID] = twin
	}
	return out
}

func TestEveryDirectoryChangeHasATwin(t *testing.T) {
	h := newHistory(21, testEpoch, 120)
	byCorrelation := map[string]twinRecord{}
	for _, twin := range entraTwins(t, h) {
		if twin.RecordType == 8 {
			byCorrelation[twin.InterSystemsID] = twin
		}
	}
	seen := 0
	for _, r := range weekOf(h, DirectoryAudits) {
		var audit struct{ ActivityDisplayName, CorrelationID, Result string }
		require.NoError(t, json.Unmarshal(r.Body, &audit))
		require.Contains(t, r.ID, audit.CorrelationID)
		twin, ok := byCorrelation[audit.CorrelationID]
		if !ok && r.At.Before(testEpoch.Add(-6*24*time.Hour)) {
			continue // the twin was listed before the span
		}
		require.True(t, ok, "%s", r.Body)
		require.Contains(t, []string{audit.ActivityDisplayName + ".", audit.ActivityDisplayName + " "}, twin.Operation)
		require.Equal(t, audit.Result == "success", twin.ResultStatus == "Success")
		seen++
	}
	require.Greater(t, seen, 200)
}

func TestEverySignInHasATwin(t *testing.T) {
	h := newHistory(21, testEpoch, 120)
	twins := entraTwins(t, h)
	failed, answered := 0, 0
	for _, r := range weekOf(h, SignIns) {
		var s struct {
			CorrelationID string
			Status        struct{ ErrorCode int }
		}
		require.NoError(t, json.Unmarshal(r.Body, &s))
		twin, ok := twins[r.ID]
		if !ok && r.At.Before(testEpoch.Add(-6*24*time.Hour)) {
			continue
		}
		require.True(t, ok, "%s", r.Body)
		require.Equal(t, s.CorrelationID, twin.InterSystemsID)
		require.Equal(t, itoa(s.Status.ErrorCode), twin.ErrorNumber)
		require.Equal(t, s.Status.ErrorCode != 0, twin.Operation == "UserLoginFailed")
		require.Equal(t, s.Status.ErrorCode != 0, twin.LogonError != "")
		if twin.Operation == "UserLoginFailed" {
			failed++
			if twin.ResultStatus == "Success" {
				answered++
			}
		}
	}
	require.Positive(t, answered)
	require.Greater(t, failed, answered)
}

func TestTwinOperation(t *testing.T) {
	require.Equal(t, "Add user.", twinOperation("Add user"))
	op := twinOperation("Update application – Certificates and secrets management")
	require.True(t, strings.HasSuffix(op, "management "))
}
