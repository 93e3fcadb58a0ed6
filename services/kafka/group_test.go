//go:build services

package kafka_test

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"sessionexport/consumer"
	"sessionexport/services"
)

// TestMembersShareTheirPartitions lets a second and a third member come and go under load. Partitions that stay with a
// member stay without a break, and together the members read everything.
func TestMembersShareTheirPartitions(t *testing.T) { everyShared(t, membersShare) }

func membersShare(t *testing.T, k *services.Kafka) {
	const partitions = 6
	topic := services.NewTopic(t, k, partitions, nil)
	admin := kadm.NewClient(services.Franz(t, k))
	l := services.StartLoad(t, k, topic, partitions, 200)

	member := func() *services.Reader {
		return services.StartReader(t, services.Connect(t, consumer.KafkaOptions{Brokers: k.Brokers()}), topic, topic)
	}
	holds := func(counts ...int) func(readers ...*services.Reader) {
		return func(readers ...*services.Reader) {
			t.Helper()
			services.Eventually(t, "the partitions are shared out evenly", func() bool {
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
	services.Another(t, first, 50)
	services.Another(t, second, 50)
	pair := claims(first)

	third := member()
	holds(2, 2, 2)(first, second, third)
	for _, c := range claims(first) {
		if !slices.Contains(pair, c) {
			t.Errorf("claim %+v was interrupted: it was not among %+v", c, pair)
		}
	}
	services.Another(t, third, 50)

	second.Stop()
	holds(3, 3)(first, third)
	third.Stop()
	holds(6)(first)
	services.Another(t, first, 50)

	l.Stop()
	services.Eventually(t, "everything is committed", func() bool { return services.Finished(t, admin, topic, topic) })
	first.Stop()
	services.SameRecords(t, services.Union(t, first, second, third), l.Written())
	for i, r := range []*services.Reader{first, second, third} {
		if !r.Ordered() {
			t.Errorf("member %d read a partition out of order", i+1)
		}
	}
}

// claims returns what a member owns, by partition.
func claims(r *services.Reader) []consumer.Claim {
	var owned []consumer.Claim
	for _, p := range r.Member.Status().Partitions {
		owned = append(owned, p.Claim)
	}
	slices.SortFunc(owned, func(a, b consumer.Claim) int { return int(a.Partition - b.Partition) })
	return owned
}
