package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sessionexport/app"
	"sessionexport/demo"
	"sessionexport/settings"
)

const configuration = `version: 1
kafka: {brokers: [%q]}
server: {address: "127.0.0.1:0"}
environments:
  - id: default
    topic: sessions
    exports:
      - id: sample
        endpointDefinition: {endpointUrl: %q, enableUserSessionExport: true, contentType: application/json, usePost: true}
        authentication: {active: true, authType: basic, basicAuth: {username: exporter, passwordFile: password}}
        sendDirect: {active: false}
        exportBehavior:
          disableNotification: false
          customConfiguration: |
            startFrom=earliest
            caFile=ca.pem
            compression=gzip
            signingSecretFile=signing
            idleTimeout=100ms
            initialBackoff=100ms
            maxRetries=10
            maxBackoff=200ms
            maxSessions=50
`

// flaky fails some requests before the receiver sees them, and some after it
// has stored what they brought.
type flaky struct {
	http.Handler
	mu sync.Mutex
	n  int
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.n++
	n := f.n
	f.mu.Unlock()
	switch n % 5 {
	case 1:
		http.Error(w, "not now", http.StatusServiceUnavailable)
	case 2:
		f.Handler.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // stored, but the answer is lost
	default:
		f.Handler.ServeHTTP(w, r)
	}
}

// TestReceiverBehindThePipeline lets the real service send to the sample: every
// session has to be stored once, to the byte, whatever fails on the way.
func TestReceiverBehindThePipeline(t *testing.T) {
	const sessions = 300
	r, name := newReceiver(t)
	r.store.generation = sessions
	r.now, r.signingKey, r.limit = time.Now, testKey, maxBody
	server := httptest.NewUnstartedServer(&flaky{Handler: r})
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	broker, err := demo.StartBroker(demo.BrokerOptions{Topic: "sessions", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = broker.Close() }()
	if n, err := demo.Produce(t.Context(), demo.ProduceOptions{Brokers: []string{broker.Addr()}, Topic: "sessions", Seed: 3, Count: sessions}); err != nil || n != sessions {
		t.Fatalf("produced %d: %v", n, err)
	}

	dir := t.TempDir()
	for file, text := range map[string]string{
		"ca.pem":           string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
		"secrets/password": r.password,
		"secrets/signing":  "whsec_" + base64.StdEncoding.EncodeToString(testKey),
	} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := settings.Parse(fmt.Appendf(nil, configuration, broker.Addr(), server.URL+"/export/events"), "config.yaml", dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer // of the service alone; read after its end
	service, err := app.NewService(app.ServiceOptions{File: file, Logger: app.Logger(&log, file.Log)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx, ctx) }()

	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-tick.C:
			waiting = delivered(service) < sessions
		case <-deadline.C:
			t.Error("not everything was delivered in a minute")
			waiting = false
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	got := map[string]int{}
	for line := range strings.Lines(content(t, name)) {
		got[strings.TrimSuffix(line, "\n")]++
	}
	generator := demo.NewGenerator(3)
	for i := range sessions {
		if n := got[string(generator.Append(nil, i))]; n != 1 {
			t.Errorf("session %d is stored %d times", i, n)
		}
	}
	if len(got) != sessions {
		t.Errorf("%d different lines, want %d", len(got), sessions)
	}
	if t.Failed() {
		t.Logf("the service logged:\n%s", log.String())
	}
}

func delivered(s *app.Service) int {
	n := 0
	for _, sink := range s.Manager().Status() {
		n += int(sink.Total.Delivered)
	}
	return n
}
