package trial

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/consumer"
	"sessionexport/sinks/sinktest"
)

// broker is an embedded broker with a topic of sessions.
type broker struct {
	client *kgo.Client
	admin  *kadm.Client
	log    *consumer.Topic
}

func newBroker(t *testing.T, partitions int32) *broker {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "sessions"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("sessions"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	kafka := consumer.Connect(consumer.KafkaOptions{Brokers: cluster.ListenAddrs(), Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = kafka.Close() })
	b := &broker{client: client, admin: kadm.NewClient(client), log: kafka.Topic("sessions")}
	t.Cleanup(b.log.Close)
	return b
}

// write produces n sessions that end now, spread over the partitions.
func (b *broker) write(t *testing.T, n int, partitions int, application func(i int) string) {
	t.Helper()
	begin := time.Now().Add(-time.Duration(n) * time.Second)
	for i := range n {
		at := begin.Add(time.Duration(i) * time.Second)
		r := record(i, at.Add(-time.Second), at, application(i))
		b.client.Produce(t.Context(), &kgo.Record{Partition: int32(i % partitions), Value: r.Value, Timestamp: at}, nil)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := b.client.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// The groups of the broker with their offsets, in words.
func (b *broker) groups(t *testing.T) string {
	t.Helper()
	groups, err := b.admin.ListGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, g := range groups.Sorted() {
		offsets, err := b.admin.FetchOffsets(t.Context(), g.Group)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, g.Group, g.State, offsets.Offsets().Sorted())
	}
	return all.String()
}

// A test and a sample read from a real topic, and leave every group as it was.
func TestTrialLeavesGroupsAlone(t *testing.T) {
	b := newBroker(t, 3)
	b.write(t, 3000, 3, shop)
	var committed kadm.Offsets
	committed.AddOffset("sessions", 0, 17, -1)
	committed.AddOffset("sessions", 2, 4, -1)
	if err := b.admin.CommitAllOffsets(t.Context(), "session-export.tried", committed); err != nil {
		t.Fatal(err)
	}
	before := b.groups(t)
	if !strings.Contains(before, "17") {
		t.Fatalf("groups %s", before)
	}
	r := sinktest.New(t, sinktest.Options{})
	e := setup{url: on(r, "/in"), zone: "7"}.export(t, r.Authority)
	report := try(t, e, b.log, nil)
	if !report.Delivered || report.Sessions != 50 || report.Search.Cut {
		t.Errorf("report %+v", report)
	}
	for i, s := range r.Requests()[0].Sessions {
		if !strings.HasPrefix(s.Key, fmt.Sprintf("t-s%d-", 2999-i)) {
			t.Fatalf("session %d is %s", i, s.Key)
		}
	}
	var out bytes.Buffer
	if _, err := WriteSample(t.Context(), &out, SampleOptions{Log: b.log, Export: e}); err != nil {
		t.Fatal(err)
	}
	if after := b.groups(t); after != before {
		t.Errorf("groups before:\n%safter:\n%s", before, after)
	}
}

// In a long topic only its end is read, and a search for what is rare ends.
func TestSearchReadsTheEndOfALongTopic(t *testing.T) {
	b := newBroker(t, 4)
	b.write(t, 60_000, 4, func(i int) string {
		if i < 4 {
			return "Shop"
		}
		return "Other"
	})
	r := sinktest.New(t, sinktest.Options{})
	report := try(t, setup{url: on(r, "/in")}.export(t, r.Authority), b.log, nil)
	// How many records a batch of the producer holds depends on its haste: far fewer than all is what counts.
	if !report.Delivered || report.Search.Records > 30_000 {
		t.Errorf("report %+v", report.Search)
	}
	report = try(t, setup{url: on(r, "/in"), zone: "7"}.export(t, r.Authority), b.log, func(o *TestOptions) { o.Records = 20_000 })
	text, _ := renderings(t, report)
	if report.Verdict != NoSessions || !report.Search.Cut || !strings.Contains(text, "the search stopped at its bounds (20000 records, 64.0 MiB), at records written ") {
		t.Errorf("report %+v\n%s", report.Search, text)
	}
	// Records of a batch that was fetched anyway are looked at beyond the bound.
	if n := report.Search.Records; n < 20_000 || n > 60_000 {
		t.Errorf("%d records", n)
	}
}
