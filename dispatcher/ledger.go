package dispatcher

// window is how many sessions' outcomes are remembered, and the part of them
// that may be given up before it is the destination's fault.
const (
	window        = 1000
	givenUpAtMost = window / 5
)

// ledger counts what became of a sink's sessions, and answers the question
// behind every give-up: is there a witness, another session that was accepted,
// and are not too many given up already. It is pure.
type ledger struct {
	accepted uint64 // sessions that the destination accepted, ever
	ring     [window]bool
	at       int
	given    int // true entries of ring
}

func (l *ledger) push(givenUp bool) {
	if l.ring[l.at] {
		l.given--
	}
	l.ring[l.at] = givenUp
	if givenUp {
		l.given++
	}
	l.at = (l.at + 1) % window
}

// accept notes n accepted sessions.
func (l *ledger) accept(n int) {
	if n <= 0 {
		return
	}
	l.accepted += uint64(n)
	for range min(n, window) {
		l.push(false)
	}
}

// giveUp notes n sessions given up.
func (l *ledger) giveUp(n int) {
	for range n {
		l.push(true)
	}
}

// mayGiveUp tells whether n more may be given up: no more than a fifth of the
// last 1,000 sessions.
func (l *ledger) mayGiveUp(n int) bool { return l.given+n <= givenUpAtMost }

// since tells whether a session was accepted after mark was read from accepted.
func (l *ledger) since(mark uint64) bool { return l.accepted > mark }
