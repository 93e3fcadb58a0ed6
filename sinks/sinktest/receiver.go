package sinktest

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sessionexport/egress"
)

// Options of a receiver. The zero value is an HTTP/1.1 server with a good
// certificate of its own authority.
type Options struct {
	HTTP2        bool
	Leaf         Leaf
	Authority    *Authority // nil: a new one
	ClientCA     *Authority // set: asks for a client's certificate of this authority
	ForgetBodies bool       // Requests do not keep bodies
}

// Request is what came.
type Request struct {
	Method   string
	URL      *url.URL
	Proto    string
	Header   http.Header
	Length   int64  // Content-Length, -1 when there was none
	Body     []byte // as it came; nil when it was not read, or forgotten
	Sessions []Session
	Status   int // what was answered, 0 when nothing was
}

// Receiver is a scripted endpoint. It closes with its test.
type Receiver struct {
	Authority *Authority

	server  *httptest.Server
	forget  bool
	closing chan struct{}

	mu       sync.Mutex
	script   []Step
	always   Step
	requests []Request
	accepted map[string]int
	arrived  chan struct{} // closed and replaced when a request has been recorded
	opened   int           // connections
}

// New starts a receiver.
func New(t testing.TB, o Options) *Receiver {
	t.Helper()
	if o.Authority == nil {
		o.Authority = NewAuthority(t)
	}
	r := &Receiver{
		Authority: o.Authority,
		forget:    o.ForgetBodies,
		closing:   make(chan struct{}),
		accepted:  make(map[string]int),
		arrived:   make(chan struct{}),
	}
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	r.server.EnableHTTP2 = o.HTTP2
	r.server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			r.mu.Lock()
			r.opened++
			r.mu.Unlock()
		}
	}
	r.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	r.server.TLS = &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{o.Authority.Issue(t, o.Leaf)},
	}
	if o.ClientCA != nil {
		r.server.TLS.ClientAuth = tls.RequireAndVerifyClientCert
		r.server.TLS.ClientCAs = o.ClientCA.Pool()
	}
	r.server.StartTLS()
	t.Cleanup(r.Close)
	return r
}

// Close ends the receiver and everything that hangs in it.
func (r *Receiver) Close() {
	r.mu.Lock()
	select {
	case <-r.closing:
		r.mu.Unlock()
		return
	default:
		close(r.closing)
	}
	r.mu.Unlock()
	r.server.CloseClientConnections()
	r.server.Close()
}

// URL returns an address of the receiver: its host with the given path and query.
func (r *Receiver) URL(path string) *url.URL {
	u, err := url.Parse(r.server.URL + path)
	if err != nil {
		panic(err) // a mistake in the test
	}
	return u
}

// Transport returns the transport of the house, with trust in the receiver's
// authority. Its idle connections close with the test.
func (r *Receiver) Transport(t testing.TB) *http.Transport {
	t.Helper()
	transport := egress.NewTransport(egress.Options{RootCAs: r.Authority.Pool(), Proxy: egress.DirectOnly})
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// Script appends steps for the next requests, one each.
func (r *Receiver) Script(steps ...Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script = append(r.script, steps...)
}

// Always sets the step for requests beyond the script.
func (r *Receiver) Always(step Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.always = step
}

// Connections returns how many connections were opened until now.
func (r *Receiver) Connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened
}

// Requests returns what came until now.
func (r *Receiver) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// Accepted returns how often each session was accepted, by its key: a session
// with 2 is a duplicate.
func (r *Receiver) Accepted() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	accepted := make(map[string]int, len(r.accepted))
	for key, count := range r.accepted {
		accepted[key] = count
	}
	return accepted
}

// WaitFor returns when n requests have been recorded, false when that takes
// longer than the limit. A request is recorded when its answer is about to be
// sent.
func (r *Receiver) WaitFor(n int, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		r.mu.Lock()
		count, arrived := len(r.requests), r.arrived
		r.mu.Unlock()
		if count >= n {
			return true
		}
		select {
		case <-arrived:
		case <-timer.C:
			return false
		}
	}
}

func (r *Receiver) next() Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.script) == 0 {
		return r.always
	}
	step := r.script[0]
	r.script = r.script[1:]
	return step
}

func (r *Receiver) record(request Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forget {
		request.Body = nil
	}
	r.requests = append(r.requests, request)
	for _, s := range request.Sessions {
		if s.Status >= 200 && s.Status < 300 {
			r.accepted[s.Key]++
		}
	}
	close(r.arrived)
	r.arrived = make(chan struct{})
}

func (r *Receiver) serve(w http.ResponseWriter, in *http.Request) {
	step := r.next()
	request := Request{
		Method: in.Method, URL: in.URL, Proto: in.Proto, Header: in.Header, Length: in.ContentLength,
	}
	if step.Fault.unread() {
		r.record(withStatus(request, step))
		r.fail(w, in, step, nil)
		return
	}
	body, err := io.ReadAll(in.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client left
	}
	request.Body = body
	bulk := strings.HasSuffix(in.URL.Path, "/_bulk")
	request.Sessions = sessions(in.Header, body, bulk)
	if !r.wait(in, step.Delay) {
		return
	}
	answer := step.Body
	judge(request.Sessions, step)
	if bulk && answer == "" && step.status() < 300 {
		answer = bulkAnswer(request.Sessions)
	}
	if step.Fault.silent() {
		// The receiver took them, but nobody will ever know.
		r.record(request)
		r.fail(w, in, step, nil)
		return
	}
	r.record(withStatus(request, step))
	if step.Fault != None {
		r.fail(w, in, step, []byte(answer))
		return
	}
	for name, values := range step.Header {
		w.Header()[name] = values
	}
	if bulk && w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(step.status())
	_, _ = io.WriteString(w, answer)
}

func withStatus(r Request, step Step) Request {
	r.Status = step.status()
	return r
}

// wait returns false when the client or the receiver ended first.
func (r *Receiver) wait(in *http.Request, delay time.Duration) bool {
	if delay <= 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-in.Context().Done():
	case <-r.closing:
	}
	return false
}
