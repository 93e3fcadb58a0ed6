package alerts

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sessionexport/egress"
	"sessionexport/sinks/sinktest"
)

// receiver counts requests; none may come.
func receiver(t *testing.T, leaf tls.Certificate) (target *url.URL, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	target, err := url.Parse(server.URL + "/hunter2?key=hunter2")
	if err != nil {
		t.Fatal(err)
	}
	return target, requests
}

func TestEndpointCertificate(t *testing.T) {
	authority := sinktest.NewAuthority(t)
	for name, leaf := range map[string]sinktest.Leaf{"good": {}, "expired": {Expired: true}} {
		target, requests := receiver(t, authority.Issue(t, leaf))
		c, err := EndpointCertificate(t.Context(), egress.Options{RootCAs: authority.Pool(), Proxy: egress.DirectOnly}, target)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := 24 * time.Hour
		if leaf.Expired {
			want = -time.Hour
		}
		if left := time.Until(c.Until); left < want-time.Minute || left > want || c.From.IsZero() {
			t.Errorf("%s: %v left", name, left)
		}
		if n := requests.Load(); n != 0 {
			t.Errorf("%s: %d requests were sent", name, n)
		}
	}
}

func TestEndpointCertificateFails(t *testing.T) {
	authority := sinktest.NewAuthority(t)
	target, requests := receiver(t, authority.Issue(t, sinktest.Leaf{}))
	for name, o := range map[string]egress.Options{
		"not trusted": {Proxy: egress.DirectOnly},
		"denied":      {RootCAs: authority.Pool(), Proxy: egress.DirectOnly, Rules: egress.Rules{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}},
	} {
		c, err := EndpointCertificate(t.Context(), o, target)
		if err == nil || strings.Contains(err.Error(), "hunter2") || c != (Certificate{}) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestClientCertificates(t *testing.T) {
	pair := sinktest.NewAuthority(t).Issue(t, sinktest.Leaf{Client: true})
	if got := ClientCertificates([]tls.Certificate{pair}); len(got) != 0 {
		t.Errorf("a pair that was not parsed: %v", got)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pair.Leaf = leaf
	if got := ClientCertificates([]tls.Certificate{pair}); len(got) != 1 || !got[0].Until.Equal(leaf.NotAfter) || !got[0].From.Equal(leaf.NotBefore) {
		t.Errorf("got %v", got)
	}
}
