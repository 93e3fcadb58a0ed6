//go:build services

package services

import (
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
	"strings"
	"testing"
	"time"
)

const (
	elasticsearchStartTimeout = 4 * time.Minute // 10 s on a quiet machine, 80 s seen on a busy one
	elasticsearchStopTimeout  = time.Minute
)

// Elasticsearch is a running single node without security.
type Elasticsearch struct {
	dir     string
	address string
	process *Process
}

// StartElasticsearch starts a node that ends with the test.
func StartElasticsearch(tb testing.TB) *Elasticsearch {
	tb.Helper()
	e, err := OpenElasticsearch()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("Elasticsearch printed last:\n%s", e.process.Output())
		}
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

// OpenElasticsearch starts a node and waits until it can write. Close ends it.
func OpenElasticsearch() (e *Elasticsearch, err error) {
	home, err := Installed("elasticsearch", "")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), elasticsearchStartTimeout)
	defer cancel()
	java, err := javaHome(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	dir, err := WorkFolder()
	if err != nil {
		return nil, err
	}
	e = &Elasticsearch{dir: dir, address: Loopback(ports[0])}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	if err := e.configure(home); err != nil {
		return e, fmt.Errorf("configuring Elasticsearch: %w", err)
	}
	e.process, err = Launch(Command{
		Name: "Elasticsearch",
		Dir:  dir,
		Env: []string{
			"ES_JAVA_HOME=" + java,
			"ES_PATH_CONF=" + filepath.Join(dir, "config"),
			"ES_JAVA_OPTS=-Xms512m -Xmx512m",
			"ES_TMPDIR=" + filepath.Join(dir, "tmp"), // must not hold the configuration
		},
		Args: []string{
			filepath.Join(home, "bin", "elasticsearch"),
			"-Ediscovery.type=single-node",
			"-Enetwork.host=127.0.0.1",
			fmt.Sprintf("-Ehttp.port=%d", ports[0]),
			fmt.Sprintf("-Etransport.port=%d", ports[1]),
			"-Epath.data=" + filepath.Join(dir, "data"),
			"-Epath.logs=" + filepath.Join(dir, "logs"),
			"-Expack.security.enabled=false",
		},
	}, "] started")
	if err != nil {
		return e, err
	}
	if err := e.process.Ready(ctx); err != nil {
		return e, err
	}
	// Started is not yet able to write.
	_, err = e.Do(ctx, http.MethodGet, "/_cluster/health?wait_for_status=yellow&timeout=60s", "")
	return e, err
}

// configure copies the configuration without the options that write beside the installed files.
func (e *Elasticsearch) configure(home string) error {
	config := filepath.Join(e.dir, "config")
	if err := os.CopyFS(config, os.DirFS(filepath.Join(home, "config"))); err != nil {
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
	return GiveAway(e.dir)
}

// URL is the address of the node.
func (e *Elasticsearch) URL() *url.URL {
	return &url.URL{Scheme: "http", Host: e.address}
}

// Do sends a request and returns the answer's body; any status from 400 up is an error.
func (e *Elasticsearch) Do(ctx context.Context, method, path, body string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, e.URL().String()+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("reading the answer to %s: %w", path, err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return "", fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return string(answer), nil
}

// Create makes an index.
func (e *Elasticsearch) Create(tb testing.TB, index, body string) {
	tb.Helper()
	if _, err := e.Do(Context(tb), http.MethodPut, "/"+index, body); err != nil {
		tb.Fatal(err)
	}
}

// Count makes an index's documents visible and counts them.
func (e *Elasticsearch) Count(tb testing.TB, index string) int {
	tb.Helper()
	ctx := Context(tb)
	if _, err := e.Do(ctx, http.MethodPost, "/"+index+"/_refresh", ""); err != nil {
		tb.Fatal(err)
	}
	answer, err := e.Do(ctx, http.MethodGet, "/"+index+"/_count", "")
	if err != nil {
		tb.Fatal(err)
	}
	var counted struct {
		Count int `json:"count"`
	}
	if err := json.Unmarshal([]byte(answer), &counted); err != nil {
		tb.Fatalf("reading %s: %v", answer, err)
	}
	return counted.Count
}

// Proxy forwards to the node, for whoever wants TLS in front of it.
func (e *Elasticsearch) Proxy() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: e.address}) },
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // the killed client's requests
	}
}

// Kill ends the node at once, for good.
func (e *Elasticsearch) Kill() error {
	return e.process.Kill()
}

// Close ends the node and removes what it wrote.
func (e *Elasticsearch) Close() error {
	var err error
	if e.process != nil {
		err = e.process.Terminate(elasticsearchStopTimeout)
	}
	return errors.Join(err, os.RemoveAll(e.dir))
}

// javaHome asks the java of the PATH where it lives.
func javaHome(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "java", "-XshowSettings:properties", "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("asking java for its home: %w", err)
	}
	for line := range strings.Lines(string(output)) {
		if key, value, found := strings.Cut(strings.TrimSpace(line), " = "); found && key == "java.home" {
			return value, nil
		}
	}
	return "", errors.New("java does not name its home")
}
