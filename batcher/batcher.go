// Package batcher turns sessions into batches: scope, encoding and the rules
// by which a batch leaves. It has no goroutine and no clock: the caller passes
// the time.
package batcher

import (
	"time"

	"sessionexport/session"
)

// The limits of a batch as the reference describes them.
const (
	DefaultSessions = 1000             // sessions, reference: bulk size
	DefaultBytes    = 896_000          // bytes of the body before compression, reference: bulk size
	DefaultIdle     = 30 * time.Second // reference: no session finished
	DefaultAge      = 5 * time.Minute  // a trickle leaves after at most this long
)

// Encoder frames one session; the formats of package sinks are encoders.
type Encoder interface {
	// Append appends the framed session to dst and tells where in the result
	// its document starts. On an error dst is returned as it was.
	Append(dst []byte, s *session.Session) (out []byte, doc int, err error)
	// Enclosing is the number of bytes that a body has beyond its framed sessions.
	Enclosing() int
}

// Limits are the rules by which a batch leaves. A zero value means the default.
type Limits struct {
	Sessions int           // most sessions of a batch
	Bytes    int           // most bytes of a body; a single larger session travels alone
	Idle     time.Duration // since the newest session
	Age      time.Duration // since the first session
}

func (l Limits) orDefaults() Limits {
	if l.Sessions <= 0 {
		l.Sessions = DefaultSessions
	}
	if l.Bytes <= 0 {
		l.Bytes = DefaultBytes
	}
	if l.Idle <= 0 {
		l.Idle = DefaultIdle
	}
	if l.Age <= 0 {
		l.Age = DefaultAge
	}
	return l
}

// Batcher collects sessions into batches.
//
//	          Add: 1000th session ─────────────┐
//	          Add: would pass 896,000 bytes ───┤
//	filling ──┤                                ├──▶ ready ──▶ Take
//	          Due: 30 s since the newest ──────┤
//	          Due: 5 min since the first ──────┤
//	          Change ──────────────────────────┘
//
// It is not safe for concurrent use.
type Batcher struct {
	enc    Encoder
	lim    Limits
	bytes  int // the limit in force: the configured one, or a smaller learned one
	cur    *Batch
	ready  []*Batch
	free   []*Batch
	keep   int // most batches kept for reuse
	encl   int
	nextSq uint64
}

// New returns an empty Batcher. reuse is how many batches' memory it keeps for
// later ones.
func New(enc Encoder, lim Limits, reuse int) *Batcher {
	lim = lim.orDefaults()
	b := &Batcher{enc: enc, lim: lim, bytes: lim.Bytes, keep: reuse, encl: enc.Enclosing(), nextSq: 1}
	b.cur = b.fresh()
	return b
}

func (b *Batcher) fresh() *Batch {
	var n *Batch
	if k := len(b.free); k > 0 {
		n = b.free[k-1]
		b.free[k-1] = nil
		b.free = b.free[:k-1]
		*n = Batch{Body: n.Body[:0], Items: n.Items[:0]}
	} else {
		n = &Batch{}
	}
	n.Seq, n.Encoder = b.nextSq, b.enc
	b.nextSq++
	return n
}

// Add encodes a session at the end of the filling batch and returns the number
// of the batch that it went into. A batch that became complete by it waits in
// Take. On an error, the encoder's, nothing has changed.
func (b *Batcher) Add(now time.Time, s *session.Session, pos session.Position, timestamp int64) (uint64, error) {
	c := b.cur
	start := len(c.Body)
	if start == 0 {
		c.Body = b.room(c.Body)
	}
	body, doc, err := b.enc.Append(c.Body, s)
	c.Body = body
	if err != nil {
		return 0, err
	}
	if len(c.Items) > 0 && len(body)+b.encl > b.bytes {
		// The new session is encoded already: it moves, the rest leaves.
		next := b.fresh()
		next.Body = append(b.room(next.Body), body[start:]...)
		c.Body = body[:start]
		doc -= start
		start = 0
		b.leave(ByBytes)
		b.cur = next
		c = next
	}
	if len(c.Items) == 0 {
		c.Opened, c.Oldest = now, timestamp
	}
	c.last = now
	c.Oldest = min(c.Oldest, timestamp)
	//nolint:gosec // a body is far below 2 GiB: the largest session is 16 MB
	c.Items = append(c.Items, Item{Start: int32(start), Doc: int32(doc), End: int32(len(c.Body)), Pos: pos, Timestamp: timestamp})
	seq := c.Seq
	switch {
	case len(c.Items) >= b.lim.Sessions:
		b.leave(BySessions)
		b.cur = b.fresh()
	case len(c.Body)+b.encl > b.bytes: // one session larger than the limit travels alone
		b.leave(ByBytes)
		b.cur = b.fresh()
	}
	return seq, nil
}

// room makes an empty body's memory at once: growing step by step would copy
// the body several times.
func (b *Batcher) room(body []byte) []byte {
	if cap(body) < b.bytes {
		return make([]byte, 0, b.bytes+4096)
	}
	return body
}

// leave makes the filling batch ready; the caller sets a new one.
func (b *Batcher) leave(t Trigger) {
	b.cur.Trigger = t
	b.ready = append(b.ready, b.cur)
	b.cur = nil
}

// Deadline is when the filling batch leaves if no session comes; zero when it
// is empty.
func (b *Batcher) Deadline() time.Time {
	if len(b.cur.Items) == 0 {
		return time.Time{}
	}
	idle, age := b.cur.last.Add(b.lim.Idle), b.cur.Opened.Add(b.lim.Age)
	if age.Before(idle) {
		return age
	}
	return idle
}

// Due makes the filling batch ready when its deadline has come.
func (b *Batcher) Due(now time.Time) {
	if len(b.cur.Items) == 0 {
		return
	}
	switch {
	case !now.Before(b.cur.last.Add(b.lim.Idle)):
		b.leave(ByIdle)
	case !now.Before(b.cur.Opened.Add(b.lim.Age)):
		b.leave(ByAge)
	default:
		return
	}
	b.cur = b.fresh()
}

// Change makes the sessions to come follow another encoder and other limits.
// The filling batch becomes ready; it and those that wait keep the encoding that
// they have, see Batch.Encoder.
func (b *Batcher) Change(enc Encoder, lim Limits, reuse int) {
	lim = lim.orDefaults()
	b.enc, b.lim, b.bytes, b.keep, b.encl = enc, lim, lim.Bytes, reuse, enc.Enclosing()
	b.free = nil // of the sizes that were
	if len(b.cur.Items) > 0 {
		b.leave(ByReload)
		b.cur = b.fresh()
		return
	}
	b.cur.Encoder = enc
}

// Ready tells how many batches wait in Take.
func (b *Batcher) Ready() int { return len(b.ready) }

// Peek returns the first batch that waits, or nil.
func (b *Batcher) Peek() *Batch {
	if len(b.ready) == 0 {
		return nil
	}
	return b.ready[0]
}

// Take returns the first batch that waits, or nil.
func (b *Batcher) Take() *Batch {
	if len(b.ready) == 0 {
		return nil
	}
	t := b.ready[0]
	n := copy(b.ready, b.ready[1:])
	b.ready[n] = nil
	b.ready = b.ready[:n]
	return t
}

// Recycle gives the memory of a finished batch back.
func (b *Batcher) Recycle(t *Batch) {
	// A body that one huge session blew up is not kept.
	if len(b.free) < b.keep && cap(t.Body) <= 2*b.lim.Bytes+4096 {
		b.free = append(b.free, t)
	}
}

// Filling returns the number of sessions and bytes that wait for the filling
// batch to leave, and the oldest record timestamp among them (0 when empty).
func (b *Batcher) Filling() (sessions, bytes int, oldest int64) {
	if len(b.cur.Items) == 0 {
		return 0, 0, 0
	}
	return len(b.cur.Items), len(b.cur.Body), b.cur.Oldest
}

// Limit returns the byte limit in force.
func (b *Batcher) Limit() int { return b.bytes }

// SetLimit sets the byte limit in force, between 1 and the configured one: a
// destination that refuses larger bodies teaches it.
func (b *Batcher) SetLimit(n int) { b.bytes = max(1, min(n, b.lim.Bytes)) }

// Cut drops from the filling batch and from those that wait every session that
// drop names, and returns how many went. dropped is called for each.
func (b *Batcher) Cut(drop func(session.Position) bool, dropped func(seq uint64, it Item)) int {
	n := 0
	for _, t := range append(b.ready, b.cur) {
		n += t.cut(drop, dropped)
	}
	left := b.ready[:0]
	for _, t := range b.ready {
		if len(t.Items) > 0 {
			left = append(left, t)
		} else {
			b.Recycle(t)
		}
	}
	clear(b.ready[len(left):])
	b.ready = left
	return n
}

// cut compacts the batch in place. When it was opened stays: a batch that loses
// its first session leaves a little early.
func (b *Batch) cut(drop func(session.Position) bool, dropped func(seq uint64, it Item)) int {
	items := b.Items
	b.Items = b.Items[:0]
	b.Oldest = 0
	end := int32(0)
	for _, it := range items {
		if drop(it.Pos) {
			if dropped != nil {
				dropped(b.Seq, it)
			}
			continue
		}
		size := it.End - it.Start
		if it.Start != end {
			copy(b.Body[end:], b.Body[it.Start:it.End])
		}
		it.Doc += end - it.Start
		it.Start, it.End = end, end+size
		end += size
		if len(b.Items) == 0 || it.Timestamp < b.Oldest {
			b.Oldest = it.Timestamp
		}
		b.Items = append(b.Items, it)
	}
	b.Body = b.Body[:end]
	return len(items) - len(b.Items)
}
