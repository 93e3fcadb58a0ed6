package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
)

// gate stands between two programs and lets bytes through, or not.
type gate struct {
	mu    sync.Mutex
	open  chan struct{} // closed while bytes pass
	conns map[net.Conn]struct{}
}

func newGate() *gate {
	g := &gate{open: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	close(g.open)
	return g
}

// silence keeps every byte back until it is told otherwise: connections are
// accepted, requests are not answered.
func (g *gate) silence(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
		if on {
			g.open = make(chan struct{})
		}
	default:
		if !on {
			close(g.open)
		}
	}
}

// cut ends every connection.
func (g *gate) cut() {
	g.mu.Lock()
	all := slices.Collect(maps.Keys(g.conns))
	g.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}

func (g *gate) passage() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// listen is net.Listen with connections that pass the gate.
func (g *gate) listen(network, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), network, address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	return &gatedListener{Listener: l, gate: g}, nil
}

type gatedListener struct {
	net.Listener
	gate *gate
}

// Accept implements net.Listener.
func (l *gatedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.gate.wrap(c), nil
}

func (g *gate) wrap(c net.Conn) net.Conn {
	w := &gatedConn{Conn: c, gate: g, gone: make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns[w] = struct{}{}
	return w
}

type gatedConn struct {
	net.Conn
	gate *gate
	once sync.Once
	gone chan struct{}
}

func (c *gatedConn) pass() error {
	select {
	case <-c.gate.passage():
		return nil
	case <-c.gone:
		return net.ErrClosed
	}
}

// Read implements net.Conn.
func (c *gatedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if perr := c.pass(); perr != nil {
		return 0, perr
	}
	return n, err
}

// Write implements net.Conn.
func (c *gatedConn) Write(p []byte) (int, error) {
	if err := c.pass(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Close implements net.Conn.
func (c *gatedConn) Close() error {
	c.once.Do(func() {
		close(c.gone)
		c.gate.mu.Lock()
		delete(c.gate.conns, c)
		c.gate.mu.Unlock()
	})
	return c.Conn.Close()
}

// door forwards connections to an address. It can be shut, so that nobody
// listens there, and opened again on the same port.
type door struct {
	*gate
	to string
	at string

	mu       sync.Mutex
	listener net.Listener
	served   sync.WaitGroup
	count    int // connections that pass
}

// newDoor opens a door to an address, on a free port.
func newDoor(to string) (*door, error) {
	d := &door{gate: newGate(), to: to, at: "127.0.0.1:0"}
	return d, d.unlock()
}

// unlock listens, again if need be.
func (d *door) unlock() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listener != nil {
		return nil
	}
	l, err := d.listen("tcp", d.at)
	if err != nil {
		return err
	}
	d.listener, d.at = l, l.Addr().String()
	d.served.Go(func() { d.serve(l) })
	return nil
}

// shut stops listening and ends what passes.
func (d *door) shut() {
	d.mu.Lock()
	l := d.listener
	d.listener = nil
	d.mu.Unlock()
	if l != nil {
		_ = l.Close()
	}
	d.cut()
}

// close shuts the door for good.
func (d *door) close() {
	d.shut()
	d.served.Wait()
}

// passing is how many connections pass.
func (d *door) passing() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

func (d *door) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		d.mu.Lock()
		d.count++
		d.mu.Unlock()
		d.served.Go(func() {
			d.forward(c)
			d.mu.Lock()
			d.count--
			d.mu.Unlock()
		})
	}
}

// forward copies both ways until both sides have ended.
func (d *door) forward(c net.Conn) {
	defer func() { _ = c.Close() }()
	var dialer net.Dialer
	s, err := dialer.DialContext(context.Background(), "tcp", d.to)
	if err != nil {
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() {
		_, _ = io.Copy(s, c)
		if t, ok := s.(*net.TCPConn); ok { // what was sent is heard, also when its sender is gone
			_ = t.CloseWrite()
		}
	})
	ways.Go(func() {
		_, _ = io.Copy(c, s)
		_ = c.Close()
	})
	ways.Wait()
	_ = s.Close()
}
