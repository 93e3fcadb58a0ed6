package alerts

import (
	"slices"
	"time"
)

const (
	// repeatEvery is how often an open alert is told at most.
	repeatEvery = time.Hour

	// quiet is how long what happens at moments must not have happened for its
	// alert to be resolved.
	quiet = time.Hour

	// An alert that opens for the flappings-th time within flapWindow is
	// resolved only after calm without trouble: a destination that fails every
	// other minute is told once an hour, not sixty times.
	flappings  = 3
	flapWindow = time.Hour
	calm       = 15 * time.Minute
)

// Tracker turns signals into notifications. It has no clock, no goroutine and
// no memory beyond its process: after a restart a problem that is still there
// is told once more. The machine of one alert:
//
//	           trouble: told as open
//	(none) ───────────────────────────▶ open ◀─┐ trouble: noted;
//	   ▲                                │  ▲ └──┘ told again after an hour
//	   │   over: told as resolved       │  │
//	   ├────────────────────────────────┤  │ trouble: noted, not told
//	   │                                │  │
//	   │   15 minutes without trouble:  ▼  │
//	   └──────────────────────────── settling     over, and the third
//	       told as resolved                       opening in an hour
//
// What happens at moments (a dead letter) has no end of its own: it counts as
// over after an hour without another.
type Tracker struct {
	alerts   map[Key]*alert
	readings map[sinkKey]*Reading
}

type sinkKey struct{ environment, sink string }

type alert struct {
	open     bool
	since    time.Time
	last     time.Time   // trouble
	told     time.Time   // as open or repeated
	settling time.Time   // over since; zero: not over
	openings []time.Time // within flapWindow
	lost     int64
	err      string
	until    time.Time
	silent   bool // as its sink was when it was last seen
}

// NewTracker returns a tracker without alerts.
func NewTracker() *Tracker {
	return &Tracker{alerts: map[Key]*alert{}, readings: map[sinkKey]*Reading{}}
}

// Take takes a signal and returns what is to be told because of it.
func (t *Tracker) Take(now time.Time, s Signal) []Notification {
	at := s.At
	if at.IsZero() {
		at = now
	}
	a := t.alerts[s.Key]
	if s.Cleared {
		if a == nil || !a.open || s.Cause.momentary() || at.Before(a.last) {
			return nil
		}
		return t.over(now, s.Key, a)
	}
	if a == nil {
		a = &alert{}
		t.alerts[s.Key] = a
	}
	a.last, a.settling, a.until = at, time.Time{}, s.Until
	if s.Error != "" {
		a.err = s.Error
	}
	if a.open {
		a.lost += s.Lost
		return t.repeat(now, s.Key, a)
	}
	a.open, a.since, a.told, a.lost = true, at, now, s.Lost
	a.openings = append(recent(now, a.openings), now)
	return []Notification{t.note(now, s.Key, a, Opened)}
}

// over ends an alert, or lets it settle when it was flapping.
func (t *Tracker) over(now time.Time, k Key, a *alert) []Notification {
	if len(recent(now, a.openings)) >= flappings {
		if a.settling.IsZero() {
			a.settling = now
		}
		return nil
	}
	return t.resolve(now, k, a)
}

func (t *Tracker) resolve(now time.Time, k Key, a *alert) []Notification {
	n := t.note(now, k, a, Resolved)
	a.open, a.settling = false, time.Time{}
	return []Notification{n}
}

func (t *Tracker) repeat(now time.Time, k Key, a *alert) []Notification {
	if now.Sub(a.told) < repeatEvery {
		return nil
	}
	a.told = now
	return []Notification{t.note(now, k, a, Repeated)}
}

// Meet takes of readings what a notification says: whether a sink is silent, and
// how many sessions wait. Nothing is concluded from them.
func (t *Tracker) Meet(readings []Reading) {
	for i := range readings {
		r := &readings[i]
		k := sinkKey{r.Environment, r.Sink}
		known := t.readings[k]
		if known == nil {
			known = &Reading{Environment: r.Environment, Sink: r.Sink}
			t.readings[k] = known
		}
		known.Silent, known.Waiting = r.Silent, r.Waiting
	}
}

// Read takes readings of all sinks that run and returns what is to be told.
// The alerts of a sink that is not among them are resolved: it was removed or
// disabled.
func (t *Tracker) Read(now time.Time, readings []Reading) []Notification {
	var told []Notification
	present := make(map[sinkKey]*Reading, len(readings))
	before := t.readings
	for i := range readings {
		r := &readings[i]
		present[sinkKey{r.Environment, r.Sink}] = r
	}
	t.readings = present
	for i := range readings {
		r := &readings[i]
		last := before[sinkKey{r.Environment, r.Sink}]
		if last == nil || last.OutOfRange > r.OutOfRange || last.Corrupt > r.Corrupt { // it was stopped and started again
			last = &Reading{}
		}
		for _, s := range r.signals(now, last) {
			told = append(told, t.Take(now, s)...)
		}
	}
	return append(told, t.pass(now)...)
}

// pass does what the passing of time asks for.
func (t *Tracker) pass(now time.Time) []Notification {
	var told []Notification
	for _, k := range t.keys() {
		a := t.alerts[k]
		_, here := t.readings[sinkKey{k.Environment, k.Sink}]
		switch {
		case !a.open:
			if a.openings = recent(now, a.openings); len(a.openings) == 0 {
				delete(t.alerts, k)
			}
		case !here, k.Cause.momentary() && now.Sub(a.last) >= quiet,
			!a.settling.IsZero() && now.Sub(a.settling) >= calm:
			told = append(told, t.resolve(now, k, a)...)
		case a.settling.IsZero() && !k.Cause.momentary():
			told = append(told, t.repeat(now, k, a)...)
		}
	}
	return told
}

// Open returns the alerts that are open, sorted.
func (t *Tracker) Open(now time.Time) []Notification {
	var open []Notification
	for _, k := range t.keys() {
		if a := t.alerts[k]; a.open {
			open = append(open, t.note(now, k, a, Opened))
		}
	}
	return open
}

func (t *Tracker) keys() []Key {
	keys := make([]Key, 0, len(t.alerts))
	for k := range t.alerts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, Key.compare)
	return keys
}

func (t *Tracker) note(now time.Time, k Key, a *alert, s State) Notification {
	n := Notification{Key: k, State: s, At: now, Since: a.since, Waiting: -1, Lost: a.lost, Error: a.err, Until: a.until}
	if r := t.readings[sinkKey{k.Environment, k.Sink}]; r != nil {
		n.Waiting, a.silent = r.Waiting, r.Silent
	}
	n.Silent = a.silent // also of a sink that was removed
	return n
}

// recent returns the times within flapWindow.
func recent(now time.Time, all []time.Time) []time.Time {
	return slices.DeleteFunc(all, func(t time.Time) bool { return now.Sub(t) >= flapWindow })
}
