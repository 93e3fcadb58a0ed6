package consumer

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// signal wakes everyone who waits for a change.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// wait returns a channel that the next broadcast closes.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) broadcast() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// sleep waits for a time, a wake-up (which may be nil) or the end.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// backoff grows from first to most, with jitter so that members and brokers
// that stumbled together do not come back together.
type backoff struct {
	first, most time.Duration
	failures    int
}

func (b *backoff) reset() { b.failures = 0 }

func (b *backoff) next() time.Duration {
	d := min(b.first<<min(b.failures, 16), b.most)
	b.failures++
	return d/2 + rand.N(d/2+1) //nolint:gosec // jitter needs no secrecy
}
