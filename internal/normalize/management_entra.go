package normalize

import (
	"slices"
	"strings"

	"aoc/internal/audit"
)

// relations are the objects that Entra names among the changed properties of
// another: a role's member is the target, the role a changed property.
var relations = [...]struct{ kind, id, name string }{
	{"Role", "Role.ObjectID", "Role.DisplayName"},
	{"Group", "Group.ObjectID", "Group.DisplayName"},
	{"Device", "Device.ObjectID", "Device.DisplayName"},
	{"Application", "Application.ObjectID", "Application.DisplayName"},
	{"ServicePrincipal", "ServicePrincipal.ObjectID", "ServicePrincipal.DisplayName"},
	{"User", "User.ObjectID", "User.UPN"},
	{"AppRole", "AppRole.Id", "AppRole.Value"},
}

// entraObjects reads Target, which lists what Entra knows of one object, and
// the objects that it was tied to. A sign-in's target is the resource.
func (r *reading) entraObjects() {
	f := &r.record
	list := f.get("Target")
	if list.kind() != array {
		return
	}
	what := identitiesOf(list)
	if f.get("LogonError").kind() != absent || strings.HasPrefix(r.event.Operation, "UserLog") {
		r.target(what.id, what.name, "resource")
		return
	}
	r.target(what.id, firstOf(what.upn, what.name), what.kind)
	properties := f.get("ModifiedProperties")
	for _, rel := range relations {
		id, name := propertyValue(properties, rel.id), propertyValue(properties, rel.name)
		if id != "" && id != what.id || id == "" && name != "" {
			r.target(id, name, rel.kind)
		}
	}
}

// propertyValue is what a changed property became, or what it was.
func propertyValue(list value, name string) string {
	for p := range list.elements() {
		if p.get("Name").is(name) {
			return meaning(firstOf(readable(p.str("NewValue")), readable(p.str("OldValue"))))
		}
	}
	return ""
}

// pairs are the fields in which the workloads name things and give their ids.
var pairs = [...]struct{ kind, name, id string }{
	{"team", "TeamName", "TeamGuid"},
	{"channel", "ChannelName", "ChannelGuid"},
	{"chat", "ChatName", "ChatThreadId"},
	{"app", "AddOnName", "AddOnGuid"},
	{"meeting", "MeetingName", "MeetingDetailId"},
	{"form", "FormName", "FormId"},
	{"report", "ReportName", "ReportId"},
	{"dashboard", "DashboardName", "DashboardId"},
	{"dataset", "DatasetName", "DatasetId"},
	{"workspace", "WorkSpaceName", "WorkspaceId"},
	{"case", "CaseName", "CaseId"},
	{"case", "Case", "CaseID"},
	{"search", "SearchName", "SearchId"},
	{"label", "LabelName", "SensitivityLabelId"},
	{"plan", "PlanName", "PlanId"},
	{"task", "TaskName", "TaskId"},
	{"flow", "FlowName", "FlowId"},
	{"environment", "EnvironmentName", "EnvironmentId"},
	{"attachment", "AttachmentName", ""},
	{"group", "GroupName", "GroupId"},
	{"person", "RecipientName", "Recipient"},
}

// named reads the things that the record names in fields of their own.
func (r *reading) named() {
	for _, p := range pairs {
		name, id := r.record.first(p.name), ""
		if p.id != "" {
			id = r.record.first(p.id)
		}
		r.target(id, name, p.kind)
	}
}

// label reads the sensitivity label of a file, after the file itself.
func (r *reading) label() {
	label := r.record.get("SensitivityLabelEventData")
	r.target(label.str("SensitivityLabelId"), label.str("SensitivityLabelName"), "label")
}

// otherObject falls back on ObjectId, the record's own word for what it was
// done to, where nothing better was found.
func (r *reading) otherObject() {
	id := r.record.first("ObjectId")
	if id == "" || slices.ContainsFunc(r.event.Targets, func(t audit.Target) bool { return t.ID == id || t.Name == id }) {
		return
	}
	if len(r.event.Targets) > 0 && r.record.get("Target").kind() == array {
		return // Entra's ObjectId says the target once more
	}
	kind, bare, ok := prefixed(id)
	if ok {
		r.target(bare, "", kind)
		return
	}
	r.target(id, r.record.first("ObjectName", "ItemName"), lower(r.record.first("ItemType", "ObjectType")))
}
