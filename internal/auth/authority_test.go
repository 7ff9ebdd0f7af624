package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	tenantID = "3f2c1d4e-0a9b-4c8d-9e7f-6a5b4c3d2e1f"
	clientID = "7d6e5f40-1b2c-4d3e-8f9a-0b1c2d3e4f50"
	appID    = "b1c2d3e4-f506-4a1b-9c8d-7e6f5a4b3c2d"
	personID = "0f1e2d3c-4b5a-4968-8776-655443322110"
	otherID  = "9188040d-6c67-4c5b-b112-36a304b66dad"
	origin1  = "https://login.microsoftonline.com"
	issuer1  = "https://sts.windows.net/" + tenantID + "/"
	issuer2  = "https://login.microsoftonline.com/" + tenantID + "/v2.0"
)

// material is a few RSA keys: making one takes long.
var material = sync.OnceValue(func() (keys [4]*rsa.PrivateKey) {
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

// published is a key as the authority tells it.
type published struct {
	kid    string
	key    *rsa.PublicKey
	issuer string         // "" is not told
	extra  map[string]any // over the rest
}

func (p published) json() map[string]any {
	m := map[string]any{
		"kty": "RSA", "use": "sig", "kid": p.kid, "x5t": p.kid,
		"n": base64.RawURLEncoding.EncodeToString(p.key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(p.key.E)).Bytes()),
	}
	if p.issuer != "" {
		m["issuer"] = p.issuer
	}
	maps.Copy(m, p.extra)
	return m
}

// authority is a token service, in memory or behind a server.
type authority struct {
	mu      sync.Mutex
	origin  string
	issuers [2]string
	jwksURI [2]string // "" is where they are
	keys    [2][]published
	calls   map[string][]time.Time
	down    bool
	slow    time.Duration
	answer  func(path string) *http.Response // nil or nil: as usual
}

// newAuthority has key 0 under the kid "first" in both editions.
func newAuthority() *authority {
	a := &authority{origin: origin1, issuers: [2]string{issuer1, issuer2}, calls: map[string][]time.Time{}}
	a.publish(published{kid: "first", key: &material()[0].PublicKey})
	return a
}

// publish replaces the keys of both editions. Those of v2.0 say whose they are.
func (a *authority) publish(keys ...published) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys = [2][]published{}
	for _, k := range keys {
		a.keys[v1] = append(a.keys[v1], k)
		if k.issuer == "" {
			k.issuer = origin1 + "/{tenantid}/v2.0"
		}
		a.keys[v2] = append(a.keys[v2], k)
	}
}

func (a *authority) set(change func(*authority)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

// fetches returns when the keys of an edition were asked for.
func (a *authority) fetches(e edition) []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]time.Time(nil), a.calls[keysPath(e)]...)
}

func (a *authority) total() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.calls {
		n += len(c)
	}
	return n
}

func keysPath(e edition) string {
	if e == v1 {
		return "/" + tenantID + "/discovery/keys"
	}
	return "/" + tenantID + "/discovery/v2.0/keys"
}

func (a *authority) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.calls[r.URL.Path] = append(a.calls[r.URL.Path], time.Now())
	down, slow, answer := a.down, a.slow, a.answer
	a.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if down {
		return nil, io.ErrUnexpectedEOF
	}
	if answer != nil {
		if resp := answer(r.URL.Path); resp != nil {
			resp.Request = r
			return resp, nil
		}
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Result(), nil
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for e := range a.keys {
		path := "/" + tenantID + [...]string{"", "/v2.0"}[e] + "/.well-known/openid-configuration"
		switch r.URL.Path {
		case path:
			uri := a.jwksURI[e]
			if uri == "" {
				uri = a.origin + keysPath(edition(e))
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": a.issuers[e], "jwks_uri": uri})
			return
		case keysPath(edition(e)):
			keys := []any{}
			for _, k := range a.keys[e] {
				keys = append(keys, k.json())
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
			return
		}
	}
	http.NotFound(w, r)
}

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

func verifier(t testing.TB, a *authority, changes ...func(*Config)) *Verifier {
	c := Config{TenantID: tenantID, ClientID: clientID, Transport: a, Log: slog.New(slog.DiscardHandler)}
	for _, change := range changes {
		change(&c)
	}
	v, err := New(c)
	require.NoError(t, err)
	return v
}

// fields is an ordered-free JSON object; leave removes a member.
type fields map[string]any

var leave = new(int)

func (f fields) with(changes fields) fields {
	out := maps.Clone(f)
	for k, v := range changes {
		if v == leave {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
}

func (f fields) json() string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(f); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

func goodHeader() fields { return fields{"alg": "RS256", "typ": "JWT", "kid": "first", "x5t": "first"} }

// person are the claims of somebody's v2.0 token.
func person() fields {
	now := time.Now().Unix()
	return fields{
		"ver": "2.0", "iss": issuer2, "tid": tenantID, "aud": clientID, "azp": appID, "azpacr": "0",
		"oid": personID, "sub": "Pairwise-Subject", "scp": "access_as_user", "name": "Ada Example",
		"preferred_username": "ada@example.com", "sid": "5c1f", "uti": "u-1",
		"iat": now, "nbf": now, "exp": now + 3600,
	}
}

// person1 are those of a v1.0 token.
func person1() fields {
	return person().with(fields{
		"ver": "1.0", "iss": issuer1, "aud": "api://" + clientID, "azp": leave, "azpacr": leave, "appid": appID,
		"preferred_username": leave, "upn": "ada@example.com", "unique_name": "ada@example.com",
	})
}

// robot are those of an app's token.
func robot() fields {
	return person().with(fields{"scp": leave, "name": leave, "preferred_username": leave, "sid": leave, "roles": []string{"Reader"}})
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign makes a token of any two texts with RS256, whatever the header says.
func sign(header, payload string, key *rsa.PrivateKey) string {
	input := b64(header) + "." + b64(payload)
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(string(sig))
}

// mint makes a token that is signed with the key "first".
func mint(claims fields) string {
	return sign(goodHeader().json(), claims.json(), material()[0])
}

func mintKid(kid string, key int, claims fields) string {
	return sign(goodHeader().with(fields{"kid": kid, "x5t": leave}).json(), claims.json(), material()[key])
}

func authenticate(v *Verifier, token string) error {
	_, err := v.Authenticate(context.Background(), []string{"Bearer " + token})
	return err
}
