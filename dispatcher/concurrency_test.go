package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sessionexport/consumer"
	"sessionexport/deadletter"
	"sessionexport/sinks"
)

// cluster is a topic, its group and a destination around a running pipeline:
// partitions come and go while attempts and letters are under way.
type cluster struct {
	t       *testing.T
	p       *Pipeline
	fetches chan *consumer.Fetch

	mu       sync.Mutex
	rnd      *rand.Rand
	finished map[int32]map[int64]bool // delivered or a durable letter
	marked   map[int32]int64
	owned    map[int32]uint32 // epoch
	position map[int32]int64
	length   int64
	healthy  bool
}

func (c *cluster) Fetches() <-chan *consumer.Fetch { return c.fetches }

func (c *cluster) Mark(claim consumer.Claim, next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owned[claim.Partition] != claim.Epoch {
		c.t.Errorf("marked %+v, which is owned no longer", claim)
		return
	}
	for at := c.marked[claim.Partition]; at < next; at++ {
		if !c.finished[claim.Partition][at] {
			c.t.Errorf("marked %d of partition %d, but %d is not finished", next, claim.Partition, at)
			return
		}
	}
	c.marked[claim.Partition] = max(c.marked[claim.Partition], next)
}

func (c *cluster) roll(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rnd.IntN(n)
}

func (c *cluster) Attempt(ctx context.Context, b sinks.Body) sinks.Verdict {
	select {
	case <-time.After(time.Duration(1+c.roll(3000)) * time.Millisecond):
	case <-ctx.Done():
		return sinks.Verdict{Kind: sinks.Interrupted, Reason: "interrupted", Err: ctx.Err()}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.healthy {
		switch c.rnd.IntN(6) {
		case 0:
			return sinks.Verdict{Kind: sinks.Retryable, Status: 500, Poisonable: true, Reason: "status", Err: errors.New("answered 500")}
		case 1:
			return sinks.Verdict{Kind: sinks.Refused, Status: 403, Reason: "status", Err: errors.New("answered 403")}
		case 2:
			return sinks.Verdict{Kind: sinks.Suspect, Status: 400, Reason: "status", Err: errors.New("answered 400")}
		}
	}
	for line := range splitLines(b.Bytes) {
		var partition int32
		var offset int64
		if _, err := fmt.Sscanf(line, `{"tenantId":"t","userSessionId":"%d/%d"`, &partition, &offset); err != nil {
			c.t.Errorf("%q: %v", line, err)
		}
		c.finished[partition][offset] = true
	}
	return sinks.Verdict{Status: 200}
}

func splitLines(b []byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		start := 0
		for i, ch := range b {
			if ch != '\n' {
				continue
			}
			if !yield(string(b[start:i])) {
				return
			}
			start = i + 1
		}
	}
}

func (c *cluster) Write(ctx context.Context, ls []deadletter.Letter) error {
	select {
	case <-time.After(time.Duration(1+c.roll(20_000)) * time.Millisecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.healthy && c.rnd.IntN(2) == 0 {
		return errors.New("no leader")
	}
	for _, l := range ls {
		c.finished[l.Source.Partition][l.Source.Offset] = true
	}
	return nil
}

// feed hands out what is owned and not read yet, one record in fifty broken.
func (c *cluster) feed(ctx context.Context) {
	for ctx.Err() == nil {
		var f *consumer.Fetch
		c.mu.Lock()
		for p, epoch := range c.owned {
			at := c.position[p]
			if n := min(c.length-at, int64(1+c.rnd.IntN(150))); epoch > 0 && n > 0 {
				f = c.fetchLocked(consumer.Claim{Partition: p, Epoch: epoch}, at, n)
				c.position[p] = at + n
				break
			}
		}
		c.mu.Unlock()
		if f == nil {
			select {
			case <-time.After(3 * time.Second):
			case <-ctx.Done():
			}
			continue
		}
		select {
		case c.fetches <- f:
		case <-ctx.Done():
		}
	}
}

func (c *cluster) fetchLocked(claim consumer.Claim, at, n int64) *consumer.Fetch {
	rs := make([]consumer.Record, n)
	for i := range rs {
		offset := at + int64(i)
		rs[i] = consumer.Record{Offset: offset, Timestamp: time.Now().UnixMilli(), Value: []byte(`{broken`)}
		if offset%50 != 7 {
			rs[i].Value = fmt.Appendf(nil, `{"tenantId":"t","userSessionId":"%d/%d","startTime":1}`, claim.Partition, offset)
		}
	}
	return consumer.FetchOf(claim, rs, at+n)
}

// rebalance takes a partition away and gives it back after a while.
func (c *cluster) rebalance(partition int32, epoch uint32) uint32 {
	claim := []consumer.Claim{{Partition: partition, Epoch: epoch}}
	if c.roll(4) == 0 {
		c.disown(partition)
		c.p.Lost(claim)
	} else {
		patience := time.Duration(1+c.roll(30)) * time.Second
		ctx, cancel := context.WithTimeout(c.t.Context(), patience)
		begin := time.Now()
		c.p.Revoke(ctx, claim)
		cancel()
		if took := time.Since(begin); took > patience {
			c.t.Errorf("giving a partition back took %v, the patience %v", took, patience)
		}
		c.disown(partition)
	}
	time.Sleep(time.Duration(c.roll(3000)) * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.position[partition] = c.marked[partition]
	c.owned[partition] = epoch + 1
	return epoch + 1
}

func (c *cluster) disown(partition int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owned[partition] = 0
}

// TestPipelineAmongRebalances runs the real goroutines in virtual time while
// partitions come and go, snapshots are taken and everything fails at random:
// nothing is marked unfinished or unowned, nobody waits longer than promised,
// and all is finished in the end.
func TestPipelineAmongRebalances(t *testing.T) {
	for seed := range uint64(movingClusters) {
		synctest.Test(t, func(t *testing.T) { amongRebalances(t, seed) })
	}
}

func amongRebalances(t *testing.T, seed uint64) {
	const partitions, length = 4, 4000
	c := &cluster{
		t: t, fetches: make(chan *consumer.Fetch, 8), rnd: rand.New(rand.NewPCG(seed, 3)), length: length,
		finished: map[int32]map[int64]bool{}, marked: map[int32]int64{}, owned: map[int32]uint32{}, position: map[int32]int64{},
	}
	for p := range int32(partitions) {
		c.finished[p], c.owned[p] = map[int64]bool{}, 1
	}
	f, err := sinks.NewFormat(sinks.FormatOptions{Kind: sinks.NDJSON})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Environment: "default", Sink: "sink", Topic: "sessions", Format: f, Endpoint: c, Letters: c, Source: c,
		MaxInFlight: 1 + int(seed%4), MaxRetries: DefaultMaxRetries, Seed: seed + 1,
	}
	o.Limits.Sessions = 20 + int(seed*37%500)
	if seed%5 == 4 {
		o.Policy = DeadLetter
	}
	c.p = NewPipeline(o)
	ctx, cancel := context.WithCancel(t.Context())
	var running, moving sync.WaitGroup
	running.Go(func() { c.p.Run(ctx) })
	running.Go(func() { c.feed(ctx) })
	running.Go(func() {
		for ctx.Err() == nil {
			begin := time.Now()
			if s := c.p.Status(); s.Total.Waiting() < 0 {
				t.Errorf("%+v", s.Total)
			}
			if took := time.Since(begin); took != 0 {
				t.Errorf("a snapshot took %v", took)
			}
			time.Sleep(7 * time.Second)
		}
	})
	for p := range int32(partitions) {
		moving.Go(func() {
			epoch := uint32(1)
			for range 8 {
				time.Sleep(time.Duration(c.roll(300)) * time.Second)
				epoch = c.rebalance(p, epoch)
			}
		})
	}
	moving.Wait()
	c.mu.Lock()
	c.healthy = true
	c.mu.Unlock()
	time.Sleep(3 * time.Hour)
	c.mu.Lock()
	for p := range int32(partitions) {
		if c.marked[p] != length {
			t.Errorf("seed %d: partition %d is marked up to %d of %d", seed, p, c.marked[p], length)
		}
	}
	c.mu.Unlock()
	grace, end := context.WithTimeout(t.Context(), time.Second)
	defer end()
	begin := time.Now()
	c.p.Stop(grace)
	if took := time.Since(begin); took > time.Second {
		t.Errorf("stopping took %v, the grace 1 s", took)
	}
	cancel()
	running.Wait()
	if s := c.p.Status(); s.InFlight != 0 || s.State != Stopping {
		t.Errorf("after the end: %+v", s)
	}
}
