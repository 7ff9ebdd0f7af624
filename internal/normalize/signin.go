package normalize

import (
	"errors"
	"strings"

	"aoc/internal/audit"
)

// signInOperation is what Azure Monitor calls a sign-in; Graph calls it nothing.
const signInOperation = "Sign-in activity"

// signIn reads a signIn of Microsoft Graph, interactive or not, of a person,
// a service principal or a managed identity
// (learn.microsoft.com/graph/api/resources/signin).
func (r *reading) signIn() error {
	f, e := &r.record, r.event
	if f.first("appId", "appDisplayName", "userId", "userPrincipalName", "servicePrincipalId", "resourceId") == "" {
		return errors.New("the record is no sign-in: it names neither user, app nor resource")
	}
	if err := r.when(f.str("createdDateTime"), r.envelope.str("time")); err != nil {
		return err
	}
	e.Operation, e.Service = signInOperation, audit.ServiceEntra
	e.RecordID, e.CorrelationID = f.str("id"), f.first("correlationId")
	e.Category = signInCategory(e.Source)
	r.signInActor()
	r.signInContext()
	r.target(f.str("resourceId"), f.str("resourceDisplayName"), "resource")
	r.signInFacts()
	r.signInResult()
	return nil
}

// signInFacts takes over what only beta's records and exports say: how the
// sign-in was proven, and by which of them the token can be followed into the
// records of the services, which repeat uniqueTokenIdentifier
// (AppAccessContext.UniqueTokenId of the Management API).
func (r *reading) signInFacts() {
	r.given("authenticationRequirement", "incomingTokenType", "clientCredentialType", "authenticationProtocol",
		"crossTenantAccessType", "servicePrincipalCredentialKeyId", "federatedCredentialId", "uniqueTokenIdentifier")
	if identity := r.record.get("managedServiceIdentity"); identity.kind() == object {
		if s := identity.first("associatedResourceId"); s != "" {
			r.change("managedServiceIdentity", "", s)
		}
	}
}

// signInCategory is the category under which Azure Monitor exports the feed.
func signInCategory(source audit.Source) string {
	switch source {
	case audit.EntraSignInNonInter:
		return "NonInteractiveUserSignInLogs"
	case audit.EntraSignInPrincipal:
		return "ServicePrincipalSignInLogs"
	case audit.EntraSignInManaged:
		return "ManagedIdentitySignInLogs"
	}
	return "SignInLogs"
}

func (r *reading) signInActor() {
	f, e := &r.record, r.event
	principal := f.first("servicePrincipalId")
	if f.first("userId", "userPrincipalName") == "" && principal != "" {
		e.Actor = audit.Actor{ID: principal, Name: f.first("servicePrincipalName"), Type: "app"}
	} else {
		e.Actor = person(f.first("userId"), f.first("userDisplayName"), f.first("userPrincipalName"), f.first("userType"))
	}
	e.Actor.IP = firstIP(f.str("ipAddress"), r.envelope.str("callerIpAddress"))
}

func (r *reading) signInContext() {
	f, c := &r.record, &r.event.Context
	device, place := f.get("deviceDetail"), f.get("location")
	c.SessionID = f.first("sessionId")
	c.UserAgent = firstOf(f.first("userAgent"), f.first("clientAppUsed"))
	c.DeviceID, c.DeviceName = device.first("deviceId"), device.first("displayName")
	c.AppID, c.AppName = f.first("appId"), f.first("appDisplayName")
	c.City = place.first("city")
	c.Country = country(firstOf(place.first("countryOrRegion"), r.envelope.first("location")))
}

// country writes a country's code in capitals; anything else stays as it is.
func country(s string) string {
	if len(s) == 2 {
		return strings.ToUpper(s)
	}
	return s
}

// signInResult: errorCode 0 is success, every other is a failure, be it an
// interruption for a second factor. Exports say it on the envelope instead.
func (r *reading) signInResult() {
	e := r.event
	code := r.record.get("status").str("errorCode")
	if code == "" {
		code = r.envelope.str("resultType")
	}
	switch result := resultOf(code); {
	case code == "":
		e.Result = audit.Unknown
	case result == audit.Success:
		e.Result = audit.Success
	default:
		e.Result, e.Context.ErrorCode = audit.Failure, code
	}
}
