package deadletter

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topicName = "letters"

// cluster starts a broker that ends with the test.
func cluster(t *testing.T, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func client(t *testing.T, c *kfake.Cluster, user string) *kafka.Client {
	t.Helper()
	transport := &kafka.Transport{MetadataTTL: 50 * time.Millisecond, DialTimeout: time.Second}
	if user != "" {
		transport.SASL = plain.Mechanism{Username: user, Password: "pw"}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &kafka.Client{Addr: kafka.TCP(c.ListenAddrs()...), Transport: transport, Timeout: 10 * time.Second}
}

func open(t *testing.T, client *kafka.Client, sources ...string) *Topic {
	t.Helper()
	return Open(Options{
		Client: client, Topic: topicName, SourceTopics: sources, RetryFor: 300 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	})
}

// create makes a topic by hand.
func create(t *testing.T, client *kafka.Client, name string, settings map[string]string) {
	t.Helper()
	config := kafka.TopicConfig{Topic: name, NumPartitions: 2, ReplicationFactor: 1}
	for k, v := range settings {
		config.ConfigEntries = append(config.ConfigEntries, kafka.ConfigEntry{ConfigName: k, ConfigValue: v})
	}
	answer, err := client.CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{config}})
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Errors[name]; err != nil {
		t.Fatal(err)
	}
}

func settingsOf(t *testing.T, topic *Topic) map[string]string {
	t.Helper()
	settings, err := topic.describe(t.Context(), topicName)
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

// read returns the first n records of the topic, as an independent client
// sees them.
func read(t *testing.T, c *kfake.Cluster, n int) []kafka.Message {
	t.Helper()
	reader, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topicName),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var messages []kafka.Message
	for len(messages) < n {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d of %d read: %v", len(messages), n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			m := kafka.Message{Partition: int(r.Partition), Offset: r.Offset, Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
			}
			messages = append(messages, m)
		})
	}
	return messages
}

func letters(n, size int) []Letter {
	all := make([]Letter, n)
	for i := range all {
		all[i] = sample()
		all[i].Source.Offset = int64(i)
		all[i].Body = bytes.Repeat([]byte(strconv.Itoa(i%10)), size)
		all[i].BodySize = size
	}
	return all
}

func kindOf(t *testing.T, err error) Kind {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want an *Error", err, err)
	}
	return e.Kind
}
