package sinktest

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// unread faults do not look at the request's body.
func (f Fault) unread() bool {
	switch f {
	case ResetUnread, HangUnread, EarlyClose, EarlyKeep:
		return true
	default:
		return false
	}
}

// silent faults send no status.
func (f Fault) silent() bool {
	switch f {
	case ResetUnread, ResetRead, CloseRead, HalfStatus, Garbage, HangUnread, HangRead:
		return true
	default:
		return false
	}
}

// fail plays the step's fault.
func (r *Receiver) fail(w http.ResponseWriter, in *http.Request, step Step, answer []byte) {
	switch step.Fault {
	case HangUnread, HangRead:
		r.hang(in)
		// Returning would send a 200, which a client that is just hanging up may still read.
		panic(http.ErrAbortHandler)
	case EndlessBody:
		w.WriteHeader(step.status())
		filler := []byte(strings.Repeat("all work and no play ", 1000))
		for {
			if _, err := w.Write(filler); err != nil {
				return
			}
		}
	case SlowBody:
		r.drip(w, in, step)
		return
	default:
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	conn, buffered, err := hijacker.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = conn.Close() }()
	r.breakConn(conn, step, answer)
	if step.Fault == EarlyKeep {
		_, _ = io.CopyN(io.Discard, buffered, in.ContentLength)
	}
}

func (r *Receiver) breakConn(conn net.Conn, step Step, answer []byte) {
	half := answer[:len(answer)/2]
	announced := len(answer)
	if announced == 0 {
		announced = 1000
	}
	switch step.Fault {
	case ResetUnread, ResetRead:
		reset(conn)
	case HalfStatus:
		_, _ = io.WriteString(conn, "HTTP/1.1 20")
	case Garbage:
		_, _ = io.WriteString(conn, "\x00\x01 this is no HTTP\r\n\r\n")
	case HalfAnswer, ResetAnswer, HangAnswer:
		_, _ = conn.Write(head(step, fmt.Sprintf("Content-Length: %d", announced)))
		_, _ = conn.Write(half)
		switch step.Fault {
		case ResetAnswer:
			reset(conn)
		case HangAnswer:
			r.hangConn(conn)
		default:
		}
	case HalfChunk:
		_, _ = conn.Write(head(step, "Transfer-Encoding: chunked"))
		_, _ = fmt.Fprintf(conn, "%x\r\n%s", announced, half)
	case EndlessHeader:
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		line := "X-Filler: " + strings.Repeat("x", 1000) + "\r\n"
		for {
			if _, err := io.WriteString(conn, line); err != nil {
				return
			}
		}
	case EarlyClose:
		_, _ = conn.Write(head(step, "Content-Length: 0", "Connection: close"))
	case EarlyKeep:
		_, _ = conn.Write(head(step, "Content-Length: 0"))
	default: // CloseRead: the connection is closed by the caller.
	}
}

func head(step Step, lines ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", step.status(), http.StatusText(step.status()))
	for name, values := range step.Header {
		for _, value := range values {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	for _, line := range lines {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// reset makes the kernel send RST instead of FIN.
func reset(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (r *Receiver) hang(in *http.Request) {
	select {
	case <-r.closing:
	case <-in.Context().Done():
	}
}

// hangConn waits until the client closes its side.
func (r *Receiver) hangConn(conn net.Conn) {
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, conn)
		close(gone)
	}()
	select {
	case <-r.closing:
	case <-gone:
	}
}

func (r *Receiver) drip(w http.ResponseWriter, in *http.Request, step Step) {
	for name, values := range step.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(step.status())
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		if _, err := io.WriteString(w, " "); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-ticker.C:
		case <-r.closing:
			return
		case <-in.Context().Done():
			return
		}
	}
}
