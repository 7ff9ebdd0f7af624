package normalize

import (
	"strings"

	"aoc/internal/audit"
)

// actorTypes are the UserTypes of the Management API. A datacenter's admin is
// Microsoft's; custom and system policies act by themselves.
var actorTypes = map[string]string{
	"0": "user", "regular": "user", "1": "user", "reserved": "user", "2": "admin", "admin": "admin",
	"3": "admin", "dcadmin": "admin", "4": "system", "system": "system", "5": "app", "application": "app",
	"6": "app", "serviceprincipal": "app", "7": "system", "custompolicy": "system", "8": "system", "systempolicy": "system",
	"9": "admin", "partnertechnician": "admin", "10": "guest", "guest": "guest",
}

// managementActor reads who did it. UserId is a sign-in name, an app, a
// service's own name or an id; Entra lists what it knows of the actor.
func (r *reading) managementActor() {
	f, e := &r.record, r.event
	a, user := &e.Actor, r.userID()
	known := identitiesOf(f.get("Actor"))
	a.ID, a.UPN, a.Name = known.id, known.upn, known.name
	e.Context.AppID = known.app
	switch kind, id, ok := prefixed(user); {
	case ok:
		known.kind = firstOf(known.kind, kind)
		a.ID = firstOf(a.ID, id)
	case audit.IsGUID(user):
		a.ID = firstOf(a.ID, user)
	case isUPN(user):
		a.UPN = firstOf(a.UPN, user)
	default:
		a.Name = firstOf(a.Name, user)
	}
	if a.ID == "" {
		a.ID = userKey(f.first("UserKey"))
	}
	if a.ID == a.UPN || a.ID == a.Name {
		a.ID = ""
	}
	a.Type = r.actorType(user, known.kind)
	a.IP = firstIP(f.str("ClientIP"), f.str("ClientIPAddress"), f.str("ActorIpAddress"), f.str("ActorIPAddress"), f.str("IPAddress"))
}

// userID is UserId, or for DLP's agent the person whose act matched.
func (r *reading) userID() string {
	f := &r.record
	user := f.first("UserId")
	if user == "" || strings.EqualFold(user, "DlpAgent") {
		user = firstOf(f.get("SharePointMetaData").first("From"), f.get("ExchangeMetaData").first("From"),
			f.get("EndpointMetaData").first("From"), user)
	}
	return user
}

func (r *reading) actorType(user, kind string) string {
	key := r.record.first("UserKey")
	switch {
	case strings.EqualFold(kind, "ServicePrincipal"), strings.HasPrefix(user, "app@"), strings.HasPrefix(key, "i:0i.t|"):
		return "app"
	case strings.HasPrefix(user, `NT AUTHORITY\`):
		return "system"
	case isGuest(user):
		return "guest"
	}
	return actorTypes[lower(r.record.str("UserType"))]
}

// userKey makes an id of UserKey. SharePoint wraps the one that Exchange gives
// bare (i:0h.f|membership|10032001266c162c@live.com), Entra adds a domain.
func userKey(key string) string {
	if i := strings.LastIndexByte(key, '|'); i >= 0 {
		key = key[i+1:]
	}
	puid, _, _ := strings.Cut(key, "@")
	if len(puid) == 16 && strings.Trim(strings.ToUpper(puid), "0123456789ABCDEF") == "" {
		return strings.ToUpper(puid)
	}
	return key
}

// identities is what a list of Entra's {ID, Type} says of one object.
type identities struct {
	id, upn, name, app string
	kind               string // User, ServicePrincipal, Device, Group, …
}

// identitiesOf reads the list. Types are 0 claim, 1 name, 2 other, 3 PUID, 4
// SPN, 5 UPN; the object's id stands there bare and as User_<id>, and another
// bare id beside it is the app's.
func identitiesOf(list value) identities {
	var who identities
	var ids []string
	other := ""
	for e := range list.elements() {
		s, typ := meaning(e.str("ID")), e.str("Type")
		kind, id, ok := prefixed(s)
		switch {
		case s == "":
		case ok && who.kind == "":
			who.kind, who.id = kind, id
		case typ == "5" || isUPN(s):
			who.upn = firstOf(who.upn, s)
		case audit.IsGUID(s):
			ids = append(ids, s)
		case typ == "1":
			who.name = firstOf(who.name, s)
		case typ == "0" || typ == "4":
			other = firstOf(other, s)
		}
	}
	for _, id := range ids {
		switch {
		case who.id == "":
			who.id = id
		case id != who.id && who.kind != "":
			who.app = firstOf(who.app, id)
		}
	}
	who.id = firstOf(who.id, other)
	return who
}

// prefixed splits User_<guid> and its like.
func prefixed(s string) (kind, id string, ok bool) {
	kind, id, ok = strings.Cut(s, "_")
	return kind, id, ok && kind != "" && audit.IsGUID(id)
}
