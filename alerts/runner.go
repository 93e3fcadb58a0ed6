package alerts

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// pollEvery is how often readings are taken: an alert is resolved so soon
// after a delivery.
const pollEvery = 5 * time.Second

// freshFor is how old the figures of a notification may be.
const freshFor = time.Second

// Notifier carries notifications somewhere. Run owns what it does.
type Notifier interface {
	// Name tells notifiers apart in logs and metrics; it shows no secret.
	Name() string
	// Tell takes a notification and returns at once. A silent one is not
	// told, and takes back what was: its sink became silent in between.
	Tell(n Notification)
	// Run delivers what was told until ctx is done.
	Run(ctx context.Context)
	// Try delivers a trial notification now. The error shows no secret.
	Try(ctx context.Context, n Notification) error
}

// keeper is a notifier that says again and again how things are.
type keeper interface {
	// Keep takes how what is open stands by now, and returns at once.
	Keep(open []Notification)
}

// Options make a Runner. Poll must be set.
type Options struct {
	Poll      func(ctx context.Context) []Reading // takes readings of all sinks
	Notifiers []Notifier
	Metrics   *Metrics     // nil: none
	Logger    *slog.Logger // nil: slog.Default()
}

// Runner feeds the tracker and hands what is to be told to the log and the
// notifiers.
type Runner struct {
	o       Options
	signals *inbox
	tracker *Tracker
	met     time.Time       // when sinks were last looked at
	others  chan []Notifier // to notify from now on
}

// NewRunner returns a runner; Run makes it work.
func NewRunner(o Options) *Runner {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	return &Runner{o: o, signals: newInbox(), tracker: NewTracker(), others: make(chan []Notifier, 1)}
}

// Signal takes a signal from any goroutine. It never blocks.
func (r *Runner) Signal(s Signal) {
	if s.At.IsZero() {
		s.At = time.Now()
	}
	r.signals.put(s)
}

// Use makes others the ones to notify, from any goroutine. A notifier that is
// one of those before goes on with what it has to send; a new one is told what
// is open; what is left of one that goes is dropped.
func (r *Runner) Use(all []Notifier) {
	for {
		select {
		case r.others <- all:
			return
		default:
		}
		select {
		case <-r.others: // not looked at yet, and out of date
		default:
		}
	}
}

// Run works until ctx is done, and returns when its notifiers have ended.
func (r *Runner) Run(ctx context.Context) {
	crew := crew{running: map[Notifier]context.CancelFunc{}}
	crew.use(ctx, r.o.Notifiers)
	defer crew.wait()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	r.read(ctx)
	for {
		select {
		case <-r.signals.news:
			if time.Since(r.met) >= freshFor {
				r.meet(ctx)
			}
			r.takeSignals()
		case <-ticker.C:
			r.read(ctx)
		case all := <-r.others:
			r.o.Notifiers = all
			open := r.tracker.Open(time.Now())
			for _, joined := range crew.use(ctx, all) {
				for _, n := range open {
					joined.Tell(n)
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// crew is the notifiers that run.
type crew struct {
	running map[Notifier]context.CancelFunc
	group   sync.WaitGroup
}

// use ends those that are not among all, and starts and returns the new ones.
func (c *crew) use(ctx context.Context, all []Notifier) (joined []Notifier) {
	for n, end := range c.running {
		if !slices.Contains(all, n) {
			end()
			delete(c.running, n)
		}
	}
	for _, n := range all {
		if c.running[n] != nil {
			continue
		}
		own, end := context.WithCancel(ctx)
		c.running[n] = end
		c.group.Go(func() { n.Run(own) })
		joined = append(joined, n)
	}
	return joined
}

func (c *crew) wait() {
	for _, end := range c.running {
		end()
	}
	c.group.Wait()
}

// read takes readings. What waits is older than they are.
func (r *Runner) read(ctx context.Context) {
	readings, ok := r.meet(ctx)
	if !ok {
		return
	}
	r.takeSignals()
	r.tell(r.tracker.Read(time.Now(), readings))
	open := r.tracker.Open(time.Now())
	for _, n := range r.o.Notifiers {
		if k, ok := n.(keeper); ok {
			k.Keep(open)
		}
	}
}

// meet looks at the sinks; false when there is no time left for it.
func (r *Runner) meet(ctx context.Context) (readings []Reading, ok bool) {
	readings = r.o.Poll(ctx)
	if ctx.Err() != nil {
		return nil, false
	}
	r.tracker.Meet(readings)
	r.met = time.Now()
	return readings, true
}

func (r *Runner) takeSignals() {
	all, dropped := r.signals.take()
	for _, s := range all {
		r.tell(r.tracker.Take(time.Now(), s))
	}
	if dropped > 0 {
		r.o.Logger.Warn("alerts: signals were dropped", "signals", dropped)
	}
}

func (r *Runner) tell(told []Notification) {
	for _, n := range told {
		r.log(n)
		for _, to := range r.o.Notifiers {
			to.Tell(n)
		}
	}
	if len(told) > 0 {
		r.o.Metrics.setOpen(r.tracker.Open(time.Now()))
	}
}

// log is the notifier that is always there.
func (r *Runner) log(n Notification) {
	args := []any{
		"environment", n.Environment, "sink", n.Sink, "cause", string(n.Cause), "since", n.Since.UTC().Format(time.RFC3339),
	}
	if n.Waiting >= 0 {
		args = append(args, "waiting", n.Waiting)
	}
	if n.Lost > 0 {
		args = append(args, "lost", n.Lost)
	}
	if n.State == Resolved {
		r.o.Logger.Info("alert resolved: "+n.Cause.Summary(), append(args, "lasted", n.At.Sub(n.Since).Round(time.Second).String())...) //nolint:sloglint // of a fixed set
		return
	}
	if n.Error != "" {
		args = append(args, "error", cut(n.Error))
	}
	if !n.Until.IsZero() {
		args = append(args, "until", n.Until.UTC().Format(time.RFC3339))
	}
	args = append(args, "todo", n.Cause.Advice())
	if n.State == Repeated {
		r.o.Logger.Warn("alert still open: "+n.Cause.Summary(), args...) //nolint:sloglint // of a fixed set
		return
	}
	r.o.Logger.Warn("alert opened: "+n.Cause.Summary(), args...) //nolint:sloglint // of a fixed set
}
