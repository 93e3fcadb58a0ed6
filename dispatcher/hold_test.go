package dispatcher

import (
	"math/rand/v2"
	"testing"
	"time"
)

var holdStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func testHold(maxInFlight int) hold {
	return newHold(maxInFlight, rand.New(rand.NewPCG(1, 2)))
}

// Probes are at most so far apart: 5 s, doubled, up to 5 minutes.
func TestHoldWaitsGrow(t *testing.T) {
	h := testHold(4)
	if !h.begin(holdStart, Cause{Reason: "connection"}, false) || !h.active || h.size != 1 || !h.since.Equal(holdStart) {
		t.Fatalf("%+v", h)
	}
	most, longest := probeFirst, time.Duration(0)
	now := holdStart
	for range 200 {
		wait := h.at.Sub(now)
		if wait < 0 || wait > most {
			t.Fatalf("the wait is %v, at most %v wanted", wait, most)
		}
		longest = max(longest, wait)
		now = h.at
		h.failed(now, 0)
		most = min(most*probeMultiplier, probeMost)
	}
	if longest < probeMost/2 {
		t.Errorf("of 200 waits the longest was %v", longest)
	}
	if h.begin(now, Cause{Reason: "timeout"}, false) || h.cause.Reason != "timeout" || !h.since.Equal(holdStart) {
		t.Error("a hold that goes on takes the newer cause and nothing else")
	}
}

// Refused credentials are probed slowly, so that no account is locked out.
func TestHoldOfCredentials(t *testing.T) {
	h := testHold(4)
	h.begin(holdStart, Cause{Status: 401}, true)
	now := holdStart
	for range 50 {
		if wait := h.at.Sub(now); wait < credentialFirst || wait > credentialMost {
			t.Fatalf("the wait is %v", wait)
		}
		now = h.at
		h.failed(now, 0)
	}
	h.begin(now, Cause{Reason: "connection"}, false) // now it is something else
	h.failed(now, 0)
	if wait := h.at.Sub(now); wait > probeFirst*probeMultiplier {
		t.Errorf("the wait is %v although credentials are no longer at fault", wait)
	}
}

func TestHoldHonoursRetryAfter(t *testing.T) {
	h := testHold(4)
	h.begin(holdStart, Cause{}, false)
	h.failed(holdStart, 10*time.Minute)
	if wait := h.at.Sub(holdStart); wait != 10*time.Minute {
		t.Errorf("the wait is %v, asked for were 10 minutes", wait)
	}
	h.failed(holdStart, 100*time.Hour)
	if wait := h.at.Sub(holdStart); wait != pauseMost {
		t.Errorf("the wait is %v, an hour is the most", wait)
	}
}

// Probes that pass grow, 1, 10, 100, the rest; one that fails begins again.
func TestHoldProbesGrow(t *testing.T) {
	h := testHold(4)
	h.begin(holdStart, Cause{}, false)
	now := holdStart.Add(time.Minute)
	for _, want := range []int{10, 100, 0, 0} {
		h.passed(now)
		if h.size != want || !h.at.Equal(now) {
			t.Fatalf("the next probe has %d sessions at %v, want %d at once", h.size, h.at, want)
		}
	}
	h.failed(now, 0)
	if h.size != 1 {
		t.Errorf("after a failure the probe has %d sessions", h.size)
	}
}

// After a hold one batch is in flight; the number doubles after ten good ones.
func TestSlowStart(t *testing.T) {
	h := testHold(6)
	h.delivered()
	if h.limit != 6 {
		t.Fatalf("%d may be in flight without a hold", h.limit)
	}
	h.begin(holdStart, Cause{}, false)
	h.end()
	for _, want := range []int{1, 2, 4, 6} {
		if h.limit != want {
			t.Fatalf("%d may be in flight, want %d", h.limit, want)
		}
		for range slowStartGood - 1 {
			h.delivered()
		}
		if h.limit != want {
			t.Fatalf("nine good batches made %d of %d", h.limit, want)
		}
		h.delivered()
	}
}

// A hold that begins again before the slow start is over goes on waiting as
// long as before; one after it begins anew.
func TestHoldAfterHold(t *testing.T) {
	h := testHold(2)
	h.begin(holdStart, Cause{}, false)
	for range 10 {
		h.failed(holdStart, 0)
	}
	h.end()
	h.begin(holdStart, Cause{}, false)
	longest := time.Duration(0)
	for range 20 {
		longest = max(longest, h.at.Sub(holdStart))
		h.failed(holdStart, 0)
	}
	if longest <= time.Minute {
		t.Errorf("the waits began anew: the longest of 20 was %v", longest)
	}
	h.end()
	for range 2 * slowStartGood {
		h.delivered()
	}
	h.begin(holdStart, Cause{}, false)
	if wait := h.at.Sub(holdStart); wait > probeFirst {
		t.Errorf("the wait is %v after a good time", wait)
	}
}
