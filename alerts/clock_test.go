package alerts

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestTrackerClockJumps sets the tracker's clock forward and back by hours
// while a sink fails and recovers: the alert is told, not told in a flood, and
// resolved once the sink is well.
func TestTrackerClockJumps(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		tracker := NewTracker()
		told := map[State]int{}
		take := func(all []Notification) {
			for _, n := range all {
				told[n.State]++
			}
		}
		start, skew, jumps := noon, time.Duration(0), 0
		const failing, well = 3 * time.Hour, 14 * time.Hour
		for minute := time.Duration(0); minute < failing+well; minute += time.Minute {
			if minute < failing && rnd.IntN(20) == 0 {
				skew, jumps = time.Duration(rnd.IntN(600)-300)*time.Minute, jumps+1
			}
			now := start.Add(minute).Add(skew)
			if minute < failing {
				take(tracker.Take(now, *trouble(DeliveryFailed, 0)))
				take(tracker.Read(now, shop(nil)))
			} else {
				take(tracker.Read(now, shop(func(r *Reading) { r.Delivered = now })))
			}
		}
		if left := tracker.Open(start.Add(failing + well).Add(skew)); len(left) > 0 {
			t.Errorf("seed %d: %s is still open hours after the sink was well", seed, left[0].Cause)
		}
		// A jump forward may let an hour pass at once; one back lets none pass.
		if most := jumps + int(failing/repeatEvery); told[Opened] != 1 || told[Resolved] != 1 || told[Repeated] > most {
			t.Errorf("seed %d: %d jumps, told %v, at most %d repeats would do", seed, jumps, told, most)
		}
	}
}
