package session

import (
	"encoding/binary"
	"unsafe"
)

// form is what the first byte of a value says of the rest, so that values of
// any kind go the same way: no branch depends on what a value is, which nobody
// could predict.
type form struct {
	want, mask       uint32 // the four bytes behind the first
	endWant, endMask uint16 // the last byte
	add              uint32 // to the length
	text             int    // a mask: the length up to the next stop counts
	digits           int    // a mask: the length of a run of digits counts
}

// window is how far ahead one look at the marks reaches in any case: 64 bits,
// of which up to seven belong to bytes before.
const window = 64 - 7

var forms = func() (t [256]form) {
	for c := range t {
		t[c].want = 1 // with mask 0 it is never met: not for the fast path
	}
	t['"'] = form{endWant: '"', endMask: 0xff, text: 127, add: 1}
	t['0'] = form{}
	for c := '1'; c <= '9'; c++ {
		t[c] = form{digits: 127}
	}
	for _, s := range []string{"null", "true", "false", "[]", "{}"} {
		f := form{add: uint32(len(s) - 1)}
		for i := len(s) - 1; i > 0; i-- {
			f.want, f.mask = f.want<<8|uint32(s[i]), f.mask<<8|0xff
		}
		t[s[0]] = f
	}
	return t
}()

// hints are the first eight bytes of the names that are watched for, by their
// lengths, which differ modulo 32. No key begins with eight zeros.
type hints [32]uint64

func hint(names ...string) *hints {
	var h hints
	for _, n := range names {
		h[len(n)%32] = binary.LittleEndian.Uint64([]byte(n))
	}
	return &h
}

// guesses foretell the length of the next key by the key before it, since
// sessions have their fields in much the same order. The length that the marks
// tell is compared with the guess rather than used: as long as they agree, the
// processor goes on without waiting for it.
type guesses struct {
	slot    uint64 // of the key that was passed last
	lengths [1 << guessBits]uint8
}

const (
	guessBits = 10
	guessMask = 1<<guessBits - 1
	golden    = 0x9E3779B97F4A7C15 // 2^64 / φ: spreads what is multiplied by it
)

// after chooses the slot for what follows the key of n bytes that begins with
// head.
func after(head uint64, n int) uint64 {
	return (head&heads[n&63])*golden>>(64-guessBits) ^ uint64(n)
}

// heads cover the bytes of a short key among eight.
var heads = func() (t [64]uint64) {
	for n := range t {
		t[n] = ^uint64(0)
		if n < 8 {
			t[n] = 1<<(8*n) - 1
		}
	}
	return t
}()

// next is where the fast path stopped.
type next uint8

const (
	nextKey   next = iota // before a key
	nextValue             // before a value or the whitespace before it
	nextAfter             // behind a value
)

// runGo passes members of an object, of which the first key begins at p, as long
// as they are of the common sort: no whitespace, no escapes, no fractions,
// nothing longer than a window, nothing nested that is not empty, no name that
// may be watched for. It leaves everything else, and everything that is wrong,
// for the slow path to look at.
func (sc *Scanner) runGo(p int) (int, next) {
	// Reads are eight bytes long. Those of the value begin at last or before it;
	// those of a row at a byte that belongs to the value or to the two words
	// behind it. To have the compiler check each of them again costs a sixth of
	// the speed.
	var (
		v     = unsafe.Pointer(unsafe.SliceData(sc.value))      //nolint:gosec // see above
		stop  = unsafe.Pointer(unsafe.SliceData(sc.marks.rows)) //nolint:gosec // see above
		other = unsafe.Add(stop, sc.marks.row)
		last  = len(sc.value) - 8
		hints = sc.hints
		guess = &sc.guesses.lengths
		slot  = sc.guesses.slot
	)
	for {
		from := p + 1
		n := int(guess[slot%(1<<guessBits)])
		if l := lowest(word(stop, from>>3) >> (from & 7)); l != n {
			guess[slot%(1<<guessBits)] = uint8(l) // at most 64
			n = l
		}
		end := from + n
		if n >= window || end > last {
			return p, nextKey
		}
		x, head := word(v, end), word(v, from)
		if uint16(x) != '"'|':'<<8 || hints[n&31] == head {
			return p, nextKey
		}
		slot = after(head, n)

		value := end + 2
		f := &forms[*(*byte)(unsafe.Add(v, value))] // not out of x: one step less to wait for
		from = value + 1
		s := lowest(word(stop, from>>3) >> (from & 7))
		d := lowest(word(other, from>>3) >> (from & 7))
		n = s&f.text | d&f.digits
		end = from + int(f.add) + n
		if uint32(x>>24)&f.mask != f.want || n >= window || end > last {
			sc.guesses.slot = slot
			return value, nextValue
		}
		x = word(v, end-1)
		if uint16(x)&f.endMask != f.endWant {
			sc.guesses.slot = slot
			return value, nextValue
		}
		if uint16(x>>8) != ','|'"'<<8 {
			sc.guesses.slot = slot
			if byte(x>>8) == '}' {
				return end, nextAfter
			}
			return value, nextValue
		}
		p = end + 1
	}
}

// word is the eight bytes at p.
func word(base unsafe.Pointer, p int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(base, p))[:])
}
