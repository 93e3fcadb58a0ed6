package consumer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAbortedTransactionsAreNotRead(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, testTopic))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var want []string
	for _, commit := range []bool{true, false, true, false, false, true} {
		cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range numbered("in transaction ", 5) {
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: testTopic, Value: []byte(v)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if commit {
				want = append(want, v)
			}
		}
		if err := cl.EndTransaction(ctx, kgo.TransactionEndTry(commit)); err != nil {
			t.Fatal(err)
		}
		cl.Close()
		produce(t, c, 0, []string{"plain"})
		want = append(want, "plain")
	}
	h := start(t, testOptions(t, connect(t, c)))
	var values []string
	for _, r := range h.untilRecords(len(want)) {
		values = append(values, r.Value)
	}
	if !slices.Equal(values, want) {
		t.Errorf("read %q, want %q", values, want)
	}
	h.until("no lag", func() bool { s := h.partitionStatus(0); return s.Committed > 0 && s.Lag == 0 })
	if s := h.Status(); s.Aborted != 15 || s.ControlBatches != 6 {
		t.Errorf("passed over %d aborted records and %d control batches, want 15 and 6", s.Aborted, s.ControlBatches)
	}
}

func TestLargeRecords(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, testTopic), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "60000000"}))
	sizes := []int{1000, 5 << 20, MaxRecord + 1, 10}
	for _, size := range sizes {
		produce(t, c, 0, []string{strings.Repeat("x", size)}, kgo.ProducerBatchMaxBytes(50_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()),
			kgo.MaxBufferedBytes(100_000_000), kgo.BrokerMaxWriteBytes(60_000_000))
		produce(t, c, 1, []string{"neighbour"})
	}
	o := testOptions(t, connect(t, c))
	o.AnswerTimeout = patience
	h := start(t, o)
	h.untilRecords(2 * len(sizes))
	var seen []got
	for _, r := range h.seen() {
		if r.Partition == 0 {
			seen = append(seen, r)
		}
	}
	for i, size := range sizes {
		r := seen[i]
		if size > MaxRecord {
			if r.TooLarge < size || r.Value != "" || r.Tombstone {
				t.Errorf("record of %d bytes: too large %d, %d bytes", size, r.TooLarge, len(r.Value))
			}
			continue
		}
		if len(r.Value) != size || r.TooLarge != 0 {
			t.Errorf("record of %d bytes: too large %d, %d bytes", size, r.TooLarge, len(r.Value))
		}
	}
	h.until("committed", func() bool { return h.partitionStatus(0).Committed == int64(len(sizes)) })
	h.until("memory given back", func() bool { return h.Status().Held <= largestFetch })
	if s := h.Status(); s.TooLarge != 1 {
		t.Errorf("%d too large", s.TooLarge)
	}
}

// A broker that always has one more record is not asked for each by itself as
// fast as it answers.
func TestFewRecordsAreFetchedTogether(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, testTopic))
	const enough = 100
	var times []time.Time
	reached := make(chan struct{})
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if times = append(times, time.Now()); len(times) == enough {
			close(reached)
		}
		r := req.(*kmsg.FetchRequest)
		offset := r.Topics[0].Partitions[0].FetchOffset
		res := r.ResponseKind().(*kmsg.FetchResponse)
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic = testTopic
		p := kmsg.NewFetchResponseTopicPartition()
		p.HighWatermark, p.LastStableOffset = offset+2, offset+2
		p.RecordBatches = batchOf{base: offset, values: []string{"one"}}.bytes()
		topic.Partitions = append(topic.Partitions, p)
		res.Topics = append(res.Topics, topic)
		return res, nil, true
	})
	h := start(t, testOptions(t, connect(t, c)))
	h.untilRecords(enough)
	select {
	case <-reached:
	case <-t.Context().Done():
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	c.Close()                                                             // no request is looked at any more
	if took := times[enough-1].Sub(times[0]); took < enough/2*fetchPace { // half: the first one may have come late
		t.Errorf("%d fetches within %v, want %v between two", enough, took, fetchPace)
	}
}

// A batch with a wrong checksum stops its partition and no other, is named
// once, and is read as soon as it is sound.
func TestCorruptBatch(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, testTopic))
	produce(t, c, 0, numbered("a", 5))
	mended := make(chan struct{})
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		select {
		case <-mended:
			return nil, nil, false
		default:
		}
		r := req.(*kmsg.FetchRequest)
		if !slices.ContainsFunc(r.Topics[0].Partitions, func(p kmsg.FetchRequestTopicPartition) bool { return p.Partition == 0 && p.FetchOffset == 5 }) {
			return nil, nil, false
		}
		res := r.ResponseKind().(*kmsg.FetchResponse)
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic = testTopic
		p := kmsg.NewFetchResponseTopicPartition()
		p.HighWatermark, p.LastStableOffset = 10, 10
		p.RecordBatches = damage(batchOf{base: 5, values: numbered("b", 5)}.bytes())
		topic.Partitions = append(topic.Partitions, p)
		res.Topics = append(res.Topics, topic)
		return res, nil, true
	})
	h := start(t, testOptions(t, connect(t, c)))
	h.untilRecords(5)
	h.until("corrupt", func() bool { return h.Status().Corrupt >= 2 })
	produce(t, c, 1, numbered("c", 5))
	h.untilRecords(10)
	notices := h.noticed(NoticeCorrupt)
	if len(notices) != 1 || notices[0].Partition != 0 || notices[0].Offset != 5 || !strings.Contains(notices[0].Err.Error(), "checksum") {
		t.Errorf("notices %+v, want one of offset 5", notices)
	}
	if s := h.partitionStatus(0); s.Trouble == "" || s.Position != 5 {
		t.Errorf("status %+v", s)
	}
	h.until("committed up to it", func() bool { return h.partitionStatus(0).Committed == 5 })
	produce(t, c, 0, numbered("b", 5))
	close(mended)
	h.untilRecords(15)
	h.until("no trouble", func() bool { return h.partitionStatus(0).Trouble == "" })
}

// script answers a request with fixed bytes.
type script struct{ io.Reader }

func (script) Write(b []byte) (int, error) { return len(b), nil }

// An answer that is larger than may be held is read to its end, so that the
// connection can be used on, and its beginning is kept.
func TestAnswerThatIsTooLargeToBeHeld(t *testing.T) {
	whole := batchOf{values: []string{strings.Repeat("x", maxKept)}}.bytes()
	var e encoder
	e.int32(0) // length
	e.int32(correlation)
	e.int32(5) // throttle
	e.length(1)
	e.string(testTopic)
	e.length(1)
	e.int32(3)
	e.int16(0)
	e.int64(9)
	e.int64(9)
	e.length(0)
	e.int32(int32(len(whole)))
	e.b = append(e.b, whole...)
	rw := script{bytes.NewReader(append(e.finish(), "next answer"...))}
	req := &fetchRequest{topic: testTopic, version: 4, take: newBuffer}
	msg, err := req.RawExchange(rw)
	if err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(rw); err != nil || string(rest) != "next answer" {
		t.Errorf("left on the connection: %d bytes, %v", len(rest), err)
	}
	res := msg.(*fetchResponse)
	if !res.kept || len(res.answer.b) != maxKept || res.throttle != 5 || len(res.partitions) != 1 {
		t.Fatalf("kept %d bytes, cut %v, %d partitions", len(res.answer.b), res.kept, len(res.partitions))
	}
	lines, next, err := readAll(res.partitions[0].data, 0, nil, res.kept)
	if err != nil || next != 1 || len(lines) != 1 || lines[0] != fmt.Sprintf("0 too large %d", len(whole)) {
		t.Errorf("read %.100q up to %d, %v", lines, next, err)
	}
}
