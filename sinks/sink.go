// Package sinks knows the three formats, makes exactly one HTTPS attempt, and
// judges what came of it. Whether and when another attempt follows is decided by
// its caller.
package sinks

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultTimeout is how long an attempt may take; reference: the request is
// cancelled when the endpoint does not respond within 30 seconds.
const DefaultTimeout = 30 * time.Second

// Options make a Sink.
type Options struct {
	Format    *Format
	URL       *url.URL          // path prefix and query are kept
	Method    string            // "POST" (also when empty) or "PUT"
	Transport http.RoundTripper // adds the credentials; must not follow redirects nor decompress
	OAuth     bool              // a 401 is Unauthorised: a fresh token may help. Otherwise it is Refused
	Headers   http.Header       // sent with every request; the sink's own headers win
	Gzip      bool
	Timeout   time.Duration // of a whole attempt, DefaultTimeout when 0
	Version   string        // of this program, for User-Agent

	SigningSecret []byte   // Standard Webhooks: adds webhook-timestamp and webhook-signature; nil does not sign
	Secrets       []string // never to be seen in an excerpt or error
	Test          bool     // marks requests as a test export: Session-Export-Test: true
}

// Sink sends framed sessions of one format to one endpoint. It is safe for
// concurrent use.
type Sink struct {
	format    *Format
	url       *url.URL
	method    string
	transport http.RoundTripper
	oauth     bool
	headers   http.Header // everything that is the same in each request
	gzip      bool
	timeout   time.Duration
	reading   time.Duration // of an answer whose status line has decided
	signing   []byte
	scrub     *scrubber
	early     earlyAnswers
}

// New returns a sink, or an error that says which option is missing.
func New(o Options) (*Sink, error) {
	switch {
	case o.Format == nil:
		return nil, errors.New("a sink needs a format")
	case o.URL == nil || o.URL.Host == "":
		return nil, errors.New("a sink needs a URL with a host")
	case o.Transport == nil:
		return nil, errors.New("a sink needs a transport")
	}
	s := &Sink{
		format:    o.Format,
		method:    o.Method,
		transport: o.Transport,
		oauth:     o.OAuth,
		gzip:      o.Gzip,
		timeout:   o.Timeout,
		reading:   maxWebhookReading,
		signing:   o.SigningSecret,
		scrub:     newScrubber(o.Secrets, o.URL),
	}
	switch s.method {
	case "":
		s.method = http.MethodPost
	case http.MethodPost, http.MethodPut:
	default:
		return nil, errors.New("a sink's method is POST or PUT")
	}
	if s.timeout <= 0 {
		s.timeout = DefaultTimeout
	}
	endpoint := *o.URL
	endpoint.User, endpoint.Fragment, endpoint.RawFragment = nil, "", ""
	if o.Format.kind == Bulk {
		bulkEndpoint(&endpoint)
	}
	s.url = &endpoint
	s.headers = fixedHeaders(o)
	return s, nil
}

func fixedHeaders(o Options) http.Header {
	h := o.Headers.Clone()
	if h == nil {
		h = make(http.Header)
	}
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", strings.TrimSuffix("session-export/"+o.Version, "/"))
	}
	h.Set("Content-Type", o.Format.ContentType())
	// Answers are read as they come; each request has an id of its own.
	for _, name := range []string{"Accept-Encoding", "Expect", "Idempotency-Key", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		h.Del(name)
	}
	if o.Format.kind == Bulk {
		h.Set("Accept", "application/json")
	}
	if o.Gzip {
		h.Set("Content-Encoding", "gzip")
	}
	if o.Test {
		h.Set("Session-Export-Test", "true")
	}
	return h
}

// Attempt sends the body once and judges the outcome. All of it, from the
// credentials to the last byte of the answer that matters, happens within the
// sink's timeout. When ctx ends first, the verdict is Interrupted: the endpoint may
// or may not have got the sessions.
func (s *Sink) Attempt(ctx context.Context, b Body) Verdict {
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	attempt, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()

	parts := s.enclose(b.Bytes)
	p := new(payload)
	defer p.detach()
	if s.gzip {
		c, err := compress(parts[:]...)
		if err != nil {
			return s.failed(ctx, attempt, p, err)
		}
		// Runs after detach's turn in the order of defers would be too early: a transport may still read.
		defer func() { p.detach(); compressors.Put(c) }()
		p.add(0, c.buf.Bytes())
	} else {
		for i, part := range parts {
			p.add(i, part)
		}
	}

	headers := s.requestHeaders(b.ID, parts)
	if s.format.kind == Bulk {
		return s.attemptBulk(ctx, attempt, cancel, p, headers, b)
	}
	resp, err := s.roundTrip(s.request(attempt, p, headers))
	if err != nil {
		return s.failed(ctx, attempt, p, err)
	}
	defer func() { _ = resp.Body.Close() }()
	return s.judgeWebhook(resp, b, cancel)
}

// enclose makes a body of framed sessions.
func (s *Sink) enclose(framed []byte) [3][]byte {
	if !s.format.array {
		return [3][]byte{framed}
	}
	if len(framed) == 0 {
		return [3][]byte{[]byte("[]")}
	}
	return [3][]byte{[]byte("["), framed[1:], []byte("]")}
}

func (s *Sink) requestHeaders(id string, parts [3][]byte) http.Header {
	h := make(http.Header, len(s.headers)+4)
	for name, values := range s.headers {
		h[name] = values
	}
	if s.format.kind == Bulk {
		return h
	}
	h["Webhook-Id"] = []string{id}
	// In this spelling net/http does not recognise the header. With the usual one it
	// takes the request for one that it may repeat on a connection that broke, and
	// one attempt would silently become two.
	h["idempotency-key"] = []string{id}
	if s.signing != nil {
		timestamp := unixSeconds(time.Now())
		h["Webhook-Timestamp"] = []string{timestamp}
		h["Webhook-Signature"] = []string{signature(s.signing, id, timestamp, parts[:]...)}
	}
	return h
}

func (s *Sink) request(ctx context.Context, p *payload, headers http.Header) *http.Request {
	body, _ := p.reader()
	endpoint := *s.url
	r := &http.Request{
		Method:        s.method,
		URL:           &endpoint,
		Host:          endpoint.Host,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        headers,
		Body:          body,
		GetBody:       p.reader,
		ContentLength: p.size,
	}
	return r.WithContext(ctx)
}

// Close closes idle connections of the transport, if it knows how to.
func (s *Sink) Close() {
	if c, ok := s.transport.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
