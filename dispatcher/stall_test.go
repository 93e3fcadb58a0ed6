package dispatcher

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"sessionexport/consumer"
	"sessionexport/sinks"
)

// refuseItems is a _bulk answer that refuses the sessions that bad names.
func refuseItems(ids []int, bad func(int) bool) sinks.Verdict {
	v := sinks.Verdict{Kind: sinks.Partial, Status: 200, Reason: "bulk_items"}
	for i, id := range ids {
		if bad(id) {
			v.Items = append(v.Items, sinks.ItemVerdict{Index: i, Kind: sinks.Suspect, Status: 400, Type: "document_parsing_exception"})
		}
	}
	if len(v.Items) == 0 {
		return sinks.Verdict{Status: 200}
	}
	return v
}

// TestRetryBehindASuspectIsNotForgotten: a suspect takes nobody's turn, neither
// when attempts start nor when the next one is due.
func TestRetryBehindASuspectIsNotForgotten(t *testing.T) {
	r := testRules()
	r.maxInFlight, r.limits.Sessions = 1, 1
	w := newWorld(t, r, 1)
	away := true
	w.answer = func(_ *attempt, ids []int) (sinks.Verdict, time.Duration) {
		switch {
		case ids[0] == 0:
			return status(sinks.Suspect, 400), time.Millisecond
		case away:
			away = false
			return sinks.Verdict{Kind: sinks.Retryable, Reason: "connection", Err: errors.New("connection refused")}, time.Millisecond
		}
		return sinks.Verdict{Status: 200}, time.Millisecond
	}
	w.produce(0, 0)
	w.produce(0, 1)
	w.run(5 * time.Second)
	w.conserved()
	if w.got[1] != 1 || len(w.letters) != 1 || w.told(HoldBegan) != 0 {
		t.Errorf("got %v, %d letters, %d holds", w.got, len(w.letters), w.told(HoldBegan))
	}
}

// TestEverySuspectIsProbed: one bad session among suspects that a cured
// destination would take must not keep the others for ever.
func TestEverySuspectIsProbed(t *testing.T) {
	w := newWorld(t, testRules(), 2)
	cured := worldStart.Add(10 * time.Minute)
	w.answer = func(_ *attempt, ids []int) (sinks.Verdict, time.Duration) {
		if w.now.Before(cured) || slices.Contains(ids, 0) {
			return status(sinks.Suspect, 400), time.Millisecond
		}
		return sinks.Verdict{Status: 200}, time.Millisecond
	}
	for i := range 5 {
		w.produce(0, i)
	}
	w.run(30 * time.Minute)
	w.conserved()
	if len(w.letters) != 1 || w.letters[0].Kind != "rejected" {
		t.Errorf("letters %v", w.letters)
	}
}

// TestFailuresInFlightPutNoProbeOff: what was on its way when a hold began says
// nothing new, so the first probe leaves as early as if there had been none.
func TestFailuresInFlightPutNoProbeOff(t *testing.T) {
	for _, c := range []struct {
		verdict sinks.Verdict
		most    time.Duration
	}{
		{status(sinks.Refused, 404), probeFirst},
		{status(sinks.Refused, 401), credentialFirst},
		{status(sinks.Retryable, 503), probeFirst},
	} {
		for seed := range uint64(20) {
			w := newWorld(t, testRules(), seed)
			took := time.Duration(0)
			w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
				took += time.Millisecond
				return c.verdict, took
			}
			for i := range 4000 {
				w.produce(0, i)
			}
			w.run(20 * time.Minute)
			at := slices.IndexFunc(w.sent, func(s sending) bool { return s.probe })
			began := slices.IndexFunc(w.events, func(e Event) bool { return e.Kind == HoldBegan })
			if wait := w.sent[at].at.Sub(w.events[began].Since); wait > c.most+10*time.Millisecond {
				t.Fatalf("%d: the first probe left %v after the hold began, want at most %v", c.verdict.Status, wait, c.most)
			}
			if failed := slices.IndexFunc(w.events, func(e Event) bool { return e.Kind == ProbeFailed }); w.events[failed].Batch == w.sent[0].id {
				t.Errorf("%d: a whole batch counts as a failed probe", c.verdict.Status)
			}
		}
	}
}

// TestProbeOfGivenUpItemsDoesNotWait: sessions that are given up have a witness,
// so the destination lives.
func TestProbeOfGivenUpItemsDoesNotWait(t *testing.T) {
	w := newWorld(t, testRules(), 3)
	cured := worldStart.Add(time.Minute)
	w.answer = func(_ *attempt, ids []int) (sinks.Verdict, time.Duration) {
		return refuseItems(ids, func(id int) bool { return w.now.Before(cured) || id%25 != 0 && id < 75 }), time.Millisecond
	}
	for i := range 100 {
		w.produce(0, i)
	}
	w.run(3 * time.Hour)
	w.conserved()
	if len(w.letters) != 72 {
		t.Fatalf("%d letters, want the 72 bad sessions", len(w.letters))
	}
	first, last := time.Time{}, w.sent[len(w.sent)-1].at
	for _, s := range w.sent {
		if first.IsZero() && !s.at.Before(cured) && s.ids[0]%25 == 0 {
			first = s.at
		}
	}
	if took := last.Sub(first); took > time.Minute {
		t.Errorf("after the first acceptance it took %v to be done with a batch of 100", took)
	}
}

// TestOutageCountsOnceAgainstASession: failing alone again and again while
// nothing is accepted proves no more than failing once.
func TestOutageCountsOnceAgainstASession(t *testing.T) {
	w := newWorld(t, testRules(), 4)
	timeout := sinks.Verdict{Kind: sinks.Retryable, Reason: "timeout", Poisonable: true, Err: errors.New("Request timeout")}
	relapses := 0
	w.answer = func(_ *attempt, ids []int) (sinks.Verdict, time.Duration) {
		switch {
		case ids[0] != 0: // the outage is over
		case w.got[1] == 0:
			return timeout, 30 * time.Second
		case relapses == 0: // a moment's weakness
			relapses++
			return timeout, 30 * time.Second
		}
		return sinks.Verdict{Status: 200}, time.Millisecond
	}
	w.produce(0, 0)
	w.run(3 * time.Hour)
	w.produce(0, 1)
	w.run(3 * time.Hour)
	w.conserved()
	if len(w.letters) != 0 {
		t.Errorf("a session that failed once since the outage ended became a dead letter: %+v", w.letters)
	}
}

// TestHoldEndsWithItsSessions: when all partitions of a held sink have left,
// nothing is held any more.
func TestHoldEndsWithItsSessions(t *testing.T) {
	w := newWorld(t, testRules(), 5)
	w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
		return status(sinks.Refused, 404), time.Millisecond
	}
	for i := range 3000 {
		w.produce(0, i)
	}
	w.run(time.Minute)
	if !w.m.hold.active {
		t.Fatal("no hold")
	}
	claims := []consumer.Claim{{Partition: 0, Epoch: w.epochs[0]}}
	w.owned[0] = false
	w.m.leave(w.now, claims)
	w.waitLeft(claims, func() {})
	w.run(6 * time.Minute)
	if w.m.hold.active || len(w.m.queue) != 0 {
		t.Errorf("still held with %d batches", len(w.m.queue))
	}
}

// TestItemThatAlwaysBreaksIsPoison: an item that the cluster answers with 500
// again and again while it takes the others must not hold the sink for ever.
func TestItemThatAlwaysBreaksIsPoison(t *testing.T) {
	for _, code := range []int{500, 503} {
		w := newWorld(t, testRules(), 6)
		w.answer = func(_ *attempt, ids []int) (sinks.Verdict, time.Duration) {
			at := slices.Index(ids, 7)
			if at < 0 {
				return sinks.Verdict{Status: 200}, time.Millisecond
			}
			return sinks.Verdict{Kind: sinks.Partial, Status: 200, Reason: "bulk_items", Items: []sinks.ItemVerdict{
				{Index: at, Kind: sinks.Retryable, Status: code, Type: "null_pointer_exception"},
			}}, time.Millisecond
		}
		for i := range 1000 {
			w.produce(0, i)
		}
		for i := range 100 {
			w.after(time.Duration(i)*time.Minute, func() { w.produce(1, 10_000+i) })
		}
		w.run(5 * time.Hour)
		if code == 503 {
			if len(w.letters) != 0 || !w.m.hold.active {
				t.Errorf("503 says nothing against a session: %v", w.letters)
			}
			continue
		}
		w.conserved()
		if len(w.letters) != 1 || w.letters[7].Kind != "poison" || w.letters[7].Status != 500 {
			t.Errorf("letters %v", w.letters)
		}
	}
}

// TestEarlierAcceptanceIsNoWitnessForManyItems: a mapping that breaks between two
// attempts of a batch refuses all that is left of it; what was accepted before
// proves nothing.
func TestEarlierAcceptanceIsNoWitnessForManyItems(t *testing.T) {
	w := newWorld(t, testRules(), 7)
	cured := worldStart.Add(20 * time.Minute)
	w.answer = func(_ *attempt, ids []int) (sinks.Verdict, time.Duration) {
		switch {
		case len(ids) == 1000:
			v := refuseItems(ids, func(id int) bool { return id < 100 })
			for i := range v.Items {
				v.Items[i] = sinks.ItemVerdict{Index: i, Kind: sinks.Throttled, Status: 429, Type: "es_rejected_execution_exception"}
			}
			return v, time.Millisecond
		case w.now.Before(cured):
			return refuseItems(ids, func(int) bool { return true }), time.Millisecond
		}
		return sinks.Verdict{Status: 200}, time.Millisecond
	}
	for i := range 1000 {
		w.produce(0, i)
	}
	w.run(2 * time.Hour)
	w.conserved()
	if len(w.letters) != 0 {
		t.Errorf("%d good sessions became dead letters", len(w.letters))
	}
}

// TestLongRetryAfterIsToldInTime: a destination that asks for an hour of rest is
// obeyed, but 15 minutes without a success are worth an alert all the same.
func TestLongRetryAfterIsToldInTime(t *testing.T) {
	w := newWorld(t, testRules(), 8)
	w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
		if w.now.Sub(worldStart) >= time.Hour {
			return sinks.Verdict{Status: 200}, time.Millisecond
		}
		v := status(sinks.Throttled, 429)
		v.RetryAfter = time.Hour
		return v, time.Millisecond
	}
	for i := range 1000 {
		w.produce(0, i)
	}
	w.run(14 * time.Minute)
	if w.told(Alert) != 0 {
		t.Error("an alert before 15 minutes of throttling")
	}
	w.run(2 * time.Minute)
	if w.told(Alert) != 1 || w.told(HoldBegan) != 1 {
		t.Errorf("after 16 minutes: %d alerts, %d holds", w.told(Alert), w.told(HoldBegan))
	}
	w.run(43 * time.Minute)
	if len(w.sent) != 1 {
		t.Errorf("%d requests within the hour that was asked for", len(w.sent))
	}
	w.run(10 * time.Minute)
	w.conserved()
	if w.told(Recovered) != 1 {
		t.Errorf("recovered %d times", w.told(Recovered))
	}
}

// TestGroupWaitsForAttempts: giving a partition back may take as long as an
// attempt, and the group must not throw the member out meanwhile.
func TestGroupWaitsForAttempts(t *testing.T) {
	for _, timeout := range []time.Duration{time.Second, 30 * time.Second, 5 * time.Minute} {
		revoke, rebalance := patience(timeout)
		if revoke < timeout || revoke < 30*time.Second || rebalance < revoke+10*time.Second || rebalance < time.Minute {
			t.Errorf("attempts of %v: partitions leave within %v, the group waits %v", timeout, revoke, rebalance)
		}
	}
}

// shopOnly is a management zone of one application.
type shopOnly struct{}

func (shopOnly) Match(application []byte) bool { return string(application) == "shop" }

// TestOutOfScopeLooksLikeNoLag: what is skipped is committed without a delivery,
// and what is in scope between is not committed before it.
func TestOutOfScopeLooksLikeNoLag(t *testing.T) {
	r := testRules()
	r.zone = shopOnly{}
	w := newWorld(t, r, 9)
	in := func(id int) {
		w.raw(0, id, fmt.Sprintf(`{"tenantId":"t","userSessionId":"%d","startTime":1,"userActions":[{"application":"shop"}]}`, id))
	}
	for i := range 500 {
		w.produce(0, -1-i)
	}
	w.run(time.Second)
	if w.committed[0] != 500 {
		t.Fatalf("committed %d of 500 records that are out of scope", w.committed[0])
	}
	in(1)
	for i := range 500 {
		w.produce(0, -1000-i)
	}
	w.run(time.Second)
	if w.committed[0] != 500 {
		t.Fatalf("committed %d, the session at 500 is not delivered yet", w.committed[0])
	}
	w.run(time.Minute)
	w.conserved()
	if c := w.m.counts.Partitions[0]; c.OutOfScope != 1000 || c.Delivered != 1 || w.committed[0] != 1001 {
		t.Errorf("%+v, committed %d", *c, w.committed[0])
	}
}

// TestPauseThatEndsBetweenTickAndWakeIsNotForgotten: a busy process asks for the
// next time some milliseconds after the tick, and a short pause may be over by
// then. What it kept back has no time of its own.
func TestPauseThatEndsBetweenTickAndWakeIsNotForgotten(t *testing.T) {
	for _, suspects := range []bool{false, true} {
		r := testRules()
		r.policy = DeadLetter
		r.maxInFlight = 1
		w := newWorld(t, r, 1)
		throttled := 0
		w.answer = func(_ *attempt, ids []int) (sinks.Verdict, time.Duration) {
			if suspects && slices.Contains(ids, 0) {
				return status(sinks.Suspect, 400), time.Millisecond
			}
			if throttled++; throttled == 1 {
				return status(sinks.Throttled, 429), time.Millisecond
			}
			return sinks.Verdict{Status: 200}, time.Millisecond
		}
		for i := range 3000 {
			w.produce(0, i)
		}
		w.feed()
		for range 200 { // up to the pause
			if !w.m.pause.until.IsZero() {
				break
			}
			w.run(time.Millisecond)
		}
		if !w.m.pause.until.After(w.now) {
			t.Fatal("the sink does not pause")
		}
		if at := w.m.wake(w.m.pause.until.Add(time.Millisecond)); at.IsZero() || at.After(w.m.pause.until) {
			t.Fatalf("suspects %v: asked after the pause, the machine wakes at %v, the pause ended at %v", suspects, at, w.m.pause.until)
		}
		w.run(time.Hour)
		w.conserved()
	}
}
