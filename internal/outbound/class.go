package outbound

import "net/netip"

// block is a range of addresses that must not be called.
type block struct {
	prefix netip.Prefix
	class  string
}

// The blocks are those of IANA's registries of special-purpose addresses
// (https://www.iana.org/assignments/iana-ipv4-special-registry and
// …/iana-ipv6-special-registry) and what clouds keep inside of public space.
// The first that matches gives its name.
var (
	blocks4 = blocksOf(
		"169.254.169.254/32", "a cloud's metadata service",
		"168.63.129.16/32", "Azure's wire server", // https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
		"100.100.100.200/32", "a cloud's metadata service",
		"192.0.0.192/32", "a cloud's metadata service",
		"0.0.0.0/8", "an unspecified address",
		"10.0.0.0/8", "a private address",
		"100.64.0.0/10", "a carrier's private address",
		"127.0.0.0/8", "a loopback address",
		"169.254.0.0/16", "a link-local address",
		"172.16.0.0/12", "a private address",
		"192.0.0.0/24", "a reserved address",
		"192.0.2.0/24", "a documentation address",
		"192.31.196.0/24", "a reserved address",
		"192.52.193.0/24", "a reserved address",
		"192.88.99.0/24", "a tunnelled address",
		"192.168.0.0/16", "a private address",
		"192.175.48.0/24", "a reserved address",
		"198.18.0.0/15", "a benchmarking address",
		"198.51.100.0/24", "a documentation address",
		"203.0.113.0/24", "a documentation address",
		"224.0.0.0/4", "a multicast address",
		"255.255.255.255/32", "the broadcast address",
		"240.0.0.0/4", "a reserved address",
	)
	blocks6 = blocksOf(
		"fd00:ec2::254/128", "a cloud's metadata service",
		"fd20:ce::254/128", "a cloud's metadata service",
		"::/128", "an unspecified address",
		"::1/128", "a loopback address",
		"::ffff:0:0:0/96", "a tunnelled address", // IPv4-translated, RFC 2765
		"::/96", "an IPv4 address within an IPv6 one",
		"64:ff9b::/96", "a tunnelled address", // NAT64, RFC 6052
		"64:ff9b:1::/48", "a tunnelled address", // and of a site's own, RFC 8215
		"100::/64", "a discard address",
		"2001::/32", "a tunnelled address", // Teredo
		"2001:2::/48", "a benchmarking address",
		"2001::/23", "a reserved address",
		"2001:db8::/32", "a documentation address",
		"2002::/16", "a tunnelled address", // 6to4
		"2620:4f:8000::/48", "a reserved address",
		"3ffe::/16", "a reserved address",
		"3fff::/20", "a documentation address",
		"fc00::/7", "a private address",
		"fe80::/10", "a link-local address",
		"fec0::/10", "a private address",
		"ff00::/8", "a multicast address",
	)
	// global is the only part of IPv6 that IANA gives out for use in public.
	global = netip.MustParsePrefix("2000::/3")
)

func blocksOf(pairs ...string) []block {
	var blocks []block
	for i := 0; i < len(pairs); i += 2 {
		blocks = append(blocks, block{netip.MustParsePrefix(pairs[i]), pairs[i+1]})
	}
	return blocks
}

// classOf names what kind of address must not be called; "" may be.
func classOf(addr netip.Addr) string {
	switch {
	case !addr.IsValid():
		return "something that is no address"
	case addr.Zone() != "":
		return "an address with a zone"
	case addr.Is4In6():
		return "an IPv4 address within an IPv6 one"
	case addr.Is4():
		return within(blocks4, addr)
	case isISATAP(addr):
		return "a tunnelled address"
	}
	if class := within(blocks6, addr); class != "" {
		return class
	}
	if !global.Contains(addr) {
		return "a reserved address"
	}
	return ""
}

func within(blocks []block, addr netip.Addr) string {
	for _, b := range blocks {
		if b.prefix.Contains(addr) {
			return b.class
		}
	}
	return ""
}

// isISATAP reports whether an interface id carries an IPv4 address that the
// packet is tunnelled to (RFC 5214, 6.1).
func isISATAP(addr netip.Addr) bool {
	b := addr.As16()
	return (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}
