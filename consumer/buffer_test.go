package consumer

import "testing"

func TestFreeListKeepsWhatWasUsedLast(t *testing.T) {
	l := freeList{most: 3 << 20}
	a := &buffer{b: make([]byte, 1<<20), class: 20}
	b := &buffer{b: make([]byte, 1<<20), class: 20}
	l.put(a)
	l.put(b)
	if got := l.get(20); got != b {
		t.Error("the buffer that was used last does not come first")
	}
	if got := l.get(20); got != a {
		t.Error("the other buffer was not kept")
	}
	if got := l.get(20); got != nil || l.kept != 0 {
		t.Errorf("an empty list gave %v and keeps %d bytes", got, l.kept)
	}
	if got := l.get(19); got != nil {
		t.Errorf("a class that nobody used gave %v", got)
	}
}

func TestFreeListIsBounded(t *testing.T) {
	l := freeList{most: 4 << 20}
	for range 10 {
		l.put(&buffer{b: make([]byte, 1<<20), class: 20})
	}
	if l.kept != 4<<20 || len(l.classes[20-smallestClass]) != 4 {
		t.Errorf("keeps %d bytes in %d buffers, want 4 of 1 MiB", l.kept, len(l.classes[20-smallestClass]))
	}
	// What is used now takes the place of what was used before.
	l.put(&buffer{b: make([]byte, 2<<20), class: 21})
	if l.kept != 2<<20 || l.get(20) != nil || l.get(21) == nil {
		t.Errorf("keeps %d bytes, not the one buffer of another size", l.kept)
	}
	// What does not fit at all is not kept.
	l.put(&buffer{b: make([]byte, 8<<20), class: 23})
	if l.kept != 0 || l.get(23) != nil {
		t.Errorf("keeps %d bytes beyond its bound", l.kept)
	}
	l.allow(16 << 20)
	l.put(&buffer{b: make([]byte, 8<<20), class: 23})
	if l.get(23) == nil {
		t.Error("a larger budget does not keep more")
	}
}
