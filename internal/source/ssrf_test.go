package source

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

// here is the one host that tokens may go to. Every name resolves, and every
// certificate does: only the client's own checks stand between a token and
// another host.
const here = "example.com"

const otherTenant = "11111111-2222-3333-4444-555555555555"

// network is all that a client can reach.
type network struct {
	transport *http.Transport
	mu        sync.Mutex
	abroad    []string // addresses of others that were dialled
	stolen    atomic.Int32
	paths     []string // what was asked of here, with a token
}

// newNetwork answers at here with h and everywhere else as a thief.
func newNetwork(t *testing.T, h http.HandlerFunc) *network {
	t.Helper()
	n := new(network)
	own := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		n.paths = append(n.paths, r.Method+" "+r.URL.EscapedPath())
		n.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(own.Close)
	thief := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			n.stolen.Add(1)
		}
		fmt.Fprint(w, `[]`)
	}))
	t.Cleanup(thief.Close)
	n.transport = &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			to := own.Listener.Addr().String()
			if address != here+":443" {
				n.mu.Lock()
				n.abroad = append(n.abroad, address)
				n.mu.Unlock()
				to = thief.Listener.Addr().String()
			}
			return new(net.Dialer).DialContext(ctx, "tcp", to)
		},
	}
	t.Cleanup(n.transport.CloseIdleConnections)
	return n
}

// asked takes what was asked of here since the last time.
func (n *network) asked() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	paths := n.paths
	n.paths = nil
	return paths
}

func (n *network) clean(t *testing.T, what string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	require.Empty(t, n.abroad, what)
	require.Zero(t, n.stolen.Load(), what)
}

// hostile are addresses that lead off the host, by class. good is a path at
// which it would answer.
func hostile(good string) map[string][]string {
	at := func(hosts ...string) (all []string) {
		for _, host := range hosts {
			all = append(all, "https://"+host+good)
		}
		return all
	}
	return map[string][]string{
		"another host": at("evil.example", "www.example.com", "example.org", "example.net", "localhost", "graph.microsoft.com", "manage.office.com",
			"login.microsoftonline.com", "metadata.google.internal", "metadata", "host.docker.internal", "kubernetes.default.svc"),
		"lookalike": at("example.com.evil.example", "evil-example.com", "evilexample.com", "example.com-evil.example", "example.comevil.example", "example.co", "example.com.", "example..com",
			".example.com", "examp1e.com", "exаmple.com", "xn--exmple-cua.com", "example.com%00.evil.example", "example.com%2eevil.example", "example.com%23.evil.example", "example。com", "ｅxample.com", "example\u00ad.com", "exam\u200bple.com", "example.com\u2024evil.example", "example_com", "example-com", "example.com,evil.example", "example.com;evil.example"),
		"user and password": at("example.com@evil.example", "example.com:443@evil.example", "user:pass@example.com", "user@example.com", ":@example.com", "@example.com", "evil.example@example.com",
			"example.com%40evil.example", "example.com%3A443%40evil.example", "a:b@c:d@evil.example", "example.com:pass%40x@evil.example", "%65xample.com@evil.example"),
		"port": at("example.com:80", "example.com:8443", "example.com:444", "example.com:4430", "example.com:0443", "example.com:22", "example.com:6379", "example.com:27017", "example.com:1", "example.com:65535",
			"example.com:65979", "example.com:-443", "example.com:443:443", "example.com:443x", "example.com:x", "example.com:４４３"),
		"scheme": {
			"http://" + here + good, "HTTP://" + here + good, "http://" + here + ":443" + good, "ftp://" + here + good, "file://" + here + good, "file:///etc/passwd", "gopher://" + here + ":6379/_INFO", "dict://" + here + ":11211/stats",
			"ldap://" + here + good, "ws://" + here + good, "wss://" + here + good, "data:application/json,[]", "javascript:fetch('//evil.example')", "jar:https://" + here + "!/x", "unix:///var/run/docker.sock", "https+unix://" + here + good, "view-source:https://" + here + good, "blob:https://" + here + good,
		},
		"spelling of an IP": at("127.0.0.1", "127.1", "127.0.1", "0", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0177.0.0.1", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
			"169.254.169.254", "169.254.169.254:80", "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "[fe80::1%25eth0]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "168.63.129.16", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "①②⑦.0.0.1", "127.0.0.1.nip.io", "169.254.169.254.nip.io"),
		"no host": {
			"", " ", good, "/", "//", "//" + here + good, "//evil.example" + good, "///evil.example" + good, "\\\\evil.example\\x", "https:" + good, "https:/" + here + good, "https:" + here + good, "https://" + good, "https:///" + here + good, "https://:443" + good, "https://?" + here, "https://#" + here, here + good, "?x=1", "#x", ".", "..", "https", "https:", "https:/", "https://", ":", "://" + here + good, "%68ttps://" + here + good,
		},
		"backslash": {
			`https://evil.example\@` + here + good, `https://` + here + `\@evil.example` + good, `https://` + here + `\.evil.example` + good, `https:\\evil.example` + good, `https:\\` + here + good, `https:/\evil.example` + good, `https://evil.example\` + here + good, `https://` + here + `\evil.example`, `\/\/evil.example` + good, `https://evil.example%5C@` + here + good, `https://evil.example%5c.` + here + good,
		},
		"fragment": {
			"https://evil.example#@" + here + good, "https://evil.example#" + here, "https://evil.example/#https://" + here + good, "https://" + here + "#@evil.example" + good, "https://evil.example?#@" + here + good, "https://evil.example?@" + here + good, "https://evil.example?https://" + here + good, "https://evil.example;@" + here + "#" + good, "https://" + here + "#.evil.example" + good, "https://" + here + good + "#@evil.example", "https://" + here + good + "#",
		},
		"line break": {
			"https://evil.example\r\n" + good, "https://" + here + "\r\n.evil.example" + good, "https://" + here + "\n@evil.example" + good, "https://evil\r\n.example" + good, "\r\nhttps://evil.example" + good, "https://" + here + "\t.evil.example" + good, "https://" + here + " .evil.example" + good, "https://" + here + "\x00.evil.example" + good, "https://" + here + "\x7f" + good, "https://" + here + good + " HTTP/1.1\tHost:\tevil.example", "https://" + here + good + "\x00", "https://" + here + "\v" + good, "https://" + here + "\u2028.evil.example" + good,
		},
		"huge": {
			"https://" + here + good + "?" + strings.Repeat("a", maxLink), "https://" + strings.Repeat("a.", 20_000) + here + good, "https://" + here + good + strings.Repeat("/a", 20_000), "https://" + strings.Repeat("a", 40_000) + "@" + here + good, strings.Repeat("https://", 10_000) + here, "https://" + here + ":" + strings.Repeat("4", 40_000) + good, strings.Repeat("%25", 20_000),
		},
	}
}

// outside are addresses of the host that lead out of the tenant's own part.
func outside() map[string][]string {
	root := "https://" + here + testFeed + "/"
	other := "https://" + here + "/api/v1.0/" + otherTenant + "/activity/feed/audit/1"
	up := "../../../" + otherTenant + "/activity/feed/audit/1"
	return map[string][]string{
		"another tenant": {
			other, strings.Replace(other, "v1.0", "v1", 1), strings.Replace(other, otherTenant, testTenant+otherTenant, 1), strings.Replace(other, otherTenant, otherTenant+"/"+testTenant, 1),
			strings.Replace(other, otherTenant, "common", 1), strings.Replace(other, otherTenant, "", 1), strings.Replace(other, otherTenant, "%2e%2e/"+otherTenant, 1), strings.Replace(other, "https://"+here, "https://"+here+"/"+testFeed, 1),
			strings.Replace(other, otherTenant, strings.ReplaceAll(testTenant, "-", "%2d")+"x", 1), "https://" + here + "//api/v1.0/" + testTenant + "/activity/feed/audit/1", other + "?" + testTenant, other + "?x=" + testFeed + "/audit/1",
			strings.Replace(other, otherTenant, testTenant+"%2f..%2f"+otherTenant, 1), strings.Replace(other, otherTenant, testTenant+"%00"+otherTenant, 1), strings.Replace(other, otherTenant, testTenant+";"+otherTenant, 1),
		},
		"path escape": {
			root + up, root + "audit/../" + up, root + "./" + up, root + "%2e%2e/%2e%2e/%2e%2e/" + otherTenant, root + "%2E%2E/x", root + ".%2e/x", root + "%2e./x", root + "audit/..%2f..%2f" + otherTenant, root + "audit/%2f%2e%2e%2f", root + "audit%2F..%2F..%2Fx", root + "audit%2f1", root + "audit%2F1", root + `..\..\..\` + otherTenant, root + "..%5c..%5c" + otherTenant,
			root + "audit/..;/..;/../x", root + "audit/./1", root + "audit//1", root + "/audit/1", root + "audit/1/.", root + "audit/1/..", root + "..", root + ".", root, strings.TrimSuffix(root, "/"), root + "audit/1//", root + "audit\\1", root + "audit%5C1",
			"https://" + here + "/", "https://" + here, "https://" + here + "/api/v2.0/" + testTenant + "/activity/feed/audit/1", "https://" + here + "/api/v1.0/" + testTenant + "/serviceComms/x", "https://" + here + "/api/v1.0/" + testTenant + "/activity/feedback/1", "https://" + here + "/v1.0/users", "https://" + here + "/%61pi/../v1.0/users",
		},
	}
}

// entrance is one place where an address from elsewhere comes in. It gives the
// address there and reads what it leads to.
type entrance struct {
	roots bool // what is not the tenant's own is refused too
	try   func(t *testing.T, s *stage, address string) error
}

// stage is a client and what its host answers.
type stage struct {
	client *Client
	link   atomic.Pointer[string] // the address that the next answer names, nil for none
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	link := s.link.Swap(nil)
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/subscriptions/list"):
		s.link.Store(link)
		fmt.Fprint(w, `[{"contentType":"Audit.Exchange","status":"enabled","webhook":null}]`)
	case strings.HasSuffix(r.URL.Path, "/subscriptions/content"):
		if link != nil {
			w.Header().Set("NextPageUri", *link)
		}
		fmt.Fprint(w, `[]`)
	case strings.Contains(r.URL.Path, "/activity/feed/"):
		fmt.Fprint(w, `[]`)
	case link != nil:
		body, _ := json.Marshal(map[string]any{"value": []any{}, "@odata.nextLink": *link})
		w.Write(body)
	default:
		fmt.Fprint(w, `{"value":[]}`)
	}
}

func (s *stage) fetch(t *testing.T, source audit.Source, blob audit.Blob) error {
	_, err := fetch(t.Context(), feedOf(t, s.client, source), blob)
	return err
}

var entrances = map[string]entrance{
	"contentUri, listed or pushed": {true, func(t *testing.T, s *stage, address string) error {
		s.link.Store(nil)
		return s.fetch(t, audit.M365Exchange, audit.Blob{Source: audit.M365Exchange, ID: "1", URI: address})
	}},
	"NextPageUri": {true, func(t *testing.T, s *stage, address string) error {
		if strings.ContainsAny(address, "\r\n\x00\x7f\v") || strings.TrimSpace(address) == "" {
			// No server can send these; a proxy's library may hand them on.
			_, err := s.client.nextPage(http.Header{"Nextpageuri": {address + "x"}})
			return err
		}
		_, err := list(t.Context(), feedOf(t, s.client, audit.M365Exchange), from, from.Add(time.Hour))
		return err
	}},
	"@odata.nextLink of a log": {false, func(t *testing.T, s *stage, _ string) error {
		return s.fetch(t, audit.EntraDirectory, audit.Blob{Created: from, Until: from.Add(time.Hour)})
	}},
	"@odata.nextLink of Purview": {false, func(t *testing.T, s *stage, _ string) error {
		_, err := searched(t.Context(), s.client.Purview(), "1")
		return err
	}},
	"@odata.nextLink of names": {false, func(t *testing.T, s *stage, _ string) error {
		_, err := s.client.Names(t.Context(), []string{someone})
		return err
	}},
	"@odata.nextLink of groups": {false, func(t *testing.T, s *stage, _ string) error {
		_, err := s.client.MemberGroups(t.Context(), someone)
		return err
	}},
}

// TestAddressesFromElsewhereGetNoToken: what an answer or a notification names
// is somebody else's word.
func TestAddressesFromElsewhereGetNoToken(t *testing.T) {
	total := 0
	for name, way := range entrances {
		good := "/v1.0/auditLogs/directoryAudits"
		if way.roots {
			good = testFeed + "/audit/1"
		}
		classes := hostile(good)
		if way.roots {
			maps.Copy(classes, outside())
		}
		s := new(stage)
		n := newNetwork(t, s.ServeHTTP)
		s.client = open(t, "https://"+here, n.transport)
		tried := 0
		for _, class := range slices.Sorted(maps.Keys(classes)) {
			for _, address := range classes[class] {
				if address == "" && name != "contentUri, listed or pushed" {
					continue // no link is the end of a listing
				}
				what := fmt.Sprintf("%s, %s: %.120q", name, class, address)
				s.link.Store(&address)
				err := way.try(t, s, address)
				require.Error(t, err, what)
				require.Regexp(t, `it is no address|no token is sent there|where a string was expected`, err.Error(), what)
				require.Less(t, len(err.Error()), 1000, what)
				require.NotContains(t, err.Error(), "pass", what)
				n.clean(t, what)
				s.link.Store(nil)
				if way.roots {
					for _, path := range n.asked() {
						require.Contains(t, path, " "+testFeed+"/subscriptions/", what)
					}
				}
				tried++
			}
			t.Logf("%-30s %-20s %3d refused", name, class, len(classes[class]))
		}
		total += tried
		require.GreaterOrEqual(t, tried, 100)
		n.asked()
		address := "https://" + here + good + "?$skiptoken=x"
		s.link.Store(&address)
		require.NoError(t, way.try(t, s, address), "%s: what is refused costs itself only", name)
		require.NotEmpty(t, n.asked())
		n.clean(t, name)
	}
	t.Logf("%d addresses: 0 connections to another host, 0 tokens sent there", total)
}

// TestRedirectsOfEveryAPIAreNotFollowed: to another host or to the same one, a
// redirect ends the call.
func TestRedirectsOfEveryAPIAreNotFollowed(t *testing.T) {
	calls := map[string]func(*testing.T, *Client) error{
		"list": func(t *testing.T, c *Client) error {
			_, err := list(t.Context(), feedOf(t, c, audit.M365Exchange), from, from.Add(time.Hour))
			return err
		},
		"blob": func(t *testing.T, c *Client) error {
			_, err := fetch(t.Context(), feedOf(t, c, audit.M365Exchange), audit.Blob{URI: "https://" + here + testFeed + "/audit/1"})
			return err
		},
		"names":  func(t *testing.T, c *Client) error { _, err := c.Names(t.Context(), []string{someone}); return err },
		"groups": func(t *testing.T, c *Client) error { _, err := c.MemberGroups(t.Context(), someone); return err },
		"submit": func(t *testing.T, c *Client) error {
			_, err := c.Purview().Submit(t.Context(), from, from.Add(time.Hour), "x")
			return err
		},
		"status":  func(t *testing.T, c *Client) error { _, err := c.Purview().Status(t.Context(), "1"); return err },
		"records": func(t *testing.T, c *Client) error { _, err := searched(t.Context(), c.Purview(), "1"); return err },
	}
	for _, source := range []audit.Source{audit.EntraDirectory, audit.EntraSignIn, audit.EntraSignInPrincipal, audit.EntraProvisioning, audit.EntraRisk, audit.IntuneAudit} {
		calls[string(source)] = func(t *testing.T, c *Client) error {
			_, err := fetch(t.Context(), feedOf(t, c, source), audit.Blob{Created: from, Until: from.Add(time.Hour)})
			return err
		}
	}
	tried := 0
	for name, call := range calls {
		var status int
		var to string
		n := newNetwork(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(status)
		})
		for _, status = range []int{301, 302, 303, 307, 308} {
			for _, to = range []string{"https://evil.example/x", "//evil.example/x", "http://" + here + "/x", "https://" + here + ":8443/x", "/x", "https://169.254.169.254/metadata/identity/oauth2/token"} {
				what := fmt.Sprintf("%s, %d to %s", name, status, to)
				require.ErrorContains(t, call(t, open(t, "https://"+here, n.transport)), "it redirects to another address, which is not followed", what)
				n.clean(t, what)
				for _, path := range n.asked() {
					require.NotContains(t, path, " /x", what)
				}
				tried++
			}
		}
	}
	t.Logf("%d redirects of %d calls: none followed", tried, len(calls))
}
