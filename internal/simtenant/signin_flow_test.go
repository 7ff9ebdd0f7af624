package simtenant

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

const (
	proof    = "a-verifier-that-is-long-enough-to-be-one-0123456789"
	backHere = "http://127.0.0.1:7071/"
)

// visitor is a browser in front of a tenant. It follows no redirect.
type visitor struct {
	*caller
	base string // origin, prefix and tenant
}

// visit mounts SignIn under a prefix of a plain origin.
func visit(t *testing.T, tenant *Tenant) *visitor {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/simulated-tenant/", http.StripPrefix("/simulated-tenant", tenant.SignIn()))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c := &caller{t, tenant, server.Client(), server.URL + "/simulated-tenant", map[string]string{}}
	return newVisitor(c)
}

func newVisitor(c *caller) *visitor {
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &visitor{c, c.origin + "/" + c.tenant.TenantID()}
}

// everywhere runs a test against the mounted endpoints and the whole tenant.
func everywhere(t *testing.T, o Options, test func(t *testing.T, v *visitor)) {
	t.Run("mounted", func(t *testing.T) { test(t, visit(t, newTenant(t, o))) })
	t.Run("whole", func(t *testing.T) { test(t, newVisitor(dial(t, newTenant(t, o)))) })
}

func with(values url.Values, change ...string) url.Values {
	for i := 0; i < len(change); i += 2 {
		values.Del(change[i])
		if change[i+1] != "" {
			values.Set(change[i], change[i+1])
		}
	}
	return values
}

// question is what MSAL sends to begin a sign-in.
func (v *visitor) question(change ...string) url.Values {
	sum := sha256.Sum256([]byte(proof))
	return with(url.Values{
		"client_id": {v.tenant.ClientID()}, "redirect_uri": {backHere}, "response_type": {"code"}, "response_mode": {"fragment"},
		"scope": {"api://" + v.tenant.ClientID() + "/access_as_user openid profile offline_access"},
		"state": {"a state|é&="}, "nonce": {"n-1"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
		"code_challenge_method": {"S256"}, "client_info": {"1"},
	}, change...)
}

// fetch makes a request as it stands, without a token.
func (v *visitor) fetch(link string) reply {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, link, nil)
	require.NoError(v.t, err)
	resp, err := v.http.Do(r)
	require.NoError(v.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(v.t, err)
	return reply{resp.StatusCode, resp.Header, body, nil}
}

func (v *visitor) authorizeURL(change ...string) string {
	return v.base + "/oauth2/v2.0/authorize?" + v.question(change...).Encode()
}

var hrefs = regexp.MustCompile(`href="([^"]*)"`)

// links are the addresses of a page's links, in their order.
func (v *visitor) links(page reply, at string) []string {
	v.t.Helper()
	base, err := url.Parse(at)
	require.NoError(v.t, err)
	var out []string
	for _, m := range hrefs.FindAllStringSubmatch(string(page.body), -1) {
		link, err := base.Parse(html.UnescapeString(m[1]))
		require.NoError(v.t, err)
		out = append(out, link.String())
	}
	return out
}

// begin opens the page and returns its links.
func (v *visitor) begin(change ...string) []string {
	v.t.Helper()
	at := v.authorizeURL(change...)
	page := v.fetch(at)
	require.Equal(v.t, 200, page.status, "%s", page.body)
	return v.links(page, at)
}

// answered reads what an application gets back.
func answered(t *testing.T, got reply) url.Values {
	t.Helper()
	require.Equal(t, http.StatusFound, got.status, "%s", got.body)
	to, err := url.Parse(got.header.Get("Location"))
	require.NoError(t, err)
	text := to.EscapedFragment()
	if text == "" {
		text = to.RawQuery
	}
	values, err := url.ParseQuery(text)
	require.NoError(t, err)
	return values
}

// code signs somebody in, by their place on the page.
func (v *visitor) code(place int, change ...string) string {
	v.t.Helper()
	code := answered(v.t, v.fetch(v.begin(change...)[place])).Get("code")
	require.NotEmpty(v.t, code)
	return code
}

func (v *visitor) redemption(code string, change ...string) url.Values {
	return with(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {v.tenant.ClientID()}, "code": {code}, "redirect_uri": {backHere},
		"code_verifier": {proof}, "client_info": {"1"},
		"scope": {"api://" + v.tenant.ClientID() + "/access_as_user openid profile offline_access"},
	}, change...)
}

func (v *visitor) redeem(values url.Values) reply {
	v.t.Helper()
	return v.form("/"+v.tenant.TenantID()+"/oauth2/v2.0/token", values)
}

// tokens signs somebody in and returns the answer.
func (v *visitor) tokens(place int) map[string]any {
	v.t.Helper()
	got := v.redeem(v.redemption(v.code(place)))
	require.Equal(v.t, 200, got.status, "%s", got.body)
	return got.json(v.t)
}

// publishedKeys reads the keys that anyone can read.
func (v *visitor) publishedKeys() map[string]*rsa.PublicKey {
	v.t.Helper()
	var set struct {
		Keys []struct{ Kid, N, E, Kty, Use, Issuer string }
	}
	require.NoError(v.t, json.Unmarshal(v.fetch(v.base+"/discovery/v2.0/keys").body, &set))
	out := map[string]*rsa.PublicKey{}
	for _, k := range set.Keys {
		n, err := base64.RawURLEncoding.DecodeString(k.N)
		require.NoError(v.t, err)
		e, err := base64.RawURLEncoding.DecodeString(k.E)
		require.NoError(v.t, err)
		require.Equal(v.t, "https://login.microsoftonline.com/"+v.tenant.TenantID()+"/v2.0", k.Issuer)
		out[k.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	}
	return out
}

// verified checks a token as an API would, and returns its claims.
func (v *visitor) verified(token any) (jwt.MapClaims, error) {
	v.t.Helper()
	keys := v.publishedKeys()
	parsed, err := jwt.Parse(token.(string), func(tok *jwt.Token) (any, error) {
		key, ok := keys[tok.Header["kid"].(string)]
		if !ok {
			return nil, errors.New("that key is not published")
		}
		return key, nil
	}, jwt.WithTimeFunc(v.tenant.now), jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired())
	if err != nil {
		return nil, err
	}
	return parsed.Claims.(jwt.MapClaims), nil
}

func (v *visitor) claims(token any) jwt.MapClaims {
	v.t.Helper()
	claims, err := v.verified(token)
	require.NoError(v.t, err)
	return claims
}

func TestSignInAsEverybody(t *testing.T) {
	everywhere(t, Options{}, func(t *testing.T, v *visitor) {
		id, client := v.tenant.TenantID(), v.tenant.ClientID()
		for place, who := range v.tenant.SignInPeople() {
			back := v.fetch(v.begin()[place])
			require.True(t, strings.HasPrefix(back.header.Get("Location"), backHere+"#"))
			answer := answered(t, back)
			require.Equal(t, "a state|é&=", answer.Get("state"))
			require.NotEmpty(t, answer.Get("session_state"))
			got := v.redeem(v.redemption(answer.Get("code"))).json(t)

			require.Equal(t, "Bearer", got["token_type"])
			require.Equal(t, "api://"+client+"/access_as_user", got["scope"])
			require.EqualValues(t, 3599, got["expires_in"])
			require.NotEmpty(t, got["refresh_token"])
			require.Equal(t, answer.Get("client_info"), got["client_info"])
			info, err := base64.RawURLEncoding.DecodeString(answer.Get("client_info"))
			require.NoError(t, err)
			require.JSONEq(t, `{"uid":"`+who.ObjectID+`","utid":"`+id+`"}`, string(info))

			for name, token := range map[string]any{"access": got["access_token"], "id": got["id_token"]} {
				claims := v.claims(token)
				require.Equal(t, client, claims["aud"], name)
				require.Equal(t, "https://login.microsoftonline.com/"+id+"/v2.0", claims["iss"])
				require.Equal(t, "2.0", claims["ver"])
				require.Equal(t, id, claims["tid"])
				require.Equal(t, who.ObjectID, claims["oid"])
				require.Equal(t, who.UPN, claims["preferred_username"])
				require.Equal(t, who.Name, claims["name"])
				require.NotContains(t, claims, "groups")
				if who.Roles == nil {
					require.NotContains(t, claims, "roles")
				} else {
					require.ElementsMatch(t, who.Roles, claims["roles"])
				}
			}
			access, identity := v.claims(got["access_token"]), v.claims(got["id_token"])
			require.Equal(t, "access_as_user", access["scp"])
			require.Equal(t, client, access["azp"])
			require.Equal(t, "n-1", identity["nonce"])
			require.NotContains(t, access, "nonce")
			require.NotContains(t, identity, "scp")
			require.Equal(t, access["sub"], identity["sub"])
		}
	})
}

func TestTheFormOfScopesIsKept(t *testing.T) {
	v := visit(t, newTenant(t, Options{}))
	client := v.tenant.ClientID()
	for asked, granted := range map[string]string{
		client + "/access_as_user openid":           client + "/access_as_user",
		"api://" + client + "/.default openid":      "api://" + client + "/.default api://" + client + "/access_as_user",
		"openid profile offline_access":             "openid profile email",
		"email api://" + client + "/access_as_user": "api://" + client + "/access_as_user",
	} {
		got := v.redeem(v.redemption(v.code(0, "scope", asked), "scope", "")).json(t)
		require.Equal(t, granted, got["scope"], asked)
		require.Equal(t, strings.Contains(asked, "openid"), got["id_token"] != nil, asked)
		require.Equal(t, strings.Contains(asked, "offline"), got["refresh_token"] != nil, asked)
		own := strings.Contains(asked, client)
		require.Equal(t, own, v.claims(got["access_token"])["aud"] == client, "a token of OpenID Connect alone is Graph's")
	}
}

func TestQueryAnswers(t *testing.T) {
	v := visit(t, newTenant(t, Options{}))
	v.tenant.AllowRedirect("https://aoc.example/back?x=1", "https://aoc.example/plain")
	for redirect, prefix := range map[string]string{
		"https://aoc.example/back?x=1": "https://aoc.example/back?x=1&",
		"https://aoc.example/plain":    "https://aoc.example/plain?",
	} {
		for _, mode := range []string{"", "query"} {
			got := v.fetch(v.begin("redirect_uri", redirect, "response_mode", mode)[0])
			require.True(t, strings.HasPrefix(got.header.Get("Location"), prefix), got.header.Get("Location"))
			require.NotContains(t, got.header.Get("Location"), "#")
			code := answered(t, got).Get("code")
			require.Equal(t, 200, v.redeem(v.redemption(code, "redirect_uri", redirect)).status)
		}
	}
}
