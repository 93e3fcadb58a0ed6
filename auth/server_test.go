package auth

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	clientID = "dispatcher"
	secret   = `s3cr:et/+ %&"ü` // every character that an encoding could trip over
)

// tokens is a token server in memory: an http.RoundTripper, so that tests in
// virtual time need no network.
type tokens struct {
	mu       sync.Mutex
	lifetime int           // seconds, 0: not told
	delay    time.Duration // before it answers
	answer   func(*http.Request) *http.Response
	requests []*http.Request
	bodies   []string
	granted  int
}

func (s *tokens) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	delay := s.delay
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	s.bodies = append(s.bodies, string(body))
	if s.answer != nil {
		return s.answer(r), nil
	}
	s.granted++
	expires := ""
	if s.lifetime != 0 {
		expires = fmt.Sprintf(`,"expires_in":%d`, s.lifetime)
	}
	return reply(http.StatusOK, "application/json", fmt.Sprintf(`{"access_token":"token-%d","token_type":"Bearer"%s}`, s.granted, expires)), nil
}

func (s *tokens) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

func reply(status int, contentType, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status),
		Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body)),
	}
}

// endpoint records the credentials that it is shown.
type endpoint struct {
	mu      sync.Mutex
	seen    []string
	refuses map[string]bool // tokens that it answers 401 to
}

func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	shown := r.Header.Get("Authorization")
	e.seen = append(e.seen, shown)
	if shown == "" || e.refuses[strings.TrimPrefix(shown, "Bearer ")] {
		return reply(http.StatusUnauthorized, "text/plain", ""), nil
	}
	return reply(http.StatusOK, "text/plain", ""), nil
}

// closed tells whether a body was closed.
type closed struct {
	io.Reader
	done bool
}

func (c *closed) Close() error { c.done = true; return nil }

func newRequest(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://endpoint.test/in", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// send returns the status.
func send(t *testing.T, transport http.RoundTripper, r *http.Request) (int, error) {
	t.Helper()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

func newCredentials(t *testing.T, s http.RoundTripper, e http.RoundTripper, change func(*Options)) *ClientCredentials {
	t.Helper()
	o := Options{
		TokenURL: "https://login.test/token?key=" + urlKey, ClientID: clientID, ClientSecret: secret,
		Next: e, TokenTransport: s,
	}
	if change != nil {
		change(&o)
	}
	c := NewClientCredentials(o)
	t.Cleanup(c.Close)
	return c
}

const urlKey = "0ther-s3cret" // a secret in the query of the token URL

// tlsServer is a token server over the wire.
func tlsServer(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *http.Transport) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	transport := s.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.MinVersion = tls.VersionTLS12
	t.Cleanup(transport.CloseIdleConnections)
	return s, transport
}
