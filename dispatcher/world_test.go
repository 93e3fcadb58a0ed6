package dispatcher

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"sessionexport/batcher"
	"sessionexport/consumer"
	"sessionexport/deadletter"
	"sessionexport/session"
	"sessionexport/sinks"
)

// world is a simulated Kafka topic, destination and dead-letter store around
// one machine, in virtual time: no goroutine, no real clock.
type world struct {
	t     testing.TB
	now   time.Time
	skew  time.Duration // of the machine's clock
	m     *machine
	rnd   *rand.Rand
	queue happenings
	seq   int

	topic     map[int32][]string // the produced values
	ids       map[int32][]int
	position  map[int32]int64
	committed map[int32]int64
	epochs    map[int32]uint32
	owned     map[int32]bool

	answer func(a *attempt, ids []int) (sinks.Verdict, time.Duration)
	store  func(n int) error

	got     map[int]int // id -> times accepted
	letters map[int]deadletter.Letter
	events  []Event
	sent    []sending
	onWire  int
	mostOn  int
	drops   int

	moved     bool // a partition left, or the process ended: sessions may be accepted twice
	interrupt bool // the grace of a stop is over
}

var dbg func(*world)

type sending struct {
	at    time.Time
	ids   []int
	bytes int
	id    string
	probe bool
}

type happening struct {
	at  time.Time
	seq int
	do  func()
}

type happenings []happening

func (h happenings) Len() int { return len(h) }
func (h happenings) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].seq < h[j].seq
}
func (h happenings) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *happenings) Push(x any)   { *h = append(*h, x.(happening)) }
func (h *happenings) Pop() any {
	o := *h
	x := o[len(o)-1]
	*h = o[:len(o)-1]
	return x
}

var worldStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// worldFormat frames a document as one line.
type worldFormat struct{}

func (worldFormat) Append(dst []byte, s *session.Session) ([]byte, int, error) {
	if string(s.Value) == `{"refuse":true}` {
		return dst, 0, &sinks.RejectedError{Reason: "no_ids"}
	}
	return append(append(dst, s.Value...), '\n'), len(dst), nil
}
func (worldFormat) Enclosing() int                { return 0 }
func (worldFormat) Document(framed []byte) []byte { return framed[:len(framed)-1] }
func (worldFormat) Name() string                  { return "json" }

func testRules() rules {
	return rules{
		environment: "default", sink: "sink", topic: "sessions", policy: Hold,
		limits:      batcher.Limits{Sessions: 1000, Bytes: 896_000, Idle: 30 * time.Second, Age: 5 * time.Minute},
		maxInFlight: 4, maxRetries: 3, initialBackoff: 2 * time.Second, maxBackoff: 30 * time.Second,
	}
}

func newWorld(t testing.TB, r rules, seed uint64) *world {
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := &world{
		t: t, now: worldStart, rnd: rnd,
		topic: map[int32][]string{}, ids: map[int32][]int{}, position: map[int32]int64{}, committed: map[int32]int64{},
		epochs: map[int32]uint32{}, owned: map[int32]bool{}, got: map[int]int{}, letters: map[int]deadletter.Letter{},
	}
	w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
		return sinks.Verdict{Status: 200}, 10 * time.Millisecond
	}
	w.store = func(int) error { return nil }
	w.m = newMachine(r, worldFormat{}, w, rnd)
	return w
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, happening{at: w.now.Add(d), seq: w.seq, do: do})
}

// clock is what the machine is told that it is.
func (w *world) clock() time.Time { return w.now.Add(w.skew) }

// produce appends session id to a partition.
func (w *world) produce(partition int32, id int) {
	w.raw(partition, id, fmt.Sprintf(`{"tenantId":"t","userSessionId":"%d","startTime":%d}`, id, id))
}

func (w *world) raw(partition int32, id int, value string) {
	if !w.owned[partition] && w.epochs[partition] == 0 {
		w.own(partition)
	}
	w.topic[partition] = append(w.topic[partition], value)
	w.ids[partition] = append(w.ids[partition], id)
}

func (w *world) own(partition int32) {
	w.epochs[partition]++
	w.owned[partition] = true
	w.position[partition] = w.committed[partition]
}

// feed reads what the machine wants. As in the pipeline, a tick follows what
// was read, and nothing else.
func (w *world) feed() {
	for moved := true; moved; {
		moved = false
		partitions := make([]int32, 0, len(w.topic))
		for p := range w.topic {
			partitions = append(partitions, p)
		}
		slices.Sort(partitions)
		for _, p := range partitions {
			if !w.owned[p] || w.position[p] >= int64(len(w.topic[p])) || !w.m.wantsRecords() {
				continue
			}
			c := consumer.Claim{Partition: p, Epoch: w.epochs[p]}
			if !w.m.open(c) {
				continue
			}
			for n := 0; n < 50 && w.m.wantsRecords() && w.position[p] < int64(len(w.topic[p])); n++ {
				at := w.position[p]
				r := consumer.Record{Offset: at, Timestamp: w.now.UnixMilli()}
				if v := w.topic[p][at]; v != "" {
					r.Value = []byte(v)
				}
				w.m.record(w.clock(), c, &r)
				w.position[p]++
				moved = true
			}
			w.m.read(c, w.position[p])
			w.m.tick(w.clock())
		}
	}
	w.settled()
}

// settled asserts that nothing is owed: another tick would do nothing, and what
// is not finished has an event or a time ahead of it.
func (w *world) settled() {
	w.t.Helper()
	m := w.m
	if at := m.wake(w.clock()); !at.IsZero() && !at.After(w.clock()) {
		return // a tick is due anyway
	}
	sent, writing := len(w.sent), len(m.letters.writing)
	m.tick(w.clock())
	if len(w.sent) != sent || len(m.letters.writing) != writing {
		w.t.Fatalf("%v: a second tick sent %d and wrote %d: the first one left work undone", w.now.Sub(worldStart), len(w.sent)-sent, len(m.letters.writing))
	}
	if m.stopping || m.changing || m.draining && m.drained() || m.wires > 0 || len(m.letters.writing) > 0 || len(m.queue)+len(m.letters.waiting) == 0 {
		return
	}
	// The filling batch and the byte limit wake it for something else.
	filling, raise := m.batcher, m.raiseAt
	m.batcher, m.raiseAt = batcher.New(worldFormat{}, m.limits, 0), time.Time{}
	defer func() { m.batcher, m.raiseAt = filling, raise }()
	if m.wake(w.clock()).IsZero() {
		w.t.Fatalf("%v: %d batches and %d letters wait, nothing is on its way and nothing will wake the machine",
			w.now.Sub(worldStart), len(m.queue), len(m.letters.waiting))
	}
}

// run lets everything happen until nothing is left to happen or the time is up.
func (w *world) run(most time.Duration) {
	end := w.now.Add(most)
	w.feed()
	for steps := 0; ; steps++ {
		if steps > 2_000_000 {
			w.t.Fatal("the world does not come to rest")
		}
		next := w.m.wake(w.clock())
		if !next.IsZero() {
			next = next.Add(-w.skew)
		}
		if len(w.queue) > 0 && (next.IsZero() || !w.queue[0].at.After(next)) {
			h := heap.Pop(&w.queue).(happening)
			if h.at.After(end) {
				heap.Push(&w.queue, h)
				break
			}
			if h.at.After(w.now) {
				w.now = h.at
			}
			h.do()
		} else if !next.IsZero() && !next.After(end) {
			if next.After(w.now) {
				w.now = next
			}
			w.m.tick(w.clock())
		} else {
			break
		}
		w.feed()
	}
	if w.now.Before(end) {
		w.now = end
	}
}

func (w *world) sessionIDs(a *attempt) []int {
	ids := make([]int, a.piece.len())
	for i := range ids {
		pos := a.d.batch.Items[a.piece.at(i)].Pos
		ids[i] = w.ids[pos.Partition][pos.Offset]
	}
	return ids
}

func (w *world) send(a *attempt) {
	ids := w.sessionIDs(a)
	w.sent = append(w.sent, sending{at: w.now, ids: ids, bytes: len(a.body.Bytes), id: a.body.ID, probe: a.probe})
	w.onWire++
	w.mostOn = max(w.mostOn, w.onWire)
	v, took := w.answer(a, ids)
	m := w.m
	w.after(took, func() {
		w.onWire--
		if w.m == m && w.interrupt {
			v = sinks.Verdict{Kind: sinks.Interrupted, Reason: "interrupted"}
		}
		bad := map[int]bool{}
		for _, it := range v.Items {
			bad[it.Index] = true
		}
		if v.Kind == sinks.Delivered || v.Kind == sinks.Partial {
			for i, id := range ids {
				if !bad[i] {
					w.got[id]++
				}
			}
		}
		if w.m == m { // otherwise the process was killed
			m.verdict(w.clock(), a, v)
		}
	})
}

func (w *world) write(ls []deadletter.Letter) {
	err := w.store(len(ls))
	for i := range ls {
		ls[i].Body = slices.Clone(ls[i].Body)
	}
	m := w.m
	w.after(5*time.Millisecond, func() {
		if err == nil {
			for _, l := range ls {
				w.letters[w.ids[l.Source.Partition][l.Source.Offset]] = l
			}
		}
		if w.m == m {
			m.written(w.clock(), err)
		}
	})
}

func (w *world) mark(partition int32, epoch uint32, next int64) {
	if !w.owned[partition] || w.epochs[partition] != epoch {
		w.t.Errorf("marked partition %d epoch %d, which is not owned", partition, epoch)
	}
	if w.m.policy == Discard {
		w.accounted(partition, next)
	}
	if next <= w.committed[partition] {
		if next < w.committed[partition] {
			w.t.Errorf("partition %d: marked %d after %d", partition, next, w.committed[partition])
		}
		return
	}
	for at := w.committed[partition]; at < next; at++ {
		if id := w.ids[partition][at]; w.m.policy != Discard && !w.finished(id) && w.topic[partition][at] != "" {
			w.t.Fatalf("partition %d: marked %d, but session %d at %d is neither delivered nor a dead letter", partition, next, id, at)
		}
	}
	w.committed[partition] = next
}

// accounted asserts that no more is marked than was finished in some way; of
// what is discarded only the number is known.
func (w *world) accounted(partition int32, next int64) {
	c := w.m.counts.partition(partition)
	if done := c.Delivered + c.OutOfScope + c.DeadLetters + c.Discarded + c.Tombstones; next > done && !w.moved {
		w.t.Fatalf("partition %d: marked %d, but %d are finished", partition, next, done)
	}
}

// finished: ids below zero are out of the equation (discarded, out of scope).
func (w *world) finished(id int) bool {
	_, letter := w.letters[id]
	return id < 0 || w.got[id] > 0 || letter
}

func (w *world) dropToken()   { w.drops++ }
func (w *world) tell(e Event) { w.events = append(w.events, e) }

func (w *world) told(k EventKind) int {
	n := 0
	for _, e := range w.events {
		if e.Kind == k {
			n++
		}
	}
	return n
}

// conserved asserts the conservation equation and that nothing waits.
func (w *world) conserved() {
	w.t.Helper()
	for p, c := range w.m.counts.Partitions {
		if c.Waiting() != 0 {
			w.t.Errorf("partition %d: %d wait at the end: %+v", p, c.Waiting(), *c)
		}
	}
	for p, vs := range w.topic {
		if w.committed[p] != int64(len(vs)) {
			w.t.Errorf("partition %d: committed %d of %d", p, w.committed[p], len(vs))
		}
		for _, id := range w.ids[p] {
			if w.m.policy != Discard && !w.finished(id) {
				w.t.Errorf("session %d was neither delivered nor became a dead letter", id)
			}
		}
	}
}

func status(kind sinks.Kind, code int) sinks.Verdict {
	return sinks.Verdict{Kind: kind, Status: code, Reason: "status", Err: errors.New("answered " + strconv.Itoa(code)),
		Poisonable: kind == sinks.Retryable && code != 503}
}

// kill ends the process at once; another one begins where it had committed.
func (w *world) kill() {
	w.moved = true
	w.m = newMachine(w.m.rules, worldFormat{}, w, w.rnd)
	w.interrupt = false
	for p := range w.topic {
		w.own(p)
	}
}

// stop ends the process gracefully within the grace: what is on its way may
// end and is marked, and then is interrupted.
func (w *world) stop(grace time.Duration) {
	if w.m.stopping {
		return
	}
	m := w.m
	m.stop()
	w.after(grace, func() { w.interrupt = w.interrupt || w.m == m })
	w.waitIdle(m)
}

func (w *world) waitIdle(m *machine) {
	switch {
	case w.m != m: // it was killed first
	case m.idle():
		w.kill()
	default:
		w.after(10*time.Millisecond, func() { w.waitIdle(m) })
	}
}
