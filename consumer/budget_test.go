package consumer

import (
	"context"
	"testing"
)

func TestFetchSize(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		budget         int64
		members        int
		leaders, batch int
		want           int64
	}{
		{8 * mib, 1, 1, 0, mib},
		{8 * mib, 1, 1, 128 << 10, mib},
		{8 * mib, 1, 1, 300 << 10, 2 * mib}, // four of its batches
		{8 * mib, 1, 1, 10 * mib, 4 * mib},
		{8 * mib, 3, 1, 10 * mib, mib}, // two of them fit a third of the budget
		{8 * mib, 3, 3, 0, 512 << 10},
		{8 * mib, 3, 30, 0, smallestFetch},
		{64 * mib, 1, 3, 10 * mib, 4 * mib},
		{mib, 1, 1, 0, 512 << 10},
		{mib, 3, 1, 10 * mib, smallestFetch},
	} {
		b := &budget{total: tt.budget}
		s := b.join()
		for range tt.members - 1 {
			b.join()
		}
		s.leaders.Store(int32(tt.leaders))
		s.met(tt.batch)
		s.met(tt.batch / 2)
		if got, _ := s.sizes(); got != tt.want {
			t.Errorf("budget %d, %d members, %d leaders, batches of %d: %d, want %d", tt.budget, tt.members, tt.leaders, tt.batch, got, tt.want)
		}
	}
}

// What waits at most is one answer of each leader and one that is being read,
// and a fetch that alone is larger is not kept out for ever.
func TestReserveLeavesOneToBeRead(t *testing.T) {
	s := (&budget{total: 64 << 20}).join()
	s.leaders.Store(2)
	for range 3 {
		if err := s.reserve(t.Context(), usualFetch); err != nil {
			t.Fatal(err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.reserve(ended, usualFetch); err == nil {
		t.Error("a fourth answer is fetched for two leaders")
	}
	if err := s.reserve(t.Context(), 8*usualFetch); err != nil { // of another kind
		t.Fatal(err)
	}
	s.add(-8 * usualFetch)
	s.met(largestFetch) // now each may be larger
	if err := s.reserve(t.Context(), usualFetch); err != nil {
		t.Fatal(err)
	}
	s.add(-4 * usualFetch)
	if err := s.reserve(t.Context(), maxKept); err != nil {
		t.Fatal(err)
	}
}
