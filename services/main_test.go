//go:build services

package services

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience bounds every wait of these tests: generous, because what they wait for are processes on a busy machine.
const patience = 3 * time.Minute

var (
	sharedCluster *Kafka
	startShared   = sync.OnceValue(func() (err error) {
		sharedCluster, err = openKafka(KafkaOptions{})
		return err
	})
)

func TestMain(m *testing.M) {
	if err := sweep(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if sharedCluster != nil {
		if err := sharedCluster.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// sharedKafka returns the one node that all tests use which do no harm to it.
func sharedKafka(t *testing.T) *Kafka {
	t.Helper()
	if err := startShared(); err != nil {
		t.Fatal(err)
	}
	return sharedCluster
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// franz opens a client that shares no code with the exporter's own.
func franz(t *testing.T, k *Kafka, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(k.Brokers()...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// newTopic creates a topic named after the test.
func newTopic(t *testing.T, k *Kafka, partitions int32, config map[string]*string) string {
	t.Helper()
	topic := strings.ReplaceAll(t.Name(), "/", ".")
	admin := kadm.NewClient(franz(t, k))
	created, err := admin.CreateTopic(testContext(t), partitions, -1, config, topic)
	if err != nil {
		t.Fatalf("creating topic %s: %v (%s)", topic, err, created.ErrMessage)
	}
	return topic
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// document returns a value that compresses as sessions do and is like no other.
func document(i int) string {
	return fmt.Sprintf(`{"tenantId":"t","userSessionId":"s-%d","startTime":%d,"userActions":[%s]}`,
		i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf(`{"name":"click on %d"},`, i), i%50), ","))
}
