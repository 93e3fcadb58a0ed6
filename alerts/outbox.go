package alerts

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	// outboxSize is how many alerts' notifications wait for one notifier;
	// beyond it the oldest is dropped.
	outboxSize = 256

	// staleAfter is how long a notification is tried. An alert that is still
	// open by then is told again anyway.
	staleAfter = time.Hour

	sendTimeout  = 15 * time.Second // of one attempt
	firstBackoff = 2 * time.Second
	maxBackoff   = 5 * time.Minute
)

// outbox holds what one notifier is to send, at most one notification an
// alert: a newer one replaces what was not sent yet, so that a notifier that
// was away tells how things are and not how they were.
type outbox struct {
	name    string
	send    func(ctx context.Context, n Notification) error
	log     *slog.Logger
	metrics *Metrics

	mu      sync.Mutex
	waiting []Notification
	news    chan struct{} // of capacity 1
}

func newOutbox(name string, send func(context.Context, Notification) error, log *slog.Logger, metrics *Metrics) *outbox {
	metrics.known(name)
	return &outbox{name: name, send: send, log: log, metrics: metrics, news: make(chan struct{}, 1)}
}

// Name tells notifiers apart.
func (o *outbox) Name() string { return o.name }

// Tell puts a notification into the outbox.
func (o *outbox) Tell(n Notification) {
	o.mu.Lock()
	o.waiting = slices.DeleteFunc(o.waiting, func(w Notification) bool { return w.Key == n.Key })
	if n.Silent {
		o.mu.Unlock()
		return
	}
	if len(o.waiting) >= outboxSize {
		o.waiting = slices.Delete(o.waiting, 0, 1)
		o.metrics.add(o.name, resultDropped, 1)
	}
	o.waiting = append(o.waiting, n)
	o.mu.Unlock()
	select {
	case o.news <- struct{}{}:
	default:
	}
}

// Try sends one notification now.
func (o *outbox) Try(ctx context.Context, n Notification) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return o.send(ctx, n)
}

// Run sends what waits until ctx is done.
func (o *outbox) Run(ctx context.Context) {
	waits := newBackoff()
	var pause <-chan time.Time
	for {
		n, some := o.first()
		if !some || pause != nil {
			news := o.news
			if some {
				news = nil // what is new waits behind what failed
			}
			select {
			case <-news:
			case <-pause:
				pause = nil
			case <-ctx.Done():
				return
			}
			continue
		}
		err := o.Try(ctx, n)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			o.metrics.add(o.name, resultSent, 1)
			o.done(n)
			waits.Reset()
		default:
			o.metrics.add(o.name, resultFailed, 1)
			wait := waits.NextBackOff()
			if time.Since(n.At) >= staleAfter {
				o.metrics.add(o.name, resultDropped, 1)
				o.done(n)
			} else {
				o.putBack(n)
			}
			o.log.Warn("notification failed, will be repeated", "notifier", o.name, "error", err, "wait", wait.Round(time.Millisecond).String())
			pause = time.After(wait)
		}
	}
}

func (o *outbox) first() (Notification, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return Notification{}, false
	}
	return o.waiting[0], true
}

// done takes a notification out unless a newer one took its place.
func (o *outbox) done(n Notification) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = slices.DeleteFunc(o.waiting, func(w Notification) bool { return w == n })
}

// putBack lets others go first: it may be this one that is not accepted.
func (o *outbox) putBack(n Notification) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.Index(o.waiting, n); i >= 0 {
		o.waiting = append(slices.Delete(o.waiting, i, i+1), n)
	}
}

// newBackoff returns the waits between attempts; they never end.
func newBackoff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstBackoff), backoff.WithMaxInterval(maxBackoff),
		backoff.WithMultiplier(2), backoff.WithMaxElapsedTime(0))
}
