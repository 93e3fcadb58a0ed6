package e2e

import (
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// TestBadConfiguration starts nothing, and hears of every mistake at once.
func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	const bad = `version: 1
kafka: {brokers: []}
server: {address: "127.0.0.1:0"}
log: {level: loud}
environments:
  - id: default
    topic: sessions
    exports:
      - id: Not An Id
        endpointDefinition: {endpointUrl: "http://example.com", enableUserSessionExport: true, contentType: text/plain, usePost: true}
        authentication: {active: true, authType: basic, basicAuth: {username: exporter, password: "hunter two"}}
        sendDirect: {active: false}
        exportBehavior: {disableNotification: false, customConfiguration: "maxSessions=0\nidelTimeout=1s"}
        colour: blue
`
	want := []string{"kafka.brokers", "log.level", ".id", "endpointUrl", "contentType", "maxSessions", "idleTimeout", "colour"}
	tests := map[string]struct {
		args []string
		want []string
	}{
		"serve":              {[]string{"serve", "--config", "config.yaml"}, want},
		"config check":       {[]string{"config", "check", "config.yaml"}, want},
		"no YAML":            {[]string{"config", "check", "broken.yaml"}, []string{"broken.yaml"}},
		"unknown flag":       {[]string{"serve", "--confg", "config.yaml"}, []string{"confg"}},
		"unknown command":    {[]string{"sreve"}, []string{"sreve"}},
		"too many arguments": {[]string{"config", "check", "a", "b"}, []string{"2"}},
		"nothing to check":   {[]string{"config", "check"}, []string{"0"}},
		"demo with both":     {[]string{"demo", "--max", "--rate", "7"}, []string{"--max", "--rate"}},
		"generate nowhere":   {[]string{"generate", "--topic", "sessions"}, []string{"--brokers"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newOffline(t)
			s.file("config.yaml", bad)
			s.file("broken.yaml", "version: [1\n")
			p := launch(t, s.dir, test.args...)
			if code := p.wait(); code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			said := p.journal.String()
			for _, part := range test.want {
				if !strings.Contains(said, part) {
					t.Errorf("nothing is said of %q", part)
				}
			}
			if strings.Contains(said, "hunter two") {
				t.Error("a password is shown")
			}
			if p.address() != "" {
				t.Error("something was started")
			}
		})
	}
}

// TestGoodConfiguration is checked with success, and what cannot be read is
// named.
func TestGoodConfiguration(t *testing.T) {
	t.Parallel()
	s := newOffline(t)
	s.file("secrets/unused", "")
	s.file("config.yaml", string(s.config("", sink{id: "lines", url: "https://127.0.0.1:1/"})))
	p := launch(t, s.dir, "config", "check", "config.yaml")
	if code := p.wait(); code != 0 || !strings.Contains(p.stdout.String(), "lines") {
		t.Errorf("exit code %d, output %q", code, p.stdout.String())
	}
	p = launch(t, s.dir, "serve", "--config", "nowhere.yaml")
	if code := p.wait(); code == 0 || !strings.Contains(p.journal.String(), "nowhere.yaml") {
		t.Errorf("without its file the program ends with %d and says %q", code, p.journal.String())
	}
}

// TestKafkaComesLater starts the service before Kafka, and Kafka before its
// topic. Each lack is named in one line, and everything flows in the end.
func TestKafkaComesLater(t *testing.T) {
	t.Parallel()
	s := newOffline(t)
	port := freePort(t)
	r := s.receiver()
	v := s.serve(s.config(fmt.Sprintf("kafka: {brokers: [\"127.0.0.1:%d\"]}\n", port), sink{id: "lines", url: r.URL("/").String()}))
	said := func(part string) func() bool {
		return func() bool {
			status, body := v.get("/readyz")
			return status == 503 && strings.Contains(body, "lines") && strings.Contains(body, part)
		}
	}
	until(t, "/readyz names the broker", said(fmt.Sprintf("127.0.0.1:%d", port)))
	if status, _ := v.get("/healthz"); status != 200 {
		t.Errorf("/healthz answers %d without Kafka", status)
	}
	before := v.scrape().sum("kafka_member_state", "sink", "lines", "state", "connecting")
	if before != 1 {
		t.Error("the metrics do not say that the member is connecting")
	}
	troubles := v.journal.lines(slog.LevelWarn)
	if len(troubles) != 1 || !strings.Contains(troubles[0].Error, fmt.Sprintf("127.0.0.1:%d", port)) {
		t.Errorf("without Kafka the log says %+v, want one line that names the broker", troubles)
	}

	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	s.connect(cluster)
	until(t, "/readyz names the topic", said(`"`+topic+`"`))
	if st := statusOf(t, v, "lines"); st.Kafka.State != "topic missing" || st.Kafka.Lag != nil {
		t.Errorf("/status says %+v without a topic", st.Kafka)
	}
	if err := cluster.CreateTopic(topic, 2, nil); err != nil {
		t.Fatal(err)
	}
	produced := small(0, 50)
	s.produce(produced)
	until(t, "everything has arrived", func() bool { return len(r.Accepted()) == len(produced) })
	until(t, "it is ready", func() bool { status, _ := v.get("/readyz"); return status == 200 })
	v.stop()
	account(t, "lines", produced, r, nil)
	if lag := s.lag("lines"); lag != 0 {
		t.Errorf("%d records are not committed", lag)
	}
	if n := len(v.journal.lines(slog.LevelWarn)); n > 3 {
		t.Errorf("%d lines about two lacks: %+v", n, v.journal.lines(slog.LevelWarn))
	}
}

// TestSignalsWithoutKafka ends the program while Kafka is away.
func TestSignalsWithoutKafka(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	r := s.receiver()
	p := s.serveProcess(s.config("", sink{id: "lines", url: r.URL("/").String()}))
	p.ready()
	s.produce(small(0, 10))
	until(t, "the sessions have arrived", func() bool { return len(r.Accepted()) == 10 })
	s.cluster.Close()
	p.signal(syscall.SIGTERM)
	until(t, "the program is stopping", func() bool { return len(p.journal.with("stopping")) == 1 })
	p.signal(syscall.SIGTERM)
	if quick := p.within(secondSignal); !quick {
		t.Error("a second signal does not end the program while Kafka is away")
	}
}
