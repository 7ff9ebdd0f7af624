package outbound

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// barred are addresses that an allowed name may lead to and that must not be called.
var barred = []class{
	{"loopback", []string{"127.0.0.1", "127.0.0.53", "127.1.2.3", "127.255.255.255", "::1"}},
	{"unspecified and 0/8", []string{"0.0.0.0", "0.0.0.1", "0.255.255.255", "::"}},
	{"private", []string{"10.0.0.0", "10.0.0.1", "10.255.255.255", "172.16.0.0", "172.17.0.1", "172.31.255.255", "192.168.0.0", "192.168.1.1", "192.168.255.255"}},
	{"link-local", []string{"169.254.0.1", "169.254.130.1", "169.254.255.255", "fe80::1", "fe80::a9fe:a9fe", "febf:ffff::1"}},
	{"metadata", []string{"169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"}},
	{"carrier's NAT", []string{"100.64.0.0", "100.64.0.1", "100.127.255.255"}},
	{"benchmarking", []string{"198.18.0.0", "198.18.0.1", "198.19.255.255", "2001:2::1"}},
	{"documentation", []string{"192.0.2.1", "198.51.100.7", "203.0.113.255", "2001:db8::1", "2001:db8:ffff::1", "3fff::1", "3fff:fff::1"}},
	{"multicast and broadcast", []string{"224.0.0.1", "239.255.255.250", "255.255.255.255", "ff02::1", "ff05::1:3", "ff0e::1"}},
	{"reserved", []string{"240.0.0.1", "254.255.255.255", "192.0.0.1", "192.31.196.1", "192.52.193.1", "192.175.48.1", "3ffe::1", "4000::1", "5f00::1", "8000::1", "2001:20::1", "2001:1::1", "2620:4f:8000::1", "1::1", "200::1"}},
	{"unique local and site-local", []string{"fc00::1", "fd00::1", "fdff:ffff::1", "fec0::1", "feff::1"}},
	{"discard", []string{"100::", "100::1", "100::ffff:ffff:ffff:ffff"}},
	{"IPv4-mapped", []string{"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:93.184.216.34", "::ffff:0.0.0.0"}},
	{"IPv4-compatible", []string{"::127.0.0.1", "::10.0.0.1", "::169.254.169.254", "::93.184.216.34"}},
	{"IPv4-translated", []string{"::ffff:0:127.0.0.1", "::ffff:0:a9fe:a9fe"}},
	{"NAT64", []string{"64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::5db8:d822", "64:ff9b:1::1", "64:ff9b:1:ffff::10.0.0.1"}},
	{"6to4", []string{"2002::", "2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1", "192.88.99.1"}},
	{"Teredo", []string{"2001::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:0:7f00:1::1"}},
	{"ISATAP", []string{"2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:a9fe:a9fe", "2a00:1450:4001::5efe:127.0.0.1", "fe80::5efe:10.0.0.1"}},
	{"zone", []string{"fe80::1%eth0", "::1%lo", "2606:4700:4700::1111%eth0"}},
}

// open are addresses next to the barred ones, which may be called.
var open = []string{
	public, "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0",
	"168.63.129.15", "168.63.129.17", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
	"2606:4700:4700::1111", "2a00:1450:4001:801::200e", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2603:1030::1", "2606:4700::5efd:a00:1",
}

// TestBarredAddresses: an allowed name that leads to what is not public is
// refused without a connection, alone or among public ones, at the look-up and
// once more at the socket.
func TestBarredAddresses(t *testing.T) {
	total := 0
	for _, class := range barred {
		for _, bad := range class.examples {
			for _, leads := range [][]string{{bad}, {public, bad}, {bad, public}, {public, "1.1.1.1", "2606:4700:4700::1111", bad}} {
				r := newRig(t, Config{Allow: allowed}, leadTo("hooks.example.com", leads...), fine)
				r.refused(t, "https://hooks.example.com/"+canary)
				require.Empty(t, r.requests())
				require.Contains(t, r.logs.String(), "outbound call refused")
				_, err := r.get(t, "https://hooks.example.com/"+canary)
				require.NotContains(t, err.Error(), bad+" ", "who wrote the name learns no address")
			}
			c, err := New(Config{Allow: allowed})
			require.NoError(t, err)
			require.ErrorIs(t, c.control(t.Context(), "tcp", net.JoinHostPort(bad, "443"), nil), ErrRefused, bad)
		}
		total += len(class.examples)
		t.Logf("%-34s %3d refused, alone and in 3 mixtures", class.name, len(class.examples))
	}
	t.Logf("%-34s %3d refused", "all", total)
	for _, good := range open {
		require.Empty(t, classOf(netip.MustParseAddr(good)), good)
	}
}

// TestClassesAreNamed rightly, for that is all that people are told.
func TestClassesAreNamed(t *testing.T) {
	for class, addrs := range map[string][]string{
		"something that is no address":       {""},
		"an address with a zone":             {"::1%lo", "2606:4700::1%1"},
		"an IPv4 address within an IPv6 one": {"::ffff:10.0.0.1", "::ffff:1.1.1.1", "::10.0.0.1", "::2", "::255.255.255.255"},
		"an unspecified address":             {"0.0.0.0", "0.255.255.255", "::"},
		"a loopback address":                 {"127.0.0.1", "127.255.255.255", "::1"},
		"a private address":                  {"10.0.0.0", "172.31.255.255", "192.168.0.0", "fc00::", "fdff:ffff::", "fec0::", "feff::"},
		"a carrier's private address":        {"100.64.0.0", "100.127.255.255"},
		"a link-local address":               {"169.254.0.0", "169.254.255.255", "fe80::", "febf::"},
		"a cloud's metadata service":         {"169.254.169.254", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"},
		"Azure's wire server":                {"168.63.129.16"},
		"a documentation address":            {"192.0.2.0", "198.51.100.0", "203.0.113.0", "2001:db8::", "3fff::", "3fff:fff::"},
		"a benchmarking address":             {"198.18.0.0", "198.19.255.255", "2001:2::"},
		"a multicast address":                {"224.0.0.0", "239.255.255.255", "ff00::", "ffff::"},
		"the broadcast address":              {"255.255.255.255"},
		"a discard address":                  {"100::", "100::ffff:ffff:ffff:ffff"},
		"a tunnelled address":                {"192.88.99.0", "::ffff:0:1.1.1.1", "64:ff9b::", "64:ff9b:1::", "2001::", "2001:0:ffff::", "2002::", "2002:ffff::", "2606:4700::5efe:1.1.1.1"},
		"a reserved address": {
			"192.0.0.0", "192.31.196.0", "192.52.193.0", "192.175.48.0", "240.0.0.0", "255.255.255.254", "2001:1ff::", "2001:10::", "2620:4f:8000::", "3ffe::", "1fff:ffff::", "4000::", "100:0:0:1::", "64:ff9b:2::",
		},
	} {
		for _, s := range addrs {
			addr, _ := netip.ParseAddr(s)
			require.Equal(t, class, classOf(addr), "%q", s)
		}
	}
}

// TestRebinding: a name that turns to a private address after it was checked.
func TestRebinding(t *testing.T) {
	leads := leadTo("hooks.example.com")
	leads.leads["hooks.example.com"] = [][]netip.Addr{parsed(public), parsed("169.254.169.254"), parsed(public), parsed(public, "127.0.0.1")}
	r := newRig(t, Config{Allow: allowed}, leads, fine)
	for _, want := range []bool{true, false, true, false} {
		require.NoError(t, r.Check("https://hooks.example.com/"))
		if want {
			_, err := r.get(t, "https://hooks.example.com/")
			require.NoError(t, err)
		} else {
			r.refused(t, "https://hooks.example.com/")
		}
	}
	require.Len(t, leads.asked, 4, "one look-up a connection: what was checked is what is called")
	require.Equal(t, []string{public + ":443", public + ":443"}, r.connections())
}

// TestEachCallIsCheckedAnew, over a connection of its own.
func TestEachCallIsCheckedAnew(t *testing.T) {
	r := newRig(t, Config{Allow: allowed}, leadTo("*", public), fine)
	for n := range 3 {
		_, err := r.get(t, "https://hooks.example.com/")
		require.NoError(t, err)
		require.Len(t, r.connections(), n+1)
		require.Len(t, r.names.asked, n+1)
	}
}

// TestTheNextAddressIsTried where one cannot be reached.
func TestTheNextAddressIsTried(t *testing.T) {
	r := newRig(t, Config{Allow: allowed, Timeout: time.Minute}, leadTo("*", "2606:4700:4700::1111", public), fine)
	r.Client.connect = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "[2606:4700:4700::1111]:443" {
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Less(t, time.Until(deadline), 31*time.Second, "half of the time is the second's")
			return nil, errSilent
		}
		return r.connect(ctx, network, address)
	}
	_, err := r.get(t, "https://hooks.example.com/")
	require.NoError(t, err)
	require.Equal(t, []string{public + ":443"}, r.connections())
}

func TestNamesWithoutAddressesOrWithTooMany(t *testing.T) {
	many := make([]string, maxAddresses+1)
	for i := range many {
		many[i] = public
	}
	for _, leads := range []*names{leadTo("other.example"), leadTo("*", []string{}...), leadTo("*", many...)} {
		r := newRig(t, Config{Allow: allowed}, leads, fine)
		_, err := r.get(t, "https://hooks.example.com/"+canary)
		require.EqualError(t, err, "call https://hooks.example.com: its name leads to no address that can be used")
		require.Empty(t, r.connections())
	}
}

// TestNoProxy: a proxy of the environment would look the name up itself.
func TestNoProxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
	t.Setenv("ALL_PROXY", "http://127.0.0.1:3128")
	r := newRig(t, Config{Allow: allowed}, leadTo("*", public), fine)
	require.Nil(t, r.transport.Proxy)
	_, err := r.get(t, "https://hooks.example.com/")
	require.NoError(t, err)
	require.Equal(t, []string{public + ":443"}, r.connections())
}
