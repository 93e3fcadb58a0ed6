//go:build services

package kafka_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/consumer"
	"sessionexport/services"
)

// TestOnlyCommittedRecordsAreRead interleaves two transactional producers and a plain one on the same partitions. Batches
// of every size stand beside each other, the committed, the aborted and the markers, and the topic ends with an abort.
func TestOnlyCommittedRecordsAreRead(t *testing.T) { everyShared(t, onlyCommitted) }

func onlyCommitted(t *testing.T, k *services.Kafka) {
	const partitions, rounds = 2, 30
	ctx := services.Context(t)
	topic := services.NewTopic(t, k, partitions, nil)
	admin := kadm.NewClient(services.Franz(t, k))
	manual := []kgo.Opt{kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	plain := services.Franz(t, k, manual...)
	var transactional [2]*kgo.Client
	for i := range transactional {
		transactional[i] = services.Franz(t, k, append(manual, kgo.TransactionalID(fmt.Sprintf("%s-%d", topic, i)))...)
	}

	want := map[services.Place]string{}
	number := 0
	produce := func(client *kgo.Client, count int) map[services.Place]string {
		t.Helper()
		written := map[services.Place]string{}
		var batch []*kgo.Record
		for range count {
			for p := range int32(partitions) {
				r := kgo.StringRecord(services.Document(number))
				r.Partition = p
				batch = append(batch, r)
				number++
			}
		}
		results := client.ProduceSync(ctx, batch...)
		if err := results.FirstErr(); err != nil {
			t.Fatal(err)
		}
		for _, result := range results {
			written[services.Place{Partition: result.Record.Partition, Offset: result.Record.Offset}] = string(result.Record.Value)
		}
		return written
	}
	keep := func(written map[services.Place]string) {
		for at, value := range written {
			want[at] = value
		}
	}

	for round := range rounds {
		for _, client := range transactional {
			if err := client.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
		}
		var written [2]map[services.Place]string
		for i, client := range transactional {
			written[i] = produce(client, 1+(round*7+i*3)%13)
			if round%3 == i {
				keep(produce(plain, 1+round%5))
			}
		}
		for at, value := range produce(transactional[0], 2) {
			written[0][at] = value
		}
		for i, client := range transactional {
			end := kgo.TransactionEndTry((round+i)%2 == 0)
			if round == rounds-1 {
				end = kgo.TryAbort
			}
			if err := client.EndTransaction(ctx, end); err != nil {
				t.Fatal(err)
			}
			if end == kgo.TryCommit {
				keep(written[i])
			}
		}
	}

	connection := services.Connect(t, consumer.KafkaOptions{Brokers: k.Brokers()})
	r := services.StartReader(t, connection, topic, topic)
	services.Eventually(t, "the markers at the end are committed too", func() bool { return services.Finished(t, admin, topic, topic) })
	r.Stop()
	services.SameRecords(t, r.Read(), want)
	if r.Again() != 0 || !r.Ordered() {
		t.Errorf("records read twice: %d, in order: %t", r.Again(), r.Ordered())
	}
}
