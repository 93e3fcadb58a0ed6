package consumer

import (
	"context"
	"errors"
	"io"
	"sort"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
)

// GroupOffset is where a group stands in one partition.
type GroupOffset struct {
	Committed     int64 // -1 when the group has no offset
	HighWatermark int64
	LogStart      int64
	Lag           int64 // high watermark - committed (or log start), records
	Partition     int32
}

// GroupOffsets returns where a group stands in a topic, sorted by partition.
// It joins nothing, so that it also serves a group that is not running.
func GroupOffsets(ctx context.Context, k *Kafka, group, topic string) ([]GroupOffset, error) {
	l := k.link(topic)
	defer l.close()
	layout, err := topicLayout(ctx, l, topic, group)
	if err != nil {
		return nil, err
	}
	n := int32(len(layout.Partitions)) //nolint:gosec // far fewer
	all := make([]int32, n)
	for i := range all {
		all[i] = layout.Partitions[i].PartitionIndex
	}
	committed, err := groupOffsets(ctx, l, group, topic, n)
	if err != nil {
		return nil, err
	}
	ends, err := listOffsets(ctx, l, topic, layout, all, timeLatest, false)
	if err != nil {
		return nil, err
	}
	starts, err := listOffsets(ctx, l, topic, layout, all, timeEarliest, false)
	if err != nil {
		return nil, err
	}
	offsets := make([]GroupOffset, 0, n)
	for _, p := range all {
		o := GroupOffset{Partition: p, Committed: unknown, HighWatermark: ends[p], LogStart: starts[p]}
		from := o.LogStart
		if c, ok := committed[p]; ok {
			o.Committed, from = c, c
		}
		o.Lag = max(o.HighWatermark-from, 0)
		offsets = append(offsets, o)
	}
	sort.Slice(offsets, func(i, j int) bool { return offsets[i].Partition < offsets[j].Partition })
	return offsets, nil
}

// Recommit commits a group's offsets again, unchanged. Kafka forgets the
// offsets of a group without members after a while
// (offsets.retention.minutes, 7 days by default); done daily, this keeps the
// place of a group that nobody reads with. A group with members needs nothing
// and is left alone; one without offsets stays without.
func Recommit(ctx context.Context, k *Kafka, group, topic string) error {
	const doing = "committing a group's offsets again"
	l := k.link(topic)
	defer l.close()
	layout, err := topicLayout(ctx, l, topic, group)
	if err != nil {
		return err
	}
	committed, err := groupOffsets(ctx, l, group, topic, int32(len(layout.Partitions))) //nolint:gosec // far fewer
	if err != nil || len(committed) == 0 {
		return err
	}
	req := &offsetcommit.Request{GroupID: group, GenerationID: -1, Topics: []offsetcommit.RequestTopic{{Name: topic}}}
	for p, o := range committed {
		req.Topics[0].Partitions = append(req.Topics[0].Partitions,
			offsetcommit.RequestPartition{PartitionIndex: p, CommittedOffset: o, CommittedLeaderEpoch: -1})
	}
	codes, _, err := commitOffsets(ctx, l, commitTimeout, req)
	if err != nil {
		return explain(doing, err, topic, group)
	}
	for _, code := range codes {
		if outsiderRefused(code) {
			return nil
		}
		if code != 0 {
			return explain(doing, kafka.Error(code), topic, group)
		}
	}
	return nil
}

// outsiderRefused tells whether a commit from outside the group was refused
// because the group has members.
func outsiderRefused(code int16) bool {
	switch kafka.Error(code) {
	case kafka.UnknownMemberId, kafka.IllegalGeneration, kafka.RebalanceInProgress:
		return true
	default:
		return false
	}
}

// topicLayout makes sure that the cluster answers and has the topic. The
// transport's own layout hides why it is empty, so this is asked first.
func topicLayout(ctx context.Context, l *link, topic, group string) (*metadata.ResponseTopic, error) {
	const doing = "looking for the topic"
	res, err := roundTrip[*metadata.Response](ctx, l, l.dialTimeout()+layoutTimeout, &metadata.Request{TopicNames: []string{topic}})
	if l.kafka.options.SASL != nil && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		// Some brokers say nothing else when they refuse a user.
		return nil, &Error{Doing: doing, Err: err, Kind: ErrCredentials, Hint: "the broker closed the connection while signing in: user or password is wrong, or it asks for TLS"}
	}
	if err != nil {
		return nil, explain(doing, err, topic, group)
	}
	if len(res.Topics) != 1 {
		return nil, explain(doing, errors.New("the answer does not tell"), topic, group)
	}
	t := &res.Topics[0]
	if t.ErrorCode != 0 {
		return nil, explain(doing, kafka.Error(t.ErrorCode), topic, group)
	}
	if len(t.Partitions) == 0 {
		return nil, explain(doing, kafka.UnknownTopicOrPartition, topic, group)
	}
	return t, nil
}
