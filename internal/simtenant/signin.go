package simtenant

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// microsoftLogin is where Entra is. SignIn's discovery names it, for the
// handler cannot know where it is mounted.
const microsoftLogin = "https://login.microsoftonline.com"

// signInRoutes are all that SignIn serves.
var signInRoutes = []route{
	{"GET /{tenant}/oauth2/v2.0/authorize", "authorize", apiEntra, (*Tenant).authorize},
	{"GET /{tenant}/oauth2/v2.0/choose", "choose", apiEntra, (*Tenant).choose},
	{"GET /{tenant}/oauth2/v2.0/logout", "logout", apiEntra, (*Tenant).logout},
	{"POST /{tenant}/oauth2/v2.0/token", "token", apiEntra, (*Tenant).peopleToken},
	{"OPTIONS /{tenant}/oauth2/v2.0/token", "token", apiEntra, (*Tenant).tokenPreflight},
	{"GET /{tenant}/v2.0/.well-known/openid-configuration", "discovery", apiEntra, (*Tenant).discoveryMounted},
	{"GET /{tenant}/discovery/v2.0/keys", "keys", apiEntra, (*Tenant).keysV2},
	{"/", "other", apiEntra, (*Tenant).unknownPath},
}

// SignIn returns the endpoints that a browser needs to sign somebody in, and no
// others: no tokens for clients, no directory, no records. Whoever reaches it
// can be anyone on its page, so it belongs to demonstrations and tests alone.
//
// It works under any prefix of any origin (http.StripPrefix): its pages link
// relatively and nothing depends on the Host. Its discovery document therefore
// names login.microsoftonline.com, which the page's network client has to
// replace by the prefix.
func (t *Tenant) SignIn() http.Handler { return t.routes(signInRoutes) }

func (t *Tenant) discoveryMounted(w http.ResponseWriter, r *http.Request) error {
	return t.discovery(w, r, microsoftLogin, issuerV2, "/oauth2/v2.0/", "/discovery/v2.0/keys")
}

// signInAsk is one request to sign somebody in.
type signInAsk struct {
	redirect   string
	inFragment bool
	state      string
	nonce      string
	challenge  string
	scope      string
}

// chooseWithin is how long the page of people can be used.
const chooseWithin = 10 * time.Minute

// authorize begins a sign-in. What cannot be trusted is told on a page; other
// mistakes are told to the application. [v2-oauth2-auth-code-flow]
func (t *Tenant) authorize(w http.ResponseWriter, r *http.Request) error {
	if err := t.pageTenant(r); err != nil {
		return err
	}
	asked, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return t.errorPage(900432, "The query string of the request is malformed.")
	}
	if err := t.trusted(asked); err != nil {
		return err
	}
	ask := signInAsk{
		redirect: asked.Get("redirect_uri"), inFragment: asked.Get("response_mode") == "fragment",
		state: asked.Get("state"), nonce: asked.Get("nonce"), challenge: asked.Get("code_challenge"), scope: asked.Get("scope"),
	}
	if code, number, text := t.mistake(asked); number != 0 {
		return t.sendBack(w, ask, t.failure(code, number, text))
	}
	begun := t.signIns.begun.hand(ask, t.now(), t.now().Add(chooseWithin))
	return t.peoplePage(w, begun, ask, asked.Get("login_hint"))
}

// pageTenant refuses tenants other than this one, in words for people.
func (t *Tenant) pageTenant(r *http.Request) error {
	named := r.PathValue("tenant")
	if slices.Contains(sharedTenants, named) {
		return t.errorPage(50194, "Application '"+t.clientID+"'("+clientName+") is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such apps. Use a tenant-specific endpoint or configure the application to be multi-tenant.")
	}
	if _, err := t.ownTenant(r); err != nil {
		return t.errorPage(90002, unknownTenant(named))
	}
	return nil
}

// trusted checks what decides where an answer goes.
func (t *Tenant) trusted(asked url.Values) error {
	for _, key := range []string{"client_id", "redirect_uri"} {
		if len(asked[key]) > 1 {
			return t.errorPage(9000411, "The request is not properly formatted. The parameter '"+key+"' is duplicated.")
		}
	}
	id, to := asked.Get("client_id"), asked.Get("redirect_uri")
	switch {
	case id == "":
		return t.errorPage(900144, "The request body must contain the following parameter: 'client_id'.")
	case t.knownClient(id) != nil:
		return t.errorPage(700016, unknownClient(id))
	case to == "":
		return t.errorPage(900971, "No reply address provided.")
	}
	if _, ok := t.redirect(to); !ok {
		return t.errorPage(50011, "The redirect URI '"+to+"' specified in the request does not match the redirect URIs configured for the application '"+t.clientID+"'. Make sure the redirect URI sent in the request matches one added to your application in the Azure portal. Navigate to https://aka.ms/redirectUriMismatchError to learn more about how to troubleshoot this.")
	}
	return nil
}

// challenge is the hash of a verifier. [RFC 7636 4.2]
var challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// prompts are what a request may ask to be shown. All but none are answered
// with the page of people.
var prompts = []string{"", "login", "select_account", "consent", "none"}

// mistake finds what is wrong with a request from a known application; number
// 0 is nothing.
func (t *Tenant) mistake(asked url.Values) (code string, number int, text string) {
	mode, kind := asked.Get("response_mode"), asked.Get("response_type")
	_, unknown := t.readScope(asked.Get("scope"))
	switch {
	case kind == "":
		return "invalid_request", 900144, "The request body must contain the following parameter: 'response_type'."
	case kind != "code":
		return "unsupported_response_type", 700051, "response_type '" + kind + "' is not enabled for the application."
	case mode != "" && mode != "query" && mode != "fragment":
		return "invalid_request", 90023, "Unsupported value for 'response_mode': '" + mode + "'."
	case asked.Get("scope") == "":
		return "invalid_request", 900144, "The request body must contain the following parameter: 'scope'."
	case unknown != "":
		return "invalid_scope", 70011, unknownScope(unknown)
	case asked.Get("code_challenge") == "" || asked.Get("code_challenge_method") != "S256":
		return "invalid_request", 9002325, "Proof Key for Code Exchange is required for cross-origin authorization code redemption."
	case !challenge.MatchString(asked.Get("code_challenge")):
		return "invalid_request", 501491, "InvalidCodeChallengeMethodInvalidSize - Invalid size of Code_Challenge parameter."
	case !slices.Contains(prompts, asked.Get("prompt")):
		return "invalid_request", 90023, "Unsupported value for 'prompt': '" + asked.Get("prompt") + "'."
	case asked.Get("prompt") == "none":
		return "login_required", 50058, "A silent sign-in request was sent but no user is signed in. The cookies used to represent the user's session were not sent in the request to Microsoft Entra ID."
	}
	return "", 0, ""
}

// failure is how an application is told that a sign-in came to nothing.
func (t *Tenant) failure(code string, number int, text string) url.Values {
	return url.Values{
		"error": {code}, "error_uri": {entraErrorURI(number)},
		"error_description": {entraText(number, text, newRequestID(), newRequestID(), t.entraStamp())},
	}
}

// choose ends a sign-in: as somebody, or not at all.
func (t *Tenant) choose(w http.ResponseWriter, r *http.Request) error {
	if err := t.pageTenant(r); err != nil {
		return err
	}
	var who *person
	named := r.URL.Query().Get("person")
	ask, state, err := t.signIns.begun.redeem(r.URL.Query().Get("begun"), t.now(), func(signInAsk) (err error) {
		who, err = t.offered(named)
		return err
	})
	switch {
	case err != nil:
		return err
	case state != ticketGood:
		return t.errorPage(165000, "This sign-in is over already, or was begun too long ago. Go back to the application and sign in again.")
	case who == nil:
		back := t.failure("access_denied", 65004, "User declined to consent to access the app.")
		back.Set("error_subcode", "cancel")
		return t.sendBack(w, ask, back)
	}
	return t.sendCode(w, ask, who)
}

// cancelled stands for nobody among the people of the page.
const cancelled = "nobody"

// offered finds somebody who is on the page; nil is nobody.
func (t *Tenant) offered(id string) (*person, error) {
	if id == cancelled {
		return nil, nil
	}
	c := t.history.company
	for _, role := range signInCast {
		if p := c.staff[role.position]; p.id == id {
			return p, nil
		}
	}
	return nil, t.errorPage(50034, "The user account {EUII Hidden} does not exist in the "+companyName+" directory. To sign into this application, the account must be added to the directory.")
}

// sendCode returns to the application with a code.
func (t *Tenant) sendCode(w http.ResponseWriter, ask signInAsk, who *person) error {
	info, err := t.clientInfo(who)
	if err != nil {
		return err
	}
	session := newRequestID()
	code := t.signIns.codes.hand(codeGrant{ask, who, session}, t.now(), t.now().Add(codeLife))
	return t.sendBack(w, ask, url.Values{"code": {code}, "client_info": {info}, "session_state": {session}})
}

// sendBack returns to the application. The address was found to be a
// registered one when the sign-in began.
func (t *Tenant) sendBack(w http.ResponseWriter, ask signInAsk, answer url.Values) error {
	to, ok := t.redirect(ask.redirect)
	if !ok {
		return t.errorPage(50011, "The redirect URI '"+ask.redirect+"' is no longer registered.")
	}
	if ask.state != "" {
		answer.Set("state", ask.state)
	}
	link := to.String()
	switch {
	case ask.inFragment:
		link += "#" + answer.Encode()
	case to.RawQuery != "":
		link += "&" + answer.Encode()
	default:
		link = strings.TrimSuffix(link, "?") + "?" + answer.Encode()
	}
	goTo(w, link)
	return nil
}

func goTo(w http.ResponseWriter, link string) {
	h := w.Header()
	h.Set("Location", link)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusFound)
}

// logout ends nothing, for nobody stays signed in here, and returns to the
// application. [v2-protocols-oidc, "Send a sign-out request"]
func (t *Tenant) logout(w http.ResponseWriter, r *http.Request) error {
	if err := t.pageTenant(r); err != nil {
		return err
	}
	asked := r.URL.Query()
	to, ok := t.redirect(asked.Get("post_logout_redirect_uri"))
	if !ok {
		return writeHTML(w, http.StatusOK, signedOutPage, nil)
	}
	if state := asked.Get("state"); state != "" {
		query := to.Query()
		query.Set("state", state)
		to.RawQuery = query.Encode()
	}
	goTo(w, to.String())
	return nil
}
