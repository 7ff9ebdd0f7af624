package outbound

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aoc/internal/audit"
)

const (
	maxName    = 253 // of a host name, and
	maxLabel   = 63  // of one of its labels: RFC 1035, 2.3.4
	tlsPort    = "443"
	maxPattern = maxName + len("*.") + len(":65535")
)

// registries are the second labels under which the countries' registries hand
// out names to anybody: "*.co.uk" is as wide as "*.com".
var registries = []string{
	"ac", "asso", "co", "com", "edu", "gob", "gouv", "gov", "go", "gv", "ltd", "me", "mil", "ne", "net", "nom", "or", "org", "plc", "sch",
}

// pattern is one entry of the list of hosts that may be called.
type pattern struct {
	host string // folded; what follows the dot of a wildcard
	port string
	wild bool
}

func parsePatterns(list []string) ([]pattern, error) {
	var errs []error
	var patterns []pattern
	for _, entry := range list {
		p, want := parsePattern(entry)
		if want != "" {
			errs = append(errs, audit.Invalid("allow", fmt.Sprintf("%s, got %q", want, cut(entry, 80))))
		}
		patterns = append(patterns, p)
	}
	return patterns, errors.Join(errs...)
}

// parsePattern reads one entry; want tells what was expected of a bad one.
func parsePattern(entry string) (p pattern, want string) {
	if len(entry) > maxPattern {
		return p, "expected a host name"
	}
	if strings.ContainsAny(entry, "/@?#") {
		return p, "expected a host alone, without a scheme or a path"
	}
	host, port, _ := strings.Cut(entry, ":")
	if strings.Contains(entry, ":") && !isPort(port) {
		return p, "expected a host and at most a port from 1 to 65535"
	}
	host, p.wild = strings.CutPrefix(host, "*.")
	p.host, p.port = fold(host), port
	if port == "" {
		p.port = tlsPort
	}
	return p, p.fault()
}

func (p pattern) fault() string {
	labels := strings.Split(p.host, ".")
	switch {
	case strings.Contains(p.host, "*"):
		return `expected a wildcard only as the whole first label, as in "*.example.com"`
	case isNumeric(p.host):
		return "expected a name and not an IP address"
	case p.wild && tooWide(labels):
		return "expected a wildcard below a domain of somebody's own: this one allows everybody's"
	case len(labels) < 2:
		return "expected a host name of at least two labels"
	case !isName(p.host):
		return "expected a host name of ASCII letters, digits and hyphens (an international name as xn--…)"
	}
	return ""
}

func tooWide(labels []string) bool {
	if len(labels) == 2 && len(labels[1]) == 2 {
		return slices.Contains(registries, labels[0])
	}
	return len(labels) < 2
}

func (p pattern) allows(host, port string) bool {
	if p.port != port {
		return false
	}
	if p.wild {
		return strings.HasSuffix(host, "."+p.host)
	}
	return host == p.host
}

// fold writes a host as it is compared: lower case, without the root's dot.
func fold(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// isName reports whether a folded host is a name of letters, digits and
// hyphens. Nothing else is let through, so no other program along the way can
// read another host out of it.
func isName(host string) bool {
	if len(host) > maxName {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// isNumeric reports whether a host is, or to some program means, an IP
// address: 127.1, 0x7f.1 and 2130706433 are all 127.0.0.1 to inet_aton. As
// browsers do, whatever ends in a number is taken for one
// (https://url.spec.whatwg.org/#ends-in-a-number-checker); no top-level domain
// is a number.
func isNumeric(host string) bool {
	if strings.ContainsAny(host, ":[]%") {
		return true
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// isPort reports whether s is a port in its one plain spelling.
func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 1 && n <= 65535 && strconv.Itoa(n) == s
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
