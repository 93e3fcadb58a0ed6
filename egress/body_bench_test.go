package egress

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
)

// BenchmarkBody sends bodies of a full batch to a server in the same process.
// Two figures bear a noisy machine: the writes to the socket, and the CPU time
// of client and server together. gather=false is what the standard library
// does by itself.
func BenchmarkBody(b *testing.B) {
	a := newAuthority(b)
	s := a.serve(b, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }, nil)
	body := bytes.Repeat([]byte("0123456789abcdef"), 896_000/16)
	for _, c := range []struct {
		only    bool // HTTP/1.1
		size    int  // of the write buffer
		dynamic bool // records grow with the connection's age
		gather  bool
	}{
		{true, DefaultWriteBuffer, false, true},
		{true, DefaultWriteBuffer, false, false},
		{true, DefaultWriteBuffer, true, false},
		{true, 4 << 10, false, false},
		{true, 256 << 10, false, false},
		{false, DefaultWriteBuffer, false, true},
		{false, DefaultWriteBuffer, false, false},
	} {
		b.Run(fmt.Sprintf("http1=%v/buffer=%dKiB/dynamic=%v/gather=%v", c.only, c.size>>10, c.dynamic, c.gather), func(b *testing.B) {
			transport := NewTransport(Options{RootCAs: a.pool(b), HTTP1Only: c.only, WriteBufferSize: c.size, Proxy: DirectOnly})
			transport.TLSClientConfig.DynamicRecordSizingDisabled = !c.dynamic
			writes := countWrites(transport, c.gather)
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			before := cpuMicroseconds(b)
			b.ReportAllocs()
			for b.Loop() {
				r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, s.URL, bytes.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				answer, err := client.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
			}
			b.ReportMetric(float64(writes.Load())/float64(b.N), "writes/body")
			b.ReportMetric((cpuMicroseconds(b)-before)/float64(b.N), "cpu-µs/body")
		})
	}
}

// countWrites counts what reaches the socket, below the gathering or in its
// place.
func countWrites(transport *http.Transport, gathers bool) *atomic.Int64 {
	writes := new(atomic.Int64)
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := NewDialer(Rules{}, nil).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &countedConn{Conn: conn, writes: writes}, nil
	}
	transport.DialContext = dial
	if gathers {
		transport.DialContext = gather(dial)
	}
	return writes
}

type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func cpuMicroseconds(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Sec+u.Stime.Sec)*1e6 + float64(u.Utime.Usec+u.Stime.Usec)
}
