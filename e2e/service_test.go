package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sessionexport/app"
	"sessionexport/settings"
)

// service is one that runs in this process.
type service struct {
	t       *testing.T
	app     *app.Service
	journal *journal
	soft    context.CancelFunc
	hard    context.CancelFunc
	ended   chan error
}

// serve starts the service on a configuration. It is stopped with the test.
func (s *stage) serve(config []byte) *service {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Join(s.dir, "secrets"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	file, err := settings.Parse(config, "config.yaml", s.dir, nil)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, config)
	}
	v := &service{t: s.t, journal: &journal{}, ended: make(chan error, 1)}
	v.app, err = app.NewService(app.ServiceOptions{File: file, Logger: app.Logger(v.journal, file.Log)})
	if err != nil {
		s.t.Fatal(err)
	}
	soft, cancelSoft := context.WithCancel(context.Background())
	hard, cancelHard := context.WithCancel(context.Background())
	v.soft, v.hard = cancelSoft, cancelHard
	go func() { v.ended <- v.app.Run(soft, hard) }()
	s.t.Cleanup(func() {
		_, before := v.get("/status")
		cancelSoft()
		cancelHard()
		_ = v.wait() // what it returned was looked at by whoever stopped it
		if s.t.Failed() {
			s.t.Logf("the service logged:\n%s\nits state was:\n%s", v.journal.tail(), before)
		}
	})
	return v
}

// stop ends the service gracefully.
func (v *service) stop() {
	v.t.Helper()
	v.soft()
	if err := v.wait(); err != nil {
		v.t.Errorf("stopping: %v", err)
	}
}

func (v *service) wait() error {
	v.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-v.ended:
		v.ended <- err // for whoever asks again
		return err
	case <-timer.C:
		v.t.Error("the service does not end")
		return nil
	}
}

// get asks the operating surface.
func (v *service) get(path string) (status int, body string) {
	v.t.Helper()
	return get(v.t, v.app.Address(), path)
}

// get asks an operating surface; status 0 when it does not answer.
func get(t *testing.T, address, path string) (status int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, ""
	}
	return res.StatusCode, string(text)
}

// journal is a log in memory.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// tail is the end of a long log.
func (j *journal) tail() string {
	s := j.String()
	const most = 16 << 10
	if len(s) > most {
		s = s[len(s)-most:]
	}
	return s
}

// line is a line of the log.
type line struct {
	Level  string `json:"level"`
	Msg    string `json:"msg"`
	Sink   string `json:"sink"`
	Error  string `json:"error"`
	Reason string `json:"reason"`
}

// lines returns the lines from a level on.
func (j *journal) lines(least slog.Level) []line {
	var out []line
	for text := range strings.Lines(j.String()) {
		var l line
		var level slog.Level
		if json.Unmarshal([]byte(text), &l) == nil && level.UnmarshalText([]byte(l.Level)) == nil && level >= least {
			out = append(out, l)
		}
	}
	return out
}

// with counts the lines with a message that starts so.
func (j *journal) with(message string) []line {
	var out []line
	for _, l := range j.lines(slog.LevelDebug) {
		if strings.HasPrefix(l.Msg, message) {
			out = append(out, l)
		}
	}
	return out
}
