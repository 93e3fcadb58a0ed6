//go:build services

package kafka_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"

	"sessionexport/consumer"
	"sessionexport/services"
)

var codecs = []struct {
	name string
	code kafka.Compression
}{
	{"none", 0},
	{"gzip", kafka.Gzip},
	{"snappy", kafka.Snappy},
	{"lz4", kafka.Lz4},
	{"zstd", kafka.Zstd},
}

func TestGoEncodedBatchesAreRead(t *testing.T) { everyShared(t, goEncoded) }

func goEncoded(t *testing.T, k *services.Kafka) {
	connection := services.Connect(t, consumer.KafkaOptions{Brokers: k.Brokers()})
	for _, codec := range codecs {
		t.Run(codec.name, func(t *testing.T) {
			const records = 2000
			topic := services.NewTopic(t, k, 1, nil)
			writer := &kafka.Writer{
				Addr: kafka.TCP(k.Brokers()...), Topic: topic, Compression: codec.code,
				RequiredAcks: kafka.RequireAll, BatchSize: 500, Transport: &kafka.Transport{},
			}
			want := map[services.Place]string{}
			messages := make([]kafka.Message, records)
			for i := range messages {
				messages[i].Value = []byte(services.Document(i))
				want[services.Place{Partition: 0, Offset: int64(i)}] = services.Document(i)
			}
			if err := writer.WriteMessages(services.Context(t), messages...); err != nil {
				t.Fatal(err)
			}
			if err := writer.Close(); err != nil {
				t.Fatal(err)
			}

			r := services.StartReader(t, connection, topic, topic)
			services.Eventually(t, "all is read", func() bool { return r.Count() == records })
			r.Stop()
			services.SameRecords(t, r.Read(), want)
		})
	}
}

// TestJavaEncodedBatchesAreRead is for the framing of Kafka's own producer, which differs from Go's in snappy and lz4.
func TestJavaEncodedBatchesAreRead(t *testing.T) { everyShared(t, javaEncoded) }

func javaEncoded(t *testing.T, k *services.Kafka) {
	connection := services.Connect(t, consumer.KafkaOptions{Brokers: k.Brokers()})
	admin := kadm.NewClient(services.Franz(t, k))

	payloads := map[string]bool{}
	var file strings.Builder
	for i := range 500 {
		payloads[services.Document(i)] = true
		file.WriteString(services.Document(i) + "\n")
	}
	name := filepath.Join(k.Dir(), "payloads")
	if err := os.WriteFile(name, []byte(file.String()), 0o644); err != nil {
		t.Fatal(err)
	}

	for _, codec := range codecs {
		t.Run(codec.name, func(t *testing.T) {
			const records = 3000
			topic := services.NewTopic(t, k, 1, nil)
			properties := "--command-property"
			if strings.HasPrefix(k.Version(), "3.") {
				properties = "--producer-props"
			}
			_, err := k.Tool(services.Context(t), "org.apache.kafka.tools.ProducerPerformance",
				"--topic", topic, "--num-records", fmt.Sprint(records), "--throughput", "-1", "--payload-file", name,
				properties, "bootstrap.servers="+k.Brokers()[0], "compression.type="+codec.name, "acks=all", "linger.ms=20")
			if err != nil {
				t.Fatal(err)
			}
			r := services.StartReader(t, connection, topic, topic)
			services.Eventually(t, "all is read and committed", func() bool { return services.Finished(t, admin, topic, topic) })
			r.Stop()
			got := r.Read()
			if len(got) != records {
				t.Errorf("read %d records, want %d", len(got), records)
			}
			for at, value := range got {
				if !payloads[value] {
					t.Fatalf("%v was never produced: %.80q", at, value)
				}
			}
		})
	}
}
