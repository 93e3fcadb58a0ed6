package session

import (
	"slices"
	"testing"
)

// checkMarks compares the rows that markBlocks makes with those of its twin and
// with what the bytes are.
func checkMarks(t *testing.T, v []byte) {
	t.Helper()
	var m marks
	m.mark(v)
	stop, other := m.rows[:m.row], m.rows[m.row:]
	for p := range m.row * 8 {
		c := byte(0) // behind the value
		if p < len(v) {
			c = v[p]
		}
		if got, want := stop[p/8]>>(p%8)&1 == 1, c < ' ' || c == '"' || c == '\\'; got != want {
			t.Fatalf("stop of byte %d (%q) is %t", p, c, got)
		}
		if got, want := other[p/8]>>(p%8)&1 == 1, c < '0' || c > '9'; got != want {
			t.Fatalf("other of byte %d (%q) is %t", p, c, got)
		}
		if p/block < len(m.high) && m.high[p/block]>>(p%block)&1 == 1 != (c >= 0x80) {
			t.Fatalf("high of byte %d (%q) is not right", p, c)
		}
	}
	n := len(v) / block
	if n == 0 {
		return
	}
	twinStop, twinOther, twinHigh := make([]byte, n*8), make([]byte, n*8), make([]uint64, n)
	high := markBlocksGo(v[:n*block], twinStop, twinOther, twinHigh)
	if !slices.Equal(twinStop, stop[:n*8]) || !slices.Equal(twinOther, other[:n*8]) || !slices.Equal(twinHigh, m.high[:n]) {
		t.Fatal("the twins differ")
	}
	for _, h := range twinHigh {
		high &^= h
	}
	if high != 0 {
		t.Fatalf("bits %x of seen come from nowhere", high)
	}
}

func TestMarks(t *testing.T) {
	v := make([]byte, 3*256+7)
	for i := range v {
		v[i] = byte(i * 7)
	}
	for n := range v {
		checkMarks(t, v[:n])
	}
}

func FuzzMarks(f *testing.F) {
	for _, s := range tricky {
		if len(s) < 1000 {
			f.Add([]byte(s))
		}
	}
	f.Add(corpus(f)[0])
	f.Fuzz(checkMarks)
}

// The memory of a huge value is given back with the next ordinary one.
func TestMarksMemory(t *testing.T) {
	var m marks
	m.mark(make([]byte, 4<<20))
	if cap(m.rows) < 4<<20/4 {
		t.Fatalf("%d bytes for 4 MiB", cap(m.rows))
	}
	m.mark(make([]byte, 1000))
	if cap(m.rows) > keptMarks {
		t.Fatalf("%d bytes are kept", cap(m.rows))
	}
	small := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() { m.mark(small) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
