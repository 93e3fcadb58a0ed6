//go:build services

package services

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Load produces to all partitions of a topic in turn until it is stopped, and knows what was acknowledged.
type Load struct {
	stop func()

	mu           sync.Mutex
	acknowledged map[Place]string
	gaps         gaps
}

// StartLoad produces documents at a rate, document i to partition i modulo their number, each acknowledged by all replicas in sync. Retries do not write twice.
func StartLoad(tb testing.TB, k *Kafka, topic string, partitions int32, perSecond int) *Load {
	tb.Helper()
	return StartLoadAt(tb, k, topic, partitions, perSecond, 0)
}

// StartLoadAt is StartLoad beginning with another document than 0, for a second load beside or after a first one.
func StartLoadAt(tb testing.TB, k *Kafka, topic string, partitions int32, perSecond, first int) *Load {
	tb.Helper()
	l := &Load{acknowledged: map[Place]string{}}
	client := Franz(tb, k, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(100*time.Millisecond))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for i := first; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			r := kgo.StringRecord(Document(i))
			r.Partition = int32(i) % partitions
			client.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) {
				if err != nil {
					tb.Errorf("producing to partition %d: %v", r.Partition, err)
					return
				}
				l.mu.Lock()
				defer l.mu.Unlock()
				l.acknowledged[Place{r.Partition, r.Offset}] = string(r.Value)
				l.gaps.saw(r.Partition)
			})
		}
	}()
	l.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		ctx, cancel := context.WithTimeout(context.Background(), Patience) // the test's own has ended when it cleans up
		defer cancel()
		if err := client.Flush(ctx); err != nil {
			tb.Errorf("waiting for the last acknowledgements: %v", err)
		}
	})
	tb.Cleanup(l.stop)
	return l
}

// Stop ends the load and waits until all of it is acknowledged.
func (l *Load) Stop() {
	l.stop()
}

// Quiet returns the longest time that a partition was without an acknowledgement since Quiet was called last, the time up
// to now included: the producers' own pause.
func (l *Load) Quiet() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gaps.longest()
}

// Count returns how many records were acknowledged so far.
func (l *Load) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acknowledged)
}

// Written returns what was acknowledged so far.
func (l *Load) Written() map[Place]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.acknowledged)
}

// Union is what several members have read together.
func Union(tb testing.TB, readers ...*Reader) map[Place]string {
	tb.Helper()
	all := map[Place]string{}
	for _, r := range readers {
		for at, value := range r.Read() {
			if other, twice := all[at]; twice && other != value {
				tb.Error(fmt.Errorf("%v read as %.40q and as %.40q", at, other, value))
			}
			all[at] = value
		}
	}
	return all
}

// Another waits until a reader has read some records more.
func Another(tb testing.TB, r *Reader, records int) {
	tb.Helper()
	target := r.Count() + records
	Eventually(tb, fmt.Sprintf("%d more records are read", records), func() bool { return r.Count() >= target })
}
