package dispatcher

import (
	"slices"
	"time"
)

// blame tells that the destination is at fault and, if that is the policy,
// begins a hold or goes on with one.
func (m *machine) blame(now time.Time, d *delivery, c Cause, sessions int, atLeast time.Duration) {
	m.counts.Failures[c.Reason]++
	m.eff.tell(Event{Kind: Alert, Cause: c, Sessions: sessions, Attempt: d.attempts})
	if m.policy != Hold {
		return
	}
	if m.hold.begin(now, c, c.credentials()) {
		for _, o := range m.queue {
			o.merge()
			o.isolation, o.heard, o.alone = 0, 0, 0
		}
		if earliest := now.Add(min(atLeast, pauseMost)); m.hold.at.Before(earliest) {
			m.hold.at = earliest
		}
		m.eff.tell(Event{Kind: HoldBegan, Cause: c, Wait: m.hold.at.Sub(now), Since: now})
		return
	}
	if m.late && (m.hold.credentials || !c.credentials()) {
		// It was on its way when the hold began: the probe that is due tells more.
		d.merge()
		if earliest := now.Add(min(atLeast, pauseMost)); m.hold.at.Before(earliest) {
			m.hold.at = earliest
		}
		return
	}
	m.hold.failed(now, atLeast)
	m.eff.tell(Event{Kind: ProbeFailed, Cause: c, Wait: m.hold.at.Sub(now), Since: m.hold.since})
}

// losePatience holds when throttling has lasted for too long although the time
// that the destination asked for is not over: nothing is sent before, but
// somebody is told. Other policies decide with the next answer.
func (m *machine) losePatience(now time.Time) {
	if m.policy != Hold || m.pause.since.IsZero() || now.Before(m.pause.overdue()) {
		return
	}
	m.pause.since = time.Time{}
	if len(m.queue) > 0 {
		d := m.queue[0]
		m.blame(now, d, m.pause.cause, len(d.batch.Items), m.pause.until.Sub(now))
	}
}

// putOff goes on with a hold after a probe that was not accepted.
func (m *machine) putOff(now time.Time, a *attempt, c Cause, atLeast time.Duration) {
	if !a.probe {
		// It was on its way when the hold began; what it says changes nothing.
		a.d.merge()
		return
	}
	m.hold.cause = c
	m.hold.failed(now, atLeast)
	a.d.merge()
	m.eff.tell(Event{Kind: ProbeFailed, Cause: c, Batch: a.body.ID, Wait: m.hold.at.Sub(now), Since: m.hold.since})
}

// sendable tells whether a probe has something to send.
func (m *machine) sendable() bool {
	for _, d := range m.queue {
		if len(d.pieces) > 0 || len(d.suspects) > 0 {
			return true
		}
	}
	return false
}

// probe sends the next probe of a hold when it is due and nothing else is on
// the wire: the oldest batch's first session that is no suspect, or when
// suspects are all there is, each of them in turn: the next may be good.
func (m *machine) probe(now time.Time) {
	if m.wires > 0 || now.Before(m.hold.at) {
		return
	}
	for _, d := range m.queue {
		if len(d.pieces) > 0 {
			m.counts.Probes++
			size := m.hold.size
			if n := m.fitting(d); n > 0 && (size == 0 || n < size) {
				size = n
			}
			m.send(now, d, d.pop(size), true)
			return
		}
	}
	if d, at := m.leastProbed(); d != nil {
		i := int(d.suspects[at])
		d.past[d.suspects[at]].probes++
		d.suspects = slices.Delete(d.suspects, at, at+1)
		m.counts.Probes++
		m.send(now, d, piece{from: i, to: i + 1}, true)
		return
	}
	if len(m.queue) == 0 {
		// Everything was given up or handed back: nothing is held any more.
		m.eff.tell(Event{Kind: HoldLeft, Since: m.hold.since, Cause: m.hold.cause})
		m.hold.end()
	}
}

// leastProbed finds the suspect that was the probe least often, the oldest of
// several; nil when there are no suspects.
func (m *machine) leastProbed() (of *delivery, at int) {
	least := 0
	for _, d := range m.queue {
		for n, i := range d.suspects {
			if p := d.past[i].probes; of == nil || p < least {
				of, at, least = d, n, p
			}
		}
	}
	return of, at
}
