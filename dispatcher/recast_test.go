package dispatcher

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"sessionexport/batcher"
	"sessionexport/session"
	"sessionexport/sinks"
)

// bracketed is another format: what was framed with it is no line of worldFormat.
type bracketed struct{ worldFormat }

func (bracketed) Append(dst []byte, s *session.Session) ([]byte, int, error) {
	dst = append(dst, "<<"...)
	doc := len(dst)
	return append(append(dst, s.Value...), ">>\n"...), doc, nil
}
func (bracketed) Document(framed []byte) []byte { return framed[2 : len(framed)-3] }
func (bracketed) Enclosing() int                { return 7 }

// swap brings random settings into force as soon as nothing is on the wire.
func (w *world) swap(rnd *rand.Rand) {
	m := w.m
	if m.changing || m.stopping {
		return
	}
	r := m.rules
	r.maxInFlight = 1 + rnd.IntN(5)
	r.limits.Sessions = 1 + rnd.IntN(200)
	r.limits.Bytes = 200 + rnd.IntN(20_000)
	var f format = worldFormat{}
	if rnd.IntN(2) == 0 {
		f = bracketed{}
	}
	m.changing = true
	var wait func()
	wait = func() {
		switch {
		case w.m != m:
		case m.wires > 0:
			w.after(10*time.Millisecond, wait)
		default:
			m.swap(w.now, r, f)
		}
	}
	wait()
}

// TestRandomSwaps runs the schedules of faults while other settings come into
// force again and again: what holds without holds with them.
func TestRandomSwaps(t *testing.T) {
	n := schedules / 4
	if testing.Short() {
		n = 50
	}
	unheard := 0
	for seed := range uint64(n) {
		unheard += schedule(t, seed, func(w *world, own *rand.Rand) {
			for range 1 + own.IntN(20) {
				w.after(time.Duration(own.IntN(3600))*time.Second, func() { w.swap(own) })
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if unheard > n/50 { // a swap forgets what was heard: see TestRandomSchedules
		t.Errorf("%d good sessions were given up in %d schedules", unheard, n)
	}
}

// Framed anew, every session is where it was, as it came.
func TestRecast(t *testing.T) {
	r := testRules()
	r.limits.Sessions = 10
	w := newWorld(t, r, 1)
	held := true
	w.answer = func(a *attempt, ids []int) (sinks.Verdict, time.Duration) {
		if held {
			return status(sinks.Refused, 403), time.Second
		}
		if got := w.m.fmt.Name(); got != a.d.batch.Encoder.(format).Name() {
			t.Errorf("a batch in the format %s", got)
		}
		for i, id := range ids {
			item := a.piece.at(i)
			if got, want := string(documentOf(a.d.batch, item)), w.topic[0][id]; got != want {
				t.Errorf("session %d is sent as %s", id, got)
			}
		}
		if len(ids) > 4 {
			t.Errorf("%d sessions in a body, 4 are allowed", len(ids))
		}
		return sinks.Verdict{Status: 200}, time.Second
	}
	for i := range 95 {
		w.produce(0, i)
	}
	w.run(10 * time.Minute)
	if !w.m.hold.active || w.told(HoldBegan) != 1 {
		t.Fatal("it does not hold")
	}
	next := w.m.hold.at
	held = false
	r.limits.Sessions = 4
	w.m.swap(w.now, r, bracketed{})
	if !w.m.hold.at.Before(next) || !w.m.hold.active {
		t.Error("the next probe is not due at once")
	}
	w.run(10 * time.Minute)
	w.conserved()
	if w.told(Recovered) != 1 || w.m.counts.partition(0).Delivered != 95 {
		t.Errorf("recovered %d times, delivered %d", w.told(Recovered), w.m.counts.partition(0).Delivered)
	}
}

// picky cannot carry what asks to be refused.
type picky struct{ worldFormat }

func (picky) Append(dst []byte, s *session.Session) ([]byte, int, error) {
	if bytes.Contains(s.Value, []byte("refuse")) {
		return dst, 0, &sinks.RejectedError{Reason: "no_ids"}
	}
	return worldFormat{}.Append(dst, s)
}

// shop is a zone of one application.
type shop struct{}

func (shop) Match(name []byte) bool { return string(name) == "Shop" }

// What left the scope is not sent, what the new format cannot carry becomes a
// dead letter, and offsets move over both.
func TestRecastDrops(t *testing.T) {
	for _, policy := range []Policy{Hold, Discard} {
		t.Run(string(policy), func(t *testing.T) {
			r := testRules()
			r.limits.Sessions, r.maxInFlight = 10, 2
			w := newWorld(t, r, 1)
			ill := true
			w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
				if ill {
					return status(sinks.Retryable, 503), time.Second
				}
				return sinks.Verdict{Status: 200}, time.Second
			}
			for i := range 35 {
				switch i % 5 {
				case 0:
					w.raw(0, i, `{"refuse":true,"userActions":[{"application":"Shop"}]}`)
				case 1:
					w.raw(0, i, `{"tenantId":"t","userActions":[{"application":"Shop"}]}`)
				default:
					w.raw(0, -1, `{"tenantId":"t","userActions":[{"application":"Blog"}]}`)
				}
			}
			w.m.fmt = bracketed{} // takes everything
			w.m.batcher = batcher.New(w.m.fmt, r.limits, 4)
			w.run(10 * time.Minute)
			ill = false
			r.policy, r.zone = policy, shop{}
			w.m.swap(w.now, r, picky{})
			w.run(10 * time.Minute)
			c := w.m.counts.partition(0)
			given := c.DeadLetters + c.Discarded
			if c.Waiting() != 0 || c.Delivered != 7 || given != 7 || c.OutOfScope != 21 {
				t.Errorf("%+v", *c)
			}
			if policy == Discard && (c.Discarded != 7 || w.m.hold.active) {
				t.Errorf("discarded %d, holding %v", c.Discarded, w.m.hold.active)
			}
			if w.committed[0] != 35 {
				t.Errorf("committed %d of 35", w.committed[0])
			}
		})
	}
}

// TestDrain ends sinks in the middle of faults that pass, and begins them again:
// nothing is sent twice.
func TestDrain(t *testing.T) {
	n := 300
	if testing.Short() {
		n = 50
	}
	for seed := range uint64(n) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		r := testRules()
		r.maxRetries = 10
		r.maxInFlight = 1 + rnd.IntN(5)
		r.limits.Sessions = 1 + rnd.IntN(50)
		w := newWorld(t, r, seed)
		w.answer = func(_ *attempt, ids []int) (sinks.Verdict, time.Duration) {
			took := time.Duration(1+rnd.IntN(2000)) * time.Millisecond
			v := sinks.Verdict{Status: 200}
			switch rnd.IntN(4) {
			case 0:
				return status(sinks.Retryable, 503), took
			case 1:
				for i := range ids {
					if rnd.IntN(3) == 0 {
						v.Kind = sinks.Partial
						v.Items = append(v.Items, sinks.ItemVerdict{Index: i, Kind: sinks.Retryable, Status: 503, Type: "unavailable_shards_exception"})
					}
				}
			}
			return v, took
		}
		sessions := 100 + rnd.IntN(900)
		for i := range sessions {
			w.produce(rnd.Int32N(3), i)
		}
		for range 1 + rnd.IntN(4) {
			w.after(time.Duration(rnd.IntN(120_000))*time.Millisecond, w.drain)
		}
		w.run(24 * time.Hour)
		w.conserved()
		for id, times := range w.got {
			if times != 1 {
				t.Errorf("session %d was accepted %d times", id, times)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// drain ends the sink as a reload does, and another one begins where it had
// committed.
func (w *world) drain() {
	m := w.m
	if m.stopping || m.draining {
		return
	}
	m.drain()
	var wait func()
	wait = func() {
		switch {
		case w.m != m:
		case m.drained():
			m.stop()
			w.waitIdle(m)
		default:
			w.after(10*time.Millisecond, wait)
		}
	}
	wait()
}

// A drain ends when the destination takes nothing more.
func TestDrainGivesUpInAHold(t *testing.T) {
	w := newWorld(t, testRules(), 1)
	w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) { return status(sinks.Refused, 404), time.Second }
	for i := range 2500 {
		w.produce(0, i)
	}
	w.run(time.Minute)
	w.m.drain()
	w.run(5 * time.Second)
	if !w.m.drained() || !w.m.hold.active {
		t.Error("a drain waits for a destination that is at fault")
	}
	if at := w.m.wake(w.now); !at.IsZero() && !at.After(w.now) {
		t.Error("a drained machine wants to be woken at once")
	}
}
