package consumer

import (
	"context"
	"sync"
)

// Sizes of one fetch, bytes. Several times a producer's batch, because a
// broker cuts its answer within a batch and sends that one again.
const (
	defaultBudget = 16 << 20
	largestFetch  = 4 << 20
	smallestFetch = 256 << 10
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
	budget *budget
	mu     sync.Mutex
	freed  chan struct{} // closed and replaced when bytes come back
	held   int64
}

func (b *budget) join() *share {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.members++
	return &share{budget: b, freed: make(chan struct{})}
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

// fetchSize is how much to ask one of so many leaders for, so that one answer
// from each and one that is being read fit. It is a power of two, as the
// buffers are.
func (s *share) fetchSize(leaders int) int64 {
	size := int64(largestFetch)
	for size > smallestFetch && size*int64(leaders+1) > s.part() {
		size /= 2
	}
	return size
}

// reserve waits until n bytes fit. One fetch always fits when nothing is held:
// reading never stops for good.
func (s *share) reserve(ctx context.Context, n int64) error {
	for {
		part := s.part()
		s.mu.Lock()
		if s.held == 0 || s.held+n <= part {
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
