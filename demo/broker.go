package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	defaultTopic      = "sessions"
	defaultPartitions = 6
	segmentBytes      = 8 << 20  // small, so that trimming gives the disk back soon
	messageBytes      = 17 << 20 // room for the largest session, 16 MB, and its framing
)

// BrokerOptions describes the embedded broker.
type BrokerOptions struct {
	Topic      string // created at start; default sessions
	Partitions int32  // of the topic; default 6
	Dir        string // where records are kept; default a temporary folder that Close removes
}

// Broker is a Kafka broker inside the process, for the demo and for tests. It
// listens on a free port of 127.0.0.1 and keeps its records on disk, so that
// its memory does not grow with what was produced.
type Broker struct {
	cluster *kfake.Cluster
	client  *kgo.Client
	admin   *kadm.Client
	addr    string
	topic   string
	remove  string // folder to remove at the end, "" for none
}

// StartBroker starts a broker.
func StartBroker(o BrokerOptions) (*Broker, error) {
	if o.Topic == "" {
		o.Topic = defaultTopic
	}
	if o.Partitions == 0 {
		o.Partitions = defaultPartitions
	}
	b := &Broker{topic: o.Topic}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "session-export-broker-")
		if err != nil {
			return nil, fmt.Errorf("making the broker's folder: %w", err)
		}
		o.Dir, b.remove = dir, dir
	}
	var err error
	b.cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID("session-export-demo"),
		kfake.SeedTopics(o.Partitions, o.Topic),
		kfake.DataDir(o.Dir),
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes": strconv.Itoa(segmentBytes),
			"message.max.bytes": strconv.Itoa(messageBytes),
		}),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the broker: %w", err), b.Close())
	}
	b.addr = b.cluster.ListenAddrs()[0]
	if b.client, err = kgo.NewClient(kgo.SeedBrokers(b.addr)); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to the broker: %w", err), b.Close())
	}
	b.admin = kadm.NewClient(b.client)
	return b, nil
}

// Addr is the broker's host and port.
func (b *Broker) Addr() string { return b.addr }

// Topic is the topic that the broker was started with.
func (b *Broker) Topic() string { return b.topic }

// Close stops the broker and removes its temporary folder. What was produced
// is gone afterwards, unless the caller named the folder.
func (b *Broker) Close() error {
	if b.client != nil {
		b.client.Close()
	}
	if b.cluster != nil {
		b.cluster.Close()
	}
	if b.remove == "" {
		return nil
	}
	if err := os.RemoveAll(b.remove); err != nil {
		return fmt.Errorf("removing the broker's folder: %w", err)
	}
	return nil
}

// Backlog is how many records of the topic the slowest of the groups has not
// committed yet. A group without offsets has everything before it.
func (b *Broker) Backlog(ctx context.Context, groups ...string) (int64, error) {
	ends, err := b.admin.ListEndOffsets(ctx, b.topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("listing end offsets: %w", err)
	}
	var slowest int64
	for _, group := range groups {
		at, err := b.committed(ctx, group)
		if err != nil {
			return 0, err
		}
		var lag int64
		ends.Each(func(end kadm.ListedOffset) { lag += end.Offset - at[end.Partition] })
		slowest = max(slowest, lag)
	}
	return slowest, nil
}

// trimInterval is how often Ready gives disk space back.
const trimInterval = time.Second

// Ready returns a function for ProduceOptions.Ready that holds the producer
// while a group has more than limit records before it, and trims what all of
// the groups are done with. It is not for concurrent use.
func (b *Broker) Ready(limit int64, groups ...string) func(context.Context) error {
	var trimmed time.Time
	return func(ctx context.Context) error {
		if time.Since(trimmed) >= trimInterval {
			if err := b.Trim(ctx, groups...); err != nil {
				return err
			}
			trimmed = time.Now()
		}
		for {
			backlog, err := b.Backlog(ctx, groups...)
			if err != nil || backlog <= limit {
				return err
			}
			wait := time.NewTimer(20 * time.Millisecond)
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
				return ctx.Err()
			}
		}
	}
}

// Trim deletes the records that all of the groups have committed: whatever
// runs for hours keeps to the disk space of its backlog.
func (b *Broker) Trim(ctx context.Context, groups ...string) error {
	if len(groups) == 0 {
		return nil
	}
	slowest, err := b.committed(ctx, groups[0])
	if err != nil {
		return err
	}
	for _, group := range groups[1:] {
		at, err := b.committed(ctx, group)
		if err != nil {
			return err
		}
		for partition := range slowest {
			slowest[partition] = min(slowest[partition], at[partition])
		}
	}
	starts, err := b.admin.ListStartOffsets(ctx, b.topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("listing start offsets: %w", err)
	}
	var to kadm.Offsets
	starts.Each(func(start kadm.ListedOffset) {
		if at := slowest[start.Partition]; at > start.Offset {
			to.AddOffset(b.topic, start.Partition, at, -1)
		}
	})
	if len(to) == 0 {
		return nil
	}
	answers, err := b.admin.DeleteRecords(ctx, to)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return fmt.Errorf("deleting records: %w", err)
	}
	return nil
}

// committed tells a group's offset of each partition; 0 where it has none.
func (b *Broker) committed(ctx context.Context, group string) (map[int32]int64, error) {
	offsets, err := b.admin.FetchOffsets(ctx, group)
	if err == nil {
		err = offsets.Error()
	}
	if errors.Is(err, kerr.GroupIDNotFound) { // newer protocol versions say so instead of answering nothing.
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("fetching the offsets of group %s: %w", group, err)
	}
	at := map[int32]int64{}
	for partition, o := range offsets[b.topic] {
		at[partition] = max(o.At, 0)
	}
	return at, nil
}
