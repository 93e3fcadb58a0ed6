package sinks

import (
	"errors"
	"io"
	"sync"
)

// errDetached is what a transport reads that still writes a body when its
// attempt is over, for instance after an early answer.
var errDetached = errors.New("the attempt is over")

// payload is the body of one attempt. A transport may go on reading a request's
// body after it has returned; the attempt's bytes belong to the caller, who uses
// them again. So the payload lets go of them when the attempt ends: from then on
// a reader finds an error instead of bytes that have changed.
type payload struct {
	mu      sync.Mutex
	parts   [3][]byte // an array body is "[" + bytes + "]" without a copy
	size    int64
	touched bool // a transport began to read: the endpoint may have seen a part of it
	drained bool // a transport has read all of it
	gone    bool
}

func (p *payload) add(i int, part []byte) {
	p.parts[i] = part
	p.size += int64(len(part))
}

// reader returns a new reader from the start: what http.Request.GetBody wants.
func (p *payload) reader() (io.ReadCloser, error) { return &payloadReader{p: p}, nil }

// progress tells whether a transport began to read, and whether it came to the end.
func (p *payload) progress() (touched, drained bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.touched, p.drained
}

func (p *payload) detach() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.parts = [3][]byte{}
}

type payloadReader struct {
	p      *payload
	part   int
	offset int
	closed bool
}

func (r *payloadReader) Read(to []byte) (int, error) {
	p := r.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone || r.closed {
		return 0, errDetached
	}
	p.touched = true
	n := 0
	for n < len(to) && r.part < len(p.parts) {
		c := copy(to[n:], p.parts[r.part][r.offset:])
		n += c
		r.offset += c
		if r.offset == len(p.parts[r.part]) {
			r.part, r.offset = r.part+1, 0
		}
	}
	p.drained = p.drained || r.part == len(p.parts)
	if n == 0 && r.part == len(p.parts) && len(to) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (r *payloadReader) Close() error {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.closed = true
	return nil
}
