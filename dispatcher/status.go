package dispatcher

import (
	"time"

	"sessionexport/batcher"
)

// State is what a sink is doing.
type State string

// The states of a sink.
const (
	Flowing   State = "flowing"
	SlowStart State = "slow start" // after a hold: fewer batches in flight
	Throttled State = "throttled"  // pauses, because the destination asked for it
	Held      State = "held"       // sends probes only
	Stopping  State = "stopping"
)

// Status is a snapshot of one sink's pipeline.
type Status struct {
	Environment string
	Sink        string
	Topic       string
	Format      string
	Policy      Policy

	State     State
	Cause     Cause     // of a hold
	Since     time.Time // of a hold
	NextProbe time.Time // of a hold
	PausedTo  time.Time // of throttling

	Partitions     map[int32]PartitionCounts
	Total          PartitionCounts
	Batches        map[batcher.Trigger]int64
	Attempts       map[AttemptKey]int64
	Failures       map[string]int64 // alerts by reason
	Rejected       map[string]int64 // records that never got into a batch, by kind
	Latency        Latency          // from the record's timestamp to the delivery
	Duration       Latency          // of attempts
	BytesRead      int64
	BytesDelivered int64
	Conflicts      int64
	Retries        int64
	Probes         int64
	LetterFailures int64

	InFlight      int       // attempts on the wire
	InFlightLimit int       // batches that may be
	Queued        int       // batches that are not finished
	Filling       int       // sessions in the batch that fills
	Suspects      int       // sessions that were refused without a witness
	LettersWait   int       // dead letters that are not durable yet
	ByteLimit     int       // of a body, the learned one if smaller
	Oldest        time.Time // timestamp of the oldest session that is not finished; zero without one
	Last          Last      // the latest batch that left
	LastError     Cause
	LastErrorAt   time.Time
	LastSuccess   time.Time
}

// Status returns a snapshot. It asks the pipeline's goroutine, which answers
// within milliseconds.
func (p *Pipeline) Status() Status {
	var s Status
	if !p.call(func() { s = p.status(time.Now()) }) {
		return p.last
	}
	return s
}

func (p *Pipeline) status(now time.Time) Status {
	m := p.m
	c := m.counts.snapshot()
	s := Status{
		Environment: p.o.Environment, Sink: p.o.Sink, Topic: p.o.Topic, Format: m.fmt.Name(), Policy: m.policy, State: Flowing,
		Partitions: make(map[int32]PartitionCounts, len(c.Partitions)), Batches: c.Batches, Attempts: c.Attempts,
		Failures: c.Failures, Rejected: c.Rejected, Latency: c.Latency, Duration: c.Duration,
		BytesRead: c.BytesRead, BytesDelivered: c.BytesDelivered, Conflicts: c.Conflicts, Retries: c.Retries,
		Probes: c.Probes, LetterFailures: c.LetterFailures,
		InFlight: m.wires, InFlightLimit: m.hold.limit, Queued: len(m.queue) + m.batcher.Ready(),
		LettersWait: len(m.letters.waiting) + len(m.letters.writing), ByteLimit: m.batcher.Limit(),
		Last: c.last, LastError: c.lastError, LastErrorAt: c.lastErrorAt, LastSuccess: c.lastSuccess,
	}
	for n, t := range c.Partitions {
		s.Partitions[n] = *t
		s.Total = s.Total.Plus(*t)
	}
	filling, _, oldest := m.batcher.Filling()
	s.Filling = filling
	if b := m.batcher.Peek(); b != nil {
		oldest = b.Oldest
	}
	for i, d := range m.queue {
		if s.Suspects += len(d.suspects); i == 0 {
			oldest = d.batch.Oldest
		}
	}
	if oldest != 0 {
		s.Oldest = time.UnixMilli(oldest)
	}
	switch {
	case m.stopping, m.draining:
		s.State = Stopping
	case m.letters.trouble:
		s.State, s.Since, s.NextProbe = Held, m.letters.since, m.letters.retry
		s.Cause = Cause{Reason: "dead_letters", Text: textOf(m.letters.err)}
	case m.hold.active:
		s.State, s.Cause, s.Since, s.NextProbe = Held, m.hold.cause, m.hold.since, m.hold.at
	case now.Before(m.pause.until):
		s.State, s.PausedTo = Throttled, m.pause.until
	case m.hold.limit < m.maxInFlight:
		s.State = SlowStart
	}
	return s
}
