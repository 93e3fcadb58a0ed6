//go:build services

package services

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	engineStartTimeout = 5 * time.Minute // 10 to 30 s on a quiet machine, 80 s seen on a busy one
	engineStopTimeout  = time.Minute
)

// EngineOptions says which search engine is started, and how.
type EngineOptions struct {
	Product  string     // "elasticsearch", which is also the default, or "opensearch"
	Version  string     // "" is the pinned one
	Secure   *Authority // signs the node's certificate: HTTPS and Basic, with the users of this package; nil: neither
	Settings []string   // further ones of the node, name=value, until it is started again
}

// Engine is a single node of Elasticsearch or OpenSearch.
type Engine struct {
	o       EngineOptions
	home    string
	java    string
	dir     string
	address string
	ports   []int
	client  *http.Client
	process *Process
}

// StartEngine starts a node that ends with the test.
func StartEngine(tb testing.TB, o EngineOptions) *Engine {
	tb.Helper()
	e, err := OpenEngine(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("%s printed last:\n%s", e, e.process.Output())
		}
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

// OpenEngine starts a node and waits until it can write. Close ends it.
func OpenEngine(o EngineOptions) (e *Engine, err error) {
	if o.Product == "" {
		o.Product = "elasticsearch"
	}
	if o.Version == "" {
		if o.Version, err = Pin(strings.ToUpper(o.Product) + "_VERSION"); err != nil {
			return nil, err
		}
	}
	e = &Engine{o: o, client: &http.Client{Transport: http.DefaultTransport}}
	installed := o.Product
	if o.Secure != nil && e.openSearch() {
		installed += "_secure"
	}
	if e.home, err = Installed(installed, o.Version); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineStartTimeout)
	defer cancel()
	if e.java, err = e.findJava(ctx); err != nil {
		return nil, err
	}
	if e.ports, err = FreePorts(2); err != nil {
		return nil, err
	}
	e.address = Loopback(e.ports[0])
	if e.dir, err = WorkFolder(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	if err := e.configure(); err != nil {
		return e, fmt.Errorf("configuring %s: %w", e, err)
	}
	return e, e.start(ctx)
}

// String names the product and its version.
func (e *Engine) String() string { return e.o.Product + " " + e.o.Version }

// Product is "elasticsearch" or "opensearch".
func (e *Engine) Product() string { return e.o.Product }

// Major is the first number of the version.
func (e *Engine) Major() string {
	major, _, _ := strings.Cut(e.o.Version, ".")
	return major
}

func (e *Engine) openSearch() bool { return e.o.Product == "opensearch" }

// findJava looks for a Java that the version runs on. The older versions use the security manager, which Java 24 has
// taken away; the newer ones refuse to start with less than 21.
func (e *Engine) findJava(ctx context.Context) (string, error) {
	oldest, newest := "17", "23"
	if newer := []string{"elasticsearch 9", "opensearch 3"}; slices.Contains(newer, e.o.Product+" "+e.Major()) {
		oldest, newest = "21", "29"
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	var missing bytes.Buffer
	script := exec.CommandContext(ctx, filepath.Join(root, "services", "java.sh"), oldest, newest)
	script.Stderr = &missing
	home, err := script.Output()
	if err != nil {
		return "", fmt.Errorf("looking for a Java for %s: %w\n%s", e, err, &missing)
	}
	return strings.TrimSpace(string(home)), nil
}

// configure copies the configuration without the options that write beside the installed files.
func (e *Engine) configure() error {
	config := filepath.Join(e.dir, "config")
	if err := os.CopyFS(config, os.DirFS(filepath.Join(e.home, "config"))); err != nil {
		return err
	}
	name := filepath.Join(config, "jvm.options")
	options, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var kept strings.Builder
	for line := range strings.Lines(string(options)) {
		if strings.Contains(line, "Xlog:gc") || strings.Contains(line, "HeapDump") || strings.Contains(line, "ErrorFile") {
			continue
		}
		kept.WriteString(line)
	}
	if err := os.WriteFile(name, []byte(kept.String()), 0o644); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(e.dir, "tmp"), 0o755); err != nil {
		return err
	}
	if e.o.Secure != nil {
		if err := e.secure(config); err != nil {
			return err
		}
	}
	return GiveAway(e.dir)
}

// start starts the node and waits until it can write.
func (e *Engine) start(ctx context.Context) error {
	prefix := "ES_"
	settings := []string{
		"discovery.type=single-node",
		"network.host=127.0.0.1",
		fmt.Sprintf("http.port=%d", e.ports[0]),
		fmt.Sprintf("transport.port=%d", e.ports[1]),
		"path.data=" + filepath.Join(e.dir, "data"),
		"path.logs=" + filepath.Join(e.dir, "logs"),
	}
	switch {
	case e.openSearch():
		prefix = "OPENSEARCH_"
	case e.o.Secure == nil:
		settings = append(settings, "xpack.security.enabled=false")
	}
	args := []string{filepath.Join(e.home, "bin", e.o.Product)}
	for _, setting := range append(settings, e.o.Settings...) {
		args = append(args, "-E"+setting)
	}
	var err error
	e.process, err = Launch(Command{
		Name: e.String(),
		Dir:  e.dir,
		Env: []string{
			prefix + "JAVA_HOME=" + e.java,
			prefix + "PATH_CONF=" + filepath.Join(e.dir, "config"),
			prefix + "JAVA_OPTS=-Xms512m -Xmx512m",
			prefix + "TMPDIR=" + filepath.Join(e.dir, "tmp"), // must not hold the configuration
		},
		Args: args,
	}, "] started")
	if err != nil {
		return err
	}
	if err := e.process.Ready(ctx); err != nil {
		return err
	}
	// Started is not yet able to write, and with security not yet able to tell who asks.
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := e.Do(ctx, http.MethodGet, "/_cluster/health?wait_for_status=yellow&timeout=60s", "")
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-e.process.Exited():
			return fmt.Errorf("%s ended: %w\n%s", e, e.process.Err(), e.process.Output())
		case <-ctx.Done():
			return err
		}
	}
}

// Start starts a node that was killed or stopped, with its data, on its old ports, and with these settings instead of
// the former ones.
func (e *Engine) Start(settings ...string) error {
	e.o.Settings = settings
	ctx, cancel := context.WithTimeout(context.Background(), engineStartTimeout)
	defer cancel()
	return e.start(ctx)
}

// Kill ends the node at once.
func (e *Engine) Kill() error { return e.process.Kill() }

// Stop ends the node in good order.
func (e *Engine) Stop() error { return e.process.Terminate(engineStopTimeout) }

// Output returns what the node printed last.
func (e *Engine) Output() string { return e.process.Output() }

// URL is the address of the node.
func (e *Engine) URL() *url.URL {
	scheme := "http"
	if e.o.Secure != nil {
		scheme = "https"
	}
	return &url.URL{Scheme: scheme, Host: e.address}
}

// StatusError is an answer of an engine with a status from 400 up.
type StatusError struct {
	Status int
	text   string
}

// Error implements error.
func (e *StatusError) Error() string { return e.text }

// Do sends a request, with security as the administrator, and returns the answer's body; any status from 400 up is a
// *StatusError.
func (e *Engine) Do(ctx context.Context, method, path, body string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, e.URL().String()+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	if e.o.Secure != nil {
		request.SetBasicAuth(EngineAdmin, EnginePassword)
	}
	response, err := e.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("reading the answer to %s: %w", path, err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return "", &StatusError{response.StatusCode, fmt.Sprintf("%s %s: %s: %s", method, path, response.Status, answer)}
	}
	return string(answer), nil
}

// Must is Do for a request that has to succeed.
func (e *Engine) Must(tb testing.TB, method, path, body string) string {
	tb.Helper()
	answer, err := e.Do(Context(tb), method, path, body)
	if err != nil {
		tb.Fatal(err)
	}
	return answer
}

// Set changes a setting of the cluster; "" takes the change back.
func (e *Engine) Set(tb testing.TB, setting, value string) {
	tb.Helper()
	quoted := strconv.Quote(value)
	if value == "" {
		quoted = "null"
	}
	e.Must(tb, http.MethodPut, "/_cluster/settings", fmt.Sprintf(`{"persistent":{%q:%s}}`, setting, quoted))
}

// Create makes an index.
func (e *Engine) Create(tb testing.TB, index, body string) {
	tb.Helper()
	e.Must(tb, http.MethodPut, "/"+index, body)
}

// Count makes an index's documents visible and counts them.
func (e *Engine) Count(tb testing.TB, index string) int {
	tb.Helper()
	e.Must(tb, http.MethodPost, "/"+index+"/_refresh", "")
	return e.Hits(tb, index, `{"match_all":{}}`)
}

// Hits counts the visible documents that a query finds.
func (e *Engine) Hits(tb testing.TB, index, query string) int {
	tb.Helper()
	answer := e.Must(tb, http.MethodPost, "/"+index+"/_count", `{"query":`+query+`}`)
	var counted struct {
		Count int `json:"count"`
	}
	if err := json.Unmarshal([]byte(answer), &counted); err != nil {
		tb.Fatalf("reading %s: %v", answer, err)
	}
	return counted.Count
}

// Proxy forwards to the node, for whoever wants TLS in front of it.
func (e *Engine) Proxy() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(e.URL()) },
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // the killed client's requests
	}
}

// Close ends the node and removes what it wrote.
func (e *Engine) Close() error {
	var err error
	if e.process != nil {
		err = e.process.Terminate(engineStopTimeout)
	}
	e.client.CloseIdleConnections()
	return errors.Join(err, os.RemoveAll(e.dir))
}
