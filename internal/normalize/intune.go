package normalize

import (
	"errors"

	"aoc/internal/audit"
)

// intune reads an auditEvent of Microsoft Graph's deviceManagement
// (learn.microsoft.com/graph/api/resources/intune-auditing-auditevent). Its
// activity is often null; activityType is what Intune's own page shows.
func (r *reading) intune() error {
	f, e := &r.record, r.event
	if f.get("actor").kind() != object && f.get("resources").kind() != array {
		return errors.New("the record is no audit event of Intune: it has neither actor nor resources")
	}
	if err := r.operation(f.first("activityType", "displayName", "activity", "activityOperationType")); err != nil {
		return err
	}
	if err := r.when(f.str("activityDateTime")); err != nil {
		return err
	}
	e.Service, e.Category = audit.ServiceIntune, firstOf(f.first("category"), f.first("componentName"))
	e.RecordID, e.CorrelationID = f.str("id"), f.first("correlationId")
	r.intuneActor(f.get("actor"))
	for res := range f.get("resources").elements() {
		r.target(res.str("resourceId"), res.str("displayName"), res.first("auditResourceType", "type"))
		r.properties(res.get("modifiedProperties"))
	}
	r.intuneResult(f.str("activityResult"))
	return nil
}

func (r *reading) intuneActor(a value) {
	e := r.event
	e.Context.AppID, e.Context.AppName = a.first("applicationId", "application"), a.first("applicationDisplayName", "applicationName")
	upn := a.first("userPrincipalName", "upn")
	e.Actor = audit.Actor{
		ID: a.first("userId", "objectId"), Name: a.first("userDisplayName", "servicePrincipalName"), UPN: upn, IP: parseIP(a.str("ipAddress")),
	}
	kind := lower(a.first("auditActorType", "type"))
	switch {
	case kind == "itpro" || kind == "admin" || kind == "partner":
		e.Actor.Type = "admin"
	case kind == "system":
		e.Actor.Type = "system"
	case upn == "" && e.Context.AppID != "":
		e.Actor.Type = "app"
	default:
		e.Actor.Type = "user"
	}
	if upn == "" && e.Actor.Name == "" {
		e.Actor.Name = e.Context.AppName
	}
	if e.Actor.Type == "app" && e.Actor.ID == "" {
		e.Actor.ID = e.Context.AppID
	}
}

func (r *reading) intuneResult(s string) {
	r.event.Result = resultOf(s)
	if r.event.Result == audit.Failure {
		r.event.Context.ErrorCode = r.record.first("errorCode", "failureReason")
	}
}

// intuneExport reads the form that Intune gives its audit events when it
// exports them to Azure Monitor: other names, an American date, numbers for
// words (learn.microsoft.com/mem/intune/fundamentals/review-logs-using-azure-monitor).
func (r *reading) intuneExport() error {
	f, e := &r.record, r.event
	if err := r.operation(r.envelope.first("operationName")); err != nil {
		return err
	}
	if err := r.when(r.envelope.str("time"), f.str("ActivityDate")); err != nil {
		return err
	}
	e.Service, e.Category = audit.ServiceIntune, r.envelope.str("category")
	e.RecordID, e.CorrelationID = f.str("AuditEventId"), r.envelope.first("correlationId")
	r.intuneActor(f.get("Actor"))
	if e.Actor.UPN != "" && f.get("Actor").str("ActorType") == "1" { // 1 is ItPro
		e.Actor.Type = "admin"
	}
	r.exportedTargets()
	e.Result = r.envelopeResult()
	return nil
}

// exportedTargets pairs the lists of ids and names, which stand side by side.
func (r *reading) exportedTargets() {
	var names []string
	for n := range r.record.get("TargetDisplayNames").elements() {
		names = append(names, n.String())
	}
	i := 0
	for id := range r.record.get("TargetObjectIds").elements() {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		r.target(id.String(), name, "")
		i++
	}
	for t := range r.record.get("Targets").elements() {
		r.target("", t.str("Name"), "")
		r.properties(t.get("ModifiedProperties"))
	}
}
