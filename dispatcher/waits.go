package dispatcher

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// waits is one growing series of waits with full jitter: each is drawn from
// zero to the interval, so that many senders do not come back together.
type waits struct {
	initial, most time.Duration
	multiplier    float64
	floor         time.Duration // the jitter never goes below
	rnd           *rand.Rand

	series *backoff.ExponentialBackOff
}

// next returns the next wait.
func (w *waits) next() time.Duration {
	if w.series == nil {
		w.series = backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(w.initial),
			backoff.WithMultiplier(w.multiplier),
			backoff.WithMaxInterval(w.most),
			backoff.WithRandomizationFactor(0), // the library's jitter is around the interval, ours below it
			backoff.WithMaxElapsedTime(0),
		)
	}
	interval := min(w.series.NextBackOff(), w.most)
	if interval <= w.floor {
		return interval
	}
	return w.floor + time.Duration(w.rnd.Int64N(int64(interval-w.floor)+1))
}

// reset starts the series anew.
func (w *waits) reset() { w.series = nil }

// The waits between the attempts of a batch (design: 2, 8, 30 s).
const retryMultiplier = 4

// The waits between the probes of a hold.
const (
	probeFirst      = 5 * time.Second
	probeMost       = 5 * time.Minute
	credentialFirst = time.Minute // refused credentials: slowly, so that no account is locked out
	credentialMost  = 15 * time.Minute
	probeMultiplier = 2
)

// throttlePatience is how long throttling without a success may last before it
// counts like a failed batch.
const throttlePatience = 15 * time.Minute

// pauseMost bounds what a destination's Retry-After may ask for.
const pauseMost = time.Hour
