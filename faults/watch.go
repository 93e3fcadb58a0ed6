package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/deadletter"
	"sessionexport/demo"
)

const (
	tick     = 50 * time.Millisecond
	patience = 8 * time.Minute // far beyond what anything takes, on a busy machine
	stall    = 6 * time.Minute // without any progress after the last session: probes are up to 5 minutes apart
)

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// until asks again and again, until the answer is yes.
func until(ctx context.Context, what string, yes func() (bool, error)) error {
	deadline := time.Now().Add(patience)
	for {
		ok, err := yes()
		if ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %v in vain until %s", patience, what)
		}
		if err := pause(ctx, tick); err != nil {
			return err
		}
	}
}

// sorted returns the durations in order.
func sorted(ds []time.Duration) []time.Duration { return slices.Sorted(slices.Values(ds)) }

// watch looks at what is delivered and not committed, all the time: it is what
// a fault may deliver again.
func (s *stand) watch(ctx context.Context) {
	trimmed := time.Now()
	for pause(ctx, tick) == nil {
		s.sample()
		if s.trim && time.Since(trimmed) > trimEvery {
			s.trimmed()
			trimmed = time.Now()
		}
	}
}

func (s *stand) sample() {
	for _, one := range s.sinks {
		at, known := s.broker.committed(one.group) // first: what is delivered meanwhile makes it more
		if !known {
			continue
		}
		have := s.receiver.Distinct(one.Endpoint.Path)
		if written := s.letters.of(one.ID); written.Len() > 0 {
			have, _ = union(s.load.produced(), s.receiver.Tally(one.Endpoint.Path).Indexes, written)
		}
		one.mu.Lock()
		for partition, offset := range at {
			have -= int(offset)
			if offset < one.seen[partition] {
				one.back = append(one.back, fmt.Errorf("%s: the position of partition %d went back from %d to %d", one.ID, partition, one.seen[partition], offset))
			}
		}
		maps.Copy(one.seen, at)
		one.peak = max(one.peak, have)
		one.mu.Unlock()
	}
}

// fault begins a fault: from now on the most is noted that is delivered and
// not committed at once.
func (s *stand) fault() {
	for _, one := range s.sinks {
		one.mu.Lock()
		one.peak = 0
		one.arrived = nil
		one.mu.Unlock()
	}
	s.sample()
}

// over ends a fault: so many sessions may have been delivered twice by it.
func (s *stand) over() {
	s.sample()
	for _, one := range s.sinks {
		one.mu.Lock()
		one.bound += one.peak
		one.peak = 0
		one.mu.Unlock()
	}
}

// load produces sessions until it is stopped.
type load struct {
	cancel context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex
	acked int
	err   error
}

// startLoad produces at the stand's rate.
func (s *stand) startLoad() {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel, ended: make(chan struct{})}
	s.load = l
	go func() {
		defer close(l.ended)
		n, err := demo.Produce(ctx, demo.ProduceOptions{
			Brokers: s.broker.addrs, Topic: topic, Seed: s.seed, Rate: s.rate,
			Progress: func(n int) {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.acked = max(l.acked, n)
			},
		})
		l.mu.Lock()
		defer l.mu.Unlock()
		l.acked, l.err = n, err
	}()
}

// produced is how many sessions are in the topic.
func (l *load) produced() int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// stop ends the load.
func (l *load) stop() error {
	l.cancel()
	<-l.ended
	return l.err
}

// letters are the dead letters that are in their topic.
type letters struct {
	broker    *broker
	generator *demo.Generator
	client    *kgo.Client
	ended     chan struct{}

	mu    sync.Mutex
	read  int64
	sinks map[string]*demo.Indexes
	err   error
}

// readLetters reads the topic of the dead letters from its beginning on.
func readLetters(b *broker, g *demo.Generator) (*letters, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(b.addrs...), kgo.ConsumeTopics(letterTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(time.Second), kgo.MetadataMinAge(time.Second), kgo.MetadataMaxAge(5*time.Second),
		kgo.FetchMaxPartitionBytes(2*messageBytes), kgo.FetchMaxBytes(2*messageBytes),
	)
	if err != nil {
		return nil, fmt.Errorf("making a reader of the dead letters: %w", err)
	}
	l := &letters{broker: b, generator: g, client: client, ended: make(chan struct{}), sinks: map[string]*demo.Indexes{}}
	go func() {
		defer close(l.ended)
		for {
			fetches := client.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			fetches.EachRecord(l.enter) // errors go away with their cause, or sync notices
		}
	}()
	return l, nil
}

func (l *letters) close() {
	l.client.Close()
	<-l.ended
}

func (l *letters) enter(r *kgo.Record) {
	m := kafka.Message{Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	letter, err := deadletter.Decode(m)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read++
	if err != nil {
		l.err = errors.Join(l.err, err)
		return
	}
	i, ok := l.generator.Recognise(letter.Body)
	if !ok {
		l.err = errors.Join(l.err, fmt.Errorf("dead letter %s is no session that was produced", r.Key))
		return
	}
	if l.sinks[letter.Sink] == nil {
		l.sinks[letter.Sink] = &demo.Indexes{}
	}
	l.sinks[letter.Sink].Add(i)
}

// sync waits until all dead letters have been read.
func (l *letters) sync(ctx context.Context) error {
	err := until(ctx, "the dead letters are read", func() (bool, error) {
		end, _ := l.broker.end(letterTopic)
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.read >= end, nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(err, l.err)
}

// of is what became a dead letter of a sink.
func (l *letters) of(sink string) *demo.Indexes {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sinks[sink] == nil {
		return nil
	}
	return l.sinks[sink].Clone()
}
