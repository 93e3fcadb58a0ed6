package dispatcher

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"sessionexport/batcher"
	"sessionexport/consumer"
	"sessionexport/sinks"
)

// swapped is the options of a bench's pipeline with another endpoint.
func (b *bench) swapped(t *testing.T, to Endpoint) Options {
	t.Helper()
	f, err := sinks.NewFormat(sinks.FormatOptions{Kind: sinks.JSON})
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Format: f, Endpoint: to, MaxInFlight: 1, MaxRetries: 1, Policy: Hold,
		Limits: batcher.Limits{Sessions: 500, Bytes: batcher.DefaultBytes, Idle: time.Minute},
	}
}

// started runs a pipeline in a bubble until the returned function is called.
func started(t *testing.T, p *Pipeline) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { p.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

// Attempts on the wire end under the old settings, everything else goes out
// under the new ones; nothing is sent while a swap waits.
func TestSwapBetweenTwoBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, other := newBench(), newBench()
		b.answer = func(context.Context, sinks.Body) sinks.Verdict {
			time.Sleep(20 * time.Second)
			return sinks.Verdict{Status: 200}
		}
		p := b.pipeline(t)
		end := started(t, p)
		c := consumer.Claim{Epoch: 1}
		b.give(c, 0, 2500) // two batches on the wire, half a one fills
		synctest.Wait()
		begin := time.Now()
		if !p.Swap(b.swapped(t, other)) {
			t.Fatal("not in force")
		}
		if took := time.Since(begin); took != 20*time.Second {
			t.Errorf("in force after %v, the attempts took 20 s", took)
		}
		synctest.Wait()
		if b.sent() != 2 || other.sent() != 1 || other.bodies[0].Sessions != 500 {
			t.Errorf("%d bodies to the old endpoint, %d to the new one", b.sent(), other.sent())
		}
		if b.marked(c) != 2500 {
			t.Errorf("marked %d", b.marked(c))
		}
		b.give(c, 2500, 700)
		synctest.Wait()
		if other.sent() != 2 || other.bodies[1].Sessions != 500 {
			t.Errorf("%d bodies: the new limits are not in force", other.sent())
		}
		s := p.Status()
		if s.Total.Read != 3200 || s.Total.Delivered != 3000 || s.Total.Waiting() != 200 || s.Format != "json" {
			t.Errorf("%+v", s.Total)
		}
		end()
		if p.Swap(b.swapped(t, other)) {
			t.Error("settings are in force of a pipeline that has ended")
		}
	})
}

// A swap that waits does not keep a sink from being stopped.
func TestStopWhileASwapWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, other := newBench(), newBench()
		b.answer = func(ctx context.Context, _ sinks.Body) sinks.Verdict {
			<-ctx.Done()
			return sinks.Verdict{Kind: sinks.Interrupted, Err: ctx.Err()}
		}
		p := b.pipeline(t)
		end := started(t, p)
		b.give(consumer.Claim{Epoch: 1}, 0, 1000)
		synctest.Wait()
		swapped := make(chan bool, 1)
		go func() { swapped <- p.Swap(b.swapped(t, other)) }()
		synctest.Wait()
		grace, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p.Stop(grace)
		end()
		<-swapped
		if other.sent() != 0 {
			t.Error("sent although it was stopping")
		}
	})
}

// Settings of a pipeline that does not run yet are in force at once.
func TestSwapBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, other := newBench(), newBench()
		p := b.pipeline(t)
		if !p.Swap(b.swapped(t, other)) {
			t.Fatal("not in force")
		}
		end := started(t, p)
		b.give(consumer.Claim{Epoch: 1}, 0, 500)
		synctest.Wait()
		if b.sent() != 0 || other.sent() != 1 {
			t.Errorf("%d bodies to the old endpoint, %d to the new one", b.sent(), other.sent())
		}
		end()
	})
}

// A batch was delivered in front of which another one failed: a drain sends
// that one, and none of those behind.
func TestDrainSendsWhatIsInFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		first := true
		b.answer = func(context.Context, sinks.Body) sinks.Verdict {
			b.mu.Lock()
			fails := first
			first = false
			b.mu.Unlock()
			if fails {
				return sinks.Verdict{Kind: sinks.Retryable, Status: 503, Reason: "status"}
			}
			time.Sleep(5 * time.Second)
			return sinks.Verdict{Status: 200}
		}
		p := b.pipeline(t)
		end := started(t, p)
		c := consumer.Claim{Epoch: 1}
		b.give(c, 0, 7500)
		synctest.Wait()
		p.Drain(t.Context())
		p.Stop(t.Context())
		s := p.Status()
		if b.marked(c) != s.Total.Delivered || b.marked(c) < 4000 || b.marked(c) > 5000 {
			t.Errorf("%d are delivered, %d marked", s.Total.Delivered, b.marked(c))
		}
		end()
		p.Drain(t.Context()) // of a pipeline that has ended
	})
}

// A drain ends with its context.
func TestDrainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.answer = func(context.Context, sinks.Body) sinks.Verdict {
			time.Sleep(time.Minute)
			return sinks.Verdict{Status: 200}
		}
		p := b.pipeline(t)
		end := started(t, p)
		b.give(consumer.Claim{Epoch: 1}, 0, 1000)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		p.Drain(ctx)
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("draining took %v of 10 s", took)
		}
		end()
	})
}
