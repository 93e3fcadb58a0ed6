package consumer

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// idleLimit is how long one read or write may stand still when nobody set a
// deadline; kafka-go sets none while it signs in.
const idleLimit = 10 * time.Second

// connections keeps track of what one user of a cluster has open, so that
// all of it can be closed at once, whatever it is waiting for.
type connections struct {
	dialer net.Dialer
	mu     sync.Mutex
	open   map[*connection]struct{}
	closed bool
}

func newConnections(dialTimeout time.Duration) *connections {
	// Half of it, so that one dead address leaves time for another.
	return &connections{dialer: net.Dialer{Timeout: dialTimeout / 2}, open: make(map[*connection]struct{})}
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err //nolint:wrapcheck // a net.OpError names what was tried
	}
	tracked := &connection{Conn: conn, owner: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		return nil, fmt.Errorf("connecting to %s: %w", address, net.ErrClosed)
	}
	c.open[tracked] = struct{}{}
	return tracked, nil
}

// close closes every connection and refuses new ones.
func (c *connections) close() {
	c.mu.Lock()
	open := c.open
	c.open, c.closed = make(map[*connection]struct{}), true
	c.mu.Unlock()
	for conn := range open {
		_ = conn.Conn.Close()
	}
}

// connection gives every read and write a deadline.
type connection struct {
	net.Conn
	owner    *connections
	mu       sync.Mutex
	deadline time.Time // set by the user; zero for none
}

func (c *connection) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.open, c)
	c.owner.mu.Unlock()
	return c.Conn.Close() //nolint:wrapcheck // this is the connection
}

func (c *connection) SetDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	return c.Conn.SetDeadline(t) //nolint:wrapcheck // this is the connection
}

func (c *connection) guarded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.deadline.IsZero()
}

func (c *connection) Read(b []byte) (int, error) {
	if !c.guarded() {
		_ = c.Conn.SetReadDeadline(time.Now().Add(idleLimit))
	}
	return c.Conn.Read(b) //nolint:wrapcheck // this is the connection
}

func (c *connection) Write(b []byte) (int, error) {
	if !c.guarded() {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(idleLimit))
	}
	return c.Conn.Write(b) //nolint:wrapcheck // this is the connection
}
