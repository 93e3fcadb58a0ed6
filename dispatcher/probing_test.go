package dispatcher

import (
	"testing"
	"time"

	"sessionexport/sinks"
)

// What was on its way when a hold began and is accepted afterwards says nothing
// of what is wrong since: the probe of refused credentials still waits its
// minute, so that no account is locked out.
func TestLateSuccessHastensNoProbe(t *testing.T) {
	w := newWorld(t, testRules(), 5)
	first := true
	w.answer = func(*attempt, []int) (sinks.Verdict, time.Duration) {
		if first {
			first = false
			return status(sinks.Refused, 401), time.Millisecond
		}
		return sinks.Verdict{Status: 200}, 2 * time.Second
	}
	for i := range 10_000 {
		w.produce(int32(i%4), i)
	}
	w.run(credentialFirst - time.Second)
	if w.told(HoldBegan) != 1 || len(w.sent) != 4 {
		t.Fatalf("%d holds, %d attempts; want one hold, and the four attempts of before it alone", w.told(HoldBegan), len(w.sent))
	}
	w.run(time.Hour)
	w.conserved()
	if w.told(Recovered) != 1 {
		t.Errorf("recovered %d times", w.told(Recovered))
	}
}
