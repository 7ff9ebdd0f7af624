package simtenant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// shape is the few keys that tell records of feeds apart.
type shape struct {
	Event      json.RawMessage `json:"event"`
	Properties json.RawMessage `json:"properties"`
	Category   any             `json:"category"`

	CreationTime string `json:"CreationTime"`
	RecordType   any    `json:"RecordType"`
	Workload     string `json:"Workload"`
	Operation    string `json:"Operation"`
	ManagementID any    `json:"Id"`

	ActivityDateTime    string          `json:"activityDateTime"`
	ActivityDisplayName string          `json:"activityDisplayName"`
	CreatedDateTime     string          `json:"createdDateTime"`
	AppDisplayName      string          `json:"appDisplayName"`
	UserPrincipalName   string          `json:"userPrincipalName"`
	Status              json.RawMessage `json:"status"`
	OperationType       string          `json:"activityOperationType"`
	ComponentName       string          `json:"componentName"`
	Actor               json.RawMessage `json:"actor"`
	GraphID             any             `json:"id"`

	SignInEventTypes   []string `json:"signInEventTypes"`
	ProvisioningAction string   `json:"provisioningAction"`
	JobID              string   `json:"jobId"`
	RiskEventType      string   `json:"riskEventType"`
	DetectedDateTime   string   `json:"detectedDateTime"`
}

// keysOf reads the shape of an object. Keys differ by case alone ("Id" and
// "id" are two), which encoding/json ignores, so they are told apart here.
func keysOf(line []byte) (shape, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return shape{}, errors.New("not a JSON object")
	}
	var s shape
	s.Event, s.Properties, s.Status, s.Actor = fields["event"], fields["properties"], fields["status"], fields["actor"]
	for key, to := range map[string]any{
		"category": &s.Category, "CreationTime": &s.CreationTime, "RecordType": &s.RecordType, "Workload": &s.Workload,
		"Operation": &s.Operation, "Id": &s.ManagementID, "activityDateTime": &s.ActivityDateTime,
		"activityDisplayName": &s.ActivityDisplayName, "createdDateTime": &s.CreatedDateTime, "appDisplayName": &s.AppDisplayName,
		"userPrincipalName": &s.UserPrincipalName, "activityOperationType": &s.OperationType, "componentName": &s.ComponentName,
		"id": &s.GraphID, "signInEventTypes": &s.SignInEventTypes, "provisioningAction": &s.ProvisioningAction, "jobId": &s.JobID,
		"riskEventType": &s.RiskEventType, "detectedDateTime": &s.DetectedDateTime,
	} {
		if raw, ok := fields[key]; ok {
			_ = json.Unmarshal(raw, to) // of another kind it does not tell a feed
		}
	}
	return s, nil
}

func isObject(raw json.RawMessage) bool { return bytes.HasPrefix(raw, []byte("{")) }

// classify finds the record in a line and the feed that serves it. placed is
// false for a record that looks like the Management API's and is of no content
// type that is known. With an error that says why no feed serves it, the record
// holds the object all the same; a line that is no object has none.
func classify(line []byte) (r record, placed bool, err error) {
	s, err := keysOf(line)
	if err != nil {
		return record{}, false, err
	}
	if isObject(s.Event) && s.CreationTime == "" {
		line = s.Event
		if s, err = keysOf(line); err != nil {
			return record{}, false, err
		}
	}
	stray := record{Feed: AuditGeneral, Body: line}
	if s.CreationTime != "" || s.RecordType != nil || s.Operation != "" && s.Workload != "" {
		return managementRecord(line, s)
	}
	feed := ""
	if isObject(s.Properties) {
		if feed, err = envelopeFeed(s); err != nil {
			return stray, false, err
		}
		line = s.Properties
		if s, err = keysOf(line); err != nil {
			return stray, false, err
		}
	}
	if r, err = graphRecord(line, s, feed); err != nil {
		return stray, false, err
	}
	return r, true, nil
}

// envelopes are the categories of Azure Monitor whose properties are records
// of the feeds that are served.
var envelopes = map[string]string{
	"AuditLogs": DirectoryAudits, "SignInLogs": SignIns, "NonInteractiveUserSignInLogs": NonInteractiveSignIns,
	"ServicePrincipalSignInLogs": ServicePrincipalSignIns, "ManagedIdentitySignInLogs": ManagedIdentitySignIns,
	"ProvisioningLogs": Provisioning, "UserRiskEvents": RiskDetections,
}

// envelopeFeed is the feed of the record in an envelope of Azure Monitor.
func envelopeFeed(s shape) (string, error) {
	category, _ := s.Category.(string)
	if feed := envelopes[category]; feed != "" {
		return feed, nil
	}
	return "", fmt.Errorf("an Azure Monitor record of category %q, which no feed serves", category)
}

func managementRecord(line []byte, s shape) (record, bool, error) {
	feed, placed := contentTypeOf(s)
	r := record{Feed: feed, Body: line}
	r.ID, _ = s.ManagementID.(string)
	return r, placed, nil
}

// dlpTypes are the RecordTypes of DLP.All. [management activity API schema]
var dlpTypes = map[float64]bool{11: true, 13: true, 33: true, 63: true}

// typesWithoutWorkload places records that do not tell their workload.
var typesWithoutWorkload = map[float64]string{
	1: AuditExchange, 2: AuditExchange, 3: AuditExchange, 50: AuditExchange,
	4: AuditSharePoint, 6: AuditSharePoint, 7: AuditSharePoint, 14: AuditSharePoint, 36: AuditSharePoint,
	8: AuditAzureAD, 9: AuditAzureAD, 15: AuditAzureAD,
}

func contentTypeOf(s shape) (feed string, placed bool) {
	number, _ := s.RecordType.(float64)
	if dlpTypes[number] {
		return DLPAll, true
	}
	switch strings.ToLower(s.Workload) {
	case "exchange":
		return AuditExchange, true
	case "sharepoint", "onedrive":
		return AuditSharePoint, true
	case "azureactivedirectory":
		return AuditAzureAD, true
	case "":
		if feed = typesWithoutWorkload[number]; feed != "" {
			return feed, true
		}
		return AuditGeneral, false
	}
	return AuditGeneral, s.CreationTime != "" && s.Operation != ""
}

// graphRecord finds the feed of a record of Graph: an envelope has told it, or
// the record's keys do.
func graphRecord(line []byte, s shape, feed string) (record, error) {
	if feed == "" {
		feed = graphFeedOf(s)
	}
	when := s.CreatedDateTime
	switch timeProperty(feed) {
	case "activityDateTime":
		when = s.ActivityDateTime
	case "detectedDateTime":
		when = s.DetectedDateTime
	}
	if feed == "" || when == "" {
		return record{}, errors.New("not an audit record of a feed that is served")
	}
	at, err := time.Parse(time.RFC3339Nano, when)
	if err != nil {
		return record{}, fmt.Errorf("its time %q is not written as Graph writes it", when)
	}
	r := record{Feed: feed, At: at.UTC(), Body: line}
	r.ID, _ = s.GraphID.(string)
	return r, nil
}

func graphFeedOf(s shape) string {
	switch {
	case s.DetectedDateTime != "" && s.RiskEventType != "":
		return RiskDetections
	case s.ActivityDateTime != "" && s.ProvisioningAction != "" && s.JobID != "":
		return Provisioning
	case s.ActivityDateTime != "" && (s.OperationType != "" || s.ComponentName != "") && isObject(s.Actor):
		return IntuneAudits
	case s.ActivityDateTime != "" && s.ActivityDisplayName != "":
		return DirectoryAudits
	case s.CreatedDateTime != "" && (s.AppDisplayName != "" || s.UserPrincipalName != "") && isObject(s.Status):
		return signInFeed(s.SignInEventTypes)
	case s.CreatedDateTime != "" && len(s.SignInEventTypes) > 0: // of an application: no user, maybe no name
		return signInFeed(s.SignInEventTypes)
	}
	return ""
}

// signInFeed is the feed of a sign-in that says of which kind it is; v1.0's do
// not, and are interactive.
func signInFeed(types []string) string {
	for _, kind := range types {
		if feed := kinds[kind]; feed != "" {
			return feed
		}
	}
	return SignIns
}

// shiftTimes moves the times in a record by days: texts that begin with a date
// and a time, and only their date. Everything else keeps its bytes. The years
// that stand for "never" are left alone.
func shiftTimes(body []byte, days int) []byte {
	out := bytes.Clone(body)
	for i := 0; i < len(out); i++ {
		if out[i] != '"' {
			continue
		}
		start := i + 1
		for i = start; i < len(out) && out[i] != '"'; i++ {
			if out[i] == '\\' {
				i++
			}
		}
		if i < len(out) {
			shiftTime(out[start:i], days)
		}
	}
	return out
}

func shiftTime(text []byte, days int) {
	if len(text) < len("2006-01-02T15:04") || text[10] != 'T' || text[13] != ':' {
		return
	}
	date, err := time.Parse(time.DateOnly, string(text[:10]))
	if err != nil || date.Year() < 1970 || date.Year() >= 9999 {
		return
	}
	if moved := date.AddDate(0, 0, days).Format(time.DateOnly); len(moved) == len(time.DateOnly) {
		copy(text, moved)
	}
}
