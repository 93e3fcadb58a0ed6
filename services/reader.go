//go:build services

package services

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"sessionexport/consumer"
)

// Place is where a record stands.
type Place struct {
	Partition int32
	Offset    int64
}

// Reader is one member of a group that keeps what it reads and marks it as finished at once.
type Reader struct {
	Member *consumer.Member
	stop   func()

	mu      sync.Mutex
	values  map[Place]string
	again   int // records that came a second time
	gaps    gaps
	ordered bool // no partition ever went back to an offset that was not read before
	next    map[int32]int64
}

// Connect opens the exporter's own connection to a cluster.
func Connect(tb testing.TB, o consumer.KafkaOptions) *consumer.Kafka {
	tb.Helper()
	o.Logger = Logger(tb)
	connection := consumer.Connect(o)
	tb.Cleanup(func() {
		if err := connection.Close(); err != nil {
			tb.Error(err)
		}
	})
	return connection
}

// StartReader starts a member that reads a topic from its beginning, until the test or stop ends it.
func StartReader(tb testing.TB, k *consumer.Kafka, topic, group string) *Reader {
	tb.Helper()
	r := &Reader{values: map[Place]string{}, ordered: true, next: map[int32]int64{}}
	r.Member = consumer.NewMember(consumer.Options{
		Kafka:  k,
		Topic:  topic,
		Group:  group,
		Start:  consumer.Start{Kind: consumer.Earliest},
		Logger: Logger(tb),
		Revoke: func(context.Context, []consumer.Claim) {}, // a fetch is finished before the next is taken
		Lost:   func([]consumer.Claim) {},
		Notice: func(n consumer.Notice) { tb.Logf("notice: %+v", n) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Member.Run(ctx) }()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for {
			select {
			case f := <-r.Member.Fetches():
				r.take(f)
			case <-ctx.Done():
				return
			}
		}
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("running a member: %v", err)
		}
		<-drained
	})
	tb.Cleanup(r.stop)
	return r
}

func (r *Reader) take(f *consumer.Fetch) {
	defer f.Release()
	claim := f.Claim()
	var record consumer.Record
	r.mu.Lock()
	defer r.mu.Unlock()
	for f.Next(&record) {
		at := Place{claim.Partition, record.Offset}
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
		r.gaps.saw(claim.Partition)
	}
	r.Member.Mark(claim, f.Position())
}

// Stop lets the member leave its group.
func (r *Reader) Stop() {
	r.stop()
}

// Read returns what was read so far.
func (r *Reader) Read() map[Place]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.values)
}

// Count returns how many different records were read so far.
func (r *Reader) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.values)
}

// Again returns how many records came a second time.
func (r *Reader) Again() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.again
}

// Ordered reports whether no partition ever went back to an offset that was not read before.
func (r *Reader) Ordered() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ordered
}

// Quiet returns the longest time that a partition was without a record since Quiet was called last, the time up to now
// included.
func (r *Reader) Quiet() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gaps.longest()
}

// gaps measures how long each partition is without a record.
type gaps struct {
	last map[int32]time.Time
	most time.Duration
}

func (g *gaps) saw(partition int32) {
	now := time.Now()
	if last, found := g.last[partition]; found {
		g.most = max(g.most, now.Sub(last))
	}
	if g.last == nil {
		g.last = map[int32]time.Time{}
	}
	g.last[partition] = now
}

// longest returns the longest gap, those included that are still open, and starts again.
func (g *gaps) longest() time.Duration {
	now := time.Now()
	longest := g.most
	for partition, last := range g.last {
		longest = max(longest, now.Sub(last))
		g.last[partition] = now
	}
	g.most = 0
	return longest
}

// Finished reports whether the group has committed every partition's end, whatever kind of records stand before it.
func Finished(tb testing.TB, admin *kadm.Client, topic, group string) bool {
	tb.Helper()
	ctx := Context(tb)
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		tb.Fatal(err)
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

// SameRecords compares what was read with what had to be.
func SameRecords(tb testing.TB, got, want map[Place]string) {
	tb.Helper()
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
	tb.Errorf("read %d records, want %d", len(got), len(want))
	for kind, list := range map[string][]string{"missing": missing, "wrong": wrong, "not to be read": extra} {
		slices.Sort(list)
		tb.Errorf("%s: %d, among them %v", kind, len(list), list[:min(len(list), shown)])
	}
}
