package simtenant

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// kinds are the values of signInEventTypes with the feeds that they divide the
// collection signIns into. [signIn resource, beta]
var kinds = map[string]string{
	"interactiveUser":    SignIns,
	"nonInteractiveUser": NonInteractiveSignIns,
	"servicePrincipal":   ServicePrincipalSignIns,
	"managedIdentity":    ManagedIdentitySignIns,
}

func kindOf(feed string) string {
	for kind, of := range kinds {
		if of == feed {
			return kind
		}
	}
	return ""
}

// tokenSignIn is a sign-in at which nobody typed anything: a token was asked
// for with another one, or with what an application has.
type tokenSignIn struct {
	signIn
	feed            string
	id, correlation string
	resource        pair     // id and name
	identity        *service // of a service principal or managed identity
	incoming        string   // incomingTokenType
	credential      string   // clientCredentialType
	requirement     string
}

// service is an application that signs in as itself.
type service struct {
	app
	ip       string // "" for a managed identity, whose sign-ins tell no address
	resource string // the ARM id of what a managed identity belongs to
}

// services are the applications that sign in with a secret or certificate of
// their own, by where from.
var services = []pair{
	{"Halden Expense Bot", "192.0.2.131"},
	{"Backup for Microsoft 365", "192.0.2.150"},
	{"HR Sync", "192.0.2.171"},
	{"Meridian Portal", "2001:db8:50:7::1"},
}

const armPrefix = "/subscriptions/5d2c6a3e-0f63-4f0e-9a53-3a1f0a4be901/resourcegroups/halden-prod/providers/"

// employ adds the managed identities of the tenant. Their ids are
// derived, not drawn, so that the rest of the company is the same with them.
func (c *company) employ() {
	for _, r := range []pair{
		{"halden-reporting-func", "Microsoft.Web/sites/halden-reporting-func"},
		{"halden-backup-vm", "Microsoft.Compute/virtualMachines/halden-backup-vm"},
	} {
		a := app{c.derivedID("identity", r.name), c.derivedID("identity app", r.name), r.name}
		c.know(a.id, "servicePrincipal", "displayName", a.name, "appId", a.appID)
		c.identities = append(c.identities, service{app: a, resource: armPrefix + r.value})
	}
}

// derivedID is an id that is made of words instead of drawn.
func (c *company) derivedID(words ...string) string {
	text := strings.Join(words, "\x00")
	return uuid(hash64(text+"\x00hi")^c.seed, hash64(text+"\x00lo")^c.seed)
}

// tokenResources are what clients ask tokens for.
var tokenResources = []pair{
	{"00000003-0000-0000-c000-000000000000", "Microsoft Graph"},
	{"00000002-0000-0ff1-ce00-000000000000", "Office 365 Exchange Online"},
	{"00000003-0000-0ff1-ce00-000000000000", "Office 365 SharePoint Online"},
	{"cc15fd57-2c6c-4117-a88c-83b1d56b4bbe", "Microsoft Teams Services"},
}

var tokenFailures = map[int]string{
	50173:   "The provided grant has expired due to it being revoked, a fresh auth token is needed.",
	70043:   "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access.",
	7000222: "The provided client secret keys are expired.",
}

// nonInteractive is an hour of tokens that people's programs renew: several
// for every sign-in that somebody sees.
func (m *maker) nonInteractive(part float64) {
	for range m.times(12 * part) {
		p := m.someone()
		here := m.presence(p, m.hour)
		s := tokenSignIn{
			feed: NonInteractiveSignIns, id: m.newID(), correlation: m.newID(), resource: tokenResources[m.rng.IntN(len(tokenResources))],
			incoming: [...]string{"primaryRefreshToken", "refreshToken", "none"}[m.pick(6, 3, 1)], credential: "none", requirement: "singleFactorAuthentication",
		}
		s.signIn = signIn{
			at: m.moment(), who: p, app: m.app(signInApps[m.rng.IntN(len(signInApps))]), ip: here.ip, place: here.place, agent: p.agent,
			session: here.session, client: "Mobile Apps and Desktop clients", managed: true, risk: "none",
			code: [...]int{0, 50173, 70043}[m.pick(96, 2, 2)],
		}
		if !here.office {
			s.requirement = "multiFactorAuthentication"
		}
		m.tokenSignedIn(s)
	}
}

// principals is an hour of applications at work, day and night.
func (m *maker) principals(float64) {
	for i, name := range services {
		for range m.rng.IntN(4) {
			a := service{app: m.app(name.name), ip: name.value}
			code := 0
			if i == 3 && m.chance(25) {
				code = 7000222
			}
			m.principalSignedIn(m.moment(), a, m.newID(), m.newID(), [...]string{"certificate", "clientSecret"}[i%2], code)
		}
	}
}

func (m *maker) principalSignedIn(at time.Time, a service, id, correlation, credential string, code int) {
	s := tokenSignIn{
		feed: ServicePrincipalSignIns, id: id, correlation: correlation, resource: tokenResources[0], identity: &a,
		incoming: "none", credential: credential, requirement: "singleFactorAuthentication",
	}
	s.signIn = signIn{at: at, app: a.app, ip: a.ip, place: headOffice, code: code, risk: "none", who: nobody}
	m.tokenSignedIn(s)
}

// managed is an hour of what runs in the company's subscription.
func (m *maker) managed(float64) {
	for i := range m.identities {
		for range m.rng.IntN(3) {
			s := tokenSignIn{
				feed: ManagedIdentitySignIns, id: m.newID(), correlation: m.newID(), identity: &m.identities[i],
				resource: pair{"cfa8b339-82a2-471a-a3c9-0fc0be7a4093", "Azure Key Vault"}, incoming: "none", credential: "managedIdentity",
				requirement: "singleFactorAuthentication",
			}
			s.signIn = signIn{at: m.moment(), app: m.identities[i].app, risk: "none", who: nobody}
			m.tokenSignedIn(s)
		}
	}
}

// nobody stands where a record of an application has a user's fields, empty.
var nobody = &person{device: &device{}}

// tokenSignedIn writes the record in the order and with the properties of
// beta. [signin-list, beta]
func (m *maker) tokenSignedIn(s tokenSignIn) {
	m.begin(s.id, s.at.Truncate(time.Second))
	w := &m.w
	w.str("id", s.id)
	w.str("createdDateTime", s.at.Format(secondsLayout))
	w.str("userDisplayName", s.who.name)
	w.str("userPrincipalName", s.who.upn)
	w.str("userId", s.who.id)
	w.str("appId", s.app.appID)
	w.str("appDisplayName", s.app.name)
	w.str("ipAddress", s.ip)
	w.raw("ipAddressFromResourceProvider", "null")
	w.str("clientAppUsed", s.client)
	w.str("userAgent", s.agent.text)
	w.str("correlationId", s.correlation)
	w.str("conditionalAccessStatus", "notApplied")
	w.str("originalRequestId", s.id)
	w.flag("isInteractive", false)
	w.str("tokenIssuerName", "")
	w.str("tokenIssuerType", "AzureAD")
	m.tokenFacts(w, &s)
	w.open("status", '{')
	w.num("errorCode", s.code)
	w.str("failureReason", s.why())
	w.raw("additionalDetails", "null")
	w.close('}')
	s.deviceDetail(w)
	s.location(w)
	w.raw("appliedConditionalAccessPolicies", "[]")
	w.raw("authenticationDetails", "[]")
	w.raw("networkLocationDetails", "[]")
	s.managedServiceIdentity(w)
	m.end(s.feed, lagOf(s.id, 5, 15))
}

func (s *tokenSignIn) why() string {
	if s.code == 0 {
		return "Other."
	}
	return tokenFailures[s.code]
}

// tokenFacts are the properties that v1.0 does not have.
func (m *maker) tokenFacts(w *writer, s *tokenSignIn) {
	w.str("clientCredentialType", s.credential)
	w.num("processingTimeInMilliseconds", 20+int(hash64(s.id)%400))
	w.str("riskDetail", "none")
	w.str("riskLevelAggregated", s.risk)
	w.str("riskLevelDuringSignIn", s.risk)
	w.str("riskState", "none")
	w.raw("riskEventTypes_v2", "[]")
	w.str("resourceDisplayName", s.resource.value)
	w.str("resourceId", s.resource.name)
	w.str("resourceTenantId", m.tenant)
	w.str("homeTenantId", m.tenant)
	w.str("homeTenantName", "")
	w.raw("authenticationMethodsUsed", "[]")
	w.str("authenticationRequirement", s.requirement)
	w.str("signInIdentifier", "")
	w.open("signInEventTypes", '[')
	w.text(kindOf(s.feed))
	w.close(']')
	s.principal(w)
	w.flag("flaggedForReview", false)
	w.flag("isTenantRestricted", false)
	w.num("autonomousSystemNumber", 64500)
	w.str("crossTenantAccessType", "none")
	w.str("uniqueTokenIdentifier", base64.RawURLEncoding.EncodeToString([]byte(s.id)))
	w.str("incomingTokenType", s.incoming)
	w.str("authenticationProtocol", "none")
	w.orNull("sessionId", s.session)
}

// principal writes who a record of an application is of. The identifier of the
// certificate or secret is what stays the same from one sign-in to the next.
func (s *tokenSignIn) principal(w *writer) {
	if s.identity == nil {
		w.str("servicePrincipalName", "")
		w.str("servicePrincipalId", "")
		w.str("userType", "member")
		return
	}
	w.str("servicePrincipalName", s.identity.name)
	w.str("servicePrincipalId", s.identity.id)
	w.raw("userType", "null")
	w.str("servicePrincipalCredentialKeyId", uuid(hash64(s.identity.id), hash64(s.identity.appID)))
	w.str("servicePrincipalCredentialThumbprint", "")
}

func (s *tokenSignIn) managedServiceIdentity(w *writer) {
	if s.identity == nil || s.identity.resource == "" {
		w.raw("managedServiceIdentity", "null")
		return
	}
	w.open("managedServiceIdentity", '{')
	w.str("msiType", "systemAssigned")
	w.str("associatedResourceId", s.identity.resource)
	w.str("federatedTokenId", "")
	w.str("federatedTokenIssuer", "")
	w.close('}')
}

// lagOf is a lag in minutes that an id decides, for records that must draw
// nothing from their maker's numbers.
func lagOf(id string, low, high uint64) time.Duration {
	return time.Duration(low*60+hash64(id+" lag")%((high-low)*60)) * time.Second
}

// signInFeeds are the feeds that a request to beta's signIns is for, and its
// filter without the conditions that say so: interactive sign-ins alone unless
// it asks for others.
func signInFeeds(f filter) ([]string, filter) {
	feeds := []string{SignIns}
	asked, rest := false, []test(nil)
	for _, t := range f.tests {
		if t.path[0] != "signInEventTypes" {
			rest = append(rest, t)
			continue
		}
		var wanted []string
		for _, v := range t.values {
			if kind, ok := v.(string); ok && kinds[kind] != "" {
				wanted = append(wanted, kinds[kind])
			}
		}
		if asked {
			wanted = slices.DeleteFunc(wanted, func(feed string) bool { return !slices.Contains(feeds, feed) })
		}
		feeds, asked = wanted, true
	}
	slices.Sort(feeds)
	f.tests = rest
	return slices.Compact(feeds), f
}
