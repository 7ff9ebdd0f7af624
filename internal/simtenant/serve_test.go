package simtenant

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServe(t *testing.T) {
	tenant := newTenant(t, Options{})
	caFile := filepath.Join(t.TempDir(), "sub", "ca.pem")
	ctx, cancel := context.WithCancel(t.Context())
	server, err := tenant.Serve(ctx, "127.0.0.1:0", caFile)
	require.NoError(t, err)
	require.Regexp(t, `^https://127\.0\.0\.1:\d+$`, server.URL)
	_, err = tenant.Serve(t.Context(), strings.TrimPrefix(server.URL, "https://"), caFile+".other")
	require.ErrorContains(t, err, "listen")
	env := server.Env()
	require.Equal(t, map[string]string{
		"TENANT_ID": tenant.TenantID(), "CLIENT_ID": tenant.ClientID(), "CLIENT_SECRET": tenant.ClientSecret(),
		"AUTHORITY_HOST": server.URL, "GRAPH_BASE_URL": server.URL, "MANAGEMENT_BASE_URL": server.URL, "SSL_CERT_FILE": caFile,
	}, env)
	for _, host := range []string{"127.0.0.1", "localhost"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+":"+portOf(server)+"/x", nil)
		require.NoError(t, err)
		client := server.Client()
		resp, err := client.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 2, resp.ProtoMajor)
		client.CloseIdleConnections()
	}
	_, err = http.Get(server.URL) //nolint:noctx // fails before it dials on
	require.Error(t, err, "nobody else trusts it")
	cancel()
	require.NoError(t, server.Close())
	require.NoError(t, server.Close())
	_, err = net.Dial("tcp", strings.TrimPrefix(server.URL, "https://"))
	require.Error(t, err)
}

func portOf(s *Server) string { return s.URL[strings.LastIndexByte(s.URL, ':')+1:] }

// TestTrustBySSLCertFile runs itself as another process, which knows of the
// server only what Env says.
func TestTrustBySSLCertFile(t *testing.T) {
	if origin := os.Getenv("SIMTENANT_CHILD"); origin != "" {
		resp, err := http.Get(os.Getenv("AUTHORITY_HOST") + "/common/discovery/instance")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, tls.VersionTLS13, int(resp.TLS.Version))
		return
	}
	c := newTenant(t, Options{})
	server, err := c.Serve(t.Context(), "127.0.0.1:0", filepath.Join(t.TempDir(), "ca.pem"))
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTrustBySSLCertFile$", "-test.count=1")
	child.Env = append(os.Environ(), "SIMTENANT_CHILD=1")
	for k, v := range server.Env() {
		child.Env = append(child.Env, k+"="+v)
	}
	out, err := child.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, 1, c.Calls("discovery").Requests)
}
