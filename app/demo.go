package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sessionexport/alerts"
	"sessionexport/deadletter"
	"sessionexport/demo"
	"sessionexport/dispatcher"
	"sessionexport/settings"
)

// DemoOptions say what the demo shows.
type DemoOptions struct {
	For      time.Duration // produce for this long; 0: until Sessions are made
	Sessions int           // produce this many; 0: until For is over
	Rate     float64       // sessions a second; 0: as fast as it goes
	Seed     uint64
	Story    *demo.Story // of faults; it replaces For and Sessions. nil: all is well
	Summary  string      // file for the summary as JSON; "-" is Stdout; "" none
	Stdout   io.Writer
	Stderr   io.Writer
}

const (
	demoTopic    = "sessions"
	demoBacklog  = 200_000          // sessions that may wait in the broker
	demoPatience = 60 * time.Second // without any progress after the last session
)

// ErrMissing is returned by Demo when a session is missing at a receiver.
var ErrMissing = errors.New("sessions are missing")

// Demo runs the whole way of a session in one process: an embedded broker, a
// generator, the real service on a real configuration, and one HTTPS receiver
// for each format; and counts at the end.
func Demo(ctx context.Context, o DemoOptions) error {
	soft, hard, stop := Signals(ctx)
	defer stop()
	d := &demoRun{o: o, generator: demo.NewGenerator(o.Seed), letters: map[string]*demo.Indexes{}}
	defer d.close()
	if err := d.prepare(); err != nil {
		return err
	}
	return d.run(soft, hard)
}

// demoRun is one demo; its parts close last in, first out.
type demoRun struct {
	o         DemoOptions
	generator *demo.Generator
	dir       string
	broker    *demo.Broker
	receivers demo.Receivers
	sinks     []demo.Sink
	file      *settings.File
	service   *Service
	terminal  bool
	closers   []func()

	mu       sync.Mutex
	produced int
	began    time.Time
	letters  map[string]*demo.Indexes
	scene    *demo.Scene // of the story; nil: none
	told     []demo.Told
	cut      bool // nobody wanted to wait for the end
}

func (d *demoRun) close() {
	for i := len(d.closers) - 1; i >= 0; i-- {
		d.closers[i]()
	}
}

func (d *demoRun) prepare() error {
	var err error
	if d.dir, err = os.MkdirTemp("", "session-export-demo-"); err != nil {
		return fmt.Errorf("making a folder for the demo: %w", err)
	}
	d.closers = append(d.closers, func() { _ = os.RemoveAll(d.dir) })
	if d.broker, err = demo.StartBroker(demo.BrokerOptions{Topic: demoTopic}); err != nil {
		return fmt.Errorf("starting the embedded broker: %w", err)
	}
	d.closers = append(d.closers, func() { _ = d.broker.Close() })
	d.sinks = demo.Sinks()
	d.receivers, err = demo.StartReceivers(d.sinks, demo.ReceiverOptions{
		Generator: d.generator,
		Verify:    d.o.Rate > 0, // at full speed it would cost as much as all the rest
	})
	if err != nil {
		return fmt.Errorf("starting the receivers: %w", err)
	}
	d.closers = append(d.closers, func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = d.receivers.Close(ctx)
	})
	name, text, err := demo.WriteConfig(demo.ConfigOptions{
		Dir: d.dir, Brokers: []string{d.broker.Addr()}, Topic: demoTopic, Sinks: d.sinks, At: d.receivers, Hurried: d.o.Story != nil,
	})
	if err != nil {
		return err
	}
	if d.file, err = settings.Load(name, nil); err != nil {
		return fmt.Errorf("loading the demo's configuration: %w", err)
	}
	d.terminal = d.o.Summary != "-" && demo.IsTerminal(d.o.Stdout)
	logs := d.o.Stderr
	if d.terminal { // log lines would tear the picture
		f, err := os.Create(filepath.Join(d.dir, "log"))
		if err != nil {
			return fmt.Errorf("making the demo's log: %w", err)
		}
		d.closers = append(d.closers, func() { _ = f.Close() })
		logs = f
	}
	if d.o.Summary != "-" {
		_, _ = fmt.Fprintln(d.o.Stdout, text)
	}
	d.service, err = NewService(ServiceOptions{
		File: d.file, Logger: Logger(logs, d.file.Log), Stored: d.stored, Notifiers: []alerts.Notifier{teller{d}},
	})
	return err
}

// stored notes which sessions became dead letters.
func (d *demoRun) stored(ls []deadletter.Letter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range ls {
		if i, ok := d.generator.Recognise(l.Body); ok {
			if d.letters[l.Sink] == nil {
				d.letters[l.Sink] = &demo.Indexes{}
			}
			d.letters[l.Sink].Add(i)
		}
	}
}

func (d *demoRun) run(soft, hard context.Context) error {
	serving, stopServing := context.WithCancel(context.WithoutCancel(soft))
	defer stopServing()
	served := make(chan error, 1)
	go func() { served <- d.service.Run(serving, hard) }()

	d.began = time.Now()
	viewing, stopViewing := context.WithCancel(context.WithoutCancel(soft))
	defer stopViewing()
	producing, stopProducing := context.WithCancel(soft)
	defer stopProducing()
	viewed := make(chan error, 1)
	go func() {
		var out io.Writer = d.o.Stdout
		if d.o.Summary == "-" {
			out = d.o.Stderr // standard output has the summary alone
		}
		v := demo.View{Snapshot: d.snapshot, Output: out, Input: os.Stdin, Terminal: d.terminal, Story: d.o.Story != nil}
		err := v.Run(viewing)
		if errors.Is(err, demo.ErrQuit) {
			stopProducing()
			_, _ = fmt.Fprintln(out, "What was produced still arrives, held sessions with a probe. Ctrl-C ends now.")
		}
		viewed <- err
	}()
	if d.o.Story != nil {
		go func() {
			d.tell(producing)
			stopProducing()
		}()
	}

	err := d.produce(producing)
	if err == nil {
		d.wait(soft, hard)
	}
	seconds := time.Since(d.began).Seconds()
	d.waitCommitted(hard)
	stopViewing() // while the sinks still show what they did
	if v := <-viewed; v != nil && !errors.Is(v, demo.ErrQuit) {
		err = errors.Join(err, v)
	}
	stopServing()
	err = errors.Join(err, <-served)
	if err != nil {
		return err
	}
	return d.summarise(hard, seconds)
}

// produce makes sessions until the time is over, the number is reached, or ctx
// is done.
func (d *demoRun) produce(ctx context.Context) error {
	if d.o.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.o.For)
		defer cancel()
	}
	var groups []string
	for _, s := range d.sinks {
		groups = append(groups, d.file.Kafka.Group(s.ID))
	}
	n, err := demo.Produce(ctx, demo.ProduceOptions{
		Brokers: []string{d.broker.Addr()}, Topic: demoTopic, Seed: d.o.Seed, Count: d.o.Sessions, Rate: d.o.Rate,
		Ready: d.broker.Ready(demoBacklog, groups...),
		Progress: func(n int) {
			d.mu.Lock()
			d.produced = max(d.produced, n)
			d.mu.Unlock()
		},
	})
	d.mu.Lock()
	d.produced = n
	d.mu.Unlock()
	if err != nil {
		return fmt.Errorf("producing sessions: %w", err)
	}
	return nil
}

// wait waits until everything has arrived, nothing moves any more, or nobody
// wants to wait: after a signal that ended the production until the next one,
// and else until the first one.
func (d *demoRun) wait(soft, hard context.Context) {
	ctx := soft
	if soft.Err() != nil {
		ctx = hard
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	best, since := -1, time.Now()
	for {
		have, complete := d.progress()
		if complete {
			return
		}
		if have > best {
			best, since = have, time.Now()
		} else if time.Since(since) > demoPatience {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			d.cut = true
			return
		}
	}
}

// waitCommitted waits until the last position is committed, which takes a
// second at most, so that the last picture shows no lag.
func (d *demoRun) waitCommitted(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		behind := false
		for _, s := range d.service.Manager().Status() {
			lag, known := s.Lag()
			behind = behind || !known || lag > 0
		}
		if !behind {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// progress counts what has arrived or become a dead letter, at all sinks.
func (d *demoRun) progress() (have int, complete bool) {
	complete = true
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, s := range d.sinks {
		n := d.receivers[k].Distinct(s.Endpoint.Path) + d.letters[s.ID].Len()
		have += n
		complete = complete && n >= d.produced
	}
	return have, complete
}

func (d *demoRun) summarise(ctx context.Context, seconds float64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	outcomes := make([]demo.SinkOutcome, 0, len(d.sinks))
	for k, s := range d.sinks {
		outcomes = append(outcomes, demo.SinkOutcome{
			ID: s.ID, Format: s.Endpoint.Format, Received: d.receivers[k].Tally(s.Endpoint.Path), DeadLetters: d.letters[s.ID],
		})
	}
	sum := demo.Summarise(d.produced, seconds, outcomes)
	if d.o.Story != nil {
		to := d.o.Stdout
		if d.o.Summary == "-" {
			to = d.o.Stderr
		}
		if err := d.afterword(ctx, to, sum); err != nil {
			return err
		}
	}
	if d.o.Summary == "-" {
		if err := sum.WriteJSON(d.o.Stdout); err != nil {
			return err
		}
	} else {
		_, _ = fmt.Fprintln(d.o.Stdout)
		if err := sum.WriteTable(d.o.Stdout, demo.Width(d.o.Stdout)); err != nil {
			return err
		}
	}
	if d.o.Summary != "" && d.o.Summary != "-" {
		f, err := os.Create(d.o.Summary)
		if err != nil {
			return fmt.Errorf("writing the summary: %w", err)
		}
		if err := errors.Join(sum.WriteJSON(f), f.Close()); err != nil {
			return err
		}
	}
	if !sum.OK() && d.cut {
		return fmt.Errorf("%w: the demo was ended while they waited in Kafka", ErrMissing)
	}
	if !sum.OK() {
		return ErrMissing
	}
	return nil
}

// snapshot is what the view shows.
func (d *demoRun) snapshot() demo.Snapshot {
	d.mu.Lock()
	s := demo.Snapshot{Elapsed: time.Since(d.began), Produced: d.produced, Target: d.o.Sessions, Scene: d.scene, Told: d.told}
	d.mu.Unlock()
	status := map[string]dispatcher.SinkStatus{}
	for _, st := range d.service.Manager().Status() {
		status[st.Sink] = st
	}
	for _, sink := range d.sinks {
		s.Sinks = append(s.Sinks, sinkSnapshot(sink.ID, status[sink.ID], time.Now()))
	}
	return s
}

func sinkSnapshot(id string, st dispatcher.SinkStatus, now time.Time) demo.SinkSnapshot {
	out := demo.SinkSnapshot{
		ID: id, Delivered: st.Total.Delivered, DeadLetters: st.Total.DeadLetters, Lag: -1, State: string(st.State),
		Retries: st.Retries, ByteLimit: st.ByteLimit,
		Last: demo.Batch{Trigger: string(st.Last.Trigger), Sessions: st.Last.Sessions, Bytes: st.Last.Bytes},
	}
	if lag, known := st.Lag(); known {
		out.Lag = lag
	}
	switch {
	case st.State == dispatcher.Held:
		out.Error, out.NextProbe = st.Cause.Text, st.NextProbe.Sub(now)
	case !st.LastErrorAt.IsZero() && st.LastErrorAt.After(st.LastSuccess):
		out.Error = st.LastError.Text
		if st.State == dispatcher.Flowing {
			out.State = demo.Retrying
		}
	case st.Member.LastError != "":
		out.Error = st.Member.LastError
	}
	return out
}
