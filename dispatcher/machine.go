package dispatcher

import (
	"math/rand/v2"
	"time"

	"sessionexport/batcher"
	"sessionexport/consumer"
	"sessionexport/deadletter"
	"sessionexport/session"
	"sessionexport/sinks"
)

// format is what the machine needs of a sinks.Format.
type format interface {
	batcher.Encoder
	Document(framed []byte) []byte
	Name() string
}

// effects is how the machine acts on the world. Nothing of it may block.
type effects interface {
	send(a *attempt)                                // starts an attempt; ends in machine.verdict
	write(ls []deadletter.Letter)                   // starts a write of dead letters, one at a time; ends in machine.written
	mark(partition int32, epoch uint32, next int64) // everything below next is finished
	dropToken()                                     // the cached token was refused
	tell(e Event)                                   // something an operator may want to know
}

// rules are the settings of one sink that the machine needs.
type rules struct {
	environment, sink, topic string
	policy                   Policy
	limits                   batcher.Limits
	maxInFlight              int
	maxRetries               int
	initialBackoff           time.Duration
	maxBackoff               time.Duration
	zone                     session.Applications // nil: all sessions are in scope
}

// isolateMost is how many requests isolating may cost per batch; beyond that
// it is the destination's fault.
const isolateMost = 64

// loneMost is how many sessions of a batch may be refused alone, none accepted
// between, before the destination is held to be at fault without more ado.
const loneMost = 8

// machine decides everything that happens to a sink's sessions between the
// fetch and the commit. It is pure: single-threaded, without a clock, its
// deeds go through effects; so whole schedules of faults run in virtual time.
//
//	record ──▶ scan ──▶ scope ──▶ batcher ──▶ queue of deliveries ──▶ send
//	             │                                 ▲        │
//	             │ malformed                retry, │        ▼
//	             ▼                         halves  └──── verdict ──▶ finished ──▶ prefix ──▶ mark
//	       dead letters ◀── witness ── suspects ◀──────────┘  │
//	             │                                            ▼
//	             └──▶ durable ──▶ prefix ──▶ mark     hold: probes only
type machine struct {
	rules
	fmt     format
	eff     effects
	rnd     *rand.Rand
	scanner session.Scanner
	scanned session.Session

	batcher *batcher.Batcher
	prefix  *prefix
	queue   []*delivery // oldest first
	wires   int         // attempts on the wire
	ledger  ledger
	hold    hold
	letters letterBox
	pause   pause
	raiseAt time.Time // when a learned byte limit is raised
	late    bool      // the verdict being judged is of an attempt that is older than the hold

	leaving  map[consumer.Claim]bool // being revoked or lost
	gone     map[int32]uint32        // by partition, the latest ownership that ended
	stopping bool
	changing bool   // other settings wait until nothing is on the wire
	draining bool   // only what keeps finished sessions from being marked is sent
	reach    uint64 // the latest batch of which the destination accepted something

	run    *run             // of the fetch being read
	tally  *PartitionCounts // of the fetch being read
	counts counts
}

// pause is throttling: no attempt starts before until.
type pause struct {
	since, until time.Time
	rests        bool // at the latest tick the sink rested
	cause        Cause
	waits        waits
}

// overdue is when throttling has lasted for too long; zero while there is none.
func (p *pause) overdue() time.Time {
	if p.since.IsZero() {
		return time.Time{}
	}
	return p.since.Add(throttlePatience)
}

func newMachine(r rules, f format, eff effects, rnd *rand.Rand) *machine {
	m := &machine{
		rules: r, fmt: f, eff: eff, rnd: rnd,
		batcher: batcher.New(f, r.limits, r.maxInFlight+2),
		prefix:  newPrefix(),
		hold:    newHold(r.maxInFlight, rnd),
		leaving: map[consumer.Claim]bool{},
		gone:    map[int32]uint32{},
		counts:  newCounts(),
	}
	m.pause.waits = m.retryWaits()
	m.letters.waits = waits{initial: probeFirst, most: probeMost, multiplier: probeMultiplier, rnd: rnd}
	return m
}

// retryWaits is a series of waits between attempts.
func (m *machine) retryWaits() waits {
	return waits{initial: m.initialBackoff, most: m.maxBackoff, multiplier: retryMultiplier, rnd: m.rnd}
}

// wantsRecords tells whether the next record may be read: not while a complete
// batch waits for its turn, nor while dead letters pile up.
func (m *machine) wantsRecords() bool {
	return m.batcher.Ready() == 0 && !m.stopping && !m.draining && !m.letters.full()
}

// open starts the reading of a fetch. It reports false when the fetch's
// partition is not ours any more: a fetch may still have been on its way here.
func (m *machine) open(c consumer.Claim) bool {
	if ended, ok := m.gone[c.Partition]; m.leaving[c] || ok && c.Epoch <= ended {
		return false
	}
	if m.prefix.newer(c.Partition, c.Epoch) {
		return false
	}
	m.run = m.prefix.own(c.Partition, c.Epoch)
	m.tally = m.counts.partition(c.Partition)
	return true
}

// record takes one record of the open fetch.
func (m *machine) record(now time.Time, c consumer.Claim, r *consumer.Record) {
	pos := session.Position{Partition: c.Partition, Epoch: c.Epoch, Offset: r.Offset}
	if r.TooLarge > 0 {
		m.tally.Read++
		m.reject(now, pos, r, "oversize", nil)
		return
	}
	if r.Value == nil {
		m.tally.Tombstones++
		return
	}
	m.tally.Read++
	if err := m.scanner.Scan(r.Value, m.zone, &m.scanned); err != nil {
		m.reject(now, pos, r, "malformed", err)
		return
	}
	if !m.scanned.InScope {
		m.tally.OutOfScope++
		return
	}
	seq, err := m.batcher.Add(now, &m.scanned, pos, r.Timestamp)
	if err != nil {
		m.reject(now, pos, r, "unencodable", err)
		return
	}
	m.counts.BytesRead += int64(len(r.Value))
	m.run.add(seq, r.Offset+1)
}

// read ends the reading of a fetch, or of a part of it: everything below next
// that was not taken is nobody's.
func (m *machine) read(c consumer.Claim, next int64) {
	r := m.run
	r.skip(next)
	if r.next > r.told {
		r.told = r.next
		m.eff.mark(c.Partition, c.Epoch, r.next)
	}
}

// tick does what is due and starts what may start. It is called after
// everything that happened.
func (m *machine) tick(now time.Time) {
	m.batcher.Due(now)
	m.admit(now)
	if !m.raiseAt.IsZero() && !now.Before(m.raiseAt) {
		m.raiseLimit(now)
	}
	m.start(now)
	m.letters.flush(now, m.eff) // last: what was just given up is written as well
}

// start starts the attempts that may start.
func (m *machine) start(now time.Time) {
	if m.stopping || m.changing || m.letters.trouble {
		return
	}
	m.hearSuspects()
	if m.hold.active {
		if !m.draining {
			m.probe(now)
		}
		return
	}
	if m.pause.rests = now.Before(m.pause.until); m.pause.rests {
		m.losePatience(now)
		return
	}
	m.settleSuspects(now)
	m.admit(now)
	if m.hold.active { // it began just now
		return
	}
	active := 0
	for _, d := range m.queue {
		if active >= m.hold.limit || m.draining && d.batch.Seq > m.reach {
			return
		}
		if d.wire != nil {
			active++
			continue
		}
		if len(d.pieces) == 0 {
			continue
		}
		active++
		if !now.Before(d.pieces[0].after) {
			m.send(now, d, d.pop(m.fitting(d)), false)
		}
	}
}

// admit moves complete batches into the queue while the oldest undelivered one
// is less than maxInFlight behind. Batches of which only suspects are left do
// not keep the next one out: it is their witness.
func (m *machine) admit(now time.Time) {
	recast := false
	for b := m.batcher.Peek(); b != nil; b = m.batcher.Peek() {
		//nolint:gosec // maxInFlight is small and positive
		if len(m.queue) > 0 && b.Seq-m.queue[0].batch.Seq >= uint64(m.maxInFlight) && !m.onlySuspects() {
			break
		}
		m.batcher.Take()
		d := &delivery{batch: b, pieces: []piece{{to: len(b.Items)}}}
		d.waits = m.retryWaits()
		if b.Encoder != batcher.Encoder(m.fmt) {
			m.recast(now, d)
			recast = true
		}
		m.queue = append(m.queue, d)
	}
	if recast {
		m.finish() // of some nothing may be left
	}
}

// suspectBatches is how many batches beyond maxInFlight may be in the queue
// while all of it are suspects.
const suspectBatches = 8

// onlySuspects tells whether nothing but suspects is left of all the queue,
// and makes what is left small.
func (m *machine) onlySuspects() bool {
	if len(m.queue) >= m.maxInFlight+suspectBatches {
		return false
	}
	for _, d := range m.queue {
		if len(d.pieces) > 0 || d.wire != nil || d.letters > 0 {
			return false
		}
	}
	for _, d := range m.queue {
		if big := d.shrink(); big != nil {
			m.batcher.Recycle(big)
		}
	}
	return true
}

// wake is the next time at which tick has something to do; zero when only
// events can move anything.
func (m *machine) wake(now time.Time) time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	sooner(m.batcher.Deadline())
	sooner(m.letters.at())
	sooner(m.raiseAt)
	if m.stopping || m.changing || m.letters.trouble {
		return at
	}
	if m.hold.active {
		if m.wires == 0 && !m.draining && (m.sendable() || len(m.queue) == 0) {
			sooner(m.hold.at)
		}
		return at
	}
	if m.pause.rests || now.Before(m.pause.until) {
		// The pause may be over since the latest tick: what it kept back then
		// has no time of its own.
		sooner(m.pause.until)
		if m.policy == Hold {
			sooner(m.pause.overdue())
		}
		return at
	}
	active := 0
	for _, d := range m.queue { // as start counts: suspects alone take nobody's turn
		if active >= m.hold.limit || m.draining && d.batch.Seq > m.reach {
			break
		}
		if d.wire == nil && len(d.pieces) > 0 {
			sooner(d.pieces[0].after)
		}
		if d.wire != nil || len(d.pieces) > 0 {
			active++
		}
	}
	return at
}

// send puts a piece on the wire.
func (m *machine) send(now time.Time, d *delivery, p piece, probe bool) {
	a := &attempt{d: d, piece: p, probe: probe, started: now}
	if p.idx == nil {
		a.body.Bytes = d.batch.Frames(p.from, p.to)
	} else {
		p.all(func(i int) { a.body.Bytes = append(a.body.Bytes, d.batch.Frame(i)...) })
	}
	a.body.Sessions = p.len()
	a.body.ID = batcher.ID(m.sink, m.topic, p.len(), func(i int) session.Position { return d.batch.Items[p.at(i)].Pos })
	if d.attempts == 0 {
		d.first = now
		m.counts.Batches[d.batch.Trigger]++
		m.counts.last = Last{Trigger: d.batch.Trigger, Sessions: len(d.batch.Items), Bytes: len(d.batch.Body) + m.fmt.Enclosing()}
	}
	if p.isolating {
		d.isolation++
	}
	d.attempts++
	d.last = now
	d.wire = a
	m.wires++
	m.eff.send(a)
}

// fitting is how many sessions of a delivery's next piece fit into a body of
// the learned size; 0: all of them. A batch that was cut before the size was
// learned need not be refused once more for each of its parts.
func (m *machine) fitting(d *delivery) int {
	limit := m.batcher.Limit() - m.fmt.Enclosing()
	if limit >= m.limits.Bytes-m.fmt.Enclosing() && !d.oversized {
		return 0
	}
	p, size := d.pieces[0], 0
	for i := range p.len() {
		if size += len(d.batch.Frame(p.at(i))); size > limit || i > 0 && i == m.limits.Sessions {
			return max(i, 1)
		}
	}
	return 0
}

// finish takes deliveries that are done out of the queue and tells how far
// everything is finished.
func (m *machine) finish() {
	left := m.queue[:0]
	for _, d := range m.queue {
		if !d.done() {
			left = append(left, d)
			continue
		}
		m.prefix.finish(d.batch.Seq, m.eff.mark)
		m.batcher.Recycle(d.batch)
		d.batch = nil
	}
	clear(m.queue[len(left):])
	m.queue = left
}

// verdict takes what became of an attempt.
func (m *machine) verdict(now time.Time, a *attempt, v sinks.Verdict) {
	a.d.wire = nil
	m.wires--
	m.counts.attempt(v, now.Sub(a.started))
	m.late = m.hold.active && !a.probe
	m.judge(now, a, v)
	m.late = false
	m.cut() // of partitions that left meanwhile
	m.finish()
	m.tick(now)
}
