// Package dispatcher moves sessions: one pipeline per sink, its retries, holds
// and give-ups, and the manager that runs the pipelines that the settings ask
// for.
package dispatcher

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"sessionexport/batcher"
	"sessionexport/consumer"
	"sessionexport/deadletter"
	"sessionexport/session"
	"sessionexport/sinks"
)

// Source is where a pipeline's records come from; a consumer.Member is one.
type Source interface {
	Fetches() <-chan *consumer.Fetch
	Mark(c consumer.Claim, next int64)
}

// Endpoint makes exactly one attempt; a sinks.Sink is one.
type Endpoint interface {
	Attempt(ctx context.Context, b sinks.Body) sinks.Verdict
}

// Letters stores dead letters; on nil all of them are durable. A
// deadletter.Topic is one.
type Letters interface {
	Write(ctx context.Context, letters []deadletter.Letter) error
}

// Options make a Pipeline. Environment, Sink, Topic, Format, Endpoint, Letters
// and Source must be set; zero limits are the defaults of the reference.
type Options struct {
	Environment string
	Sink        string // its id
	Topic       string
	Format      *sinks.Format
	Endpoint    Endpoint
	DropToken   func() // forgets a token that was refused; nil without tokens
	Letters     Letters
	Source      Source
	Zone        session.Applications // nil: every session is in scope
	Policy      Policy               // "" is Hold
	Limits      batcher.Limits

	MaxInFlight    int // batches on their way, default 4
	MaxRetries     int // after the first attempt
	InitialBackoff time.Duration
	MaxBackoff     time.Duration

	Observe func(Event) // told of everything noteworthy, from the pipeline's goroutine; must not block
	Logger  *slog.Logger
	Seed    uint64 // of the jitter; 0: random
}

// The defaults of the retries; reference: three more times.
const (
	DefaultMaxInFlight    = 4
	DefaultMaxRetries     = 3
	DefaultInitialBackoff = 2 * time.Second
	DefaultMaxBackoff     = 30 * time.Second
)

// letterTimeout bounds one write of dead letters.
const letterTimeout = time.Minute

// recordsAtOnce is how many records are taken before other events get a turn.
const recordsAtOnce = 64

// Pipeline moves one sink's sessions from its source to its endpoint. One
// goroutine owns the machine that decides; attempts and writes of dead letters
// run beside it and come back as events.
type Pipeline struct {
	o       Options
	m       *machine
	results chan result
	wrote   chan error
	calls   chan func()
	started chan struct{} // Run was called
	start   sync.Mutex    // guards the machine until then
	done    chan struct{} // Run returned
	leaves  []leave
	idle    chan struct{}   // closed when stopped and idle
	drained chan struct{}   // closed when nothing more is worth waiting for
	swap    *swap           // waits until nothing is on the wire
	wire    context.Context //nolint:containedctx // of all attempts; ends them when the grace is over
	cut     context.CancelFunc
	fetch   *consumer.Fetch // being read
	last    Status          // once Run has returned
}

type result struct {
	a *attempt
	v sinks.Verdict
}

// leave is partitions on their way out, and whom to tell when they are gone.
type leave struct {
	claims []consumer.Claim
	gone   chan struct{}
}

func (o Options) withDefaults() Options {
	if o.Policy == "" {
		o.Policy = Hold
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = DefaultMaxInFlight
	}
	if o.InitialBackoff <= 0 {
		o.InitialBackoff = DefaultInitialBackoff
	}
	if o.MaxBackoff <= 0 {
		o.MaxBackoff = DefaultMaxBackoff
	}
	if o.Limits.Bytes <= 0 {
		o.Limits.Bytes = batcher.DefaultBytes
	}
	if o.Observe == nil {
		o.Observe = func(Event) {}
	}
	if o.DropToken == nil {
		o.DropToken = func() {}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func (o *Options) rules() rules {
	return rules{
		environment: o.Environment, sink: o.Sink, topic: o.Topic, policy: o.Policy, limits: o.Limits,
		maxInFlight: o.MaxInFlight, maxRetries: o.MaxRetries,
		initialBackoff: o.InitialBackoff, maxBackoff: o.MaxBackoff, zone: o.Zone,
	}
}

// results is as long as an attempt never waits for the loop to end.
func (o *Options) results() chan result { return make(chan result, o.MaxInFlight+1) }

// NewPipeline returns a pipeline that does nothing before Run.
func NewPipeline(o Options) *Pipeline {
	o = o.withDefaults()
	seed := o.Seed
	if seed == 0 {
		seed = rand.Uint64() //nolint:gosec // jitter
	}
	p := &Pipeline{
		o:       o,
		results: o.results(),
		wrote:   make(chan error, 1),
		calls:   make(chan func()),
		started: make(chan struct{}),
		done:    make(chan struct{}),
		idle:    make(chan struct{}),
		drained: make(chan struct{}),
	}
	p.m = newMachine(o.rules(), o.Format, (*outside)(p), rand.New(rand.NewPCG(seed, 0))) //nolint:gosec // jitter
	return p
}

// Run works until ctx is done. A graceful end calls Stop first.
func (p *Pipeline) Run(ctx context.Context) {
	defer close(p.done)
	p.start.Lock()
	close(p.started)
	p.start.Unlock()
	p.wire, p.cut = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		p.cut()
		for p.m.wires > 0 { // attempts end at once when their context does
			r := <-p.results
			p.m.wires--
			r.a.d.wire = nil
		}
		if len(p.m.letters.writing) > 0 {
			if err := <-p.wrote; err != nil { // nothing is marked any more, so nothing is lost
				p.o.Logger.Debug("the last dead letters were not written, their sessions are read again", "error", err)
			}
		}
		if p.fetch != nil {
			p.fetch.Release()
			p.fetch = nil
		}
		for _, l := range p.leaves {
			close(l.gone)
		}
		p.last = p.status(time.Now())
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		p.checkSwap()
		p.checkLeaves()
		reading := p.fetch != nil && p.m.wantsRecords()
		if reading {
			p.read()
			select {
			case r := <-p.results:
				p.m.verdict(time.Now(), r.a, r.v)
			case err := <-p.wrote:
				p.m.written(time.Now(), err)
			case call := <-p.calls:
				call()
			case <-ctx.Done():
				return
			default:
			}
			continue
		}
		var fetches <-chan *consumer.Fetch
		if p.fetch == nil && p.m.wantsRecords() {
			fetches = p.o.Source.Fetches()
		}
		now := time.Now()
		if at := p.m.wake(now); at.IsZero() {
			timer.Reset(time.Hour)
		} else {
			timer.Reset(at.Sub(now))
		}
		select {
		case f := <-fetches:
			p.fetch = f
		case r := <-p.results:
			p.m.verdict(time.Now(), r.a, r.v)
		case err := <-p.wrote:
			p.m.written(time.Now(), err)
		case call := <-p.calls:
			call()
		case <-timer.C:
			p.m.tick(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// read takes some records of the fetch.
func (p *Pipeline) read() {
	f, c := p.fetch, p.fetch.Claim()
	if !p.m.open(c) { // it left meanwhile
		f.Release()
		p.fetch = nil
		return
	}
	now := time.Now()
	var r consumer.Record
	ended := false
	for n := 0; n < recordsAtOnce && p.m.wantsRecords(); n++ {
		if !f.Next(&r) {
			ended = true
			break
		}
		p.m.record(now, c, &r)
	}
	p.m.read(c, f.Position())
	if ended {
		f.Release()
		p.fetch = nil
	}
	p.m.tick(now)
}

// checkLeaves tells those who wait that their partitions are gone, and Stop
// that nothing is on its way.
func (p *Pipeline) checkLeaves() {
	left := p.leaves[:0]
	for _, l := range p.leaves {
		if p.m.left(l.claims) {
			close(l.gone)
		} else {
			left = append(left, l)
		}
	}
	p.leaves = left
	if p.m.stopping && p.m.idle() {
		closeOnce(p.idle)
	}
	if p.m.draining && p.m.drained() {
		closeOnce(p.drained)
	}
}

// closeOnce closes a channel that only the pipeline's goroutine closes.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// call runs f in the pipeline's goroutine; false when Run has returned.
func (p *Pipeline) call(f func()) bool {
	p.start.Lock()
	select {
	case <-p.started:
		p.start.Unlock()
	default: // nothing runs yet
		defer p.start.Unlock()
		f()
		return true
	}
	ran := make(chan struct{})
	select {
	case p.calls <- func() { f(); close(ran) }:
		<-ran
		return true
	case <-p.done:
		return false
	}
}

// Revoke gives partitions back: it returns when nothing of them is on the wire
// and what is finished is marked, or when ctx is done; then they are lost.
func (p *Pipeline) Revoke(ctx context.Context, claims []consumer.Claim) {
	gone := make(chan struct{})
	ok := p.call(func() {
		p.m.leave(time.Now(), claims)
		p.leaves = append(p.leaves, leave{claims: claims, gone: gone})
	})
	if !ok {
		return
	}
	select {
	case <-gone:
	case <-p.done:
	case <-ctx.Done():
		p.Lost(claims)
	}
}

// Lost forgets partitions that belong to somebody else already.
func (p *Pipeline) Lost(claims []consumer.Claim) {
	p.call(func() {
		p.m.lose(time.Now(), claims)
		p.leaves = append(p.leaves, leave{claims: claims, gone: make(chan struct{})})
	})
}

// Stop ends the work gracefully: no record is read and no attempt starts any
// more. It returns when what was on the wire has ended and is marked; attempts
// that have not ended when ctx is done are interrupted. Run goes on answering
// until its own context ends.
func (p *Pipeline) Stop(ctx context.Context) {
	if !p.call(p.m.stop) {
		return
	}
	select {
	case <-p.idle:
		return
	case <-p.done:
		return
	case <-ctx.Done():
	}
	p.call(func() {
		if p.cut != nil {
			p.cut()
		}
	})
	select {
	case <-p.idle:
	case <-p.done:
	}
}

// outside is the machine's way to act on the world.
type outside Pipeline

func (o *outside) send(a *attempt) {
	endpoint, wire, results := o.o.Endpoint, o.wire, o.results
	go func() { results <- result{a: a, v: endpoint.Attempt(wire, a.body)} }()
}

func (o *outside) write(ls []deadletter.Letter) {
	letters, wire, wrote := o.o.Letters, o.wire, o.wrote
	go func() {
		ctx, cancel := context.WithTimeout(wire, letterTimeout)
		defer cancel()
		wrote <- letters.Write(ctx, ls)
	}()
}

func (o *outside) mark(partition int32, epoch uint32, next int64) {
	o.o.Source.Mark(consumer.Claim{Partition: partition, Epoch: epoch}, next)
}

func (o *outside) dropToken() { o.o.DropToken() }

func (o *outside) tell(e Event) { o.o.Observe(e) }
