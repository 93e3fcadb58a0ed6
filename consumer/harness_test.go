package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

const (
	testTopic = "records"
	testGroup = "readers"
	patience  = 10 * time.Second // far beyond what any step takes
)

// newCluster starts an embedded broker and checks that nothing of the test
// outlives it.
func newCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	checkLeaks(t)
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(50 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func checkLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

func connect(t *testing.T, c *kfake.Cluster, change ...func(*KafkaOptions)) *Kafka {
	t.Helper()
	o := KafkaOptions{Brokers: c.ListenAddrs(), Logger: testLogger(t)}
	for _, f := range change {
		f(&o)
	}
	k := Connect(o)
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// testLogger writes to the test's log until the test is over.
func testLogger(t *testing.T) *slog.Logger {
	t.Helper()
	w := &testWriter{t: t}
	t.Cleanup(w.close)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct {
	t  *testing.T
	mu sync.Mutex
}

func (w *testWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.t != nil {
		w.t.Logf("%s", b)
	}
	return len(b), nil
}

func (w *testWriter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t = nil
}

// produce writes values to a partition, one batch for each call, and returns
// the offset of the first.
func produce(t *testing.T, c *kfake.Cluster, partition int32, values []string, opts ...kgo.Opt) int64 {
	t.Helper()
	records := make([]*kgo.Record, 0, len(values))
	for _, v := range values {
		records = append(records, &kgo.Record{Topic: testTopic, Partition: partition, Value: []byte(v)})
	}
	return produceRecords(t, c, records, opts...)
}

func produceRecords(t *testing.T, c *kfake.Cluster, records []*kgo.Record, opts ...kgo.Opt) int64 {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(time.Millisecond),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return records[0].Offset
}

// numbered returns n values with a prefix.
func numbered(prefix string, n int) []string {
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return values
}

// got is a record as a harness saw it.
type got struct {
	Value     string
	Offset    int64
	Partition int32
	Epoch     uint32
	TooLarge  int
	Tombstone bool
}

// harness runs a member and reads what it hands out.
type harness struct {
	*Member
	t       *testing.T
	cancel  context.CancelFunc
	changed signal
	done    chan struct{}
	err     error

	mu      sync.Mutex
	records []got
	notices []Notice
	revoked [][]Claim
	lost    [][]Claim
	fetches int
	hold    bool // do not mark
}

// testOptions are quick enough for tests.
func testOptions(t *testing.T, k *Kafka) Options {
	t.Helper()
	return Options{
		Kafka: k, Topic: testTopic, Group: testGroup, Start: Start{Kind: Earliest}, Logger: testLogger(t),
		SessionTimeout: 6 * time.Second, Heartbeat: 20 * time.Millisecond, RebalanceTimeout: 2 * time.Second,
		RevokeTimeout: time.Second, CommitInterval: 200 * time.Millisecond, LeaveTimeout: 2 * time.Second,
		MaxWait: 50 * time.Millisecond, AnswerTimeout: time.Second, RetryInterval: 100 * time.Millisecond,
		CorruptRetry: 300 * time.Millisecond, WatermarkAge: 100 * time.Millisecond,
	}
}

func start(t *testing.T, o Options, change ...func(*harness)) *harness {
	t.Helper()
	h := &harness{t: t, done: make(chan struct{})}
	revoke, lost, notice := o.Revoke, o.Lost, o.Notice
	o.Revoke = func(ctx context.Context, claims []Claim) {
		h.note(func() { h.revoked = append(h.revoked, claims) })
		if revoke != nil {
			revoke(ctx, claims)
		}
	}
	o.Lost = func(claims []Claim) {
		h.note(func() { h.lost = append(h.lost, claims) })
		if lost != nil {
			lost(claims)
		}
	}
	o.Notice = func(n Notice) {
		h.note(func() { h.notices = append(h.notices, n) })
		if notice != nil {
			notice(n)
		}
	}
	h.Member = NewMember(o)
	for _, f := range change {
		f(h)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	h.cancel = cancel
	go func() {
		h.err = h.Run(ctx)
		close(h.done)
	}()
	read := make(chan struct{})
	go func() {
		defer close(read)
		for {
			select {
			case f := <-h.Fetches():
				h.read(f)
			case <-h.done:
				for len(h.Fetches()) > 0 {
					(<-h.Fetches()).Release()
				}
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-h.done
		<-read
	})
	return h
}

func (h *harness) read(f *Fetch) {
	var r Record
	var records []got
	for f.Next(&r) {
		records = append(records, got{
			Value: string(r.Value), Offset: r.Offset, Partition: f.Claim().Partition, Epoch: f.Claim().Epoch,
			TooLarge: r.TooLarge, Tombstone: r.Value == nil && r.TooLarge == 0,
		})
	}
	position := f.Position()
	f.Release()
	h.note(func() {
		h.records = append(h.records, records...)
		h.fetches++
		if !h.hold {
			h.Mark(f.Claim(), position)
		}
	})
}

func (h *harness) note(f func()) {
	h.mu.Lock()
	f()
	h.mu.Unlock()
	h.changed.broadcast()
}

// stop ends the member and returns what Run returned.
func (h *harness) stop() error {
	h.cancel()
	<-h.done
	return h.err
}

// until waits for a condition that changes with what the harness sees.
func (h *harness) until(what string, ok func() bool) {
	h.t.Helper()
	deadline := time.After(patience)
	for {
		changed := h.changed.wait()
		h.mu.Lock()
		is := ok()
		h.mu.Unlock()
		if is {
			return
		}
		select {
		case <-changed:
		case <-time.After(5 * time.Millisecond): // a status has no signal
		case <-deadline:
			h.t.Fatalf("waited in vain for: %s; status %+v", what, h.Status())
		}
	}
}

func (h *harness) untilRecords(n int) []got {
	h.t.Helper()
	h.until(fmt.Sprintf("%d records", n), func() bool { return len(h.records) >= n })
	return h.seen()
}

func (h *harness) untilStable(partitions int) {
	h.t.Helper()
	h.until(fmt.Sprintf("stable with %d partitions", partitions), func() bool {
		s := h.Status()
		return s.State == StateStable && len(s.Partitions) == partitions
	})
}

func (h *harness) seen() []got {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.records)
}

func (h *harness) noticed(kind NoticeKind) []Notice {
	var found []Notice
	for _, n := range h.notices {
		if n.Kind == kind {
			found = append(found, n)
		}
	}
	return found
}

func (h *harness) partitionStatus(p int32) PartitionStatus {
	for _, s := range h.Status().Partitions {
		if s.Claim.Partition == p {
			return s
		}
	}
	return PartitionStatus{Position: unknown, Marked: unknown, Committed: unknown}
}

// committed asks the cluster for the group's offset; -1 when there is none.
func committed(t *testing.T, c *kfake.Cluster, partition int32) int64 {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = testGroup
	topic := kmsg.NewOffsetFetchRequestTopic()
	topic.Topic, topic.Partitions = testTopic, []int32{partition}
	req.Topics = append(req.Topics, topic)
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = testGroup
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.Topic, gt.Partitions = testTopic, []int32{partition}
	group.Topics = append(group.Topics, gt)
	req.Groups = append(req.Groups, group)
	res, err := req.RequestWith(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range res.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				return p.Offset
			}
		}
	}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			return p.Offset
		}
	}
	return -1
}

// grow gives the topic more partitions.
func grow(t *testing.T, c *kfake.Cluster, partitions int32) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	req := kmsg.NewPtrCreatePartitionsRequest()
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = testTopic, partitions
	req.Topics = append(req.Topics, topic)
	res, err := req.RequestWith(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	if code := res.Topics[0].ErrorCode; code != 0 {
		t.Fatalf("growing the topic: code %d", code)
	}
}
