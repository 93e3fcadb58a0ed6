package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// instance is one process of the program.
type instance struct {
	cmd     *exec.Cmd
	log     string // file of its standard error
	started time.Time
	exited  chan struct{}
	code    int // once exited
}

// instanceOptions say how a process is started.
type instanceOptions struct {
	binary string
	config string   // file
	log    string   // file that gets its standard error
	env    []string // beside the caller's own
	limits string   // commands of a shell before it, such as ulimit
}

func startInstance(o instanceOptions) (*instance, error) {
	p := &instance{log: o.log, started: time.Now(), exited: make(chan struct{})}
	args := []string{o.binary, "serve", "--config", o.config}
	if o.limits != "" {
		args = append([]string{"sh", "-c", o.limits + `; exec "$@"`, "sh"}, args...)
	}
	p.cmd = exec.Command(args[0], args[1:]...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "SESSION_EXPORT_") {
			p.cmd.Env = append(p.cmd.Env, e)
		}
	}
	p.cmd.Env = append(p.cmd.Env, o.env...)
	out, err := os.OpenFile(o.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the instance's log: %w", err)
	}
	defer func() { _ = out.Close() }() // the process has its own
	p.cmd.Stderr = out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", o.binary, err)
	}
	go func() {
		defer close(p.exited)
		err := p.cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			p.code = exit.ExitCode()
		}
	}()
	return p, nil
}

// signal sends a signal; a process that is gone does not mind.
func (p *instance) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// kill ends the process with SIGKILL.
func (p *instance) kill() {
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// stop ends the process with SIGTERM and expects that it agrees.
func (p *instance) stop(patience time.Duration) error {
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		return fmt.Errorf("an instance does not end within %v of SIGTERM", patience)
	}
	if p.code != 0 {
		return fmt.Errorf("an instance ended with %d after SIGTERM; it logged\n%s", p.code, p.tail())
	}
	return nil
}

// running tells whether the process has not ended.
func (p *instance) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// tail is the end of its log.
func (p *instance) tail() string {
	const most = 4 << 10
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(len(text)-most, 0):])
}

// address is where its operating surface listens, "" as long as it does not.
// The log is shared by the lives of an instance: the last one counts.
func (p *instance) address() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	address := ""
	for l := range bytes.Lines(text) {
		var started struct {
			Time    time.Time
			Msg     string
			Address string
		}
		if json.Unmarshal(l, &started) == nil && started.Msg == "started" && started.Time.After(p.started) {
			address = started.Address
		}
	}
	return address
}

// get asks the operating surface.
func (p *instance) get(ctx context.Context, path string) (string, error) {
	address := p.address()
	if address == "" {
		return "", errors.New("the instance does not listen yet")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return "", fmt.Errorf("asking an instance: %w", err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return "", fmt.Errorf("asking an instance: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", fmt.Errorf("asking an instance: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return string(text), fmt.Errorf("%s answers %d", path, res.StatusCode)
	}
	return string(text), nil
}

// metric is the sum of the samples of a metric.
func (p *instance) metric(ctx context.Context, name string) (float64, error) {
	text, err := p.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for l := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(l), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("reading %s: %w", name, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("no metric %s", name)
	}
	return sum, nil
}
