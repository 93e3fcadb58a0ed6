package dispatcher

import (
	"context"
	"errors"
	"sync"
	"time"

	"sessionexport/consumer"
)

// slot is the place of one sink id. Whatever is asked for while a change is
// under way, the latest wish counts when it is over; no sink waits for another.
//
//	         want: other settings ─▶ swap between two batches, the member stays
//	       ┌───────────────────────────────────────────────┐
//	       ▼                                               │
//	idle ──▶ running ── want: nothing, another topic ──▶ draining ──▶ idle
//	  ▲  start                                                         │
//	  └───────────── offsets are kept, a start resumes ────────────────┘
type slot struct {
	m       *Manager
	id      string
	offsets sync.Mutex // held while offsets are kept: nobody starts to read meanwhile

	// Guarded by the manager's mu:
	want      *plan // nil: nothing shall run
	run       *work // nil: nothing does
	has       *plan // of run
	last      *work // that ran, once everything ends
	idle      bool  // disabled, not removed
	topic     string
	group     string
	busy      bool               // a change is under way
	leaveKept context.CancelFunc // ends the keeping of offsets
}

// reconcileLocked has run brought to want, unless that is under way.
func (m *Manager) reconcileLocked(s *slot) {
	if !m.running || m.ending || s.busy || s.settledLocked() {
		return
	}
	s.busy = true
	m.changing.Go(s.reconcile)
}

func (s *slot) settledLocked() bool {
	return s.has == s.want && (s.run == nil) == (s.want == nil)
}

// reconcile brings run to want, step by step.
func (s *slot) reconcile() {
	m := s.m
	for {
		m.mu.Lock()
		if m.ending || s.settledLocked() {
			s.busy = false
			if s.want == nil && s.run == nil && !s.idle && m.slots[s.id] == s {
				delete(m.slots, s.id)
			}
			m.mu.Unlock()
			return
		}
		want, run := s.want, s.run
		stays := run != nil && want != nil && s.has.anchor == want.anchor && run.ended() == nil
		if stays {
			want.taken = true // whatever is asked for meanwhile
		}
		m.mu.Unlock()
		switch {
		case run == nil:
			s.start(want)
		case stays && run.swap(want):
			m.mu.Lock()
			s.has = want
			m.mu.Unlock()
		default:
			s.end(run)
		}
	}
}

func (s *slot) start(p *plan) {
	s.offsets.Lock()
	defer s.offsets.Unlock()
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.m.ending || s.want != p {
		return
	}
	s.runLocked(p)
	s.run.start(s.m.base)
	s.run.log.Info("sink started")
}

// runLocked makes a plan's work; start makes it work.
func (s *slot) runLocked(p *plan) {
	p.taken = true
	s.run, s.has = s.m.newWork(p), p
}

func (s *slot) end(w *work) {
	w.log.Info("sink stops: what would have to be sent again is finished, offsets are kept")
	drain, cancel := context.WithTimeout(s.m.draining, drainMost)
	w.pipeline.Drain(drain)
	cancel()
	w.stop(s.m.cutting)
	s.m.mu.Lock()
	if s.run == w {
		s.run, s.has = nil, nil
	}
	s.m.mu.Unlock()
	w.log.Info("sink stopped")
}

// keepOffsets commits the offsets of a disabled sink again.
func (s *slot) keepOffsets(ctx context.Context) {
	s.offsets.Lock()
	defer s.offsets.Unlock()
	recommit, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s.m.mu.Lock()
	idle := s.idle && s.want == nil && s.run == nil
	group, topic := s.group, s.topic
	s.leaveKept = cancel
	s.m.mu.Unlock()
	if !idle {
		return
	}
	if err := consumer.Recommit(recommit, s.m.o.Kafka, group, topic); err != nil && ctx.Err() == nil && !errors.Is(recommit.Err(), context.Canceled) {
		s.m.o.Logger.Warn("keeping the offsets of a disabled sink failed, tried again in a day", "sink", s.id, "group", group, "error", err)
	}
}
