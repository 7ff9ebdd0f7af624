package simtenant

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

// The grants of people.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
)

const (
	// codeLife is how long a code can be redeemed. [v2-oauth2-auth-code-flow:
	// "about 10 minutes"]
	codeLife = 10 * time.Minute
	// refreshLife is how long somebody can stay signed in on a page. Refresh
	// tokens that are handed out meanwhile end with the first. [refresh-tokens,
	// "24 hours for single page apps"]
	refreshLife = 24 * time.Hour
)

// signIns is what was handed out to people who sign in.
type signIns struct {
	begun   tickets[signInAsk]
	codes   tickets[codeGrant]
	refresh tickets[refreshGrant]
}

// codeGrant is what a code stands for.
type codeGrant struct {
	ask     signInAsk
	who     *person
	session string
}

// refreshGrant is what a refresh token stands for.
type refreshGrant struct {
	who            *person
	scope, session string
	ends           time.Time
}

// peopleToken is the token endpoint of SignIn: for people alone.
func (t *Tenant) peopleToken(w http.ResponseWriter, r *http.Request) error {
	form, err := t.tokenForm(r)
	if err != nil {
		return err
	}
	return t.userTokens(w, r, form)
}

// userTokens answers the grants of people. The registered page is a public
// client: it has no secret, and its origin must be a registered one.
// [v2-oauth2-auth-code-flow]
func (t *Tenant) userTokens(w http.ResponseWriter, r *http.Request, form url.Values) error {
	if from := r.Header.Get("Origin"); from != "" && !t.letOrigin(w, from) {
		return t.entraRefusal("invalid_request", 9002326, "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type. Request origin: '"+from+"'.")
	}
	if err := t.require(form, "grant_type", "client_id"); err != nil {
		return err
	}
	if err := t.knownClient(form.Get("client_id")); err != nil {
		return err
	}
	if form.Get("client_secret") != "" || form.Get("client_assertion") != "" {
		return t.entraRefusal("invalid_client", 700025, "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.")
	}
	switch g := form.Get("grant_type"); g {
	case grantCode:
		return t.redeemCode(w, form)
	case grantRefresh:
		return t.renew(w, form)
	default:
		return t.unsupportedGrant(g)
	}
}

// letOrigin lets a page of a registered origin read the answer.
func (t *Tenant) letOrigin(w http.ResponseWriter, from string) bool {
	w.Header().Add("Vary", "Origin")
	if !t.knownOrigin(from) {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", from)
	w.Header().Set("Access-Control-Expose-Headers", "Content-Length,Content-Encoding,x-ms-request-id,x-ms-srs")
	return true
}

func (t *Tenant) tokenPreflight(w http.ResponseWriter, r *http.Request) error {
	if _, err := t.ownTenant(r); err != nil {
		return err
	}
	if t.letOrigin(w, r.Header.Get("Origin")) {
		w.Header().Set("Access-Control-Allow-Methods", "POST, OPTIONS")
		w.Header().Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
		w.Header().Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// redeemCode answers a code with tokens.
func (t *Tenant) redeemCode(w http.ResponseWriter, form url.Values) error {
	if err := t.require(form, "code", "redirect_uri"); err != nil {
		return err
	}
	if form.Get("code_verifier") == "" {
		return t.entraRefusal("invalid_request", 9002325, "Proof Key for Code Exchange is required for cross-origin authorization code redemption.")
	}
	got, state, err := t.signIns.codes.redeem(form.Get("code"), t.now(), func(g codeGrant) error { return t.checkCode(g, form) })
	if err != nil {
		return err
	}
	switch state {
	case ticketUnknown:
		return t.malformedGrant()
	case ticketExpired:
		return t.entraRefusal("invalid_grant", 70008, "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.")
	case ticketUsed:
		return t.entraRefusal("invalid_grant", 54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.")
	case ticketGood:
	}
	grant := refreshGrant{who: got.who, scope: got.ask.scope, session: got.session, ends: t.now().Add(refreshLife)}
	return t.writeUserTokens(w, grant.asking(form), got.ask.nonce)
}

func (t *Tenant) malformedGrant() error {
	return t.entraRefusal("invalid_grant", 9002313, "Invalid request. Request is malformed or invalid.")
}

// verifier is what proves a code. [RFC 7636 4.1]
var verifier = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// checkCode compares a request with what the code was handed out for.
func (t *Tenant) checkCode(g codeGrant, form url.Values) error {
	if to := form.Get("redirect_uri"); to != g.ask.redirect {
		return t.entraRefusal("invalid_client", 500112, "The reply address '"+to+"' does not match the reply address '"+g.ask.redirect+"' provided when requesting Authorization code.")
	}
	proof := form.Get("code_verifier")
	sum := sha256.Sum256([]byte(proof))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	if !verifier.MatchString(proof) || subtle.ConstantTimeCompare([]byte(challenge), []byte(g.ask.challenge)) != 1 {
		return t.entraRefusal("invalid_grant", 501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request.")
	}
	return t.checkScope(form)
}

// checkScope refuses scopes that there are none of. A request without any
// means those of the sign-in.
func (t *Tenant) checkScope(form url.Values) error {
	if _, unknown := t.readScope(form.Get("scope")); unknown != "" {
		return t.entraRefusal("invalid_scope", 70011, unknownScope(unknown))
	}
	return nil
}

func unknownScope(scope string) string {
	return "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope " + scope + " is not valid."
}

// renew answers a refresh token with tokens and another refresh token. The old
// one stays good until its time, for two tabs may use it at once. [refresh-tokens,
// "Refresh tokens ... aren't revoked when used to fetch new access tokens"]
func (t *Tenant) renew(w http.ResponseWriter, form url.Values) error {
	if err := t.require(form, "refresh_token"); err != nil {
		return err
	}
	if err := t.checkScope(form); err != nil {
		return err
	}
	got, state := t.signIns.refresh.look(form.Get("refresh_token"), t.now())
	switch state {
	case ticketExpired:
		return t.entraRefusal("invalid_grant", 700084, "The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime of 1.00:00:00, which cannot be extended. It is now expired and a new sign in request must be sent by the SPA to the sign in page.")
	case ticketUnknown, ticketUsed:
		return t.malformedGrant()
	case ticketGood:
	}
	return t.writeUserTokens(w, got.asking(form), "")
}

// asking is the grant with the scopes of a request, if it has any.
func (g refreshGrant) asking(form url.Values) refreshGrant {
	if scope := form.Get("scope"); scope != "" {
		g.scope = scope
	}
	return g
}

// writeUserTokens answers with what a scope asks for.
func (t *Tenant) writeUserTokens(w http.ResponseWriter, g refreshGrant, nonce string) error {
	asked, _ := t.readScope(g.scope) // was looked at when it was asked
	access, err := t.accessFor(g, asked)
	if err != nil {
		return err
	}
	info, err := t.clientInfo(g.who)
	if err != nil {
		return err
	}
	body := map[string]any{
		"token_type": "Bearer", "scope": asked.granted(), "expires_in": tokenLife, "ext_expires_in": tokenLife,
		"access_token": access, "client_info": info,
	}
	if asked.openID {
		if body["id_token"], err = t.idToken(g.who, g.session, nonce); err != nil {
			return err
		}
	}
	if asked.offline {
		now := t.now()
		body["refresh_token"] = t.signIns.refresh.hand(g, now, g.ends)
		body["refresh_token_expires_in"] = int(g.ends.Sub(now).Seconds())
	}
	return writeToken(w, body)
}

func (t *Tenant) accessFor(g refreshGrant, asked wish) (string, error) {
	if len(asked.api) == 0 {
		return t.graphUserToken(g.who, g.session)
	}
	return t.userToken(g.who, g.session, tokenLife*time.Second)
}
