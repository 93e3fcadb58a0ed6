//go:build services

package kafka_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/batcher"
	"sessionexport/consumer"
	"sessionexport/services"
	"sessionexport/trial"
)

// TestSamplesComeFromTheEndOfALongTopic looks for the newest sessions of a topic with a million of them, and for sessions
// that are not there: both end soon, in little memory, and touch no group.
func TestSamplesComeFromTheEndOfALongTopic(t *testing.T) {
	const records, partitions = 1_000_000, 6
	k := services.SharedKafka(t)
	ctx := services.Context(t)
	// Its records are up to eleven days old: older than what a broker keeps.
	topic := services.NewTopic(t, k, partitions, map[string]*string{"retention.ms": kadm.StringPtr("-1")})
	client := services.Franz(t, k, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	end := time.Now()
	for i := range records {
		at := end.Add(-time.Duration(records-i) * time.Second) // eleven days
		client.Produce(ctx, &kgo.Record{
			Partition: int32(i % partitions), Timestamp: at,
			Value: fmt.Appendf(nil, `{"tenantId":"t","userSessionId":"s%d","startTime":%d,"userActions":[{"application":"Shop"}]}`, i, at.Add(-time.Second).UnixMilli()),
		}, nil)
	}
	if err := client.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	log := services.Connect(t, consumer.KafkaOptions{Brokers: k.Brokers()}).Topic(topic)
	t.Cleanup(log.Close)

	begun := time.Now()
	var out bytes.Buffer
	result, err := trial.WriteSample(ctx, &out, trial.SampleOptions{Log: log})
	if err != nil || result.Sessions != 50 || result.Search.Cut {
		t.Fatalf("result %+v, %v", result, err)
	}
	lines := bytes.Split(out.Bytes(), []byte("\n"))
	for i := range 50 {
		if want := fmt.Sprintf(`"userSessionId":"s%d"`, records-1-i); !bytes.Contains(lines[i], []byte(want)) {
			t.Fatalf("session %d is %s", i, lines[i])
		}
	}
	t.Logf("the newest: %v, %d records, %d bytes fetched", time.Since(begun), result.Search.Records, result.Search.Bytes)

	past := end.Add(-9 * 24 * time.Hour)
	result, err = trial.WriteSample(ctx, &out, trial.SampleOptions{Log: log, From: past, To: past.Add(time.Minute), Count: 100})
	if err != nil || result.Sessions != 60 {
		t.Errorf("of a minute nine days ago: %+v, %v", result, err)
	}

	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun = time.Now()
	found, looked, err := trial.Search(ctx, trial.SearchOptions{
		Log: log, Scope: batcher.NewZone([]string{"Rare"}), From: end.Add(-trial.DefaultWindow), To: end, Now: end,
	})
	took := time.Since(begun)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err != nil || len(found) != 0 || !looked.Cut || looked.Records < trial.DefaultRecords || looked.Records > 2*trial.DefaultRecords {
		t.Errorf("looked %+v, %v", looked, err)
	}
	t.Logf("nothing: %v, %d records, %d bytes fetched, %d bytes more in use", took, looked.Records, looked.Bytes, int64(after.HeapInuse)-int64(before.HeapInuse))
	admin := kadm.NewClient(client)
	groups, err := admin.ListGroups(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups.Groups() { // of other tests
		offsets, err := admin.FetchOffsets(ctx, g)
		if err != nil {
			t.Fatal(err)
		}
		if len(offsets[topic]) > 0 {
			t.Errorf("group %s has offsets of the topic", g)
		}
	}
}
