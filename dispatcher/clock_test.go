package dispatcher

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestClockJumps sets the machine's clock forward and back by hours while a
// schedule of faults runs: what waited for a time waits for longer or goes at
// once, and nothing is lost, stuck or given up because of it.
func TestClockJumps(t *testing.T) {
	unheard, jumps := 0, 0
	for seed := range uint64(schedules / 3) {
		unheard += schedule(t, seed, func(w *world, own *rand.Rand) {
			for range 1 + own.IntN(10) {
				jumps++
				w.after(time.Duration(own.IntN(3600))*time.Second, func() {
					w.skew = time.Duration(own.IntN(8*3600)-4*3600) * time.Second
				})
			}
			for i := range 400 { // what waits for longer needs witnesses for longer
				w.after(time.Hour+time.Duration(i)*3*time.Minute, func() { w.produce(0, 2_000_000+i) })
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d jumps in %d schedules", jumps, schedules/3)
	if unheard > schedules/100 {
		t.Errorf("%d good sessions were given up in %d schedules with %d jumps", unheard, schedules/3, jumps)
	}
}

// TestClocksAreMonotonic: deadlines are made from time.Now and compared with
// time.Now, so that setting the machine's clock moves none of them.
func TestClocksAreMonotonic(t *testing.T) {
	now := time.Now()
	h := newHold(4, rand.New(rand.NewPCG(1, 1)))
	h.begin(now, Cause{}, false)
	w := waits{initial: time.Second, most: time.Minute, multiplier: retryMultiplier, rnd: rand.New(rand.NewPCG(1, 1))}
	for name, at := range map[string]time.Time{
		"next probe": h.at, "since": h.since, "next attempt": now.Add(w.next()),
	} {
		if at == at.Round(0) { // == sees the monotonic reading
			t.Errorf("%s has lost its monotonic reading", name)
		}
	}
}
