package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

var quiet = log.New(io.Discard, "", 0)

func TestProtocols(t *testing.T) {
	a := newAuthority(t)
	s := a.serve(t, hello, nil)
	for only, want := range map[bool]string{false: "hello over HTTP/2.0", true: "hello over HTTP/1.1"} {
		_, body, err := get(t, clientOf(t, Options{RootCAs: a.pool(t), HTTP1Only: only}), s.URL)
		if err != nil || body != want {
			t.Errorf("HTTP/1 only %v: %q, %v", only, body, err)
		}
	}
}

func TestUnknownAuthority(t *testing.T) {
	s := newAuthority(t).serve(t, hello, nil)
	for name, o := range map[string]Options{"the system's": {}, "another": {RootCAs: newAuthority(t).pool(t)}} {
		_, _, err := get(t, clientOf(t, o), s.URL)
		var unknown x509.UnknownAuthorityError
		if !errors.As(err, &unknown) {
			t.Errorf("%s roots: error %v", name, err)
		}
	}
}

func TestOldProtocolRefused(t *testing.T) {
	a := newAuthority(t)
	for _, old := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		s := a.serve(t, hello, func(s *httptest.Server) {
			s.TLS.MinVersion, s.TLS.MaxVersion = tls.VersionTLS10, old
		})
		_, _, err := get(t, clientOf(t, Options{RootCAs: a.pool(t)}), s.URL)
		if err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("%s: error %v", tls.VersionName(old), err)
		}
	}
	// The control case: the same server one version later.
	s := a.serve(t, hello, func(s *httptest.Server) { s.TLS.MaxVersion = tls.VersionTLS12 })
	if _, _, err := get(t, clientOf(t, Options{RootCAs: a.pool(t)}), s.URL); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	}
}

func TestClientCertificate(t *testing.T) {
	a := newAuthority(t)
	s := a.serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}, func(s *httptest.Server) {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, a.pool(t)
	})
	_, body, err := get(t, clientOf(t, Options{RootCAs: a.pool(t), Certificates: []tls.Certificate{a.pair(t, "exporter")}}), s.URL)
	if err != nil || body != "exporter" {
		t.Errorf("%q, %v", body, err)
	}
	if _, _, err := get(t, clientOf(t, Options{RootCAs: a.pool(t)}), s.URL); err == nil {
		t.Error("served without a certificate")
	}
}

func TestRedirectIsTheAnswer(t *testing.T) {
	a := newAuthority(t)
	s := a.serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			t.Error("the redirect was followed")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}, nil)
	status, _, err := get(t, clientOf(t, Options{RootCAs: a.pool(t)}), s.URL)
	if err != nil || status != http.StatusTemporaryRedirect {
		t.Errorf("status %d, %v", status, err)
	}
}

func TestHeadersAreLimited(t *testing.T) {
	a := newAuthority(t)
	s := a.serve(t, func(w http.ResponseWriter, r *http.Request) {
		size := 32 << 10
		if r.URL.Path == "/flood" {
			size = 100 << 10
		}
		for i := range size >> 10 {
			w.Header().Set(fmt.Sprintf("X-Flood-%d", i), strings.Repeat("x", 1<<10))
		}
	}, nil)
	for _, only := range []bool{false, true} {
		c := clientOf(t, Options{RootCAs: a.pool(t), HTTP1Only: only})
		if _, _, err := get(t, c, s.URL+"/flood"); err == nil {
			t.Errorf("HTTP/1 only %v: 100 KB of headers were read", only)
		}
		if status, _, err := get(t, c, s.URL+"/"); err != nil || status != http.StatusOK {
			t.Errorf("HTTP/1 only %v: 32 KB of headers: %d, %v", only, status, err)
		}
	}
}

func TestNothingIsDecompressed(t *testing.T) {
	a := newAuthority(t)
	s := a.serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "["+r.Header.Get("Accept-Encoding")+"]")
	}, nil)
	_, body, err := get(t, clientOf(t, Options{RootCAs: a.pool(t)}), s.URL)
	if err != nil || body != "[]" {
		t.Errorf("asked for %q, %v", body, err)
	}
}

// denied returns the rule's error out of whatever wraps it.
func denied(t *testing.T, err error) *DeniedError {
	t.Helper()
	var d *DeniedError
	if !errors.As(err, &d) {
		t.Fatalf("error %v, want a *DeniedError", err)
	}
	var marked interface{ EgressDenied() bool }
	if !errors.As(err, &marked) || !marked.EgressDenied() {
		t.Fatalf("error %v is not marked", err)
	}
	return d
}

func TestResolvedAddressIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		rules  Rules
		reason string
	}{
		"metadata":    {"169.254.169.254", Rules{}, "link-local"},
		"unspecified": {"0.0.0.0", Rules{}, "unspecified"},
		"denied":      {"127.0.0.1", Rules{Deny: prefixes("127.0.0.0/8")}, "denied"},
		"not allowed": {"127.0.0.1", Rules{Allow: prefixes("192.0.2.0/24")}, "not among"},
	} {
		t.Run(name, func(t *testing.T) {
			resolver := nameServer(t, netip.MustParseAddr(c.answer))
			_, _, err := get(t, clientOf(t, Options{Rules: c.rules, Resolver: resolver}), "https://harmless.test/")
			if d := denied(t, err); d.Addr.String() != c.answer || !strings.Contains(d.Reason, c.reason) {
				t.Errorf("denied %v", d)
			}
		})
	}
	// The control case: the same way to an address that is allowed.
	a := newAuthority(t)
	s := a.serve(t, hello, nil)
	resolver := nameServer(t, netip.MustParseAddr("127.0.0.1"))
	target := "https://svc.test:" + portOf(t, s.URL)
	if _, body, err := get(t, clientOf(t, Options{RootCAs: a.pool(t), Resolver: resolver}), target); err != nil || !strings.HasPrefix(body, "hello") {
		t.Errorf("%q, %v", body, err)
	}
}

func TestAddressInTheURLIsChecked(t *testing.T) {
	for _, host := range []string{"169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "0.0.0.0", "[::]", "224.0.0.1"} {
		_, _, err := get(t, clientOf(t, Options{}), "https://"+host+"/")
		_ = denied(t, err)
	}
}

func portOf(t *testing.T, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestLoadPool(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	certificate, key := a.issue(t, "x")
	if pool, err := LoadPool(append(append([]byte("# two\n"), a.pem...), b.pem...)); err != nil || pool.Equal(a.pool(t)) {
		t.Errorf("two certificates: %v", err)
	}
	for name, text := range map[string][]byte{
		"empty":  nil,
		"text":   []byte("no certificate"),
		"key":    key,
		"broken": []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
		"second": append(append([]byte{}, certificate...), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"...),
	} {
		if _, err := LoadPool(text); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestLoadPair(t *testing.T) {
	a := newAuthority(t)
	certificate, key := a.issue(t, "x")
	_, foreign := a.issue(t, "y")
	if _, err := LoadPair(certificate, key); err != nil {
		t.Error(err)
	}
	for name, text := range map[string][]byte{"foreign": foreign, "none": nil, "cut": key[:len(key)/2]} {
		_, err := LoadPair(certificate, text)
		if err == nil {
			t.Errorf("%s key is accepted", name)
			continue
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); len(line) > 20 && !strings.HasPrefix(line, "---") && strings.Contains(err.Error(), line) {
				t.Errorf("%s: the key shows: %v", name, err)
			}
		}
	}
}
