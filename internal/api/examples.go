package api

import (
	"encoding/json"
	"time"

	"aoc/internal/audit"
)

// What the document shows as examples. All of it is made up.
const sampleTenant = "8e2f1c3a-0000-4000-8000-00000000000a"

var sampleHour = time.Date(2026, 3, 31, 8, 0, 0, 0, time.UTC)

var sampleEvent = audit.Event{
	ID: "3c59dc048e8850243be8079a5c74d079", RecordID: "Directory_7c1e", TenantID: sampleTenant, Source: audit.EntraDirectory,
	Service: audit.ServiceEntra, Operation: "Add user", Category: "UserManagement", Time: sampleHour.Add(72*time.Second + 345678900),
	Actor:   audit.Actor{ID: "1b0e", Name: "Alice Meyer", UPN: "alice@contoso.com", Type: "user", IP: "203.0.113.7"},
	Targets: []audit.Target{{ID: "2c1f", Name: "Bob Ray", Type: "User"}},
	Changes: []audit.Change{{Name: "AccountEnabled", Old: "false", New: "true"}},
	Context: audit.Context{UserAgent: "Mozilla/5.0"}, Result: audit.Success, Summary: "Alice Meyer added the user Bob Ray.", CorrelationID: "5f3a",
}

var sampleRaw = rawOf([]byte(`{"id":"Directory_7c1e","activityDisplayName":"Add user","result":"success"}`))

// rawOf tells of a record that is JSON.
func rawOf(record []byte) rawAnswer {
	raw := audit.NewRaw(record)
	return rawAnswer{JSON: json.RawMessage(record), Text: string(record), SHA256: raw.SHA256, Size: len(record)}
}

var sampleJob = jobAnswer{
	Job: audit.Job{
		ID: "45c48cce2e2d7fbdea1afc51c7c6ad26", Kind: "backfill", By: "1b0e@" + sampleTenant, State: audit.JobRunning, CreatedAt: sampleHour, Hours: 48,
		Spans: []audit.Span{{Source: audit.EntraDirectory, Start: sampleHour.Add(-48 * time.Hour), End: sampleHour}},
	},
	Progress: progressAnswer{Windows: 48, Done: 12, Scanned: new(0), Changed: new(0), Read: new(5210), New: new(17), Known: new(5193), Quarantined: new(0)},
	Before:   &audit.Counts{Read: 5193, New: 5193},
}
