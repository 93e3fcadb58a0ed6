package trial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"time"
)

// The steps of a request, in the order in which they come.
const (
	StepLookup     = "name_lookup"
	StepConnection = "connection"
	StepTLS        = "tls"
	StepToken      = "token_request" // the whole of it
	StepWritten    = "request_written"
	StepFirstByte  = "first_byte"
	StepAnswer     = "answer"
)

// Step is one step of a request and how long it took.
type Step struct {
	Name   string        `json:"name"`
	Token  bool          `json:"token,omitempty"` // on the way to the token server, not to the endpoint
	Took   time.Duration `json:"-"`
	Millis float64       `json:"milliseconds"`
	Detail string        `json:"detail,omitempty"`
	Error  string        `json:"error,omitempty"`
	TLS    *TLS          `json:"tls,omitempty"`
}

// TLS is what a handshake showed of the server; of one that failed, the
// certificate that was not accepted.
type TLS struct {
	Version string    `json:"version,omitempty"`
	Subject string    `json:"subject"`
	Names   []string  `json:"names,omitempty"`
	Issuer  string    `json:"issuer"`
	Expires time.Time `json:"expires"`
}

// phase is how far a request came.
type phase uint8

const (
	atStart phase = iota
	atLookup
	atConnection
	atTLS
	atWriting
	atAnswer // the request is written
	atBody   // the answer has begun
)

// watcher takes the times of every request of an export.
type watcher struct {
	mu       sync.Mutex
	endpoint *call // the latest
	token    *call
	steps    []Step
}

// reset forgets what came before.
func (w *watcher) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endpoint, w.token, w.steps = nil, nil, nil
}

// outcome is how a request ended, or how far it is.
type outcome struct {
	phase  phase
	err    error // as the transport gave it
	header http.Header
}

// seen returns how the latest requests ended, nil for one that was not made,
// and all steps.
func (w *watcher) seen() (endpoint, token *outcome, steps []Step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	end := func(c *call) *outcome {
		if c == nil {
			return nil
		}
		c.finish(nil)
		return &outcome{phase: c.phase, err: c.err, header: c.header}
	}
	endpoint, token = end(w.endpoint), end(w.token)
	return endpoint, token, slices.Clone(w.steps)
}

// watch stands around a way out; it is the Watch of dispatcher.OutgoingOptions.
func (w *watcher) watch(way http.RoundTripper, token bool) http.RoundTripper {
	return &watched{way: way, watcher: w, token: token}
}

type watched struct {
	way     http.RoundTripper
	watcher *watcher
	token   bool
}

// RoundTrip passes a request on and notes when what happens.
func (t *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	c := &call{w: t.watcher, token: t.token, begun: time.Now()}
	t.watcher.mu.Lock()
	if t.token {
		t.watcher.token = c
	} else {
		t.watcher.endpoint = c
	}
	t.watcher.mu.Unlock()
	answer, err := t.way.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), c.trace())))
	c.answered(answer, err)
	if err != nil {
		return nil, err
	}
	answer.Body = &watchedBody{ReadCloser: answer.Body, call: c}
	return answer, nil
}

// CloseIdleConnections reaches through to the transport.
func (t *watched) CloseIdleConnections() {
	if c, ok := t.way.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// call is one request on the wire. Its fields are guarded by the watcher.
type call struct {
	w      *watcher
	token  bool
	begun  time.Time
	phase  phase
	closed bool // later events are of no interest

	lookup, handshake time.Time // begun
	connected         time.Time // the request may be written
	written, first    time.Time // the end of writing, the first byte of the answer
	connects          map[string]time.Time
	host              string // that was asked for

	err      error // as the transport gave it
	status   int
	header   http.Header
	protocol string
	read     int64 // bytes of the answer
}

// at notes an event, unless the request is over.
func (c *call) at(p phase, note func(now time.Time)) {
	now := time.Now()
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if c.closed {
		return
	}
	c.phase = max(c.phase, p)
	note(now)
}

func (c *call) step(s Step, from, to time.Time) {
	if c.token {
		s.Token = true
		switch s.Name {
		case StepWritten, StepFirstByte, StepAnswer:
			return // the whole of a token request is one step
		}
	}
	s.Took = to.Sub(from)
	c.w.steps = append(c.w.steps, s)
}

func (c *call) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart: func(i httptrace.DNSStartInfo) {
			c.at(atLookup, func(now time.Time) { c.lookup, c.host = now, i.Host })
		},
		DNSDone: func(i httptrace.DNSDoneInfo) {
			c.at(atLookup, func(now time.Time) {
				var addresses []string
				for _, a := range i.Addrs {
					addresses = append(addresses, a.String())
				}
				c.step(Step{Name: StepLookup, Detail: c.host + " is " + strings.Join(addresses, ", "), Error: text(i.Err)}.withoutDetail(i.Err), c.lookup, now)
			})
		},
		ConnectStart: func(_, address string) {
			c.at(atConnection, func(now time.Time) {
				if c.connects == nil {
					c.connects = map[string]time.Time{}
				}
				c.connects[address] = now
			})
		},
		ConnectDone: func(_, address string, err error) {
			c.at(atConnection, func(now time.Time) {
				c.step(Step{Name: StepConnection, Detail: address, Error: text(err)}, c.connects[address], now)
			})
		},
		TLSHandshakeStart: func() {
			c.at(atTLS, func(now time.Time) { c.handshake = now })
		},
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			c.at(atTLS, func(now time.Time) {
				c.step(Step{Name: StepTLS, Error: text(err), TLS: shown(state, err)}, c.handshake, now)
			})
		},
		GotConn: func(i httptrace.GotConnInfo) {
			c.at(atWriting, func(now time.Time) {
				c.connected = now
				if i.Reused {
					c.step(Step{Name: StepConnection, Detail: "used again"}, now, now)
				}
			})
		},
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err != nil {
				return // the verdict tells; the text of the transport may be about something else
			}
			c.at(atAnswer, func(now time.Time) { c.written = now })
		},
		GotFirstResponseByte: func() {
			c.at(atBody, func(now time.Time) { c.first = now })
		},
	}
}

// answered notes what the transport returned.
func (c *call) answered(answer *http.Response, err error) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if err != nil {
		c.err = err
		c.finish(err)
		return
	}
	c.status, c.header, c.protocol = answer.StatusCode, answer.Header.Clone(), answer.Proto
}

// finish ends the request; what the transport still does is of no interest.
// The caller has the watcher's lock.
func (c *call) finish(err error) {
	if c.closed {
		return
	}
	now := time.Now()
	c.exchange()
	switch {
	case c.token:
		detail := ""
		if c.status != 0 {
			detail = statusText(c.status)
		}
		c.step(Step{Name: StepToken, Detail: detail}, c.begun, now)
	case c.status != 0:
		c.step(Step{Name: StepAnswer, Detail: fmt.Sprintf("%s over %s, %s read", statusText(c.status), c.protocol, plural(int(c.read), "byte")), Error: text(err)}, c.first, now)
	}
	c.closed = true
}

// exchange notes the steps between the connection and the answer. An answer may
// come before the end of the body was written, and its news before the news of
// the writing.
func (c *call) exchange() {
	from := c.connected
	if !c.written.IsZero() {
		end := c.written
		if !c.first.IsZero() && c.first.Before(end) {
			end = c.first
		}
		c.step(Step{Name: StepWritten}, from, end)
		from = end
	}
	if !c.first.IsZero() {
		c.step(Step{Name: StepFirstByte}, from, c.first)
	}
}

// watchedBody notes the end of an answer.
type watchedBody struct {
	io.ReadCloser
	call *call
}

// Read counts what is read.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.call.w.mu.Lock()
	defer b.call.w.mu.Unlock()
	b.call.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) && b.call.err == nil {
		b.call.err = err
	}
	return n, err
}

// Close ends the request.
func (b *watchedBody) Close() error {
	b.call.w.mu.Lock()
	err := b.call.err
	b.call.finish(err)
	b.call.w.mu.Unlock()
	return b.ReadCloser.Close()
}

func (s Step) withoutDetail(err error) Step {
	if err != nil {
		s.Detail = ""
	}
	return s
}

// shown is what a handshake showed.
func shown(state tls.ConnectionState, err error) *TLS {
	var leaf *x509.Certificate
	version := ""
	if err == nil {
		version = tls.VersionName(state.Version)
		if len(state.PeerCertificates) > 0 {
			leaf = state.PeerCertificates[0]
		}
	} else {
		leaf = refused(err)
	}
	if leaf == nil {
		return nil
	}
	return &TLS{
		Version: version, Subject: printable(leaf.Subject.String()), Names: names(leaf), Issuer: printable(leaf.Issuer.String()),
		Expires: leaf.NotAfter.UTC(),
	}
}

// refused is the certificate that was not accepted, nil when that is not what
// went wrong.
func refused(err error) *x509.Certificate {
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) && len(verification.UnverifiedCertificates) > 0 {
		return verification.UnverifiedCertificates[0]
	}
	return nil
}

// names are the hosts that a certificate is for.
func names(c *x509.Certificate) []string {
	var all []string
	for _, n := range c.DNSNames {
		all = append(all, printable(n))
	}
	for _, a := range c.IPAddresses {
		all = append(all, a.String())
	}
	return all
}

// text is the error of a step on one line. Steps are about names, addresses and
// certificates: there is no secret in them.
func text(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return "not done in time"
	default:
		return printable(err.Error())
	}
}
