package egress

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const proxySecret = "pr0xy-s3cret"

// assertNoSecret holds every text that reaches a person against the password.
func assertNoSecret(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(text, proxySecret) || strings.Contains(text, url.QueryEscape(proxySecret)) {
			t.Errorf("the password shows: %s", text)
		}
	}
}

func through(p *url.URL) func(*http.Request) (*url.URL, error) {
	return func(*http.Request) (*url.URL, error) { return p, nil }
}

func TestConnectProxy(t *testing.T) {
	a := newAuthority(t)
	s := a.serve(t, hello, nil)
	for name, user := range map[string]string{"open": "", "with a password": "user"} {
		t.Run(name, func(t *testing.T) {
			p := newConnectProxy(t, s.Listener.Addr().String(), user, proxySecret, 0)
			// The name does not resolve here: only the proxy knows it.
			c := clientOf(t, Options{RootCAs: a.pool(t), Proxy: through(p.url)})
			_, body, err := get(t, c, "https://svc.test/")
			if err != nil || body != "hello over HTTP/2.0" {
				t.Errorf("%q, %v", body, err)
			}
			if !slices.Equal(p.targets, []string{"svc.test:443"}) {
				t.Errorf("the proxy was asked for %v", p.targets)
			}
			c.CloseIdleConnections()
		})
	}
}

func TestProxyRefuses(t *testing.T) {
	a := newAuthority(t)
	wrong := func(p *connectProxy) *url.URL {
		u := *p.url
		u.User = url.UserPassword("user", proxySecret+"-wrong")
		return &u
	}
	for name, c := range map[string]struct {
		answer int
		choose func(*connectProxy) *url.URL
		want   int
	}{
		"wrong password": {0, wrong, http.StatusProxyAuthRequired},
		"forbidden":      {http.StatusForbidden, func(p *connectProxy) *url.URL { return p.url }, http.StatusForbidden},
		"no destination": {http.StatusBadGateway, func(p *connectProxy) *url.URL { return p.url }, http.StatusBadGateway},
		"strange":        {599, func(p *connectProxy) *url.URL { return p.url }, 599},
	} {
		t.Run(name, func(t *testing.T) {
			p := newConnectProxy(t, "127.0.0.1:1", "user", proxySecret, c.answer)
			_, _, err := get(t, clientOf(t, Options{RootCAs: a.pool(t), Proxy: through(c.choose(p))}), "https://svc.test/")
			var e *ProxyError
			if !errors.As(err, &e) || e.ProxyStatus() != c.want || e.Proxy != p.url.Host {
				t.Fatalf("error %v", err)
			}
			assertNoSecret(t, err.Error(), e.Error())
		})
	}
}

func TestProxyDownShowsNoPassword(t *testing.T) {
	p := &url.URL{Scheme: "http", Host: "127.0.0.1:1", User: url.UserPassword("user", proxySecret)}
	_, _, err := get(t, clientOf(t, Options{Proxy: through(p)}), "https://svc.test/")
	if err == nil {
		t.Fatal("no error")
	}
	assertNoSecret(t, err.Error())
}

func TestProxyAddressIsChecked(t *testing.T) {
	p := &url.URL{Scheme: "http", Host: "169.254.169.254:3128", User: url.UserPassword("user", proxySecret)}
	_, _, err := get(t, clientOf(t, Options{Proxy: through(p)}), "https://svc.test/")
	_ = denied(t, err)
	assertNoSecret(t, err.Error())
}

// What a proxy would connect to is checked when it is an address, and said to
// be out of sight, once, when it is a name and somebody wrote rules.
func TestTargetBehindProxy(t *testing.T) {
	a := newAuthority(t)
	s := a.serve(t, hello, nil)
	p := newConnectProxy(t, s.Listener.Addr().String(), "user", proxySecret, 0)
	var logged bytes.Buffer
	c := clientOf(t, Options{
		RootCAs: a.pool(t), Proxy: through(p.url), Rules: Rules{Deny: prefixes("10.0.0.0/8")},
		Logger: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	for _, target := range []string{"https://169.254.169.254/", "https://10.1.2.3/", "https://[::ffff:10.1.2.3]/"} {
		_, _, err := get(t, c, target)
		_ = denied(t, err)
	}
	if len(p.targets) != 0 {
		t.Errorf("the proxy was asked for %v", p.targets)
	}
	for range 3 {
		if _, _, err := get(t, c, "https://svc.test/"); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(logged.String(), "svc.test"); n != 1 {
		t.Errorf("said %d times: %s", n, logged.String())
	}
	assertNoSecret(t, logged.String())
	c.CloseIdleConnections()
}

func clearEnvironment(t *testing.T) {
	t.Helper()
	for _, name := range environmentNames {
		t.Setenv(name, "")
	}
}

func TestEnvironmentProxy(t *testing.T) {
	for name, c := range map[string]struct {
		variables map[string]string
		target    string
		want      string // host of the proxy, empty: direct
		fails     bool
	}{
		"nothing":         {nil, "https://svc.test/", "", false},
		"https":           {map[string]string{"HTTPS_PROXY": "http://p.test:3128"}, "https://svc.test/", "p.test:3128", false},
		"lower case":      {map[string]string{"https_proxy": "http://p.test:3128"}, "https://svc.test/", "p.test:3128", false},
		"without scheme":  {map[string]string{"HTTPS_PROXY": "p.test:3128"}, "https://svc.test/", "p.test:3128", false},
		"http alone":      {map[string]string{"HTTP_PROXY": "http://p.test:3128"}, "https://svc.test/", "", false},
		"http":            {map[string]string{"HTTP_PROXY": "http://p.test:3128"}, "http://svc.test/", "p.test:3128", false},
		"in a CGI script": {map[string]string{"HTTP_PROXY": "http://p.test:3128", "REQUEST_METHOD": "GET"}, "http://svc.test/", "p.test:3128", false},
		"not for this":    {map[string]string{"HTTPS_PROXY": "http://p.test:3128", "NO_PROXY": "svc.test"}, "https://svc.test/", "", false},
		"loopback":        {map[string]string{"HTTPS_PROXY": "http://p.test:3128"}, "https://127.0.0.1/", "", false},
		"socks":           {map[string]string{"HTTPS_PROXY": "socks5://p.test:1080"}, "https://svc.test/", "p.test:1080", false},
		"bad escape":      {map[string]string{"HTTPS_PROXY": "http://user:" + proxySecret + "%zz@p.test:3128"}, "https://svc.test/", "", true},
		"bad, not for this": {map[string]string{
			"HTTPS_PROXY": "http://user:" + proxySecret + "%zz@p.test:3128", "NO_PROXY": "svc.test",
		}, "https://svc.test/", "", false},
		"bad, for another": {map[string]string{"HTTP_PROXY": "http://user:" + proxySecret + "%zz@p.test"}, "https://svc.test/", "", false},
		"bad for http":     {map[string]string{"HTTP_PROXY": "http://user:" + proxySecret + "%zz@p.test"}, "http://svc.test/", "", true},
		"strange scheme":   {map[string]string{"HTTPS_PROXY": "ftp://user:" + proxySecret + "@p.test"}, "https://svc.test/", "", true},
		"no host":          {map[string]string{"HTTPS_PROXY": "http://:3128"}, "https://svc.test/", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			clearEnvironment(t)
			for variable, value := range c.variables {
				t.Setenv(variable, value)
			}
			choose := EnvironmentProxy()
			clearEnvironment(t) // what comes later changes nothing
			target, err := url.Parse(c.target)
			if err != nil {
				t.Fatal(err)
			}
			got, err := choose(&http.Request{URL: target})
			if (err != nil) != c.fails {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				var e *ProxyError
				if !errors.As(err, &e) {
					t.Errorf("error %T", err)
				}
				assertNoSecret(t, err.Error())
				return
			}
			host := ""
			if got != nil {
				host = got.Host
			}
			if host != c.want {
				t.Errorf("proxy %q, want %q", host, c.want)
			}
		})
	}
}

// The whole way with the default choice.
func TestEnvironmentProxyIsTheDefault(t *testing.T) {
	a := newAuthority(t)
	s := a.serve(t, hello, nil)
	p := newConnectProxy(t, s.Listener.Addr().String(), "user", proxySecret, 0)
	clearEnvironment(t)
	t.Setenv("HTTPS_PROXY", p.url.String())
	if got := ProxyVariables(); !slices.Equal(got, []string{"HTTPS_PROXY"}) {
		t.Errorf("set: %v", got)
	}
	transport := NewTransport(Options{RootCAs: a.pool(t), Logger: slog.New(slog.DiscardHandler)})
	defer transport.CloseIdleConnections()
	_, body, err := get(t, &http.Client{Transport: transport}, "https://svc.test/")
	if err != nil || !strings.HasPrefix(body, "hello") || len(p.targets) != 1 {
		t.Errorf("%q by %v, %v", body, p.targets, err)
	}
}
