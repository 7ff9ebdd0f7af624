package source

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/stretchr/testify/require"
)

const testSecret = "s3cr3t-Value~of.the_app"

// authority is a token endpoint over TLS, trusted through a file.
func authority(t *testing.T, token http.HandlerFunc) (origin string, transport *http.Transport, requests *[]string) {
	t.Helper()
	requests = new([]string)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*requests = append(*requests, r.Method+" "+r.URL.Path)
		if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
			base := "https://" + r.Host + "/" + testTenant
			fmt.Fprintf(w, `{"issuer":"%[1]s/v2.0","authorization_endpoint":"%[1]s/oauth2/v2.0/authorize","token_endpoint":"%[1]s/oauth2/v2.0/token"}`, base)
			return
		}
		token(w, r)
	}))
	t.Cleanup(srv.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600))
	transport, err := NewTransport(file)
	require.NoError(t, err)
	t.Cleanup(transport.CloseIdleConnections)
	return srv.URL, transport, requests
}

func credentialOf(t *testing.T, token http.HandlerFunc) (azcore.TokenCredential, *[]string) {
	t.Helper()
	origin, transport, requests := authority(t, token)
	got, err := NewCredential(CredentialConfig{
		TenantID: testTenant, ClientID: "client", ClientSecret: testSecret, AuthorityHost: origin, Transport: transport,
	})
	require.NoError(t, err)
	return got, requests
}

func TestCredentialSignsInAtAStandIn(t *testing.T) {
	n := 0
	c, requests := credentialOf(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		require.Equal(t, "client_credentials", r.FormValue("grant_type"))
		require.Equal(t, testSecret, r.FormValue("client_secret"))
		require.Contains(t, r.FormValue("scope"), "https://manage.office.com/.default")
		answer(200, fmt.Sprintf(`{"token_type":"Bearer","expires_in":3599,"access_token":"t%d"}`, n))(w, r)
	})
	tokens := newTokens(c)
	const scope = "https://manage.office.com/.default"
	for range 3 {
		token, err := tokens.get(t.Context(), scope)
		require.NoError(t, err)
		require.Equal(t, "t1", token)
	}
	require.NoError(t, tokens.refuse(t.Context(), scope, "another"))
	token, err := tokens.get(t.Context(), scope)
	require.NoError(t, err)
	require.Equal(t, "t1", token, "only the token that was refused is dropped")
	require.NoError(t, tokens.refuse(t.Context(), scope, "t1"))
	token, err = tokens.get(t.Context(), scope)
	require.NoError(t, err)
	require.Equal(t, "t2", token, "the credential's own cache is passed by")
	require.Equal(t, "GET /"+testTenant+"/v2.0/.well-known/openid-configuration", (*requests)[0], "no instance discovery")
}

func TestCredentialErrorsAreInWordsAndHoldNoSecret(t *testing.T) {
	tests := map[string]struct {
		body, code, advice string
		status             int
	}{
		"wrong secret": {`{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. ` + testSecret + `\r\nTrace ID: 1","error_codes":[7000215]}`, "AADSTS7000215", "CLIENT_SECRET is wrong", 401},
		"expired":      {`{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys are expired."}`, "AADSTS7000222", "has expired", 401},
		"unknown app":  {`{"error":"unauthorized_client","error_description":"AADSTS700016: Application not found"}`, "AADSTS700016", "CLIENT_ID", 400},
		"something":    {`{"error":"invalid_request","error_description":"no"}`, "invalid_request", "Check TENANT_ID", 400},
		"HTML":         {`<html>` + testSecret, "", "Check TENANT_ID", 400},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := credentialOf(t, answer(tt.status, tt.body))
			_, err := c.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}})
			var api *APIError
			require.ErrorAs(t, err, &api)
			require.Equal(t, tt.status, api.Status)
			require.Equal(t, tt.code, api.Code)
			require.Contains(t, api.Advice(), tt.advice)
			require.NotContains(t, err.Error(), testSecret)
		})
	}
}

func TestCredentialDoesNotCarryTheSecretElsewhere(t *testing.T) {
	var stolen atomic.Int32
	thief := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	defer thief.Close()
	c, _ := credentialOf(t, http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect).ServeHTTP)
	_, err := c.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}})
	require.Error(t, err)
	require.Zero(t, stolen.Load())
}

func TestNewCredentialMistakes(t *testing.T) {
	_, err := NewCredential(CredentialConfig{TenantID: testTenant, ClientSecret: testSecret})
	require.ErrorContains(t, err, "CLIENT_ID is not")
	_, err = NewCredential(CredentialConfig{TenantID: testTenant, ClientID: "c", ClientSecret: testSecret, AuthorityHost: "http://a"})
	require.ErrorContains(t, err, "AUTHORITY_HOST: ")
	_, err = NewCredential(CredentialConfig{TenantID: testTenant})
	require.NoError(t, err, "an identity of Azure")
	_, err = NewTransport(filepath.Join(t.TempDir(), "none"))
	require.Error(t, err)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, []byte("nothing"), 0o600))
	_, err = NewTransport(empty)
	require.ErrorContains(t, err, "holds none")
}
