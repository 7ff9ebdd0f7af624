package outbound

import (
	"net/url"
	"strings"
)

// maxAddress bounds an address; signed ones of Logic Apps are near 400 bytes.
const maxAddress = 8 << 10

// target is an address that was looked at. It may be called unless it has a fault.
type target struct {
	url   *url.URL // its host is folded, and has a port only where it is not 443
	host  string
	port  string
	fault string // for people; it tells no more of the address than its host
}

// origin is the only part of an address that errors and logs show: paths and
// queries of webhooks are secrets.
func (t target) origin() string { return "https://" + t.url.Host }

func faulty(why string) target { return target{fault: why} }

// parse looks at an address without looking its name up.
func (c *Client) parse(raw string) target {
	if len(raw) > maxAddress {
		return faulty("expected at most 8 KiB")
	}
	if strings.IndexFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
		return faulty("expected printable ASCII without spaces (an international name as xn--…)")
	}
	u, err := url.Parse(raw)
	if err != nil { // the cause quotes the address
		return faulty("expected an address such as https://host.example.com/path")
	}
	if why := shape(u, raw); why != "" {
		return faulty(why)
	}
	return c.match(u, raw)
}

// shape tells what is wrong with an address whatever the list says.
func shape(u *url.URL, raw string) string {
	switch {
	case u.Scheme != "https" || u.Opaque != "":
		return "expected an address that begins with https://"
	case u.User != nil:
		return "expected no user or password before the host"
	case strings.Contains(raw, "#"):
		return "expected no fragment (#…)"
	case u.Host == "" || strings.HasSuffix(u.Host, ":"):
		return "expected a host name"
	}
	return ""
}

// match looks for the host in the list and writes it in its one spelling.
func (c *Client) match(u *url.URL, raw string) target {
	t := target{url: u, host: fold(u.Hostname()), port: u.Port()}
	if t.port == "" {
		t.port = tlsPort
	}
	switch {
	case isNumeric(t.host):
		return faulty("expected a name and not an IP address")
	case !isName(t.host) || !isPort(t.port):
		return faulty("expected a host name of ASCII letters, digits and hyphens, and at most a port")
	case !c.listed(t.host, t.port):
		return faulty("expected a host (and port) on the list of allowed ones" + got(t, raw))
	}
	u.Host = t.host
	if t.port != tlsPort {
		u.Host += ":" + t.port
	}
	return t
}

// got names the host, unless an @ makes it doubtful that it is one: in
// "https://user:12/3@host" what stands there is half a password.
func got(t target, raw string) string {
	if strings.Contains(raw, "@") {
		return ""
	}
	return ", got https://" + cut(t.host, 80) + ":" + t.port
}

func (c *Client) listed(host, port string) bool {
	for _, p := range c.allow {
		if p.allows(host, port) {
			return true
		}
	}
	return false
}
