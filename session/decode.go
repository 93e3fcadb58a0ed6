package session

import (
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

// unescape appends the checked inside of a string as it reads without its
// escapes. Half a surrogate pair becomes U+FFFD, as in encoding/json.
func unescape(dst, raw []byte) []byte {
	for p := 0; p < len(raw); p++ {
		if raw[p] != '\\' {
			dst = append(dst, raw[p])
			continue
		}
		p++
		switch c := raw[p]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(raw[p+1:])
			p += 4
			if utf16.IsSurrogate(r) {
				r, p = surrogate(r, raw, p)
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// surrogate joins r, whose last digit stands at p, with the escape that follows.
func surrogate(r rune, raw []byte, p int) (rune, int) {
	if p+6 < len(raw) && raw[p+1] == '\\' && raw[p+2] == 'u' {
		if joined := utf16.DecodeRune(r, hex4(raw[p+3:])); joined != utf8.RuneError {
			return joined, p + 6
		}
	}
	return utf8.RuneError, p
}

func hex4(digits []byte) (r rune) {
	for _, c := range digits[:4] {
		r = r<<4 | rune(hexDigit[c])
	}
	return r
}

// plainText tells whether text needs no escaping in JSON and is printable ASCII.
func plainText(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// integer is the value of a JSON number, whatever its spelling, when it has no
// fraction and fits. There is no rounding on the way.
func integer(literal []byte) (int64, bool) {
	p, negative := 0, false
	if literal[0] == '-' {
		p, negative = 1, true
	}
	var (
		n     uint64
		zeros int  // that followed the last digit that is in n
		point int  // 1 behind the decimal point
		scale int  // digits behind the decimal point
		big   bool // n has overflowed
	)
	for ; p < len(literal); p++ {
		c := literal[p]
		if c == '.' {
			point = 1
			continue
		}
		d := c - '0'
		if d > 9 {
			break // an exponent
		}
		scale += point
		if d == 0 {
			zeros++
			continue
		}
		if n != 0 {
			n, big = shift(n, zeros+1, big)
		}
		zeros = 0
		big = big || n > math.MaxUint64-uint64(d)
		n += uint64(d)
	}
	if n == 0 && !big {
		return 0, true
	}
	power := zeros - scale
	if p < len(literal) {
		power += exponent(literal[p+1:])
	}
	if power < 0 {
		return 0, false
	}
	n, big = shift(n, power, big)
	switch {
	case big:
		return 0, false
	case negative && n <= 1<<63:
		return -int64(n), true // 1<<63 is its own negative
	case !negative && n <= math.MaxInt64:
		return int64(n), true
	}
	return 0, false
}

// shift multiplies n, which is not 0, by ten as often as by says.
func shift(n uint64, by int, big bool) (uint64, bool) {
	for ; by > 0 && !big; by-- {
		big = n > math.MaxUint64/10
		n *= 10
	}
	return n, big
}

// exponent is the value of an exponent, bounded so that it cannot overflow and
// no mantissa in memory can make up for it.
func exponent(literal []byte) int {
	const bound = 1 << 27 // longer than any record, and ten times as much fits an int of 32 bits
	e, sign := 0, 1
	for _, c := range literal {
		switch {
		case c == '-':
			sign = -1
		case c != '+' && e < bound:
			e = e*10 + int(c-'0')
		}
	}
	return sign * e
}
