//go:build services

package edge_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"sessionexport/services"
)

func TestMain(m *testing.M) { services.Main(m) }

// backend is the receiver behind a web server. Each path is an endpoint of its own; it knows what the web server told of
// the requests that it let through, and of which host and port the web server forwards to.
type backend struct {
	address string

	mu    sync.Mutex
	hooks map[string]*services.Webhook
	told  map[string]map[string]map[string]bool // by path and header: the values
}

// forwarding is how nginx passes requests on: whole, and with headers that tell about them.
const forwarding = `
    client_max_body_size 2m;
    proxy_set_header X-Protocol $server_protocol;
    proxy_set_header X-TLS $ssl_protocol;
    proxy_set_header X-Connection $connection;
    proxy_set_header X-User $remote_user;
    proxy_set_header X-Client $ssl_client_s_dn;
    proxy_request_buffering on;
`

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{hooks: map[string]*services.Webhook{}, told: map[string]map[string]map[string]bool{}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	b.address = server.Listener.Addr().String()
	return b
}

// ServeHTTP implements http.Handler.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	hook := b.hook(path)
	b.mu.Lock()
	for _, name := range []string{"X-Protocol", "X-Tls", "X-Connection", "X-User", "X-Client", "Content-Encoding"} {
		if value := r.Header.Get(name); value != "" {
			if b.told[path][name] == nil {
				b.told[path][name] = map[string]bool{}
			}
			b.told[path][name][value] = true
		}
	}
	b.mu.Unlock()
	if r.Header.Get("Content-Encoding") == "gzip" {
		plain, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(plain)
	}
	hook.ServeHTTP(w, r)
}

func (b *backend) hook(path string) *services.Webhook {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hooks[path] == nil {
		b.hooks[path], b.told[path] = &services.Webhook{}, map[string]map[string]bool{}
	}
	return b.hooks[path]
}

// values are what the web server told of the requests to a path under a header.
func (b *backend) values(path, header string) map[string]bool {
	b.hook(path)
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.told[path][header])
}

// only fails the test unless a header had one value in all requests to a path.
func (b *backend) only(t *testing.T, path, header, value string) {
	t.Helper()
	if got := b.values(path, header); len(got) != 1 || !got[value] {
		t.Errorf("%s: %s is %v, want %q alone", path, header, got, value)
	}
}

// complete fails the test unless a path got every session from 0 up to below a number, none twice.
func (b *backend) complete(t *testing.T, path string, below int) {
	t.Helper()
	sessions := b.hook(path).Sessions()
	for i := range below {
		if n := sessions[fmt.Sprintf("s-%d", i)]; n != 1 {
			t.Errorf("%s: session %d came %d times", path, i, n)
		}
	}
	if len(sessions) != below {
		t.Errorf("%s: %d different sessions, want %d", path, len(sessions), below)
	}
}

// long is a session of some 4,000 bytes.
func long(i int) string { return sized(i, 4000) }

func sized(i, bytes int) string {
	return fmt.Sprintf(`{"tenantId":"t","userSessionId":"s-%d","startTime":%d,"text":"%s"}`, i, i, strings.Repeat("x", bytes))
}
