package consumer

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Buffers are pooled by powers of two, so that an empty answer does not hold
// on to the memory of a full one. What is larger than the largest class is
// rare and goes back to the garbage collector.
const (
	smallestClass = 12 // 4 KiB
	largestClass  = 23 // 8 MiB
)

var bufferPools [largestClass - smallestClass + 1]sync.Pool

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
	b, _ := bufferPools[class-smallestClass].Get().(*buffer)
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
		bufferPools[b.class-smallestClass].Put(b)
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
