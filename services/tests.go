//go:build services

package services

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Patience bounds every wait of these tests: generous, because what they wait for are processes on a busy machine.
const Patience = 3 * time.Minute

var ending struct {
	mu      sync.Mutex
	closers []func() error
}

// AtEnd has something closed after the last test of the package, the latest first.
func AtEnd(closer func() error) {
	ending.mu.Lock()
	defer ending.mu.Unlock()
	ending.closers = append(ending.closers, closer)
}

// Main is the TestMain of every package that tests with services: it removes what killed tests have left behind, runs
// the tests and ends the servers that they shared.
func Main(m *testing.M) {
	if err := errors.Join(sweep(), sweepSockets()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	ending.mu.Lock()
	defer ending.mu.Unlock()
	var err error
	for _, closer := range slices.Backward(ending.closers) {
		err = errors.Join(err, closer())
	}
	err = errors.Join(err, sweepSockets())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var shared struct {
	mu       sync.Mutex
	clusters map[string]*Kafka // by version
}

// SharedKafka returns one node of the pinned version, which all tests of a package use that do no harm to it.
func SharedKafka(tb testing.TB) *Kafka {
	tb.Helper()
	return SharedKafkaOf(tb, "")
}

// SharedKafkaOf returns the shared node of a version; "" is the pinned one.
func SharedKafkaOf(tb testing.TB, version string) *Kafka {
	tb.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if version == "" {
		var err error
		if version, err = Pin("KAFKA_VERSION"); err != nil {
			tb.Fatal(err)
		}
	}
	if k := shared.clusters[version]; k != nil {
		return k
	}
	k, err := OpenKafka(KafkaOptions{Version: version})
	if err != nil {
		tb.Fatal(err)
	}
	AtEnd(k.Close)
	if shared.clusters == nil {
		shared.clusters = map[string]*Kafka{}
	}
	shared.clusters[version] = k
	return k
}

// Context ends with the test, or when patience does.
func Context(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(tb.Context(), Patience)
	tb.Cleanup(cancel)
	return ctx
}

// Eventually asks until the answer is yes.
func Eventually(tb testing.TB, what string, yes func() bool) {
	tb.Helper()
	ctx := Context(tb)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("waited in vain until %s", what)
		}
	}
}

// Logger writes to the test's log.
func Logger(tb testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// Franz opens a client of a cluster that shares no code with the exporter's own.
func Franz(tb testing.TB, k *Kafka, opts ...kgo.Opt) *kgo.Client {
	tb.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(k.Brokers()...)}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	return client
}

// TopicName returns the name of the test as the name of a topic.
func TopicName(tb testing.TB) string {
	return strings.NewReplacer("/", ".", "#", "-").Replace(tb.Name())
}

// NewTopic creates a topic named after the test and waits until it can be used.
func NewTopic(tb testing.TB, k *Kafka, partitions int32, config map[string]*string) string {
	tb.Helper()
	topic := TopicName(tb)
	admin := kadm.NewClient(Franz(tb, k))
	created, err := admin.CreateTopic(Context(tb), partitions, -1, config, topic)
	if err != nil {
		tb.Fatalf("creating topic %s: %v (%s)", topic, err, created.ErrMessage)
	}
	UntilKnown(tb, admin, topic)
	return topic
}

// UntilKnown waits until a new topic can be used: a node is told of it some time after another one created it.
func UntilKnown(tb testing.TB, admin *kadm.Client, topic string) {
	tb.Helper()
	Eventually(tb, "the new topic is known", func() bool {
		topics, err := admin.ListTopics(Context(tb), topic)
		if err != nil || topics[topic].Err != nil || len(topics[topic].Partitions) == 0 {
			return false
		}
		for _, p := range topics[topic].Partitions {
			if p.Err != nil || p.Leader < 0 {
				return false
			}
		}
		return true
	})
}

// Document returns a session that compresses as sessions do and is like no other.
func Document(i int) string {
	return fmt.Sprintf(`{"tenantId":"t","userSessionId":"s-%d","startTime":%d,"userActions":[%s]}`,
		i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf(`{"name":"click on %d"},`, i), i%50), ","))
}
