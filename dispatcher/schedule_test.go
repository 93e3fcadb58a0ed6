package dispatcher

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sessionexport/consumer"
	"sessionexport/sinks"
)

// TestRandomSchedules runs thousands of seeded schedules of faults: whatever
// the destination, the dead-letter store and the group do, nothing is marked
// before it is delivered or a durable dead letter (the world asserts it at
// every mark), everything is finished once the faults end, good sessions are
// not given up but with a witness, and the conservation equation holds.
func TestRandomSchedules(t *testing.T) {
	n := schedules
	if testing.Short() {
		n = 100
	}
	unheard := 0
	for seed := range uint64(n) {
		unheard += schedule(t, seed, nil)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	// A destination that turns ill in the middle of isolating, right after it
	// accepted others of the same batch, looks like a bad session; and so does
	// one that times out three times whenever the same session is sent alone, or
	// whose yes to an attempt from before it turned ill comes after its first no.
	if unheard > n/200 {
		t.Errorf("%d good sessions were given up in %d schedules", unheard, n)
	}
}

// schedule runs one seed and returns how many good sessions were refused by a
// destination that refused everything at that moment, and given up.
// Meanwhile may arrange for more to happen, in the first hour.
func schedule(t *testing.T, seed uint64, meanwhile func(*world, *rand.Rand)) (unheard int) {
	rnd := rand.New(rand.NewPCG(seed, 99))
	r := testRules()
	r.maxInFlight = 1 + rnd.IntN(5)
	r.limits.Sessions = 1 + rnd.IntN(200)
	r.limits.Bytes = 200 + rnd.IntN(20_000)
	switch rnd.IntN(10) {
	case 0, 1:
		r.policy = DeadLetter
	case 2:
		r.policy = Discard
	}
	if rnd.IntN(6) == 0 {
		r.limits.Sessions = 1
	}
	takes := 1 << 20 // bytes of a body, ever
	if rnd.IntN(4) == 0 {
		takes = 1500
	}
	w := newWorld(t, r, seed)
	sessions := 50 + rnd.IntN(1500)
	partitions := int32(1 + rnd.IntN(5))
	bad := map[int]int{}  // session -> what is wrong with it
	big := map[int]bool{} // a destination that takes small bodies only refuses it alone
	for i := range sessions {
		p := rnd.Int32N(partitions)
		switch rnd.IntN(400) {
		case 4:
			big[i] = true
			if takes < 2000 {
				bad[i] = 413
			}
			w.raw(p, i, fmt.Sprintf(`{"tenantId":"t","userSessionId":"%d","startTime":%d,"pad":"%s"}`, i, i, strings.Repeat("x", 2000)))
		case 0:
			w.raw(p, i, `{broken`)
		case 1:
			w.raw(p, -1, "")
		case 2:
			bad[i] = 400
			w.produce(p, i)
		case 3:
			if r.policy == Hold {
				bad[i] = -1 // poison
			}
			w.produce(p, i)
		default:
			w.produce(p, i)
		}
	}
	faultsEnd := worldStart.Add(time.Duration(rnd.IntN(3600)) * time.Second)
	bulk := rnd.IntN(2) == 0
	illness, flapped := 0, false
	illUntil := worldStart
	w.answer = func(a *attempt, ids []int) (sinks.Verdict, time.Duration) {
		took := time.Duration(1+rnd.IntN(2000)) * time.Millisecond
		if w.now.Before(faultsEnd) {
			if !w.now.Before(illUntil) {
				if illness == 6 {
					flapped = true // a destination that refuses all twice cannot be told from bad sessions
				}
				if illness = rnd.IntN(14); illness == 6 && flapped {
					illness = 0
				}
				illUntil = w.now.Add(time.Duration(rnd.IntN(600)) * time.Second)
			}
			switch illness {
			case 0:
				return status(sinks.Retryable, 500), took
			case 1:
				return status(sinks.Retryable, 503), took
			case 2:
				v := status(sinks.Throttled, 429)
				v.RetryAfter = time.Duration(rnd.IntN(60)) * time.Second
				return v, took
			case 3:
				return sinks.Verdict{Kind: sinks.Retryable, Reason: "timeout", Poisonable: true, Err: errors.New("Request timeout")}, 30 * time.Second
			case 4:
				return status(sinks.Refused, 404), took
			case 5:
				return status(sinks.Unauthorised, 401), took
			case 6:
				return status(sinks.Suspect, 400), took
			case 7:
				if len(a.body.Bytes) > 500 {
					return status(sinks.TooLarge, 413), took
				}
			}
			if rnd.IntN(10) == 0 {
				return sinks.Verdict{Kind: sinks.Retryable, Reason: "connection", Err: errors.New("connection refused")}, took
			}
		}
		if len(a.body.Bytes) > takes {
			return status(sinks.TooLarge, 413), took
		}
		v := sinks.Verdict{Status: 200}
		for i, id := range ids {
			if ill := illness == 8 && w.now.Before(faultsEnd); ill && bulk && bad[id] == 0 && rnd.IntN(5) == 0 {
				v.Kind = sinks.Partial
				v.Items = append(v.Items, someItem(rnd, i))
			}
			switch bad[id] {
			case 400:
				if !bulk {
					return status(sinks.Suspect, 400), took
				}
				v.Kind = sinks.Partial
				v.Items = append(v.Items, sinks.ItemVerdict{Index: i, Kind: sinks.Suspect, Status: 400, Type: "mapper_parsing_exception"})
			case -1:
				return sinks.Verdict{Kind: sinks.Retryable, Reason: "timeout", Poisonable: true, Err: errors.New("Request timeout")}, 30 * time.Second
			}
		}
		return v, took
	}
	w.store = func(int) error {
		if w.now.Before(faultsEnd) && rnd.IntN(3) == 0 {
			return errors.New("no leader")
		}
		return nil
	}
	// Partitions come and go.
	for range rnd.IntN(6) {
		some := []int32{rnd.Int32N(partitions)}
		if rnd.IntN(4) == 0 { // all at once
			for p := some[0] + 1; p < some[0]+partitions; p++ {
				some = append(some, p%partitions)
			}
		}
		w.after(time.Duration(rnd.IntN(3600))*time.Second, func() { w.rebalance(some, rnd.IntN(3) == 0) })
	}
	// Processes end, gracefully or not.
	for range max(0, rnd.IntN(6)-2) {
		grace := time.Duration(rnd.IntN(40)) * time.Second
		if rnd.IntN(2) == 0 {
			w.after(time.Duration(rnd.IntN(3600))*time.Second, func() { w.stop(grace) })
		} else {
			w.after(time.Duration(rnd.IntN(3600))*time.Second, w.kill)
		}
	}
	if meanwhile != nil {
		meanwhile(w, rand.New(rand.NewPCG(seed, 7))) // the schedule itself stays the same
	}
	// Witnesses go on trickling in.
	for i := range 600 {
		w.after(faultsEnd.Sub(worldStart)+time.Duration(i)*30*time.Second, func() { w.produce(0, 1_000_000+i) })
	}
	w.run(24 * time.Hour)
	if dbg != nil {
		dbg(w)
	}
	w.conserved()
	for id, n := range w.got {
		if n > 1 && !w.moved {
			t.Errorf("session %d was accepted %d times, and nothing was given back", id, n)
		}
	}
	for id, l := range w.letters {
		if r.policy == Discard {
			t.Errorf("session %d became a dead letter: %s %s", id, l.Kind, l.Reason)
		}
		if r.policy != Hold || bad[id] != 0 || big[id] && l.Status == 413 || l.Status == 0 && l.Kind == "rejected" {
			continue // bad, malformed, or the policy's way
		}
		if l.Kind == "rejected" && l.Status == 400 || l.Kind == "poison" {
			unheard++
			continue
		}
		t.Errorf("session %d, which is good, became a dead letter: %s %s %d", id, l.Kind, l.Reason, l.Status)
	}
	for id, what := range bad {
		if _, ok := w.letters[id]; !ok && r.policy != Discard {
			t.Errorf("session %d (%d) should be a dead letter", id, what)
		}
	}
	return unheard
}

// rebalance takes partitions away and gives them back some seconds later; lost
// means that they are somebody else's at once.
func (w *world) rebalance(partitions []int32, lost bool) {
	var claims []consumer.Claim
	for _, p := range partitions {
		if w.owned[p] {
			claims = append(claims, consumer.Claim{Partition: p, Epoch: w.epochs[p]})
		}
	}
	w.moved = true
	m := w.m
	disown := func() {
		for _, c := range claims {
			if w.m != m || !w.owned[c.Partition] || w.epochs[c.Partition] != c.Epoch {
				continue // another process has it already, or it was lost meanwhile
			}
			w.owned[c.Partition] = false
			w.after(time.Duration(1+w.rnd.IntN(20))*time.Second, func() {
				if w.m == m {
					w.own(c.Partition)
				}
			})
		}
	}
	if lost {
		disown()
		m.lose(w.clock(), claims)
		w.waitLeft(claims, func() {})
		return
	}
	m.leave(w.clock(), claims)
	w.waitLeft(claims, disown)
}

func (w *world) waitLeft(claims []consumer.Claim, then func()) {
	m := w.m
	var wait func()
	wait = func() {
		switch {
		case w.m != m:
		case m.left(claims):
			then()
		default:
			w.after(10*time.Millisecond, wait)
		}
	}
	wait()
}

// someItem is an item of a _bulk answer that says nothing against its session.
func someItem(rnd *rand.Rand, index int) sinks.ItemVerdict {
	return []sinks.ItemVerdict{
		{Index: index, Kind: sinks.Throttled, Status: 429, Type: "es_rejected_execution_exception"},
		{Index: index, Kind: sinks.Retryable, Status: 503, Type: "unavailable_shards_exception"},
		{Index: index, Kind: sinks.Refused, Status: 403, Type: "cluster_block_exception"},
	}[rnd.IntN(3)]
}

// TestPlantedBugIsSeen is the control: a machine that marks a session when it
// is read, before it is delivered, must be caught by the world.
func TestPlantedBugIsSeen(t *testing.T) {
	probe := &recorder{TB: t}
	func() {
		defer func() { _ = recover() }()
		w := newWorld(probe, testRules(), 1)
		for i := range 10 {
			w.produce(0, i)
		}
		w.own(1)
		w.mark(0, w.epochs[0], 5)
	}()
	if !probe.failed {
		t.Fatal("the world does not see a session that was marked before it was delivered")
	}
}

// recorder is a testing.TB that only notes failures.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) Fatal(...any)          { r.failed = true; panic("failed") }
func (r *recorder) Fatalf(f string, a ...any) {
	r.failed = true
	panic(fmt.Sprintf(f, a...))
}
