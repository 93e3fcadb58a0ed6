package demo

import "time"

// Snapshot is what the live view shows: a running export at one moment.
type Snapshot struct {
	Elapsed  time.Duration  // since the start; rates are made from it
	Produced int            // sessions acknowledged by the broker
	Target   int            // sessions to be produced; 0: open-ended
	Sinks    []SinkSnapshot // always in the same order; not changed afterwards
	Scene    *Scene         // of a demo of faults; nil: none, or its story is over
	Told     []Told         // alerts so far, oldest first; it only grows
}

// Told is an alert that was told, or told to be over.
type Told struct {
	At   time.Duration // since the start
	Over bool
	Text string
}

// sink returns the part of a sink; nothing for an unknown one.
func (s *Snapshot) sink(id string) SinkSnapshot {
	for _, one := range s.Sinks {
		if one.ID == id {
			return one
		}
	}
	return SinkSnapshot{}
}

// Retrying is the state of a sink that flows, but for its latest attempt.
const Retrying = "retrying"

// SinkSnapshot is one sink's part of a Snapshot.
type SinkSnapshot struct {
	ID          string
	Delivered   int64         // sessions
	DeadLetters int64         // sessions
	Lag         int64         // records that are not committed yet; negative: not known
	State       string        // a word or two, such as flowing or held
	Retries     int64         // attempts that repeated an earlier one
	ByteLimit   int           // of a body
	NextProbe   time.Duration // of a sink that holds: until it leaves
	Last        Batch         // the last batch that was delivered
	Error       string        // the last failure, or the cause of the hold; "" when all is well
}

// Batch is what the view tells of a delivered batch.
type Batch struct {
	Trigger  string // why it left: sessions, bytes, idle, age, …; "" before the first
	Sessions int
	Bytes    int // of the body, before compression
}

// rateWindow is the time over which rates are averaged: long enough to be
// read, short enough to show what happens.
const rateWindow = 3 * time.Second

// history keeps the snapshots of the last rateWindow.
type history struct {
	snapshots []Snapshot // oldest first
}

func (h *history) add(s Snapshot) {
	if len(h.snapshots) == 0 { // everything began at zero, when nobody looked.
		h.snapshots = append(h.snapshots, Snapshot{})
	}
	h.snapshots = append(h.snapshots, s)
	old := 0
	for old+1 < len(h.snapshots) && s.Elapsed-h.snapshots[old+1].Elapsed >= rateWindow {
		old++
	}
	h.snapshots = append(h.snapshots[:0], h.snapshots[old:]...)
}

func (h *history) latest() Snapshot {
	if len(h.snapshots) == 0 {
		return Snapshot{}
	}
	return h.snapshots[len(h.snapshots)-1]
}

// rate is the growth a second of a figure over the window.
func (h *history) rate(figure func(Snapshot) int64) float64 {
	if len(h.snapshots) < 2 {
		return 0
	}
	first, last := h.snapshots[0], h.latest()
	span := (last.Elapsed - first.Elapsed).Seconds()
	if span <= 0 {
		return 0
	}
	return float64(figure(last)-figure(first)) / span
}

func (h *history) produced() float64 {
	return h.rate(func(s Snapshot) int64 { return int64(s.Produced) })
}

func (h *history) delivered(sink int) float64 {
	return h.rate(func(s Snapshot) int64 {
		if sink >= len(s.Sinks) {
			return 0
		}
		return s.Sinks[sink].Delivered
	})
}
