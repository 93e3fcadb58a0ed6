package trial

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sessionexport/egress"
	"sessionexport/sinks"
	"sessionexport/sinks/sinktest"
)

// closedPort is an address where nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// listen serves each connection with f.
func listen(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// firstBytes reads until something came.
func firstBytes(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }

func plainHTTP(c net.Conn) {
	firstBytes(c)
	_, _ = io.WriteString(c, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
}

func mailServer(c net.Conn) {
	_, _ = io.WriteString(c, "220 mail.example ESMTP ready\r\n")
	firstBytes(c)
}

// onlyTLS11 answers a hello with the alert that such servers send: protocol_version.
func onlyTLS11(c net.Conn) {
	firstBytes(c)
	_, _ = c.Write([]byte{21, 3, 1, 0, 2, 2, 70})
}

func hangUp(c net.Conn) { firstBytes(c) }

// Each row of the network's table, with the real thing at the other end.
func adviceOnTheNetworkTest(t *testing.T) {
	authority := sinktest.NewAuthority(t)
	good := func(o sinktest.Options) *sinktest.Receiver {
		o.Authority = authority
		return sinktest.New(t, o)
	}
	quick := []string{"requestTimeout=1s"}
	for _, c := range []struct {
		row   string
		names string // in the cause or the remedy
		setup func() (setup, egress.Rules)
	}{
		{"connection_refused", "127.0.0.1", func() (setup, egress.Rules) {
			return setup{url: "https://" + closedPort(t) + "/in"}, egress.Rules{}
		}},
		{"plain_http", "not HTTPS", func() (setup, egress.Rules) {
			return setup{url: "https://" + listen(t, plainHTTP) + "/in"}, egress.Rules{}
		}},
		{"not_tls", "does not speak TLS", func() (setup, egress.Rules) {
			return setup{url: "https://" + listen(t, mailServer) + "/in"}, egress.Rules{}
		}},
		{"tls_version", "older than 1.2", func() (setup, egress.Rules) {
			return setup{url: "https://" + listen(t, onlyTLS11) + "/in"}, egress.Rules{}
		}},
		{"tls_handshake", "TLS handshake", func() (setup, egress.Rules) {
			return setup{url: "https://" + listen(t, hangUp) + "/in"}, egress.Rules{}
		}},
		{"certificate_expired", time.Now().UTC().Format("2006-"), func() (setup, egress.Rules) {
			return setup{url: on(good(sinktest.Options{Leaf: sinktest.Leaf{Expired: true}}), "/in")}, egress.Rules{}
		}},
		{"certificate_name", "for other.example, not for 127.0.0.1", func() (setup, egress.Rules) {
			return setup{url: on(good(sinktest.Options{Leaf: sinktest.Leaf{Names: []string{"other.example"}}}), "/in")}, egress.Rules{}
		}},
		{"certificate_authority", "caFile", func() (setup, egress.Rules) {
			return setup{url: on(good(sinktest.Options{}), "/in"), withoutCA: true}, egress.Rules{}
		}},
		{"certificate_authority_file", "in the file of caFile", func() (setup, egress.Rules) {
			return setup{url: on(sinktest.New(t, sinktest.Options{}), "/in")}, egress.Rules{}
		}},
		{"certificate_client", "client certificate", func() (setup, egress.Rules) {
			// With TLS 1.3 the refusal comes after the handshake, and a broken write may overtake it.
			return setup{url: on(good(sinktest.Options{ClientCA: authority}), "/in")}, egress.Rules{}
		}},
		{"certificate", "what it may be used for", func() (setup, egress.Rules) {
			return setup{url: on(good(sinktest.Options{Leaf: sinktest.Leaf{Client: true}}), "/in")}, egress.Rules{}
		}},
		{"egress_denied", "egress.deny", func() (setup, egress.Rules) {
			return setup{url: withHost(on(good(sinktest.Options{}), "/in"), "localhost")},
				egress.Rules{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}
		}},
		{"timeout_answer", "within 1s", func() (setup, egress.Rules) {
			r := good(sinktest.Options{})
			r.Always(sinktest.Break(sinktest.HangRead))
			return setup{url: on(r, "/in"), custom: quick}, egress.Rules{}
		}},
		{"timeout_tls", "did not shake hands", func() (setup, egress.Rules) {
			return setup{url: "https://" + listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }) + "/in", custom: quick}, egress.Rules{}
		}},
		{"not_http", "is not HTTP", func() (setup, egress.Rules) {
			r := good(sinktest.Options{})
			r.Always(sinktest.Break(sinktest.Garbage))
			return setup{url: on(r, "/in")}, egress.Rules{}
		}},
		{"broken_answer", "did not answer", func() (setup, egress.Rules) {
			r := good(sinktest.Options{})
			r.Always(sinktest.Break(sinktest.CloseRead))
			return setup{url: on(r, "/in")}, egress.Rules{}
		}},
	} {
		t.Run(c.row, func(t *testing.T) {
			s, rules := c.setup()
			attempt := func() *Report {
				return try(t, s.basic().export(t, authority), recent(3), func(o *TestOptions) { o.Rules = rules })
			}
			report := attempt()
			// With TLS 1.3 the refusal of a client's certificate comes after the handshake, and the broken write of
			// the body may overtake it: what the client is told then is chance.
			for n := 0; n < 20 && c.row == "certificate_client" && (len(report.Advice) == 0 || report.Advice[0].ID != c.row); n++ {
				report = attempt()
			}
			checkAdvice(t, report.Advice, c.row, c.names)
			if report.Delivered || report.Requests[0].Verdict.Status != 0 {
				t.Errorf("report %+v", report.Requests[0])
			}
			text, _ := renderings(t, report)
			if !strings.Contains(text, "likely cause: ") || !strings.Contains(text, "not delivered") {
				t.Errorf("text:\n%s", text)
			}
		})
	}
}

// The same table speaks of the token server when that cannot be reached.
func adviceOnAnUnreachableTokenServerTest(t *testing.T) {
	r := sinktest.New(t, sinktest.Options{})
	for row, address := range map[string]string{
		"connection_refused": "https://" + closedPort(t) + "/token",
	} {
		report := try(t, setup{url: on(r, "/in")}.oauth(address).export(t, r.Authority), recent(3), nil)
		checkAdvice(t, report.Advice, row, "accessTokenUrl")
	}
	hanging := sinktest.New(t, sinktest.Options{Authority: r.Authority})
	hanging.Always(sinktest.Break(sinktest.HangRead))
	report := try(t, setup{url: on(r, "/in"), custom: []string{"requestTimeout=1s"}}.oauth(on(hanging, "/token")).export(t, r.Authority), recent(3), nil)
	checkAdvice(t, report.Advice, "timeout_answer", "the token server took the request")
	if len(r.Requests()) != 0 {
		t.Error("something was sent without a token")
	}
}

// A name that nobody has: whether the name server says so or cannot be asked,
// depends on the machine.
func adviceOnAWrongHostTest(t *testing.T) {
	report := try(t, setup{url: "https://receiver.invalid/in"}.basic().export(t, nil), recent(3), nil)
	if got := ids(report.Advice); got != "host_unknown" && got != "name_server" || !strings.Contains(report.Advice[0].Cause, "receiver.invalid") {
		t.Errorf("advice %+v", report.Advice)
	}
	if stepNames(report.Requests[0]) != "name_lookup" || report.Requests[0].Steps[0].Error == "" {
		t.Errorf("steps %+v", report.Requests[0].Steps)
	}
}

// Errors that no server on one machine can be made to give.
func adviceOnErrorsTest(t *testing.T) {
	e := setup{url: "https://receiver.example/in"}.export(t, nil)
	for _, c := range []struct {
		row   string
		err   error
		phase phase
		names string
	}{
		{"host_unknown", &net.DNSError{Err: "no such host", Name: "receiver.example", IsNotFound: true}, atLookup, "no host receiver.example"},
		{"name_server", &net.DNSError{Err: "server misbehaving", Name: "receiver.example", IsTemporary: true}, atLookup, "receiver.example"},
		{"network_unreachable", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, atConnection, "routes"},
		{"timeout_connecting", &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, atConnection, "firewall"},
		{"timeout_writing", os.ErrDeadlineExceeded, atWriting, "4711 bytes"},
		{"broken_writing", errors.New("write: broken pipe"), atWriting, "896000"},
		{"connection", errors.New("something else"), atConnection, "receiver.example:443"},
		{"proxy_setting", &egress.ProxyError{Reason: "no URL"}, atStart, "HTTPS_PROXY"},
		{"proxy_login", &egress.ProxyError{Proxy: "proxy:3128", Status: 407}, atConnection, "password"},
		{"proxy_refused", &egress.ProxyError{Proxy: "proxy:3128", Status: 403}, atConnection, "receiver.example:443"},
		{"proxy_gateway", &egress.ProxyError{Proxy: "proxy:3128", Status: 502}, atConnection, "NO_PROXY"},
		{"proxy_unreachable", &net.OpError{Op: "proxyconnect", Err: errors.New("refused")}, atConnection, "NO_PROXY"},
		{"certificate_early", early(t), atTLS, "clock"},
		{"not_tls", tls.RecordHeaderError{Msg: "no TLS"}, atTLS, "443"},
	} {
		t.Run(c.row, func(t *testing.T) {
			s := situation{export: e, err: c.err, phase: c.phase, body: 4711, now: time.Now(), verdict: sinks.Verdict{Kind: sinks.Retryable}}
			checkAdvice(t, adviceOn(s), c.row, c.names)
		})
	}
}

// early is the error of a certificate that does not hold yet.
func early(t *testing.T) error {
	t.Helper()
	authority := sinktest.NewAuthority(t)
	r := sinktest.New(t, sinktest.Options{Authority: authority})
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12, Time: func() time.Time { return time.Now().Add(-36 * time.Hour) },
	}}}
	answer, err := c.Get(on(r, "/"))
	if err == nil {
		_ = answer.Body.Close()
	}
	var verification *tls.CertificateVerificationError
	if !errors.As(err, &verification) {
		t.Fatalf("error %v", err)
	}
	verification.UnverifiedCertificates[0].NotBefore = time.Now().Add(time.Hour)
	return err
}
