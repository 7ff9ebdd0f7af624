package simtenant

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var styles = regexp.MustCompile(`(?s)<style>(.*)</style>`)

func TestPageOfPeople(t *testing.T) {
	everywhere(t, Options{}, func(t *testing.T, v *visitor) {
		people := v.tenant.SignInPeople()
		at := v.authorizeURL("login_hint", strings.ToUpper(people[2].UPN))
		page := v.fetch(at)
		require.Equal(t, 200, page.status)
		for _, m := range hrefs.FindAllStringSubmatch(string(page.body), -1) {
			require.True(t, strings.HasPrefix(m[1], "choose?"), "links are relative: %s", m[1])
		}
		links := v.links(page, at)
		require.Len(t, links, len(people)+1)
		require.Contains(t, links[0], people[2].ObjectID, "the one who was named comes first")
		require.Equal(t, 1, strings.Count(string(page.body), "autofocus"))
		require.True(t, strings.HasPrefix(links[0], v.base+"/oauth2/v2.0/choose?"), links[0])
		for _, who := range people {
			for _, text := range []string{who.Name, who.UPN, who.About} {
				require.Contains(t, string(page.body), text)
			}
		}
		require.Contains(t, string(page.body), "simulated tenant")
		require.Contains(t, string(page.body), "Nothing here is real")

		policy := page.header.Get("Content-Security-Policy")
		style := styles.FindSubmatch(page.body)
		require.NotNil(t, style)
		sum := sha256.Sum256(style[1])
		require.Contains(t, policy, "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
		require.Contains(t, policy, "default-src 'none'")
		require.NotContains(t, policy, "unsafe")
		require.NotRegexp(t, `(?i)<script|<form|\son[a-z]+=|\sstyle=`, string(page.body))
		require.Equal(t, "no-store", page.header.Get("Cache-Control"))
	})
}

func TestPagesDoNotDependOnTheHost(t *testing.T) {
	v := visit(t, newTenant(t, Options{}))
	for _, path := range []string{"/oauth2/v2.0/authorize?" + v.question().Encode(), "/v2.0/.well-known/openid-configuration", "/discovery/v2.0/keys"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.base+path, nil)
		require.NoError(t, err)
		r.Host = "elsewhere.example"
		got := v.do(r)
		require.Equal(t, 200, got.status)
		require.NotContains(t, string(got.body), "elsewhere")
		require.NotContains(t, string(got.body), strings.TrimPrefix(v.origin, "http://"))
	}
	doc := v.fetch(v.base + "/v2.0/.well-known/openid-configuration").json(t)
	require.Equal(t, "https://login.microsoftonline.com/"+v.tenant.TenantID()+"/oauth2/v2.0/token", doc["token_endpoint"])
}

func TestSignInServesNothingElse(t *testing.T) {
	tenant := newTenant(t, Options{})
	v, whole := visit(t, tenant), dial(t, tenant)
	tenant.SetSecret("x", "y")
	token := whole.token("https://graph.microsoft.com")
	for _, path := range []string{
		"/v1.0/auditLogs/directoryAudits", "/beta/auditLogs/signIns", "/v1.0/users/x/getMemberObjects", "/secrets/x?api-version=7.4",
		"/api/v1.0/" + tenant.TenantID() + "/activity/feed/subscriptions/list", "/" + tenant.TenantID() + "/oauth2/token", "/",
		"/common/discovery/instance",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r, err := http.NewRequestWithContext(t.Context(), method, v.origin+path, strings.NewReader("{}"))
			require.NoError(t, err)
			r.Header.Set("Authorization", "Bearer "+token)
			require.GreaterOrEqual(t, v.do(r).status, 400, "%s %s", method, path)
		}
	}
	require.Equal(t, 200, whole.get("/v1.0/auditLogs/directoryAudits").status, "what is refused there is served here")
	for _, scope := range []string{"https://graph.microsoft.com/.default", tenant.ClientID() + "/.default"} {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {tenant.ClientID()}, "client_secret": {tenant.ClientSecret()}, "scope": {scope}}
		require.Equal(t, 200, whole.form("/"+tenant.TenantID()+"/oauth2/v2.0/token", form).status)
		require.GreaterOrEqual(t, v.redeem(form).status, 400)
		form.Del("client_secret")
		require.Equal(t, "unsupported_grant_type", v.redeem(form).json(t)["error"])
	}
}

func TestWhatIsToldOnAPage(t *testing.T) {
	everywhere(t, Options{}, func(t *testing.T, v *visitor) {
		v.tenant.AllowRedirect("https://aoc.example/back")
		for _, tt := range []struct{ key, value, code string }{
			{"client_id", "cafe", "AADSTS700016"},
			{"client_id", "", "AADSTS900144"},
			{"redirect_uri", "", "AADSTS900971"},
			{"redirect_uri", "https://evil.example/", "AADSTS50011"},
			{"redirect_uri", "https://aoc.example/back/", "AADSTS50011"},
			{"redirect_uri", "https://aoc.example/back#x", "AADSTS50011"},
			{"redirect_uri", "http://127.0.0.1.evil.example/", "AADSTS50011"},
			{"redirect_uri", "http://127.0.0.1:80@evil.example/", "AADSTS50011"},
			{"redirect_uri", "http://127.0.0.1:80\\@evil.example/", "AADSTS50011"},
			{"redirect_uri", "http://localhost\\.evil.example/", "AADSTS50011"},
			{"redirect_uri", "http://user@localhost/", "AADSTS50011"},
			{"redirect_uri", "https://localhost/", "AADSTS50011"},
			{"redirect_uri", "http:127.0.0.1/", "AADSTS50011"},
			{"redirect_uri", "//127.0.0.1/", "AADSTS50011"},
			{"redirect_uri", "javascript:alert(1)", "AADSTS50011"},
			{"redirect_uri", "http://192.0.2.1/<script>", "AADSTS50011"},
		} {
			got := v.fetch(v.authorizeURL(tt.key, tt.value))
			require.Equal(t, 400, got.status, tt.value)
			require.Contains(t, string(got.body), tt.code, tt.value)
			require.Empty(t, got.header.Get("Location"))
			require.Contains(t, got.header.Get("Content-Security-Policy"), "default-src 'none'")
			require.NotContains(t, string(got.body), "<script")
		}
		double := v.fetch(v.authorizeURL() + "&redirect_uri=https://evil.example/")
		require.Contains(t, string(double.body), "AADSTS9000411")
		for tenant, code := range map[string]string{"nobody.example": "AADSTS90002", "common": "AADSTS50194"} {
			for _, path := range []string{"authorize", "choose", "logout"} {
				got := v.fetch(v.origin + "/" + tenant + "/oauth2/v2.0/" + path + "?" + v.question().Encode())
				require.Equal(t, 400, got.status)
				require.Contains(t, string(got.body), code)
			}
		}
		for _, good := range []string{"http://127.0.0.1:1/a/b?c=d", "http://localhost:65535/", "http://localhost", "https://aoc.example/back"} {
			require.Equal(t, 200, v.fetch(v.authorizeURL("redirect_uri", good)).status, good)
		}
	})
}

func TestWhatIsToldToTheApplication(t *testing.T) {
	v := visit(t, newTenant(t, Options{}))
	for _, tt := range []struct{ key, value, code, number string }{
		{"response_type", "", "invalid_request", "900144"},
		{"response_type", "token", "unsupported_response_type", "700051"},
		{"response_type", "code id_token", "unsupported_response_type", "700051"},
		{"response_mode", "form_post", "invalid_request", "90023"},
		{"scope", "", "invalid_request", "900144"},
		{"scope", "openid User.Read", "invalid_scope", "70011"},
		{"scope", "api://another/access_as_user", "invalid_scope", "70011"},
		{"scope", v.tenant.ClientID() + "/write_everything", "invalid_scope", "70011"},
		{"code_challenge", "", "invalid_request", "9002325"},
		{"code_challenge", "short", "invalid_request", "501491"},
		{"code_challenge_method", "", "invalid_request", "9002325"},
		{"code_challenge_method", "plain", "invalid_request", "9002325"},
		{"prompt", "none", "login_required", "50058"},
		{"prompt", "perhaps", "invalid_request", "90023"},
	} {
		got := v.fetch(v.authorizeURL(tt.key, tt.value))
		require.True(t, strings.HasPrefix(got.header.Get("Location"), backHere), "%s %s", tt.key, tt.value)
		answer := answered(t, got)
		require.Equal(t, tt.code, answer.Get("error"), "%s %s", tt.key, tt.value)
		require.Contains(t, answer.Get("error_description"), "AADSTS"+tt.number+": ")
		require.Contains(t, answer.Get("error_uri"), "code="+tt.number)
		require.Equal(t, "a state|é&=", answer.Get("state"))
		require.Empty(t, answer.Get("code"))
	}
	for _, prompt := range []string{"login", "select_account", "consent"} {
		require.Equal(t, 200, v.fetch(v.authorizeURL("prompt", prompt)).status)
	}
}

func TestChoosing(t *testing.T) {
	at := &clock{noon}
	v := visit(t, newTenant(t, Options{Now: at.now}))
	over := func(link string) {
		got := v.fetch(link)
		require.Equal(t, 400, got.status)
		require.Contains(t, string(got.body), "AADSTS165000")
		require.Empty(t, got.header.Get("Location"))
	}
	links := v.begin()
	require.Equal(t, http.StatusFound, v.fetch(links[0]).status)
	over(links[0]) // once
	over(links[1])
	over(v.base + "/oauth2/v2.0/choose?begun=1.made-up&person=" + v.tenant.SignInPeople()[0].ObjectID)

	links = v.begin()
	cancel := answered(t, v.fetch(links[len(links)-1]))
	require.Equal(t, "access_denied", cancel.Get("error"))
	require.Equal(t, "cancel", cancel.Get("error_subcode"))
	require.Equal(t, "a state|é&=", cancel.Get("state"))
	over(links[0])

	links = v.begin()
	stranger, _, _ := strings.Cut(links[0], "&person=")
	for _, who := range []string{"", newRequestID(), v.tenant.history.company.staff[engineer].id} {
		got := v.fetch(stranger + "&person=" + who)
		require.Equal(t, 400, got.status, "only those on the page")
		require.Contains(t, string(got.body), "AADSTS50034")
	}
	at.at = noon.Add(chooseWithin)
	over(links[0])
}

func TestSignOut(t *testing.T) {
	v := visit(t, newTenant(t, Options{}))
	out := func(query string) reply { return v.fetch(v.base + "/oauth2/v2.0/logout?" + query) }
	require.Equal(t, backHere+"?state=s", out("state=s&post_logout_redirect_uri="+backHere).header.Get("Location"))
	for _, query := range []string{"", "post_logout_redirect_uri=https://evil.example/", "id_token_hint=a.secret.token"} {
		got := out(query)
		require.Equal(t, 200, got.status, query)
		require.Empty(t, got.header.Get("Location"))
		require.Contains(t, string(got.body), "You signed out")
	}
	for _, call := range v.tenant.Log() {
		require.NotContains(t, call.Query, "secret")
	}
}

func TestTickets(t *testing.T) {
	var held tickets[int]
	first := held.hand(1, noon, noon.Add(time.Minute))
	for i := range maxTickets {
		held.hand(i, noon, noon.Add(time.Hour))
	}
	require.Len(t, held.held, maxTickets)
	_, state := held.look(first, noon)
	require.Equal(t, ticketUnknown, state, "what ends first made room")
	kept := held.hand(7, noon.Add(3*time.Hour), noon.Add(4*time.Hour))
	require.Len(t, held.held, 1, "what ended is forgotten")
	v, state := held.look(kept, noon.Add(3*time.Hour))
	require.Equal(t, 7, v)
	require.Equal(t, ticketGood, state)
}
