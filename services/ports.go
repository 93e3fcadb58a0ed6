//go:build services

package services

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePorts returns TCP ports of the loopback address that nobody listens on. They lie below the range from which the
// system takes the ports of outgoing connections, so that a service that was killed finds its ports free again.
func FreePorts(n int) ([]int, error) {
	const lowest, highest = 20_000, 32_000 // Linux takes outgoing ports from 32,768 up
	ports := make([]int, 0, n)
	taken := map[int]bool{}
	for range 1000 {
		port := lowest + rand.IntN(highest-lowest)
		if taken[port] {
			continue
		}
		listener, err := net.Listen("tcp", Loopback(port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return nil, fmt.Errorf("trying port %d: %w", port, err)
		}
		taken[port] = true
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("finding free ports: all tried ones are taken")
}

// Loopback is the address of a port of this machine.
func Loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
