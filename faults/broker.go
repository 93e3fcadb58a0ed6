package main

import (
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

const (
	topic        = "sessions"
	letterTopic  = "session-export.dead-letters"
	partitions   = 6
	segmentBytes = 8 << 20
	messageBytes = 17 << 20
)

// broker is an embedded cluster that can be stopped and started again with
// everything that it had, and silenced.
type broker struct {
	*gate
	nodes int
	dir   string

	mu      sync.Mutex
	cluster *kfake.Cluster // nil while it is stopped
	ports   []int
	addrs   []string
}

func startBroker(nodes int, dir string) (*broker, error) {
	b := &broker{gate: newGate(), nodes: nodes, dir: dir}
	return b, b.start()
}

// start starts the cluster; after a stop on the same ports, with its records,
// groups and offsets.
func (b *broker) start() error {
	options := []kfake.Opt{
		kfake.NumBrokers(b.nodes), kfake.ClusterID("session-export-faults"), kfake.SeedTopics(partitions, topic),
		kfake.DataDir(b.dir), kfake.ListenFn(b.listen),
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes": strconv.Itoa(segmentBytes), "message.max.bytes": strconv.Itoa(messageBytes),
		}),
	}
	if b.ports != nil {
		options = append(options, kfake.Ports(b.ports...))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return fmt.Errorf("starting the broker: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cluster, b.addrs = cluster, cluster.ListenAddrs()
	b.ports = nil
	for _, a := range b.addrs {
		_, port, err := net.SplitHostPort(a)
		if err != nil {
			return fmt.Errorf("reading the broker's address %s: %w", a, err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return fmt.Errorf("reading the broker's address %s: %w", a, err)
		}
		b.ports = append(b.ports, n)
	}
	return nil
}

// stop stops the cluster. What it has is on disk.
func (b *broker) stop() {
	b.mu.Lock()
	cluster := b.cluster
	b.cluster = nil
	b.mu.Unlock()
	if cluster != nil {
		b.cut()
		cluster.Close()
	}
}

// running returns the cluster, nil while it is stopped.
func (b *broker) running() *kfake.Cluster {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cluster
}

// committed is what a group has committed, by partition; false while nobody
// can tell.
func (b *broker) committed(group string) (map[int32]int64, bool) {
	b.mu.Lock() // the cluster is not stopped meanwhile
	defer b.mu.Unlock()
	if b.cluster == nil {
		return nil, false
	}
	at := map[int32]int64{}
	if info := b.cluster.GroupInfo(group); info != nil {
		for partition, c := range info.Commits[topic] {
			at[partition] = max(c.Offset, 0)
		}
	}
	return at, true
}

// end is how many records a topic has or had.
func (b *broker) end(name string) (int64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cluster == nil {
		return 0, false
	}
	var sum int64
	for _, p := range b.cluster.PartitionInfos(name) {
		sum += p.HighWatermark
	}
	return sum, true
}

// whole tells whether a group has so many members, and these all partitions.
func (b *broker) whole(group string, members int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cluster == nil {
		return false
	}
	info := b.cluster.GroupInfo(group)
	return info != nil && info.State == "Stable" && len(info.Members) == members && info.NumAssigned() == partitions
}

// move gives every group another coordinator, and every partition another
// leader.
func (b *broker) move() {
	if cluster := b.running(); cluster != nil {
		cluster.RehashCoordinators()
		cluster.ShufflePartitionLeaders()
	}
}

// trim deletes what lies before the offsets.
func (b *broker) trim(before map[int32]int64) {
	cluster := b.running()
	if cluster == nil {
		return
	}
	for partition, offset := range before {
		_ = cluster.DeleteRecords(topic, partition, offset) // it is only for the disk
	}
}
