package dispatcher

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"sessionexport/batcher"
)

// swap brings other settings into force. Nothing is on the wire. What waits is
// framed anew and is untried; what was finished stays finished. Nothing that
// was learned of the old destination counts for the new one.
func (m *machine) swap(now time.Time, r rules, f format) {
	m.rules, m.fmt, m.changing = r, f, false
	m.batcher.Change(f, r.limits, r.maxInFlight+2)
	m.raiseAt = time.Time{}
	for _, d := range m.queue {
		m.recast(now, d)
	}
	m.pause = pause{waits: m.retryWaits()}
	m.ledger = ledger{accepted: m.ledger.accepted}
	m.hold.change(now, r.maxInFlight)
	if m.hold.active && m.policy != Hold {
		m.eff.tell(Event{Kind: HoldLeft, Since: m.hold.since, Cause: m.hold.cause})
		m.hold.end()
	}
	m.finish()
	m.tick(now)
}

// recast frames what is left of a delivery as the settings in force want it, as
// one untried piece. What is out of their scope is dropped, and what their
// format cannot carry is given up.
func (m *machine) recast(now time.Time, d *delivery) {
	items := d.suspects
	for _, p := range d.pieces {
		p.all(func(i int) { items = append(items, int32(i)) }) //nolint:gosec // below maxSessions
	}
	slices.Sort(items)
	d.pieces, d.suspects, d.past = nil, nil, nil
	d.isolation, d.heard, d.alone = 0, 0, 0
	d.waits = m.retryWaits()
	old := d.batch
	b := &batcher.Batch{Seq: old.Seq, Trigger: old.Trigger, Opened: old.Opened, Encoder: m.fmt}
	for _, i := range items {
		it := old.Items[i]
		document := documentOf(old, int(i))
		start := len(b.Body)
		err := m.scanner.Scan(document, m.zone, &m.scanned)
		if err == nil && !m.scanned.InScope {
			m.counts.partition(it.Pos.Partition).OutOfScope++
			continue
		}
		at := 0
		if err == nil {
			b.Body, at, err = m.fmt.Append(b.Body, &m.scanned)
		}
		if err != nil {
			m.rejectItem(now, d, it, document, err)
			continue
		}
		if len(b.Items) == 0 || it.Timestamp < b.Oldest {
			b.Oldest = it.Timestamp
		}
		it.Start, it.Doc, it.End = int32(start), int32(at), int32(len(b.Body)) //nolint:gosec // a body is far below 2 GiB
		b.Items = append(b.Items, it)
	}
	// The old memory is left to the collector: letters that wait are parts of it.
	d.batch = b
	if n := len(b.Items); n > 0 {
		d.pieces = []piece{{to: n}}
		d.oversized = len(b.Body)+m.fmt.Enclosing() > m.limits.Bytes || m.limits.Sessions > 0 && n > m.limits.Sessions
	}
}

// documentOf is the document of a session as it came.
func documentOf(b *batcher.Batch, item int) []byte {
	framed := b.Frame(item)
	if f, ok := b.Encoder.(format); ok {
		return f.Document(framed)
	}
	return framed
}

// errNotCarried stands for an error that is none of the format's own.
var errNotCarried = errors.New("the format cannot carry the session")

// rejectItem gives up a session of a batch that the format in force cannot carry.
func (m *machine) rejectItem(now time.Time, d *delivery, it batcher.Item, document []byte, err error) {
	const kind = "unencodable"
	if err == nil {
		err = errNotCarried
	}
	m.counts.Rejected[kind]++
	if m.policy == Discard {
		m.counts.partition(it.Pos.Partition).Discarded++
		m.eff.tell(Event{Kind: Discarded, Sessions: 1, Cause: Cause{Reason: kind, Text: textOf(err)}})
		return
	}
	l := m.letter(it.Pos, it.Timestamp)
	l.Kind, l.Reason, l.Error = "rejected", reasonOf(kind, err), textOf(err)
	l.Attempts, l.First, l.Last = d.attempts, d.first, d.last
	if d.attempts == 0 {
		l.First, l.Last = now, now
	}
	l.Body = bytes.Clone(document)
	d.letters++
	m.letters.add(letterJob{letter: l, d: d, pos: it.Pos})
}

// drain begins the end of a sink whose group goes on: no record is read, and of
// what waits only that is still sent which keeps accepted sessions behind it, or
// of the same batch, from being marked. They would be sent twice otherwise.
func (m *machine) drain() { m.draining = true }

// drained tells whether nothing more can be gained by waiting: it is sent, or
// the destination does not take it.
func (m *machine) drained() bool {
	if m.wires > 0 || len(m.letters.writing) > 0 || m.changing {
		return false
	}
	if m.hold.active || m.letters.trouble {
		return true
	}
	return !slices.ContainsFunc(m.queue, func(d *delivery) bool {
		return d.batch.Seq <= m.reach && (len(d.pieces) > 0 || d.letters > 0)
	})
}
