//go:build services

package services

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestServe runs the program itself between a real Kafka and a real Elasticsearch, kills it under load, and shuts it down
// under load. Each session arrives at both of its sinks, and what is no session among the dead letters.
func TestServe(t *testing.T) {
	const partitions = 4
	k := sharedKafka(t)
	e := StartElasticsearch(t)
	admin := kadm.NewClient(franz(t, k))
	topic := newTopic(t, k, partitions, nil)
	authority, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	hook := &webhook{sessions: map[string]int{}}
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{address: loopback(ports[0])}
	s.install(t, fmt.Sprintf(configuration, k.Brokers()[0], topic, secure(t, authority, hook), secure(t, authority, e.proxy()), s.address),
		map[string][]byte{"ca.pem": authority.PEM})

	s.start(t)
	bad := franz(t, k, kgo.DefaultProduceTopic(topic))
	if err := bad.ProduceSync(testContext(t), kgo.StringRecord("no session"), kgo.StringRecord(`["no object"]`)).FirstErr(); err != nil {
		t.Fatal(err)
	}
	l := startLoad(t, k, topic, partitions, 400)
	more := func(what string) {
		t.Helper()
		target := hook.count() + 800
		eventually(t, "sessions arrive "+what, func() bool { return hook.count() >= target })
	}
	more("after the start")
	if err := s.process.kill(); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	more("after the kill")
	s.shutDown(t)
	s.start(t)
	more("after the shutdown")
	l.stop()
	for _, group := range []string{"session-export.lines", "session-export.search"} {
		eventually(t, group+" has nothing left to do", func() bool { return finished(t, admin, topic, group) })
	}
	s.shutDown(t)

	produced := l.written()
	t.Logf("%d sessions produced, %d received", len(produced), hook.received)
	for at, value := range produced {
		if id := sessionID(t, value); hook.sessions[id] == 0 {
			t.Errorf("session %s of %v did not arrive", id, at)
		}
	}
	if n := len(hook.sessions); n != len(produced) {
		t.Errorf("%d different sessions at the webhook, want %d", n, len(produced))
	}
	if n := e.count(t, "sessions"); n != len(produced) {
		t.Errorf("%d documents in Elasticsearch, want %d", n, len(produced))
	}
	letters := map[string]string{} // by key: one that was written twice around the kill counts once
	for _, r := range readTopic(t, k, admin, "session-export.dead-letters") {
		letters[string(r.Key)] = string(r.Value)
	}
	if n := len(letters); n != 4 {
		t.Errorf("%d dead letters, want one of each sink for each of two records", n)
	}
	for key, value := range letters {
		if value != "no session" && value != `["no object"]` {
			t.Errorf("dead letter %s: %q", key, value)
		}
	}
}

const configuration = `version: 1
secretsDir: secrets
kafka:
  brokers: ["%s"]
environments:
  - id: default
    topic: %s
    exports:
      - id: lines
        name: Lines
        endpointDefinition: {endpointUrl: "%s/sessions", enableUserSessionExport: true, contentType: application/json, usePost: true}
        authentication: {active: false}
        sendDirect: {active: false}
        exportBehavior:
          disableNotification: false
          customConfiguration: |
            caFile=ca.pem
            startFrom=earliest
            maxSessions=100
            idleTimeout=1s
      - id: search
        name: Search
        endpointDefinition: {endpointUrl: "%s/_bulk", enableUserSessionExport: true, contentType: application/x-ndjson, usePost: true}
        authentication: {active: false}
        sendDirect: {active: true, indexName: sessions}
        exportBehavior:
          disableNotification: false
          customConfiguration: |
            caFile=ca.pem
            startFrom=earliest
            maxSessions=100
            idleTimeout=1s
            compression=gzip
server: {address: "%s"}
log: {level: info, format: text}
`

// service is the program under test.
type service struct {
	dir     string
	address string
	process *process
}

// install builds the program and puts it into a folder with its configuration.
func (s *service) install(t *testing.T, configuration string, files map[string][]byte) {
	t.Helper()
	var err error
	if s.dir, err = workFolder(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.process != nil {
			if t.Failed() {
				t.Logf("session-export printed last:\n%s", s.process.journal)
			}
			if err := s.process.terminate(patience); err != nil {
				t.Error(err)
			}
		}
		if err := os.RemoveAll(s.dir); err != nil {
			t.Error(err)
		}
	})
	build := exec.CommandContext(testContext(t), "go", "build", "-o", s.binary(), "../cmd/session-export")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, output)
	}
	files["config.yaml"] = []byte(configuration)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(s.dir, "secrets"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := giveAway(s.dir); err != nil {
		t.Fatal(err)
	}
}

func (s *service) binary() string { return filepath.Join(s.dir, "session-export") }

// start starts the program and waits until it says that it is ready.
func (s *service) start(t *testing.T) {
	t.Helper()
	var err error
	s.process, err = launch(command{name: "session-export", dir: s.dir, args: []string{s.binary(), "serve", "--config", "config.yaml"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the program is ready", func() bool {
		select {
		case <-s.process.exited:
			t.Fatalf("the program ended: %v\n%s", s.process.err, s.process.journal)
		default:
		}
		request, err := http.NewRequestWithContext(testContext(t), http.MethodGet, "http://"+s.address+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false // it does not listen yet
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// shutDown ends the program in good order.
func (s *service) shutDown(t *testing.T) {
	t.Helper()
	if err := s.process.terminate(patience); err != nil {
		t.Fatal(err)
	}
	if s.process.err != nil {
		t.Errorf("after a shutdown: %v\n%s", s.process.err, s.process.journal)
	}
}

// webhook receives JSON lines.
type webhook struct {
	mu       sync.Mutex
	received int
	sessions map[string]int
}

// ServeHTTP implements http.Handler.
func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var session struct{ UserSessionID string }
		if err := json.Unmarshal(lines.Bytes(), &session); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		h.received++
		h.sessions[session.UserSessionID]++
	}
}

func (h *webhook) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.received
}

func sessionID(t *testing.T, value string) string {
	t.Helper()
	var session struct{ UserSessionID string }
	if err := json.Unmarshal([]byte(value), &session); err != nil {
		t.Fatal(err)
	}
	return session.UserSessionID
}

// proxy forwards to the node, for whoever wants TLS in front of it.
func (e *Elasticsearch) proxy() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: e.address}) },
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // the killed client's requests
	}
}

// secure serves a handler over TLS and returns its URL.
func secure(t *testing.T, authority *Authority, handler http.Handler) string {
	t.Helper()
	certificate, _, err := authority.Issue("receiver")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return strings.TrimSuffix(server.URL, "/")
}

// readTopic reads a topic from its beginning to its present end.
func readTopic(t *testing.T, k *Kafka, admin *kadm.Client, topic string) []*kgo.Record {
	t.Helper()
	ctx := testContext(t)
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	client := franz(t, k, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var records []*kgo.Record
	for int64(len(records)) < left {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}
