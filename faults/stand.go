package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sessionexport/demo"
)

// standOptions say what a scenario is played on.
type standOptions struct {
	seed    uint64
	binary  string
	rate    float64           // sessions a second; 0: as fast as they are taken
	nodes   int               // of the broker; default 1
	custom  map[string]string // keys of customConfiguration, for all sinks
	failing string            // onFailure of all sinks; default hold
	life    time.Duration     // of tokens; default 5 minutes
	late    bool              // positions may go back: a commit that the broker left unanswered may come after its successor
	trim    bool              // what all sinks have committed is deleted, so that hours fit on a disk
}

// stand is what one scenario is played on: a broker, a receiver for each
// format behind doors, a load, and processes of the program.
type stand struct {
	standOptions
	rnd       *rand.Rand
	dir       string
	generator *demo.Generator
	broker    *broker
	receiver  *demo.Receiver
	door      *door // to the endpoints
	tokens    *door // to the token server
	sinks     []*sink
	byPath    map[string]*sink
	letters   *letters
	load      *load
	instances []*instance
	names     int // of instances
	misbehave atomic.Pointer[func(demo.Arrival) demo.Misbehaviour]
	received  atomic.Pointer[func(demo.Receipt)]
	watched   sync.WaitGroup
	unwatch   context.CancelFunc
	closers   []func()
}

// sink is one of the stand's sinks and what is known of it.
type sink struct {
	demo.Sink
	group string

	mu       sync.Mutex
	receipts int             // requests that are done with
	bound    int             // of its duplicates, so far
	peak     int             // the most that was delivered and not committed in the present fault
	seen     map[int32]int64 // committed, by partition
	back     []error         // positions that went back
	arrived  []time.Time     // when sessions were accepted since the last fault
}

// since is how long after t sessions were first accepted.
func (k *sink) since(t time.Time) (time.Duration, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, at := range k.arrived {
		if at.After(t) {
			return at.Sub(t), true
		}
	}
	return 0, false
}

// newStand starts everything but the program.
func newStand(o standOptions) (s *stand, err error) {
	o.nodes = max(o.nodes, 1)
	s = &stand{standOptions: o, rnd: rand.New(rand.NewPCG(o.seed, 0)), generator: demo.NewGenerator(o.seed), byPath: map[string]*sink{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "session-export-faults-"); err != nil {
		return s, fmt.Errorf("making a folder: %w", err)
	}
	s.onClose(func() { _ = os.RemoveAll(s.dir) })
	if s.broker, err = startBroker(o.nodes, filepath.Join(s.dir, "broker")); err != nil {
		return s, err
	}
	s.onClose(s.broker.stop)
	described := demo.Sinks()
	endpoints := make([]demo.Endpoint, len(described))
	for i, d := range described {
		endpoints[i] = d.Endpoint
	}
	s.receiver, err = demo.StartReceiver(demo.ReceiverOptions{
		Endpoints: endpoints, Generator: s.generator, Verify: true, TokenLife: o.life,
		Misbehave: s.answer, Received: s.note,
	})
	if err != nil {
		return s, fmt.Errorf("starting the receiver: %w", err)
	}
	s.onClose(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.receiver.Close(ctx)
	})
	at := strings.TrimPrefix(s.receiver.URL(), "https://")
	for _, d := range []**door{&s.door, &s.tokens} {
		one, err := newDoor(at)
		if err != nil {
			return s, err
		}
		s.onClose(one.close)
		*d = one
	}
	for _, d := range described {
		one := &sink{Sink: d, group: "session-export." + d.ID, seen: map[int32]int64{}}
		s.sinks = append(s.sinks, one)
		s.byPath[d.Endpoint.Path] = one
	}
	if s.letters, err = readLetters(s.broker, s.generator); err != nil {
		return s, err
	}
	s.onClose(s.letters.close)
	watching, unwatch := context.WithCancel(context.Background())
	s.unwatch = unwatch
	s.watched.Go(func() { s.watch(watching) })
	s.onClose(func() { unwatch(); s.watched.Wait() })
	return s, s.write()
}

func (s *stand) onClose(f func()) { s.closers = append(s.closers, f) }

// loaded is a stand with one instance that works, under load.
func (c *campaign) loaded(ctx context.Context, o standOptions) (s *stand, p *instance, err error) {
	if s, err = c.stand(o); err != nil {
		return nil, nil, err
	}
	if p, err = s.launch("", instanceOptions{}); err == nil {
		err = s.ready(ctx, p)
	}
	if err != nil {
		s.close()
		return nil, nil, err
	}
	s.startLoad()
	return s, p, nil
}

// close ends everything, last in, first out.
func (s *stand) close() {
	for _, p := range s.instances {
		p.kill()
	}
	if s.load != nil {
		s.load.cancel()
		<-s.load.ended
	}
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
	s.closers = nil
}

// answer is what the receiver does with a body.
func (s *stand) answer(a demo.Arrival) demo.Misbehaviour {
	if f := s.misbehave.Load(); f != nil {
		return (*f)(a)
	}
	return demo.Misbehaviour{}
}

// trouble decides from now on what becomes of bodies; nil: all are taken.
func (s *stand) trouble(f func(demo.Arrival) demo.Misbehaviour) {
	if f == nil {
		s.misbehave.Store(nil)
		return
	}
	s.misbehave.Store(&f)
}

// note is told of every request.
func (s *stand) note(r demo.Receipt) {
	one := s.byPath[r.Path]
	one.mu.Lock()
	one.receipts++
	if r.Sessions > 0 {
		one.arrived = append(one.arrived, time.Now())
		if r.Status == 0 { // taken, and nobody was told
			one.bound += r.Sessions
		}
	}
	one.mu.Unlock()
	if f := s.received.Load(); f != nil {
		(*f)(r)
	}
}

// launch starts a process of the program. An instance with a name is a static
// member of its groups: it gets its partitions back at once.
func (s *stand) launch(name string, more instanceOptions) (*instance, error) {
	more.binary, more.config = s.binary, filepath.Join(s.dir, "config.yaml")
	if name != "" {
		more.env = append(more.env, "SESSION_EXPORT_KAFKA_INSTANCE_ID="+name)
	} else {
		s.names++
		name = fmt.Sprintf("instance-%d", s.names)
	}
	more.log = filepath.Join(s.dir, name+".log")
	p, err := startInstance(more)
	if err != nil {
		return nil, err
	}
	s.instances = append(s.instances, p)
	return p, nil
}

// ready waits until every sink of an instance is a member of its group.
func (s *stand) ready(ctx context.Context, p *instance) error {
	return until(ctx, "an instance is ready", func() (bool, error) {
		if !p.running() {
			return false, fmt.Errorf("an instance ended with %d; it logged\n%s", p.code, p.tail())
		}
		_, err := p.get(ctx, "/readyz")
		return err == nil, nil
	})
}

// quiet waits until nobody is connected any more and the receiver is done with
// everything that came.
func (s *stand) quiet(ctx context.Context) error {
	return until(ctx, "the receiver is done with a dead instance's requests", func() (bool, error) {
		if s.door.passing() > 0 {
			return false, nil
		}
		for _, one := range s.sinks {
			one.mu.Lock()
			receipts := one.receipts
			one.mu.Unlock()
			if s.receiver.Tally(one.Endpoint.Path).Requests != receipts {
				return false, nil
			}
		}
		return true, nil
	})
}

// delivered is how many different sessions have arrived, at all sinks.
func (s *stand) delivered() int {
	n := 0
	for _, one := range s.sinks {
		n += s.receiver.Distinct(one.Endpoint.Path)
	}
	return n
}

// since is how long after t a session had arrived at every sink.
func (s *stand) since(t time.Time) (time.Duration, bool) {
	var longest time.Duration
	for _, one := range s.sinks {
		took, ok := one.since(t)
		if !ok {
			return 0, false
		}
		longest = max(longest, took)
	}
	return longest, true
}

// arrivals waits until a session has arrived at every sink after t, and
// returns how long it took.
func (s *stand) arrivals(ctx context.Context, t time.Time) (took time.Duration, err error) {
	err = until(ctx, "sessions arrive at every sink", func() (ok bool, err error) {
		took, ok = s.since(t)
		return ok, nil
	})
	return took, err
}

// settle waits until all that was produced is finished and committed, and
// counts.
func (s *stand) settle(ctx context.Context) (count, error) {
	if err := s.load.stop(); err != nil {
		return count{}, err
	}
	produced := s.load.produced()
	best, since := int64(-1), time.Now()
	for {
		var sum int64
		for _, one := range s.sinks {
			at, _ := s.broker.committed(one.group)
			for _, n := range at {
				sum += n
			}
		}
		if sum == int64(produced*len(s.sinks)) {
			break
		}
		if moved := sum + int64(s.delivered()); moved > best {
			best, since = moved, time.Now()
		} else if time.Since(since) > stall {
			return count{}, fmt.Errorf("nothing moved for %v: %d of %d positions are committed\n%s", stall, sum, produced*len(s.sinks), s.tails())
		}
		if err := pause(ctx, tick); err != nil {
			return count{}, err
		}
	}
	var errs []error
	for _, p := range s.instances {
		if p.running() {
			p.signal(syscall.SIGCONT)
			errs = append(errs, p.stop(time.Minute))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return count{}, err
	}
	return s.count(ctx, produced)
}

func (s *stand) count(ctx context.Context, produced int) (count, error) {
	if err := s.letters.sync(ctx); err != nil {
		return count{}, err
	}
	c := count{produced: produced}
	var errs []error
	for _, one := range s.sinks {
		t := s.receiver.Tally(one.Endpoint.Path)
		k := sinkCount{id: one.ID, delivered: t.Indexes.Len(), duplicates: t.Duplicates, foreign: t.Foreign}
		written := s.letters.of(one.ID)
		k.letters = written.Len()
		_, k.missing = union(produced, t.Indexes, written)
		at, _ := s.broker.committed(one.group)
		for _, n := range at {
			k.committed += n
		}
		one.mu.Lock()
		k.bound = one.bound
		if !s.late {
			errs = append(errs, one.back...)
		}
		one.mu.Unlock()
		c.sinks = append(c.sinks, k)
	}
	return c, errors.Join(errs...)
}

// wentBack tells of the positions that went back.
func (s *stand) wentBack() (notes []string) {
	for _, one := range s.sinks {
		one.mu.Lock()
		for _, err := range one.back {
			notes = append(notes, err.Error()+", and was overtaken")
		}
		one.mu.Unlock()
	}
	return notes
}

// tails are the ends of the logs of all processes that run.
func (s *stand) tails() string {
	var b strings.Builder
	for _, p := range s.instances {
		if p.running() {
			fmt.Fprintf(&b, "%s:\n%s\n", filepath.Base(p.log), p.tail())
		}
	}
	return b.String()
}
