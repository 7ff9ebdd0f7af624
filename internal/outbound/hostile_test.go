package outbound

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

// class is a kind of hostile things and examples of it.
type class struct {
	name     string
	examples []string
}

// allowed is the list of the hostile tests.
var allowed = []string{"hooks.example.com", "*.siem.example.com", "llm.example.net:8443", "xn--mnchen-3ya.example.org"}

// hostile are addresses that must be refused by their looks alone. Each name
// in them leads to a public address.
var hostile = []class{
	{"not https", []string{
		"http://hooks.example.com/", "HTTP://hooks.example.com/", "http://hooks.example.com:443/", "ws://hooks.example.com/", "wss://hooks.example.com/",
		"ftp://hooks.example.com/", "file:///etc/passwd", "file://hooks.example.com/etc/passwd", "gopher://hooks.example.com:443/_GET", "dict://hooks.example.com/",
		"ldap://hooks.example.com/", "unix:///var/run/docker.sock", "javascript:alert(1)", "data:text/plain,x", "jar:https://hooks.example.com!/x",
		"//hooks.example.com/", "hooks.example.com", "hooks.example.com/c4n4ry", "hooks.example.com:443", "https:hooks.example.com", "https:/hooks.example.com/",
		"https:///hooks.example.com/", "https", "", "/", "c4n4ry:c4n4ry", "httpss://hooks.example.com/", "https+http://hooks.example.com/",
	}},
	{"userinfo", []string{
		"https://user:c4n4ry@hooks.example.com/", "https://c4n4ry@hooks.example.com/", "https://@hooks.example.com/", "https://:@hooks.example.com/",
		"https://hooks.example.com@evil.example/", "https://hooks.example.com:443@evil.example/", "https://hooks.example.com%40evil.example/",
		"https://evil.example@hooks.example.com/", "https://a@b@hooks.example.com/", "https://user:c4n4ry/x@hooks.example.com/",
	}},
	{"fragment", []string{"https://hooks.example.com/#", "https://hooks.example.com/#c4n4ry", "https://hooks.example.com#@evil.example/", "https://evil.example#hooks.example.com"}},
	{"IPv4 literal", []string{
		"https://127.0.0.1/", "https://169.254.169.254/latest/meta-data/", "https://10.0.0.1/", "https://93.184.216.34/", "https://0.0.0.0/", "https://255.255.255.255/",
		"https://168.63.129.16/machine?comp=goalstate", "https://127.0.0.1./", "https://127.0.0.1:443/", "https://1.1.1.1:8443/",
	}},
	{"IPv4 as decimal", []string{"https://2130706433/", "https://2852039166/", "https://0/", "https://4294967295/", "https://2130706433./", "https://99999999999/"}},
	{"IPv4 as octal", []string{"https://0177.0.0.1/", "https://0177.0000.0000.0001/", "https://017700000001/", "https://0251.0376.0251.0376/", "https://00000177.1/"}},
	{"IPv4 as hex", []string{
		"https://0x7f.0.0.1/", "https://0x7f.1/", "https://0x7f000001/", "https://0X7F000001/", "https://0xa9fea9fe/", "https://0xA9.0xFE.0xA9.0xFE/",
		"https://127.0.0.0x1/", "https://0x/", "https://1.0x/",
	}},
	{"IPv4 short", []string{"https://127.1/", "https://127.0.1/", "https://10.1/", "https://169.254.43518/", "https://1/", "https://127.1.:443/"}},
	{"IPv6 literal", []string{
		"https://[::1]/", "https://[::]/", "https://[::]:443/", "https://[fd00:ec2::254]/", "https://[fe80::1]/", "https://[fc00::1]/", "https://[2606:4700:4700::1111]/",
		"https://[0000:0000:0000:0000:0000:0000:0000:0001]/", "https://::1/", "https://[0:0:0:0:0:0:0:1]:8443/",
	}},
	{"IPv6 mapped or tunnelled literal", []string{
		"https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::ffff:a9fe:a9fe]/", "https://[::127.0.0.1]/", "https://[64:ff9b::127.0.0.1]/",
		"https://[64:ff9b::a9fe:a9fe]/", "https://[2002:7f00:1::]/", "https://[2001::1]/", "https://[::ffff:0:127.0.0.1]/", "https://[fe80::5efe:10.0.0.1]/",
	}},
	{"IPv6 zone", []string{"https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[::1%25lo]/", "https://[::1%25hooks.example.com]/", "https://[2606:4700::1%251]/"}},
	{"bracket tricks", []string{"https://[hooks.example.com]/", "https://[127.0.0.1]/", "https://[::1].hooks.example.com/", "https://hooks.example.com[::1]/", "https://[::1/", "https://[]/", "https://[v1.x]/"}},
	{"not ASCII, homographs", []string{
		"https://h\u043eoks.example.com/", "https://hooks.ex\u0430mple.com/", "https://hooks\u3002example\u3002com/", "https://\uff48ooks.example.com/", "https://hooks\uff0eexample.com/",
		"https://127\u30020\u30020\u30021/", "https://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/", "https://\uff11\uff12\uff17.0.0.1/", "https://\u24d7ooks.example.com/",
		"https://hooks.example.com\u00ad/", "https://hooks\u200b.example.com/", "https://m\u00fcnchen.example.org/", "https://hooks.example.\u217dom/", "https://hook\u017f.example.com/",
		"https://xn--hoks-55d.example.com/", "https://hooks.xn--exmple-4nf.com/", "https://hooks.example.com/\u202egnp", "https://\ufeffhooks.example.com/",
		"https\uff1a//hooks.example.com/", "https://evil.example\u2044.siem.example.com/", "https://evil.example\uff0f.siem.example.com/", "https://evil.example\u2100.siem.example.com/",
	}},
	{"percent-encoded host", []string{
		"https://%68ooks.example.com/", "https://hooks%2eexample%2ecom/", "https://%31%32%37.0.0.1/", "https://hooks.example.com%00.evil.example/", "https://hooks.example.com%2f@evil.example/",
		"https://evil.example%23.siem.example.com/", "https://%e2%93%97ooks.example.com/", "https://evil.example%3f.siem.example.com/",
	}},
	{"off the list", []string{
		"https://evil.example/", "https://example.com/", "https://www.example.com/", "https://xhooks.example.com/", "https://a.hooks.example.com/", "https://hooks.example.com.evil.example/",
		"https://hooks.example.comm/", "https://hooks.example.co/", "https://siem.example.com/", "https://xsiem.example.com/", "https://a.siem.example.com.evil.example/",
		"https://evil-siem.example.com/", "https://hooks-example.com/", "https://localhost/", "https://localhost.localdomain/", "https://metadata/", "https://metadata.google.internal/",
		"https://kubernetes.default.svc/", "https://127.0.0.1.nip.io/", "https://169.254.169.254.nip.io/", "https://hooks/", "https://com/", "https://vault.azure.net/", "https://user:12/c4n4ry@hooks.example.com/",
	}},
	{"port", []string{
		"https://hooks.example.com:80/", "https://hooks.example.com:8443/", "https://hooks.example.com:22/", "https://hooks.example.com:0/", "https://hooks.example.com:65536/",
		"https://hooks.example.com:65979/", "https://hooks.example.com:0443/", "https://hooks.example.com:+443/", "https://hooks.example.com:-1/", "https://hooks.example.com:/",
		"https://hooks.example.com:443:443/", "https://hooks.example.com:https/", "https://llm.example.net/", "https://llm.example.net:443/", "https://a.siem.example.com:8443/",
		"https://hooks.example.com:4\u06643/",
	}},
	{"what parsers read differently", []string{
		`https://evil.example\@hooks.example.com/`, `https://hooks.example.com\@evil.example/`, `https://hooks.example.com\.evil.example/`, `https:\\hooks.example.com/`,
		`https://evil.example\.siem.example.com/`, "https://evil.example?.siem.example.com/", "https://evil.example/.siem.example.com/", "https://evil.example;.siem.example.com/",
		"https://evil.example&@hooks.example.com/", "https://evil.example,hooks.example.com/", "https://hooks.example.com evil.example/", "https://hooks.example.com:443 @evil.example/",
		"https://evil.example*.siem.example.com/", "https://evil.example$.siem.example.com/", "https://(evil.example).siem.example.com/", "https://{hooks}.example.com/",
		"https://<hooks.example.com>/", "https://'hooks.example.com'/", `https://"hooks.example.com"/`, "https://hooks.example.com|evil.example/", "https://evil.example`.siem.example.com/",
	}},
	{"control characters", []string{
		"https://hooks.example.com/\r\nHost: evil.example", "https://hooks.example.com/\nX: c4n4ry", "https://hooks.example.com\r\n.evil.example/", "https://hooks.example.com/\x00", "https://hooks.example.com\x00.evil.example/",
		"ht\ntps://hooks.example.com/", "https://hooks\t.example.com/", " https://hooks.example.com/", "https://hooks.example.com/ ", "\thttps://hooks.example.com/", "https://hooks.example.com/\x7f", "https://hooks.example.com/a b",
	}},
	{"malformed name", []string{
		"https://hooks..example.com/", "https://.hooks.example.com/", "https://hooks.example.com../", "https://./", "https://../", "https://-a.siem.example.com/", "https://a-.siem.example.com/",
		"https://a_b.siem.example.com/", "https://.siem.example.com/", "https://*.siem.example.com/", "https://a..siem.example.com/",
		"https://" + strings.Repeat("a", 64) + ".siem.example.com/", "https://" + strings.Repeat("a.", 130) + "siem.example.com/",
	}},
	{"huge or broken", []string{
		"https://hooks.example.com/" + strings.Repeat("c4n4ry", 2000), "https://hooks.example.com/%zz?c4n4ry", "https://hooks.example.com/%", "https://" + strings.Repeat("[", 500), "https://%",
		"https://", "https://?", "https://:443/", "https://:c4n4ry/",
	}},
}

// TestHostileAddresses: whatever looks wrong is refused without a connection,
// although its name would lead to a public address with a certificate for it.
func TestHostileAddresses(t *testing.T) {
	r := newRig(t, Config{Allow: allowed}, leadTo("*", public), fine)
	total := 0
	for _, class := range hostile {
		for _, address := range class.examples {
			r.refused(t, address)
			var invalid *audit.InvalidError
			err := r.Check(address)
			require.ErrorAs(t, err, &invalid, "%q", address)
			require.Equal(t, "address", invalid.Field)
			require.NotContains(t, err.Error(), canary)
		}
		total += len(class.examples)
		t.Logf("%-34s %3d refused", class.name, len(class.examples))
	}
	t.Logf("%-34s %3d refused, %d connections, %d Authorization headers leaked", "all", total, len(r.connections()), len(r.requests()))
	require.GreaterOrEqual(t, total, 150)
	require.Empty(t, r.connections())
	require.Empty(t, r.requests())
	require.Empty(t, r.names.asked, "no name is looked up for an address that is refused by its looks")
}

// TestHostileAddressesOnTheList: a list that held their very hosts would not
// help them, save those whose only fault is to be off the list.
func TestHostileAddressesOnTheList(t *testing.T) {
	r := newRig(t, Config{Allow: allowed}, leadTo("*", public), fine)
	unlisted := []string{"off the list", "port", "not ASCII, homographs", "what parsers read differently"}
	for _, class := range hostile {
		if slices.Contains(unlisted, class.name) {
			continue
		}
		for _, address := range class.examples {
			if u, err := url.Parse(address); err == nil {
				r.allow = []pattern{{host: fold(u.Hostname()), port: u.Port()}, {host: fold(u.Hostname()), port: tlsPort}}
			}
			r.refused(t, address)
		}
	}
	require.Empty(t, r.connections())
}

// TestAllowedAddresses is the other side: the same rig lets these through.
func TestAllowedAddresses(t *testing.T) {
	good := map[string]string{ // address → where it arrives
		"https://hooks.example.com/":                              "hooks.example.com",
		"https://hooks.example.com":                               "hooks.example.com",
		"https://hooks.example.com?a=b":                           "hooks.example.com",
		"HTTPS://HOOKS.Example.COM/x":                             "hooks.example.com",
		"https://hooks.example.com./x":                            "hooks.example.com",
		"https://hooks.example.com:443/x":                         "hooks.example.com",
		"https://hooks.example.com/webhook/a@b/IncomingWebhook/c": "hooks.example.com",
		"https://hooks.example.com/%2e%2e/%2F?sig=a%2Bb%3D":       "hooks.example.com",
		"https://a.siem.example.com/":                             "a.siem.example.com",
		"https://a.b.siem.example.com:443/":                       "a.b.siem.example.com",
		"https://llm.example.net:8443/v1/chat":                    "llm.example.net:8443",
		"https://xn--mnchen-3ya.example.org/":                     "xn--mnchen-3ya.example.org",
	}
	for address, host := range good {
		r := newRig(t, Config{Allow: allowed}, leadTo("*", public), fine)
		require.NoError(t, r.Check(address), address)
		answer, err := r.get(t, address)
		require.NoError(t, err, address)
		require.Equal(t, 200, answer.Status)
		require.Equal(t, "fine", string(answer.Body))
		require.Equal(t, []string{host + " Bearer " + canary}, r.requests())
		port := "443"
		if u, err := url.Parse("https://" + host); err == nil && u.Port() != "" {
			port = u.Port()
		}
		require.Equal(t, []string{public + ":" + port}, r.connections())
		require.Equal(t, []string{"ip " + strings.TrimSuffix(host, ":8443") + "."}, r.names.asked)
	}
}

func TestNothingIsAllowedByAnEmptyList(t *testing.T) {
	r := newRig(t, Config{}, leadTo("*", public), fine)
	r.refused(t, "https://hooks.example.com/")
}

// TestRequestsThatAreNotSent: methods and headers that would change what the
// host, or something on the way, takes the call for.
func TestRequestsThatAreNotSent(t *testing.T) {
	r := newRig(t, Config{Allow: allowed}, leadTo("*", public), fine)
	for _, req := range []Request{
		{Method: http.MethodConnect},
		{Method: http.MethodTrace},
		{Method: ""},
		{Method: "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\nGET"},
		{Method: http.MethodGet, Header: http.Header{"X-A": {"a", "b\r\nX-B: " + canary}}},
		{Method: http.MethodGet, Header: http.Header{"X-A\r\nX-B": {canary}}},
		{Method: http.MethodGet, Header: http.Header{"X-A": {"\x00" + canary}}},
	} {
		req.URL = "https://hooks.example.com/"
		_, err := r.Do(t.Context(), req)
		require.ErrorIs(t, err, ErrRefused, "%+v", req)
		require.NotContains(t, err.Error(), canary)
	}
	require.Empty(t, r.connections())
}

// TestRequestArrives: method, body and headers as they were given, and the
// caller's own header map unchanged.
func TestRequestArrives(t *testing.T) {
	var got *http.Request
	var body []byte
	r := newRig(t, Config{Allow: allowed, UserAgent: "AOC/1"}, leadTo("*", public), func(w http.ResponseWriter, req *http.Request) {
		got = req
		body = make([]byte, req.ContentLength)
		_, _ = req.Body.Read(body)
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	header := http.Header{"Content-Type": {"application/json"}, "Host": {"evil.example"}, "Accept-Encoding": {"gzip"}}
	answer, err := r.Do(t.Context(), Request{Method: http.MethodPost, URL: "https://hooks.example.com/a?b=c", Header: header, Body: []byte(`{"a":1}`)})
	require.NoError(t, err)
	require.Equal(t, http.StatusTooManyRequests, answer.Status, "a status is an answer, not an error")
	require.Equal(t, "3", answer.Header.Get("Retry-After"))
	require.Equal(t, "POST /a?b=c hooks.example.com", got.Method+" "+got.URL.RequestURI()+" "+got.Host)
	require.Equal(t, `{"a":1}`, string(body))
	require.Equal(t, "AOC/1", got.Header.Get("User-Agent"))
	require.Equal(t, "identity", got.Header.Get("Accept-Encoding"))
	require.Equal(t, []string{"gzip"}, header["Accept-Encoding"])
	require.NotContains(t, header, "User-Agent")
}

// FuzzCheck: what is accepted is, to net/url, an https address of a host on the
// list and nothing else.
func FuzzCheck(f *testing.F) {
	for _, class := range hostile {
		for _, address := range class.examples {
			f.Add(address)
		}
	}
	f.Add("https://hooks.example.com./x")
	f.Add("https://a.SIEM.example.com:443/x?y=@")
	c, err := New(Config{Allow: allowed})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, address string) {
		if c.Check(address) != nil {
			return
		}
		u, err := url.Parse(address)
		require.NoError(t, err)
		require.Equal(t, "https", u.Scheme)
		require.Nil(t, u.User)
		require.Empty(t, u.Opaque)
		require.Empty(t, u.Fragment)
		host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
		switch u.Port() {
		case "", "443":
			require.True(t, host == "hooks.example.com" || host == "xn--mnchen-3ya.example.org" || strings.HasSuffix(host, ".siem.example.com"), host)
		case "8443":
			require.Equal(t, "llm.example.net", host)
		default:
			t.Fatalf("port %q of %q", u.Port(), address)
		}
		require.Equal(t, strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-."), "")
	})
}
