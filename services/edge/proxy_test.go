//go:build services

package edge_test

import (
	"strings"
	"testing"
	"time"

	"sessionexport/services"
)

const (
	proxyUser     = "tunneller"
	proxyPassword = "pr0xy-s3cret.of_tinyproxy"

	// outside is a name of this machine that is no loopback address to those who choose proxies.
	outside = "127.1"
)

// TestProxy sends everything through a proxy that the environment names, with and without credentials.
func TestProxy(t *testing.T) {
	authority, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	b := newBackend(t)
	urls := nginx(t, authority, b, map[string]front{"one": {}, "two": {listen: " http2"}, "wrong": {}, "none": {}, "down": {}}, "", outside)
	ports, err := services.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	dead := "https://" + services.Loopback(ports[0]) + "/dead" // nobody listens
	export := func(name, url string) services.Export {
		return services.Export{
			ID: name, URL: strings.Replace(url, "127.0.0.1", outside, 1),
			Custom: []string{"httpVersion=auto", "maxRetries=1", "initialBackoff=100ms", "maxBackoff=200ms"},
		}
	}
	stage := func(t *testing.T, proxy string, exports ...services.Export) *services.Stage {
		t.Helper()
		s := services.NewStage(t, services.StageOptions{
			Kafka: services.SharedKafka(t), Authority: authority, Exports: exports,
			Env:     []string{"HTTPS_PROXY=http://" + proxy},
			Secrets: map[string]string{"proxy": proxyPassword, "wrong": "wr0ng-" + proxyPassword},
		})
		for _, e := range exports {
			s.Produce(t, e.ID, 0, 200)
		}
		s.Program.Start(t)
		return s
	}
	arrives := func(t *testing.T, s *services.Stage, name string) {
		t.Helper()
		s.UntilDelivered(t, name, 200)
		b.complete(t, "/"+name, 200)
	}
	open := services.StartTinyproxy(t, services.TinyproxyOptions{})
	guarded := services.StartTinyproxy(t, services.TinyproxyOptions{Username: proxyUser, Password: proxyPassword})

	t.Run("open", func(t *testing.T) {
		s := stage(t, open.Address, export("one", urls["one"]), export("dead", dead))
		arrives(t, s, "one")
		b.only(t, "/one", "X-Protocol", "HTTP/1.1")
		if !strings.Contains(open.Output(), "CONNECT "+outside+":") {
			t.Errorf("the proxy logged no tunnel:\n%s", open.Output())
		}
		status := s.UntilHeld(t, "dead", "proxy")
		if !strings.Contains(status.Hold.Error, "proxy "+open.Address+" answered 5") || status.Sessions.DeadLetters != 0 {
			t.Errorf("%+v", status.Hold)
		}
	})
	t.Run("with credentials", func(t *testing.T) {
		s := stage(t, proxyUser+":"+proxyPassword+"@"+guarded.Address, export("two", urls["two"]))
		arrives(t, s, "two")
		b.only(t, "/two", "X-Protocol", "HTTP/2.0")
		if !strings.Contains(guarded.Output(), "CONNECT "+outside+":") {
			t.Errorf("the proxy logged no tunnel:\n%s", guarded.Output())
		}
		s.KeepsSecrets(t)
	})
	for name, c := range map[string]struct{ credentials, says string }{
		"wrong": {proxyUser + ":wr0ng-" + proxyPassword + "@", "answered 401 to CONNECT: Unauthorized"},
		"none":  {"", "answered 407 to CONNECT: Proxy Authentication Required"},
	} {
		t.Run("with "+name+" credentials", func(t *testing.T) {
			s := stage(t, c.credentials+guarded.Address, export(name, urls[name]))
			status := s.UntilHeld(t, name, "proxy_credentials")
			if !strings.Contains(status.Hold.Error, guarded.Address) || !strings.Contains(status.Hold.Error, c.says) {
				t.Errorf("%+v", status.Hold)
			}
			if n := s.Metric(t, "session_export_retries_total"); n != 0 || status.Sessions.Waiting != 200 {
				t.Errorf("%v retries, %+v", n, status.Sessions)
			}
			services.Eventually(t, "it is told", func() bool {
				return s.Metric(t, "session_export_alerts_open", `cause="delivery_failed"`) == 1
			})
			s.KeepsSecrets(t)
		})
	}
	t.Run("down", func(t *testing.T) {
		if err := guarded.Stop(); err != nil {
			t.Fatal(err)
		}
		s := stage(t, proxyUser+":"+proxyPassword+"@"+guarded.Address, export("down", urls["down"]))
		status := s.UntilHeld(t, "down", "proxy")
		if !strings.Contains(status.Hold.Error, "proxyconnect") || !strings.Contains(status.Hold.Error, guarded.Address) {
			t.Errorf("%+v", status.Hold)
		}
		if err := guarded.Start(); err != nil {
			t.Fatal(err)
		}
		back := time.Now()
		arrives(t, s, "down")
		t.Logf("all is delivered %s after the proxy was back", time.Since(back).Round(time.Millisecond))
		s.KeepsSecrets(t)
	})
}
