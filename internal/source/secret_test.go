package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/stretchr/testify/require"
)

// kept is a secret that another place keeps.
type kept struct {
	mu              sync.Mutex
	seen, there     string // what is known here, and what the place has
	err, renewErr   error
	asked, renewals int
}

func (k *kept) Value(context.Context) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	return k.seen, k.err
}

func (k *kept) Renew(context.Context) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.renewals++
	k.seen = k.there
	return k.seen, k.renewErr
}

// entra takes one secret, which can be changed, and counts what was sent.
type entra struct {
	mu      sync.Mutex
	takes   string
	refuses string // the code of a wrong secret, "" AADSTS7000215
	sent    []string
}

func (e *entra) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	secret := r.FormValue("client_secret")
	e.sent = append(e.sent, secret)
	if secret == e.takes {
		answer(200, fmt.Sprintf(`{"token_type":"Bearer","expires_in":3599,"access_token":"t%d"}`, len(e.sent)))(w, r)
		return
	}
	code := e.refuses
	if code == "" {
		code = "AADSTS7000215"
	}
	answer(401, `{"error":"invalid_client","error_description":"`+code+`: Invalid client secret provided. `+secret+`"}`)(w, r)
}

func rotatingOf(t *testing.T, e *entra, secret Secret) *tokens {
	t.Helper()
	origin, transport, _ := authority(t, e.ServeHTTP)
	c, err := NewCredential(CredentialConfig{TenantID: testTenant, ClientID: "client", Secret: secret, AuthorityHost: origin, Transport: transport})
	require.NoError(t, err)
	return newTokens(c)
}

const graphScope = "https://graph.microsoft.com/.default"

func TestASecretThatChangesIsTakenUp(t *testing.T) {
	e := &entra{takes: "old-secret-canary"}
	k := &kept{seen: "old-secret-canary", there: "old-secret-canary"}
	tokens := rotatingOf(t, e, k)
	require.Zero(t, k.asked, "nothing is read at the start")
	get := func(want string) {
		t.Helper()
		token, err := tokens.get(t.Context(), graphScope)
		require.NoError(t, err)
		require.Equal(t, want, token)
	}
	get("t1")
	get("t1")
	require.Equal(t, 1, k.asked, "only where a token is needed")

	// The new secret is seen in its own time: nothing is refused on the way.
	k.seen, e.takes = "new-secret-canary", "new-secret-canary"
	tokens.kept[graphScope] = near(tokens, graphScope)
	get("t2")
	require.Equal(t, []string{"old-secret-canary", "new-secret-canary"}, e.sent)
	require.Zero(t, k.renewals)

	// It is refused before it was seen: it is looked for at once.
	k.there, e.takes = "third-secret-canary", "third-secret-canary"
	require.NoError(t, tokens.refuse(t.Context(), graphScope, "t2"))
	get("t4")
	require.Equal(t, []string{"old-secret-canary", "new-secret-canary", "new-secret-canary", "third-secret-canary"}, e.sent)
	require.Equal(t, 1, k.renewals)
}

// near is the kept token of a scope, a minute before its end.
func near(t *tokens, scope string) (token azcore.AccessToken) {
	token = t.kept[scope]
	token.ExpiresOn = time.Now().Add(time.Minute)
	return token
}

func TestASecretThatExpiredIsLookedForToo(t *testing.T) {
	for _, code := range []string{"AADSTS7000222", "no number"} {
		e := &entra{takes: "new", refuses: code}
		k := &kept{seen: "old", there: "new"}
		_, err := rotatingOf(t, e, k).get(t.Context(), graphScope)
		require.NoError(t, err)
		require.Equal(t, []string{"old", "new"}, e.sent)
	}
}

// TestAWrongSecretIsTriedOnce: Entra counts wrong secrets.
func TestAWrongSecretIsTriedOnce(t *testing.T) {
	e := &entra{takes: "another"}
	k := &kept{seen: "wrong-secret-canary", there: "wrong-secret-canary"}
	_, err := rotatingOf(t, e, k).get(t.Context(), graphScope)
	var refusal *APIError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "AADSTS7000215", refusal.Code)
	require.Equal(t, 1, k.renewals)
	require.Len(t, e.sent, 1, "the same secret is not sent again")

	k.there = "wrong-too-canary"
	_, err = rotatingOf(t, e, k).get(t.Context(), graphScope)
	require.ErrorAs(t, err, &refusal)
	require.Len(t, e.sent, 3, "another is, once")
	noCanary(t, fmt.Sprintf("%v %+v %#v", err, err, err))

	k.seen, k.renewErr = "wrong-secret-canary", errors.New("out of reach")
	_, err = rotatingOf(t, e, k).get(t.Context(), graphScope)
	require.ErrorAs(t, err, &refusal, "what Entra said is what matters")
}

func TestOtherRefusalsAskForNoOtherSecret(t *testing.T) {
	e := &entra{takes: "another", refuses: "AADSTS700016"}
	k := &kept{seen: "old", there: "new"}
	_, err := rotatingOf(t, e, k).get(t.Context(), graphScope)
	require.ErrorContains(t, err, "AADSTS700016")
	require.Zero(t, k.renewals)
}

func TestNoSecretIsSaid(t *testing.T) {
	e, k := new(entra), &kept{err: errors.New("the Key Vault v has no secret aoc-client-secret")}
	tokens := rotatingOf(t, e, k)
	_, err := tokens.get(t.Context(), graphScope)
	require.EqualError(t, err, "read the client secret: the Key Vault v has no secret aoc-client-secret")
	require.ErrorIs(t, err, k.err)
	require.Equal(t, audit.Check{
		State:  audit.CheckFailed,
		Found:  "The client secret cannot be read: the Key Vault v has no secret aoc-client-secret",
		Advice: "Mend what is named there and check again: the secret is looked for again at every sign-in.",
	}, explainLogin(err).on(audit.Check{}))
	k.err = nil
	_, err = tokens.get(t.Context(), graphScope)
	require.ErrorContains(t, err, "read the client secret: ", "an empty one is none")
	require.Empty(t, e.sent)
}

// TestNoWayOfPrintingShowsTheSecret: a credential and what it is made of end up
// in logs and failed tests.
func TestNoWayOfPrintingShowsTheSecret(t *testing.T) {
	const secret = "print-secret-canary"
	e := &entra{takes: secret}
	origin, transport, _ := authority(t, e.ServeHTTP)
	cfg := CredentialConfig{TenantID: testTenant, ClientID: "client", ClientSecret: secret, AuthorityHost: origin, Transport: transport}
	c, err := NewCredential(cfg)
	require.NoError(t, err)
	_, err = c.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graphScope}})
	require.NoError(t, err)
	client := open(t, "https://stub.example", transport, func(cfg *Config) {
		cfg.Credential, cfg.Webhook = c, Webhook{"https://a", func(context.Context) (string, error) { return "hook-canary", nil }}
	})
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(h).InfoContext(t.Context(), "x", "config", cfg, "pointer", &cfg, "credential", c, "source", Config{Credential: c})
	}
	inner := c.(*rotating).kept
	for _, thing := range []any{cfg, &cfg, c, Config{Credential: c}, &Config{Credential: c, Webhook: Webhook{"https://a", func(context.Context) (string, error) { return "hook-canary", nil }}}, inner, *inner, client, c.(*rotating).secret, []any{c, cfg}, newTokens(c), map[string]any{"c": c, "cfg": cfg}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			fmt.Fprintf(&log, verb+"\n", thing)
		}
	}
	for _, thing := range []any{cfg, &cfg, inner} {
		text, err := json.Marshal(thing)
		require.NoError(t, err)
		log.Write(text)
	}
	noCanary(t, log.String())
	require.Contains(t, log.String(), `the client "client" of the tenant`)
	require.Contains(t, CredentialConfig{}.String(), "no secret")
}

func noCanary(t *testing.T, text string) {
	t.Helper()
	require.NotContains(t, text, "canary")
}
