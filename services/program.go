//go:build services

package services

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// ProgramOptions says what the program runs with.
type ProgramOptions struct {
	Configuration string            // config.yaml; its server.address has to be Address
	Address       string            // host and port of its server
	Files         map[string][]byte // beside config.yaml, by name; folders are made
	Env           []string          // KEY=value, beyond PATH and HOME
}

// Program is the session-export program under test, built from this module.
type Program struct {
	o       ProgramOptions
	dir     string
	process *Process // of the latest start; nil before the first
}

// buildProgram builds the program once for all tests of a package.
var buildProgram = sync.OnceValues(func() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir, err := WorkFolder()
	if err != nil {
		return "", err
	}
	AtEnd(func() error { return os.RemoveAll(dir) })
	binary := filepath.Join(dir, "session-export")
	build := exec.Command("go", "build", "-o", binary, "./cmd/session-export")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, output)
	}
	return binary, nil
})

// InstallProgram puts the program's configuration and files into a folder of its own. When the test ends, so does the
// program, in good order, and the folder goes.
func InstallProgram(tb testing.TB, o ProgramOptions) *Program {
	tb.Helper()
	dir, err := WorkFolder()
	if err != nil {
		tb.Fatal(err)
	}
	p := &Program{o: o, dir: dir}
	tb.Cleanup(func() {
		if p.process != nil {
			if tb.Failed() {
				tb.Logf("session-export printed last:\n%s", p.process.Output())
			}
			if err := p.process.Terminate(Patience); err != nil {
				tb.Error(err)
			}
		}
		if err := os.RemoveAll(p.dir); err != nil {
			tb.Error(err)
		}
	})
	if err := p.write(); err != nil {
		tb.Fatal(err)
	}
	return p
}

func (p *Program) write() error {
	files := map[string][]byte{"config.yaml": []byte(p.o.Configuration)}
	for name, content := range p.o.Files {
		files[name] = content
	}
	if err := os.Mkdir(filepath.Join(p.dir, "secrets"), 0o755); err != nil {
		return err
	}
	for name, content := range files {
		name = filepath.Join(p.dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	return GiveAway(p.dir)
}

// Dir is the folder in which the program runs.
func (p *Program) Dir() string { return p.dir }

// Address is where its server listens.
func (p *Program) Address() string { return p.o.Address }

// Process is the program's latest process.
func (p *Program) Process() *Process { return p.process }

// Launch starts the program and does not wait for anything.
func (p *Program) Launch(tb testing.TB) {
	tb.Helper()
	binary, err := buildProgram()
	if err != nil {
		tb.Fatal(err)
	}
	p.process, err = Launch(Command{
		Name: "session-export", Dir: p.dir, Env: p.o.Env, Args: []string{binary, "serve", "--config", "config.yaml"},
	}, "")
	if err != nil {
		tb.Fatal(err)
	}
}

// Start starts the program and waits until it says that it is ready.
func (p *Program) Start(tb testing.TB) {
	tb.Helper()
	p.Launch(tb)
	Eventually(tb, "the program is ready", func() bool {
		status, _, err := p.Get(Context(tb), "/readyz")
		return err == nil && status == http.StatusOK
	})
}

// Run runs another of the program's commands to its end, in its folder, and returns what it printed.
func (p *Program) Run(ctx context.Context, args ...string) (string, error) {
	binary, err := buildProgram()
	if err != nil {
		return "", err
	}
	return RunTool(ctx, Command{Name: "session-export", Dir: p.dir, Env: p.o.Env, Args: append([]string{binary}, args...)})
}

// Get asks the program's server. The error of a program that has ended says how it ended.
func (p *Program) Get(ctx context.Context, path string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.o.Address+path, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		select {
		case <-p.process.Exited():
			err = errors.Join(err, fmt.Errorf("the program ended: %w\n%s", p.process.Err(), p.process.Output()))
		default:
		}
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

// Kill ends the program at once.
func (p *Program) Kill(tb testing.TB) {
	tb.Helper()
	if err := p.process.Kill(); err != nil {
		tb.Fatal(err)
	}
}

// ShutDown ends the program in good order.
func (p *Program) ShutDown(tb testing.TB) {
	tb.Helper()
	if err := p.process.Terminate(Patience); err != nil {
		tb.Fatal(err)
	}
	if err := p.process.Err(); err != nil {
		tb.Errorf("after a shutdown: %v\n%s", err, p.process.Output())
	}
}
