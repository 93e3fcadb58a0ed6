package demo

import (
	"context"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func startBroker(t *testing.T, o BrokerOptions) *Broker {
	t.Helper()
	b, err := StartBroker(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// read returns the values of n records of the topic, by their keys.
func read(t *testing.T, b *Broker, n int) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.ConsumeTopics(b.Topic()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	values := map[string]string{}
	for len(values) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values[string(r.Key)] = string(r.Value) })
	}
	return values
}

func TestProduceWritesTheGeneratorsSessions(t *testing.T) {
	b := startBroker(t, BrokerOptions{})
	var last atomic.Int64
	n, err := Produce(t.Context(), ProduceOptions{
		Brokers: []string{b.Addr()}, Topic: b.Topic(), Seed: 5, First: 100, Count: 700,
		Progress: func(n int) { last.Store(max(last.Load(), int64(n))) },
	})
	if err != nil || n != 700 || last.Load() != 700 {
		t.Fatalf("produced %d, progress %d, error %v; want 700 and none", n, last.Load(), err)
	}
	g := NewGenerator(5)
	values := read(t, b, 700)
	if len(values) != 700 {
		t.Fatalf("the topic holds %d sessions, want 700", len(values))
	}
	for i := 100; i < 800; i++ {
		if values[string(g.AppendID(nil, i))] != string(g.Append(nil, i)) {
			t.Fatalf("session %d is not in the topic as it was made", i)
		}
	}
}

func TestProduceStopsWithItsContext(t *testing.T) {
	b := startBroker(t, BrokerOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, err := Produce(ctx, ProduceOptions{
		Brokers: []string{b.Addr()}, Topic: b.Topic(), Rate: 1e6,
		Progress: func(n int) {
			if n >= 50 {
				cancel()
			}
		},
	})
	if err != nil || n < 50 {
		t.Fatalf("produced %d, error %v; want at least 50 and none", n, err)
	}
	if got := len(read(t, b, n)); got != n {
		t.Errorf("the topic holds %d sessions, Produce says %d", got, n)
	}
}

func TestProduceSaysWhatIsWrong(t *testing.T) {
	b := startBroker(t, BrokerOptions{})
	for name, o := range map[string]ProduceOptions{
		"codec": {Topic: b.Topic(), Compression: "rar", Count: 1},
		"topic": {Topic: "absent", Count: 1},
	} {
		o.Brokers = []string{b.Addr()}
		if n, err := Produce(t.Context(), o); err == nil || n != 0 {
			t.Errorf("%s: produced %d without an error", name, n)
		}
	}
}

func TestPaceIsEven(t *testing.T) {
	p := newPace(1_000)
	p.began = time.Now().Add(-time.Second)
	if err := p.wait(t.Context(), 1_000); err != nil || p.timer != nil {
		t.Errorf("session 1,000 waits after a second, error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.wait(ctx, 1_000_000); err == nil {
		t.Error("waits in spite of the context")
	}
}

func TestTrimKeepsWhatAGroupStillNeeds(t *testing.T) {
	b := startBroker(t, BrokerOptions{Topic: "few", Partitions: 1})
	ctx := t.Context()
	if _, err := Produce(ctx, ProduceOptions{Brokers: []string{b.Addr()}, Topic: "few", Count: 100}); err != nil {
		t.Fatal(err)
	}
	commit := func(group string, at int64) {
		t.Helper()
		var o kadm.Offsets
		o.AddOffset("few", 0, at, -1)
		if err := b.admin.CommitAllOffsets(ctx, group, o); err != nil {
			t.Fatal(err)
		}
	}
	start := func() int64 {
		t.Helper()
		l, err := b.admin.ListStartOffsets(ctx, "few")
		if err != nil {
			t.Fatal(err)
		}
		o, _ := l.Lookup("few", 0)
		return o.Offset
	}
	for _, step := range []struct {
		a, b, start, backlog int64
	}{{40, -1, 0, 100}, {40, 30, 30, 70}, {100, 90, 90, 10}, {100, 90, 90, 10}, {100, 100, 100, 0}} {
		commit("a", step.a)
		if step.b >= 0 {
			commit("b", step.b)
		}
		if err := b.Trim(ctx, "a", "b"); err != nil {
			t.Fatal(err)
		}
		backlog, err := b.Backlog(ctx, "a", "b")
		if err != nil {
			t.Fatal(err)
		}
		if got := start(); got != step.start || backlog != step.backlog {
			t.Errorf("after commits %d and %d the log starts at %d with a backlog of %d, want %d and %d", step.a, step.b, got, backlog, step.start, step.backlog)
		}
	}
}

func TestReadyHoldsTheProducerBack(t *testing.T) {
	b := startBroker(t, BrokerOptions{Topic: "few", Partitions: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	commit := func(at int64) {
		var o kadm.Offsets
		o.AddOffset("few", 0, at, -1)
		if err := b.admin.CommitAllOffsets(ctx, "a", o); err != nil {
			t.Error(err)
		}
	}
	ready := b.Ready(10, "a")
	if err := ready(ctx); err != nil {
		t.Fatalf("an empty topic holds back: %v", err)
	}
	if _, err := Produce(ctx, ProduceOptions{Brokers: []string{b.Addr()}, Topic: "few", Count: 30}); err != nil {
		t.Fatal(err)
	}
	released := make(chan error)
	go func() { released <- ready(ctx) }()
	commit(19)
	select {
	case err := <-released:
		t.Fatalf("released with a backlog of 11, error %v", err)
	case <-time.After(60 * time.Millisecond): // three looks at the backlog
	}
	commit(20)
	if err := <-released; err != nil {
		t.Fatal(err)
	}
	commit(0)
	go func() { released <- ready(ctx) }()
	cancel()
	if err := <-released; err == nil {
		t.Error("released with a backlog of 30")
	}
}

func TestBrokerRemovesItsFolder(t *testing.T) {
	b, err := StartBroker(BrokerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.remove); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.remove); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}
