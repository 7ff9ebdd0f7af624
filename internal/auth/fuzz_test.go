package auth

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzAuthenticate: whatever is sent without the key's signature is refused,
// with one of the sentinels, and nothing panics.
func FuzzAuthenticate(f *testing.F) {
	v := verifier(f, newAuthority())
	head, claims := goodHeader().json(), person().json()
	f.Add(head, claims, []byte("signature"), "Bearer ")
	f.Add(head, person1().json(), []byte(strings.Repeat("\x00", 256)), "bearer ")
	f.Add(`{"alg":"none"}`, `{"tid":"","tid":""}`, []byte{}, "Basic ")
	f.Add(`{"alg":"RS256","kid":"..","crit":[]}`, strings.Repeat("[", 40), []byte{1}, "")
	f.Add(head, robot().with(fields{"exp": 1e300}).json(), []byte("x"), "Bearer  ")
	f.Fuzz(func(t *testing.T, header, payload string, signature []byte, scheme string) {
		for _, sent := range []string{
			scheme + b64(header) + "." + b64(payload) + "." + b64(string(signature)),
			scheme + header + "." + payload + "." + string(signature), "Bearer " + header,
		} {
			p, err := v.Authenticate(context.Background(), []string{sent})
			if err == nil || p.ObjectID != "" {
				t.Fatalf("accepted %q", sent)
			}
			if !errors.Is(err, ErrBadToken) && !errors.Is(err, ErrNoToken) {
				t.Fatalf("neither sentinel: %v", err)
			}
			if c := v.Challenge(err); !strings.HasPrefix(c, "Bearer") || strings.Count(c, `"`)%2 != 0 {
				t.Fatalf("challenge %q", c)
			}
		}
	})
}

// FuzzObject: what the strict reader takes, encoding/json reads alike.
func FuzzObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"b":[{"c":null}]}`, `{"a":1,"\u0061":2}`, `[1]`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}", `{"a":1}x`, `{"a":{"a":{"a":[[[[]]]]}}}`, `{"n":1e999}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := object([]byte(s))
		if err != nil {
			return
		}
		require.True(t, utf8.ValidString(s))
		d := json.NewDecoder(strings.NewReader(s))
		d.UseNumber()
		var want map[string]any
		require.NoError(t, d.Decode(&want))
		_, err = d.Token()
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, want, got)
	})
}

// FuzzKeys: whatever the authority answers, nothing panics and nobody is let in.
func FuzzKeys(f *testing.F) {
	f.Add(`{"keys":[{"kty":"RSA","kid":"first","n":"AQAB","e":"AQAB"}]}`)
	f.Add(`{"keys":[{"kty":"RSA","kid":"first","n":"","e":"////////////"},null,1]}`)
	f.Add(`{"issuer":"https://x/","jwks_uri":"https://x"}`)
	token := mint(person())
	f.Fuzz(func(t *testing.T, body string) {
		a := newAuthority()
		a.answer = func(path string) *http.Response {
			if strings.HasSuffix(path, "/keys") {
				return reply(http.StatusOK, body)
			}
			return nil
		}
		if authenticate(verifier(t, a), token) == nil {
			t.Fatalf("accepted with the keys %q", body)
		}
	})
}
