package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"sessionexport/consumer"
	"sessionexport/settings"
)

// recommitEvery is how often a disabled sink's offsets are committed again:
// Kafka forgets an empty group after 7 days.
const recommitEvery = 24 * time.Hour

// drainMost bounds how long a sink that is stopped while the process goes on
// finishes what would have to be sent again.
const drainMost = 30 * time.Second

// ManagerOptions make a Manager. All but Observe must be set.
type ManagerOptions struct {
	File    *settings.File
	Kafka   *consumer.Kafka
	Letters Letters
	Version string
	Logger  *slog.Logger
	Observe func(env, sink string, e Event) // after it was logged
}

// Manager runs one pipeline for each enabled export, each with a consumer group
// of its own, so that the trouble of one never slows another. Prepare and Apply
// change what runs while it runs.
type Manager struct {
	o     ManagerOptions
	kafka settings.Kafka // groups and static ids are the same for the whole life

	mu       sync.Mutex
	slots    map[string]*slot // by sink
	running  bool
	ending   bool
	base     context.Context //nolint:containedctx // of everything that runs
	draining context.Context //nolint:containedctx // of graceful ends while the process goes on
	cutting  context.Context //nolint:containedctx // its end cuts the attempts of sinks that are being stopped
	changing sync.WaitGroup  // changes under way
}

// NewManager builds everything that can fail before anything runs.
func NewManager(o ManagerOptions) (*Manager, error) {
	m := &Manager{o: o, kafka: o.File.Kafka, slots: map[string]*slot{}}
	first, err := m.Prepare(o.File)
	if err != nil {
		return nil, err
	}
	first.Apply()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.slots {
		if s.want != nil {
			s.runLocked(s.want)
		}
	}
	return m, nil
}

// Run works until ctx is done, then ends gracefully within grace: reading
// stops, attempts in flight end, what is finished is committed, the groups are
// left. When hard is done, it ends at once.
func (m *Manager) Run(ctx, hard context.Context, grace func() time.Duration) error {
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	draining, endDrains := context.WithCancel(base)
	defer endDrains()
	cutting, cut := context.WithCancel(base)
	defer cut()
	m.begin(base, draining, cutting)
	var keeping sync.WaitGroup
	keeping.Go(func() { m.keepOffsets(draining) })

	<-ctx.Done()
	m.mu.Lock()
	m.ending = true
	m.mu.Unlock()
	stopping, cancel := context.WithTimeout(hard, grace())
	defer cancel()
	defer context.AfterFunc(stopping, cut)()
	defer context.AfterFunc(hard, end)()
	endDrains()
	errs := m.stopAll(stopping)
	m.changing.Wait() // nothing of it begins any more
	keeping.Wait()
	m.closeUnused()
	return errors.Join(errs...)
}

// begin starts what NewManager built.
func (m *Manager) begin(base, draining, cutting context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.base, m.draining, m.cutting, m.running = base, draining, cutting, true
	for _, s := range m.slots {
		if s.run != nil {
			s.run.start(base)
		}
		m.reconcileLocked(s)
	}
}

// stopAll stops every sink that runs and returns why some had stopped before.
func (m *Manager) stopAll(stopping context.Context) []error {
	m.mu.Lock()
	var works []*work
	for _, s := range m.slots {
		if s.run != nil {
			works = append(works, s.run)
			s.run, s.has, s.last = nil, nil, s.run
		}
	}
	m.mu.Unlock()
	var ends sync.WaitGroup
	for _, w := range works {
		ends.Go(func() { w.stop(stopping) })
	}
	ends.Wait()
	var errs []error
	for _, w := range works {
		if err := w.ended(); err != nil {
			errs = append(errs, fmt.Errorf("reading for sink %s: %w", w.sink, err))
		}
	}
	return errs
}

// closeUnused gives back what was built for settings that never came into force.
func (m *Manager) closeUnused() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.slots {
		if s.want != nil {
			s.want.discard()
		}
	}
}

// keepOffsets commits the offsets of disabled sinks again, so that enabling
// one resumes where it stopped.
func (m *Manager) keepOffsets(ctx context.Context) {
	ticker := time.NewTicker(recommitEvery)
	defer ticker.Stop()
	for {
		m.mu.Lock()
		slots := make([]*slot, 0, len(m.slots))
		for _, s := range m.slots {
			slots = append(slots, s)
		}
		m.mu.Unlock()
		for _, s := range slots {
			s.keepOffsets(ctx)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// SinkStatus is a snapshot of all that belongs to one sink.
type SinkStatus struct {
	Status
	Name   string
	Group  string
	Member consumer.Status
	Tokens TokenStatus
	Fatal  string // why the sink stopped for good, empty while it works
}

// TokenStatus are the figures of a sink's token fetches.
type TokenStatus struct {
	Active                     bool
	Fetches, Failures, Dropped uint64
	LastError                  string
	Expiry                     time.Time
}

// Lag is how many records of the sink's topic are not committed, and whether
// that is known.
func (s *SinkStatus) Lag() (records int64, known bool) {
	for _, p := range s.Member.Partitions {
		if p.HighWatermark >= 0 {
			records += p.Lag
			known = true
		}
	}
	return records, known
}

// Sinks is how many sinks run, or shall.
func (m *Manager) Sinks() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, s := range m.slots {
		if s.want != nil {
			n++
		}
	}
	return n
}

// Status returns a snapshot of every sink that runs, sorted by id.
func (m *Manager) Status() []SinkStatus {
	m.mu.Lock()
	works := make([]*work, 0, len(m.slots))
	for _, s := range m.slots {
		switch {
		case s.run != nil:
			works = append(works, s.run)
		case m.ending && s.last != nil:
			works = append(works, s.last)
		}
	}
	m.mu.Unlock()
	all := make([]SinkStatus, 0, len(works))
	for _, w := range works {
		all = append(all, w.status())
	}
	slices.SortFunc(all, func(a, b SinkStatus) int { return strings.Compare(a.Sink, b.Sink) })
	return all
}
