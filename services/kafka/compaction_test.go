//go:build services

package kafka_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/consumer"
	"sessionexport/services"
)

// TestCompactedTopicIsReadAcrossItsHoles reads what compaction has left over: holes within batches and batches that are
// empty.
func TestCompactedTopicIsReadAcrossItsHoles(t *testing.T) { everyShared(t, compacted) }

func compacted(t *testing.T, k *services.Kafka) {
	const records, keys, size = 6000, 150, 1200
	ctx := services.Context(t)
	topic := services.NewTopic(t, k, 1, map[string]*string{
		"cleanup.policy":            kadm.StringPtr("compact"),
		"segment.bytes":             kadm.StringPtr("1048576"), // the least that Kafka 4 takes; the last segment is not compacted
		"min.cleanable.dirty.ratio": kadm.StringPtr("0.01"),
		"delete.retention.ms":       kadm.StringPtr("0"),
	})
	client := services.Franz(t, k, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(64<<10))
	random := rand.New(rand.NewPCG(1, 2))
	var batch []*kgo.Record
	for i := range records {
		value := make([]byte, 0, size)
		value = fmt.Appendf(value, "%d ", i)
		for len(value) < size {
			value = append(value, byte('a'+random.IntN(26)))
		}
		r := &kgo.Record{Key: fmt.Appendf(nil, "%d", random.IntN(keys)), Value: value}
		if i%40 == 39 {
			r.Value = nil // a tombstone
		}
		batch = append(batch, r)
	}
	if err := client.ProduceSync(ctx, batch...).FirstErr(); err != nil {
		t.Fatal(err)
	}

	connection := services.Connect(t, consumer.KafkaOptions{Brokers: k.Brokers()})
	admin := kadm.NewClient(client)
	var want, got map[services.Place]string
	attempt := 0
	services.Eventually(t, "the topic is compacted and stays the same while it is read", func() bool {
		want = readAll(t, k, topic, records)
		if len(want) > records/3 {
			return false
		}
		attempt++
		group := fmt.Sprintf("%s-%d", topic, attempt)
		r := services.StartReader(t, connection, topic, group)
		services.Eventually(t, "all is committed", func() bool { return services.Finished(t, admin, topic, group) })
		r.Stop()
		got = r.Read()
		return maps.Equal(want, readAll(t, k, topic, records))
	})
	t.Logf("%d of %d records are left", len(want), records)
	services.SameRecords(t, got, want)
}

// readAll reads a partition up to its last record, which compaction leaves alone, with the other client.
func readAll(t *testing.T, k *services.Kafka, topic string, end int64) map[services.Place]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), services.Patience)
	defer cancel()
	client := services.Franz(t, k, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer client.Close()
	all := map[services.Place]string{}
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		last := int64(0)
		fetches.EachRecord(func(r *kgo.Record) {
			all[services.Place{Partition: r.Partition, Offset: r.Offset}] = string(r.Value)
			last = r.Offset
		})
		if last == end-1 {
			return all
		}
	}
}
