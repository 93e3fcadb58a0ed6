//go:build services

package services

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"
)

const monitorTimeout = time.Minute // to end; two seconds on a quiet machine

// MonitorOptions say what a Prometheus or an Alertmanager is started with.
type MonitorOptions struct {
	Configuration string            // in YAML
	Files         map[string][]byte // beside the configuration, by name
	Web           string            // web configuration, in YAML, for TLS and passwords; "": plain HTTP
	Client        *http.Client      // that reaches it; nil: http.DefaultClient
	Username      string            // that the client gives, with its password
	Password      string
}

// Monitor is a running Prometheus or Alertmanager.
type Monitor struct {
	URL string

	o       MonitorOptions
	dir     string
	process *Process
}

// StartPrometheus starts a Prometheus that ends with the test.
func StartPrometheus(tb testing.TB, o MonitorOptions) *Monitor {
	tb.Helper()
	return startMonitor(tb, o, "prometheus", "--storage.tsdb.path=data")
}

// StartAlertmanager starts an Alertmanager, without any other of its kind, that ends with the test.
func StartAlertmanager(tb testing.TB, o MonitorOptions) *Monitor {
	tb.Helper()
	return startMonitor(tb, o, "prometheus-alertmanager", "--storage.path=data", "--cluster.listen-address=")
}

func startMonitor(tb testing.TB, o MonitorOptions, program string, flags ...string) *Monitor {
	tb.Helper()
	ports, err := FreePorts(1)
	if err != nil {
		tb.Fatal(err)
	}
	dir, err := WorkFolder()
	if err != nil {
		tb.Fatal(err)
	}
	m := &Monitor{URL: "http://" + Loopback(ports[0]), o: o, dir: dir}
	tb.Cleanup(func() {
		if m.process != nil {
			if tb.Failed() {
				tb.Logf("%s printed last:\n%s", program, m.process.Output())
			}
			if err := m.process.Terminate(monitorTimeout); err != nil {
				tb.Error(err)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	files := map[string][]byte{"config.yml": []byte(o.Configuration)}
	args := append([]string{"--config.file=config.yml", "--web.listen-address=" + Loopback(ports[0])}, flags...)
	if o.Web != "" {
		files["web.yml"] = []byte(o.Web)
		args = append(args, "--web.config.file=web.yml")
		m.URL = "https://" + Loopback(ports[0])
	}
	for name, content := range o.Files {
		files[name] = content
	}
	if m.process, err = inFolder(dir, program, files, args...); err != nil {
		tb.Fatal(err)
	}
	Eventually(tb, program+" is ready", func() bool {
		select {
		case <-m.process.Exited():
			tb.Fatalf("%s ended: %v", program, m.process.Err())
		default:
		}
		status, _, err := m.Get(Context(tb), "/-/ready")
		return err == nil && status == http.StatusOK
	})
	return m
}

// inFolder starts a program of Debian's in a folder with files.
func inFolder(dir, program string, files map[string][]byte, args ...string) (*Process, error) {
	binary, err := server(program)
	if err != nil {
		return nil, err
	}
	if err := writeFiles(dir, files); err != nil {
		return nil, fmt.Errorf("writing files for %s: %w", program, err)
	}
	return Launch(Command{Name: program, Dir: dir, Args: append([]string{binary}, args...)}, "")
}

// Get asks the server.
func (m *Monitor) Get(ctx context.Context, path string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.URL+path, nil)
	if err != nil {
		return 0, nil, err
	}
	if m.o.Username != "" {
		request.SetBasicAuth(m.o.Username, m.o.Password)
	}
	client := m.o.Client
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// Ask reads an answer of the server's API.
func (m *Monitor) Ask(ctx context.Context, path string, into any) error {
	status, body, err := m.Get(ctx, path)
	switch {
	case err != nil:
		return fmt.Errorf("asking for %s: %w", path, err)
	case status != http.StatusOK:
		return fmt.Errorf("asking for %s: status %d: %s", path, status, body)
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(into); err != nil {
		return fmt.Errorf("reading the answer to %s: %w", path, err)
	}
	return nil
}

// Promtool runs Prometheus' tool in a folder with files and returns what it printed. The file "stdin", if there is one,
// is what it reads.
func Promtool(ctx context.Context, files map[string][]byte, args ...string) (output string, err error) {
	dir, err := WorkFolder()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if _, there := files["stdin"]; there {
		args = append([]string{"-c", `exec promtool "$@" <stdin`, "promtool"}, args...)
	} else {
		args = append([]string{"-c", `exec promtool "$@"`, "promtool"}, args...)
	}
	if _, err := server("promtool"); err != nil {
		return "", err
	}
	p, err := inFolder(dir, "sh", files, args...)
	if err != nil {
		return "", err
	}
	select {
	case <-p.Exited():
	case <-ctx.Done():
		return "", errors.Join(fmt.Errorf("running promtool: %w", ctx.Err()), p.Kill())
	}
	if err := p.Err(); err != nil {
		return p.Output(), fmt.Errorf("running promtool: %w\n%s", err, p.Output())
	}
	return p.Output(), nil
}
