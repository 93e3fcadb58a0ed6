package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// Topic looks into a topic from outside: it belongs to no group, and neither
// joins one nor commits anything. It is safe for concurrent use.
type Topic struct {
	link  *link
	name  string
	count counters
}

// Extent is what a partition holds: the offset of its first record, and the
// one after its last record that no open transaction holds back.
type Extent struct {
	Partition  int32
	Start, End int64
}

// Stretch is what a Read of a partition covered.
type Stretch struct {
	From  int64 // offset; below what was asked for when the first batch begins there
	Next  int64 // the offset after the last one that was looked at
	Bytes int64 // fetched from the wire
}

// Topic returns a way to look into a topic. Close it when done.
func (k *Kafka) Topic(name string) *Topic {
	return &Topic{link: k.link(name), name: name}
}

// Close closes the connections.
func (t *Topic) Close() { t.link.close() }

// Extents returns what each partition holds, by partition. The error is an
// *Error.
func (t *Topic) Extents(ctx context.Context) ([]Extent, error) {
	layout, all, err := t.layout(ctx)
	if err != nil {
		return nil, err
	}
	starts, err := t.offsets(ctx, layout, all, timeEarliest)
	if err != nil {
		return nil, err
	}
	ends, err := t.offsets(ctx, layout, all, timeLatest)
	if err != nil {
		return nil, err
	}
	extents := make([]Extent, len(all))
	for i, p := range all {
		extents[i] = Extent{Partition: p, Start: starts[p], End: max(starts[p], ends[p])}
	}
	return extents, nil
}

// OffsetsAt returns, by partition, the offset of the first record whose
// timestamp is not before when; -1 where there is none. The error is an
// *Error.
func (t *Topic) OffsetsAt(ctx context.Context, when time.Time) (map[int32]int64, error) {
	layout, all, err := t.layout(ctx)
	if err != nil {
		return nil, err
	}
	return t.offsets(ctx, layout, all, max(when.UnixMilli(), 0))
}

func (t *Topic) layout(ctx context.Context) (*metadata.ResponseTopic, []int32, error) {
	layout, err := again(ctx, func() (*metadata.ResponseTopic, error) {
		return topicLayout(ctx, t.link, t.name, "")
	})
	if err != nil {
		return nil, nil, err
	}
	all := make([]int32, len(layout.Partitions))
	for i := range all {
		all[i] = int32(i)
	}
	return layout, all, nil
}

func (t *Topic) offsets(ctx context.Context, layout *metadata.ResponseTopic, partitions []int32, when int64) (map[int32]int64, error) {
	return again(ctx, func() (map[int32]int64, error) {
		found, err := listOffsets(ctx, t.link, t.name, layout, partitions, when, true)
		if err != nil {
			// The leader may have moved since: the next try asks the new one.
			if fresh, layoutErr := topicLayout(ctx, t.link, t.name, ""); layoutErr == nil {
				layout = fresh
			}
		}
		return found, err
	})
}

const (
	// fewTries bounds how often a question is put again whose answer says that
	// a leader is moving: with the pauses between, a little over three seconds.
	fewTries   = 6
	firstPause = 100 * time.Millisecond
)

// again repeats what fails because a leader is moving or a broker restarts.
// What an operator must mend fails at once.
func again[T any](ctx context.Context, try func() (T, error)) (T, error) {
	for n, pause := 1, firstPause; ; n, pause = n+1, 2*pause {
		got, err := try()
		if err == nil || n == fewTries || !passing(err) {
			return got, err
		}
		sleep(ctx, pause, nil)
		if ctx.Err() != nil {
			return got, err
		}
	}
}

// passing tells whether an error may be over in a moment. A topic that is not
// there counts as mistyped.
func passing(err error) bool {
	var code kafka.Error
	return errors.As(err, &code) && code.Temporary() && code != kafka.UnknownTopicOrPartition
}

const (
	topicFetchBytes = 1 << 20 // asked for at once: a few batches of a producer
	topicMaxWait    = 100 * time.Millisecond
	topicTimeout    = 10 * time.Second // for an answer
)

// Read hands the committed records of a partition with offsets from
// (inclusive) to to (exclusive) to each, in their order, and those that stand
// before from in its batch: they had to be fetched with it. The record's slices
// hold until each returns; it returns false to end the reading. Records that
// were deleted meanwhile are passed over.
//
// The Stretch says what was covered, also beside an error, which is an *Error.
// A batch that cannot be read is one: what stands behind it was not looked at.
func (t *Topic) Read(ctx context.Context, partition int32, from, to int64, each func(*Record) bool) (Stretch, error) {
	s := Stretch{From: from, Next: from}
	size := int64(topicFetchBytes)
	first := true
	for s.Next < to && ctx.Err() == nil {
		res, err := again(ctx, func() (*fetchResponse, error) { return t.fetch(ctx, partition, s.Next, size) })
		if err != nil {
			return s, explain(fmt.Sprintf("reading partition %d", partition), err, t.name, "")
		}
		s.Bytes += int64(len(res.answer.b))
		fp := &res.partitions[0]
		if fp.code != 0 { // out of range: retention took the records away
			res.answer.release()
			start, err := t.start(ctx, partition)
			if err != nil {
				return s, err
			}
			if start <= s.Next {
				return s, nil // the log was cut off at its end
			}
			s.Next, first = min(start, to), false
			continue
		}
		wanted := s.Next
		found := surveyBatches(fp.data, wanted, res.kept)
		if found.sound == 0 {
			short := len(fp.data) > 0 && found.err == nil
			res.answer.release()
			if found.err != nil {
				return s, explain(fmt.Sprintf("reading partition %d", partition), found.err, t.name, "")
			}
			if !short || size >= maxKept {
				return s, nil // nothing but deleted records up to the end
			}
			size = min(4*size, maxKept)
			continue
		}
		if b, _, err := nextBatch(fp.data, res.kept, true); first && err == nil && b.base < wanted {
			wanted, s.From = b.base, b.base
		}
		first = false
		going, err := t.pass(res, fp, found.sound, wanted, to, &s, each)
		if err != nil {
			return s, explain(fmt.Sprintf("reading partition %d", partition), err, t.name, "")
		}
		if !going {
			return s, nil
		}
		s.Next = max(s.Next, min(found.next, to))
	}
	if err := ctx.Err(); err != nil {
		return s, explain(fmt.Sprintf("reading partition %d", partition), err, t.name, "")
	}
	return s, nil
}

// start returns the offset of the first record that a partition still holds.
func (t *Topic) start(ctx context.Context, partition int32) (int64, error) {
	layout, _, err := t.layout(ctx)
	if err != nil {
		return 0, err
	}
	starts, err := t.offsets(ctx, layout, []int32{partition}, timeEarliest)
	return starts[partition], err
}

// pass hands on the records of one answer, and tells whether more are wanted.
func (t *Topic) pass(res *fetchResponse, fp *fetchedPartition, sound int, wanted, to int64, s *Stretch, each func(*Record) bool) (going bool, err error) {
	reading := newReading(&t.count, func(_ int64, failed error) { err = failed })
	f := newFetch(Claim{Partition: fp.partition}, reading, res.answer, fp.data[:sound], wanted, fp.high, fp.aborted, res.kept)
	defer f.Release()
	var r Record
	for f.Next(&r) {
		if r.Offset >= to {
			break
		}
		s.Next = max(s.Next, r.Offset+1)
		if !each(&r) {
			return false, nil
		}
	}
	return true, err
}

// fetch asks the partition's leader once.
func (t *Topic) fetch(ctx context.Context, partition int32, offset, size int64) (*fetchResponse, error) {
	layout, err := topicLayout(ctx, t.link, t.name, "") // from the transport's memory
	if err != nil {
		return nil, err
	}
	leader := int32(-1)
	for _, p := range layout.Partitions {
		if p.PartitionIndex == partition {
			leader = p.LeaderID
		}
	}
	if leader < 0 {
		return nil, kafka.LeaderNotAvailable
	}
	res, err := roundTrip[*fetchResponse](ctx, t.link, topicTimeout, &fetchRequest{
		clientID: t.link.kafka.options.ClientID, topic: t.name, leader: leader, take: newBuffer,
		partitions: []fetchPosition{{partition: partition, offset: offset}},
		maxWait:    int32(topicMaxWait.Milliseconds()), maxBytes: int32(size), //nolint:gosec // at most maxKept
	})
	if err != nil {
		return nil, err
	}
	code := res.code
	if code == 0 && len(res.partitions) != 1 {
		res.answer.release()
		return nil, errShort
	}
	if code == 0 {
		if code = res.partitions[0].code; code == int16(kafka.OffsetOutOfRange) {
			return res, nil
		}
	}
	if code != 0 {
		res.answer.release()
		return nil, kafka.Error(code)
	}
	return res, nil
}
