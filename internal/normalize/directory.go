package normalize

import (
	"strings"

	"aoc/internal/audit"
)

func lower(s string) string { return strings.ToLower(s) }

// directory reads a directoryAudit of Microsoft Graph
// (learn.microsoft.com/graph/api/resources/directoryaudit).
func (r *reading) directory() error {
	f, e := &r.record, r.event
	if err := r.operation(f.first("activityDisplayName")); err != nil {
		return err
	}
	if err := r.when(f.str("activityDateTime"), r.envelope.str("time")); err != nil {
		return err
	}
	e.RecordID, e.CorrelationID = f.str("id"), f.first("correlationId")
	if e.CorrelationID == "" {
		e.CorrelationID = r.envelope.first("correlationId")
	}
	e.Service, e.Category = audit.ServiceEntra, f.first("category")
	r.directoryActor()
	r.directoryTargets()
	r.directoryDetails()
	r.directoryResult()
	return nil
}

// directoryActor reads initiatedBy: a user, or an app that may be known by its
// service principal alone. Neither means that the service did it by itself.
func (r *reading) directoryActor() {
	e, by := r.event, r.record.get("initiatedBy")
	user, app := by.get("user"), by.get("app")
	ip := ""
	switch {
	case user.first("id", "userPrincipalName", "displayName") != "":
		e.Actor = person(user.first("id"), user.first("displayName"), user.first("userPrincipalName"), user.first("userType"))
		ip = user.str("ipAddress")
	case app.kind() == object:
		e.Context.AppID, e.Context.AppName = app.first("appId"), app.first("displayName", "servicePrincipalName")
		e.Actor = audit.Actor{
			ID: app.first("servicePrincipalId", "appId"), Name: app.first("displayName", "servicePrincipalName"), Type: "app",
		}
		ip = app.str("ipAddress")
	default:
		e.Actor = audit.Actor{Name: firstOf(r.envelope.first("identity"), r.record.first("loggedByService")), Type: "system"}
	}
	e.Actor.IP = firstIP(ip, r.envelope.str("callerIpAddress"))
}

// person makes an actor of a user's fields.
func person(id, name, upn, userType string) audit.Actor {
	a := audit.Actor{ID: id, Name: name, UPN: upn, Type: "user"}
	if strings.EqualFold(userType, "guest") || isGuest(upn) {
		a.Type = "guest"
	}
	return a
}

// isGuest knows a guest by the mark in the sign-in name that Entra gives them.
func isGuest(upn string) bool { return strings.Contains(strings.ToUpper(upn), "#EXT#") }

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// directoryTargets reads targetResources; one page of the documentation calls
// it targetResource. A user goes by the sign-in name, which is unlike others'.
func (r *reading) directoryTargets() {
	list := r.record.get("targetResources")
	if list.kind() != array {
		list = r.record.get("targetResource")
	}
	for t := range list.elements() {
		r.target(t.str("id"), t.first("userPrincipalName", "displayName"), t.first("type"))
		r.properties(t.get("modifiedProperties"))
	}
}

// directoryDetails reads additionalDetails: the user agent, the address that
// PIM puts there, and why and how long for, which is part of what was changed.
func (r *reading) directoryDetails() {
	e := r.event
	e.Context.UserAgent = r.record.first("userAgent")
	for d := range r.record.get("additionalDetails").elements() {
		key, val := d.str("key"), d.str("value")
		switch lower(key) {
		case "user-agent", "useragent":
			e.Context.UserAgent = firstOf(meaning(val), e.Context.UserAgent)
		case "ipaddr", "ipaddress", "clientipaddress":
			e.Actor.IP = firstOf(e.Actor.IP, parseIP(val))
		case "justification", "ticketnumber", "ticketsystem", "expirationtime", "reason":
			if meaning(val) != "" {
				r.change(key, "", val)
			}
		}
	}
}

func (r *reading) directoryResult() {
	e := r.event
	if s := r.record.str("result"); s != "" {
		e.Result = resultOf(s)
	} else {
		e.Result = r.envelopeResult()
	}
	if e.Result != audit.Success {
		e.Context.ErrorCode = clip(oneLine(r.record.first("resultReason")), 200)
	}
}

// properties reads a list of changed properties in any of the feeds' forms:
// {Name, OldValue, NewValue}, {displayName, oldValue, newValue}, {Name, Old,
// New}, bare names, or an object to which an export has folded them. A property with neither value is taken over only where
// the list has no values at all.
func (r *reading) properties(list value) {
	if list.kind() == text { // some exports hold the list as a text
		if inner, ok := parseText(list.String()); ok {
			list = inner
		}
	}
	for name, p := range list.members() {
		r.change(name.String(), changed(p, "oldValue", "old"), changed(p, "newValue", "new", "value"))
	}
	valued := false
	for pass := range 2 {
		for p := range list.elements() {
			name, before, after := property(p)
			hasValue := before != "" || after != ""
			if hasValue == (pass == 0) && (pass == 0 || !valued) {
				r.change(name, before, after)
			}
			valued = valued || hasValue
		}
	}
}

func property(p value) (name, before, after string) {
	if p.kind() == text {
		return p.String(), "", ""
	}
	name = p.first("displayName", "name", "propertyName", "key")
	return name, changed(p, "oldValue", "old"), changed(p, "newValue", "new", "value")
}

// changed is the readable value of the first of the members that is there.
func changed(p value, names ...string) string {
	for _, name := range names {
		switch v := p.get(name); v.kind() {
		case absent, null:
		case text:
			return readable(v.String())
		default:
			return spell(v)
		}
	}
	return ""
}
