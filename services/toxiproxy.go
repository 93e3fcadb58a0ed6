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
	"path/filepath"
	"strconv"
	"testing"
)

// Toxiproxy forwards connections and spoils them on demand.
type Toxiproxy struct {
	dir     string
	address string
	process *Process
}

// Link is one way through a Toxiproxy.
type Link struct {
	Address string // where it listens

	proxy *Toxiproxy
	name  string
}

// Toxic is what spoils the connections of a link, those that are open as well as new ones.
type Toxic struct {
	Type       string         `json:"type"`       // latency, bandwidth, reset_peer, timeout, slow_close, limit_data
	Stream     string         `json:"stream"`     // upstream: from the client; downstream: to it
	Attributes map[string]int `json:"attributes"` // times in milliseconds, rates in kilobytes a second
	Name       string         `json:"name"`       // set by Spoil
}

// StartToxiproxy starts a proxy that ends with the test.
func StartToxiproxy(tb testing.TB) *Toxiproxy {
	tb.Helper()
	x, err := openToxiproxy()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("toxiproxy printed last:\n%s", x.process.Output())
		}
		if err := x.close(); err != nil {
			tb.Error(err)
		}
	})
	return x
}

func openToxiproxy() (x *Toxiproxy, err error) {
	home, err := Installed("toxiproxy", "")
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
	x = &Toxiproxy{dir: dir, address: Loopback(ports[0])}
	defer func() {
		if err != nil {
			err = errors.Join(err, x.close())
		}
	}()
	x.process, err = Launch(Command{
		Name: "toxiproxy", Dir: dir, Env: []string{"LOG_LEVEL=info"},
		Args: []string{filepath.Join(home, "server"), "-host", "127.0.0.1", "-port", strconv.Itoa(ports[0])},
	}, "Starting HTTP server")
	if err != nil {
		return x, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), webServerTimeout)
	defer cancel()
	if err := x.process.Ready(ctx); err != nil {
		return x, err
	}
	for { // it says so just before it listens
		if err := x.do(ctx, http.MethodGet, "/version", nil); err == nil || ctx.Err() != nil {
			return x, err
		}
	}
}

func (x *Toxiproxy) close() error {
	var err error
	if x.process != nil {
		err = x.process.Terminate(webServerTimeout)
	}
	return errors.Join(err, os.RemoveAll(x.dir))
}

// Link opens a way to an upstream address. The address where it listens may be given; "" takes a free one.
func (x *Toxiproxy) Link(tb testing.TB, name, address, upstream string) *Link {
	tb.Helper()
	if address == "" {
		ports, err := FreePorts(1)
		if err != nil {
			tb.Fatal(err)
		}
		address = Loopback(ports[0])
	}
	link := &Link{Address: address, proxy: x, name: name}
	settings := map[string]any{"name": name, "listen": address, "upstream": upstream, "enabled": true}
	if err := x.do(Context(tb), http.MethodPost, "/proxies", settings); err != nil {
		tb.Fatal(err)
	}
	return link
}

// Spoil adds toxics to a link.
func (l *Link) Spoil(tb testing.TB, toxics ...Toxic) {
	tb.Helper()
	for _, toxic := range toxics {
		toxic.Name = toxic.Type + "_" + toxic.Stream
		if err := l.proxy.do(Context(tb), http.MethodPost, "/proxies/"+l.name+"/toxics", toxic); err != nil {
			tb.Fatal(err)
		}
	}
}

// Cure takes toxics off a link.
func (l *Link) Cure(tb testing.TB, toxics ...Toxic) {
	tb.Helper()
	for _, toxic := range toxics {
		if err := l.proxy.do(Context(tb), http.MethodDelete, "/proxies/"+l.name+"/toxics/"+toxic.Type+"_"+toxic.Stream, nil); err != nil {
			tb.Fatal(err)
		}
	}
}

// Cut ends all connections of a link and refuses new ones.
func (l *Link) Cut(tb testing.TB) { l.enable(tb, false) }

// Mend accepts connections again.
func (l *Link) Mend(tb testing.TB) { l.enable(tb, true) }

func (l *Link) enable(tb testing.TB, enabled bool) {
	tb.Helper()
	if err := l.proxy.do(Context(tb), http.MethodPost, "/proxies/"+l.name, map[string]any{"enabled": enabled}); err != nil {
		tb.Fatal(err)
	}
}

func (x *Toxiproxy) do(ctx context.Context, method, path string, body any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+x.address+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("reading the answer to %s: %w", path, err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return nil
}
