//go:build services

package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TinyproxyOptions says whom the proxy serves.
type TinyproxyOptions struct {
	Username, Password string // both empty: everybody
}

// Tinyproxy is a proxy that opens tunnels by CONNECT.
type Tinyproxy struct {
	Address string

	dir     string
	binary  string
	process *Process // nil while it does not run
}

// StartTinyproxy starts a proxy that ends with the test.
func StartTinyproxy(tb testing.TB, o TinyproxyOptions) *Tinyproxy {
	tb.Helper()
	p, err := openTinyproxy(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() && p.process != nil {
			tb.Logf("tinyproxy printed last:\n%s", p.process.Output())
		}
		if err := errors.Join(p.Stop(), os.RemoveAll(p.dir)); err != nil {
			tb.Error(err)
		}
	})
	return p
}

func openTinyproxy(o TinyproxyOptions) (p *Tinyproxy, err error) {
	binary, err := server("tinyproxy")
	if err != nil {
		return nil, err
	}
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	dir, err := WorkFolder()
	if err != nil {
		return nil, err
	}
	p = &Tinyproxy{Address: Loopback(ports[0]), dir: dir, binary: binary}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Stop(), os.RemoveAll(dir))
		}
	}()
	// Without ConnectPort it opens tunnels to any port.
	configuration := fmt.Sprintf("Port %d\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 600\nMaxClients 100\nLogLevel Info\n", ports[0])
	if o.Username != "" {
		configuration += fmt.Sprintf("BasicAuth %s %s\n", o.Username, o.Password)
	}
	if err := writeFiles(dir, map[string][]byte{"tinyproxy.conf": []byte(configuration)}); err != nil {
		return p, fmt.Errorf("configuring tinyproxy: %w", err)
	}
	return p, p.Start()
}

// Start starts a proxy that does not run and waits until it is ready.
func (p *Tinyproxy) Start() error {
	process, err := Launch(Command{
		Name: "tinyproxy", Dir: p.dir, Args: []string{p.binary, "-d", "-c", filepath.Join(p.dir, "tinyproxy.conf")},
	}, "Accepting connections")
	if err != nil {
		return err
	}
	p.process = process
	ctx, cancel := context.WithTimeout(context.Background(), webServerTimeout)
	defer cancel()
	return process.Ready(ctx)
}

// Stop ends a proxy that may run.
func (p *Tinyproxy) Stop() error {
	process := p.process
	if process == nil {
		return nil
	}
	p.process = nil
	return process.Terminate(webServerTimeout)
}

// Output returns the last lines that the proxy logged.
func (p *Tinyproxy) Output() string {
	return p.process.Output()
}
