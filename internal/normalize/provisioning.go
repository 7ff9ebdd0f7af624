package normalize

import (
	"errors"

	"aoc/internal/audit"
)

// provisioningCategory is the category under which Azure Monitor exports the feed.
const provisioningCategory = "ProvisioningLogs"

// provisioning reads a provisioningObjectSummary of Microsoft Graph: one object
// that the provisioning service created, changed or left alone in one system
// because of another
// (learn.microsoft.com/graph/api/resources/provisioningobjectsummary). Beta and
// older exports call the action and the status otherwise.
func (r *reading) provisioning() error {
	f, e := &r.record, r.event
	action := f.first("provisioningAction", "action")
	if action == "" || f.get("sourceIdentity").kind() != object && f.get("targetIdentity").kind() != object {
		return errors.New("the record is no provisioning log: it has no action, or neither source nor target")
	}
	// Alone the action is a word that other services use too, and what was
	// skipped must not be told as done.
	operation := "Provisioning: " + action
	if lower(r.provisioningStatus().first("status")) == "skipped" {
		operation += " skipped"
	}
	if err := r.operation(operation); err != nil {
		return err
	}
	if err := r.when(f.str("activityDateTime"), r.envelope.str("time")); err != nil {
		return err
	}
	e.Service, e.Category = audit.ServiceEntra, provisioningCategory
	e.RecordID, e.CorrelationID = f.str("id"), f.first("changeId")
	r.provisioningActor()
	r.provisioningTargets()
	r.properties(f.get("modifiedProperties"))
	r.provisioningResult()
	return nil
}

// provisioningActor reads initiatedBy; the documentation writes the kind as
// initiatorType and as initiatingType.
func (r *reading) provisioningActor() {
	e, by := r.event, r.record.get("initiatedBy")
	e.Actor = audit.Actor{ID: by.first("id"), Name: by.first("displayName")}
	switch lower(by.first("initiatorType", "initiatingType")) {
	case "user":
		e.Actor.Type = "user"
	case "application", "app":
		e.Actor.Type = "app"
	default:
		e.Actor.Type = "system"
		e.Actor.Name = firstOf(e.Actor.Name, "Microsoft Entra provisioning")
	}
	app := r.record.get("servicePrincipal")
	if app.kind() == array { // so says the resource's page, unlike its examples
		for one := range app.elements() {
			app = one
			break
		}
	}
	for _, system := range [...]string{"targetSystem", "sourceSystem"} {
		details := r.record.get(system).get("details")
		e.Context.AppID = firstOf(e.Context.AppID, details.first("ApplicationId"))
		e.Context.AppName = firstOf(e.Context.AppName, details.first("ServicePrincipalDisplayName"))
	}
	e.Context.AppName = firstOf(app.first("displayName"), e.Context.AppName)
}

// provisioningTargets puts the object in the target system first. What could
// not be made there has neither id nor name; then the source's stands for it.
func (r *reading) provisioningTargets() {
	f := &r.record
	for _, side := range [...]string{"targetIdentity", "sourceIdentity"} {
		who := f.get(side)
		name := firstOf(who.first("displayName"), who.get("details").first("userPrincipalName"))
		r.target(who.str("id"), name, who.first("identityType"))
	}
	for _, side := range [...]string{"targetSystem", "sourceSystem"} {
		r.target(f.get(side).str("id"), f.get(side).first("displayName"), side)
	}
}

func (r *reading) provisioningStatus() value {
	if info := r.record.get("provisioningStatusInfo"); info.kind() == object {
		return info
	}
	return r.record.get("statusInfo")
}

// provisioningResult: an object that was skipped is neither done nor failed.
// Why is among the changes, for people and for the sentence.
func (r *reading) provisioningResult() {
	e, info := r.event, r.provisioningStatus()
	status, why := info.first("status"), info.get("errorInformation")
	if why.kind() != object { // beta has it flat
		why = info
	}
	if lower(status) == "warning" {
		e.Result = audit.Partial
	} else {
		e.Result = resultOf(status)
	}
	if e.Result == audit.Success {
		return
	}
	e.Context.ErrorCode = why.first("errorCode")
	r.change("status", "", status)
	if reason := why.first("reason"); reason != "" {
		r.change("reason", "", oneLine(reason))
	}
}
