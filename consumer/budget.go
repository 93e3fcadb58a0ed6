package consumer

import (
	"context"
	"sync"
	"sync/atomic"
)

// Sizes of one fetch, bytes: no more than stays in the cache while it is being
// read, but several times a producer's batch, because a broker cuts its answer
// within a batch and sends that one again.
const (
	defaultBudget = 8 << 20
	smallestFetch = 256 << 10
	usualFetch    = 1 << 20
	largestFetch  = 4 << 20
	batchesFetch  = 4
)

// budget is how many fetched bytes a process may hold, shared in equal parts
// by its members. A part is never lent: a member that holds its records back
// cannot starve the others.
type budget struct {
	mu      sync.Mutex
	total   int64
	members int64
}

// share is one member's part of the budget. What is held counts from the
// request on, at the size that was asked for, and from the answer on at its
// real size.
type share struct {
	budget  *budget
	leaders atomic.Int32 // of the partitions that are read
	batch   atomic.Int64 // bytes of the largest batch so far
	mu      sync.Mutex
	freed   chan struct{} // closed and replaced when bytes come back
	held    int64
}

func (b *budget) join() *share {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.members++
	s := &share{budget: b, freed: make(chan struct{})}
	s.leaders.Store(1)
	return s
}

func (s *share) leave() {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.budget.members--
}

// part is how much the member may hold, bytes.
func (s *share) part() int64 {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	return s.budget.total / max(s.budget.members, 1)
}

// met notes how large a batch was.
func (s *share) met(batch int) {
	for {
		most := s.batch.Load()
		if int64(batch) <= most || s.batch.CompareAndSwap(most, int64(batch)) {
			return
		}
	}
}

// sizes tell how much to ask one leader for, so that one answer from each and
// one that is being read fit, and how much these are together. More would only
// wait, and what has waited is in the cache no longer: four times as much took
// a twentieth more CPU time, measured. What to ask for is a power of two, as
// the buffers are.
func (s *share) sizes() (fetch, most int64) {
	answers, part := int64(s.leaders.Load())+1, s.part()
	fetch = usualFetch
	for fetch < largestFetch && fetch < s.batch.Load()*batchesFetch {
		fetch *= 2
	}
	for fetch > smallestFetch && fetch*answers > part {
		fetch /= 2
	}
	return fetch, min(fetch*answers, part)
}

// reserve waits until n bytes fit: into what answers of the usual size may hold,
// or, of a larger one, into the whole part, so that the others cannot keep it
// out. One fetch always fits when nothing is held: reading never stops for good.
func (s *share) reserve(ctx context.Context, n int64) error {
	for {
		_, most := s.sizes()
		if n > most {
			most = s.part()
		}
		s.mu.Lock()
		if s.held == 0 || s.held+n <= most {
			s.held += n
			s.mu.Unlock()
			return nil
		}
		freed := s.freed
		s.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// add changes what is held; a negative n gives bytes back.
func (s *share) add(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held += n
	if n < 0 {
		close(s.freed)
		s.freed = make(chan struct{})
	}
}

func (s *share) holding() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}
