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

// load produces to all partitions of a topic in turn until it is stopped, and knows what was acknowledged.
type load struct {
	stop func()

	mu           sync.Mutex
	acknowledged map[place]string
}

// startLoad produces records at a rate, each acknowledged by all replicas in sync. Retries do not write twice.
func startLoad(t *testing.T, k *Kafka, topic string, partitions int32, perSecond int) *load {
	t.Helper()
	l := &load{acknowledged: map[place]string{}}
	client := franz(t, k, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(100*time.Millisecond))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			r := kgo.StringRecord(document(i))
			r.Partition = int32(i) % partitions
			client.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) {
				if err != nil {
					t.Errorf("producing to partition %d: %v", r.Partition, err)
					return
				}
				l.mu.Lock()
				defer l.mu.Unlock()
				l.acknowledged[place{r.Partition, r.Offset}] = string(r.Value)
			})
		}
	}()
	l.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		if err := client.Flush(testContext(t)); err != nil {
			t.Errorf("waiting for the last acknowledgements: %v", err)
		}
	})
	t.Cleanup(l.stop)
	return l
}

// written returns what was acknowledged so far.
func (l *load) written() map[place]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.acknowledged)
}

// union is what several members have read together.
func union(t *testing.T, readers ...*reader) map[place]string {
	t.Helper()
	all := map[place]string{}
	for _, r := range readers {
		for at, value := range r.read() {
			if other, twice := all[at]; twice && other != value {
				t.Error(fmt.Errorf("%v read as %.40q and as %.40q", at, other, value))
			}
			all[at] = value
		}
	}
	return all
}

// another waits until a reader has read some records more.
func another(t *testing.T, r *reader, records int) {
	t.Helper()
	target := r.count() + records
	eventually(t, fmt.Sprintf("%d more records are read", records), func() bool { return r.count() >= target })
}
