//go:build services

package services

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"sessionexport/consumer"
)

// TestMembersShareTheirPartitions lets a second and a third member come and go under load. Partitions that stay with a
// member stay without a break, and together the members read everything.
func TestMembersShareTheirPartitions(t *testing.T) {
	const partitions = 6
	k := sharedKafka(t)
	topic := newTopic(t, k, partitions, nil)
	admin := kadm.NewClient(franz(t, k))
	l := startLoad(t, k, topic, partitions, 200)

	member := func() *reader {
		return startReader(t, connect(t, consumer.KafkaOptions{Brokers: k.Brokers()}), topic, topic)
	}
	holds := func(counts ...int) func(readers ...*reader) {
		return func(readers ...*reader) {
			t.Helper()
			eventually(t, "the partitions are shared out evenly", func() bool {
				for i, r := range readers {
					if len(claims(r)) != counts[i] {
						return false
					}
				}
				return true
			})
		}
	}

	first := member()
	holds(6)(first)
	alone := claims(first)

	second := member()
	holds(3, 3)(first, second)
	for _, c := range claims(first) {
		if !slices.Contains(alone, c) {
			t.Errorf("claim %+v was interrupted: it was not among %+v", c, alone)
		}
	}
	another(t, first, 50)
	another(t, second, 50)
	pair := claims(first)

	third := member()
	holds(2, 2, 2)(first, second, third)
	for _, c := range claims(first) {
		if !slices.Contains(pair, c) {
			t.Errorf("claim %+v was interrupted: it was not among %+v", c, pair)
		}
	}
	another(t, third, 50)

	second.stop()
	holds(3, 3)(first, third)
	third.stop()
	holds(6)(first)
	another(t, first, 50)

	l.stop()
	eventually(t, "everything is committed", func() bool { return finished(t, admin, topic, topic) })
	first.stop()
	sameRecords(t, union(t, first, second, third), l.written())
	for i, r := range []*reader{first, second, third} {
		if !r.ordered {
			t.Errorf("member %d read a partition out of order", i+1)
		}
	}
}

// claims returns what a member owns, by partition.
func claims(r *reader) []consumer.Claim {
	var owned []consumer.Claim
	for _, p := range r.member.Status().Partitions {
		owned = append(owned, p.Claim)
	}
	slices.SortFunc(owned, func(a, b consumer.Claim) int { return int(a.Partition - b.Partition) })
	return owned
}
