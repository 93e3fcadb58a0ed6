//go:build services

package kafka_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/services"
)

// TestOffsets has what happens to the places at which the program goes on: new partitions, records that Kafka deleted
// before they were read, and offsets that are gone.
func TestOffsets(t *testing.T) {
	everyShared(t, func(t *testing.T, k *services.Kafka) {
		t.Run("grown", func(t *testing.T) { topicGrown(t, k) })
		t.Run("records deleted", func(t *testing.T) {
			recordsPassed(t, k, func(t *testing.T, admin *kadm.Client, topic string) {
				remove := kadm.Offsets{}
				remove.Add(kadm.Offset{Topic: topic, Partition: 0, At: 150})
				remove.Add(kadm.Offset{Topic: topic, Partition: 1, At: 180})
				removed, err := admin.DeleteRecords(services.Context(t), remove)
				must(t, err)
				must(t, removed.Error())
			})
		})
		t.Run("retention", func(t *testing.T) {
			recordsPassed(t, k, func(t *testing.T, admin *kadm.Client, topic string) {
				alter(t, admin, topic, "retention.ms", "500")
				services.Eventually(t, "retention has deleted everything", func() bool {
					starts, err := admin.ListStartOffsets(services.Context(t), topic)
					must(t, err)
					return starts[topic][0].Offset == 200 && starts[topic][1].Offset == 200
				})
				alter(t, admin, topic, "retention.ms", "-1")
			})
		})
		t.Run("offsets deleted", func(t *testing.T) { offsetsDeleted(t, k) })
	})
}

// topicGrown doubles the partitions of the topic while the program runs, and while it is loaded.
func topicGrown(t *testing.T, k *services.Kafka) {
	const perSecond = 100
	topic := services.NewTopic(t, k, 3, nil)
	admin := kadm.NewClient(services.Franz(t, k))
	hook := &services.Webhook{Partitions: 3}
	e := install(t, exporterOptions{brokers: k.Brokers(), topic: topic, handler: hook})
	e.Start(t)
	old := services.StartLoad(t, k, topic, 3, perSecond)
	more(t, hook, 2*perSecond)
	hook.Quiet()
	old.Quiet()

	grown, err := admin.UpdatePartitions(services.Context(t), 6, topic)
	must(t, err)
	must(t, grown.Error())
	begun := time.Now()
	wide := services.StartLoadAt(t, k, topic, 6, perSecond, 1_000_000)
	services.Eventually(t, "the new partitions are read", func() bool { return len(e.status(t).Partitions) == 6 })
	t.Logf("the new partitions are read after %s; longest pause of deliveries %s, of the producers %s",
		time.Since(begun), hook.Quiet(), old.Quiet())
	more(t, hook, 4*perSecond)
	old.Stop()
	wide.Stop()
	services.Eventually(t, "everything is committed", func() bool { return services.Finished(t, admin, topic, e.group) })
	e.ShutDown(t)

	written := old.Written()
	for at, value := range wide.Written() {
		written[at] = value
	}
	delivered(t, hook, written, false)
}

// recordsPassed stops the program, which has 100 records of each of two partitions behind it and 100 before it, while
// records are deleted beyond its committed offsets. How many were lost is counted, logged and alerted, and the rest arrives.
func recordsPassed(t *testing.T, k *services.Kafka, remove func(t *testing.T, admin *kadm.Client, topic string)) {
	topic := services.NewTopic(t, k, 2, map[string]*string{"segment.ms": kadm.StringPtr("500")})
	admin := kadm.NewClient(services.Franz(t, k))
	hook := &services.Webhook{Partitions: 2}
	e := install(t, exporterOptions{brokers: k.Brokers(), topic: topic, handler: hook})
	e.Start(t)
	written := produce(t, k, topic, 2, 0, 200)
	services.Eventually(t, "the first half is committed", func() bool { return services.Finished(t, admin, topic, e.group) })
	e.ShutDown(t)

	for at, value := range produce(t, k, topic, 2, 200, 200) {
		written[at] = value
	}
	remove(t, admin, topic)
	starts, err := admin.ListStartOffsets(services.Context(t), topic)
	must(t, err)
	lost := 0
	for at := range written {
		if at.Offset >= 100 && at.Offset < starts[topic][at.Partition].Offset {
			delete(written, at)
			lost++
		}
	}
	for at, value := range produce(t, k, topic, 2, 400, 50) {
		written[at] = value
	}
	e.Start(t)
	services.Eventually(t, "everything that is left is committed", func() bool { return services.Finished(t, admin, topic, e.group) })
	services.Eventually(t, "the alert is open", func() bool {
		return strings.Contains(e.Process().Output(), "cause=out_of_range")
	})
	if n := e.metric(t, "session_export_kafka_out_of_range_total"); n != 2 {
		t.Errorf("%v positions out of range, want one of each partition", n)
	}
	output := e.Process().Output()
	for _, line := range regexp.MustCompile(`(?m)^.*(position is out of range|cause=out_of_range).*$`).FindAllString(output, -1) {
		t.Log(line)
	}
	e.ShutDown(t)
	delivered(t, hook, written, false)
	t.Logf("%d sessions were deleted before they were read", lost)
}

// offsetsDeleted takes the offset of one partition and then the whole group away from the program while it does not run,
// as an operator does by mistake, or Kafka after seven days: what is there is delivered again rather than passed over.
func offsetsDeleted(t *testing.T, k *services.Kafka) {
	topic := services.NewTopic(t, k, 2, nil)
	admin := kadm.NewClient(services.Franz(t, k))
	hook := &services.Webhook{Partitions: 2}
	e := install(t, exporterOptions{brokers: k.Brokers(), topic: topic, handler: hook})
	written := map[services.Place]string{}
	round := func(want int) {
		t.Helper()
		for at, value := range produce(t, k, topic, 2, len(written), 100) {
			written[at] = value
		}
		e.Start(t)
		services.Eventually(t, "everything is committed", func() bool { return services.Finished(t, admin, topic, e.group) })
		e.ShutDown(t)
		if n := hook.Count(); n != want {
			t.Errorf("%d sessions arrived in all, want %d", n, want)
		}
	}
	round(100)

	one := kadm.TopicsSet{}
	one.Add(topic, 0)
	deleted, err := admin.DeleteOffsets(services.Context(t), e.group, one)
	must(t, err)
	must(t, deleted.Error())
	round(100 + 100 + 50) // the first half of partition 0 again

	gone, err := admin.DeleteGroups(services.Context(t), e.group)
	must(t, err)
	must(t, gone.Error())
	round(250 + 300) // everything, as startFrom=earliest says
	delivered(t, hook, written, true)
}

// produce writes documents first to first+n-1, each to the partition of its number, and returns them by place.
func produce(t *testing.T, k *services.Kafka, topic string, partitions int32, first, n int) map[services.Place]string {
	t.Helper()
	client := services.Franz(t, k, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var records []*kgo.Record
	for i := first; i < first+n; i++ {
		r := kgo.StringRecord(services.Document(i))
		r.Partition = int32(i) % partitions
		records = append(records, r)
	}
	results := client.ProduceSync(services.Context(t), records...)
	must(t, results.FirstErr())
	written := map[services.Place]string{}
	for _, r := range records {
		written[services.Place{Partition: r.Partition, Offset: r.Offset}] = string(r.Value)
	}
	return written
}

// alter sets one setting of a topic.
func alter(t *testing.T, admin *kadm.Client, topic, name, value string) {
	t.Helper()
	altered, err := admin.AlterTopicConfigs(services.Context(t), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, topic)
	must(t, err)
	for _, a := range altered {
		must(t, a.Err)
	}
}
