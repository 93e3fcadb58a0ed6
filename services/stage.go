//go:build services

package services

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Export is one sink of a stage. It has an environment and a topic of its own, so that sinks do not touch each other.
type Export struct {
	ID             string
	URL            string
	Authentication string   // a YAML mapping on one line; "" is none
	SendDirect     string   // likewise
	Custom         []string // lines of customConfiguration after those that every sink of a stage has; of two, the later counts
}

// StageOptions says what a stage has.
type StageOptions struct {
	Kafka      *Kafka
	Brokers    []string // where the program finds Kafka; nil: where everybody does
	Authority  *Authority
	Exports    []Export
	Secrets    map[string]string // files of the folder secrets, by name
	Files      map[string][]byte // further files
	Env        []string          // KEY=value
	Partitions int32             // of each topic; default 2
}

// Stage is the program with exports that are filled and watched one by one.
type Stage struct {
	Program *Program

	o        StageOptions
	name     string // of the test that made it
	producer *kgo.Client
	admin    *kadm.Client
}

// NewStage makes the topics and installs the program; it does not start it.
func NewStage(tb testing.TB, o StageOptions) *Stage {
	tb.Helper()
	if o.Partitions == 0 {
		o.Partitions = 2
	}
	if o.Brokers == nil {
		o.Brokers = o.Kafka.Brokers()
	}
	ports, err := FreePorts(1)
	if err != nil {
		tb.Fatal(err)
	}
	client := Franz(tb, o.Kafka, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	name := strings.NewReplacer("/", ".", "#", "-").Replace(tb.Name())
	s := &Stage{o: o, name: name, producer: client, admin: kadm.NewClient(client)}
	for _, e := range o.Exports {
		if created, err := s.admin.CreateTopic(Context(tb), o.Partitions, -1, nil, s.Topic(e.ID)); err != nil {
			tb.Fatalf("creating the topic of %s: %v (%s)", e.ID, err, created.ErrMessage)
		}
	}
	files := map[string][]byte{"ca.pem": o.Authority.PEM}
	for name, content := range o.Files {
		files[name] = content
	}
	for name, secret := range o.Secrets {
		files["secrets/"+name] = []byte(secret)
	}
	s.Program = InstallProgram(tb, ProgramOptions{
		Configuration: s.configuration(Loopback(ports[0])), Address: Loopback(ports[0]), Files: files, Env: o.Env,
	})
	return s
}

// Topic is the topic of an export.
func (s *Stage) Topic(id string) string { return s.name + "." + id }

func (s *Stage) configuration(address string) string {
	var b strings.Builder
	brokers, _ := json.Marshal(s.o.Brokers) // a list of texts
	fmt.Fprintf(&b, "version: 1\nsecretsDir: secrets\nkafka: {brokers: %s, groupPrefix: %s}\n", brokers, s.name)
	fmt.Fprintf(&b, "deadLetters: {topic: %s.dead-letters}\n", s.name)
	fmt.Fprintf(&b, "server: {address: %q}\nlog: {level: info, format: text}\nenvironments:\n", address)
	for _, e := range s.o.Exports {
		authentication, direct := e.Authentication, e.SendDirect
		if authentication == "" {
			authentication = "{active: false}"
		}
		if direct == "" {
			direct = "{active: false}"
		}
		contentType := "application/json"
		if e.SendDirect != "" {
			contentType = "application/x-ndjson"
		}
		fmt.Fprintf(&b, `  - id: %s
    topic: %s
    exports:
      - id: %s
        endpointDefinition: {endpointUrl: %q, enableUserSessionExport: true, contentType: %s, usePost: true}
        authentication: %s
        sendDirect: %s
        exportBehavior:
          disableNotification: false
          customConfiguration: |
`, e.ID, s.Topic(e.ID), e.ID, e.URL, contentType, authentication, direct)
		for _, line := range customLines(e.Custom) {
			fmt.Fprintf(&b, "            %s\n", line)
		}
	}
	return b.String()
}

// customLines puts an export's own lines over those that make a test short.
func customLines(own []string) []string {
	lines := []string{"caFile=ca.pem", "startFrom=earliest", "idleTimeout=200ms"}
	for _, line := range own {
		key, _, _ := strings.Cut(line, "=")
		lines = slices.DeleteFunc(lines, func(other string) bool { return strings.HasPrefix(other, key+"=") })
		lines = append(lines, line)
	}
	return lines
}

// Produce writes the documents from one number up to below another into an export's topic.
func (s *Stage) Produce(tb testing.TB, id string, from, below int) {
	tb.Helper()
	s.ProduceValues(tb, id, from, below, Document)
}

// ProduceValues writes values of the caller's making.
func (s *Stage) ProduceValues(tb testing.TB, id string, from, below int, value func(i int) string) {
	tb.Helper()
	var records []*kgo.Record
	for i := from; i < below; i++ {
		r := kgo.StringRecord(value(i))
		r.Topic = s.Topic(id)
		records = append(records, r)
	}
	if err := s.producer.ProduceSync(Context(tb), records...).FirstErr(); err != nil {
		tb.Fatalf("producing to %s: %v", id, err)
	}
}

// SinkStatus is what /status says of a sink.
type SinkStatus struct {
	ID    string
	State string
	Hold  *struct {
		Reason, Error string
		Status        int
	}
	Sessions  struct{ Read, Delivered, DeadLetters, Discarded, Waiting int64 }
	ByteLimit int
	LastError *struct {
		Reason, Error string
		Status        int
	}
	Token *struct {
		Fetches, Failures int
		Error             string
	}
}

// Sink asks for the status of a sink. ok is false while the program does not answer.
func (s *Stage) Sink(tb testing.TB, id string) (status SinkStatus, ok bool) {
	tb.Helper()
	code, body, err := s.Program.Get(Context(tb), "/status")
	if err != nil || code != 200 {
		return SinkStatus{}, false
	}
	var all struct{ Sinks []SinkStatus }
	if err := json.Unmarshal([]byte(body), &all); err != nil {
		tb.Fatalf("reading /status: %v\n%s", err, body)
	}
	for _, sink := range all.Sinks {
		if sink.ID == id {
			return sink, true
		}
	}
	tb.Fatalf("no sink %s in /status", id)
	return SinkStatus{}, false
}

// Until waits until the status of a sink is as wanted, and returns it.
func (s *Stage) Until(tb testing.TB, id, what string, wanted func(SinkStatus) bool) SinkStatus {
	tb.Helper()
	var last SinkStatus
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the last status of %s that was looked at: %+v", id, last)
		}
	})
	Eventually(tb, id+" "+what, func() bool {
		status, ok := s.Sink(tb, id)
		if ok {
			last = status
		}
		return ok && wanted(status)
	})
	return last
}

// UntilDelivered waits until a sink has delivered so many sessions since the program started.
func (s *Stage) UntilDelivered(tb testing.TB, id string, sessions int) SinkStatus {
	tb.Helper()
	return s.Until(tb, id, fmt.Sprintf("has delivered %d sessions", sessions), func(status SinkStatus) bool {
		return status.Sessions.Delivered >= int64(sessions)
	})
}

// UntilHeld waits until a sink holds for a reason.
func (s *Stage) UntilHeld(tb testing.TB, id, reason string) SinkStatus {
	tb.Helper()
	return s.Until(tb, id, "holds because of "+reason, func(status SinkStatus) bool {
		return status.Hold != nil && status.Hold.Reason == reason
	})
}

// Finished waits until everything in a sink's topic is committed.
func (s *Stage) Finished(tb testing.TB, id string) {
	tb.Helper()
	group := s.name + "." + id
	Eventually(tb, group+" has nothing left to do", func() bool { return Finished(tb, s.admin, s.Topic(id), group) })
}

// Metric adds up the samples of a metric whose labels hold all the given pairs, such as `sink="a"`.
func (s *Stage) Metric(tb testing.TB, name string, pairs ...string) float64 {
	tb.Helper()
	_, body, err := s.Program.Get(Context(tb), "/metrics")
	if err != nil {
		tb.Fatal(err)
	}
	sum := 0.0
	for line := range strings.Lines(body) {
		labels, value, found := strings.Cut(strings.TrimPrefix(line, name+"{"), "} ")
		if !found || !strings.HasPrefix(line, name+"{") ||
			slices.ContainsFunc(pairs, func(pair string) bool { return !strings.Contains(labels, pair) }) {
			continue
		}
		sample, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			tb.Fatalf("reading %s: %v", line, err)
		}
		sum += sample
	}
	return sum
}

// KeepsSecrets fails the test when the program shows one of its secrets, in any spelling in which it is sent or echoed.
func (s *Stage) KeepsSecrets(tb testing.TB) {
	tb.Helper()
	shown := s.Program.Process().Output()
	if !strings.Contains(shown, "msg=started") {
		tb.Error("the program's output was cut: a secret in it would not be noticed")
	}
	for _, path := range []string{"/status", "/metrics"} {
		_, body, err := s.Program.Get(Context(tb), path)
		if err != nil {
			tb.Fatal(err)
		}
		shown += body
	}
	for name, secret := range s.o.Secrets {
		for _, spelling := range [][]byte{
			[]byte(secret), []byte(url.QueryEscape(secret)), []byte(url.PathEscape(secret)),
			[]byte(strings.Trim(fmt.Sprintf("%q", secret), `"`)), []byte(base64.StdEncoding.EncodeToString([]byte(secret))),
		} {
			if bytes.Contains([]byte(shown), spelling) {
				tb.Errorf("the secret %s shows as %s", name, spelling)
			}
		}
	}
}
