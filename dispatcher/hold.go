package dispatcher

import (
	"math/rand/v2"
	"time"
)

// hold is the state of a sink whose destination is at fault: it sends nothing
// but one probe at a time.
//
//	        begin                       probe fails: size 1, wait grows
//	flowing ─────▶ held: wait ──▶ probe ────────────────────────┐
//	   ▲             ▲                │ accepted: 1 ▶ 10 ▶ 100 ▶ rest, no wait
//	   │             └────────────────┴─────────────────────────┘
//	   │ the rest was accepted: slow start
//	   └── 1 batch in flight, doubled after ten good ones, up to maxInFlight
//
// It is pure: the caller passes the time.
type hold struct {
	active bool
	cause  Cause
	since  time.Time
	at     time.Time // when the next probe may leave
	size   int       // sessions of the next probe; 0: the rest of its batch

	waits       waits
	credentials bool
	maxInFlight int
	limit       int // batches that may be in flight
	good        int // good batches since limit changed
}

// slowStartGood is how many good batches double the number in flight.
const slowStartGood = 10

func newHold(maxInFlight int, rnd *rand.Rand) hold {
	return hold{maxInFlight: maxInFlight, limit: maxInFlight, waits: waits{rnd: rnd, multiplier: probeMultiplier}}
}

// begin starts a hold; while one is active it only takes the newer cause. When
// the last one ended so recently that the slow start is not over, the waits go
// on growing where they were.
func (h *hold) begin(now time.Time, c Cause, credentials bool) (began bool) {
	fresh := h.waits.series == nil || credentials != h.credentials || !h.active && h.limit == h.maxInFlight
	if fresh {
		h.credentials = credentials
		h.waits.initial, h.waits.most, h.waits.floor = probeFirst, probeMost, 0
		if credentials {
			h.waits.initial, h.waits.most, h.waits.floor = credentialFirst, credentialMost, credentialFirst
		}
		h.waits.reset()
	}
	h.cause = c
	if h.active {
		return false
	}
	h.active, h.since = true, now
	h.size = 1
	h.at = now.Add(h.waits.next())
	return true
}

// failed puts the next probe off, by at least the time that the destination
// asked for.
func (h *hold) failed(now time.Time, atLeast time.Duration) {
	h.size = 1
	h.at = now.Add(max(h.waits.next(), min(atLeast, pauseMost)))
}

// passed makes the next probe larger and due at once.
func (h *hold) passed(now time.Time) {
	switch {
	case h.size == 0:
	case h.size >= 100:
		h.size = 0
	default:
		h.size *= 10
	}
	h.at = now
}

// change follows other settings: what the old ones failed at says nothing about
// them, so the next probe is due at once.
func (h *hold) change(now time.Time, maxInFlight int) {
	if h.limit == h.maxInFlight || h.limit > maxInFlight {
		h.limit = maxInFlight
	}
	h.maxInFlight = maxInFlight
	h.waits.reset()
	h.size, h.at = 1, now
}

// end ends the hold with a slow start.
func (h *hold) end() {
	h.active = false
	h.limit, h.good = 1, 0
}

// delivered notes a good batch.
func (h *hold) delivered() {
	if h.limit >= h.maxInFlight {
		return
	}
	if h.good++; h.good >= slowStartGood {
		h.limit, h.good = min(2*h.limit, h.maxInFlight), 0
		if h.limit == h.maxInFlight {
			h.waits.reset()
		}
	}
}
