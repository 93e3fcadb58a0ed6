// Package egress is the one way out of the process: the dialer and the
// transport that endpoints, token servers, proxies and alert targets share. It
// checks the address that a name was really resolved to, speaks TLS 1.2 or
// later, follows no redirect and shows no credential of a proxy.
package egress

import (
	"fmt"
	"net/netip"
)

// Rules say which addresses may be connected to. The zero value allows
// everything but what is never allowed: link-local addresses, multicast, the
// unspecified network and the metadata services of clouds.
type Rules struct {
	Allow []netip.Prefix // not empty: only these
	Deny  []netip.Prefix // never these, even when allowed above
}

// never are the ranges that no rule can open. Whoever may edit an endpoint must
// not be able to read the credentials of the machine from its cloud.
var never = []struct {
	prefix netip.Prefix
	reason string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},        // RFC 1122, 3.2.1.3: this network
	{netip.MustParsePrefix("::/128"), "unspecified"},           // RFC 4291, 2.5.2
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},    // RFC 3927; metadata of most clouds
	{netip.MustParsePrefix("fe80::/10"), "link-local"},         // RFC 4291, 2.5.6
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},        // RFC 5771
	{netip.MustParsePrefix("ff00::/8"), "multicast"},           // RFC 4291, 2.7
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"}, // RFC 919
	{netip.MustParsePrefix("fd00:ec2::254/128"), "metadata"},   // Amazon, instance metadata over IPv6
	{netip.MustParsePrefix("fd20:ce::254/128"), "metadata"},    // Google, metadata server over IPv6
	{netip.MustParsePrefix("168.63.129.16/32"), "metadata"},    // Azure, host agent
	{netip.MustParsePrefix("100.100.100.200/32"), "metadata"},  // Alibaba Cloud
	{netip.MustParsePrefix("192.0.0.192/32"), "metadata"},      // Oracle Cloud, classic
}

// Prefixes of IPv6 whose addresses carry an address of IPv4 that a gateway
// takes out again: what is inside is checked as well.
var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: the last four bytes
	compatOf4 = netip.MustParsePrefix("::/96")        // RFC 4291, 2.5.5.1, deprecated: the last four bytes
	sixToFour = netip.MustParsePrefix("2002::/16")    // RFC 3056: bytes 2 to 5
)

// Check tells whether an address may be connected to; the error is a
// *DeniedError. An IPv4 address in IPv6 clothes is checked as what it is.
func (r Rules) Check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return &DeniedError{Addr: addr, Reason: "not an address"}
	}
	inner, wrapped := embedded(addr)
	for _, n := range never {
		if n.prefix.Contains(addr) || wrapped && n.prefix.Contains(inner) {
			return &DeniedError{Addr: addr, Reason: n.reason}
		}
	}
	if contains(r.Deny, addr) || wrapped && contains(r.Deny, inner) {
		return &DeniedError{Addr: addr, Reason: "denied by the configuration"}
	}
	if len(r.Allow) > 0 && !contains(r.Allow, addr) {
		return &DeniedError{Addr: addr, Reason: "not among what the configuration allows"}
	}
	return nil
}

// Empty tells whether the configuration adds nothing to what is never allowed.
func (r Rules) Empty() bool { return len(r.Allow) == 0 && len(r.Deny) == 0 }

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if unmapPrefix(p).Contains(addr) {
			return true
		}
	}
	return false
}

// unmapPrefix turns ::ffff:10.0.0.0/104 into 10.0.0.0/8, or it would never
// match: addresses are unmapped before they are compared.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// embedded returns the IPv4 address that an IPv6 address of a transition
// mechanism carries.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() || addr == netip.IPv6Loopback() || addr == netip.IPv6Unspecified() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	switch {
	case nat64.Contains(addr), compatOf4.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// DeniedError says that the rules refuse an address. It reaches the caller
// wrapped in what the transport makes of a failed connection.
type DeniedError struct {
	Addr   netip.Addr
	Reason string // what the address is, or which rule refused it
}

// Error names the address and the reason.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("egress to %s refused: %s", e.Addr, e.Reason)
}

// EgressDenied marks the error for callers that do not import this package.
func (e *DeniedError) EgressDenied() bool { return true }
