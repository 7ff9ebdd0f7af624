package static

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	markup "html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	fakeClient = "1b8e4a56-0c6f-4f53-9d3e-5f0f3c1f7a10"
	simulated  = "/simulated-tenant"
	authority  = "https://login.microsoftonline.com"
)

// fakePerson is somebody whom the fake authority lets in.
type fakePerson struct {
	id, name, upn string
	admin, hidden bool // what AOC says of them: may start jobs; some services are hidden
	outsider      bool
}

var fakePeople = []fakePerson{
	{id: "marta", name: "Marta Kowalczyk", upn: "marta.kowalczyk@kestrel.example", admin: true},
	{id: "jonas", name: "Jonas Lind", upn: "jonas.lind@kestrel.example", hidden: true},
	{id: "olga", name: "Olga Outsider", upn: "olga@kestrel.example", outsider: true},
}

// fakeAuthority answers as Entra's endpoints do, and guards the API with the
// tokens that it gave.
type fakeAuthority struct {
	http.ServeMux

	mu       sync.Mutex
	enabled  bool
	mount    string // what config/auth says of where it stands in
	failing  string // an error that the next authorize answers at once
	gone     bool   // refresh tokens are over
	refusing bool   // the API takes no token at all
	codes    map[string]url.Values
	access   map[string]fakePerson // by token
	refresh  map[string]fakePerson
	given    []string // all secrets that were ever handed out
	begun    []url.Values
	renewals int
	seen     []seenCall
}

// seenCall is a request as the API got it.
type seenCall struct{ method, uri, authorization string }

func newFakeAuthority() *fakeAuthority {
	f := &fakeAuthority{
		enabled: true, mount: simulated,
		codes: map[string]url.Values{}, access: map[string]fakePerson{}, refresh: map[string]fakePerson{},
	}
	base := "/" + fakeTenant + "/oauth2/v2.0/"
	f.HandleFunc("GET "+base+"authorize", f.authorize)
	f.HandleFunc("POST "+base+"token", f.token)
	f.HandleFunc("GET "+base+"logout", f.logout)
	return f
}

func (f *fakeAuthority) change(by func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	by()
}

func (f *fakeAuthority) calls() []seenCall {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// revoke makes the API refuse all access tokens given so far.
func (f *fakeAuthority) revoke() { f.change(func() { clear(f.access) }) }

func (f *fakeAuthority) secret(kind string) string {
	s := fmt.Sprintf("%s-secret-%d", kind, len(f.given))
	f.given = append(f.given, s)
	return s
}

var peoplePage = markup.Must(markup.New("").Parse(`<!doctype html><title>Choose</title><link rel="icon" href="data:,"><ul>{{range .}}<li><a id="{{.ID}}" href="{{.Link}}">{{.Name}}</a></li>{{end}}</ul>`))

func (f *fakeAuthority) authorize(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := r.URL.Query()
	f.begun = append(f.begun, q)
	if q.Get("client_id") != fakeClient || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" ||
		q.Get("response_mode") != "fragment" || !strings.Contains(q.Get("scope"), fakeClient+"/access_as_user") {
		http.Error(w, "not what a page asks", http.StatusBadRequest)
		return
	}
	back := func(answer url.Values) markup.URL {
		answer.Set("state", q.Get("state"))
		return markup.URL(q.Get("redirect_uri") + "#" + answer.Encode())
	}
	if f.failing != "" {
		to := back(url.Values{"error": {"access_denied"}, "error_description": {f.failing}})
		f.failing = ""
		http.Redirect(w, r, string(to), http.StatusFound)
		return
	}
	type offer struct {
		ID, Name string
		Link     markup.URL
	}
	var offers []offer
	for _, p := range fakePeople {
		code := f.secret("code")
		f.codes[code] = url.Values{"person": {p.id}, "challenge": q["code_challenge"], "nonce": q["nonce"], "redirect_uri": q["redirect_uri"]}
		offers = append(offers, offer{p.id, p.name, back(url.Values{"code": {code}, "client_info": {clientInfo(p)}})})
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = peoplePage.Execute(w, offers)
}

func (f *fakeAuthority) token(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var who fakePerson
	nonce := ""
	if r.PostFormValue("grant_type") == "refresh_token" {
		known := false
		who, known = f.refresh[r.PostFormValue("refresh_token")]
		if f.renewals++; !known || f.gone {
			refuseGrant(w, "AADSTS700082: The refresh token has expired due to inactivity. Trace ID: 0000 Correlation ID: 1111")
			return
		}
	} else {
		grant, known := f.codes[r.PostFormValue("code")]
		delete(f.codes, r.PostFormValue("code"))
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if !known || base64.RawURLEncoding.EncodeToString(sum[:]) != grant.Get("challenge") || r.PostFormValue("redirect_uri") != grant.Get("redirect_uri") {
			refuseGrant(w, "AADSTS501481: The Code_Verifier does not match the code_challenge.")
			return
		}
		nonce = grant.Get("nonce")
		who = fakePeople[slices.IndexFunc(fakePeople, func(p fakePerson) bool { return p.id == grant.Get("person") })]
	}
	access, refresh := f.secret("access"), f.secret("refresh")
	f.access[access], f.refresh[refresh] = who, who
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"token_type": "Bearer", "scope": fakeClient + "/access_as_user openid profile offline_access", "expires_in": 3600, "ext_expires_in": 3600,
		"access_token": access, "refresh_token": refresh, "id_token": f.idToken(who, nonce), "client_info": clientInfo(who),
	})
}

func refuseGrant(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": "invalid_grant", "error_description": text, "suberror": "bad_token"})
}

func encoded(v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(body)
}

func clientInfo(p fakePerson) string {
	return encoded(map[string]string{"uid": "oid-" + p.id, "utid": fakeTenant})
}

// idToken is well formed. Its signature is made up: a page cannot check one, and need not.
func (f *fakeAuthority) idToken(p fakePerson, nonce string) string {
	now := time.Now()
	claims := map[string]any{
		"aud": fakeClient, "iss": authority + "/" + fakeTenant + "/v2.0", "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"tid": fakeTenant, "oid": "oid-" + p.id, "sub": "sub-" + p.id, "name": p.name, "preferred_username": p.upn, "ver": "2.0",
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	t := encoded(map[string]string{"typ": "JWT", "alg": "RS256", "kid": "k1"}) + "." + encoded(claims) + ".c2lnbmF0dXJl"
	f.given = append(f.given, t)
	return t
}

func (f *fakeAuthority) logout(w http.ResponseWriter, r *http.Request) {
	to := r.URL.Query().Get("post_logout_redirect_uri") + "?" + url.Values{"state": {r.URL.Query().Get("state")}}.Encode()
	http.Redirect(w, r, to, http.StatusFound)
}

func (f *fakeAuthority) config() map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return map[string]any{
		"enabled": f.enabled, "tenant_id": fakeTenant, "client_id": fakeClient, "authority": authority + "/" + fakeTenant,
		"scopes": []string{fakeClient + "/access_as_user"}, "simulated": f.mount,
	}
}

// guard lets in who has a token, as the API does.
func (f *fakeAuthority) guard(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, known := f.admit(r)
		switch {
		case r.URL.Path == "/api/config/auth":
			answerJSON(w, r, fixed(f.config()))
		case !known:
			refuse(w, http.StatusUnauthorized, "unauthenticated", "the token is not one of ours")
		case who.outsider:
			refuse(w, http.StatusForbidden, "forbidden", "none of your roles is let in")
		case r.URL.Path == "/api/config/features":
			answerJSON(w, r, fixed(map[string]any{"demo": true, "auth_enabled": true, "tenant_id": fakeTenant, "admin": who.admin, "restricted": who.hidden}))
		default:
			api.ServeHTTP(w, r)
		}
	})
}

func (f *fakeAuthority) admit(r *http.Request) (fakePerson, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	authorization := r.Header.Get("Authorization")
	f.seen = append(f.seen, seenCall{r.Method, r.URL.RequestURI(), authorization})
	who, known := f.access[strings.TrimPrefix(authorization, "Bearer ")]
	return who, known && !f.refusing || !f.enabled
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code, "message": message, "request_id": "req-0042"}})
}
