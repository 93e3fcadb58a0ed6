package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sessionexport/consumer"
	"sessionexport/deadletter"
	"sessionexport/sinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a source, an endpoint and a store of letters around a pipeline.
type bench struct {
	fetches chan *consumer.Fetch

	mu      sync.Mutex
	marks   map[consumer.Claim]int64
	late    bool // a mark after it was revoked
	revoked map[consumer.Claim]bool
	bodies  []sinks.Body
	at      []time.Time
	letters []deadletter.Letter
	answer  func(ctx context.Context, b sinks.Body) sinks.Verdict
}

func newBench() *bench {
	return &bench{fetches: make(chan *consumer.Fetch, 8), marks: map[consumer.Claim]int64{}, revoked: map[consumer.Claim]bool{}}
}

func (b *bench) Fetches() <-chan *consumer.Fetch { return b.fetches }

func (b *bench) Mark(c consumer.Claim, next int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late = b.late || b.revoked[c]
	b.marks[c] = next
}

func (b *bench) marked(c consumer.Claim) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.marks[c]
}

func (b *bench) Attempt(ctx context.Context, body sinks.Body) sinks.Verdict {
	b.mu.Lock()
	body.Bytes = append([]byte(nil), body.Bytes...)
	b.bodies = append(b.bodies, body)
	b.at = append(b.at, time.Now())
	answer := b.answer
	b.mu.Unlock()
	if answer != nil {
		return answer(ctx, body)
	}
	return sinks.Verdict{Status: 200}
}

func (b *bench) Write(_ context.Context, ls []deadletter.Letter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range ls {
		l.Body = append([]byte(nil), l.Body...)
		b.letters = append(b.letters, l)
	}
	return nil
}

func (b *bench) sent() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.bodies)
}

func (b *bench) give(c consumer.Claim, from, n int) {
	rs := make([]consumer.Record, n)
	for i := range rs {
		rs[i] = consumer.Record{
			Offset: int64(from + i), Timestamp: time.Now().UnixMilli(),
			Value: fmt.Appendf(nil, `{"tenantId":"t","userSessionId":"%d","startTime":1}`, from+i),
		}
	}
	b.fetches <- consumer.FetchOf(c, rs, int64(from+n))
}

func (b *bench) pipeline(t *testing.T) *Pipeline {
	t.Helper()
	f, err := sinks.NewFormat(sinks.FormatOptions{Kind: sinks.NDJSON})
	if err != nil {
		t.Fatal(err)
	}
	return NewPipeline(Options{
		Environment: "default", Sink: "sink", Topic: "sessions", Format: f, Endpoint: b, Letters: b, Source: b,
		MaxRetries: DefaultMaxRetries, Seed: 1,
	})
}

func TestPipelineFlushesToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		p := b.pipeline(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.Run(ctx); close(done) }()
		c := consumer.Claim{Partition: 3, Epoch: 1}
		start := time.Now()
		b.give(c, 0, 10)
		time.Sleep(29_999 * time.Millisecond)
		synctest.Wait()
		if n := b.sent(); n != 0 {
			t.Fatalf("%d bodies after 29.999 s", n)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := b.sent(); n != 1 || b.at[0].Sub(start) != 30*time.Second {
			t.Fatalf("%d bodies after 30 s", n)
		}
		if b.marked(c) != 10 {
			t.Errorf("marked %d", b.marked(c))
		}
		cancel()
		<-done
		if s := p.Status(); s.Total.Delivered != 10 || s.Total.Waiting() != 0 {
			t.Errorf("at the end: %+v", s.Total)
		}
	})
}

func TestStopWaitsForTheAttemptOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.answer = func(context.Context, sinks.Body) sinks.Verdict {
			time.Sleep(20 * time.Second)
			return sinks.Verdict{Status: 200}
		}
		p := b.pipeline(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.Run(ctx); close(done) }()
		c := consumer.Claim{Epoch: 1}
		b.give(c, 0, 2000)
		synctest.Wait()
		grace, end := context.WithTimeout(t.Context(), 25*time.Second)
		defer end()
		begin := time.Now()
		p.Stop(grace)
		if took := time.Since(begin); took != 20*time.Second {
			t.Errorf("stopping took %v, the attempt 20 s", took)
		}
		if b.marked(c) != 2000 {
			t.Errorf("marked %d, 2000 were delivered", b.marked(c))
		}
		cancel()
		<-done
	})
}

func TestStopInterruptsWhenTheGraceIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.answer = func(ctx context.Context, _ sinks.Body) sinks.Verdict {
			<-ctx.Done()
			return sinks.Verdict{Kind: sinks.Interrupted, Err: ctx.Err()}
		}
		p := b.pipeline(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.Run(ctx); close(done) }()
		c := consumer.Claim{Epoch: 1}
		b.give(c, 0, 1000)
		synctest.Wait()
		grace, end := context.WithTimeout(t.Context(), 3*time.Second)
		defer end()
		begin := time.Now()
		p.Stop(grace)
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("stopping took %v, the grace 3 s", took)
		}
		if b.marked(c) != 0 || len(b.letters) != 0 {
			t.Errorf("marked %d, %d letters: an interrupted attempt decides nothing", b.marked(c), len(b.letters))
		}
		cancel()
		<-done
	})
}

func TestRevokeWaitsForTheWireAndDropsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.answer = func(context.Context, sinks.Body) sinks.Verdict {
			time.Sleep(5 * time.Second)
			return sinks.Verdict{Status: 200}
		}
		p := b.pipeline(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.Run(ctx); close(done) }()
		goes, stays := consumer.Claim{Partition: 0, Epoch: 1}, consumer.Claim{Partition: 1, Epoch: 1}
		b.give(goes, 0, 1000) // on the wire
		b.give(goes, 1000, 300)
		b.give(stays, 0, 300) // both in the batch that fills
		synctest.Wait()
		begin := time.Now()
		p.Revoke(t.Context(), []consumer.Claim{goes})
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("revoking took %v, the attempt 5 s", took)
		}
		if b.marked(goes) != 1000 {
			t.Errorf("marked %d of the leaving partition, 1000 were delivered", b.marked(goes))
		}
		b.mu.Lock()
		b.revoked[goes] = true
		b.mu.Unlock()
		b.give(goes, 1000, 10) // from a fetch that was under way: not ours any more
		time.Sleep(time.Minute)
		synctest.Wait()
		if b.marked(stays) != 300 {
			t.Errorf("marked %d of the partition that stays, want 300", b.marked(stays))
		}
		if b.late {
			t.Error("a revoked partition was marked")
		}
		cancel()
		<-done
		s := p.Status()
		if s.Total.Delivered != 1300 || s.Partitions[0].HandedBack < 300 || s.Total.Waiting() != 0 {
			t.Errorf("%+v", s.Partitions)
		}
	})
}

// TestRevokeInHoldIsImmediate: a member whose endpoint is ill must not block
// the others of its group.
func TestRevokeInHoldIsImmediate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.answer = func(context.Context, sinks.Body) sinks.Verdict {
			return sinks.Verdict{Kind: sinks.Refused, Status: 403, Reason: "status", Err: errors.New("answered 403")}
		}
		p := b.pipeline(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.Run(ctx); close(done) }()
		c := consumer.Claim{Epoch: 1}
		b.give(c, 0, 3000)
		time.Sleep(time.Minute)
		if s := p.Status(); s.State != Held || s.Cause.Status != 403 {
			t.Fatalf("state %s, cause %+v", s.State, s.Cause)
		}
		begin := time.Now()
		p.Revoke(t.Context(), []consumer.Claim{c})
		if took := time.Since(begin); took != 0 {
			t.Errorf("revoking took %v in a hold", took)
		}
		if s := p.Status(); s.Total.HandedBack != 3000 || s.Total.Waiting() != 0 {
			t.Errorf("%+v", s.Total)
		}
		cancel()
		<-done
	})
}

func TestStatusBeforeRun(t *testing.T) {
	p := newBench().pipeline(t)
	if s := p.Status(); s.State != Flowing || s.Sink != "sink" {
		t.Errorf("%+v", s)
	}
}

// BenchmarkRecord is the hot path behind the fetch: scan, scope, encode, count.
func BenchmarkRecord(b *testing.B) {
	f, err := sinks.NewFormat(sinks.FormatOptions{Kind: sinks.Bulk, Index: "sessions"})
	if err != nil {
		b.Fatal(err)
	}
	w := &world{t: b, now: worldStart, committed: map[int32]int64{}}
	m := newMachine(testRules(), f, idleWorld{}, nil)
	c := consumer.Claim{Epoch: 1}
	m.open(c)
	value := []byte(`{"tenantId":"umsaywsjuo","userSessionId":"1394_1008","startTime":1511441593539,"endTime":1511441716896,"userActions":[{"name":"Checkout","application":"easyTravel Demo"}]}`)
	r := consumer.Record{Value: value}
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		m.record(w.now, c, &r)
		r.Offset++
		if m.batcher.Ready() > 0 {
			t := m.batcher.Take()
			m.prefix.finish(t.Seq, m.eff.mark)
			m.batcher.Recycle(t)
		}
	}
}

// idleWorld has no effect.
type idleWorld struct{}

func (idleWorld) send(*attempt)             {}
func (idleWorld) write([]deadletter.Letter) {}
func (idleWorld) mark(int32, uint32, int64) {}
func (idleWorld) dropToken()                {}
func (idleWorld) tell(Event)                {}
