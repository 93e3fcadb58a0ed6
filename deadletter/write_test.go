package deadletter

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestWriteRoundTrip(t *testing.T) {
	c := cluster(t)
	topic := open(t, client(t, c, ""))
	want := letters(50, 3000)
	want[7].Body, want[7].BodySize = []byte{}, 0
	want[8].Body, want[8].BodyOmitted, want[8].BodySize = nil, true, 20<<20
	// Not ensured first: Write does it.
	if err := topic.Write(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got := map[ID]Letter{}
	for _, m := range read(t, c, len(want)) {
		l, err := Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		got[l.ID()] = l
	}
	for i := range want {
		g := got[want[i].ID()]
		if !bytes.Equal(g.Body, want[i].Body) || g.BodySize != want[i].BodySize || g.BodyOmitted != want[i].BodyOmitted || g.Error != want[i].Error {
			t.Errorf("letter %d: got %+v", i, g)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d letters, want %d", len(got), len(want))
	}
}

func TestTombstoneMeetsItsLetter(t *testing.T) {
	c := cluster(t)
	topic := open(t, client(t, c, ""))
	all := letters(20, 10)
	if err := topic.Write(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	keys := make([]string, len(all))
	for i := range all {
		keys[i] = all[i].ID().String()
	}
	if err := topic.Tombstone(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
	partition := map[string]int{}
	tombstones := 0
	for _, m := range read(t, c, 2*len(all)) {
		key := string(m.Key)
		if _, err := Decode(m); errors.Is(err, ErrTombstone) {
			tombstones++
			if p, ok := partition[key]; !ok || p != m.Partition {
				t.Errorf("the tombstone of %s is in partition %d, its letter in %d (seen %v)", key, m.Partition, p, ok)
			}
			continue
		}
		partition[key] = m.Partition
	}
	if tombstones != len(all) {
		t.Errorf("%d tombstones, want %d", tombstones, len(all))
	}
	if err := topic.Tombstone(t.Context(), "no key of ours"); kindOf(t, err) != Refused {
		t.Errorf("a strange key: %v", err)
	}
}

func TestTooLargeGoesWithoutItsBody(t *testing.T) {
	c := cluster(t)
	k := client(t, c, "")
	create(t, k, topicName, map[string]string{"cleanup.policy": "compact", "max.message.bytes": "20000"})
	topic := open(t, k)
	all := letters(30, 2000)
	// What compression cannot make fit.
	incompressible := make([]byte, 60_000)
	state := uint32(1)
	for i := range incompressible {
		state = state*1664525 + 1013904223
		incompressible[i] = byte(state >> 24)
	}
	all[11].Body, all[11].BodySize = incompressible, len(incompressible)
	if err := topic.Write(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for _, m := range read(t, c, len(all)) {
		l, err := Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		large := l.Source.Offset == 11
		if l.BodyOmitted != large {
			t.Errorf("letter %d: body omitted %v", l.Source.Offset, l.BodyOmitted)
		}
		if large && (l.BodySize != len(incompressible) || l.Body != nil || l.Source != all[11].Source) {
			t.Errorf("letter without its body: %+v", l)
		}
	}
}

// A batch that is too large as a whole is halved, whatever limit was assumed.
func TestTooLargeBatchIsHalved(t *testing.T) {
	c := cluster(t)
	k := client(t, c, "")
	create(t, k, topicName, map[string]string{"cleanup.policy": "compact"})
	topic := open(t, k)
	if err := topic.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	requests, refused := 0, 0
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		requests++
		produce := r.(*kmsg.ProduceRequest)
		var batch kmsg.RecordBatch
		if err := batch.ReadFrom(produce.Topics[0].Partitions[0].Records); err != nil {
			return nil, err, true
		}
		if batch.NumRecords <= 4 {
			return nil, nil, false
		}
		refused++
		return produceAnswer(produce, kerr.MessageTooLarge.Code), nil, true
	})
	all := letters(32, 100)
	if err := topic.Write(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if refused == 0 || requests <= refused {
		t.Errorf("%d requests, %d refused", requests, refused)
	}
	seen := map[string]bool{}
	for _, m := range read(t, c, len(all)) {
		l, err := Decode(m)
		if err != nil || l.BodyOmitted {
			t.Fatalf("letter %+v, error %v", l, err)
		}
		seen[string(m.Key)] = true
	}
	if len(seen) != len(all) {
		t.Errorf("%d letters, want %d", len(seen), len(all))
	}
}

func produceAnswer(r *kmsg.ProduceRequest, code int16) *kmsg.ProduceResponse {
	answer := r.ResponseKind().(*kmsg.ProduceResponse)
	for _, rt := range r.Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic = rt.Topic
		for _, rp := range rt.Partitions {
			partition := kmsg.NewProduceResponseTopicPartition()
			partition.Partition, partition.ErrorCode = rp.Partition, code
			topic.Partitions = append(topic.Partitions, partition)
		}
		answer.Topics = append(answer.Topics, topic)
	}
	return answer
}

// Nothing is claimed durable that a broker did not acknowledge, and what time
// mends is tried again.
func TestBrokerErrors(t *testing.T) {
	for name, c := range map[string]struct {
		code  int16
		times int // that the broker answers so, -1: always
		kind  Kind
		again bool // tried more than once
	}{
		"leader moves":         {kerr.NotLeaderForPartition.Code, 2, "", true},
		"replicas short once":  {kerr.NotEnoughReplicas.Code, 1, "", true},
		"replicas short":       {kerr.NotEnoughReplicasAfterAppend.Code, -1, Unavailable, true},
		"not replicated":       {kerr.RequestTimedOut.Code, -1, Unavailable, true},
		"no right":             {kerr.TopicAuthorizationFailed.Code, -1, Forbidden, false},
		"timestamp refused":    {kerr.InvalidTimestamp.Code, -1, Refused, false},
		"too large, even bare": {kerr.MessageTooLarge.Code, -1, Refused, true},
	} {
		t.Run(name, func(t *testing.T) {
			cl := cluster(t)
			topic := open(t, client(t, cl, ""))
			if err := topic.Ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			topic.options.RetryFor = 10 * time.Second // it ends with the first success or the final refusal
			if c.kind == Unavailable {
				topic.options.RetryFor = 2 * time.Second // nothing else ends it
			}
			requests := 0
			cl.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
				cl.KeepControl()
				produce := r.(*kmsg.ProduceRequest)
				if produce.Acks != -1 {
					t.Errorf("acks %d", produce.Acks)
				}
				if produce.TimeoutMillis < 10_000 {
					t.Errorf("the broker has %d ms to replicate", produce.TimeoutMillis)
				}
				requests++
				if c.times >= 0 && requests > c.times {
					return nil, nil, false
				}
				return produceAnswer(produce, c.code), nil, true
			})
			err := topic.Write(t.Context(), letters(1, 10))
			if c.kind == "" {
				if err != nil {
					t.Fatal(err)
				}
				if len(read(t, cl, 1)) != 1 {
					t.Error("not written")
				}
				return
			}
			if got := kindOf(t, err); got != c.kind {
				t.Errorf("kind %s, want %s: %v", got, c.kind, err)
			}
			if (requests > 1) != c.again {
				t.Errorf("%d requests", requests)
			}
		})
	}
}

func TestBrokerDown(t *testing.T) {
	c := cluster(t)
	topic := open(t, client(t, c, ""))
	if err := topic.Write(t.Context(), letters(1, 10)); err != nil {
		t.Fatal(err)
	}
	fresh := open(t, client(t, c, ""))
	c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := topic.Write(ctx, letters(1, 10))
	if kindOf(t, err) != Unavailable || !strings.Contains(err.Error(), topicName) {
		t.Errorf("error %v", err)
	}
	if err := fresh.Ensure(ctx); kindOf(t, err) != Unavailable {
		t.Errorf("error %v", err)
	}
}

func TestContextEnds(t *testing.T) {
	c := cluster(t)
	topic := open(t, client(t, c, ""))
	if err := topic.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		cancel()
		return produceAnswer(r.(*kmsg.ProduceRequest), kerr.NotEnoughReplicas.Code), nil, true
	})
	err := topic.Write(ctx, letters(1, 10))
	if !errors.Is(err, context.Canceled) || kindOf(t, err) != Unavailable {
		t.Errorf("error %v", err)
	}
}

func TestTopicDeletedAndMadeAgain(t *testing.T) {
	c := cluster(t)
	k := client(t, c, "")
	topic := open(t, k)
	topic.options.RetryFor = 5 * time.Second
	if err := topic.Write(t.Context(), letters(1, 10)); err != nil {
		t.Fatal(err)
	}
	answer, err := k.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{topicName}})
	if err != nil || answer.Errors[topicName] != nil {
		t.Fatal(err, answer)
	}
	if err := topic.Write(t.Context(), letters(3, 10)); err != nil {
		t.Fatal(err)
	}
	if got := settingsOf(t, topic)["cleanup.policy"]; got != "compact" {
		t.Errorf("made again with cleanup.policy %q", got)
	}
	if n := len(read(t, c, 3)); n != 3 {
		t.Errorf("%d letters", n)
	}
}

// The caller's memory is its own again when Write returns, whatever is still
// on its way.
func TestWriteCopiesBodies(t *testing.T) {
	c := cluster(t)
	topic := open(t, client(t, c, ""))
	if err := topic.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := letters(1, 100)
	want := bytes.Clone(all[0].Body)
	if err := topic.Write(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	clear(all[0].Body)
	l, err := Decode(read(t, c, 1)[0])
	if err != nil || !bytes.Equal(l.Body, want) {
		t.Errorf("body %q, error %v", l.Body, err)
	}
}

// Several pipelines share the store, and the first of them finds no topic yet.
func TestWritersShareTheStore(t *testing.T) {
	c := cluster(t)
	topic := open(t, client(t, c, ""))
	topic.options.RetryFor = 10 * time.Second
	var writers sync.WaitGroup
	const each = 10
	for n := range 8 {
		writers.Go(func() {
			own := letters(each, 200)
			for i := range own {
				own[i].Sink = "sink-" + strconv.Itoa(n)
			}
			if err := topic.Write(t.Context(), own); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	seen := map[ID]bool{}
	for _, m := range read(t, c, 8*each) {
		l, err := Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		seen[l.ID()] = true
	}
	if len(seen) != 8*each {
		t.Errorf("%d letters, want %d", len(seen), 8*each)
	}
}
