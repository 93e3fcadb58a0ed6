package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func newTopic(t *testing.T, c *kfake.Cluster) *Topic {
	t.Helper()
	topic := connect(t, c).Topic(testTopic)
	t.Cleanup(topic.Close)
	return topic
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func admin(t *testing.T, c *kfake.Cluster) *kadm.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

func TestTopicExtents(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(3, testTopic))
	produce(t, c, 0, numbered("a", 5))
	produce(t, c, 2, numbered("c", 7))
	var gone kadm.Offsets
	gone.AddOffset(testTopic, 2, 3, -1)
	if _, err := admin(t, c).DeleteRecords(within(t), gone); err != nil {
		t.Fatal(err)
	}
	got, err := newTopic(t, c).Extents(within(t))
	want := []Extent{{0, 0, 5}, {1, 0, 0}, {2, 3, 7}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("extents %v, %v; want %v", got, err, want)
	}
}

func TestTopicOffsetsAt(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, testTopic))
	at := time.UnixMilli(1_700_000_000_000)
	for i := range 4 {
		produceRecords(t, c, []*kgo.Record{{Topic: testTopic, Value: []byte("x"), Timestamp: at.Add(time.Duration(i) * time.Hour)}})
	}
	topic := newTopic(t, c)
	for when, want := range map[time.Duration]int64{-time.Hour: 0, 0: 0, 90 * time.Minute: 2, 3 * time.Hour: 3, 4 * time.Hour: -1} {
		got, err := topic.OffsetsAt(within(t), at.Add(when))
		if err != nil || got[0] != want || got[1] != -1 {
			t.Errorf("offsets %v after: %v, %v; want %d", when, got, err, want)
		}
	}
}

func TestTopicRead(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, testTopic))
	for i := range 10 { // ten batches of ten
		produce(t, c, 1, numbered(fmt.Sprintf("b%d-", i), 10), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	}
	topic := newTopic(t, c)
	for name, k := range map[string]struct {
		from, to    int64
		begin, next int64
		first, last string
	}{
		"all":                   {0, 100, 0, 100, "b0-0", "b9-9"},
		"whole batches":         {20, 40, 20, 40, "b2-0", "b3-9"},
		"into a batch":          {20, 35, 20, 35, "b2-0", "b3-4"},
		"out of a batch":        {27, 40, 20, 40, "b2-0", "b3-9"},
		"one record":            {55, 56, 50, 56, "b5-0", "b5-5"},
		"nothing":               {50, 50, 50, 50, "", ""},
		"more than there is":    {95, 200, 90, 100, "b9-0", "b9-9"},
		"behind all that there": {150, 200, 150, 150, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			s, err := topic.Read(within(t), 1, k.from, k.to, func(r *Record) bool {
				got = append(got, string(r.Value))
				return true
			})
			if err != nil || s.From != k.begin || s.Next != k.next || int64(len(got)) != s.Next-s.From {
				t.Fatalf("covered %+v with %d records, %v", s, len(got), err)
			}
			if len(got) > 0 && (got[0] != k.first || got[len(got)-1] != k.last || s.Bytes == 0) {
				t.Errorf("from %s to %s, %d bytes", got[0], got[len(got)-1], s.Bytes)
			}
		})
	}
}

func TestTopicReadEndsWhenTold(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, testTopic))
	produce(t, c, 0, numbered("v", 20))
	n := 0
	s, err := newTopic(t, c).Read(within(t), 0, 0, 20, func(*Record) bool { n++; return n < 7 })
	if err != nil || n != 7 || s.Next != 7 {
		t.Errorf("%d records, covered %+v, %v", n, s, err)
	}
}

// What retention takes away while it is being looked for is passed over.
func TestTopicReadBeforeTheStart(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, testTopic))
	produce(t, c, 0, numbered("v", 10))
	produce(t, c, 0, numbered("w", 10))
	var gone kadm.Offsets
	gone.AddOffset(testTopic, 0, 10, -1)
	if _, err := admin(t, c).DeleteRecords(within(t), gone); err != nil {
		t.Fatal(err)
	}
	var got []string
	s, err := newTopic(t, c).Read(within(t), 0, 5, 15, func(r *Record) bool {
		got = append(got, string(r.Value))
		return true
	})
	if err != nil || !slices.Equal(got, numbered("w", 5)) || s.Next != 15 {
		t.Errorf("read %v, covered %+v, %v", got, s, err)
	}
}

// Records of transactions that were aborted or are still open are not read.
func TestTopicReadsCommittedRecords(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, testTopic))
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("t"), kgo.DefaultProduceTopic(testTopic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range numbered(fmt.Sprintf("%v-", end), 3) {
			cl.Produce(within(t), kgo.StringRecord(v), nil)
		}
		if err := errors.Join(cl.Flush(within(t)), cl.EndTransaction(within(t), end)); err != nil {
			t.Fatal(err)
		}
	}
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(within(t), kgo.StringRecord("open")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	topic := newTopic(t, c)
	extents, err := topic.Extents(within(t))
	if err != nil || extents[0].End != 12 {
		t.Fatalf("extents %v, %v", extents, err)
	}
	var got []string
	if _, err := topic.Read(within(t), 0, 0, extents[0].End, func(r *Record) bool {
		got = append(got, string(r.Value))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	want := append(numbered(fmt.Sprintf("%v-", kgo.TryCommit), 3), numbered(fmt.Sprintf("%v-", kgo.TryCommit), 3)...)
	if !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

func TestTopicThatIsNotThere(t *testing.T) {
	c := newCluster(t)
	_, err := newTopic(t, c).Extents(within(t))
	var known *Error
	if !errors.As(err, &known) || known.Kind != ErrTopicMissing {
		t.Errorf("error %v", err)
	}
	names, err := admin(t, c).ListTopics(within(t))
	if err != nil || names.Has(testTopic) {
		t.Errorf("looking made the topic: %v, %v", names.Names(), err)
	}
}

// Looking into a topic leaves no trace: no group, no offset.
func TestTopicLeavesGroupsAlone(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, testTopic))
	produce(t, c, 0, numbered("v", 10))
	topic := newTopic(t, c)
	if _, err := topic.Extents(within(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := topic.Read(within(t), 0, 0, 10, func(*Record) bool { return true }); err != nil {
		t.Fatal(err)
	}
	groups, err := admin(t, c).ListGroups(within(t))
	if err != nil || len(groups) != 0 {
		t.Errorf("groups %v, %v", groups.Groups(), err)
	}
}

func TestTopicOfNoBroker(t *testing.T) {
	checkLeaks(t)
	k := Connect(KafkaOptions{Brokers: []string{"127.0.0.1:1"}, Logger: testLogger(t), DialTimeout: time.Second})
	topic := k.Topic(testTopic)
	_, err := topic.Extents(within(t))
	var known *Error
	if !errors.As(err, &known) || known.Kind != ErrUnreachable || !strings.Contains(err.Error(), "looking for the topic") {
		t.Errorf("error %v", err)
	}
	topic.Close()
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}
