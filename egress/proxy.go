package egress

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"

	"golang.org/x/net/http/httpproxy"
)

// EnvironmentProxy returns the choice that HTTPS_PROXY, HTTP_PROXY and NO_PROXY
// (or their lower-case names) make now; a later change of the environment
// changes nothing. A value that is no proxy's URL makes every request fail that
// would use it: going out directly would not be what was asked for.
func EnvironmentProxy() func(*http.Request) (*url.URL, error) {
	config := httpproxy.FromEnvironment()
	// Whether this process has an HTTP server around it, as that variable
	// tells, is of no concern: it is no CGI script.
	config.CGI = false
	secure := checkProxyURL("HTTPS_PROXY", config.HTTPSProxy)
	plain := checkProxyURL("HTTP_PROXY", config.HTTPProxy)
	// The placeholder keeps NO_PROXY at work for a value that does not parse.
	if secure != nil {
		config.HTTPSProxy = placeholder
	}
	if plain != nil {
		config.HTTPProxy = placeholder
	}
	choose := config.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) {
		proxy, err := choose(r.URL)
		if err != nil || proxy == nil {
			return nil, err
		}
		if r.URL.Scheme == "https" && secure != nil {
			return nil, secure
		}
		if r.URL.Scheme == "http" && plain != nil {
			return nil, plain
		}
		return proxy, nil
	}
}

const placeholder = "http://proxy.invalid"

// checkProxyURL returns an error that names the variable and not its value,
// which may carry a password.
func checkProxyURL(name, value string) error {
	if value == "" {
		return nil
	}
	probe := httpproxy.Config{HTTPSProxy: value}
	proxy, err := probe.ProxyFunc()(&url.URL{Scheme: "https", Host: "probe.invalid"})
	if err != nil || proxy == nil {
		return &ProxyError{Reason: name + " is not the URL of a proxy"}
	}
	switch proxy.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return &ProxyError{Reason: name + " must start with http, https, socks5 or socks5h"}
	}
	if proxy.Hostname() == "" {
		return &ProxyError{Reason: name + " names no host"}
	}
	return nil
}

// DirectOnly is an Options.Proxy that never takes a proxy.
func DirectOnly(*http.Request) (*url.URL, error) { return nil, nil }

// checkedProxy refuses a target by address that goes through a proxy, where the
// dialer would see the proxy's address alone.
func checkedProxy(choose func(*http.Request) (*url.URL, error), rules Rules, logger *slog.Logger) func(*http.Request) (*url.URL, error) {
	var once sync.Once
	return func(r *http.Request) (*url.URL, error) {
		proxy, err := choose(r)
		if err != nil || proxy == nil {
			return nil, err
		}
		if addr, err := netip.ParseAddr(r.URL.Hostname()); err == nil {
			if err := rules.Check(addr); err != nil {
				return nil, err
			}
		} else if !rules.Empty() {
			once.Do(func() {
				logger.Warn("egress rules cannot see what a proxy connects to", "proxy", proxy.Host, "host", r.URL.Hostname())
			})
		}
		return proxy, nil
	}
}

// ProxyError says that the way through a proxy failed. It never shows the
// proxy's user or password.
type ProxyError struct {
	Proxy  string // host and port; empty when the proxy's own URL is at fault
	Status int    // the proxy's answer to CONNECT; 0 without one
	Reason string
}

// Error names the proxy, its status and what may be done.
func (e *ProxyError) Error() string {
	if e.Proxy == "" {
		return "choosing a proxy: " + e.Reason
	}
	return fmt.Sprintf("proxy %s answered %d to CONNECT: %s", e.Proxy, e.Status, e.Reason)
}

// ProxyStatus is the status of the proxy's answer, for callers that do not
// import this package: 407 is a credential, 403 a rule of the proxy, 502 to 504
// a destination that the proxy cannot reach.
func (e *ProxyError) ProxyStatus() int { return e.Status }

// proxyAnswer turns a refused CONNECT into an error with its status; the
// transport alone gives a text.
func proxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	reason := http.StatusText(answer.StatusCode)
	if reason == "" {
		reason = "unknown status"
	}
	return &ProxyError{Proxy: proxy.Host, Status: answer.StatusCode, Reason: reason}
}

// environmentNames are what EnvironmentProxy reads.
var environmentNames = []string{"https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"}

// ProxyVariables returns the names of the variables that are set, not their
// values, for the log at start.
func ProxyVariables() []string {
	var set []string
	for _, name := range environmentNames {
		if os.Getenv(name) != "" {
			set = append(set, name)
		}
	}
	return set
}
