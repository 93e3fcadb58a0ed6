package app

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"sessionexport/deadletter"
	"sessionexport/sinks/sinktest"
)

var update = flag.Bool("update", false, "rewrite golden files")

// The secrets of every configuration of these tests: they show nowhere.
const (
	password = "correct-horse-battery"
	header   = "header-value-of-the-team"
	query    = "query-token-9000"
)

// letterStage is a broker with dead letters, receivers, and a configuration.
type letterStage struct {
	t       *testing.T
	dir     string
	cluster *kfake.Cluster
	letters *deadletter.Topic
	lines   *sinktest.Receiver // of the sink lines
	bulk    *sinktest.Receiver // of the sink bulk
	out     bytes.Buffer
	notes   bytes.Buffer
}

func newLetterStage(t *testing.T, custom string) *letterStage {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	authority := sinktest.NewAuthority(t)
	s := &letterStage{
		t: t, dir: t.TempDir(), cluster: cluster,
		lines: sinktest.New(t, sinktest.Options{Authority: authority}),
		bulk:  sinktest.New(t, sinktest.Options{Authority: authority}),
	}
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	s.letters = deadletter.Open(deadletter.Options{
		Client: &kafka.Client{Addr: kafka.TCP(cluster.ListenAddrs()...), Transport: transport}, Topic: "letters",
		Logger: slog.New(slog.DiscardHandler),
	})
	s.file("secrets/password", password)
	s.file("secrets/team", header)
	s.file("ca.pem", string(authority.PEM()))
	custom = "caFile=ca.pem\nmaxRetries=0\ninitialBackoff=100ms\nmaxBackoff=100ms\nheader.X-Team=@team\n" + custom
	s.file("config.yaml", fmt.Sprintf(`version: 1
secretsDir: secrets
kafka: {brokers: [%q]}
deadLetters: {topic: letters}
log: {level: warn, format: text}
environments:
  - id: default
    topic: sessions
    managementZones: [{id: "7", name: Shop, applications: ["shop*"]}]
    exports:
      - id: lines
        endpointDefinition: {endpointUrl: %q, enableUserSessionExport: true, contentType: application/json, usePost: true}
        authentication: {active: true, authType: basic, basicAuth: {username: exporter, passwordFile: password}}
        sendDirect: {active: false}
        exportBehavior: {managementZone: "7", disableNotification: false, customConfiguration: %q}
      - id: bulk
        endpointDefinition: {endpointUrl: %q, enableUserSessionExport: true, contentType: application/x-ndjson, usePost: true}
        authentication: {active: false}
        sendDirect: {active: true, indexName: sessions}
        exportBehavior: {disableNotification: false, customConfiguration: %q}
      - id: off
        endpointDefinition: {endpointUrl: %q, enableUserSessionExport: false, contentType: application/json, usePost: true}
        authentication: {active: false}
        sendDirect: {active: false}
        exportBehavior: {disableNotification: false, customConfiguration: "caFile=ca.pem"}
`, strings.Join(cluster.ListenAddrs(), ","), s.lines.URL("/in?token="+query), custom, s.bulk.URL("/_bulk"), custom, s.lines.URL("/off")))
	return s
}

func (s *letterStage) file(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *letterStage) config() string { return filepath.Join(s.dir, "config.yaml") }

// letter is the letter of a session, always the same.
func letter(sink string, i int) deadletter.Letter {
	at := time.Date(2026, 3, 1, 12, 0, i, 0, time.UTC)
	l := deadletter.Letter{
		Environment: "default", Sink: sink, Kind: "rejected", Reason: "status", Status: 400, Error: "400 Bad Request: no such field",
		Attempts: 3, First: at.Add(-time.Minute), Last: at, Format: "json",
		Source: deadletter.Source{Topic: "sessions", Partition: int32(i % 4), Offset: int64(i), Timestamp: at.Add(-time.Hour)},
		Body: fmt.Appendf(nil, `{"tenantId":"acme","userSessionId":"s%d","startTime":%d,"userActions":[{"application":"shop"}]}`,
			i, 1_700_000_000_000+i),
	}
	l.BodySize = len(l.Body)
	return l
}

// letters are letters 0..n-1, of the sinks in turn.
func letters(n int, sinks ...string) []deadletter.Letter {
	all := make([]deadletter.Letter, n)
	for i := range all {
		all[i] = letter(sinks[i%len(sinks)], i)
	}
	return all
}

func (s *letterStage) write(all ...deadletter.Letter) {
	s.t.Helper()
	if err := s.letters.Write(s.t.Context(), all); err != nil {
		s.t.Fatal(err)
	}
}

// run runs a command with its output in s.out and s.notes. No secret may show
// in them.
func (s *letterStage) run(do func(context.Context, DeadLetterOptions) error, o DeadLetterOptions) error {
	s.t.Helper()
	s.out.Reset()
	s.notes.Reset()
	o.Config, o.Stdout, o.Stderr = s.config(), &s.out, &s.notes
	if o.Output == "" {
		o.Output = deadletter.Table
	}
	err := do(s.t.Context(), o)
	for _, secret := range []string{password, header, query} {
		if shown := s.out.String() + s.notes.String() + fmt.Sprint(err); strings.Contains(shown, secret) {
			s.t.Errorf("a secret shows:\n%s", shown)
		}
	}
	return err
}

// keys are the keys of the letters that are there.
func (s *letterStage) keys() []string {
	s.t.Helper()
	return slices.Sorted(maps.Keys(s.living()))
}

func (s *letterStage) living() map[string]deadletter.Letter {
	s.t.Helper()
	d, err := openDesk(DeadLetterOptions{Config: s.config(), Stdout: &s.out, Stderr: &s.notes})
	if err != nil {
		s.t.Fatal(err)
	}
	defer d.close()
	all := map[string]deadletter.Letter{}
	err = d.each(s.t.Context(), func(l *deadletter.Letter) error {
		all[l.ID().String()] = *l
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// golden compares a text with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "deadletters", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not as it was:\n%s\nwant:\n%s", name, got, want)
	}
}
