//go:build services

package services

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/consumer"
)

// TestOnlyCommittedRecordsAreRead interleaves two transactional producers and a plain one on the same partitions. Batches
// of every size stand beside each other, the committed, the aborted and the markers, and the topic ends with an abort.
func TestOnlyCommittedRecordsAreRead(t *testing.T) {
	const partitions, rounds = 2, 30
	k := sharedKafka(t)
	ctx := testContext(t)
	topic := newTopic(t, k, partitions, nil)
	admin := kadm.NewClient(franz(t, k))
	manual := []kgo.Opt{kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	plain := franz(t, k, manual...)
	var transactional [2]*kgo.Client
	for i := range transactional {
		transactional[i] = franz(t, k, append(manual, kgo.TransactionalID(fmt.Sprintf("%s-%d", topic, i)))...)
	}

	want := map[place]string{}
	number := 0
	produce := func(client *kgo.Client, count int) map[place]string {
		t.Helper()
		written := map[place]string{}
		var batch []*kgo.Record
		for range count {
			for p := range int32(partitions) {
				r := kgo.StringRecord(document(number))
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
			written[place{result.Record.Partition, result.Record.Offset}] = string(result.Record.Value)
		}
		return written
	}
	keep := func(written map[place]string) {
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
		var written [2]map[place]string
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

	connection := connect(t, consumer.KafkaOptions{Brokers: k.Brokers()})
	r := startReader(t, connection, topic, topic)
	eventually(t, "the markers at the end are committed too", func() bool { return finished(t, admin, topic, topic) })
	r.stop()
	sameRecords(t, r.read(), want)
	if r.again != 0 || !r.ordered {
		t.Errorf("records read twice: %d, in order: %t", r.again, r.ordered)
	}
}
