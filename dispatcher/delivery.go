package dispatcher

import (
	"slices"
	"time"

	"sessionexport/batcher"
	"sessionexport/session"
	"sessionexport/sinks"
)

// delivery is one batch on its way: what of it is still to be sent, what is
// suspected, what waits to be a durable dead letter. It is done when nothing
// of the three is left.
type delivery struct {
	batch    *batcher.Batch
	pieces   []piece           // to be sent, next first
	suspects []int32           // refused without a witness, ascending
	past     map[int32]*record // what is known of sessions that failed alone
	wire     *attempt          // the attempt on the wire
	letters  int               // sessions whose dead letter is not durable yet

	accepted  int // sessions of it that the destination accepted
	heard     int // of them, since the destination last refused a piece that was not being isolated
	alone     int // sessions refused alone since the latest acceptance
	isolation int // requests spent on isolating
	attempts  int // all of them
	first     time.Time
	last      time.Time
	waits     waits
	oversized bool // for limits that came into force after it was cut
}

// record is what is known of a session that was refused, or failed, alone.
type record struct {
	cause    Cause
	poison   bool
	heard    bool   // others of its batch were accepted before it was refused
	fails    int    // of the kind that poison is, others accepted between each two
	probes   int    // how often it was the probe of a hold
	mark     uint64 // ledger.accepted at the first of them
	refusals int
	refused  uint64 // ledger.accepted at the first refusal
	again    uint64 // ledger.accepted at the latest failure or refusal
}

// piece is sessions of a batch that travel together.
type piece struct {
	from, to  int     // contiguous sessions
	idx       []int32 // or, when set, these, ascending
	failed    int     // failed attempts
	mark      uint64  // ledger.accepted at the first of them
	after     time.Time
	fresh     bool // its fresh token was tried
	isolating bool
}

func (p piece) len() int {
	if p.idx != nil {
		return len(p.idx)
	}
	return p.to - p.from
}

func (p piece) at(i int) int {
	if p.idx != nil {
		return int(p.idx[i])
	}
	return p.from + i
}

// all calls f for every session of the piece.
func (p piece) all(f func(item int)) {
	for i := range p.len() {
		f(p.at(i))
	}
}

// split cuts the piece after n sessions; both parts start afresh.
func (p piece) split(n int) (a, b piece) {
	a, b = piece{isolating: p.isolating}, piece{isolating: p.isolating}
	if p.idx != nil {
		a.idx, b.idx = p.idx[:n], p.idx[n:]
		return a, b
	}
	a.from, a.to = p.from, p.from+n
	b.from, b.to = p.from+n, p.to
	return a, b
}

// pieceOf makes a piece of ascending items.
func pieceOf(items []int32) piece {
	if n := len(items); n > 0 && int(items[n-1]-items[0]) == n-1 {
		return piece{from: int(items[0]), to: int(items[0]) + n}
	}
	return piece{idx: items}
}

// push puts pieces in front of what is to be sent.
func (d *delivery) push(ps ...piece) {
	d.pieces = slices.Insert(d.pieces, 0, ps...)
}

// pop takes the next piece, at most n sessions of it (0: all).
func (d *delivery) pop(n int) piece {
	p := d.pieces[0]
	if n > 0 && p.len() > n {
		a, b := p.split(n)
		a.fresh = p.fresh
		d.pieces[0] = b
		return a
	}
	d.pieces = slices.Delete(d.pieces, 0, 1)
	return p
}

// merge makes one piece of all that is to be sent, untried.
func (d *delivery) merge() {
	if len(d.pieces) == 0 {
		return
	}
	if len(d.pieces) == 1 {
		p := &d.pieces[0]
		*p = piece{from: p.from, to: p.to, idx: p.idx}
		return
	}
	var items []int32
	for _, p := range d.pieces {
		p.all(func(i int) { items = append(items, int32(i)) }) //nolint:gosec // below maxSessions
	}
	slices.Sort(items)
	d.pieces = append(d.pieces[:0], pieceOf(items))
}

// suspect keeps a session until a witness comes.
func (d *delivery) suspect(item int) {
	i, found := slices.BinarySearch(d.suspects, int32(item)) //nolint:gosec // below maxSessions
	if !found {
		d.suspects = slices.Insert(d.suspects, i, int32(item)) //nolint:gosec // below maxSessions
	}
}

// remember notes that a session was refused, or failed, alone.
func (d *delivery) remember(item int, c Cause, poison bool, accepted uint64) *record {
	if d.past == nil {
		d.past = map[int32]*record{}
	}
	r := d.past[int32(item)] //nolint:gosec // below maxSessions
	if r == nil {
		r = &record{}
		d.past[int32(item)] = r //nolint:gosec // below maxSessions
	}
	again := r.again
	r.cause, r.poison, r.again = c, poison, accepted
	if poison {
		switch {
		case r.fails == 0:
			r.fails, r.mark = 1, accepted
		case accepted > again: // an outage counts once, however long it is
			r.fails++
		}
		return r
	}
	if r.refusals++; r.refusals == 1 {
		r.refused = accepted
	}
	return r
}

// shrink makes a batch of the suspects alone when they are all that is left,
// and returns the batch that they came from; nil when there is nothing to gain.
func (d *delivery) shrink() *batcher.Batch {
	old := d.batch
	if len(d.suspects) == len(old.Items) {
		return nil
	}
	b := &batcher.Batch{Seq: old.Seq, Trigger: old.Trigger, Opened: old.Opened, Oldest: old.Oldest, Encoder: old.Encoder}
	past := map[int32]*record{}
	for n, i := range d.suspects {
		it := old.Items[i]
		by := int32(len(b.Body)) - it.Start //nolint:gosec // a body is far below 2 GiB
		b.Body = append(b.Body, old.Frame(int(i))...)
		it.Start, it.Doc, it.End = it.Start+by, it.Doc+by, it.End+by
		b.Items = append(b.Items, it)
		past[int32(n)] = d.past[i]
		d.suspects[n] = int32(n)
	}
	d.batch, d.past = b, past
	return old
}

func (d *delivery) done() bool {
	return len(d.pieces) == 0 && len(d.suspects) == 0 && d.wire == nil && d.letters == 0
}

// cut drops what is to be sent and what is suspected of sessions that drop
// names; what is on the wire stays.
func (d *delivery) cut(drop func(session.Position) bool, dropped func(batcher.Item)) {
	keep := func(i int) bool {
		if drop(d.batch.Items[i].Pos) {
			dropped(d.batch.Items[i])
			return false
		}
		return true
	}
	left := d.pieces[:0]
	for _, p := range d.pieces {
		var items []int32
		p.all(func(i int) {
			if keep(i) {
				items = append(items, int32(i)) //nolint:gosec // below maxSessions
			}
		})
		if len(items) == 0 {
			continue
		}
		if len(items) < p.len() {
			n := pieceOf(items)
			n.isolating, n.after = p.isolating, p.after
			p = n
		}
		left = append(left, p)
	}
	d.pieces = left
	d.suspects = slices.DeleteFunc(d.suspects, func(i int32) bool { return !keep(int(i)) })
}

// attempt is one request: a piece of a batch, or a probe.
type attempt struct {
	d       *delivery
	piece   piece
	body    sinks.Body
	probe   bool
	started time.Time
}
