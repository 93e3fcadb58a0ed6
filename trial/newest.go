package trial

import (
	"bytes"
	"cmp"
	"container/heap"
	"slices"

	"sessionexport/session"
)

// newest keeps the sessions with the latest start times, so many of them and
// so many bytes: a heap with the oldest on top.
type newest struct {
	all   []Sample
	most  int // sessions
	bytes int // that may be held; the last one always stays
	held  int // bytes
	full  bool
}

// add keeps a copy of a session, unless enough newer ones are there.
func (n *newest) add(value []byte, start int64, pos session.Position, timestamp int64) {
	s := Sample{StartTime: start, Pos: pos, Timestamp: timestamp}
	if n.full && len(n.all) > 0 && older(s, n.all[0]) {
		return
	}
	s.Value = bytes.Clone(value)
	n.held += len(value)
	heap.Push((*byStart)(n), s)
	for len(n.all) > 1 && (len(n.all) > n.most || n.held > n.bytes) {
		n.full = true
		gone, _ := heap.Pop((*byStart)(n)).(Sample)
		n.held -= len(gone.Value)
	}
	n.full = n.full || len(n.all) == n.most
}

// bar is the start time below which nothing is kept, and whether there is one.
func (n *newest) bar() (int64, bool) {
	if !n.full {
		return 0, false
	}
	return n.all[0].StartTime, true
}

// sorted returns the sessions, newest first.
func (n *newest) sorted() []Sample {
	all := slices.Clone(n.all)
	slices.SortFunc(all, func(a, b Sample) int {
		if older(a, b) {
			return 1
		}
		return -1
	})
	return all
}

// older is a total order, so that the same topic gives the same sample.
func older(a, b Sample) bool {
	return cmp.Or(cmp.Compare(a.StartTime, b.StartTime), cmp.Compare(a.Pos.Offset, b.Pos.Offset),
		cmp.Compare(a.Pos.Partition, b.Pos.Partition)) < 0
}

// byStart makes newest a heap.Interface.
type byStart newest

func (h *byStart) Len() int           { return len(h.all) }
func (h *byStart) Less(i, j int) bool { return older(h.all[i], h.all[j]) }
func (h *byStart) Swap(i, j int)      { h.all[i], h.all[j] = h.all[j], h.all[i] }

// Push implements heap.Interface.
func (h *byStart) Push(x any) {
	if s, ok := x.(Sample); ok {
		h.all = append(h.all, s)
	}
}

// Pop implements heap.Interface.
func (h *byStart) Pop() any {
	last := h.all[len(h.all)-1]
	h.all[len(h.all)-1] = Sample{}
	h.all = h.all[:len(h.all)-1]
	return last
}
