package dispatcher

import (
	"maps"
	"slices"
	"time"

	"sessionexport/batcher"
	"sessionexport/sinks"
)

// PartitionCounts are the conservation counters of one sink and partition:
//
//	Read = Delivered + OutOfScope + DeadLetters + Discarded + HandedBack + waiting
type PartitionCounts struct {
	Read        int64 // records with a value that came from Kafka
	Delivered   int64 // sessions that the destination accepted
	OutOfScope  int64 // sessions outside the export's management zone
	DeadLetters int64 // sessions that are durable dead letters
	Discarded   int64 // sessions dropped by the policy discard
	HandedBack  int64 // read, then given back unfinished with their partition: read again by its next owner
	Tombstones  int64 // records without a value, skipped; not in Read
}

// Waiting is what was read and is not finished.
func (c PartitionCounts) Waiting() int64 {
	return c.Read - c.Delivered - c.OutOfScope - c.DeadLetters - c.Discarded - c.HandedBack
}

// Plus adds two counts.
func (c PartitionCounts) Plus(o PartitionCounts) PartitionCounts {
	c.Read += o.Read
	c.Delivered += o.Delivered
	c.OutOfScope += o.OutOfScope
	c.DeadLetters += o.DeadLetters
	c.Discarded += o.Discarded
	c.HandedBack += o.HandedBack
	c.Tombstones += o.Tombstones
	return c
}

// Last is the latest batch that left.
type Last struct {
	Trigger  batcher.Trigger
	Sessions int
	Bytes    int
}

// AttemptKey is what attempts are counted by.
type AttemptKey struct {
	Kind   string // the verdict's kind
	Status int
	Reason string
}

// counts is everything that a sink counts.
type counts struct {
	Partitions     map[int32]*PartitionCounts
	Batches        map[batcher.Trigger]int64
	Attempts       map[AttemptKey]int64
	Failures       map[string]int64 // alerts by reason
	Rejected       map[string]int64 // records rejected before a batch, by kind
	Latency        Latency          // from the record's timestamp to the delivery
	Duration       Latency          // of attempts
	BytesRead      int64            // of sessions in scope
	BytesDelivered int64            // framed, before compression
	Conflicts      int64            // items that were there already (opType=create)
	Retries        int64
	Probes         int64
	LetterFailures int64

	last        Last
	lastError   Cause
	lastErrorAt time.Time
	lastSuccess time.Time
	recent      int32
	recentCount *PartitionCounts
}

func newCounts() counts {
	return counts{
		Partitions: map[int32]*PartitionCounts{}, Batches: map[batcher.Trigger]int64{},
		Attempts: map[AttemptKey]int64{}, Failures: map[string]int64{}, Rejected: map[string]int64{},
	}
}

// partition returns the counts of a partition; neighbours in a batch are
// mostly of the same one.
func (c *counts) partition(p int32) *PartitionCounts {
	if c.recentCount != nil && c.recent == p {
		return c.recentCount
	}
	t := c.Partitions[p]
	if t == nil {
		t = &PartitionCounts{}
		c.Partitions[p] = t
	}
	c.recent, c.recentCount = p, t
	return t
}

func (c *counts) attempt(v sinks.Verdict, took time.Duration) {
	c.Attempts[AttemptKey{Kind: v.Kind.String(), Status: v.Status, Reason: v.Reason}]++
	c.Duration.observe(took.Milliseconds())
}

// snapshot is a copy that nobody changes.
func (c *counts) snapshot() counts {
	s := *c
	s.recentCount = nil
	s.Partitions = make(map[int32]*PartitionCounts, len(c.Partitions))
	for p, t := range c.Partitions {
		copied := *t
		s.Partitions[p] = &copied
	}
	s.Batches, s.Attempts = maps.Clone(c.Batches), maps.Clone(c.Attempts)
	s.Failures, s.Rejected = maps.Clone(c.Failures), maps.Clone(c.Rejected)
	return s
}

// latencyBounds are the upper bounds of a Latency's buckets in milliseconds.
var latencyBounds = []int64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 3_600_000, 86_400_000}

// Latency is a histogram of milliseconds.
type Latency struct {
	Buckets [19]uint64 // by latencyBounds; the last: beyond
	Sum     int64      // milliseconds
	Count   uint64
}

func (l *Latency) observe(ms int64) {
	ms = max(ms, 0)
	i, _ := slices.BinarySearch(latencyBounds, ms)
	l.Buckets[i]++
	l.Sum += ms
	l.Count++
}

// Cumulative returns the histogram in Prometheus' form: seconds by upper bound.
func (l *Latency) Cumulative() map[float64]uint64 {
	out := make(map[float64]uint64, len(latencyBounds))
	n := uint64(0)
	for i, b := range latencyBounds {
		n += l.Buckets[i]
		out[float64(b)/1000] = n
	}
	return out
}
