package simtenant

import "time"

// signIn is an interactive sign-in, which Graph's signIns and
// Audit.AzureActiveDirectory both tell. Here the Management API's record has
// the id of the request, which is the id that Graph gives the sign-in.
type signIn struct {
	at      time.Time
	who     *person
	app     app
	ip      string
	place   place
	agent   agent
	session string
	code    int // AADSTS number, 0 is success
	client  string
	managed bool
	mfa     bool
	risk    string // none, low, medium, high
	silent  bool   // a token renewed, nobody there
}

// failures are AADSTS codes with the reason of Graph and the name that the
// Management API gives it.
var failures = map[int]pair{
	50126: {"Error validating credentials due to invalid username or password.", "InvalidUserNameOrPassword"},
	50053: {"The account is locked, you've tried to sign in too many times with an incorrect user ID or password.", "IdsLocked"},
	50074: {"Strong Authentication is required.", "UserStrongAuthClientAuthNRequired"},
	50140: {"This occurred due to 'Keep me signed in' interrupt when the user was signing-in.", "KmsiInterrupt"},
	50057: {"The user account is disabled.", "UserDisabled"},
	53003: {"Access has been blocked by Conditional Access policies.", "BlockedByConditionalAccess"},
	50055: {"The password is expired.", "InvalidPasswordExpiredPassword"},
}

var signInApps = []string{"OfficeHome", "Microsoft Office", "Microsoft Teams", "Outlook Mobile", "Office 365 SharePoint Online"}

// signIns is an hour of ordinary sign-ins; some fail as people do.
func (m *maker) signIns(part float64) {
	for range m.times(3.2 * part) {
		p := m.someone()
		here := m.presence(p, m.hour)
		s := signIn{
			at: m.moment(), who: p, app: m.app(signInApps[m.rng.IntN(len(signInApps))]), ip: here.ip, place: here.place, agent: p.agent,
			session: here.session, client: "Browser", managed: true, mfa: !here.office, risk: "none",
		}
		if m.rng.IntN(5) < 2 {
			s.client = "Mobile Apps and Desktop clients"
		}
		s.code = [...]int{0, 50126, 50140, 50074, 50053, 50055, 53003}[m.pick(900, 45, 22, 18, 3, 3, 3)]
		m.signedIn(s)
		if s.code == 50126 && m.chance(2) { // typed better the second time
			s.code, s.at = 0, m.notLater(s.at.Add(m.between(4*time.Second, 40*time.Second)))
			m.signedIn(s)
		}
	}
	for range m.times(0.5 * part) {
		m.refreshed()
	}
	if part > 0.5 && m.chance(5) {
		m.probed()
	}
}

// refreshed is a logon that Graph's interactive sign-ins do not have: a token
// renewed, or a password tried on an old protocol.
func (m *maker) refreshed() {
	p := m.someone()
	at, here := m.moment(), m.presence(p, m.hour)
	if m.chance(5) {
		m.oldLogon(at, p, here.ip)
		return
	}
	m.stsLogon(signIn{
		at: at, who: p, app: m.app("Microsoft Teams"), ip: here.ip, agent: p.agent, session: here.session, managed: true, silent: true,
	}, m.newID(), m.newID())
}

// oldLogon is the record type of before 2016, which still comes: ResultStatus
// in small letters, the reason among ExtendedProperties.
func (m *maker) oldLogon(at time.Time, p *person, ip string) {
	failed := m.chance(3)
	h := head{
		operation: "PasswordLogonInitialAuthUsingPassword", kind: 9, result: "success", userKey: p.puid + "@" + companyDomain,
		workload: "AzureActiveDirectory", ip: ip, object: p.upn, user: p.upn,
	}
	if failed {
		h.result = "failed"
	}
	w := m.manage(m.newID(), at, h)
	w.num("AzureActiveDirectoryEventType", 0)
	status := 0
	if failed {
		status = -2147217390
		w.pairs("ExtendedProperties", pair{"LoginError", "-2147217390;PP_E_BAD_PASSWORD;The entered and stored passwords do not match."})
	}
	w.str("Client", "Exchange")
	w.num("LoginStatus", status)
	w.str("UserDomain", companyDomain)
	m.end(AuditAzureAD, m.soon())
}

// probed is the noise of the internet: a guess at somebody's password.
func (m *maker) probed() {
	s := m.foreignSignIn(m.moment(), m.staff[m.rng.IntN(len(m.staff))], attackerIP(1+m.rng.IntN(250)), m.newID(), 50126)
	s.agent, s.client = scripted, "Other clients"
	m.signedIn(s)
}

// signedIn writes both records, under one id.
func (m *maker) signedIn(s signIn) {
	id, correlation := m.newID(), m.newID()
	m.graphSignIn(s, id, correlation)
	m.stsLogon(s, id, correlation)
	m.judged(s, id, correlation)
}

func (m *maker) graphSignIn(s signIn, id, correlation string) {
	m.begin(id, s.at.Truncate(time.Second)) // signIns tell whole seconds
	w := &m.w
	w.str("id", id)
	w.str("createdDateTime", s.at.Format(secondsLayout))
	w.str("userDisplayName", s.who.name)
	w.str("userPrincipalName", s.who.upn)
	w.str("userId", s.who.id)
	w.str("appId", s.app.appID)
	w.str("appDisplayName", s.app.name)
	w.str("ipAddress", s.ip)
	w.str("clientAppUsed", s.client)
	w.str("correlationId", correlation)
	w.str("conditionalAccessStatus", s.conditionalAccess())
	w.flag("isInteractive", true)
	w.str("riskDetail", "none")
	w.str("riskLevelAggregated", s.risk)
	w.str("riskLevelDuringSignIn", s.risk)
	m.riskOf(w, s)
	w.str("resourceDisplayName", "Microsoft Graph")
	w.str("resourceId", "00000003-0000-0000-c000-000000000000")
	w.open("status", '{')
	w.num("errorCode", s.code)
	s.reason(w)
	w.close('}')
	s.deviceDetail(w)
	s.location(w)
	m.appliedPolicies(w, s)
	w.close(']')
	m.end(SignIns, m.between(5*time.Minute, 15*time.Minute))
}

func (s *signIn) conditionalAccess() string {
	switch {
	case s.code == 53003 || s.code == 50074:
		return "failure"
	case s.code != 0, s.client == "Other clients": // policies do not see old protocols
		return "notApplied"
	}
	return "success"
}

func (s *signIn) reason(w *writer) {
	if s.code != 0 {
		w.str("failureReason", failures[s.code].name)
		w.raw("additionalDetails", "null")
		return
	}
	w.str("failureReason", "Other.")
	if s.mfa {
		w.str("additionalDetails", "MFA requirement satisfied by claim in the token")
		return
	}
	w.raw("additionalDetails", "null")
}

func (m *maker) riskOf(w *writer, s signIn) {
	if s.risk == "none" {
		w.str("riskState", "none")
		w.raw("riskEventTypes", "[]")
		w.raw("riskEventTypes_v2", "[]")
		return
	}
	w.str("riskState", "atRisk")
	w.raw("riskEventTypes", `["unfamiliarFeatures"]`)
	w.raw("riskEventTypes_v2", `["unfamiliarFeatures","passwordSpray"]`)
}

func (s *signIn) deviceDetail(w *writer) {
	w.open("deviceDetail", '{')
	if d := s.who.device; s.managed {
		w.str("deviceId", d.deviceID)
		w.str("displayName", d.name)
	} else {
		w.str("deviceId", "")
		w.str("displayName", "")
	}
	w.str("operatingSystem", s.agent.system)
	w.str("browser", s.agent.browser)
	w.flag("isCompliant", s.managed)
	w.flag("isManaged", s.managed)
	if s.managed {
		w.str("trustType", "Azure AD joined")
	} else {
		w.str("trustType", "")
	}
	w.close('}')
}

func (s *signIn) location(w *writer) {
	w.open("location", '{')
	w.str("city", s.place.city)
	w.str("state", s.place.state)
	w.str("countryOrRegion", s.place.country)
	w.open("geoCoordinates", '{')
	w.raw("altitude", "null")
	w.raw("latitude", degrees(s.place.lat))
	w.raw("longitude", degrees(s.place.long))
	w.close('}')
	w.close('}')
}

func (m *maker) appliedPolicies(w *writer, s signIn) {
	w.open("appliedConditionalAccessPolicies", '[')
	for i, p := range m.policies {
		w.item()
		w.str("id", p.name)
		w.str("displayName", p.value)
		result := "notApplied"
		switch {
		case i == 0 && s.conditionalAccess() == "success":
			result = "success"
		case i == 0 && s.code == 50074, i == 1 && s.code == 53003:
			result = "failure"
		}
		w.raw("enforcedGrantControls", [...]string{`["Mfa"]`, `["Block"]`, `["RequireCompliantDevice"]`}[i])
		w.raw("enforcedSessionControls", "[]")
		w.str("result", result)
		w.close('}')
	}
}

// stsLogon writes the token service's record. ResultStatus says whether a
// request was answered, not whether the logon worked: failures say Success too.
func (m *maker) stsLogon(s signIn, id, correlation string) {
	h := head{
		operation: "UserLoggedIn", kind: 15, result: "Success", userKey: s.who.id, workload: "AzureActiveDirectory",
		ip: s.ip, object: "00000003-0000-0000-c000-000000000000", user: s.who.upn,
	}
	request := "OAuth2:Authorize"
	if s.silent {
		request = "OAuth2:Token"
	}
	if s.code != 0 {
		h.operation, request = "UserLoginFailed", "Login:login"
		if m.chance(4) {
			h.result = "Failed"
		}
	}
	w := m.manage(id, s.at, h)
	w.num("AzureActiveDirectoryEventType", 1)
	w.pairs("ExtendedProperties",
		pair{"ResultStatusDetail", h.result}, pair{"UserAgent", s.agent.text},
		pair{"UserAuthenticationMethod", "1"}, pair{"RequestType", request}, pair{"KeepMeSignedIn", "true"})
	w.raw("ModifiedProperties", "[]")
	w.open("Actor", '[')
	idType(w, s.who.id, 0)
	idType(w, s.who.upn, 5)
	w.close(']')
	w.str("ActorContextId", m.tenant)
	w.str("ActorIpAddress", s.ip)
	w.str("InterSystemsId", correlation)
	w.str("IntraSystemId", id)
	w.str("SupportTicketId", "")
	w.open("Target", '[')
	idType(w, h.object, 0)
	w.close(']')
	w.str("TargetContextId", m.tenant)
	w.str("ApplicationId", s.app.appID)
	s.deviceProperties(w)
	w.str("ErrorNumber", itoa(s.code))
	if s.code != 0 {
		w.str("LogonError", failures[s.code].value)
	}
	m.end(AuditAzureAD, m.soon())
}

func (s *signIn) deviceProperties(w *writer) {
	list := []pair{{"OS", s.agent.stsSystem}, {"BrowserType", s.agent.short}}
	if s.managed {
		list = append([]pair{{"Id", s.who.device.deviceID}, {"DisplayName", s.who.device.name}}, list...)
		list = append(list, pair{"IsCompliantAndManaged", "True"})
	} else {
		list = append(list, pair{"IsCompliantAndManaged", "False"})
	}
	w.pairs("DeviceProperties", append(list, pair{"SessionId", s.session})...)
}
