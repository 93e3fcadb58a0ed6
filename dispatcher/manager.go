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
	"sessionexport/egress"
	"sessionexport/settings"
)

// recommitEvery is how often a disabled sink's offsets are committed again:
// Kafka forgets an empty group after 7 days.
const recommitEvery = 24 * time.Hour

// ManagerOptions make a Manager. All but Observe and Seed must be set.
type ManagerOptions struct {
	File    *settings.File
	Kafka   *consumer.Kafka
	Letters Letters
	Version string
	Logger  *slog.Logger
	Observe func(env, sink string, e Event) // after it was logged
}

// Manager runs one pipeline for each enabled export, each with a consumer group
// of its own, so that the trouble of one never slows another.
type Manager struct {
	o     ManagerOptions
	works []*work
	idle  []disabled
}

// work is one running sink: its member, its pipeline, its endpoint.
type work struct {
	env      *settings.Environment
	export   *settings.Export
	group    string
	member   *consumer.Member
	pipeline *Pipeline
	endpoint *Outgoing
	teller   *teller
	fatal    error // why the member ended for good
	mu       sync.Mutex
}

type disabled struct{ topic, group, sink string }

// NewManager builds everything that can fail before anything runs.
func NewManager(o ManagerOptions) (*Manager, error) {
	m := &Manager{o: o}
	rules := egress.Rules{Allow: o.File.Egress.Allow, Deny: o.File.Egress.Deny}
	for i := range o.File.Environments {
		env := &o.File.Environments[i]
		for k := range env.Exports {
			e := &env.Exports[k]
			group := o.File.Kafka.Group(e.ID)
			if !e.Enabled() {
				m.idle = append(m.idle, disabled{topic: env.Topic, group: group, sink: e.ID})
				continue
			}
			logger := o.Logger.With("environment", env.ID, "sink", e.ID)
			built, err := NewOutgoing(OutgoingOptions{Export: e, Rules: rules, Version: o.Version, Logger: logger})
			if err != nil {
				m.closeEndpoints()
				return nil, err
			}
			if Policy(e.Custom.OnFailure) == Discard {
				logger.Warn("this sink loses sessions: onFailure=discard drops what could not be delivered")
			}
			m.works = append(m.works, m.newWork(env, e, group, built, logger))
		}
	}
	return m, nil
}

func (m *Manager) newWork(env *settings.Environment, e *settings.Export, group string, built *Outgoing, logger *slog.Logger) *work {
	w := &work{env: env, export: e, group: group, endpoint: built, teller: &teller{log: logger}}
	revoke, rebalance := patience(e.Custom.RequestTimeout)
	w.member = consumer.NewMember(consumer.Options{
		Kafka: m.o.Kafka, Topic: env.Topic, Group: group, InstanceID: instanceOf(m.o.File.Kafka.InstanceID, e.ID),
		Logger: logger, Start: startOf(e.Custom.StartFrom),
		Revoke:        func(ctx context.Context, claims []consumer.Claim) { w.pipeline.Revoke(ctx, claims) },
		Lost:          func(claims []consumer.Claim) { w.pipeline.Lost(claims) },
		Notice:        w.teller.notice,
		RevokeTimeout: revoke, RebalanceTimeout: rebalance,
	})
	o := pipelineOptions(env, e, built)
	o.Letters, o.Source, o.Logger = m.o.Letters, w.member, logger
	o.Observe = func(ev Event) {
		w.teller.tell(ev)
		if m.o.Observe != nil {
			m.o.Observe(env.ID, e.ID, ev)
		}
	}
	w.pipeline = NewPipeline(o)
	return w
}

// patience is how long a leaving partition waits for an attempt on the wire, and
// how long the group waits for a member that does so: longer, or the member
// would lose all its partitions over giving one back.
func patience(requestTimeout time.Duration) (revoke, rebalance time.Duration) {
	revoke = max(30*time.Second, requestTimeout)
	return revoke, revoke + 30*time.Second
}

// Run works until ctx is done, then ends gracefully within grace: reading
// stops, attempts in flight end, what is finished is committed, the groups are
// left. When hard is done, it ends at once.
func (m *Manager) Run(ctx, hard context.Context, grace time.Duration) error {
	defer m.closeEndpoints()
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	members, endMembers := context.WithCancel(base)
	pipelines, endPipelines := context.WithCancel(base)
	defer endPipelines()
	defer endMembers()
	var working, reading sync.WaitGroup
	for _, w := range m.works {
		working.Go(func() { w.pipeline.Run(pipelines) })
		reading.Go(func() { w.run(members) })
	}
	working.Go(func() { m.keepOffsets(pipelines) })

	<-ctx.Done()
	stopping, cancel := context.WithTimeout(hard, grace)
	defer cancel()
	var draining sync.WaitGroup
	for _, w := range m.works {
		draining.Go(func() { w.pipeline.Stop(stopping) })
	}
	draining.Wait()
	if hard.Err() != nil {
		end()
	}
	endMembers()
	reading.Wait()
	endPipelines()
	working.Wait()
	var errs []error
	for _, w := range m.works {
		if err := w.ended(); err != nil {
			errs = append(errs, fmt.Errorf("reading for sink %s: %w", w.export.ID, err))
		}
	}
	return errors.Join(errs...)
}

// run keeps one sink's member going. What retrying cannot mend, a fenced
// static id, stops this sink alone.
func (w *work) run(ctx context.Context) {
	err := w.member.Run(ctx)
	if err == nil || ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	w.fatal = err
	w.mu.Unlock()
	w.teller.log.Error("this sink stopped for good", "error", err)
}

func (w *work) ended() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fatal
}

// keepOffsets commits the offsets of disabled sinks again, so that enabling
// one resumes where it stopped.
func (m *Manager) keepOffsets(ctx context.Context) {
	if len(m.idle) == 0 {
		return
	}
	ticker := time.NewTicker(recommitEvery)
	defer ticker.Stop()
	for {
		for _, d := range m.idle {
			recommit, cancel := context.WithTimeout(ctx, time.Minute)
			if err := consumer.Recommit(recommit, m.o.Kafka, d.group, d.topic); err != nil && ctx.Err() == nil {
				m.o.Logger.Warn("keeping the offsets of a disabled sink failed, tried again in a day", "sink", d.sink, "group", d.group, "error", err)
			}
			cancel()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (m *Manager) closeEndpoints() {
	for _, w := range m.works {
		w.endpoint.Close()
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

// Sinks is how many sinks run.
func (m *Manager) Sinks() int { return len(m.works) }

// Status returns a snapshot of every sink, sorted by id.
func (m *Manager) Status() []SinkStatus {
	all := make([]SinkStatus, 0, len(m.works))
	for _, w := range m.works {
		s := SinkStatus{Status: w.pipeline.Status(), Name: w.export.Name, Group: w.group, Member: w.member.Status()}
		if t := w.endpoint.tokens; t != nil {
			st := t.Stats()
			s.Tokens = TokenStatus{Active: true, Fetches: st.Fetches, Failures: st.Failures, Dropped: st.Dropped, Expiry: st.Expiry}
			s.Tokens.LastError = textOf(st.LastError)
		}
		s.Fatal = textOf(w.ended())
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b SinkStatus) int { return strings.Compare(a.Sink, b.Sink) })
	return all
}
