package dispatcher

import (
	"bytes"
	"errors"
	"time"

	"sessionexport/consumer"
	"sessionexport/deadletter"
	"sessionexport/session"
	"sessionexport/sinks"
)

// reject gives up a record that never gets into a batch: malformed, without
// what the format needs, or larger than the largest session.
func (m *machine) reject(now time.Time, pos session.Position, r *consumer.Record, kind string, err error) {
	m.counts.Rejected[kind]++
	if m.policy == Discard {
		m.tally.Discarded++
		m.eff.tell(Event{Kind: Discarded, Sessions: 1, Cause: Cause{Reason: kind, Text: textOf(err)}})
		return
	}
	l := m.letter(pos, r.Timestamp)
	l.Kind, l.Reason, l.Error = "rejected", reasonOf(kind, err), textOf(err)
	l.First, l.Last = now, now
	if r.TooLarge > 0 {
		l.BodyOmitted, l.BodySize = true, r.TooLarge
		l.Error = "the record is larger than the largest session"
	} else {
		l.Body = bytes.Clone(r.Value) // the fetch's memory is used again
	}
	m.letters.owners++
	owner := recordOwner | m.letters.owners
	m.run.add(owner, pos.Offset+1)
	m.letters.add(letterJob{letter: l, owner: owner, pos: pos})
}

// reasonOf is the stable word for why a record was rejected.
func reasonOf(kind string, err error) string {
	var malformed *session.Malformed
	var rejected *sinks.RejectedError
	switch {
	case errors.As(err, &malformed):
		return string(malformed.Reason)
	case errors.As(err, &rejected):
		return rejected.Reason
	}
	return kind
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (m *machine) letter(pos session.Position, timestamp int64) deadletter.Letter {
	return deadletter.Letter{
		Environment: m.environment, Sink: m.sink, Format: m.fmt.Name(),
		Source: deadletter.Source{Topic: m.topic, Partition: pos.Partition, Offset: pos.Offset, Timestamp: time.UnixMilli(timestamp)},
	}
}

// give gives up sessions of a delivery: to the dead letters, or, when the
// policy is to discard, to nowhere.
func (m *machine) give(d *delivery, items []int32, kind string, cause func(item int32) Cause) {
	if len(items) == 0 {
		return
	}
	if m.policy == Discard {
		for _, i := range items {
			m.counts.partition(d.batch.Items[i].Pos.Partition).Discarded++
		}
		m.eff.tell(Event{Kind: Discarded, Sessions: len(items), Cause: cause(items[0])})
		return
	}
	for _, i := range items {
		it := d.batch.Items[i]
		c := cause(i)
		l := m.letter(it.Pos, it.Timestamp)
		l.Kind, l.Reason, l.Status, l.Attempts, l.First, l.Last = kind, c.Reason, c.Status, d.attempts, d.first, d.last
		l.Error = c.Text
		if c.Type != "" {
			l.Reason = c.Type
		}
		if c.Private != "" {
			l.Error += ": " + c.Private
		}
		l.Body = m.fmt.Document(d.batch.Frame(int(i))) // the batch stays until its letters are durable
		d.letters++
		m.letters.add(letterJob{letter: l, d: d, pos: it.Pos})
	}
}

// rejectSessions decides on sessions that the destination refused one by one.
// They are given up at once when others were accepted in the same answer, or
// between an earlier refusal and this one; otherwise they are suspects until a
// witness comes. It reports false when the witness is not believed because too
// many would have been given up: then it is the destination's fault.
func (m *machine) rejectSessions(d *delivery, items []int32, together bool, causes func(item int32) Cause) bool {
	var proven []int32
	for _, i := range items {
		r := d.remember(int(i), causes(i), false, m.ledger.accepted)
		r.heard = d.heard > 0
		if together || m.ledger.since(r.refused) {
			proven = append(proven, i)
		} else {
			d.suspect(int(i))
		}
	}
	return m.condemn(d, proven)
}

// condemn gives sessions up that have a witness, or, when too many would have
// been given up, keeps them as suspects and reports false.
func (m *machine) condemn(d *delivery, proven []int32) bool {
	if !m.ledger.mayGiveUp(len(proven)) && m.policy != Discard {
		for _, i := range proven {
			d.past[i].again, d.past[i].heard = m.ledger.accepted, false // heard again after the next witness
			d.suspect(int(i))
		}
		return false
	}
	m.ledger.giveUp(len(proven))
	m.give(d, proven, "rejected", func(i int32) Cause { return d.past[i].cause })
	return true
}

// failedAlone decides on a session that failed alone in a way that a poisonous
// session may cause. It is given up after three such failures with a witness
// between; until then others are tried before it is tried again.
func (m *machine) failedAlone(d *delivery, item int, c Cause) {
	r := d.remember(item, c, true, m.ledger.accepted)
	if r.fails >= poisonFails && m.ledger.since(r.mark) && m.ledger.mayGiveUp(1) {
		m.ledger.giveUp(1)
		m.give(d, []int32{int32(item)}, "poison", func(int32) Cause { return c }) //nolint:gosec // below maxSessions
		return
	}
	d.suspect(item)
}

// poisonFails is how often a session must fail alone before it is given up.
const poisonFails = 3

// hearSuspects makes suspects sendable again when a witness came after their
// latest failure: what an ill destination refused must not be given up unheard.
// It costs a request more, and tells a bad session from a bad moment.
func (m *machine) hearSuspects() {
	for _, d := range m.queue {
		var back []int32
		left := d.suspects[:0]
		for _, i := range d.suspects {
			if m.ledger.since(d.past[i].again) {
				back = append(back, i)
			} else {
				left = append(left, i)
			}
		}
		d.suspects = left
		if len(back) > 0 {
			p := pieceOf(back)
			p.isolating = true
			d.push(p)
		}
	}
}

// settleSuspects decides on deliveries of which only suspects are left: while
// something is on the wire or to be sent it may still bring a witness.
// Otherwise those few that others of their batch went ahead of are given up,
// and for the rest it is the destination's fault.
func (m *machine) settleSuspects(now time.Time) {
	if m.wires > 0 {
		return
	}
	for _, d := range m.queue {
		if len(d.pieces) > 0 {
			return // the next attempt may bring one
		}
	}
	for _, d := range m.queue {
		if len(d.suspects) == 0 {
			continue
		}
		var proven, rest []int32
		for _, i := range d.suspects {
			if r := d.past[i]; r.heard && !r.poison && d.alone < loneMost {
				proven = append(proven, i)
			} else {
				rest = append(rest, i)
			}
		}
		d.suspects = rest
		if !m.condemn(d, proven) {
			m.tooMany(now, d, d.past[proven[0]].cause)
			return
		}
		if len(d.suspects) == 0 {
			continue
		}
		c := d.past[d.suspects[0]].cause
		if m.policy == Hold {
			m.blame(now, d, c, len(d.suspects), 0)
			return
		}
		d.suspects = nil
		m.fail(now, d, pieceOf(rest), c, 0)
	}
	m.finish()
}
