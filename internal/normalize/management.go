package normalize

import (
	"strings"

	"aoc/internal/audit"
)

// management reads a record of the Office 365 Management Activity API, and of
// Purview's queries, which give the same records
// (learn.microsoft.com/office/office-365-management-api/office-365-management-activity-api-schema).
// What it reads beyond the common fields goes by the fields that are there and
// not by RecordType: many live types are in no table.
func (r *reading) management() error {
	f, e := &r.record, r.event
	if err := r.operation(f.str("Operation")); err != nil {
		return err
	}
	if err := r.when(f.str("CreationTime")); err != nil {
		return err
	}
	e.RecordID = f.str("Id")
	e.RecordType = recordType(f.get("RecordType"))
	if e.TenantID == "" {
		e.TenantID = lower(f.first("OrganizationId"))
	}
	e.Service = serviceOf(f.first("Workload"), e.RecordType, e.Source)
	e.CorrelationID = f.first("CorrelationId", "InterSystemsId", "AlertId")
	if e.CorrelationID == "" {
		e.CorrelationID = f.get("AppAccessContext").first("CorrelationId")
	}
	r.managementActor()
	r.managementContext()
	for _, read := range [...]func(*reading){
		(*reading).entraObjects, (*reading).cmdlet, (*reading).mailbox, (*reading).sharePoint, (*reading).teams,
		(*reading).dlp, (*reading).threats, (*reading).named, (*reading).otherObject, (*reading).label, (*reading).managementChanges,
	} {
		read(r)
	}
	r.managementResult()
	return nil
}

// recordType reads a number, or a name of the table as some exports have it.
func recordType(v value) int {
	if n, ok := v.integer(); ok {
		return n
	}
	return recordTypes().byName[lower(v.String())]
}

// workloads are the services that people know by another name than Workload.
var workloads = map[string]string{
	"azureactivedirectory": audit.ServiceEntra, "microsoftteams": audit.ServiceTeams, "teams": audit.ServiceTeams,
	"exchange": audit.ServiceExchange, "sharepoint": audit.ServiceSharePoint, "onedrive": audit.ServiceOneDrive,
	"securitycompliancecenter": audit.ServicePurview, "threatintelligence": audit.ServiceDefender,
	"airinvestigation": audit.ServiceDefender, "quarantine": audit.ServiceDefender, "mcas": audit.ServiceDefender,
	"cloudappsecurity": audit.ServiceDefender, "flow": audit.ServicePowerPlatform, "microsoftflow": audit.ServicePowerPlatform,
	"intune": audit.ServiceIntune, "microsoftintune": audit.ServiceIntune,
}

// serviceOf says what people call the service that a record belongs to.
func serviceOf(workload string, recordType int, source audit.Source) string {
	switch typeService := recordTypes().service[recordType]; {
	case typeService == audit.ServiceDefender, typeService == audit.ServicePurview:
		return typeService // alerts and DLP matches carry the workload that they watch
	case workload == "" && typeService != "":
		return typeService
	}
	key := lower(workload)
	if s, ok := workloads[key]; ok {
		return s
	}
	switch {
	case key == "":
		return feedService(source)
	case strings.HasPrefix(key, "power"), strings.HasPrefix(key, "microsoftpower"):
		return audit.ServicePowerPlatform
	case strings.Contains(key, "copilot"):
		return audit.ServiceCopilot
	case strings.HasPrefix(key, "microsoftdefender"), strings.HasPrefix(key, "defender"):
		return audit.ServiceDefender
	}
	return workload
}

// feedService is for records that say nothing of their service.
func feedService(source audit.Source) string {
	switch source {
	case audit.M365Exchange:
		return audit.ServiceExchange
	case audit.M365SharePoint:
		return audit.ServiceSharePoint
	case audit.M365Entra:
		return audit.ServiceEntra
	case audit.M365DLP:
		return audit.ServicePurview
	}
	return "Microsoft 365"
}

// managementContext reads from where and with what, in all the places where
// the workloads put it.
func (r *reading) managementContext() {
	f, c := &r.record, &r.event.Context
	access, shared, endpoint := f.get("AppAccessContext"), f.get("Common"), f.get("EndpointMetaData")
	c.AppID = firstOf(access.first("ClientAppId"), f.first("ClientAppId", "ApplicationId", "AppId", "AadAppId"), shared.first("ApplicationId"), c.AppID)
	c.AppName = firstOf(access.first("ClientAppName"), f.first("ApplicationDisplayName", "ApplicationName", "AppName"), shared.first("ApplicationName"),
		endpoint.first("Application"))
	c.UserAgent = f.first("UserAgent", "ClientInfoString")
	c.SessionID = f.first("SessionId")
	c.DeviceID = f.first("DeviceId")
	c.DeviceName = firstOf(f.first("DeviceDisplayName", "DeviceName", "MachineName"), shared.first("DeviceName"), endpoint.first("DeviceName"))
	for name, val := range f.get("ExtendedProperties").named() {
		r.extended(name, val.String())
	}
	for name, val := range f.get("DeviceProperties").named() {
		r.device(name, meaning(val.String()))
	}
	for name, val := range f.get("ExtraProperties").named() { // of Teams
		r.extra(name, meaning(val.String()))
	}
	c.SessionID = firstOf(c.SessionID, access.first("AADSessionId"))
}

// extended reads one of Entra's ExtendedProperties; additionalDetails is JSON.
func (r *reading) extended(name, val string) {
	c := &r.event.Context
	switch lower(name) {
	case "useragent", "user-agent":
		c.UserAgent = firstOf(c.UserAgent, meaning(val))
	case "additionaldetails":
		details, _ := parseText(val)
		c.UserAgent = firstOf(c.UserAgent, details.first("User-Agent", "UserAgent"))
		c.AppID = firstOf(c.AppID, details.first("AppId"))
	case "loginerror":
		code, _, _ := strings.Cut(val, ";")
		c.ErrorCode = firstOf(c.ErrorCode, meaning(code))
	case "resulttype":
		if r.event.Result == "" {
			r.event.Result = resultOf(val)
		}
	}
}

func (r *reading) device(name, val string) {
	c := &r.event.Context
	switch lower(name) {
	case "id", "deviceid":
		c.DeviceID = firstOf(c.DeviceID, val)
	case "displayname", "devicename", "name":
		c.DeviceName = firstOf(c.DeviceName, val)
	case "sessionid":
		c.SessionID = firstOf(c.SessionID, val)
	}
}

func (r *reading) extra(name, val string) {
	c := &r.event.Context
	switch lower(name) {
	case "country":
		c.Country = firstOf(c.Country, country(val))
	case "clientname":
		c.AppName = firstOf(c.AppName, val)
	case "useragent":
		c.UserAgent = firstOf(c.UserAgent, val)
	}
}

// unspecific is the ErrorNumber of sign-ins that failed for a reason without
// one; LogonError says it in a word.
const unspecific = "1000000"

// managementResult decides how the act ended. A failure that any field speaks
// of counts more than a ResultStatus that may only say that the record was
// written. A record with no word on it (files, pages, messages, Teams, alerts)
// is of an act that was done: these workloads write none for what they refused.
func (r *reading) managementResult() {
	f, e := &r.record, r.event
	number := f.first("ErrorNumber", "ErrorCode", "LoginStatus")
	logonError := f.first("LogonError")
	if number != "" && number != "0" && (number != unspecific || logonError == "") {
		e.Context.ErrorCode = firstOf(e.Context.ErrorCode, number)
	}
	e.Context.ErrorCode = firstOf(e.Context.ErrorCode, logonError)
	status := f.str("ResultStatus")
	if status == "" {
		status = f.str("IsSuccess") // Power BI
	}
	result := resultOf(status)
	switch {
	case logonError != "", hasFailedName(e.Operation), number != "" && number != "0" && result != audit.Partial:
		e.Result = audit.Failure
	case status != "":
		e.Result = result
	case e.Result == "":
		e.Result = audit.Success
	}
}
