package consumer

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// StartKind is where a group begins that has no offsets at all.
type StartKind uint8

// The places to begin.
const (
	Latest   StartKind = iota // what comes from now on
	Earliest                  // all there is
	At                        // what is as young as Start.Time
)

// Start is where a group begins that has no offsets at all. It is resolved
// once and committed for all partitions before anything is read.
type Start struct {
	Time time.Time
	Kind StartKind
}

// Options make a Member. Kafka, Topic and Group must be set.
type Options struct {
	Kafka      *Kafka
	Topic      string
	Group      string
	InstanceID string // makes the membership static: a restart within the session timeout moves no partition
	Logger     *slog.Logger
	// Revoke is called when partitions are about to move to another member.
	// None of their records is handed out any more. It returns when nothing of
	// them is on its way and what is finished has been marked, or when ctx is
	// done (RevokeTimeout); then they are committed and let go. Other partitions
	// go on all the while.
	Revoke func(ctx context.Context, claims []Claim)
	// Lost is called when partitions are owned no longer: nothing of them can
	// be marked. It must not block.
	Lost func(claims []Claim)
	// Notice is called with what an operator must be told, from any goroutine.
	// It must not block.
	Notice func(Notice)

	Start Start

	SessionTimeout   time.Duration // without a heartbeat for so long, partitions go to others; default 10 s, 60 s when static
	Heartbeat        time.Duration // default 3 s
	RebalanceTimeout time.Duration // how long the others wait for a member to join again; default 60 s
	RevokeTimeout    time.Duration // default 30 s
	CommitInterval   time.Duration // 200 ms to 5 s; default 1 s
	LeaveTimeout     time.Duration // for the last commit and leaving; default 5 s
	MaxWait          time.Duration // how long a broker may wait for records; default 500 ms
	AnswerTimeout    time.Duration // for an answer, beyond what the broker may wait; default 3 s
	RetryInterval    time.Duration // longest pause between tries; default 2 s
	CorruptRetry     time.Duration // pause before a batch that cannot be read is fetched again; default 30 s
	WatermarkAge     time.Duration // a partition that is not fetched has its high watermark asked for so often; default 5 s
	MaxUncommitted   int64         // marked records while commits fail, after which hand-off stops; default 100,000
	CommitGrace      time.Duration // how long commits may fail before hand-off stops; default 5 min
}

func (o Options) withDefaults() Options {
	o.SessionTimeout = cmp.Or(o.SessionTimeout, 10*time.Second)
	if o.InstanceID != "" && o.SessionTimeout == 10*time.Second {
		o.SessionTimeout = time.Minute
	}
	o.Heartbeat = cmp.Or(o.Heartbeat, 3*time.Second)
	o.RebalanceTimeout = cmp.Or(o.RebalanceTimeout, time.Minute)
	o.RevokeTimeout = cmp.Or(o.RevokeTimeout, 30*time.Second)
	o.CommitInterval = min(max(cmp.Or(o.CommitInterval, time.Second), 200*time.Millisecond), 5*time.Second)
	o.LeaveTimeout = cmp.Or(o.LeaveTimeout, 5*time.Second)
	o.MaxWait = cmp.Or(o.MaxWait, 500*time.Millisecond)
	o.AnswerTimeout = cmp.Or(o.AnswerTimeout, 3*time.Second)
	o.RetryInterval = cmp.Or(o.RetryInterval, 2*time.Second)
	o.CorruptRetry = cmp.Or(o.CorruptRetry, 30*time.Second)
	o.WatermarkAge = cmp.Or(o.WatermarkAge, 5*time.Second)
	o.MaxUncommitted = cmp.Or(o.MaxUncommitted, 100_000)
	o.CommitGrace = cmp.Or(o.CommitGrace, 5*time.Minute)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Revoke == nil {
		o.Revoke = func(context.Context, []Claim) {}
	}
	if o.Lost == nil {
		o.Lost = func([]Claim) {}
	}
	if o.Notice == nil {
		o.Notice = func(Notice) {}
	}
	return o
}

// handOff is how many fetches may wait for the reader. Their bytes are bounded
// by the budget; this only bounds their number.
const handOff = 64

// identity is who a member is to the coordinator.
type identity struct {
	member     string // empty before the first join
	generation int32  // -1 before the first join
}

// Member is one member of a group, and what it reads.
//
//	            ┌────────────◀─ topic gone ─────────────┐
//	            ▼                                       │
//	connecting ──▶ joining ──▶ syncing ──▶ stable ──────┤
//	 (broker?       ▲ ▲          │          │  │        │
//	  topic?        │ └─ 27 ─────┘          │  └─ 27, new partitions ──▶ joining, all
//	  start?)       │                       │                            owned ones read on
//	                │                   revoking: the taken ones stop, are finished,
//	                ├──── done ─────────────┘      committed, let go; the others read on
//	                │
//	                └─ 22, 25: all are lost; new join (25: with a new id)
//	                   82: fenced, Run returns
//	                   14, 15, 16, no answer: the coordinator is looked for again,
//	                   same id, same generation, nothing stops
//
// Reading and committing go on beside it and depend only on what is owned.
type Member struct {
	o    Options
	log  *slog.Logger
	link *link

	fetches chan *Fetch
	share   *share
	count   counters
	wake    signal // what is owned or may be fetched has changed
	beat    signal // a heartbeat is due at once
	commits sync.Mutex

	mu             sync.Mutex
	owned          map[int32]*partition
	epochs         map[int32]uint32
	state          State
	trouble        error
	troubleAt      time.Time
	id             identity
	aliveAt        time.Time // of the last answer that proved the membership
	failingSince   time.Time // of commits
	throttled      time.Duration
	mutedUntil     time.Time // a broker that throttles is silent for so long
	rebalances     int64
	commitFailures int64
	grownAt        time.Time // when other partitions than were assigned were first seen
	assignedOf     int32     // partitions of the topic when they were assigned
	leading        bool
}

// NewMember prepares a member. It does no I/O.
func NewMember(o Options) *Member {
	o = o.withDefaults()
	return &Member{
		o: o, log: o.Logger.With("group", o.Group, "topic", o.Topic),
		fetches: make(chan *Fetch, handOff),
		owned:   make(map[int32]*partition), epochs: make(map[int32]uint32),
		state: StateIdle, id: identity{generation: -1},
	}
}

// Fetches returns what was read. Each must be released. The channel is never
// closed; after Run has returned nothing comes any more.
func (m *Member) Fetches() <-chan *Fetch { return m.fetches }

// Run joins the group, reads and commits until ctx is done, whatever Kafka
// does. Then it commits what is marked and leaves the group (a static member
// stays in it), which takes at most LeaveTimeout. What shall be committed must
// be marked before ctx is done. Run may be called once.
//
// It returns nil, or an *Error of kind ErrFenced.
func (m *Member) Run(ctx context.Context) error {
	m.link = m.o.Kafka.link(m.o.Topic)
	m.mu.Lock()
	m.share = m.o.Kafka.budget.join()
	m.mu.Unlock()
	defer m.share.leave()

	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context){m.readLoop, m.commitLoop, m.resolveLoop, m.watermarkLoop} {
		loops.Go(func() { loop(background) })
	}
	err := m.groupLoop(ctx)
	stop()
	if err == nil {
		m.leave(context.WithoutCancel(ctx))
	}
	m.link.close()
	loops.Wait()
	m.mu.Lock()
	for _, p := range m.owned {
		p.reading.stop()
	}
	clear(m.owned)
	m.mu.Unlock()
	if err != nil {
		m.setState(StateFenced)
		return err
	}
	m.setState(StateStopped)
	return nil
}

// leave commits for the last time and tells the coordinator, so that others
// take over at once.
func (m *Member) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, m.o.LeaveTimeout)
	defer cancel()
	m.mu.Lock()
	id := m.id
	m.mu.Unlock()
	if id.member == "" {
		return
	}
	m.commitLast(ctx, nil)
	if m.o.InstanceID != "" {
		return
	}
	req := &leaveRequest{clientID: m.o.Kafka.options.ClientID, group: m.o.Group, member: id.member}
	if _, err := roundTrip[*codeResponse](ctx, m.link, m.o.LeaveTimeout, req); err != nil {
		m.log.Warn("leaving the group failed; its partitions move when the session times out", "error", err)
	}
}

func (m *Member) setState(s State) {
	m.mu.Lock()
	changed := m.state != s
	m.state = s
	m.mu.Unlock()
	if changed {
		m.log.Debug("member changed state", "state", string(s))
	}
}

// setTrouble remembers why the member does not work; it says so once for each
// cause, not for each try.
func (m *Member) setTrouble(err error) {
	m.mu.Lock()
	before := m.trouble
	m.trouble, m.troubleAt = err, time.Now()
	m.mu.Unlock()
	switch {
	case err == nil && before != nil:
		m.log.Info("kafka works again", "after", before)
		m.notice(Notice{Kind: NoticeRecovered, Partition: -1, Err: before})
	case err != nil && (before == nil || kindOf(before) != kindOf(err)):
		m.log.Warn("kafka trouble; trying again", "error", err)
		m.notice(Notice{Kind: NoticeTrouble, Partition: -1, Err: err})
	}
}

func kindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ErrKafka
}

func (m *Member) notice(n Notice) { m.o.Notice(n) }

// throttle remembers how long a broker asked to wait and returns it.
func (m *Member) throttle(ms int32) time.Duration {
	d := time.Duration(max(ms, 0)) * time.Millisecond
	if d > 0 {
		m.mu.Lock()
		m.throttled += d
		m.mutedUntil = time.Now().Add(d)
		m.mu.Unlock()
	}
	return d
}

// patience extends the deadline of a request by as long as a throttling broker
// may be silent.
func (m *Member) patience(d time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return d + max(time.Until(m.mutedUntil), 0)
}

func sortClaims(claims []Claim) {
	slices.SortFunc(claims, func(a, b Claim) int { return cmp.Compare(a.Partition, b.Partition) })
}
