package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

const (
	dialTimeout = 10 * time.Second // name and connection; an attempt has 30 s for everything

	// A peer that vanished without a word is noticed after
	// keepAliveIdle + keepAliveCount × keepAliveInterval = 30 s.
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 5 * time.Second
	keepAliveCount    = 3
)

// NewDialer returns the dialer of NewTransport, for what does not speak HTTP.
// resolver nil is the system's.
func NewDialer(rules Rules, resolver *net.Resolver) *net.Dialer {
	return &net.Dialer{
		Timeout:  dialTimeout,
		Resolver: resolver,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable:   true,
			Idle:     keepAliveIdle,
			Interval: keepAliveInterval,
			Count:    keepAliveCount,
		},
		ControlContext: control(rules),
	}
}

// control runs after the name was resolved and before the connection is made,
// once for every address that is tried: an answer of the name server that
// changes between a check and its use has nothing to change.
func control(rules Rules) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, network, address string, _ syscall.RawConn) error {
		target, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("checking the address of a connection over %s: %w", network, err)
		}
		return rules.Check(target.Addr())
	}
}
