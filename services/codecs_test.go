//go:build services

package services

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"

	"sessionexport/consumer"
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

func TestGoEncodedBatchesAreRead(t *testing.T) {
	k := sharedKafka(t)
	connection := connect(t, consumer.KafkaOptions{Brokers: k.Brokers()})
	for _, codec := range codecs {
		t.Run(codec.name, func(t *testing.T) {
			const records = 2000
			topic := newTopic(t, k, 1, nil)
			writer := &kafka.Writer{
				Addr: kafka.TCP(k.Brokers()...), Topic: topic, Compression: codec.code,
				RequiredAcks: kafka.RequireAll, BatchSize: 500, Transport: &kafka.Transport{},
			}
			want := map[place]string{}
			messages := make([]kafka.Message, records)
			for i := range messages {
				messages[i].Value = []byte(document(i))
				want[place{0, int64(i)}] = document(i)
			}
			if err := writer.WriteMessages(testContext(t), messages...); err != nil {
				t.Fatal(err)
			}
			if err := writer.Close(); err != nil {
				t.Fatal(err)
			}

			r := startReader(t, connection, topic, topic)
			eventually(t, "all is read", func() bool { return r.count() == records })
			r.stop()
			sameRecords(t, r.read(), want)
		})
	}
}

// TestJavaEncodedBatchesAreRead is for the framing of Kafka's own producer, which differs from Go's in snappy and lz4.
func TestJavaEncodedBatchesAreRead(t *testing.T) {
	k := sharedKafka(t)
	connection := connect(t, consumer.KafkaOptions{Brokers: k.Brokers()})
	admin := kadm.NewClient(franz(t, k))

	payloads := map[string]bool{}
	var file strings.Builder
	for i := range 500 {
		payloads[document(i)] = true
		file.WriteString(document(i) + "\n")
	}
	name := filepath.Join(k.dir, "payloads")
	if err := os.WriteFile(name, []byte(file.String()), 0o644); err != nil {
		t.Fatal(err)
	}

	for _, codec := range codecs {
		t.Run(codec.name, func(t *testing.T) {
			const records = 3000
			topic := newTopic(t, k, 1, nil)
			_, err := k.Tool(testContext(t), "org.apache.kafka.tools.ProducerPerformance",
				"--bootstrap-server", k.Brokers()[0], "--topic", topic, "--num-records", fmt.Sprint(records),
				"--throughput", "-1", "--payload-file", name,
				"--command-property", "compression.type="+codec.name, "acks=all", "linger.ms=20")
			if err != nil {
				t.Fatal(err)
			}
			r := startReader(t, connection, topic, topic)
			eventually(t, "all is read and committed", func() bool { return finished(t, admin, topic, topic) })
			r.stop()
			got := r.read()
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
