package egress

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	// fullRecord in bytes is the least that a record of TLS takes whose
	// plaintext is as large as the protocol allows (RFC 8446, 5.1).
	fullRecord = 16 << 10

	// gatherBytes is how much goes to the socket at once. A body of 896,000
	// bytes is 55 records; crypto/tls hands each to the socket by itself.
	// BenchmarkBody: four writes instead of 55 take a third off the CPU time
	// of a body.
	gatherBytes = 256 << 10

	// gatherDelay is how long a full record waits for the next at most.
	// Whoever writes one writes on at once, or wrote a body whose length is a
	// multiple of a record's.
	gatherDelay = time.Millisecond
)

// gathered lets full TLS records wait for each other.
//
//	          full record                  gatherBytes are held,
//	        ┌─────────────┐                a shorter record comes,
//	        ▼             │                or gatherDelay is over
//	empty ──────────▶ holding ─────────────────────────────────▶ empty
//	  │ shorter record
//	  └──▶ straight to the socket
//
// What is held counts as written, as it does in the socket's own buffer: if it
// cannot be delivered the next write says so, and the reading side knows.
type gathered struct {
	net.Conn

	mu    sync.Mutex
	held  *[]byte // nil: nothing
	timer *time.Timer
	armed bool
	err   error // of a write that nobody waited for
}

// heldBuffers are shared by all connections: one is in use only while a body is
// on its way.
var heldBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, gatherBytes+2*fullRecord)
	return &b
}}

// gather makes a dialer's connections gather.
func gather(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &gathered{Conn: conn}, nil
	}
}

// Write holds p if it is a full record of application data and passes on
// whatever else with all that is held.
func (c *gathered) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	full := isFullRecord(p)
	if c.held == nil {
		if !full {
			return c.Conn.Write(p)
		}
		c.held = heldBuffers.Get().(*[]byte)
	}
	*c.held = append(*c.held, p...)
	if !full || len(*c.held) >= gatherBytes {
		if err := c.flush(); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	if !c.armed {
		c.armed = true
		if c.timer == nil {
			c.timer = time.AfterFunc(gatherDelay, c.late)
		} else {
			c.timer.Reset(gatherDelay)
		}
	}
	return len(p), nil
}

// late passes on what waited in vain.
func (c *gathered) late() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = false
	_ = c.flush() // kept in err, for the next write
}

// flush writes what is held. The caller has the lock.
func (c *gathered) flush() error {
	if c.held == nil {
		return c.err
	}
	_, err := c.Conn.Write(*c.held)
	*c.held = (*c.held)[:0]
	heldBuffers.Put(c.held)
	c.held = nil
	if err != nil {
		c.err = err
	}
	return err
}

// Close closes the connection first: that ends a write that blocks with the
// lock held. What is still held goes nowhere: its request was given up.
func (c *gathered) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.held != nil {
		*c.held = (*c.held)[:0]
		heldBuffers.Put(c.held)
		c.held = nil
	}
	if c.err == nil {
		c.err = net.ErrClosed
	}
	return err
}

// isFullRecord tells a full record of application data by its header: type 23
// of protocol 3.x (RFC 8446, 5.2).
func isFullRecord(p []byte) bool {
	return len(p) >= fullRecord && p[0] == 23 && p[1] == 3
}
