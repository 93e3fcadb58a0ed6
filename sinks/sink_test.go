package sinks

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sessionexport/egress"
	"sessionexport/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// roundTripper is a transport of a test.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAttemptInterrupted(t *testing.T) {
	for _, tt := range allFormats {
		for _, fault := range []sinktest.Fault{sinktest.HangUnread, sinktest.HangRead, sinktest.HangAnswer} {
			if fault == sinktest.HangAnswer && tt.options.Kind != Bulk {
				continue // the status line has decided
			}
			r := sinktest.New(t, sinktest.Options{})
			r.Always(sinktest.Break(fault))
			f := mustFormat(t, tt.options)
			s := newSink(t, r, Options{Format: f})
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan Verdict, 1)
			go func() { done <- s.Attempt(ctx, batchOf(t, f, 2)) }()
			if !r.WaitFor(1, 10*time.Second) {
				t.Fatal("no request came")
			}
			cancel()
			if v := <-done; v.Kind != Interrupted || v.Poisonable || v.Err == nil {
				t.Errorf("%s, fault %d: %+v", tt.name, fault, v)
			}
			if v := s.Attempt(ctx, batchOf(t, f, 2)); v.Kind != Interrupted {
				t.Errorf("%s: with a context that has ended: %+v", tt.name, v)
			}
			r.Close()
		}
	}
}

// TestOneAttemptIsOneRequest: net/http must not repeat a request on a connection
// that was used before.
func TestOneAttemptIsOneRequest(t *testing.T) {
	for _, tt := range allFormats {
		r := sinktest.New(t, sinktest.Options{})
		f := mustFormat(t, tt.options)
		s := newSink(t, r, Options{Format: f})
		r.Script(sinktest.Step{}, sinktest.Break(sinktest.CloseRead), sinktest.Step{}, sinktest.Break(sinktest.ResetRead))
		for i, want := range []Kind{Delivered, Retryable, Delivered, Retryable} {
			if v := s.Attempt(context.Background(), batchOf(t, f, 1)); v.Kind != want {
				t.Errorf("%s: attempt %d: %s (%v)", tt.name, i, kindNames[v.Kind], v.Err)
			}
			if got := len(r.Requests()); got != i+1 {
				t.Fatalf("%s: %d requests after %d attempts", tt.name, got, i+1)
			}
		}
	}
}

// TestEarlyAnswer: an endpoint that answers before it has read the body, and
// closes, may hide its status once, not twice.
func TestEarlyAnswer(t *testing.T) {
	for _, status := range []int{401, 413} {
		r := sinktest.New(t, sinktest.Options{ForgetBodies: true})
		r.Always(sinktest.Step{Status: status, Fault: sinktest.EarlyClose})
		s := newSink(t, r, Options{})
		body := Body{ID: "x", Bytes: bytes.Repeat([]byte("{}\n"), 1_000_000), Sessions: 1}
		hidden, seen := 0, 0
		for range 40 {
			v := s.Attempt(context.Background(), body)
			if v.Status == status {
				seen, hidden = seen+1, 0
				continue
			}
			if v.Reason != "reset" && v.Reason != "connection" {
				t.Errorf("%s %q (%v)", kindNames[v.Kind], v.Reason, v.Err)
			}
			if hidden++; hidden > 1 {
				t.Fatalf("status %d hidden %d times in a row", status, hidden)
			}
		}
		if seen < 20 {
			t.Errorf("status %d seen %d times of 40", status, seen)
		}
	}
}

func TestExpectationRefused(t *testing.T) {
	r := sinktest.New(t, sinktest.Options{})
	s := newSink(t, r, Options{})
	s.early.broke(true)
	r.Script(sinktest.Status(http.StatusExpectationFailed))
	b := batchOf(t, s.format, 1)
	if v := s.Attempt(context.Background(), b); v.Kind != Retryable {
		t.Errorf("417: %s", kindNames[v.Kind])
	}
	s.early.broke(true)
	if v := s.Attempt(context.Background(), b); v.Kind != Delivered {
		t.Errorf("after 417: %s (%v)", kindNames[v.Kind], v.Err)
	}
	requests := r.Requests()
	if requests[0].Header.Get("Expect") == "" || requests[1].Header.Get("Expect") != "" {
		t.Errorf("Expect: %q, then %q", requests[0].Header.Get("Expect"), requests[1].Header.Get("Expect"))
	}
}

func TestTLSVerdicts(t *testing.T) {
	other := sinktest.NewAuthority(t)
	own := sinktest.NewAuthority(t)
	good := other.Issue(t, sinktest.Leaf{Client: true})
	bad := sinktest.NewAuthority(t).Issue(t, sinktest.Leaf{Client: true})
	tests := []struct {
		name     string
		receiver sinktest.Options
		client   egress.Options
		kind     Kind
		reason   string
	}{
		{"trusted", sinktest.Options{Authority: own}, egress.Options{RootCAs: own.Pool()}, Delivered, ""},
		{"unknown authority", sinktest.Options{Authority: own}, egress.Options{RootCAs: other.Pool()}, Refused, "certificate"},
		{"expired", sinktest.Options{Authority: own, Leaf: sinktest.Leaf{Expired: true}}, egress.Options{RootCAs: own.Pool()}, Refused, "certificate"},
		{"another name", sinktest.Options{Authority: own, Leaf: sinktest.Leaf{Names: []string{"example.org"}}},
			egress.Options{RootCAs: own.Pool()}, Refused, "certificate"},
		{"client certificate accepted", sinktest.Options{Authority: own, ClientCA: other},
			egress.Options{RootCAs: own.Pool(), Certificates: []tls.Certificate{good}}, Delivered, ""},
		{"client certificate missing", sinktest.Options{Authority: own, ClientCA: other}, egress.Options{RootCAs: own.Pool()}, Refused, "certificate"},
		{"client certificate of others", sinktest.Options{Authority: own, ClientCA: other},
			egress.Options{RootCAs: own.Pool(), Certificates: []tls.Certificate{bad}}, Refused, "certificate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := sinktest.New(t, tt.receiver)
			tt.client.Proxy = egress.DirectOnly
			s := newSink(t, r, Options{Transport: egress.NewTransport(tt.client)})
			v := s.Attempt(context.Background(), batchOf(t, s.format, 1))
			// With TLS 1.3 the endpoint's alert comes when the client is writing already: the
			// failing write may overtake it, which must stay a retryable break.
			for range 20 {
				if tt.kind != Refused || v.Kind != Retryable || tt.receiver.ClientCA == nil {
					break
				}
				v = s.Attempt(context.Background(), batchOf(t, s.format, 1))
			}
			if v.Kind != tt.kind || v.Reason != tt.reason || v.Poisonable {
				t.Errorf("%s %q (%v)", kindNames[v.Kind], v.Reason, v.Err)
			}
		})
	}
}

// closedPort returns an address that refuses connections.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestConnectionVerdicts(t *testing.T) {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	defer func() { _ = plain.Close() }()
	go func() { // an endpoint that hangs up in the TLS handshake
		for {
			conn, err := plain.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.0 400 Bad Request\r\n\r\n")
			_ = conn.Close()
		}
	}()
	tests := []struct {
		name, address string
		rules         egress.Rules
		kind          Kind
		reasons       string
	}{
		{"refused", closedPort(t), egress.Rules{}, Retryable, "connection"},
		{"link-local", "169.254.169.254", egress.Rules{}, Refused, "egress"},
		{"no TLS", plain.Addr().String(), egress.Rules{}, Retryable, "tls connection"},
	}
	for _, tt := range tests {
		for _, o := range allFormats {
			transport := egress.NewTransport(egress.Options{Rules: tt.rules, Proxy: egress.DirectOnly})
			f := mustFormat(t, o.options)
			s := newSink(t, nil, Options{Format: f, URL: &url.URL{Scheme: "https", Host: tt.address, Path: "/"}, Transport: transport, Timeout: 5 * time.Second})
			v := s.Attempt(context.Background(), batchOf(t, f, 1))
			if v.Kind != tt.kind || !strings.Contains(tt.reasons, v.Reason) || v.Poisonable || v.Status != 0 {
				t.Errorf("%s, %s: %s %q (%v)", tt.name, o.name, kindNames[v.Kind], v.Reason, v.Err)
			}
		}
	}
}

// fakeError plays the errors of other rooms.
type fakeError struct {
	refused bool
	status  int
	err     error
}

func (e *fakeError) Error() string { return "from elsewhere, with top-secret-password" }
func (e *fakeError) Unwrap() error { return e.err }

type fakeToken struct{ fakeError }

func (e *fakeToken) TokenRefused() bool { return e.refused }
func (e *fakeToken) TokenStatus() int   { return e.status }

type fakeProxy struct{ fakeError }

func (e *fakeProxy) ProxyStatus() int { return e.status }

type fakeEgress struct{ fakeError }

func (e *fakeEgress) EgressDenied() bool { return e.refused }

func TestErrorTable(t *testing.T) {
	tests := []struct {
		name       string
		err        error
		begun      bool
		kind       Kind
		reason     string
		poisonable bool
	}{
		{"token refused", &fakeToken{fakeError{refused: true, status: 401}}, false, Refused, "token_refused", false},
		{"token server ill", &fakeToken{fakeError{status: 503}}, false, Retryable, "token", false},
		{"token server slow", &fakeToken{fakeError{err: context.DeadlineExceeded}}, false, Retryable, "token", false},
		{"token server not trusted", &fakeToken{fakeError{err: &tls.CertificateVerificationError{Err: errors.New("x")}}}, false, Refused, "certificate", false},
		{"token server forbidden", &fakeToken{fakeError{err: &fakeEgress{fakeError{refused: true}}}}, false, Refused, "egress", false},
		{"proxy wants credentials", &fakeProxy{fakeError{status: 407}}, false, Refused, "proxy_credentials", false},
		{"proxy refuses credentials", &fakeProxy{fakeError{status: 401}}, false, Refused, "proxy_credentials", false},
		{"proxy refuses credentials before the token", &fakeToken{fakeError{err: &fakeProxy{fakeError{status: 407}}}}, false, Refused, "proxy_credentials", false},
		{"proxy away before the token", &fakeToken{fakeError{err: &net.OpError{Op: "proxyconnect", Err: errors.New("refused")}}}, false, Retryable, "token", false},
		{"proxy forbids", &fakeProxy{fakeError{status: 403}}, false, Refused, "proxy", false},
		{"proxy throttles", &fakeProxy{fakeError{status: 429}}, false, Retryable, "proxy", false},
		{"proxy ill", &fakeProxy{fakeError{status: 502}}, false, Retryable, "proxy", false},
		{"proxy away", &net.OpError{Op: "proxyconnect", Err: errors.New("refused")}, false, Retryable, "proxy", false},
		{"name not found", &net.DNSError{IsNotFound: true}, false, Retryable, "dns", false},
		{"name server slow", &net.DNSError{IsTimeout: true}, false, Retryable, "dns", false},
		{"connecting slow", &net.OpError{Op: "dial", Err: context.DeadlineExceeded}, false, Retryable, "timeout", false},
		{"answer slow", context.DeadlineExceeded, true, Retryable, "timeout", true},
		{"no TLS", tls.RecordHeaderError{Msg: "x"}, false, Retryable, "tls", false},
		{"TLS alert", &net.OpError{Op: "remote error", Err: tls.AlertError(40)}, false, Retryable, "tls", false},
		{"our certificate revoked", &net.OpError{Op: "remote error", Err: tls.AlertError(44)}, true, Refused, "certificate", false},
		{"never connected", io.EOF, false, Retryable, "connection", false},
		{"broken", io.EOF, true, Retryable, "reset", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSink(t, nil, Options{URL: &url.URL{Scheme: "https", Host: "x"}, Transport: http.DefaultTransport, Secrets: []string{"top-secret-password"}})
			v := s.judgeError(fmt.Errorf("sending: %w", tt.err), tt.begun)
			if v.Kind != tt.kind || v.Reason != tt.reason || v.Poisonable != tt.poisonable {
				t.Errorf("%s %q poisonable=%t", kindNames[v.Kind], v.Reason, v.Poisonable)
			}
			if strings.Contains(v.Err.Error(), "top-secret-password") {
				t.Errorf("the error shows a secret: %v", v.Err)
			}
			if (v.Err.Error() == "Request timeout") != (tt.reason == "timeout") {
				t.Errorf("the error reads %q", v.Err)
			}
		})
	}
}

func TestSignature(t *testing.T) {
	key, err := ParseSigningSecret("whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32)))
	if err != nil {
		t.Fatalf("parsing secret: %v", err)
	}
	for _, gzip := range []bool{false, true} {
		for _, array := range []bool{false, true} {
			r := sinktest.New(t, sinktest.Options{})
			f := mustFormat(t, FormatOptions{Kind: JSON, Array: array})
			s := newSink(t, r, Options{Format: f, SigningSecret: key, Gzip: gzip})
			b := batchOf(t, f, 2)
			s.Attempt(context.Background(), b)
			got := r.Requests()[0]
			body := string(b.Bytes)
			if array {
				body = "[" + body[1:] + "]"
			}
			mac := hmac.New(sha256.New, key)
			_, _ = io.WriteString(mac, "batch-1."+got.Header.Get("Webhook-Timestamp")+"."+body)
			want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
			if got.Header.Get("Webhook-Signature") != want || got.Header.Get("Webhook-Timestamp") == "" {
				t.Errorf("gzip=%t array=%t: signature %q of %q, want %q", gzip, array, got.Header.Get("Webhook-Signature"), got.Header.Get("Webhook-Timestamp"), want)
			}
		}
	}
	for _, bad := range []string{"", "whsec_", "whsec_not base64!", base64.StdEncoding.EncodeToString([]byte("short"))} {
		if _, err := ParseSigningSecret(bad); err == nil || (bad != "" && strings.Contains(err.Error(), bad)) {
			t.Errorf("ParseSigningSecret(%q): %v", bad, err)
		}
	}
}

// TestPayloadLetsGo: when an attempt is over, its bytes belong to the caller again.
func TestPayloadLetsGo(t *testing.T) {
	var left *http.Request
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		left = r
		return &http.Response{StatusCode: 200, Body: http.NoBody, Header: http.Header{}}, nil
	})
	for _, gzip := range []bool{false, true} {
		s := newSink(t, nil, Options{URL: &url.URL{Scheme: "https", Host: "x"}, Transport: transport, Gzip: gzip})
		if v := s.Attempt(context.Background(), batchOf(t, s.format, 3)); v.Kind != Delivered {
			t.Fatalf("%+v", v)
		}
		again, err := left.GetBody()
		if err != nil {
			t.Fatalf("GetBody: %v", err)
		}
		for _, body := range []io.Reader{left.Body, again} {
			if n, err := body.Read(make([]byte, 10)); n != 0 || !errors.Is(err, errDetached) {
				t.Errorf("gzip=%t: after the attempt %d bytes were read, error %v", gzip, n, err)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	f, u := mustFormat(t, FormatOptions{Kind: NDJSON}), &url.URL{Scheme: "https", Host: "x"}
	for _, o := range []Options{
		{URL: u, Transport: http.DefaultTransport},
		{Format: f, Transport: http.DefaultTransport},
		{Format: f, URL: &url.URL{Path: "/x"}, Transport: http.DefaultTransport},
		{Format: f, URL: u},
		{Format: f, URL: u, Transport: http.DefaultTransport, Method: "GET"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("New(%+v) accepts", o)
		}
	}
}

func TestPartial(t *testing.T) {
	r := sinktest.New(t, sinktest.Options{})
	f := mustFormat(t, FormatOptions{Kind: Bulk, Index: "sessions"})
	s := newSink(t, r, Options{Format: f})
	r.Always(sinktest.Step{Header: http.Header{"Retry-After": {"9"}}, Item: func(x sinktest.Session) (int, string) {
		switch x.ID {
		case "acme-s3-1":
			return 429, "es_rejected_execution_exception"
		case "acme-s7-1":
			return 400, "mapper_parsing_exception"
		case "acme-s8-1":
			return 503, "unavailable_shards_exception"
		}
		return 200, ""
	}})
	v := s.Attempt(context.Background(), batchOf(t, f, 10))
	got := describe(v)
	want := "partial 200 bulk_items; 1× retryable (503 unavailable_shards_exception); 1× suspect (400 mapper_parsing_exception)" +
		"; 1× throttled (429 es_rejected_execution_exception)"
	if got != want || v.RetryAfter != 9*time.Second || v.Items[0].Index != 3 || v.Items[1].Index != 7 || v.Items[2].Index != 8 {
		t.Errorf("%s, %+v, Retry-After %v", got, v.Items, v.RetryAfter)
	}
	if len(r.Accepted()) != 7 {
		t.Errorf("%d accepted", len(r.Accepted()))
	}
	r.Always(sinktest.Step{Body: okAnswer(9)})
	if v := s.Attempt(context.Background(), batchOf(t, f, 10)); v.Kind != Refused || v.Reason != "bulk_answer" || !strings.Contains(v.Err.Error(), "9 of 10") {
		t.Errorf("9 items for 10 sessions: %+v", v)
	}
}
