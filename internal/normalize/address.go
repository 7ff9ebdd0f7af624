package normalize

import (
	"net/netip"
	"strings"
)

// parseIP reads an IP address as the feeds write it: alone, with a port, in
// brackets, the first of several, or not at all ("", "<null>"). It returns ""
// for what is none.
func parseIP(s string) string {
	s = strings.TrimSpace(s)
	if len(s) < 2 || len(s) > 256 {
		return ""
	}
	if first, _, several := strings.Cut(s, ","); several {
		s = strings.TrimSpace(first)
	}
	if rest, bracketed := strings.CutPrefix(s, "["); bracketed {
		s, _, _ = strings.Cut(rest, "]")
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone("").String()
	}
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p.Addr().Unmap().String()
	}
	return ""
}

// firstIP returns the first of the texts that is an address.
func firstIP(texts ...string) string {
	for _, s := range texts {
		if ip := parseIP(s); ip != "" {
			return ip
		}
	}
	return ""
}
