package egress

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

func TestRules(t *testing.T) {
	deny := Rules{Deny: prefixes("10.0.0.0/8", "fc00::/7", "127.0.0.0/8")}
	allow := Rules{Allow: prefixes("192.0.2.0/24", "2001:db8::/32")}
	both := Rules{Allow: prefixes("10.0.0.0/8"), Deny: prefixes("10.9.0.0/16")}
	mapped := Rules{Deny: prefixes("::ffff:10.0.0.0/104")}
	open := Rules{Allow: prefixes("0.0.0.0/0", "::/0")}
	for _, c := range []struct {
		rules  Rules
		addr   string
		reason string // a part of it; empty: allowed
	}{
		{Rules{}, "127.0.0.1", ""},
		{Rules{}, "::1", ""},
		{Rules{}, "10.1.2.3", ""},
		{Rules{}, "fd12::1", ""},
		{Rules{}, "93.184.216.34", ""},
		{Rules{}, "2606:2800::1", ""},
		{Rules{}, "169.254.169.254", "link-local"},
		{Rules{}, "169.254.0.1", "link-local"},
		{Rules{}, "::ffff:169.254.169.254", "link-local"},
		{Rules{}, "::169.254.169.254", "link-local"},
		{Rules{}, "64:ff9b::169.254.169.254", "link-local"},
		{Rules{}, "2002:a9fe:a9fe::1", "link-local"},
		{Rules{}, "2002:0808:0808::1", ""},
		{Rules{}, "64:ff9b::8.8.8.8", ""},
		{Rules{}, "fe80::1", "link-local"},
		{Rules{}, "fe80::1%eth0", "link-local"},
		{Rules{}, "febf::1", "link-local"},
		{Rules{}, "fec0::1", ""},
		{Rules{}, "224.0.0.1", "multicast"},
		{Rules{}, "239.255.255.255", "multicast"},
		{Rules{}, "ff02::1", "multicast"},
		{Rules{}, "0.0.0.0", "unspecified"},
		{Rules{}, "0.1.2.3", "unspecified"},
		{Rules{}, "::", "unspecified"},
		{Rules{}, "::ffff:0.0.0.0", "unspecified"},
		{Rules{}, "255.255.255.255", "broadcast"},
		{Rules{}, "fd00:ec2::254", "metadata"},
		{Rules{}, "fd20:ce::254", "metadata"},
		{Rules{}, "168.63.129.16", "metadata"},
		{Rules{}, "100.100.100.200", "metadata"},
		{Rules{}, "192.0.0.192", "metadata"},
		{deny, "10.1.2.3", "denied"},
		{deny, "::ffff:10.1.2.3", "denied"},
		{deny, "64:ff9b::10.1.2.3", "denied"},
		{deny, "2002:0a01:0203::1", "denied"},
		{deny, "fd12::1%1", "denied"},
		{deny, "127.0.0.1", "denied"},
		{deny, "::ffff:127.0.0.1", "denied"},
		{deny, "::1", ""},
		{deny, "11.0.0.1", ""},
		{allow, "192.0.2.7", ""},
		{allow, "::ffff:192.0.2.7", ""},
		{allow, "192.0.3.7", "not among"},
		{allow, "2001:db8::7", ""},
		{allow, "2001:db9::7", "not among"},
		{allow, "127.0.0.1", "not among"},
		{both, "10.1.2.3", ""},
		{both, "10.9.2.3", "denied"},
		{mapped, "10.1.2.3", "denied"},
		{mapped, "11.1.2.3", ""},
		{open, "169.254.169.254", "link-local"},
		{open, "ff02::1", "multicast"},
		{open, "8.8.8.8", ""},
	} {
		err := c.rules.Check(netip.MustParseAddr(c.addr))
		if c.reason == "" {
			if err != nil {
				t.Errorf("%s with %+v: %v", c.addr, c.rules, err)
			}
			continue
		}
		var denied *DeniedError
		if !errors.As(err, &denied) || !strings.Contains(denied.Reason, c.reason) || !denied.EgressDenied() {
			t.Errorf("%s with %+v: error %v, want one about %q", c.addr, c.rules, err, c.reason)
		}
	}
	if err := (Rules{}).Check(netip.Addr{}); err == nil {
		t.Error("no address at all is allowed")
	}
}

func FuzzRules(f *testing.F) {
	f.Add([]byte{169, 254, 169, 254})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254, 169, 254})
	f.Add([]byte{0x20, 2, 169, 254, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		err := Rules{Allow: prefixes("0.0.0.0/0", "::/0")}.Check(addr)
		bare := addr.Unmap()
		if (bare.IsLinkLocalUnicast() || bare.IsMulticast() || bare.IsUnspecified()) && err == nil {
			t.Errorf("%s is allowed", addr)
		}
		if Rules.Check(Rules{Deny: []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}}, addr) == nil {
			t.Errorf("%s is allowed although it is denied", addr)
		}
	})
}
