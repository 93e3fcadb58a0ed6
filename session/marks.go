package session

import (
	"encoding/binary"
	"math/bits"
	"runtime"
	"unicode/utf8"
)

const (
	block = 64 // bytes of a value that one word of marks covers

	// keptMarks is how much of the marks' memory outlives a scan: enough for
	// values of 1 MiB.
	keptMarks = 1 << 20 / 8 * 2 // bytes
)

// marks are what a value's bytes are, one bit for each byte, so that the end of
// a string or of a run of digits is found without looking at them one by one:
//
//	value  {"name":"a\"b","n":123}
//	stop   .#....#.#.##.#.#.#.....   quote, backslash or control character
//	other  ##################...#   no digit
//	high   .......................   no ASCII
//
// Behind the value every byte is a stop and no digit, for two words at least.
type marks struct {
	rows []byte // stop, then other; bytes, because windows begin at any of them
	row  int    // bytes of one row
	high []uint64
	seen uint64 // the words of high, joined
}

// mark classifies v.
func (m *marks) mark(v []byte) {
	m.fit(len(v))
	stop, other := m.rows[:m.row], m.rows[m.row:]
	n := len(v) / block
	m.seen = 0
	if n > 0 {
		m.seen = markBlocks(v[:n*block], stop, other, m.high)
	}
	var last [block]byte // the rest and zeros, which are control characters
	copy(last[:], v[n*block:])
	m.seen |= markBlocks(last[:], stop[n*8:], other[n*8:], m.high[n:])
	for i := n*8 + 8; i < m.row; i += 8 {
		binary.LittleEndian.PutUint64(stop[i:], ^uint64(0))
		binary.LittleEndian.PutUint64(other[i:], ^uint64(0))
	}
}

// fit makes room for the marks of n bytes.
func (m *marks) fit(n int) {
	words := n/block + 3
	size := 2 * 8 * words
	if size > cap(m.rows) || size <= keptMarks && cap(m.rows) > keptMarks {
		room := size
		if size <= keptMarks {
			room = min(2*size, keptMarks)
		}
		m.rows, m.high = make([]byte, room), make([]uint64, room/16)
	}
	m.row = 8 * words
	m.rows = m.rows[:size]
	m.high = m.high[:n/block+1]
}

// stop is the first stop at p or behind it.
func (m *marks) stop(p int) int {
	i := p / block
	w := binary.LittleEndian.Uint64(m.rows[8*i:]) &^ (1<<(p%block) - 1)
	for w == 0 {
		i++
		w = binary.LittleEndian.Uint64(m.rows[8*i:])
	}
	return i*block + bits.TrailingZeros64(w)
}

// invalid is where the first byte of v stands that is no UTF-8, -1 without one.
// Only what is no ASCII is decoded.
func (m *marks) invalid(v []byte) int {
	if m.seen == 0 {
		return -1
	}
	checked := 0
	for i, w := range m.high {
		base := i * block
		for {
			if checked > base {
				if checked >= base+block {
					break
				}
				w &^= 1<<(checked-base) - 1
			}
			if w == 0 {
				break
			}
			p := base + bits.TrailingZeros64(w)
			r, n := utf8.DecodeRune(v[p:])
			if r == utf8.RuneError && n == 1 {
				return p
			}
			checked = p + n
		}
	}
	return -1
}

// lowest is the number of zeros below the lowest bit of w, 64 without one.
// Without BMI1, which Go does not assume, counting ones is much cheaper on
// amd64 than the instruction that looks for a bit.
func lowest(w uint64) int {
	if runtime.GOARCH == "amd64" {
		return bits.OnesCount64((w - 1) &^ w)
	}
	return bits.TrailingZeros64(w)
}

// markBlocksGo is markBlocks eight bytes at a time.
func markBlocksGo(v, stop, other []byte, high []uint64) (seen uint64) {
	const (
		each = 0x0101010101010101
		low  = 0x7f * each
		top  = 0x80 * each
	)
	for i := 0; len(v) >= block; i++ {
		var s, o, h, highs uint64
		for j := 0; j < 8; j++ {
			x := binary.LittleEndian.Uint64(v[8*j:])
			control, quote, slash, digit := x&(0xe0*each), x^('"'*each), x^('\\'*each), x^('0'*each)
			// A byte's top bit is set by what it is not; no carry leaves a byte.
			control = control&low + low | control
			quote = quote&low + low | quote
			slash = slash&low + low | slash
			digit = digit&low + 0x76*each | digit
			s |= gather(^(control&quote&slash)&top) << (8 * j)
			o |= gather(digit&top) << (8 * j)
			highs |= x
		}
		if highs&top != 0 {
			for j := 0; j < 8; j++ {
				h |= gather(binary.LittleEndian.Uint64(v[8*j:])&top) << (8 * j)
			}
		}
		binary.LittleEndian.PutUint64(stop[8*i:], s)
		binary.LittleEndian.PutUint64(other[8*i:], o)
		high[i] = h
		seen |= h
		v = v[block:]
	}
	return seen
}

// gather makes one byte of the top bits of eight.
func gather(tops uint64) uint64 { return (tops >> 7) * 0x0102040810204080 >> 56 }
