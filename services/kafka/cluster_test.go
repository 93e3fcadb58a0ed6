//go:build services

package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionexport/consumer"
	"sessionexport/services"
)

// TestCluster has one cluster of three nodes for all its parts: starting one takes most of their time.
func TestCluster(t *testing.T) {
	k := services.StartKafka(t, services.KafkaOptions{Nodes: 3})
	connection := services.Connect(t, consumer.KafkaOptions{Brokers: k.Brokers()})
	admin := kadm.NewClient(services.Franz(t, k))

	t.Run("coordinator killed", func(t *testing.T) { coordinatorKilled(t, k, connection, admin) })
	t.Run("leaders in trouble", func(t *testing.T) { leadersInTrouble(t, k, connection, admin) })
}

// coordinatorKilled takes a group's coordinator away. Its partitions live on the other nodes alone, so nothing but the
// membership is in trouble, and that must not be felt by whoever reads.
func coordinatorKilled(t *testing.T, k *services.Kafka, connection *consumer.Kafka, admin *kadm.Client) {
	const group = "coordinator-killed"
	// A broker that is gone is noticed after broker.session.timeout.ms, a member that is gone after 10 s. A reader that
	// depends on its coordinator is quiet for longer than the latter.
	const longest = 5 * time.Second

	coordinator := coordinatorOf(t, admin, group)
	var others []int32
	for id := int32(1); id <= 3; id++ {
		if id != coordinator {
			others = append(others, id)
		}
	}
	createOn(t, k, group, others[0], others[1], others[0], others[1])
	l := services.StartLoad(t, k, group, 4, 100)
	r := services.StartReader(t, connection, group, group)
	services.Another(t, r, 300)
	before := r.Member.Status()
	r.Quiet()

	if err := k.Node(coordinator).Kill(); err != nil {
		t.Fatal(err)
	}
	services.Eventually(t, "another node coordinates the group", func() bool {
		found := admin.FindGroupCoordinators(services.Context(t), group)[group]
		return found.Err == nil && found.NodeID != coordinator
	})
	services.Another(t, r, 500)
	if gap := r.Quiet(); gap > longest {
		t.Errorf("nothing was read for %s although no partition was in trouble", gap)
	} else {
		t.Logf("longest gap between two records: %s", gap)
	}
	l.Stop()
	services.Eventually(t, "commits work again", func() bool { return services.Finished(t, admin, group, group) })
	if after := r.Member.Status(); after.Generation != before.Generation || after.Rebalances != before.Rebalances {
		t.Errorf("generation %d with %d rebalances became generation %d with %d: the group came apart",
			before.Generation, before.Rebalances, after.Generation, after.Rebalances)
	}
	r.Stop()
	services.SameRecords(t, r.Read(), l.Written())
	if r.Again() != 0 || !r.Ordered() {
		t.Errorf("records read twice: %d, in order: %t", r.Again(), r.Ordered())
	}
	if err := k.Node(coordinator).Start(); err != nil {
		t.Fatal(err)
	}
}

// leadersInTrouble kills, freezes and restarts nodes under load. Everything that Kafka acknowledged is read.
func leadersInTrouble(t *testing.T, k *services.Kafka, connection *consumer.Kafka, admin *kadm.Client) {
	topic := services.NewTopic(t, k, 6, nil)
	l := services.StartLoad(t, k, topic, 6, 100)
	r := services.StartReader(t, connection, topic, topic)
	services.Another(t, r, 300)

	steps := []struct {
		name string
		do   func() error
	}{
		{"node 1 killed", k.Node(1).Kill},
		{"node 1 back", k.Node(1).Start},
		{"node 2 frozen", k.Node(2).Pause},
		{"node 2 thawed", k.Node(2).Resume},
		{"node 3 shut down", k.Node(3).Stop},
		{"node 3 back", k.Node(3).Start},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		// Two from every partition and then some: all of them are read again.
		services.Another(t, r, 400)
		t.Logf("%s: longest gap between two records %s", step.name, r.Quiet())
	}

	l.Stop()
	services.Eventually(t, "everything is committed", func() bool { return services.Finished(t, admin, topic, topic) })
	r.Stop()
	services.SameRecords(t, r.Read(), l.Written())
	if !r.Ordered() {
		t.Error("a partition was read out of order")
	}
}

func coordinatorOf(t *testing.T, admin *kadm.Client, group string) int32 {
	t.Helper()
	var id int32
	services.Eventually(t, "the group has a coordinator", func() bool {
		found := admin.FindGroupCoordinators(services.Context(t), group)[group]
		id = found.NodeID
		return found.Err == nil
	})
	return id
}

// createOn creates a topic with one partition, without a replica elsewhere, for each of the nodes.
func createOn(t *testing.T, k *services.Kafka, topic string, nodes ...int32) {
	t.Helper()
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = 30_000
	create := kmsg.NewCreateTopicsRequestTopic()
	create.Topic, create.NumPartitions, create.ReplicationFactor = topic, -1, -1
	for partition, node := range nodes {
		assignment := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		assignment.Partition, assignment.Replicas = int32(partition), []int32{node}
		create.ReplicaAssignment = append(create.ReplicaAssignment, assignment)
	}
	config := kmsg.NewCreateTopicsRequestTopicConfig()
	config.Name, config.Value = "min.insync.replicas", kmsg.StringPtr("1")
	create.Configs = append(create.Configs, config)
	request.Topics = append(request.Topics, create)

	response, err := request.RequestWith(context.WithoutCancel(services.Context(t)), services.Franz(t, k))
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(response.Topics[0].ErrorCode); err != nil {
		t.Fatalf("creating topic %s: %v", topic, err)
	}
}
