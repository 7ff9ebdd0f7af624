package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"aoc/internal/audit"
)

// verdict is how a check came out, in words.
type verdict struct {
	state         audit.CheckState
	found, advice string
}

func (v verdict) on(check audit.Check) audit.Check {
	check.State, check.Found, check.Advice = v.state, v.found, v.advice
	return check
}

var brokenOff = verdict{audit.CheckSkipped, "Not finished: the preflight was broken off.", ""}

// outcome is what came of trying a feed.
type outcome struct {
	need         need
	source       audit.Source
	host         string // where the API is called
	login        *login
	err          error
	seen         *witness
	subscription string // state of the Management API's, "" where not known
}

// judge puts the outcome into words.
func (o *outcome) judge() verdict {
	v := o.verdict()
	if o.need.without != "" && v.state == audit.CheckFailed {
		v.state, v.found = audit.CheckWarning, v.found+" "+o.need.without
	}
	return v
}

func (o *outcome) verdict() verdict {
	var answer *APIError
	switch {
	case o.err == nil:
		return o.works()
	case errors.Is(o.err, context.Canceled):
		return brokenOff
	case !errors.As(o.err, &answer):
		return o.unanswered()
	case answer.API == Login:
		return explainLogin(answer)
	case answer.throttled():
		return o.passes(answer)
	}
	for _, w := range refusals {
		if w.is(o, answer) {
			return w.say(o, answer)
		}
	}
	if answer.passing() {
		return o.passes(answer)
	}
	return verdict{audit.CheckFailed, fmt.Sprintf("%s refuses the call (%s).", answer.API, said(answer)), answer.Advice()}
}

// lacks reports whether the token could be read and does not carry the permission.
func (o *outcome) lacks() bool { return o.login.claims != nil && !o.login.claims.carries(o.need.role) }

func (o *outcome) carried() string {
	if o.login.claims == nil {
		return ""
	}
	return " The token carries " + o.need.role + "."
}

func (o *outcome) grant() string { return grant(o.need.api, o.need.role, o.login.claims) }

// works is said of a call that was answered.
func (o *outcome) works() verdict {
	switch {
	case o.lacks():
		return verdict{
			audit.CheckWarning, fmt.Sprintf("The call works, although the token does not carry %s: something wider permits it, or the permission was just taken away.", o.need.role),
			"AOC needs no more than this. " + o.grant(),
		}
	case o.subscription == "disabled":
		return verdict{audit.CheckWarning, "Content is listed, but the subscription is disabled: nothing new comes in. The next collection starts it again." + o.carried(), ""}
	case o.need.api == Management:
		return verdict{audit.CheckOK, "The subscription is enabled and its content can be listed." + o.carried(), ""}
	}
	return verdict{audit.CheckOK, portalNames[o.need.api] + " answers." + o.carried(), ""}
}

// passes is said of an answer that needs nobody to do anything.
func (o *outcome) passes(answer *APIError) verdict {
	found := fmt.Sprintf("%s cannot answer at the moment (%s).", answer.API, said(answer))
	advice := "Nothing needs to be done: that is Microsoft's side and passes. Check again in some minutes."
	if answer.throttled() {
		found = fmt.Sprintf("%s throttles the calls (%s), so the feed could not be tried.", answer.API, said(answer))
		advice = answer.adviceByStatus()
	}
	var until *ThrottledError
	if errors.As(o.err, &until) {
		found += fmt.Sprintf(" It is left alone until %s.", until.Until.UTC().Format("15:04:05 MST"))
	}
	return verdict{audit.CheckWarning, found, advice}
}

// unanswered is said when there was no answer, or none that can be read.
func (o *outcome) unanswered() verdict {
	o.seen.mu.Lock()
	sent, last := o.seen.sent, o.seen.last
	o.seen.mu.Unlock()
	name := portalNames[o.need.api]
	at := name + " at " + o.host
	switch {
	case last != nil:
		return unreachable(at, last.Error())
	case !errors.Is(o.err, context.DeadlineExceeded):
		return verdict{
			audit.CheckFailed, "The answer cannot be read: " + clean(o.err.Error()) + ".",
			"Something else than Microsoft may have answered: look for a proxy or a sign-in page of the network between, and compare GRAPH_BASE_URL and MANAGEMENT_BASE_URL.",
		}
	case sent == 0:
		return verdict{audit.CheckWarning, fmt.Sprintf("Not tried: within %s no call was free under the limit that AOC keeps for %s.", checkTimeout, name), "Nothing needs to be done: collection is using the limit up. Check again in a minute."}
	}
	return unreachable(at, "i/o timeout")
}

// said is an answer in brackets: status, code and the API's own words.
func said(a *APIError) string {
	text := fmt.Sprint(a.Status)
	if a.Code != "" {
		text += " " + a.Code
	}
	if a.Message != "" {
		text += ": " + strings.TrimRight(a.Message, ". ")
	}
	return text
}

// refusal is one kind of refusal and what is said of it. The first that fits
// is taken.
type refusal struct {
	is  func(*outcome, *APIError) bool
	say func(*outcome, *APIError) verdict
}

var refusals = []refusal{
	{isUnlicensed, sayUnlicensed},
	{isAuditingOff, sayAuditingOff},
	{isCode("AF20022"), sayNotStarted},
	{isCode("AF20023"), sayDisabled},
	{isUnknownEndpoint, sayUnknownEndpoint},
	{isDenied, sayDenied},
	{isTokenRefused, sayTokenRefused},
}

func isCode(code string) func(*outcome, *APIError) bool {
	return func(_ *outcome, a *APIError) bool { return a.Code == code }
}

// isUnlicensed: sign-ins have a code of their own; riskDetections answer
// Forbidden "Your tenant is not licensed for this feature", and Intune
// BadRequest "Request not applicable to target tenant".
func isUnlicensed(o *outcome, a *APIError) bool {
	text := strings.ToLower(a.Message)
	return a.Code == "Authentication_RequestFromNonPremiumTenantOrB2CTenant" ||
		o.need.licence != "" && (strings.Contains(text, "not licensed") || strings.Contains(text, "not applicable to target tenant") || strings.Contains(text, "not provisioned"))
}

func sayUnlicensed(o *outcome, a *APIError) verdict {
	licence := o.need.licence
	if licence == "" {
		licence = licenceP1
	}
	advice := fmt.Sprintf("Get the licence (Microsoft 365 admin center > Billing > Purchase services), or leave %s out of SOURCES", o.source)
	if o.need.instead != "" {
		advice += "; " + o.need.instead
	}
	return verdict{audit.CheckFailed, fmt.Sprintf("The tenant lacks %s, which this feed needs (%s).", licence, said(a)), advice + "."}
}

// isAuditingOff goes by the words, which come under several statuses and codes
// (troubleshooting the Management Activity API).
func isAuditingOff(_ *outcome, a *APIError) bool {
	return strings.Contains(a.Message, "DataServiceException")
}

func sayAuditingOff(_ *outcome, a *APIError) verdict {
	return verdict{
		audit.CheckFailed, fmt.Sprintf("Auditing is switched off in the tenant (%s).", said(a)),
		"Switch it on: Microsoft Purview portal > Audit > Start recording user and admin activity. Or in Exchange Online PowerShell: Set-AdminAuditLogConfig -UnifiedAuditLogIngestionEnabled $true. It takes some hours to begin, and what happened before was not recorded.",
	}
}

func sayNotStarted(o *outcome, _ *APIError) verdict {
	switch {
	case o.lacks():
		return o.missing("The subscription is not started yet.")
	case o.subscription == "enabled":
		return verdict{audit.CheckOK, "The subscription was just started; Microsoft can take up to 12 hours to publish first content." + o.carried(), ""}
	case o.subscription == "disabled":
		return verdict{audit.CheckWarning, "The subscription was stopped. The next collection starts it again; what is published until then is lost to it." + o.carried(), ""}
	}
	return verdict{audit.CheckOK, "The subscription is not started yet; the first collection starts it. Microsoft can then take up to 12 hours to publish first content." + o.carried(), ""}
}

// sayDisabled says who: the API's words name "a tenant admin" or "a service admin".
func sayDisabled(_ *outcome, a *APIError) verdict {
	found := fmt.Sprintf("The subscription was disabled by an administrator (%s).", said(a))
	advice := "Have it enabled again, or leave the feed out of SOURCES."
	switch text := strings.ToLower(a.Message); {
	case strings.Contains(text, "tenant admin"):
		found = fmt.Sprintf("The subscription was disabled by an administrator of the tenant (%s).", said(a))
		advice = "Ask the tenant's administrators why. Once they allow it, the next collection starts it again; until then leave the feed out of SOURCES. What is published meanwhile is lost to it."
	case strings.Contains(text, "service admin"):
		found = fmt.Sprintf("The subscription was disabled by Microsoft's service administrators (%s).", said(a))
		advice = "Open a support request: Microsoft 365 admin center > Support > Help & support. Once it is allowed again, the next collection starts it."
	}
	return verdict{audit.CheckFailed, found, advice}
}

// isUnknownEndpoint: Purview's queries exist in the global cloud only.
func isUnknownEndpoint(o *outcome, a *APIError) bool {
	return o.source == audit.PurviewQuery && absent(a)
}

func sayUnknownEndpoint(_ *outcome, a *APIError) verdict {
	return verdict{
		audit.CheckFailed, fmt.Sprintf("Microsoft Graph does not offer Purview's audit search to this tenant or cloud (%s).", said(a)),
		"Leave Purview's search off: the other feeds do not need it. What is older than they reach can be searched for in the Purview portal.",
	}
}

func isDenied(_ *outcome, a *APIError) bool {
	return a.Status == http.StatusForbidden || a.Code == "AF10001"
}

func sayDenied(o *outcome, a *APIError) verdict {
	refused := fmt.Sprintf("%s refuses the call (%s).", a.API, said(a))
	c := o.login.claims
	switch {
	case c == nil:
		return verdict{audit.CheckFailed, refused + " The permission " + o.need.role + " seems to be missing.", o.grant()}
	case o.lacks():
		return o.missing(refused)
	case o.need.also != "" && !c.carries(o.need.also):
		return verdict{audit.CheckFailed, fmt.Sprintf("%s The token carries %s but not %s, without which some tenants refuse.", refused, o.need.role, o.need.also), grant(o.need.api, o.need.also, c)}
	}
	return verdict{
		audit.CheckFailed, fmt.Sprintf("%s The token carries %s all the same: consent given a short while ago does not work at once everywhere, and consent taken away stays in tokens that are out.", refused, o.need.role),
		fmt.Sprintf("If consent was given today, wait an hour and check again (tokens are kept for an hour, a managed identity's for up to a day). Otherwise see whether %s of %q still says \"Granted\" under Microsoft Entra admin center > Enterprise applications > %s > Permissions.", o.need.role, portalNames[o.need.api], c.client()),
	}
}

// missing is said of a permission that the token does not carry.
func (o *outcome) missing(before string) verdict {
	return verdict{
		audit.CheckFailed, fmt.Sprintf("%s The permission %s of %q is missing: the token carries %s.", before, o.need.role, portalNames[o.need.api], o.login.claims.listed()),
		o.grant(),
	}
}

func isTokenRefused(_ *outcome, a *APIError) bool { return a.Status == http.StatusUnauthorized }

func sayTokenRefused(o *outcome, a *APIError) verdict {
	found := fmt.Sprintf("%s does not accept the token (%s).", a.API, said(a))
	if c := o.login.claims; c != nil && len(c.permissions()) == 0 {
		return o.missing(found)
	}
	return verdict{audit.CheckFailed, found, "Check that TENANT_ID, AUTHORITY_HOST, GRAPH_BASE_URL and MANAGEMENT_BASE_URL are of one cloud and tenant, and look at the check \"Clock\"."}
}

// unreachable says why nothing answers. The reasons are read off the texts:
// the sign-in's errors keep nothing else.
func unreachable(who, reason string) verdict {
	text := strings.ToLower(reason)
	for _, w := range reasons {
		for _, part := range w.parts {
			if strings.Contains(text, part) {
				return verdict{audit.CheckFailed, "Cannot reach " + who + ": " + w.found, w.advice}
			}
		}
	}
	return verdict{audit.CheckFailed, "Cannot reach " + who + ": " + clean(reason) + ".", openTheWay}
}

const openTheWay = "Let this machine reach graph.microsoft.com, manage.office.com and login.microsoftonline.com on port 443 (or the hosts that GRAPH_BASE_URL, MANAGEMENT_BASE_URL and AUTHORITY_HOST name)."

var reasons = []struct {
	parts         []string
	found, advice string
}{
	{[]string{"proxyconnect", "proxy authentication"}, "the proxy does not let the call through.", "Check HTTPS_PROXY and NO_PROXY, and that the proxy lets the hosts of Microsoft's cloud pass."},
	{[]string{"no such host", "server misbehaving", "dial tcp: lookup"}, "its name cannot be resolved.", "Check the DNS of this machine, and the host names in GRAPH_BASE_URL, MANAGEMENT_BASE_URL and AUTHORITY_HOST."},
	{[]string{"x509", "certificate", "tls:"}, "its TLS certificate is not trusted.", "Where a proxy opens TLS, name a PEM file with its certificate in SSL_CERT_FILE. A clock that is far off has the same effect; see the check \"Clock\"."},
	{[]string{"connection refused"}, "the connection is refused.", openTheWay},
	{[]string{"connection reset", "eof", "broken pipe"}, "the connection breaks off.", "A firewall or proxy between may cut it. " + openTheWay},
	{[]string{"network is unreachable", "no route to host"}, "there is no way into the network.", openTheWay},
	{[]string{"timeout", "deadline exceeded", "no answer came in time"}, fmt.Sprintf("no answer comes within %d seconds.", checkTimeout/time.Second), "A firewall may drop the calls. " + openTheWay},
}
