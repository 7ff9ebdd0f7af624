package normalize

import (
	"errors"
	"time"

	"aoc/internal/audit"
)

// OwnRecord is a record of AOC's own feed: something that was done to or with
// AOC itself. The names of its members are kept for as long as such records are,
// so one may be added and none renamed.
type OwnRecord struct {
	ID        string         `json:"id"`   // of the act; the same act is the same record
	Time      time.Time      `json:"time"` // RFC 3339, UTC
	Operation string         `json:"operation"`
	By        OwnActor       `json:"by"`
	IP        string         `json:"ip,omitempty"`
	UserAgent string         `json:"userAgent,omitempty"`
	Targets   []audit.Target `json:"targets,omitempty"` // each {id, name, type}
	Details   []audit.Change `json:"details,omitempty"` // each {name, old, new}; new is what was asked for
	Result    audit.Result   `json:"result"`
	Reason    string         `json:"reason,omitempty"`    // why it was refused or failed, for people
	RequestID string         `json:"requestId,omitempty"` // as the answer told it; "" where no request led to it
}

// OwnActor is the caller in an OwnRecord.
type OwnActor struct {
	Kind     audit.PrincipalKind `json:"kind,omitempty"`
	TenantID string              `json:"tenantId,omitempty"`
	ObjectID string              `json:"objectId,omitempty"`
	Name     string              `json:"name,omitempty"`
	UPN      string              `json:"upn,omitempty"`
	AppID    string              `json:"appId,omitempty"`   // the client that the token was given to
	Session  string              `json:"session,omitempty"` // see audit.Principal
}

// own reads an OwnRecord.
func (r *reading) own() error {
	f, e := &r.record, r.event
	if f.get("by").kind() != object {
		return errors.New("the record is none of AOC's own: it does not say by whom")
	}
	if err := r.operation(f.str("operation")); err != nil {
		return err
	}
	if err := r.when(f.str("time")); err != nil {
		return err
	}
	e.Service, e.RecordID, e.CorrelationID = audit.ServiceAOC, f.str("id"), f.str("requestId")
	r.ownActor(f.get("by"))
	e.Context.UserAgent = f.first("userAgent")
	for t := range f.get("targets").elements() {
		r.target(t.str("id"), t.str("name"), t.str("type"))
	}
	for d := range f.get("details").elements() {
		r.change(d.str("name"), d.str("old"), d.str("new"))
	}
	e.Result = resultOf(f.str("result"))
	if f.str("result") == string(audit.Partial) {
		e.Result = audit.Partial
	}
	if e.Result != audit.Success {
		e.Context.ErrorCode = clip(oneLine(f.str("reason")), 200)
	}
	return nil
}

// ownActor says who it was. A request that came from nobody has no actor, for it
// is not known; what no request led to, AOC did by itself.
func (r *reading) ownActor(by value) {
	e := r.event
	e.Context.SessionID, e.Context.AppID = by.str("session"), by.str("appId")
	e.Actor = audit.Actor{ID: by.str("objectId"), Name: by.str("name"), UPN: by.str("upn"), IP: parseIP(r.record.str("ip"))}
	switch audit.PrincipalKind(by.str("kind")) {
	case audit.Person:
		e.Actor.Type = "user"
	case audit.App:
		e.Actor.Type = "app"
		e.Actor.ID = firstOf(e.Actor.ID, e.Context.AppID)
	case audit.Anonymous:
		e.Actor.Name, e.Actor.Type = "Anonymous", "user"
	default:
		if e.Actor.ID == "" && e.CorrelationID == "" && e.Actor.IP == "" {
			e.Actor.Name, e.Actor.Type = audit.ServiceAOC, "system"
		}
	}
}
