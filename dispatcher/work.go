package dispatcher

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"sessionexport/auth"
	"sessionexport/consumer"
)

// work is one running sink: its member, its pipeline, its endpoint. The member
// stays when other settings come into force.
type work struct {
	m        *Manager
	sink     string
	member   *consumer.Member
	pipeline *Pipeline
	teller   *teller
	log      *slog.Logger

	end       context.CancelFunc // of all of it
	endMember context.CancelFunc
	members   sync.WaitGroup
	pipelines sync.WaitGroup

	mu    sync.Mutex
	plan  *plan
	past  auth.Stats // of the endpoints before this one
	fatal error      // why the member ended for good
}

func (m *Manager) newWork(p *plan) *work {
	logger := m.o.Logger.With("environment", p.env.ID, "sink", p.export.ID)
	w := &work{m: m, sink: p.export.ID, plan: p, teller: &teller{log: logger}, log: logger, end: func() {}, endMember: func() {}}
	revoke, rebalance := patience(p.export.Custom.RequestTimeout)
	w.member = consumer.NewMember(consumer.Options{
		Kafka: m.o.Kafka, Topic: p.env.Topic, Group: p.group, InstanceID: instanceOf(m.kafka.InstanceID, p.export.ID),
		Logger: logger, Start: startOf(p.export.Custom.StartFrom),
		Revoke:        func(ctx context.Context, claims []consumer.Claim) { w.pipeline.Revoke(ctx, claims) },
		Lost:          func(claims []consumer.Claim) { w.pipeline.Lost(claims) },
		Notice:        w.teller.notice,
		RevokeTimeout: revoke, RebalanceTimeout: rebalance,
	})
	w.pipeline = NewPipeline(w.options(p))
	w.warn(p)
	return w
}

func (w *work) options(p *plan) Options {
	o := pipelineOptions(p.env, p.export, p.built)
	o.Letters, o.Source, o.Logger = w.m.o.Letters, w.member, w.log
	env, sink := p.env.ID, p.export.ID
	o.Observe = func(e Event) {
		w.teller.tell(e)
		if w.m.o.Observe != nil {
			w.m.o.Observe(env, sink, e)
		}
	}
	return o
}

// patience is how long a leaving partition waits for an attempt on the wire, and
// how long the group waits for a member that does so: longer, or the member
// would lose all its partitions over giving one back.
func patience(requestTimeout time.Duration) (revoke, rebalance time.Duration) {
	revoke = max(30*time.Second, requestTimeout)
	return revoke, revoke + 30*time.Second
}

func (w *work) warn(p *plan) {
	if Policy(p.export.Custom.OnFailure) == Discard {
		w.log.Warn("this sink loses sessions: onFailure=discard drops what could not be delivered")
	}
}

// start makes it work until stop.
func (w *work) start(base context.Context) {
	all, end := context.WithCancel(base)
	members, endMember := context.WithCancel(all)
	w.end, w.endMember = end, endMember
	w.pipelines.Go(func() { w.pipeline.Run(all) })
	w.members.Go(func() { w.read(members) })
	w.members.Go(func() { w.tellBehind(members) })
}

// read keeps the member going. What retrying cannot mend, a fenced static id,
// stops this sink alone.
func (w *work) read(ctx context.Context) {
	err := w.member.Run(ctx)
	if err == nil || ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	w.fatal = err
	w.mu.Unlock()
	w.log.Error("this sink stopped for good", "error", err)
}

// tellBehind says once how far behind the sink is that begins to read.
func (w *work) tellBehind(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if w.ended() != nil {
			return
		}
		s := w.member.Status()
		behind, known := int64(0), len(s.Partitions) > 0 && s.State == consumer.StateStable
		for _, p := range s.Partitions {
			known = known && p.HighWatermark >= 0 && p.Committed >= 0
			behind += p.Lag
		}
		if known {
			w.log.Info("reading begins where the group stopped", "partitions", len(s.Partitions), "records_behind", behind)
			return
		}
	}
}

// swap brings other settings into force between two batches. It reports false
// when the sink was stopped meanwhile.
func (w *work) swap(p *plan) bool {
	if !w.pipeline.Swap(w.options(p)) {
		p.built.Close()
		return false
	}
	w.mu.Lock()
	old := w.plan.built
	if old.tokens != nil {
		st := old.tokens.Stats()
		w.past.Fetches += st.Fetches
		w.past.Failures += st.Failures
		w.past.Dropped += st.Dropped
	}
	w.plan = p
	w.mu.Unlock()
	old.Close()
	w.warn(p)
	w.log.Info("other settings are in force, the group stays")
	return true
}

// stop ends it gracefully: no attempt starts any more, those on the wire end or
// are cut when ctx is done, what is finished is committed, the group is left.
// Several may call it.
func (w *work) stop(ctx context.Context) {
	w.pipeline.Stop(ctx)
	w.endMember()
	w.members.Wait()
	w.end()
	w.pipelines.Wait()
	w.endpoint().Close()
}

func (w *work) endpoint() *Outgoing {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.plan.built
}

func (w *work) ended() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fatal
}

func (w *work) status() SinkStatus {
	s := SinkStatus{Status: w.pipeline.Status(), Member: w.member.Status()}
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Name, s.Group = w.plan.export.Name, w.plan.group
	if t := w.plan.built.tokens; t != nil {
		st := t.Stats()
		s.Tokens = TokenStatus{
			Active: true, Fetches: w.past.Fetches + st.Fetches, Failures: w.past.Failures + st.Failures,
			Dropped: w.past.Dropped + st.Dropped, Expiry: st.Expiry, LastError: textOf(st.LastError),
		}
	}
	s.Fatal = textOf(w.fatal)
	return s
}
