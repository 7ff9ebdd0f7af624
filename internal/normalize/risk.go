package normalize

import (
	"errors"

	"aoc/internal/audit"
)

// riskCategory is the category under which Azure Monitor exports the feed.
const riskCategory = "UserRiskEvents"

// riskDetection reads a riskDetection of Microsoft Graph: what Entra ID
// Protection holds against a sign-in or an account
// (learn.microsoft.com/graph/api/resources/riskdetection). Its time is that of
// the detection, by which the feed is listed; the activity can be days older.
// The same detection comes again under its id when somebody dismisses it.
func (r *reading) riskDetection() error {
	f, e := &r.record, r.event
	kind := firstOf(f.first("riskEventType", "riskType"), f.str("riskEventType"))
	if kind == "" {
		return errors.New("the record is no risk detection: it names no kind of risk")
	}
	if err := r.operation("Risk detection: " + kind); err != nil {
		return err
	}
	if err := r.when(f.str("detectedDateTime"), f.str("activityDateTime"), r.envelope.str("time")); err != nil {
		return err
	}
	e.Service, e.Category = audit.ServiceEntra, riskCategory
	e.RecordID, e.CorrelationID = f.str("id"), f.first("correlationId")
	e.Actor = person(f.first("userId"), f.first("userDisplayName"), f.first("userPrincipalName"), f.first("userType"))
	e.Actor.IP = firstIP(f.str("ipAddress"), r.envelope.str("callerIpAddress"))
	r.target(f.first("userId"), f.first("userPrincipalName", "userDisplayName"), "User")
	e.Context.City, e.Context.Country = f.get("location").first("city"), country(f.get("location").first("countryOrRegion"))
	r.given("riskLevel", "riskState", "riskDetail", "detectionTimingType", "activity", "activityDateTime", "requestId", "source")
	r.riskInfo()
	// Nothing was tried that could fail: that it was detected is the event.
	e.Result = audit.Success
	return nil
}

// given takes over what the record says under these names, as what was given.
func (r *reading) given(names ...string) {
	for _, name := range names {
		if s := r.record.first(name); s != "" {
			r.change(name, "", oneLine(s))
		}
	}
}

// riskInfo reads additionalInfo, which is a list of keys and values written as
// a text.
func (r *reading) riskInfo() {
	info := r.record.get("additionalInfo")
	if info.kind() == text {
		inner, ok := parseText(info.String())
		if !ok {
			return
		}
		info = inner
	}
	for p := range info.elements() {
		key, val := p.first("key"), readable(spell(p.get("value")))
		switch {
		case lower(key) == "useragent":
			r.event.Context.UserAgent = val
		case meaning(val) != "":
			r.change(key, "", oneLine(val))
		}
	}
}
