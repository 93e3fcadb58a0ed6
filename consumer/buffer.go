package consumer

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Buffers are kept by powers of two, so that an empty answer does not hold on
// to the memory of a full one. What is larger than the largest class is rare
// and goes back to the garbage collector.
const (
	smallestClass = 12 // 4 KiB
	largestClass  = 23 // 8 MiB
)

// unpackedRoom is what may be kept besides the fetched bytes: batches are
// unpacked one at a time for each member.
const unpackedRoom = 2 << 20 // bytes

// freeList keeps buffers that nobody uses. A sync.Pool would give them to the
// garbage collector every other time it runs; to make them anew is what makes
// it run: ten times a second under full load, measured.
type freeList struct {
	mu      sync.Mutex
	classes [largestClass - smallestClass + 1][]*buffer // the latest used, which the cache may still have, is last
	kept    int64                                       // bytes
	most    int64                                       // bytes
}

var freeBuffers = freeList{most: defaultBudget + unpackedRoom}

// allow lets the list keep what a budget of fetched bytes may use.
func (l *freeList) allow(budget int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = max(l.most, budget+unpackedRoom)
}

// get returns nil when there is none of the class.
func (l *freeList) get(class int) *buffer {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := &l.classes[class-smallestClass]
	n := len(*list)
	if n == 0 {
		return nil
	}
	b := (*list)[n-1]
	(*list)[n-1] = nil
	*list = (*list)[:n-1]
	l.kept -= 1 << class
	return b
}

func (l *freeList) put(b *buffer) {
	size := int64(1) << b.class
	l.mu.Lock()
	defer l.mu.Unlock()
	// Make room at the expense of other sizes: they are of a time when the
	// batches or the backlog were different.
	for c := largestClass; c >= smallestClass && l.kept+size > l.most; c-- {
		list := &l.classes[c-smallestClass]
		if c != b.class && len(*list) > 0 {
			l.kept -= int64(len(*list)) << c
			clear(*list)
			*list = (*list)[:0]
		}
	}
	if l.kept+size > l.most {
		return
	}
	l.kept += size
	list := &l.classes[b.class-smallestClass]
	*list = append(*list, b)
}

// buffer is pooled memory shared by several readers. free runs when the last
// of them is done.
type buffer struct {
	b     []byte
	free  func()
	refs  atomic.Int32
	class int
}

// newBuffer returns a buffer of length n with one reference.
func newBuffer(n int) *buffer {
	class := max(bits.Len(uint(max(n, 1)-1)), smallestClass)
	if class > largestClass {
		b := &buffer{b: make([]byte, n), class: -1}
		b.refs.Store(1)
		return b
	}
	b := freeBuffers.get(class)
	if b == nil {
		b = &buffer{b: make([]byte, 1<<class), class: class}
	}
	b.b = b.b[:n]
	b.free = nil
	b.refs.Store(1)
	return b
}

func (b *buffer) retain() { b.refs.Add(1) }

func (b *buffer) release() {
	if b.refs.Add(-1) != 0 {
		return
	}
	if b.free != nil {
		b.free()
	}
	if b.class >= 0 {
		freeBuffers.put(b)
	}
}

// grow returns a buffer at least twice as large that begins with the same n
// bytes, and releases b.
func (b *buffer) grow(n, limit int) *buffer {
	size := min(max(2*cap(b.b), 1<<smallestClass), limit)
	g := newBuffer(size)
	g.b = g.b[:cap(g.b)]
	copy(g.b, b.b[:n])
	b.release()
	return g
}
