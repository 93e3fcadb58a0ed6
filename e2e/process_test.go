package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is the program itself.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	stdout  journal
	journal journal // standard error
	exited  chan struct{}
	code    int
}

// launch starts the program in a folder. It is killed with the test.
func launch(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, exited: make(chan struct{})}
	p.cmd = exec.CommandContext(context.Background(), path, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, &p.stdout, &p.journal
	p.cmd.Env = nil
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "SESSION_EXPORT_") {
			p.cmd.Env = append(p.cmd.Env, e)
		}
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		err := p.cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			p.code = exit.ExitCode()
		}
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%v printed:\n%s%s", args, p.stdout.tail(), p.journal.tail())
		}
	})
	return p
}

// serveProcess writes the configuration and starts `serve` on it.
func (s *stage) serveProcess(config []byte) *process {
	s.t.Helper()
	s.file("config.yaml", string(config))
	if err := os.MkdirAll(filepath.Join(s.dir, "secrets"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	return launch(s.t, s.dir, "serve", "--config", "config.yaml")
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
}

// kill ends the process with SIGKILL.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.wait()
}

// wait returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		p.t.Fatalf("%v does not end", p.cmd.Args)
	}
	return p.code
}

// ended tells whether the process has ended.
func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// address is where the operating surface listens, "" as long as it does not.
func (p *process) address() string {
	for text := range bytes.Lines([]byte(p.journal.String())) {
		var l struct{ Msg, Address string }
		if json.Unmarshal(text, &l) == nil && l.Msg == "started" {
			return l.Address
		}
	}
	return ""
}

// ready waits until every sink is a member of its group.
func (p *process) ready() {
	p.t.Helper()
	until(p.t, "the program is ready", func() bool {
		if p.ended() {
			p.t.Fatalf("the program ended with %d", p.code)
		}
		address := p.address()
		if address == "" {
			return false
		}
		status, _ := get(p.t, address, "/readyz")
		return status == 200
	})
}

// secondSignal is how soon a second signal ends the program, on a busy
// machine.
const secondSignal = 4 * time.Second

// within tells whether the process ends in time.
func (p *process) within(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}
