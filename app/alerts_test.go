package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"sessionexport/alerts"
	"sessionexport/consumer"
	"sessionexport/deadletter"
	"sessionexport/dispatcher"
	"sessionexport/settings"
	"sessionexport/sinks/sinktest"
)

// bell is an Alertmanager that notes what it is posted.
type bell struct {
	posts chan []map[string]string // the labels of a post's alerts
}

func (b *bell) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var all []struct {
		Labels map[string]string `json:"labels"`
	}
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &all)
	var labels []map[string]string
	for _, a := range all {
		labels = append(labels, a.Labels)
	}
	b.posts <- labels
}

// alarmFile writes a configuration with two sinks, one of them silent, and
// loads it.
func alarmFile(t *testing.T, brokers []string, endpoint, extra string, authority *sinktest.Authority) *settings.File {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("version: 1\nkafka: {brokers: [%q]}\nserver: {address: \"127.0.0.1:0\"}\n%s\nenvironments:\n  - id: default\n    topic: sessions\n    exports:\n",
		strings.Join(brokers, `", "`), extra)
	for _, id := range []string{"loud", "silent"} {
		text += fmt.Sprintf("      - id: %s\n        endpointDefinition: {endpointUrl: %q, enableUserSessionExport: true, contentType: application/json, usePost: true}\n"+
			"        authentication: {active: false}\n        sendDirect: {active: false}\n"+
			"        exportBehavior: {disableNotification: %t, customConfiguration: \"caFile=ca.pem\\nmaxSessions=1\\nmaxRetries=0\\nstartFrom=earliest\"}\n",
			id, endpoint, id == "silent")
	}
	for name, content := range map[string]string{"config.yaml": text, "ca.pem": string(authority.PEM())} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := settings.Load(filepath.Join(dir, "config.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// An endpoint that refuses: the Alertmanager hears of the loud sink alone, log
// and metrics have both, and the webhook that hangs delays nobody.
func TestAlertsOfAService(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "sessions"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	endpoint := sinktest.New(t, sinktest.Options{})
	endpoint.Always(sinktest.Status(http.StatusForbidden))
	b := &bell{posts: make(chan []map[string]string, 100)}
	manager := httptest.NewServer(b)
	t.Cleanup(manager.Close)
	hang := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(hang) })
	extra := fmt.Sprintf("alerts: {shoutrrr: [\"generic://%s/hunter2?disabletls=yes\"], alertmanager: [%q]}", strings.TrimPrefix(slow.URL, "http://"), manager.URL+"?key=hunter2-am")
	file := alarmFile(t, cluster.ListenAddrs(), endpoint.URL("/").String(), extra, endpoint.Authority)

	producer := &kafka.Writer{Addr: kafka.TCP(cluster.ListenAddrs()...), Topic: "sessions", BatchSize: 1, Transport: &kafka.Transport{}}
	session := `{"tenantId":"t","userSessionId":"u","startTime":1767348000000,"endTime":1767348060000,"userActions":[]}`
	if err := producer.WriteMessages(t.Context(), kafka.Message{Value: []byte(session)}); err != nil {
		t.Fatal(err)
	}
	producer.Transport.(*kafka.Transport).CloseIdleConnections()
	_ = producer.Close()

	var log bytes.Buffer
	var guard sync.Mutex
	service, err := NewService(ServiceOptions{File: file, Logger: slog.New(slog.NewTextHandler(lockedWriter{&guard, &log}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx, context.WithoutCancel(ctx)) }()
	var loud map[string]string
	for loud == nil {
		select {
		case labels := <-b.posts:
			for _, l := range labels {
				if l["sink"] != "loud" {
					t.Errorf("told of %v", l)
				}
				loud = l
			}
		case <-time.After(30 * time.Second):
			t.Fatal("nobody was told")
		}
	}
	if loud["cause"] != "delivery_failed" || loud["alertname"] != "SessionExportDeliveryFailed" || loud["environment"] != "default" {
		t.Errorf("told of %v", loud)
	}
	late := time.Now().Add(30 * time.Second)
	for metrics := ""; strings.Count(metrics, "session_export_alerts_open{cause=\"delivery_failed\"") != 2; {
		if metrics = fetch(t, "http://"+service.Address()+"/metrics"); strings.Contains(metrics, "hunter2") {
			t.Fatal("the metrics show a secret")
		}
		if time.Now().After(late) {
			t.Fatal("the metrics never showed both")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	guard.Lock()
	defer guard.Unlock()
	for _, sink := range []string{"loud", "silent"} {
		if !strings.Contains(log.String(), `msg="alert opened: delivery fails" environment=default sink=`+sink) {
			t.Errorf("the log lacks the alert of %s", sink)
		}
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Error("the log shows a secret")
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func fetch(t *testing.T, address string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTestAlerts(t *testing.T) {
	authority := sinktest.NewAuthority(t)
	b := &bell{posts: make(chan []map[string]string, 1)}
	manager := httptest.NewServer(b)
	defer manager.Close()
	broken := httptest.NewServer(http.NotFoundHandler())
	defer broken.Close()
	run := func(extra string) (string, error) {
		file := alarmFile(t, []string{"127.0.0.1:9"}, "https://127.0.0.1:9/", extra, authority)
		var out bytes.Buffer
		err := TestAlerts(t.Context(), AlertsTestOptions{File: file, Stdout: &out, Logger: slog.New(slog.DiscardHandler)})
		return out.String(), err
	}
	if out, err := run(""); err != nil || !strings.Contains(out, "nobody to notify") {
		t.Errorf("%v: %s", err, out)
	}
	out, err := run(fmt.Sprintf("alerts: {alertmanager: [%q]}", manager.URL))
	if err != nil || !strings.Contains(out, "alertmanager-1   sent") || (<-b.posts)[0]["alertname"] != "SessionExportTrial" {
		t.Errorf("%v: %s", err, out)
	}
	out, err = run(fmt.Sprintf("alerts: {shoutrrr: [\"generic://%s/hunter2?disabletls=yes\"], alertmanager: [%q]}", strings.TrimPrefix(broken.URL, "http://"), manager.URL))
	if !errors.Is(err, errNotNotified) || !strings.Contains(out, "generic-1        failed: generic: 127.0.0.1") || !strings.Contains(out, "answered 404") ||
		!strings.Contains(out, "alertmanager-1   sent") || strings.Contains(out, "hunter2") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err = run(`alerts: {shoutrrr: ["slack://hunter2"]}`); err == nil || !strings.Contains(err.Error(), "alerts.shoutrrr[0]") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

func TestRetentionOf(t *testing.T) {
	for _, c := range []struct {
		policy, ms, bytes string
		retention         time.Duration
		bounded           bool
	}{
		{"delete", "604800000", "-1", 7 * 24 * time.Hour, false},
		{"delete", "-1", "1073741824", 0, true},
		{"compact,delete", "3600000", "1", time.Hour, true},
		{"compact", "3600000", "1", 0, false},
		{"delete", "9223372036854775807", "", time.Duration(1<<63 - 1).Truncate(time.Millisecond), false},
		{"", "", "", 0, false},
	} {
		retention, bounded := retentionOf(map[string]string{"cleanup.policy": c.policy, "retention.ms": c.ms, "retention.bytes": c.bytes})
		if retention != c.retention || bounded != c.bounded {
			t.Errorf("%+v: %v, %v", c, retention, bounded)
		}
	}
}

func TestTopicWatch(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "sessions"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	k := consumer.Connect(consumer.KafkaOptions{Brokers: cluster.ListenAddrs(), ClientID: "test", Logger: slog.New(slog.DiscardHandler)})
	defer func() { _ = k.Close() }()
	client := k.Client()
	change := func(name, value string) {
		t.Helper()
		res, err := client.IncrementalAlterConfigs(t.Context(), &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: "sessions",
			Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: name, Value: value, ConfigOperation: kafka.ConfigOperationSet}},
		}}})
		if err == nil {
			err = res.Resources[0].Error
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w := &topicWatch{client: client, log: slog.New(slog.DiscardHandler)}
	w.use([]string{"sessions"})
	s := &dispatcher.SinkStatus{}
	s.Oldest = time.Now().Add(-time.Hour)
	s.Member.Partitions = []consumer.PartitionStatus{{Claim: consumer.Claim{Partition: 1}, Committed: 0}}
	change("retention.ms", "7200000")
	if err := w.look(t.Context(), "sessions"); err != nil {
		t.Fatal(err)
	}
	if b := w.backlog(time.Now(), "sessions", s); b.Retention != 2*time.Hour || b.Bounded || !b.Oldest.Equal(s.Oldest) {
		t.Errorf("got %+v", b)
	}
	change("retention.bytes", "1000")
	if err := w.look(t.Context(), "sessions"); err != nil {
		t.Fatal(err)
	}
	b := w.backlog(time.Now(), "sessions", s)
	if !b.Bounded || !slices.Equal(b.Left, []alerts.Left{{Partition: 1}}) {
		t.Errorf("got %+v", b)
	}
	if b := w.backlog(time.Now(), "another", s); b.Retention != 0 || b.Bounded {
		t.Errorf("got %+v", b)
	}
}

func TestLettersBecomeSignals(t *testing.T) {
	file := alarmFile(t, []string{"127.0.0.1:9"}, "https://127.0.0.1:9/", "", sinktest.NewAuthority(t))
	k := consumer.Connect(consumer.KafkaOptions{Brokers: file.Kafka.Brokers, ClientID: "test", Logger: slog.New(slog.DiscardHandler)})
	defer func() { _ = k.Close() }()
	var log bytes.Buffer
	reading := dispatcher.SinkStatus{}
	reading.Environment, reading.Sink = "default", "loud"
	reading.State, reading.Cause.Reason = dispatcher.Held, "dead_letters"
	ctx, stop := context.WithCancel(t.Context())
	last := stopWriter{&log, "cause=dead_letters_failing", stop}
	a, err := newAlarm(file, k, func() []dispatcher.SinkStatus { return []dispatcher.SinkStatus{reading} }, slog.New(slog.NewTextHandler(last, nil)))
	if err != nil {
		t.Fatal(err)
	}
	a.stored([]deadletter.Letter{
		{Environment: "default", Sink: "loud", Kind: "rejected", Reason: "mapper_parsing_exception", Status: 400, Error: "hunter2"},
		{Environment: "default", Sink: "loud", Kind: "poison", Reason: "timeout"},
		{Environment: "default", Sink: "loud", Kind: "rejected", Reason: "mapper_parsing_exception", Status: 400},
	})
	a.observe("default", "loud", dispatcher.Event{Kind: dispatcher.Alert, Cause: dispatcher.Cause{Reason: "token_refused", Text: "invalid_client"}})
	a.observe("default", "loud", dispatcher.Event{Kind: dispatcher.Discarded, Sessions: 5, Cause: dispatcher.Cause{Text: "503"}})
	a.observe("default", "loud", dispatcher.Event{Kind: dispatcher.LettersFailed, Cause: dispatcher.Cause{Text: "not enough replicas"}})
	a.observe("default", "loud", dispatcher.Event{Kind: dispatcher.Retry})
	a.run(ctx)
	for _, part := range []string{
		`cause=dead_letters since`, `lost=2 error="rejected: mapper_parsing_exception, answered 400"`, `cause=poison since`, `lost=1 error="poison: timeout"`,
		`cause=token_server since`, `error=invalid_client`, `cause=discarded since`, `lost=5 error=503`, `cause=dead_letters_failing since`, `error="not enough replicas"`,
	} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %s", part)
		}
	}
	if strings.Contains(log.String(), "hunter2") || strings.Count(log.String(), "alert opened") != 5 {
		t.Errorf("logged:\n%s", log.String())
	}
}

// stopWriter calls stop once a line holds word.
type stopWriter struct {
	w    io.Writer
	word string
	stop func()
}

func (s stopWriter) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(s.word)) {
		s.stop()
	}
	return s.w.Write(p)
}

func TestReadings(t *testing.T) {
	file := alarmFile(t, []string{"127.0.0.1:9"}, "https://127.0.0.1:9/", "", sinktest.NewAuthority(t))
	k := consumer.Connect(consumer.KafkaOptions{Brokers: file.Kafka.Brokers, ClientID: "test", Logger: slog.New(slog.DiscardHandler)})
	defer func() { _ = k.Close() }()
	now := time.Now()
	well := dispatcher.SinkStatus{}
	well.Environment, well.Sink, well.LastSuccess = "default", "loud", now
	well.Member.Partitions = []consumer.PartitionStatus{{HighWatermark: 100, Lag: 30}, {HighWatermark: -1}, {HighWatermark: 5, Lag: 5}}
	ill := dispatcher.SinkStatus{Fatal: "fenced"}
	ill.Environment, ill.Sink, ill.State, ill.Cause.Reason = "default", "silent", dispatcher.Held, "dead_letters"
	ill.Member.OutOfRange, ill.Member.Skipped, ill.Member.Corrupt, ill.Tokens.LastError = 2, 20, 3, "no token"
	torn := well
	torn.Member.Partitions = []consumer.PartitionStatus{{HighWatermark: -1}, {HighWatermark: -1, Trouble: "checksum"}}
	joining, spare := dispatcher.SinkStatus{}, dispatcher.SinkStatus{}
	joining.Environment, joining.Sink, joining.State, joining.Member.State = "default", "joining", dispatcher.Held, consumer.StateJoining
	spare.Environment, spare.Sink, spare.Member.State = "default", "spare", consumer.StateStable
	all := []dispatcher.SinkStatus{well, ill, torn, joining, spare}
	a, err := newAlarm(file, k, func() []dispatcher.SinkStatus { return all }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	a.certs.found["loud"] = alerts.Certificate{Whose: "the endpoint's", Until: now}
	want := []alerts.Reading{
		{Environment: "default", Sink: "loud", Waiting: 35, Delivered: now, Certificates: []alerts.Certificate{{Whose: "the endpoint's", Until: now}}},
		{Environment: "default", Sink: "silent", Silent: true, Waiting: -1, Idle: true, Holding: true, LettersFail: true, OutOfRange: 2, Skipped: 20, Corrupt: 3,
			TokenFails: true, Stopped: "fenced"},
		{Environment: "default", Sink: "loud", Waiting: -1, Delivered: now, Trouble: "checksum", Certificates: []alerts.Certificate{{Whose: "the endpoint's", Until: now}}},
		{Environment: "default", Sink: "joining", Waiting: -1, Holding: true},
		{Environment: "default", Sink: "spare", Waiting: -1, Idle: true},
	}
	if got := a.readings(t.Context()); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
