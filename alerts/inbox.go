package alerts

import "sync"

// waitingSignals is how many signals of one sink may wait for the runner. More
// than that come only while it is stuck; what lasts shows again in a reading.
const waitingSignals = 256

// inbox holds signals until the runner takes them. Each sink has a part of its
// own, so that one that is in much trouble hides nobody else's.
type inbox struct {
	news chan struct{} // of capacity 1

	mu      sync.Mutex
	waiting []Signal
	of      map[sinkKey]int
	dropped int
}

func newInbox() *inbox {
	return &inbox{news: make(chan struct{}, 1), of: map[sinkKey]int{}}
}

// put takes a signal from any goroutine.
func (b *inbox) put(s Signal) {
	b.mu.Lock()
	k := sinkKey{s.Environment, s.Sink}
	if b.of[k] >= waitingSignals {
		b.dropped++
		b.mu.Unlock()
		return
	}
	b.of[k]++
	b.waiting = append(b.waiting, s)
	b.mu.Unlock()
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// take returns what waits, in the order in which it came, and how many signals
// were dropped since the last time.
func (b *inbox) take() (all []Signal, dropped int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, dropped = b.waiting, b.dropped
	b.waiting, b.dropped = nil, 0
	clear(b.of)
	return all, dropped
}
