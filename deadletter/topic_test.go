package deadletter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
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

func TestEnsureCreates(t *testing.T) {
	for _, brokers := range []int{1, 2, 3} {
		t.Run(strconv.Itoa(brokers), func(t *testing.T) {
			c := cluster(t, kfake.NumBrokers(brokers))
			k := client(t, c, "")
			create(t, k, "sessions", map[string]string{"max.message.bytes": "30000000"})
			topic := open(t, k, "sessions", "not-there")
			if err := topic.Ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := settingsOf(t, topic)
			want := map[string]string{
				"cleanup.policy": "compact", "retention.ms": "-1",
				"max.message.bytes": strconv.Itoa(30_000_000 + letterOverhead),
			}
			if brokers >= 3 {
				want["min.insync.replicas"] = "2"
			}
			for name, value := range want {
				if got[name] != value {
					t.Errorf("%s is %q, want %q", name, got[name], value)
				}
			}
			meta, err := k.Metadata(t.Context(), &kafka.MetadataRequest{Topics: []string{topicName}})
			if err != nil {
				t.Fatal(err)
			}
			partitions := meta.Topics[0].Partitions
			if len(partitions) != DefaultPartitions || len(partitions[0].Replicas) != brokers {
				t.Errorf("%d partitions with %d replicas", len(partitions), len(partitions[0].Replicas))
			}
			// What Ensure made is as Ensure wants it.
			again := open(t, k, "sessions")
			if err := again.Ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			if w := again.Warnings(); len(w) != 0 {
				t.Errorf("warnings about an own topic: %v", w)
			}
		})
	}
}

func TestEnsureNamesWrongSettings(t *testing.T) {
	big := strconv.Itoa(largestSession + letterOverhead)
	for name, c := range map[string]struct {
		settings map[string]string
		want     []string // the settings that are warned about
	}{
		"as it should be":    {map[string]string{"cleanup.policy": "compact", "retention.ms": "-1", "max.message.bytes": big}, nil},
		"kafka's defaults":   {nil, []string{"cleanup.policy", "max.message.bytes", "retention.ms"}},
		"compact and delete": {map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "604800000", "max.message.bytes": big}, []string{"retention.ms"}},
		"delete, by size":    {map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "1000000", "max.message.bytes": big}, []string{"cleanup.policy", "retention.bytes"}},
		"delete, never":      {map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": big}, []string{"cleanup.policy"}},
		"small":              {map[string]string{"cleanup.policy": "compact", "max.message.bytes": "1000000"}, []string{"max.message.bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := client(t, cluster(t), "")
			create(t, k, topicName, c.settings)
			topic := open(t, k)
			if err := topic.Ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range topic.Warnings() {
				got = append(got, w.Setting)
				if w.Effect == "" || w.Want == "" || !strings.Contains(w.String(), w.Setting) {
					t.Errorf("warning %+v says too little", w)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("warned about %v, want %v", got, c.want)
			}
		})
	}
}

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
			if c.kind == "" {
				topic.options.RetryFor = 10 * time.Second // it ends with the first success
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

// grants are rights on the topic of the letters.
func grants(operations ...kmsg.ACLOperation) []kfake.ACL {
	var all []kfake.ACL
	for _, o := range operations {
		all = append(all, kfake.ACL{
			Resource: kmsg.ACLResourceTypeTopic, Name: topicName,
			Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: o, Allow: true,
		})
	}
	return all
}

func TestLeastRights(t *testing.T) {
	for name, c := range map[string]struct {
		rights   []kfake.ACL
		exists   bool
		kind     Kind
		hint     string
		warnings int
	}{
		"write, describe and configs":    {grants(kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs), true, "", "", 0},
		"write and describe":             {grants(kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe), true, "", "", 1},
		"describe alone":                 {grants(kmsg.ACLOperationDescribe), true, Forbidden, "WRITE", 1},
		"nothing, exists":                {nil, true, Forbidden, "grant DESCRIBE and WRITE", 0},
		"nothing, is not there":          {nil, false, Forbidden, "cleanup.policy=compact", 0},
		"no create, is not there":        {grants(kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe), false, Forbidden, "cleanup.policy=compact", 0},
		"create on the topic, not there": {grants(kmsg.ACLOperationCreate, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe), false, "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			cl := cluster(t, kfake.EnableSASL(), kfake.EnableACLs(),
				kfake.Superuser("PLAIN", "admin", "pw"), kfake.User("PLAIN", "exporter", "pw", c.rights...))
			if c.exists {
				create(t, client(t, cl, "admin"), topicName, map[string]string{
					"cleanup.policy": "compact", "max.message.bytes": strconv.Itoa(largestSession + letterOverhead),
				})
			}
			topic := open(t, client(t, cl, "exporter"))
			err := topic.Write(t.Context(), letters(1, 10))
			if len(topic.Warnings()) != c.warnings {
				t.Errorf("warnings %v", topic.Warnings())
			}
			if c.kind == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if kindOf(t, err) != c.kind || !strings.Contains(err.Error(), c.hint) {
				t.Errorf("error %v, want %s with a hint at %q", err, c.kind, c.hint)
			}
			if strings.Contains(err.Error(), "pw") {
				t.Errorf("the password shows: %v", err)
			}
		})
	}
}

func TestInspectJudgesNothingUnknown(t *testing.T) {
	if w := inspect(map[string]string{}, 1); len(w) != 0 {
		t.Errorf("warnings %v", w)
	}
	w := inspect(map[string]string{"unclean.leader.election.enable": "true"}, 1)
	if len(w) != 1 || w[0].Setting != "unclean.leader.election.enable" {
		t.Errorf("warnings %v", w)
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

func ExampleWarning_String() {
	settings := map[string]string{"cleanup.policy": "delete", "retention.ms": "604800000"}
	for _, w := range inspect(settings, 0) {
		fmt.Println(w)
	}
	// Output:
	// cleanup.policy is "delete", should be "compact": a letter that is written twice stays twice, and redriven letters are not removed
	// retention.ms is "604800000", should be "-1": letters are deleted after that time, redriven or not
}
