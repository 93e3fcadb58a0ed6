package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
	"github.com/segmentio/kafka-go/protocol/offsetfetch"
)

// offsetsTimeout is for asking about offsets.
const offsetsTimeout = 8 * time.Second

// seed gives a group that has no offsets at all its start, before the first
// member joins. Kafka takes commits from outside a group only while it has no
// members; when it refuses, another member was here first and did the same.
func (m *Member) seed(ctx context.Context, partitions int32) error {
	committed, err := groupOffsets(ctx, m.link, m.o.Group, m.o.Topic, partitions)
	if err != nil {
		return err
	}
	if len(committed) > 0 {
		return nil
	}
	err = m.commitStart(ctx, identity{generation: -1}, partitions, committed)
	var code kafka.Error
	if errors.As(err, &code) && outsiderRefused(int16(code)) { //nolint:gosec // it came as one
		return nil
	}
	return err
}

// commitStart resolves the start and commits it for all partitions, so that a
// restart, or another member, begins at the same place.
func (m *Member) commitStart(ctx context.Context, id identity, partitions int32, start map[int32]int64) error {
	when, committed := int64(timeLatest), true
	switch m.o.Start.Kind {
	case Latest:
	case Earliest:
		when = timeEarliest
	case At:
		when = m.o.Start.Time.UnixMilli()
	}
	all := make([]int32, partitions)
	for i := range all {
		all[i] = int32(i)
	}
	found, err := m.listOffsets(ctx, all, when, committed)
	if err != nil {
		return err
	}
	var young []int32
	for p, o := range found {
		if o < 0 { // no record is as young as that
			young = append(young, p)
		}
	}
	if len(young) > 0 {
		ends, err := m.listOffsets(ctx, young, timeLatest, committed)
		if err != nil {
			return err
		}
		for p, o := range ends {
			found[p] = o
		}
	}
	req := &offsetcommit.Request{
		GroupID: m.o.Group, GenerationID: id.generation, MemberID: id.member,
		Topics: []offsetcommit.RequestTopic{{Name: m.o.Topic}},
	}
	if id.member != "" {
		req.GroupInstanceID = m.o.InstanceID
	}
	for p, o := range found {
		start[p] = o
		req.Topics[0].Partitions = append(req.Topics[0].Partitions,
			offsetcommit.RequestPartition{PartitionIndex: p, CommittedOffset: o, CommittedLeaderEpoch: -1})
	}
	codes, _, err := commitOffsets(ctx, m.link, commitTimeout, req)
	if err != nil {
		return explain("committing the start", err, m.o.Topic, m.o.Group)
	}
	for _, code := range codes {
		if code != 0 {
			return m.codeError("committing the start", code)
		}
	}
	m.log.Info("the group is new; its start is committed", "partitions", partitions)
	return nil
}

// resolveLoop finds out where newly owned partitions begin.
func (m *Member) resolveLoop(ctx context.Context) {
	retry := backoff{first: 50 * time.Millisecond, most: m.o.RetryInterval}
	for ctx.Err() == nil {
		woken := m.wake.wait()
		m.mu.Lock()
		var open []*partition
		for _, p := range m.owned {
			if p.position == unknown && !p.revoked {
				open = append(open, p)
			}
		}
		m.mu.Unlock()
		if len(open) == 0 {
			retry.reset()
			select {
			case <-woken:
			case <-ctx.Done():
			}
			continue
		}
		if err := m.resolve(ctx, open); err != nil && ctx.Err() == nil {
			m.mu.Lock()
			for _, p := range open {
				p.trouble = err
			}
			m.mu.Unlock()
			m.log.Debug("finding the position failed; trying again", "error", err)
			sleep(ctx, retry.next(), nil)
		}
	}
}

// resolve sets the position of partitions: what the group committed; its
// start when it has no offsets at all (they were deleted while it ran); and
// the beginning of a partition that is younger than the group.
func (m *Member) resolve(ctx context.Context, open []*partition) error {
	layout, err := m.layout(ctx)
	if err != nil {
		return err
	}
	partitions := int32(len(layout.Partitions)) //nolint:gosec // far fewer
	committed, err := groupOffsets(ctx, m.link, m.o.Group, m.o.Topic, partitions)
	if err != nil {
		return err
	}
	start := make(map[int32]int64)
	if len(committed) == 0 {
		m.mu.Lock()
		id := m.id
		m.mu.Unlock()
		if err := m.commitStart(ctx, id, partitions, start); err != nil {
			return err
		}
		committed = start
	}
	var young []int32
	for _, p := range open {
		if _, ok := committed[p.claim.Partition]; !ok {
			young = append(young, p.claim.Partition)
		}
	}
	begin := make(map[int32]int64)
	if len(young) > 0 {
		if begin, err = m.listOffsets(ctx, young, timeEarliest, false); err != nil {
			return err
		}
	}
	m.mu.Lock()
	for _, p := range open {
		o, ok := committed[p.claim.Partition]
		if ok {
			p.committed = o
		} else if o, ok = begin[p.claim.Partition]; !ok {
			continue
		}
		p.position, p.marked, p.trouble = o, o, nil
	}
	m.mu.Unlock()
	m.wake.broadcast()
	return nil
}

// watermarkLoop keeps the lag of partitions true that are not fetched, because
// the reader holds back or they wait at a batch.
func (m *Member) watermarkLoop(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, m.o.WatermarkAge/2, nil)
		m.mu.Lock()
		var old []int32
		for _, p := range m.owned {
			if p.position != unknown && time.Since(p.watermarkAt) > m.o.WatermarkAge {
				old = append(old, p.claim.Partition)
			}
		}
		m.mu.Unlock()
		if len(old) == 0 || ctx.Err() != nil {
			continue
		}
		ends, err := m.listOffsets(ctx, old, timeLatest, false)
		if err != nil {
			continue // the fetches and heartbeats tell what is wrong
		}
		m.mu.Lock()
		for p, end := range ends {
			if part := m.owned[p]; part != nil {
				part.high, part.watermarkAt = end, time.Now()
			}
		}
		m.mu.Unlock()
	}
}

// listOffsets asks the leaders of partitions for the offset of a time.
func (m *Member) listOffsets(ctx context.Context, partitions []int32, when int64, committed bool) (map[int32]int64, error) {
	layout, err := m.layout(ctx)
	if err != nil {
		return nil, err
	}
	return listOffsets(ctx, m.link, m.o.Topic, layout, partitions, when, committed)
}

func listOffsets(ctx context.Context, l *link, topic string, layout *metadata.ResponseTopic, partitions []int32, when int64, committed bool) (map[int32]int64, error) {
	const doing = "asking for offsets"
	leader := make(map[int32]int32, len(layout.Partitions))
	for _, p := range layout.Partitions {
		leader[p.PartitionIndex] = p.LeaderID
	}
	byLeader := make(map[int32][]int32)
	for _, p := range partitions {
		id, ok := leader[p]
		if !ok || id < 0 {
			return nil, explain(doing, fmt.Errorf("partition %d: %w", p, kafka.LeaderNotAvailable), topic, "")
		}
		byLeader[id] = append(byLeader[id], p)
	}
	found := make(map[int32]int64, len(partitions))
	for id, ps := range byLeader {
		res, err := roundTrip[*listOffsetsResponse](ctx, l, offsetsTimeout, &listOffsetsRequest{
			clientID: l.kafka.options.ClientID, topic: topic, partitions: ps, leader: id, time: when, committed: committed,
		})
		if err != nil {
			return nil, explain(doing, err, topic, "")
		}
		for _, o := range res.offsets {
			if o.code != 0 {
				return nil, explain(doing, fmt.Errorf("partition %d: %w", o.partition, kafka.Error(o.code)), topic, "")
			}
			found[o.partition] = o.offset
		}
	}
	for _, p := range partitions {
		if _, ok := found[p]; !ok {
			return nil, explain(doing, fmt.Errorf("partition %d: %w", p, errShort), topic, "")
		}
	}
	return found, nil
}

// groupOffsets returns the committed offsets of a group; partitions without
// one are absent.
func groupOffsets(ctx context.Context, l *link, group, topic string, partitions int32) (map[int32]int64, error) {
	const doing = "fetching the group's offsets"
	req := &offsetfetch.Request{GroupID: group, Topics: []offsetfetch.RequestTopic{{Name: topic}}}
	for p := range partitions {
		req.Topics[0].PartitionIndexes = append(req.Topics[0].PartitionIndexes, p)
	}
	res, err := roundTrip[*offsetfetch.Response](ctx, l, offsetsTimeout, req)
	if err != nil {
		return nil, explain(doing, err, topic, group)
	}
	if kafka.Error(res.ErrorCode) == kafka.GroupIdNotFound {
		return map[int32]int64{}, nil // nobody ever used it; Kafka itself answers -1 for every partition
	}
	if res.ErrorCode != 0 {
		return nil, explain(doing, kafka.Error(res.ErrorCode), topic, group)
	}
	committed := make(map[int32]int64)
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return nil, explain(doing, kafka.Error(p.ErrorCode), topic, group)
			}
			if p.CommittedOffset >= 0 {
				committed[p.PartitionIndex] = p.CommittedOffset
			}
		}
	}
	return committed, nil
}
