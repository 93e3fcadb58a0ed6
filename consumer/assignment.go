package consumer

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/segmentio/kafka-go/protocol"
	groupmeta "github.com/segmentio/kafka-go/protocol/consumer"
)

// protocolName is what the members of a group must have in common.
const protocolName = "session-export-cooperative"

// protocolType lets Kafka's own tools show the assignment.
const protocolType = "consumer"

// claimant is a member as the leader sees it: what it owned when it joined,
// and in which generation that was assigned.
type claimant struct {
	id         string
	owned      []int32
	generation int32
}

// assign spreads the partitions 0 to n-1 over the members, moving as few as
// possible. Nobody gets a partition that another member still owns: it is
// taken from its owner in this round, and free for its new owner in the next,
// which begins when the owner has let go and joins again. So a partition never
// has two owners, and one that stays is never interrupted.
func assign(members []claimant, n int32) map[string][]int32 {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b claimant) int { return cmp.Compare(a.id, b.id) })
	owner := owners(members, n)
	owned := make(map[string][]int32, len(members))
	for p := range n {
		if id, ok := owner[p]; ok {
			owned[id] = append(owned[id], p)
		}
	}
	// Those who own the most keep one more when the partitions do not divide.
	slices.SortStableFunc(members, func(a, b claimant) int { return cmp.Compare(len(owned[b.id]), len(owned[a.id])) })
	result := make(map[string][]int32, len(members))
	quota := make(map[string]int, len(members))
	for i, m := range members {
		quota[m.id] = int(n) / len(members)
		if i < int(n)%len(members) {
			quota[m.id]++
		}
		keep := owned[m.id]
		result[m.id] = slices.Clone(keep[:min(len(keep), quota[m.id])])
	}
	// Free partitions go to whoever has the fewest.
	for p := range n {
		if _, taken := owner[p]; taken {
			continue
		}
		to := members[0].id
		for _, m := range members {
			if len(result[m.id])-quota[m.id] < len(result[to])-quota[to] {
				to = m.id
			}
		}
		result[to] = append(result[to], p)
	}
	for _, ps := range result {
		slices.Sort(ps)
	}
	return result
}

// owners resolves claims: of two members that claim a partition, the one that
// got it in the later generation owns it.
func owners(members []claimant, n int32) map[int32]string {
	owner := make(map[int32]string)
	since := make(map[int32]int32)
	for _, m := range members {
		for _, p := range m.owned {
			if p < 0 || p >= n {
				continue
			}
			if _, taken := owner[p]; !taken || m.generation > since[p] {
				owner[p], since[p] = m.id, m.generation
			}
		}
	}
	return owner
}

// The user data of a join: version, generation of what is owned, partitions
// known. That of an assignment: version, partitions it covers.
const userDataVersion = 1

// encodeSubscription is what a member says when it joins. Whatever must start
// a rebalance changes it: the coordinator answers a member that joins again
// with the same words with the old assignment.
func encodeSubscription(topic string, owned []int32, generation, partitions int32) ([]byte, error) {
	user := []byte{userDataVersion}
	user = binary.BigEndian.AppendUint32(user, uint32(generation)) //nolint:gosec // the wire is two's complement
	user = binary.BigEndian.AppendUint32(user, uint32(partitions)) //nolint:gosec // the wire is two's complement
	b, err := protocol.Marshal(groupmeta.MaxVersionSupported, groupmeta.Subscription{
		Version: groupmeta.MaxVersionSupported, Topics: []string{topic}, UserData: user,
		OwnedPartitions: []groupmeta.TopicPartition{{Topic: topic, Partitions: owned}},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding subscription: %w", err)
	}
	return b, nil
}

// decodeSubscription reads what a member said. One that cannot be read owns
// nothing: its partitions are then given away, and it loses them when it
// learns its assignment.
func decodeSubscription(id, topic string, b []byte) claimant {
	c := claimant{id: id, generation: -1}
	d := &decoder{b: b}
	version := d.int16()
	for range d.length(2) {
		d.string() // topic
	}
	user := d.bytes()
	var owned []int32
	if version >= 1 {
		owned = d.partitionsOf(topic)
	}
	if d.err != nil || len(user) < 9 || user[0] != userDataVersion {
		return c
	}
	c.owned = owned
	c.generation = int32(binary.BigEndian.Uint32(user[1:])) //nolint:gosec // the wire is two's complement
	return c
}

// partitionsOf reads topics and their partitions and returns those of one.
// kafka-go's own decoder believes any length that it reads.
func (d *decoder) partitionsOf(topic string) []int32 {
	var partitions []int32
	for range d.length(6) {
		of := d.string()
		for range d.length(4) {
			if p := d.int32(); of == topic {
				partitions = append(partitions, p)
			}
		}
	}
	return partitions
}

func encodeAssignment(topic string, assigned []int32, partitions int32) ([]byte, error) {
	user := binary.BigEndian.AppendUint32([]byte{userDataVersion}, uint32(partitions)) //nolint:gosec // the wire is two's complement
	b, err := protocol.Marshal(groupmeta.MaxVersionSupported, groupmeta.Assignment{
		Version: groupmeta.MaxVersionSupported, UserData: user,
		AssignedPartitions: []groupmeta.TopicPartition{{Topic: topic, Partitions: assigned}},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding assignment: %w", err)
	}
	return b, nil
}

// decodeAssignment returns the partitions, sorted, and how many the topic had
// when they were assigned. No bytes at all is an assignment of nothing.
func decodeAssignment(topic string, b []byte) ([]int32, int32, error) {
	if len(b) == 0 {
		return nil, 0, nil
	}
	d := &decoder{b: b}
	d.int16() // version
	assigned := d.partitionsOf(topic)
	user := d.bytes()
	if d.err != nil {
		return nil, 0, fmt.Errorf("decoding assignment: %w", d.err)
	}
	var partitions int32
	if len(user) >= 5 && user[0] == userDataVersion {
		partitions = int32(binary.BigEndian.Uint32(user[1:])) //nolint:gosec // the wire is two's complement
	}
	slices.Sort(assigned)
	return slices.Compact(assigned), partitions, nil
}
