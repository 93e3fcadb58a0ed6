package sinks

import "bytes"

// likeness is what the last good item of an answer looks like, so that the
// next ones need not be parsed:
//
//	{"index":{"_id":"a-1","_version":1,"status":201}}
//	{"index":{"_id":"···","_version":·,"status":201}}
//
// Texts and numbers that mean nothing here may be others; everything else is the
// same, byte for byte, so that an item that is like a good one is good. With the
// filter that is asked for nothing is left that may differ. Some proxies drop
// it, and parsing whole items would be a tenth of a sink's CPU time.
type likeness struct {
	bytes  [512]byte
	size   int // 0: nothing was learned
	gaps   [12]gap
	known  int // gaps of what was learned
	start  int // of the item that is being parsed
	noted  [12]gap
	noting int // gaps of the item that is being parsed; beyond the largest number: too many
}

// gap is a value that may be another one.
type gap struct {
	from, to int  // in the item; of a text without its quotes
	text     bool // otherwise digits
	varies   bool // it was another one already
}

func (l *likeness) forget() { l.size = 0 }

// begin starts an item at start.
func (l *likeness) begin(start int) { l.start, l.noting = start, 0 }

// passed notes that a value of the item was passed over.
func (l *likeness) passed(from, to int, text bool) {
	if l.noting < len(l.noted) {
		l.noted[l.noting] = gap{from: from - l.start, to: to - l.start, text: text}
	}
	l.noting++
}

// learn keeps what a good item looks like. What was noted of it must be within
// it.
func (l *likeness) learn(item []byte) {
	if len(item) > len(l.bytes) || l.noting > len(l.noted) {
		return
	}
	l.size = copy(l.bytes[:], item)
	l.known = copy(l.gaps[:], l.noted[:l.noting])
}

// match returns the length of the item that b begins with when it is like the
// good one, 0 otherwise. Few of the values that may vary do, so the first try
// compares the others with all that is between.
func (l *likeness) match(b []byte) int {
	if l.size == 0 {
		return 0
	}
	if n := l.compare(b, false); n > 0 {
		return n
	}
	return l.compare(b, true)
}

func (l *likeness) compare(b []byte, every bool) int {
	p, at := 0, 0
	for i := range l.gaps[:l.known] {
		g := &l.gaps[i]
		if !g.varies && !every {
			continue
		}
		if !bytes.HasPrefix(b[p:], l.bytes[at:g.from]) {
			return 0
		}
		p += g.from - at
		var n int
		if g.text {
			n = plainText(b[p:])
		} else if n = digits(b[p:]); n == 0 {
			return 0
		}
		g.varies = g.varies || !bytes.Equal(b[p:p+n], l.bytes[g.from:g.to])
		p += n // what follows it is compared next: the quote, or what ends a number
		at = g.to
	}
	if !bytes.HasPrefix(b[p:], l.bytes[at:l.size]) {
		return 0
	}
	return p + l.size - at
}

// digits is the length of the integer that b begins with: digits, none of them
// a zero in front of others; 0 without one.
func digits(b []byte) int {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	if n > 1 && b[0] == '0' {
		return 0
	}
	return n
}
