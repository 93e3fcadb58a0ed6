package dispatcher

import (
	"errors"
	"slices"
	"testing"
	"time"

	"sessionexport/sinks"
)

func TestDeliversInBatchesAndCommits(t *testing.T) {
	w := newWorld(t, testRules(), 1)
	for i := range 2500 {
		w.produce(int32(i%3), i)
	}
	w.run(time.Minute)
	w.conserved()
	if len(w.sent) != 3 || len(w.sent[0].ids) != 1000 || len(w.sent[2].ids) != 500 {
		t.Fatalf("sent %d batches", len(w.sent))
	}
	if got := w.sent[2].at.Sub(worldStart); got != 30*time.Second {
		t.Errorf("the rest left after %v, want 30s idle", got)
	}
}

func TestRetriesThenHoldsThenRecovers(t *testing.T) {
	w := newWorld(t, testRules(), 2)
	down := worldStart.Add(10 * time.Minute)
	w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
		if w.now.Before(down) {
			return sinks.Verdict{Kind: sinks.Retryable, Reason: "connection", Err: errors.New("connection refused")}, time.Millisecond
		}
		return sinks.Verdict{Status: 200}, 10 * time.Millisecond
	}
	for i := range 20_000 {
		w.produce(int32(i%4), i)
	}
	w.run(9 * time.Minute)
	if w.told(HoldBegan) != 1 || w.told(Retry) < 3 {
		t.Fatalf("%d holds, %d retries", w.told(HoldBegan), w.told(Retry))
	}
	held := 0
	for _, s := range w.sent {
		if s.probe {
			held++
			if len(s.ids) != 1 {
				t.Errorf("a probe of %d sessions while the endpoint is ill", len(s.ids))
			}
		}
	}
	if held < 4 || held > 60 {
		t.Errorf("%d probes in 9 minutes", held)
	}
	if len(w.letters) != 0 {
		t.Errorf("an outage sent %d sessions to the dead letters", len(w.letters))
	}
	first := len(w.sent)
	w.run(30 * time.Minute)
	w.conserved()
	if w.told(Recovered) != 1 {
		t.Errorf("recovered %d times", w.told(Recovered))
	}
	var sizes []int
	for _, s := range w.sent[first:] {
		if s.probe && len(s.ids) > 0 {
			sizes = append(sizes, len(s.ids))
		}
	}
	if n := len(sizes); n < 4 || !slices.Equal(sizes[n-4:], []int{1, 10, 100, 889}) {
		t.Errorf("probes of %v sessions, want 1, 10, 100, the rest", sizes)
	}
}

func TestSlowStartAfterHold(t *testing.T) {
	w := newWorld(t, testRules(), 3)
	ill := true
	w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
		if ill {
			return status(sinks.Refused, 403), time.Millisecond
		}
		return sinks.Verdict{Status: 200}, time.Second
	}
	for i := range 60_000 {
		w.produce(int32(i%2), i)
	}
	w.run(time.Second)
	ill = false
	w.onWire, w.mostOn = 0, 0
	w.run(8 * time.Second) // probes
	if w.mostOn > 1 {
		t.Fatalf("%d on the wire in a hold", w.mostOn)
	}
	w.run(time.Hour)
	w.conserved()
	if w.mostOn != 4 {
		t.Errorf("at most %d in flight after the slow start, want 4", w.mostOn)
	}
	// The first ten good batches go one by one.
	var starts []time.Time
	for _, s := range w.sent {
		if !s.probe && s.at.After(worldStart) {
			starts = append(starts, s.at)
		}
	}
	for i := 1; i < 10; i++ {
		if starts[i].Sub(starts[i-1]) < time.Second {
			t.Errorf("batch %d left %v after the one before: slow start is one at a time", i, starts[i].Sub(starts[i-1]))
		}
	}
}

func TestWebhookBadRequestIsIsolated(t *testing.T) {
	for _, bad := range []int{0, 1, 499, 500, 998, 999} {
		w := newWorld(t, testRules(), 4)
		w.answer = func(_ *attempt, ids []int) (sinks.Verdict, time.Duration) {
			if slices.Contains(ids, bad) {
				return status(sinks.Suspect, 400), time.Millisecond
			}
			return sinks.Verdict{Status: 200}, time.Millisecond
		}
		for i := range 1000 {
			w.produce(0, i)
		}
		w.run(time.Minute)
		w.conserved()
		if len(w.letters) != 1 || w.letters[bad].Kind != "rejected" || w.letters[bad].Status != 400 {
			t.Fatalf("bad session %d: letters %v", bad, w.letters)
		}
		if len(w.sent) > 23 {
			t.Errorf("bad session %d: %d requests, want about 2·log2(1000)", bad, len(w.sent))
		}
		if w.told(HoldBegan) != 0 {
			t.Errorf("bad session %d made the sink hold", bad)
		}
	}
}

func TestBadRequestForAllIsTheDestinationsFault(t *testing.T) {
	w := newWorld(t, testRules(), 5)
	cured := worldStart.Add(20 * time.Minute)
	w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
		if w.now.Before(cured) {
			return status(sinks.Suspect, 400), time.Millisecond
		}
		return sinks.Verdict{Status: 200}, time.Millisecond
	}
	for i := range 5000 {
		w.produce(int32(i%2), i)
	}
	w.run(19 * time.Minute)
	if len(w.letters) != 0 || w.told(HoldBegan) == 0 {
		t.Fatalf("%d dead letters, %d holds: a destination that refuses everything is at fault itself", len(w.letters), w.told(HoldBegan))
	}
	if len(w.sent) > 300 {
		t.Errorf("%d requests to a destination that refuses everything", len(w.sent))
	}
	w.run(3 * time.Hour)
	w.conserved()
	if len(w.letters) != 0 {
		t.Errorf("%d dead letters after the cure: sessions refused by an ill destination must be heard again", len(w.letters))
	}
}

func TestLoneBadSessionWaitsForAWitness(t *testing.T) {
	w := newWorld(t, testRules(), 6)
	w.answer = func(_ *attempt, ids []int) (sinks.Verdict, time.Duration) {
		if slices.Contains(ids, 0) {
			return status(sinks.Suspect, 422), time.Millisecond
		}
		return sinks.Verdict{Status: 200}, time.Millisecond
	}
	w.produce(0, 0)
	w.run(10 * time.Minute)
	if len(w.letters) != 0 || w.told(HoldBegan) != 1 {
		t.Fatalf("without a witness: %d letters, %d holds", len(w.letters), w.told(HoldBegan))
	}
	w.produce(0, 1)
	w.run(30 * time.Minute)
	w.conserved()
	if len(w.letters) != 1 || w.got[1] == 0 || w.told(Recovered) == 0 {
		t.Errorf("with a witness: letters %v, got %v", w.letters, w.got)
	}
}

func TestBulkItems(t *testing.T) {
	conflict := func(ids []int, bad func(int) bool) sinks.Verdict {
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
	t.Run("a few", func(t *testing.T) {
		w := newWorld(t, testRules(), 7)
		w.answer = func(_ *attempt, ids []int) (sinks.Verdict, time.Duration) {
			return conflict(ids, func(id int) bool { return id%100 == 7 }), time.Millisecond
		}
		for i := range 3000 {
			w.produce(0, i)
		}
		w.run(time.Minute)
		w.conserved()
		if len(w.letters) != 30 || w.letters[107].Reason != "document_parsing_exception" || len(w.sent) != 3 {
			t.Errorf("%d letters, %d requests", len(w.letters), len(w.sent))
		}
	})
	t.Run("more than a fifth", func(t *testing.T) {
		w := newWorld(t, testRules(), 8)
		cured := worldStart.Add(15 * time.Minute)
		w.answer = func(_ *attempt, ids []int) (sinks.Verdict, time.Duration) {
			if w.now.Before(cured) {
				return conflict(ids, func(id int) bool { return id%2 == 0 }), time.Millisecond
			}
			return sinks.Verdict{Status: 200}, time.Millisecond
		}
		for i := range 10_000 {
			w.produce(0, i)
		}
		w.run(14 * time.Minute)
		if w.told(HoldBegan) == 0 || len(w.letters) > givenUpAtMost {
			t.Fatalf("%d holds, %d letters: a changed mapping is the destination's fault", w.told(HoldBegan), len(w.letters))
		}
		w.run(5 * time.Hour)
		w.conserved()
	})
	t.Run("retryable items alone are sent again", func(t *testing.T) {
		w := newWorld(t, testRules(), 9)
		first := true
		w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
			if !first {
				return sinks.Verdict{Status: 200}, time.Millisecond
			}
			first = false
			return sinks.Verdict{Kind: sinks.Partial, Status: 200, Items: []sinks.ItemVerdict{
				{Index: 3, Kind: sinks.Retryable, Status: 503, Type: "unavailable_shards_exception"},
				{Index: 9, Kind: sinks.Throttled, Status: 429, Type: "es_rejected_execution_exception"},
			}}, time.Millisecond
		}
		for i := range 1000 {
			w.produce(0, i)
		}
		w.run(time.Minute)
		w.conserved()
		if len(w.sent) != 2 || !slices.Equal(w.sent[1].ids, []int{3, 9}) {
			t.Errorf("second request had sessions %v, want 3 and 9", w.sent[1].ids)
		}
	})
}
