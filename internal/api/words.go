package api

import (
	"net/http"
	"reflect"

	"aoc/internal/audit"
)

// enum is a type of which all values are known.
type enum struct {
	what   string
	values []any
}

func enumOf[T ~string](what string, values ...T) (reflect.Type, enum) {
	e := enum{what: what}
	for _, v := range values {
		e.values = append(e.values, string(v))
	}
	return reflect.TypeFor[T](), e
}

// enums are the document's types of words.
var enums = func() map[reflect.Type]enum {
	all := map[reflect.Type]enum{}
	add := func(t reflect.Type, e enum) { all[t] = e }
	add(enumOf("How an act ended.", audit.Results()...))
	add(enumOf("A feed: one audit trail of a tenant, read through one API.", audit.EntraDirectory, audit.EntraSignIn, audit.EntraSignInNonInter,
		audit.EntraSignInPrincipal, audit.EntraSignInManaged, audit.EntraProvisioning, audit.EntraRisk, audit.IntuneAudit, audit.M365Exchange,
		audit.M365SharePoint, audit.M365General, audit.M365DLP, audit.M365Entra, audit.PurviewQuery, audit.GraphNotification, audit.AzureMonitor, audit.AOC))
	add(enumOf("How far a job has come.", audit.JobRunning, audit.JobDone))
	add(enumOf("How a check came out. A warning works now, or passes by itself; what was skipped was not tried.",
		audit.CheckOK, audit.CheckWarning, audit.CheckFailed, audit.CheckSkipped))
	add(enumOf("How a feed does. Waiting: nothing was read yet. Off: it once was on.", feedOK, feedLate, feedFailing, feedWaiting, feedOff))
	add(enumOf("What can be said of an hour of a feed. Complete: all that the feed listed for it is stored. Pending: something is still to be read. "+
		"Stored: read whole, but too old to be listed for the last time. Lost: something cannot be had any more. Unknown: it was never planned.",
		hourComplete, hourPending, hourStored, hourLost, hourUnknown))
	codes := make([]errorCode, len(codeWords))
	for i, c := range codeWords {
		codes[i] = c.code
	}
	add(enumOf("What kind of error it is.", codes...))
	return all
}()

type codeWord struct {
	status int
	code   errorCode
	what   string
}

// codeWords explains the codes of errors, by status.
var codeWords = []codeWord{
	{http.StatusBadRequest, "invalid_request", "The message names the parameter or field, and what was expected of it."},
	{http.StatusUnauthorized, "unauthenticated", "There is no token, or not a good one."},
	{http.StatusForbidden, "forbidden", "The caller is known, and may not do this."},
	{http.StatusForbidden, "cross_site", "A page of another site asked for a change."},
	{http.StatusForbidden, "foreign_name", "Sign-in is off, and AOC was called by a name that is not this machine's."},
	{http.StatusNotFound, "not_found", "It is not there, or not for this caller."},
	{http.StatusRequestEntityTooLarge, "too_large", "The request's body is over its bound."},
	{http.StatusTooManyRequests, "rate_limited", "The caller's quota is used up, or cannot be looked up. Retry-After says when to try again."},
	{http.StatusInternalServerError, "internal", "AOC's own failure: its log has it under the request_id."},
	{http.StatusServiceUnavailable, "busy", "The store is busy: try again."},
	{http.StatusServiceUnavailable, "timeout", "It took too long."},
	{http.StatusServiceUnavailable, "sign_in_unavailable", "The keys that tokens are checked with cannot be had right now."},
	{http.StatusServiceUnavailable, "audit_unavailable", "AOC's own audit log cannot be written, and this must not happen unseen."},
	{http.StatusServiceUnavailable, "misconfigured", "Settings are wrong: the message lists them. Every route answers this until they are mended."},
}

// words describes types and fields that tell nothing of themselves: those of
// the package audit, by their names in the document.
var words = map[string]string{
	"Event":                "What AOC makes of a record: one shape for all feeds. Fields that are empty or absent are those that the record does not say.",
	"Event.id":             "Names the record in AOC, for good.",
	"Event.record_id":      "The source's own id; empty where it has none.",
	"Event.tenant_id":      "The tenant, a GUID in lower case.",
	"Event.source":         "The feed that it came by.",
	"Event.service":        "What people call the service, such as Entra, Exchange, SharePoint, Teams, Intune or AOC.",
	"Event.operation":      "What was done, as the source names it.",
	"Event.category":       "A label, else the source's own.",
	"Event.record_type":    "The Management API's RecordType.",
	"Event.time":           "When it happened, UTC, to 100 ns.",
	"Event.actor":          "Who did it.",
	"Event.targets":        "To what.",
	"Event.changes":        "What was changed, or given.",
	"Event.context":        "From where, with what.",
	"Event.result":         "How it ended.",
	"Event.summary":        "One sentence for people.",
	"Event.correlation_id": "What ties records of one act together.",
	"Event.redactions":     "JSON Pointers of the secrets that were cut out of the record before it was stored.",
	"Event.tags":           "Set by people.",
	"Actor":                "A person, an app or the service itself.",
	"Actor.id":             "The directory's id.",
	"Actor.name":           "As people read it.",
	"Actor.upn":            "The user principal name.",
	"Actor.type":           "user, admin, guest, app or system.",
	"Actor.ip":             "The address, without a port.",
	"Actor.app":            "The app that it was done with, or that did it.",
	"Target":               "One thing that it was done to.",
	"Target.id":            "The directory's or the service's id.",
	"Target.name":          "As people read it.",
	"Target.type":          "As the source names it, or file, mailbox, site and the like.",
	"Change":               "One property that was changed, or one parameter that was given.",
	"Change.name":          "The property or parameter.",
	"Change.old":           "What it was.",
	"Change.new":           "What it became, or what was given.",
	"Context":              "As far as the feed says.",
	"Context.session_id":   "The session.",
	"Context.user_agent":   "The program that called.",
	"Context.device_id":    "The device.",
	"Context.device_name":  "Its name.",
	"Context.app_id":       "The app.",
	"Context.app_name":     "Its name.",
	"Context.country":      "Where the address is.",
	"Context.city":         "Where the address is.",
	"Context.error_code":   "The source's own code of a failure.",

	"Job":              "Work that somebody asked for and may follow.",
	"Job.id":           "Names the job.",
	"Job.kind":         "backfill, renormalize, dedupe, retention, quarantine.retry or purview.",
	"Job.by":           "Who asked: object id @ tenant; absent where AOC itself did.",
	"Job.state":        "How far it has come.",
	"Job.created_at":   "When it was made.",
	"Job.done_at":      "When it was done.",
	"Job.hours":        "Of a backfill: how far back, as asked and clamped.",
	"Job.spans":        "What of that each feed can still reach.",
	"Job.options":      "What was asked besides the kind.",
	"Job.position":     "How far it has come, in insertion order.",
	"Job.error":        "The last failure, in words. It is tried again.",
	"Job.notes":        "What it could not do or prove.",
	"Span":             "The part of a job that one feed can still reach.",
	"Span.source":      "The feed.",
	"Span.start":       "A whole hour.",
	"Span.end":         "A whole hour, exclusive.",
	"Span.note":        "Why it is shorter than what was asked for.",
	"Counts":           "What readings counted.",
	"Counts.blobs":     "Blobs of content.",
	"Counts.read":      "Records read.",
	"Counts.new":       "Of them stored.",
	"Counts.known":     "Of them stored before.",
	"JobQuery":         "One audit log query of a Purview job.",
	"JobQuery.id":      "Purview's id; empty until it was submitted.",
	"JobQuery.start":   "The span's begin.",
	"JobQuery.end":     "The span's end, exclusive.",
	"JobQuery.state":   "waiting, running, read, failed or divided.",
	"JobQuery.note":    "What it could not prove.",
	"JobQuery.tries":   "Submissions that failed.",
	"Check":            "One thing that was looked at.",
	"Check.name":       "What was looked at.",
	"Check.state":      "How it came out.",
	"Check.found":      "What there is.",
	"Check.advice":     "What to do, exactly; absent where nothing is to be done.",
	"Check.source":     "The feed that it is about; absent where it is about all.",
	"Quarantined":      "A record that could not be made an event.",
	"Quarantined.id":   "Names it; the same bad record is kept once.",
	"Quarantined.at":   "When it was set aside.",
	"Error":            "The shape of every error.",
	"Fault.code":       "What programs go by.",
	"JobOptions":       "What was asked of a job besides its kind.",
	"Events":           "One page of events.",
	"EventRecord":      "An event with the record that it was made of.",
	"JobRequest":       "Which job over what is stored.",
	"FetchRequest":     "How far back to read again.",
	"RetryRequest":     "Nothing: all of the quarantine is run again.",
	"Notified":         "One content blob, as the Management API names it.",
	"HourCoverage":     "One hour of a feed.",
	"FeedCoverage":     "One feed's hours.",
	"SourceHealth":     "How one feed does.",
	"Options":          "The values that filters can take.",
	"Raw":              "A record, less the secrets that were cut out of it.",
	"Fault":            "One error.",
	"Progress":         "How much of a job is done.",
	"JobOptions.since": "Only events at or after it; of retention, what is older is deleted.",
	"JobOptions.limit": "Events at most; absent: no limit.",

	"Counts.quarantined":    "Of them set aside.",
	"JobOptions.dry_run":    "Nothing is changed, only counted.",
	"JobQuery.records":      "Of the reading that gave most.",
	"JobQuery.asked_at":     "The last submission.",
	"Quarantined.tenant_id": "The tenant.",
	"Quarantined.source":    "The feed that it came by.",
	"Quarantined.blob":      "The content id or page that it came in.",
	"Quarantined.reason":    "Why; it holds nothing of the record's values.",
}
