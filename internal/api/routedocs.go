package api

import (
	"fmt"
	"net/http"

	"aoc/internal/audit"
)

// filterWords say what the filters of a search compare.
var filterWords = map[audit.Field]string{
	audit.FieldService:   "What people call the service.",
	audit.FieldActor:     "Who did it: an id, a user principal name or a name, whole.",
	audit.FieldOperation: "What was done, as the source names it.",
	audit.FieldCategory:  "The event's category.",
	audit.FieldSource:    "The feed that it came by.",
}

// filterParam is a filter by a field. Its values are or-ed, case does not count.
func filterParam(f audit.Field, example string) param {
	p := textParam(string(f), filterWords[f]+" Repeated, any of them; case does not count.", audit.MaxValueLength, example)
	return p.upTo(audit.MaxFilterValues)
}

var searchParams = []param{
	filterParam(audit.FieldService, "Entra").show(),
	filterParam(audit.FieldActor, "alice@contoso.com"),
	filterParam(audit.FieldOperation, "Add user"),
	enumParam("result", "How it ended. Repeated, any of them.", audit.Success).upTo(audit.MaxFilterValues),
	filterParam(audit.FieldCategory, "UserManagement"),
	filterParam(audit.FieldSource, string(audit.EntraDirectory)),
	timeParam("start", "Events at or after it.", "2026-03-31T08:00:00Z").show(),
	timeParam("end", "Events before it.", "2026-04-01"),
	textParam("search", "Words, all of which must begin a word of the event.", 1024, "alice bob"),
	countParam("page_size", fmt.Sprintf("Events on a page; %d at most, more is clamped.", audit.MaxPageSize), audit.DefaultPageSize, 50).show(),
	textParam("cursor", "The next_cursor of an earlier answer to the same filters.", 256, "CN6SPTY-xQAsTGZ0bXlcbjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"),
}

var docSearch = doc{
	id: "searchEvents", tag: tagEvents, summary: "Search events",
	more:  "Filters are and-ed. Follow next_cursor for the next page; events that come in meanwhile shift nothing.",
	gives: []reply{gives(http.StatusOK, "One page of events.", eventsAnswer{Events: []audit.Event{sampleEvent}, NextCursor: "CN6SPTY-xQAsTGZ0bXlcbjAwMDA", PageSize: 50})},
}

var eventParams = []param{pathParam("id", "The event's id.", sampleEvent.ID)}

var docEvent = doc{
	id: "getEvent", tag: tagEvents, summary: "One event with its record",
	more:  "The record is as it came from Microsoft, byte by byte, less the secrets that redactions lists.",
	gives: []reply{gives(http.StatusOK, "The event and the record it was made of.", eventRecord{Event: sampleEvent, Raw: sampleRaw})},
	fails: []int{http.StatusNotFound},
}

var docOptions = doc{
	id: "getFilterOptions", tag: tagEvents, summary: "The values that filters can take",
	more: "Of the events that are stored and that the caller may see.",
	gives: []reply{gives(http.StatusOK, "Each list is sorted.", optionsAnswer{
		Service: []string{"Entra", "Exchange"}, Operation: []string{"Add user", "Set-Mailbox"}, Result: []audit.Result{audit.Failure, audit.Success},
		Category: []string{"UserManagement"}, Source: []audit.Source{audit.EntraDirectory, audit.M365Exchange},
	})},
}

var coverageParams = []param{
	timeParam("start", "The span's first hour; seven days before its end unless said. At most 31 days.", "2026-03-31T08:00:00Z"),
	timeParam("end", "Where the span ends, exclusive; now unless said.", "2026-04-01"),
	enumParam("source", "The feeds, which must be switched on; all unless said.", audit.EntraDirectory).upTo(audit.MaxFilterValues).show(),
}

var docCoverage = doc{
	id: "getCoverage", tag: tagCollect, summary: "Whether all of it is here, hour by hour",
	more: "Read off the ledger of what was read, never guessed.",
	gives: []reply{gives(http.StatusOK, "Each feed's hours.", coverageAnswer{
		Start: sampleHour, End: sampleHour.Add(audit.WindowLength), Feeds: []feedCoverage{{
			Source: audit.EntraDirectory, States: map[hourState]int{hourComplete: 1},
			Hours: []hourCoverage{{Start: sampleHour, State: hourComplete, Settled: true, Records: new(412), Late: new(3), Quarantined: new(0), LagP50: 120, LagP95: 600}},
		}},
	})},
}

var docSourceHealth = doc{
	id: "getSourceHealth", tag: tagCollect, summary: "How each feed does",
	gives: []reply{gives(http.StatusOK, "The feeds that are switched on, and those that once were.", healthAnswer{
		CheckedAt: sampleHour, Sources: []sourceHealth{{
			Source: audit.EntraDirectory, Enabled: true, State: feedFailing, LastSuccess: sampleHour, LagSeconds: 5400,
			Error: "list: 403 Forbidden", Advice: "Grant AuditLog.Read.All to the app registration.", FailedAt: sampleHour,
			Windows: windowSums{Total: 168, Waiting: 1, Failing: 1}, Records: new(20117),
		}},
	})},
}

var quarantineParams = []param{
	textParam("after", "The next of an earlier answer.", audit.MaxValueLength, "8f14e45fceea167a5a36dedd4bea2543"),
	countParam("limit", fmt.Sprintf("Records on a page; %d at most, more is clamped.", maxPage), audit.DefaultPageSize, 50).show(),
}

var docQuarantine = doc{
	id: "listQuarantine", tag: tagCollect, summary: "Records that were set aside",
	more: "Records that could not be made events wait here with their reason. Their bytes are kept, and not shown.",
	gives: []reply{gives(http.StatusOK, "One page of them, by id.", quarantineAnswer{Records: []quarantined{{
		Quarantined: audit.Quarantined{
			ID: "c9f0f895fb98ab9159f51fd0297e236d", TenantID: sampleTenant, Source: audit.M365Exchange, Blob: "20260331080112000000001", Reason: "no time", At: sampleHour,
		}, Size: 812,
	}}})},
}

// fetchParams' bound is a setting, so its words name none.
var fetchParams = []param{countParam("hours", "How far back; more than this AOC reads at most is clamped, and said.", defaultHours, 48).show()}

var docFetch = doc{
	id: "startBackfill", tag: tagUpkeep, summary: "Read the last hours again",
	more:  "Answers at once; the job tells how it goes. What is stored already is not stored twice. Say hours in the query or in the body.",
	takes: []any{fetchRequest{Hours: new(48)}},
	gives: []reply{gives(http.StatusAccepted, "The job was made.", fetchAnswer{
		Job: sampleJob, Message: "The last 48 hours are read again, as far as each feed still lists them.",
	}, "Location")},
}

// docFetchByGet is for what can send no POST, such as a bookmark.
var docFetchByGet = doc{
	id: "startBackfillByGet", tag: tagUpkeep, summary: "Read the last hours again, by a GET",
	more:  "As the POST. It changes things, and is guarded as strictly.",
	gives: docFetch.gives, fails: []int{http.StatusRequestEntityTooLarge},
}

var docJobs = doc{
	id: "listJobs", tag: tagUpkeep, summary: "The newest jobs",
	gives: []reply{gives(http.StatusOK, fmt.Sprintf("At most %d.", maxJobs), jobsAnswer{Jobs: []jobAnswer{sampleJob}})},
}

var jobParams = []param{pathParam("id", "The job's id.", sampleJob.ID)}

var docJob = doc{
	id: "getJob", tag: tagUpkeep, summary: "How a job goes",
	gives: []reply{gives(http.StatusOK, "The job.", sampleJob)},
	fails: []int{http.StatusNotFound},
}

var docStartJob = doc{
	id: "startJob", tag: tagUpkeep, summary: "Start a job over what is stored",
	more: "renormalize reads all records anew, dedupe links twins, retention deletes what is older than RETENTION_DAYS allows, and quarantine.retry " +
		"tries records again that were set aside.",
	takes: []any{jobRequest{Kind: "renormalize", Since: sampleHour, DryRun: true}},
	gives: []reply{gives(http.StatusAccepted, "The job was made.", startedAnswer{Job: sampleJob}, "Location")},
}

var docRetry = doc{
	id: "retryQuarantine", tag: tagUpkeep, summary: "Try records again that were set aside",
	takes: []any{retryRequest{}},
	gives: []reply{gives(http.StatusAccepted, "The job was made.", startedAnswer{Job: sampleJob}, "Location")},
}

var docPreflight = doc{
	id: "runPreflight", tag: tagCollect, summary: "Whether collection can work, and what is missing",
	more: "It calls Microsoft, so it takes some seconds.",
	gives: []reply{gives(http.StatusOK, "What was found, whatever it is.", preflightAnswer{OK: false, Checks: []audit.Check{
		{Name: "sign-in", State: audit.CheckOK, Found: "The app registration signs in."},
		{Name: "directory audit log", State: audit.CheckFailed, Found: "Graph answers 403.", Advice: "Grant AuditLog.Read.All and give admin consent.", Source: audit.EntraDirectory},
	}})},
}

var webhookParams = []param{
	headerParam("Webhook-AuthID", "The secret that was given when the subscription was made.", "a-long-random-word"),
	headerParam("Webhook-ValidationCode", "Sent once, to try the address.", "J5Y4ZQX2"),
}

var docWebhook = doc{
	id: "receiveNotification", tag: tagCollect, summary: "Notifications of the Management API",
	more: "For Microsoft alone: it is there when O365_WEBHOOK_AUTH_ID is set, and asks for that in a header.",
	takes: []any{[]notified{{
		TenantID: sampleTenant, ContentType: "Audit.Exchange", ContentID: "20260331080112000000001",
		ContentURI: "https://manage.office.com/api/v1.0/" + sampleTenant + "/activity/feed/audit/20260331080112000000001", Created: sampleHour, Expires: sampleHour.AddDate(0, 0, 7),
	}}, validated{Code: "J5Y4ZQX2"}},
	grows: true,
	gives: []reply{
		gives(http.StatusOK, "The blobs are in the ledger, or the address is ours.", pushedAnswer{Blobs: 1}),
		gives(http.StatusOK, "", validAnswer{Status: "ok"}),
	},
	fails: []int{http.StatusNotFound},
}

var docFeatures = doc{
	id: "getFeatures", tag: tagProgram, summary: "What this AOC has, and what of it is for the caller",
	gives: []reply{gives(http.StatusOK, "The features.", featuresAnswer{
		Features: Features{AuthEnabled: true, PeriodicFetch: true, TenantID: sampleTenant, Sources: []audit.Source{audit.EntraDirectory, audit.M365Exchange}},
	})},
}

var docSignIn = doc{
	id: "getSignIn", tag: tagProgram, summary: "What a page needs to sign people in",
	more: "Nothing of it is secret.",
	gives: []reply{gives(http.StatusOK, "What MSAL is given.", SignIn{
		Enabled: true, TenantID: sampleTenant, ClientID: "6e74172b-be56-4843-9ff4-e66a39bb12e3",
		Authority: "https://login.microsoftonline.com/" + sampleTenant, Scopes: []string{"api://6e74172b-be56-4843-9ff4-e66a39bb12e3/access_as_user"},
	})},
}

var docVersion = doc{
	id: "getVersion", tag: tagProgram, summary: "Which program this is",
	gives: []reply{gives(http.StatusOK, "The version.", Version{Version: "1.4.0", Commit: "4766ab0", Go: "go1.26.0"})},
}

var docHealth = doc{
	id: "getHealth", tag: tagProgram, summary: "Whether it lives",
	more:    "Answers 200 while the program lives; the body tells of the database. Parameters are passed over.",
	gives:   []reply{gives(http.StatusOK, "It lives.", aliveAnswer{"ok", "ok", "1.4.0"})},
	lenient: true,
}

var docReady = doc{
	id: "getReady", tag: tagProgram, summary: "Whether it can answer requests",
	more: "One look at the dependencies is good for two seconds.",
	gives: []reply{
		gives(http.StatusOK, "It can.", readyAnswer{Status: "ready", Dependencies: map[string]string{"database": "ok", "redis": "unused"}}),
		gives(http.StatusServiceUnavailable, "It cannot.", readyAnswer{Status: "not ready", Dependencies: map[string]string{"database": "unreachable", "redis": "unused"}}),
	},
}

var docMetrics = doc{
	id: "getMetrics", tag: tagProgram, summary: "Metrics, in Prometheus' text format",
	more: "For the addresses of METRICS_ALLOWED_IPS alone. Behind the Functions host, the address is the last one that the platform's front end added.",
	gives: []reply{
		givesText(http.StatusOK, mediaText, "The metrics."),
		givesText(http.StatusServiceUnavailable, mediaText, "Two are read already, or it took too long."),
	},
}

var docOpenAPI = doc{
	id: "getOpenAPI", tag: tagProgram, summary: "This document",
	more:  "It is there when DOCS_ENABLED is true.",
	gives: []reply{gives(http.StatusOK, "An OpenAPI 3.1 document.", map[string]any{"openapi": "3.1.1"})},
	fails: []int{http.StatusNotFound},
}

var docDocs = doc{
	id: "getDocs", tag: tagProgram, summary: "This document, as a page",
	more:  "It is there when DOCS_ENABLED is true.",
	gives: []reply{givesText(http.StatusOK, mediaHTML, "The page.")},
	fails: []int{http.StatusNotFound},
}
