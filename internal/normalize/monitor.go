package normalize

import (
	"errors"

	"aoc/internal/audit"
)

// isEnvelope reports whether the record came by way of Azure Monitor's
// diagnostic settings, which wrap it: common fields outside, the record in
// properties (learn.microsoft.com/azure/azure-monitor/platform/resource-logs-schema).
func (r *reading) isEnvelope() bool {
	f := &r.record
	return f.get("properties").kind() == object && f.get("operationName").kind() == text && f.get("category").kind() == text
}

// monitor reads the record in the envelope by the category on it. The same
// category AuditLogs is Entra's and Intune's.
func (r *reading) monitor() error {
	r.envelope = r.record
	category := r.envelope.str("category")
	r.record.open(r.envelope.get("properties"))
	if r.event.TenantID == "" {
		r.event.TenantID = lower(r.envelope.first("tenantId"))
	}
	switch lower(category) {
	case "auditlogs", "operationallogs":
		if r.record.get("AuditEventId").kind() != absent {
			return r.intuneExport()
		}
		if lower(category) == "auditlogs" {
			return r.directory()
		}
	case "signinlogs", "noninteractiveusersigninlogs", "serviceprincipalsigninlogs", "managedidentitysigninlogs":
		if err := r.signIn(); err != nil {
			return err
		}
		r.event.Category = category
		return nil
	case "provisioninglogs":
		return r.provisioning()
	case "userriskevents":
		return r.riskDetection()
	}
	return errors.New("the record's category is none of Azure Monitor's that hold an audit trail: AuditLogs, SignInLogs and its kin, ProvisioningLogs, UserRiskEvents")
}

// envelopeResult reads the result on the envelope, for records that say none.
func (r *reading) envelopeResult() audit.Result {
	if s := r.envelope.str("resultType"); s != "" {
		return resultOf(s)
	}
	return audit.Unknown
}
