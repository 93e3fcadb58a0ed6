package dispatcher

import (
	"errors"
	"slices"
	"testing"
	"time"

	"sessionexport/sinks"
)

func TestThrottledIsNoAttempt(t *testing.T) {
	w := newWorld(t, testRules(), 10)
	until := worldStart.Add(10 * time.Minute)
	w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
		if w.now.Before(until) {
			v := status(sinks.Throttled, 429)
			v.RetryAfter = 20 * time.Second
			return v, time.Millisecond
		}
		return sinks.Verdict{Status: 200}, time.Millisecond
	}
	for i := range 8000 {
		w.produce(0, i)
	}
	w.run(9 * time.Minute)
	if w.told(Alert) != 0 {
		t.Fatal("an alert within the patience for throttling")
	}
	if len(w.sent) > 4*27+4 {
		t.Errorf("%d requests although each was answered Retry-After 20 s", len(w.sent))
	}
	w.run(10 * time.Minute)
	w.conserved()

	w = newWorld(t, testRules(), 11)
	w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
		return status(sinks.Throttled, 429), time.Millisecond
	}
	for i := range 1000 {
		w.produce(0, i)
	}
	w.run(14 * time.Minute)
	if w.told(Alert) != 0 {
		t.Error("an alert before 15 minutes of throttling")
	}
	w.run(3 * time.Minute)
	if w.told(Alert) != 1 || w.told(HoldBegan) != 1 {
		t.Errorf("after 15 minutes: %d alerts, %d holds", w.told(Alert), w.told(HoldBegan))
	}
}

func TestTooLargeHalvesAndLearns(t *testing.T) {
	w := newWorld(t, testRules(), 12)
	const most = 20_000
	refused := 0
	w.answer = func(a *attempt, _ []int) (sinks.Verdict, time.Duration) {
		if len(a.body.Bytes) > most {
			refused++
			return status(sinks.TooLarge, 413), time.Millisecond
		}
		return sinks.Verdict{Status: 200}, time.Millisecond
	}
	for i := range 20_000 {
		w.produce(0, i)
	}
	w.run(time.Minute)
	w.conserved()
	if refused > 2*4 { // two sizes too large, of the batches in flight
		t.Errorf("%d bodies were refused: what was learned holds for batches that were cut before", refused)
	}
	if w.m.batcher.Limit() > most {
		t.Errorf("learned limit %d, the destination takes %d", w.m.batcher.Limit(), most)
	}
	if len(w.letters) != 0 || w.told(Alert) != 0 {
		t.Errorf("%d letters, %d alerts", len(w.letters), w.told(Alert))
	}
	w.run(8 * time.Hour)
	if w.m.batcher.Limit() != 896_000 {
		t.Errorf("the limit is %d eight hours later, want it raised again", w.m.batcher.Limit())
	}
}

func TestUnauthorisedHasOneFreshTry(t *testing.T) {
	w := newWorld(t, testRules(), 13)
	w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
		if w.drops == 0 {
			return status(sinks.Unauthorised, 401), time.Millisecond
		}
		return sinks.Verdict{Status: 200}, time.Millisecond
	}
	for i := range 1000 {
		w.produce(0, i)
	}
	w.run(time.Second)
	w.conserved()
	if w.drops != 1 || len(w.sent) != 2 || w.told(Alert) != 0 {
		t.Errorf("%d drops, %d requests, %d alerts", w.drops, len(w.sent), w.told(Alert))
	}

	w = newWorld(t, testRules(), 14)
	w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
		return status(sinks.Unauthorised, 401), time.Millisecond
	}
	for i := range 1000 {
		w.produce(0, i)
	}
	w.run(59 * time.Second)
	if len(w.sent) != 2 || w.told(HoldBegan) != 1 {
		t.Errorf("%d requests, %d holds in the first minute: refused credentials are probed slowly", len(w.sent), w.told(HoldBegan))
	}
}

func TestPoisonIsFoundAmongOthers(t *testing.T) {
	w := newWorld(t, testRules(), 15)
	const poison = 1500
	w.answer = func(_ *attempt, ids []int) (sinks.Verdict, time.Duration) {
		if slices.Contains(ids, poison) {
			return sinks.Verdict{Kind: sinks.Retryable, Reason: "timeout", Poisonable: true, Err: errors.New("Request timeout")}, 30 * time.Second
		}
		return sinks.Verdict{Status: 200}, 50 * time.Millisecond
	}
	for i := range 5000 {
		w.produce(0, i)
	}
	for i := range 60 { // and a trickle of witnesses
		w.after(time.Duration(i)*time.Minute, func() { w.produce(1, 10_000+i) })
	}
	w.run(3 * time.Hour)
	w.conserved()
	if len(w.letters) != 1 || w.letters[poison].Kind != "poison" {
		t.Errorf("letters %v", w.letters)
	}
}

func TestOutageIsNoPoison(t *testing.T) {
	w := newWorld(t, testRules(), 16)
	cured := worldStart.Add(3 * time.Hour)
	w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
		if w.now.Before(cured) {
			return sinks.Verdict{Kind: sinks.Retryable, Reason: "timeout", Poisonable: true, Err: errors.New("Request timeout")}, 30 * time.Second
		}
		return sinks.Verdict{Status: 200}, 50 * time.Millisecond
	}
	for i := range 20_000 {
		w.produce(int32(i%3), i)
	}
	w.run(8 * time.Hour)
	w.conserved()
	if len(w.letters) != 0 {
		t.Errorf("an outage of three hours made %d dead letters", len(w.letters))
	}
	if e := w.events[0]; e.Cause.Text != "Request timeout" {
		t.Errorf("the cause reads %q", e.Cause.Text)
	}
}

func TestPolicies(t *testing.T) {
	fail := func(w *world) {
		w.answer = func(_ *attempt, ids []int) (sinks.Verdict, time.Duration) {
			if ids[0] < 1000 {
				return status(sinks.Retryable, 503), time.Millisecond
			}
			return sinks.Verdict{Status: 200}, time.Millisecond
		}
	}
	r := testRules()
	r.policy = DeadLetter
	w := newWorld(t, r, 17)
	fail(w)
	for i := range 3000 {
		w.produce(0, i)
	}
	w.run(5 * time.Minute)
	w.conserved()
	if len(w.letters) != 1000 || w.letters[5].Kind != "undelivered" || w.letters[5].Attempts != 4 {
		t.Errorf("%d letters, %+v", len(w.letters), w.letters[5])
	}

	r.policy = Discard
	w = newWorld(t, r, 18)
	w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
		return status(sinks.Retryable, 500), time.Millisecond
	}
	for i := range 1000 {
		w.produce(0, -1-i)
	}
	w.run(5 * time.Minute)
	if c := w.m.counts.Partitions[0]; c.Discarded != 1000 || w.committed[0] != 1000 || w.told(Discarded) != 1 {
		t.Errorf("%+v, committed %d", *c, w.committed[0])
	}
}

func TestRejectedRecordsGoToTheDeadLetters(t *testing.T) {
	w := newWorld(t, testRules(), 19)
	w.produce(0, 0)
	w.raw(0, 1, `not json`)
	w.raw(0, 2, `[1]`)
	w.raw(0, -3, "") // a tombstone
	w.raw(0, 4, `{"refuse":true}`)
	w.produce(0, 5)
	fails := 2
	w.store = func(int) error {
		if fails > 0 {
			fails--
			return errors.New("broker away")
		}
		return nil
	}
	w.run(20 * time.Second)
	if w.committed[0] > 1 {
		t.Fatalf("committed %d before the dead letters are durable", w.committed[0])
	}
	w.run(5 * time.Minute)
	if len(w.letters) != 3 || w.letters[1].Reason != "not_json" || w.letters[2].Reason != "not_object" || w.letters[4].Reason != "no_ids" {
		t.Errorf("letters %v", w.letters)
	}
	if string(w.letters[2].Body) != "[1]" {
		t.Errorf("body %q", w.letters[2].Body)
	}
	if c := w.m.counts.Partitions[0]; c.Tombstones != 1 || c.Read != 5 {
		t.Errorf("%+v", *c)
	}
	if w.told(LettersFailed) != 2 || w.committed[0] != 6 {
		t.Errorf("%d failures told, committed %d", w.told(LettersFailed), w.committed[0])
	}
	w.conserved()
}
