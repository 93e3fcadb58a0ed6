//go:build services

package kafka_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionexport/services"
)

// TestCluster has one cluster of three nodes of each version for all its parts: starting one takes most of their time.
// Every part leaves all nodes running.
func TestCluster(t *testing.T) {
	everyVersion(t, func(t *testing.T, version string) {
		k := services.StartKafka(t, services.KafkaOptions{Version: version, Nodes: 3})
		admin := kadm.NewClient(services.Franz(t, k))
		for _, part := range []struct {
			name string
			test func(*testing.T, *services.Kafka, *kadm.Client)
		}{
			{"coordinator", coordinatorInTrouble},
			{"leaders", leadersInTrouble},
			{"dead letters", lettersWait},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, k, admin) })
		}
	})
}

// coordinatorInTrouble takes the coordinator of the program's group away in every way. The partitions live on the other
// nodes alone, so nothing but the membership is in trouble, and that must not be felt by whoever receives.
func coordinatorInTrouble(t *testing.T, k *services.Kafka, admin *kadm.Client) {
	const partitions, perSecond = 4, 100
	topic := services.TopicName(t)
	group := topic + ".lines"
	home := homeOf(t, admin, group)
	others := []int32{home%3 + 1, (home+1)%3 + 1}
	createOn(t, k, topic, []int32{others[0], others[1]}, []int32{others[1], others[0]},
		[]int32{others[0], others[1]}, []int32{others[1], others[0]})

	hook := &services.Webhook{Partitions: partitions}
	e := install(t, exporterOptions{brokers: k.Brokers(), topic: topic, handler: hook})
	e.Start(t)
	l := services.StartLoad(t, k, topic, partitions, perSecond)
	more(t, hook, 3*perSecond)
	before := e.status(t)

	away := func() bool { return coordinator(t, admin, group) != home }
	back := func() bool { return coordinator(t, admin, group) == home }
	node := k.Node(home)
	for _, fault := range []struct {
		name      string
		do, mend  func() error
		prepare   func() // before the pause is measured
		effective func() bool
	}{
		{name: "killed", do: node.Kill, mend: node.Start, effective: away},
		{name: "shut down", do: node.Stop, mend: node.Start, effective: away},
		{name: "frozen", do: node.Pause, mend: node.Resume, effective: away},
		{name: "moved by a preferred election", effective: back,
			prepare: func() {
				// After a restart the leadership stays with whoever has it until an election gives it back.
				must(t, node.Stop())
				services.Eventually(t, "the coordinator has moved", away)
				must(t, node.Start())
			},
			do: func() error { electHome(t, admin, back); return nil }},
	} {
		var pause, producers time.Duration
		for try := 1; ; try++ {
			electHome(t, admin, back)
			if fault.prepare != nil {
				fault.prepare()
			}
			more(t, hook, perSecond)
			hook.Quiet()
			l.Quiet()
			begun := time.Now()
			must(t, fault.do())
			services.Eventually(t, "another node coordinates the group", fault.effective)
			found := time.Since(begun)
			more(t, hook, 4*perSecond)
			pause, producers = hook.Quiet(), l.Quiet()
			commits := committedUp(t, admin, topic, group)
			t.Logf("%s: another coordinator after %s, committed %s later; longest pause of deliveries %s, of the producers %s",
				fault.name, found, commits, pause, producers)
			if fault.mend != nil {
				must(t, fault.mend())
			}
			if pause <= producers+time.Second {
				break
			}
			if try == 2 { // one disturbance by what else this machine does is allowed for
				t.Errorf("%s: a partition had no delivery for %s, twice in a row, although its producers paused for %s only", fault.name, pause, producers)
				break
			}
		}
	}

	l.Stop()
	services.Eventually(t, "everything is committed", func() bool { return services.Finished(t, admin, topic, group) })
	if after := e.status(t); after.Kafka.Generation != before.Kafka.Generation || after.Kafka.Rebalances != before.Kafka.Rebalances {
		t.Errorf("generation %d with %d rebalances became generation %d with %d: the group came apart",
			before.Kafka.Generation, before.Kafka.Rebalances, after.Kafka.Generation, after.Kafka.Rebalances)
	}
	e.ShutDown(t)
	delivered(t, hook, l.Written(), false)
}

// leadersInTrouble kills, freezes and shuts down one node after the other under load. Everything that Kafka acknowledged
// is delivered, once.
func leadersInTrouble(t *testing.T, k *services.Kafka, admin *kadm.Client) {
	const partitions, perSecond = 6, 100
	topic := services.NewTopic(t, k, partitions, nil)
	hook := &services.Webhook{Partitions: partitions}
	e := install(t, exporterOptions{brokers: k.Brokers(), topic: topic, handler: hook})
	e.Start(t)
	l := services.StartLoad(t, k, topic, partitions, perSecond)
	more(t, hook, 3*perSecond)
	hook.Quiet()
	l.Quiet()

	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"node 1 killed", k.Node(1).Kill},
		{"node 1 back", k.Node(1).Start},
		{"node 2 frozen", k.Node(2).Pause},
		{"node 2 thawed", k.Node(2).Resume},
		{"node 3 shut down", k.Node(3).Stop},
		{"node 3 back", k.Node(3).Start},
	} {
		must(t, step.do())
		// Some from every partition and then more: all of them are read again.
		more(t, hook, 4*perSecond)
		t.Logf("%s: longest pause of deliveries %s, of the producers %s", step.name, hook.Quiet(), l.Quiet())
	}
	l.Stop()
	services.Eventually(t, "everything is committed", func() bool { return services.Finished(t, admin, topic, e.group) })
	e.ShutDown(t)
	delivered(t, hook, l.Written(), false)
}

// coordinator returns the node that coordinates a group; 0 while there is none.
func coordinator(t *testing.T, admin *kadm.Client, group string) int32 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	found := admin.FindGroupCoordinators(ctx, group)[group]
	if found.Err != nil {
		return 0
	}
	return found.NodeID
}

const offsetsTopic = "__consumer_offsets"

// homeOf returns the node that coordinates a group when all nodes are well and an election was held: the first replica
// of the group's partition of the topic with the offsets.
func homeOf(t *testing.T, admin *kadm.Client, group string) int32 {
	t.Helper()
	services.Eventually(t, "the group has a coordinator", func() bool { return coordinator(t, admin, group) != 0 })
	var partitions kadm.PartitionDetails
	services.Eventually(t, "the topic of the offsets is known to the node that is asked", func() bool {
		topics, err := admin.ListTopicsWithInternal(services.Context(t), offsetsTopic)
		partitions = topics[offsetsTopic].Partitions
		return err == nil && len(partitions) > 0
	})
	hash := int32(0) // Java's of a string
	for _, c := range group {
		hash = 31*hash + c
	}
	return partitions[(hash&math.MaxInt32)%int32(len(partitions))].Replicas[0]
}

// electHome holds preferred elections for the topic with the offsets until they have the wanted result: a node that has
// come back needs a while until it may lead again.
func electHome(t *testing.T, admin *kadm.Client, done func() bool) {
	t.Helper()
	topics, err := admin.ListTopicsWithInternal(services.Context(t), offsetsTopic)
	must(t, err)
	services.Eventually(t, "an election has the wanted result", func() bool {
		if done() {
			return true
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, topics.TopicsSet())
		return err == nil && done()
	})
}

// createOn creates a topic with a partition for each list of nodes, which has its replicas there, the first one leading.
func createOn(t *testing.T, k *services.Kafka, topic string, replicas ...[]int32) {
	t.Helper()
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = 30_000
	create := kmsg.NewCreateTopicsRequestTopic()
	create.Topic, create.NumPartitions, create.ReplicationFactor = topic, -1, -1
	for partition, nodes := range replicas {
		assignment := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		assignment.Partition, assignment.Replicas = int32(partition), nodes
		create.ReplicaAssignment = append(create.ReplicaAssignment, assignment)
	}
	request.Topics = append(request.Topics, create)

	client := services.Franz(t, k)
	response, err := request.RequestWith(services.Context(t), client)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(response.Topics[0].ErrorCode); err != nil {
		t.Fatalf("creating topic %s: %v", topic, err)
	}
	services.UntilKnown(t, kadm.NewClient(client), topic)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
