package dispatcher

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The waits between attempts reach up to 2, 8 and 30 s, and use all below.
func TestWaitsOfRetries(t *testing.T) {
	bounds := []time.Duration{2 * time.Second, 8 * time.Second, 30 * time.Second, 30 * time.Second}
	sums := make([]time.Duration, len(bounds))
	least := make([]time.Duration, len(bounds))
	copy(least, bounds)
	w := waits{initial: 2 * time.Second, most: 30 * time.Second, multiplier: retryMultiplier, rnd: rand.New(rand.NewPCG(1, 2))}
	const rounds = 2000
	for range rounds {
		for i, most := range bounds {
			wait := w.next()
			if wait < 0 || wait > most {
				t.Fatalf("wait %d is %v, at most %v wanted", i, wait, most)
			}
			sums[i] += wait
			least[i] = min(least[i], wait)
		}
		w.reset()
	}
	for i, most := range bounds {
		if mean := sums[i] / rounds; mean < most*45/100 || mean > most*55/100 || least[i] > most/50 {
			t.Errorf("wait %d: mean %v, least %v: not spread over 0 to %v", i, sums[i]/rounds, least[i], most)
		}
	}
}

func TestWaitsStayAboveTheirFloor(t *testing.T) {
	w := waits{initial: time.Minute, most: 15 * time.Minute, multiplier: 2, floor: time.Minute, rnd: rand.New(rand.NewPCG(1, 2))}
	if wait := w.next(); wait != time.Minute {
		t.Errorf("the first wait is %v", wait)
	}
	for range 100 {
		if wait := w.next(); wait < time.Minute || wait > 15*time.Minute {
			t.Fatalf("the wait is %v", wait)
		}
	}
}

// A longest wait below the first one wins.
func TestWaitsAreNeverLongerThanTheMost(t *testing.T) {
	w := waits{initial: time.Minute, most: time.Second, multiplier: 4, rnd: rand.New(rand.NewPCG(1, 2))}
	for range 100 {
		if wait := w.next(); wait > time.Second {
			t.Fatalf("the wait is %v", wait)
		}
	}
}
