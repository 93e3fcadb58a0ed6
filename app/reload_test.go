package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sessionexport/settings"
)

// minimal is a configuration without sinks.
const minimal = "version: 1\nkafka: {brokers: [\"127.0.0.1:1\"]}\nenvironments: [{id: default, topic: sessions, exports: []}]\n"

// seen is a reloader whose reloads are noted.
type seen struct {
	*reloader
	path   string
	levels []string
	errs   []error
}

func newSeen(t *testing.T, content string) *seen {
	t.Helper()
	s := &seen{path: filepath.Join(t.TempDir(), "config.yaml")}
	s.write(t, content)
	_, sources, err := settings.Read(s.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.reloader = &reloader{
		path: s.path, sources: sources, log: slog.New(slog.DiscardHandler),
		reload: func(f *settings.File) error { s.levels = append(s.levels, f.Log.Level); return nil },
		failed: func(err error) { s.errs = append(s.errs, err) },
	}
	return s
}

func (s *seen) write(t *testing.T, content string) {
	t.Helper()
	if err := os.WriteFile(s.path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReloaderLooks steps through looks at a file: a change is read once two
// looks found the same, and a file with mistakes is read once.
func TestReloaderLooks(t *testing.T) {
	s := newSeen(t, minimal)
	debug := minimal + "log: {level: debug}\n"
	look := func(what string, want bool) {
		t.Helper()
		got := s.changed()
		if got != want {
			t.Errorf("%s: a look says %v", what, got)
		}
		if got {
			s.load()
		}
	}
	look("nothing changed", false)
	s.write(t, debug)
	look("seen once", false)
	s.write(t, debug+"# and more\n")
	look("still being written", false)
	look("settled", true)
	look("read", false)
	s.write(t, "version: one\n")
	look("mistakes, seen once", false)
	look("mistakes, settled", true)
	look("mistakes, read", false)
	look("mistakes, still there", false)
	s.write(t, minimal)
	look("back, seen once", false)
	look("back, settled", true)
	look("back, read", false)
	if got := strings.Join(s.levels, " "); got != "debug info" || len(s.errs) != 1 {
		t.Errorf("reloaded %q, %d failed", got, len(s.errs))
	}
}

// TestReloaderSignals: each hangup reloads until the process is stopping.
func TestReloaderSignals(t *testing.T) {
	s := newSeen(t, minimal)
	reloaded := make(chan struct{}, 10)
	s.reload = func(*settings.File) error { reloaded <- struct{}{}; return errors.New("told by whoever refuses") }
	soft, stop := context.WithCancel(t.Context())
	done, hangups, looks := make(chan struct{}), make(chan os.Signal), make(chan time.Time)
	ended := make(chan struct{})
	go func() { defer close(ended); s.run(soft, done, hangups, looks) }()
	for range 3 {
		hangups <- syscall.SIGHUP
		<-reloaded
	}
	stop()
	s.write(t, minimal+"log: {level: debug}\n")
	hangups <- syscall.SIGHUP
	looks <- time.Time{}
	looks <- time.Time{}
	looks <- time.Time{}
	close(done)
	<-ended
	if len(reloaded) != 0 {
		t.Error("reloaded while the process was stopping")
	}
}

func TestWatchable(t *testing.T) {
	s := newSeen(t, minimal)
	if err := watchable(s.path); err != nil {
		t.Error(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, filepath.Dir(pipe), pipe + "x"} {
		if err := watchable(path); err == nil {
			t.Errorf("%s can be watched", path)
		}
	}
}

// A reload that fails for its notifiers changes nothing; one that adds a
// notifier keeps the ones that were there.
func TestReloadOfAlerts(t *testing.T) {
	read := func(text string) *settings.File {
		t.Helper()
		f, err := settings.Parse([]byte(minimal+text), "config.yaml", t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	const server = "server: {address: \"127.0.0.1:0\"}\n"
	log := slog.New(slog.DiscardHandler)
	first := read(server + "alerts: {alertmanager: [\"http://127.0.0.1:1\"]}\n")
	service, err := NewService(ServiceOptions{File: first, Logger: log, Level: &slog.LevelVar{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx, context.WithoutCancel(ctx)) }()
	kept := service.alarm.told.notifiers[0]

	bad := read(server + "log: {level: debug}\nalerts: {shoutrrr: [\"nonsense://hunter2\"]}\n")
	if err := service.Reload(bad); err == nil || !strings.Contains(err.Error(), "alerts.shoutrrr[0]") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a service that does not exist: %v", err)
	}
	if service.level.Level() != slog.LevelInfo || len(service.inForce.status().Problems) != 1 || service.inForce.current() != first {
		t.Error("a reload that failed changed something")
	}
	for n, c := range []struct {
		text  string
		named string
		kept  bool
	}{
		{`alerts: {alertmanager: ["http://127.0.0.1:1", "http://127.0.0.1:2"]}`, "alertmanager-1 alertmanager-2", true},
		{`alerts: {alertmanager: ["http://127.0.0.1:1"]}`, "alertmanager-1", true},
		{`alerts: {alertmanager: ["http://127.0.0.1:1"], shoutrrr: ["generic://127.0.0.1:3/?disabletls=yes"]}`, "generic-1 alertmanager-1", true},
		{"egress: {deny: [\"10.0.0.0/8\"]}\nalerts: {alertmanager: [\"http://127.0.0.1:1\"]}", "alertmanager-1", false},
	} {
		if err := service.Reload(read(server + "log: {level: debug}\n" + c.text + "\n")); err != nil {
			t.Fatal(err)
		}
		var names []string
		found := false
		for _, one := range service.alarm.told.notifiers {
			names = append(names, one.Name())
			found = found || one == kept
		}
		if fmt.Sprint(names) != "["+c.named+"]" || found != c.kept {
			t.Errorf("reload %d: told %v, the first one kept: %v", n, names, found)
		}
	}
	if service.level.Level() != slog.LevelDebug {
		t.Error("the level is not the new one")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
