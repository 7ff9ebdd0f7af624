package source

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/stretchr/testify/require"
)

// azure is the environment of a program there: a token endpoint, and the
// managed identities of App Service and Functions.
type azure struct {
	origin    string
	transport *http.Transport
	identity  []url.Values // what the identity endpoint was asked
	token     []url.Values // what the token endpoint was asked
	refuse    string       // a token endpoint's answer, "" is a token
}

// inAzure sets Azure's variables, which are those of a machine without any
// identity but for what is given. What each identity was given is kept by the
// SDK for the whole process, so every test has ids of its own.
func inAzure(t *testing.T, env map[string]string) *azure {
	t.Helper()
	a := new(azure)
	a.origin, a.transport, _ = authority(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			a.identityToken(t, w, r)
			return
		}
		require.NoError(t, r.ParseForm())
		a.token = append(a.token, r.PostForm)
		if a.refuse != "" {
			answer(401, a.refuse)(w, r)
			return
		}
		answer(200, `{"token_type":"Bearer","expires_in":3599,"access_token":"of `+r.PostForm.Get("client_id")+`"}`)(w, r)
	})
	for _, name := range []string{
		"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE",
		"AZURE_TOKEN_CREDENTIALS", "AZURE_AUTHORITY_HOST", "MSI_ENDPOINT", "MSI_SECRET", "IDENTITY_SERVER_THUMBPRINT",
	} {
		unset(t, name)
	}
	t.Setenv("IDENTITY_ENDPOINT", a.origin+"/msi/token")
	t.Setenv("IDENTITY_HEADER", "header-canary")
	for name, value := range env {
		t.Setenv(name, value)
	}
	return a
}

// identityToken answers as App Service does. [How to use managed identities for
// App Service and Azure Functions: REST endpoint reference]
func (a *azure) identityToken(t *testing.T, w http.ResponseWriter, r *http.Request) {
	require.Equal(t, "header-canary", r.Header.Get("X-Identity-Header"))
	q := r.URL.Query()
	a.identity = append(a.identity, q)
	id := q.Get("client_id")
	if id == "unassigned" {
		answer(400, `{"statusCode":400,"message":"No User Assigned or Delegated Managed Identity found for specified ClientId"}`)(w, r)
		return
	}
	answer(200, fmt.Sprintf(`{"access_token":"identity %s","expires_on":"%d","resource":%q,"token_type":"Bearer","client_id":%q}`,
		id, time.Now().Add(24*time.Hour).Unix(), q.Get("resource"), id))(w, r)
}

// unset removes a variable until the test's end: azidentity tells absent from empty.
func unset(t *testing.T, name string) {
	t.Helper()
	t.Setenv(name, "")
	require.NoError(t, os.Unsetenv(name))
}

func (a *azure) credential(t *testing.T, clientID string) azcore.TokenCredential {
	t.Helper()
	c, err := NewCredential(CredentialConfig{TenantID: testTenant, ClientID: clientID, AuthorityHost: a.origin, Transport: a.transport})
	require.NoError(t, err)
	require.Empty(t, slices.Concat(a.identity, a.token), "nobody is called at the start")
	return c
}

func tokenFrom(t *testing.T, c azcore.TokenCredential) string {
	t.Helper()
	token, err := c.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graphScope}})
	require.NoError(t, err)
	return token.Token
}

func TestAManagedIdentitySignsInByItself(t *testing.T) {
	for name, tt := range map[string]struct {
		env            map[string]string
		clientID, want string
	}{
		"one of several":         {map[string]string{"AZURE_CLIENT_ID": "mi-1"}, "", "mi-1"},
		"the same as CLIENT_ID":  {map[string]string{"AZURE_CLIENT_ID": "mi-2"}, "MI-2", "mi-2"},
		"the app's own, unnamed": {nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := inAzure(t, tt.env)
			require.Equal(t, "identity "+tt.want, tokenFrom(t, a.credential(t, tt.clientID)))
			require.Equal(t, tt.want, a.identity[0].Get("client_id"))
			require.Equal(t, "https://graph.microsoft.com", a.identity[0].Get("resource"))
			require.Empty(t, a.token)
		})
	}
}

// TestAManagedIdentityProvesAnApp: an identity has its own tenant only, an app
// that trusts it signs in to others.
func TestAManagedIdentityProvesAnApp(t *testing.T) {
	a := inAzure(t, map[string]string{"AZURE_CLIENT_ID": "mi-3"})
	c := a.credential(t, "app-3")
	require.Equal(t, "of app-3", tokenFrom(t, c))
	require.Equal(t, "mi-3", a.identity[0].Get("client_id"))
	require.Equal(t, "api://AzureADTokenExchange", a.identity[0].Get("resource"))
	form := a.token[0]
	require.Equal(t, "identity mi-3", form.Get("client_assertion"))
	require.Equal(t, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", form.Get("client_assertion_type"))
	require.Equal(t, "app-3", form.Get("client_id"))
	require.Empty(t, form.Get("client_secret"))
	require.Contains(t, form.Get("scope"), graphScope)
}

func TestAnAppThatDoesNotTrustTheIdentityIsSaid(t *testing.T) {
	a := inAzure(t, map[string]string{"AZURE_CLIENT_ID": "mi-4"})
	a.refuse = `{"error":"invalid_client","error_description":"AADSTS700213: No matching federated identity record found for presented assertion subject 'x'."}`
	_, err := a.credential(t, "app-4").GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graphScope}})
	require.ErrorContains(t, err, "AADSTS700213")
	require.NotContains(t, err.Error(), "identity mi-4")
	verdict := explainLogin(err).on(audit.Check{})
	require.Contains(t, verdict.Found, "does not trust the identity")
	require.Contains(t, verdict.Advice, "api://AzureADTokenExchange")
}

func TestAnIdentityThatIsNotAssignedIsSaid(t *testing.T) {
	a := inAzure(t, map[string]string{"AZURE_CLIENT_ID": "unassigned"})
	_, err := a.credential(t, "app-5").GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graphScope}})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "header-canary")
	verdict := explainLogin(err).on(audit.Check{})
	require.Contains(t, verdict.Found, "The managed identity that AZURE_CLIENT_ID names")
	require.Contains(t, verdict.Advice, "Assign the identity")
}

func TestATokenOfThePlatformProvesAnApp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("platform-token"), 0o600))
	for name, tt := range map[string]struct{ platform, clientID, want, tenant string }{
		"the platform's own":       {"wi-1", "", "wi-1", testTenant},
		"the same as CLIENT_ID":    {"wi-2", "wi-2", "wi-2", testTenant},
		"another app, CLIENT_ID's": {"wi-3", "app-6", "app-6", testTenant},
	} {
		t.Run(name, func(t *testing.T) {
			a := inAzure(t, map[string]string{
				"AZURE_CLIENT_ID": tt.platform, "AZURE_TENANT_ID": "99999999-0000-0000-0000-000000000000", "AZURE_FEDERATED_TOKEN_FILE": file,
			})
			require.Equal(t, "of "+tt.want, tokenFrom(t, a.credential(t, tt.clientID)))
			require.Equal(t, "platform-token", a.token[0].Get("client_assertion"))
			require.Empty(t, a.identity)
		})
	}
}

// TestAnAppWithASecretOfItsOwnIsNoIdentity: then AZURE_CLIENT_ID is that app,
// as azidentity reads it.
func TestAnAppWithASecretOfItsOwnIsNoIdentity(t *testing.T) {
	a := inAzure(t, map[string]string{"AZURE_CLIENT_ID": "env-1", "AZURE_TENANT_ID": testTenant, "AZURE_CLIENT_SECRET": "env-canary"})
	require.Equal(t, "of env-1", tokenFrom(t, a.credential(t, "app-7")))
	require.Equal(t, "env-canary", a.token[0].Get("client_secret"))
	require.Empty(t, a.identity)
}

// TestASecretGoesBeforeAllIdentities: who sets one means it.
func TestASecretGoesBeforeAllIdentities(t *testing.T) {
	a := inAzure(t, map[string]string{"AZURE_CLIENT_ID": "mi-8"})
	c, err := NewCredential(CredentialConfig{TenantID: testTenant, ClientID: "app-8", ClientSecret: testSecret, Secret: &kept{err: http.ErrNotSupported}, AuthorityHost: a.origin, Transport: a.transport})
	require.NoError(t, err)
	require.Equal(t, "of app-8", tokenFrom(t, c))
	require.Equal(t, testSecret, a.token[0].Get("client_secret"))
	require.Empty(t, a.identity)
}

func TestWhatAnAssertionIsFor(t *testing.T) {
	for _, origin := range origins[Login] {
		u, err := url.Parse(origin)
		require.NoError(t, err)
		want := "api://AzureADTokenExchange/.default"
		switch {
		case strings.HasSuffix(origin, ".us"):
			want = "api://AzureADTokenExchangeUSGov/.default"
		case strings.HasSuffix(origin, ".cn"):
			want = "api://AzureADTokenExchangeChina/.default"
		}
		require.Equal(t, want, exchange(u), origin)
	}
}
