package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// flushTime bounds how long Produce waits for acknowledgements after its
// context has ended.
const flushTime = 10 * time.Second

// ProduceOptions says what Produce writes, and where.
type ProduceOptions struct {
	Brokers     []string
	TLS         *tls.Config // nil: plain text
	Topic       string
	Seed        uint64
	Start       time.Time // of session 0; zero: 2026-01-01
	First       int       // index of the first session
	Count       int       // sessions; 0: until the context ends
	Rate        float64   // sessions a second; 0: as fast as the broker takes them
	Compression string    // none, gzip, snappy, lz4 (default) or zstd

	// Ready is asked before a session is made, at most once in 50 ms, and may
	// block: it is how a demo keeps its backlog bounded. nil never blocks.
	Ready func(ctx context.Context) error
	// Progress is told how many sessions the broker has acknowledged so far,
	// after each of them, from a goroutine of the client. nil is allowed.
	Progress func(n int)
}

// Produce writes generated sessions to a topic, each under its userSessionId
// as the key, and returns how many the broker acknowledged. Without an error
// these are the sessions First, First+1, … without a gap. The end of the
// context is not an error: what is on its way is then waited for.
func Produce(ctx context.Context, o ProduceOptions) (int, error) {
	codec, err := compression(o.Compression)
	if err != nil {
		return 0, err
	}
	settings := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...),
		kgo.DefaultProduceTopic(o.Topic),
		kgo.ProducerBatchCompression(codec),
		kgo.ProducerLinger(10 * time.Millisecond),
		kgo.MaxBufferedRecords(5_000), // about 25 MB of sessions
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	}
	if o.TLS != nil {
		settings = append(settings, kgo.DialTLSConfig(o.TLS))
	}
	client, err := kgo.NewClient(settings...)
	if err != nil {
		return 0, fmt.Errorf("making the producer: %w", err)
	}
	defer client.Close()
	p := producer{ProduceOptions: o, client: client, generator: NewGenerator(o.Seed)}
	if !o.Start.IsZero() {
		p.generator = p.generator.Starting(o.Start)
	}
	p.records.New = func() any { return new(kgo.Record) }
	return p.run(ctx)
}

func compression(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "", "lz4":
		return kgo.Lz4Compression(), nil
	case "none":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.NoCompression(), fmt.Errorf("compression %q is not known: use none, gzip, snappy, lz4 or zstd", name)
}

type producer struct {
	ProduceOptions
	client    *kgo.Client
	generator *Generator
	records   sync.Pool // *kgo.Record, with the memory of their keys and values
	acked     atomic.Int64
	failure   atomic.Pointer[error]
}

func (p *producer) run(ctx context.Context) (int, error) {
	// The records outlive the caller's context: a session that was handed over
	// must be acknowledged, or nobody knows whether it is in the topic.
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	pace := newPace(p.Rate)
	var asked time.Time
	var err error
	for j := 0; (p.Count == 0 || j < p.Count) && p.failure.Load() == nil; j++ {
		if p.Ready != nil && time.Since(asked) >= 50*time.Millisecond {
			if err = p.Ready(ctx); err != nil {
				break
			}
			asked = time.Now()
		}
		if err = pace.wait(ctx, j); err != nil {
			break
		}
		p.send(sending, p.First+j)
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	flushing, stop := context.WithTimeout(sending, flushTime)
	defer stop()
	if ferr := p.client.Flush(flushing); ferr != nil {
		err = errors.Join(err, fmt.Errorf("waiting for acknowledgements: %w", ferr))
	}
	if f := p.failure.Load(); f != nil {
		err = errors.Join(err, *f)
	}
	return int(p.acked.Load()), err
}

func (p *producer) send(ctx context.Context, i int) {
	r, _ := p.records.Get().(*kgo.Record)
	key, value := r.Key[:0], r.Value[:0]
	*r = kgo.Record{Key: p.generator.AppendID(key, i), Value: p.generator.Append(value, i)}
	p.client.Produce(ctx, r, p.acknowledged)
}

func (p *producer) acknowledged(r *kgo.Record, err error) {
	if err != nil {
		err = fmt.Errorf("producing session %s: %w", r.Key, err)
		p.failure.CompareAndSwap(nil, &err)
		return
	}
	n := p.acked.Add(1)
	p.records.Put(r)
	if p.Progress != nil {
		p.Progress(int(n))
	}
}

// pace spreads events evenly over time.
type pace struct {
	rate  float64 // a second, 0 for no limit
	began time.Time
	timer *time.Timer
}

func newPace(rate float64) *pace { return &pace{rate: rate, began: time.Now()} }

// wait returns when event j is due, or with the context's error.
func (p *pace) wait(ctx context.Context, j int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.rate <= 0 {
		return nil
	}
	due := p.began.Add(time.Duration(float64(j) / p.rate * float64(time.Second)))
	left := time.Until(due)
	if left <= 0 {
		return nil
	}
	if p.timer == nil {
		p.timer = time.NewTimer(left)
	} else {
		p.timer.Reset(left)
	}
	select {
	case <-p.timer.C:
		return nil
	case <-ctx.Done():
		p.timer.Stop()
		return ctx.Err()
	}
}
