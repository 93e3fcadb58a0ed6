//go:build services

package services

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"sessionexport/consumer"
)

// place is where a record stands.
type place struct {
	partition int32
	offset    int64
}

// reader is one member of a group that keeps what it reads and marks it as finished at once.
type reader struct {
	member *consumer.Member
	stop   func()

	mu      sync.Mutex
	values  map[place]string
	again   int           // records that came a second time
	last    time.Time     // when the latest record came
	gap     time.Duration // the longest time between two fetches with records since resetGap
	ordered bool          // no partition ever went back to an offset that was not read before
	next    map[int32]int64
}

// connect opens the exporter's own connection to a cluster.
func connect(t *testing.T, o consumer.KafkaOptions) *consumer.Kafka {
	t.Helper()
	o.Logger = testLogger(t)
	connection := consumer.Connect(o)
	t.Cleanup(func() {
		if err := connection.Close(); err != nil {
			t.Error(err)
		}
	})
	return connection
}

// startReader starts a member that reads a topic from its beginning, until the test or stop ends it.
func startReader(t *testing.T, k *consumer.Kafka, topic, group string) *reader {
	t.Helper()
	r := &reader{values: map[place]string{}, ordered: true, next: map[int32]int64{}}
	r.member = consumer.NewMember(consumer.Options{
		Kafka:  k,
		Topic:  topic,
		Group:  group,
		Start:  consumer.Start{Kind: consumer.Earliest},
		Logger: testLogger(t),
		Revoke: func(context.Context, []consumer.Claim) {}, // a fetch is finished before the next is taken
		Lost:   func([]consumer.Claim) {},
		Notice: func(n consumer.Notice) { t.Logf("notice: %+v", n) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.member.Run(ctx) }()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for {
			select {
			case f := <-r.member.Fetches():
				r.take(f)
			case <-ctx.Done():
				return
			}
		}
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("running a member: %v", err)
		}
		<-drained
	})
	t.Cleanup(r.stop)
	return r
}

func (r *reader) take(f *consumer.Fetch) {
	defer f.Release()
	claim := f.Claim()
	var record consumer.Record
	r.mu.Lock()
	defer r.mu.Unlock()
	for f.Next(&record) {
		at := place{claim.Partition, record.Offset}
		value := string(record.Value)
		if before, twice := r.values[at]; twice {
			r.again++
			if before != value {
				value = fmt.Sprintf("%q at first and then %q", before, value)
			}
		} else if record.Offset < r.next[claim.Partition] {
			r.ordered = false
		}
		r.values[at] = value
		r.next[claim.Partition] = max(r.next[claim.Partition], record.Offset+1)
		now := time.Now()
		if !r.last.IsZero() {
			r.gap = max(r.gap, now.Sub(r.last))
		}
		r.last = now
	}
	r.member.Mark(claim, f.Position())
}

// read returns what was read so far.
func (r *reader) read() map[place]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.values)
}

func (r *reader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.values)
}

// quiet returns the longest time without a record since it was called last, the time up to now included.
func (r *reader) quiet() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	gap := max(r.gap, now.Sub(r.last))
	r.gap, r.last = 0, now
	return gap
}

// finished reports whether the group has committed every partition's end, whatever kind of records stand before it.
func finished(t *testing.T, admin *kadm.Client, topic, group string) bool {
	t.Helper()
	ctx := testContext(t)
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	commits, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return false // the coordinator may be on its way
	}
	all := len(ends[topic]) > 0
	for partition, end := range ends[topic] {
		commit, found := commits.Lookup(topic, partition)
		all = all && end.Err == nil && found && commit.At == end.Offset
	}
	return all
}

// sameRecords compares what was read with what had to be.
func sameRecords(t *testing.T, got, want map[place]string) {
	t.Helper()
	const shown = 10 // differences of each kind
	var missing, wrong, extra []string
	for at, value := range want {
		if read, found := got[at]; !found {
			missing = append(missing, fmt.Sprintf("%v %.40q", at, value))
		} else if read != value {
			wrong = append(wrong, fmt.Sprintf("%v %.40q, want %.40q", at, read, value))
		}
	}
	for at, value := range got {
		if _, found := want[at]; !found {
			extra = append(extra, fmt.Sprintf("%v %.40q", at, value))
		}
	}
	if len(missing)+len(wrong)+len(extra) == 0 {
		return
	}
	t.Errorf("read %d records, want %d", len(got), len(want))
	for kind, list := range map[string][]string{"missing": missing, "wrong": wrong, "not to be read": extra} {
		slices.Sort(list)
		t.Errorf("%s: %d, among them %v", kind, len(list), list[:min(len(list), shown)])
	}
}

// testLogger writes to the test's log.
func testLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}
