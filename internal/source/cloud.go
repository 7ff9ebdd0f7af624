package source

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"aoc/internal/audit"
)

// API names what was called, in errors for people.
type API string

// The APIs.
const (
	Management API = "Office 365 Management API"
	Graph      API = "Microsoft Graph"
	Login      API = "Microsoft Entra sign-in"
)

// origins of each API by cloud: the first is the public cloud's. A token's
// resource is the origin itself. Sources: Office 365 Management Activity API
// reference, "Activity API operations"; Graph's national cloud deployments.
var origins = map[API][]string{
	Graph: {
		"https://graph.microsoft.com", "https://graph.microsoft.us", "https://dod-graph.microsoft.us",
		"https://microsoftgraph.chinacloudapi.cn",
	},
	Management: {
		"https://manage.office.com", "https://manage-gcc.office.com", "https://manage.office365.us",
		"https://manage.protection.apps.mil",
	},
	Login: {
		"https://login.microsoftonline.com", "https://login.microsoftonline.us", "https://login.chinacloudapi.cn",
		"https://login.partner.microsoftonline.cn", "https://login.microsoft.com", "https://login.windows.net",
	},
}

// newService takes an API's origin, "" for the public cloud's, and the resource
// of its tokens, "" for the cloud's own. An origin that is no cloud's is a
// stand-in, for which tokens are asked as for the public cloud.
func newService(api API, setting, base, resource string) (service, error) {
	public := origins[api][0]
	if base == "" {
		base = public
	}
	origin, err := parseOrigin(setting, base)
	if err != nil {
		return service{}, err
	}
	if resource == "" {
		resource = public
		if known(api, origin) {
			resource = origin.String()
		}
	}
	return service{name: api, base: origin, scope: strings.TrimSuffix(resource, "/") + "/.default"}, nil
}

func known(api API, origin *url.URL) bool {
	for _, o := range origins[api] {
		if strings.EqualFold(o, origin.String()) {
			return true
		}
	}
	return false
}

// parseOrigin reads an origin of https: a host and perhaps a port, nothing
// else. A token is sent there, so nothing is guessed.
func parseOrigin(setting, s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, audit.Invalid(setting, "expected an origin such as https://host or https://host:port")
	case u.User != nil:
		return nil, audit.Invalid(setting, "expected an origin without a user and password in it")
	case u.Scheme != "https" || u.Hostname() == "":
		return nil, audit.Invalid(setting, fmt.Sprintf("expected an origin such as https://host, got %q", s))
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#"):
		return nil, audit.Invalid(setting, fmt.Sprintf("expected an origin without path and query, got %q", s))
	}
	return &url.URL{Scheme: "https", Host: strings.TrimSuffix(strings.ToLower(u.Host), ":443")}, nil
}

// sameOrigin reports whether both are of one scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"https": "443", "http": "80"}[u.Scheme]
}

// NewTransport returns a transport for the client and its credential. It also
// trusts the certificates of a PEM file, where one is named; Go itself heeds
// SSL_CERT_FILE on Linux only.
func NewTransport(caFile string) (*http.Transport, error) {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          64,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificates to trust: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read the certificates to trust: %s holds none", caFile)
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}
