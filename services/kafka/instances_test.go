//go:build services

package kafka_test

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"sessionexport/services"
)

// TestInstances runs several of the program as one group: they share the partitions, and together they deliver
// everything, whoever comes and goes.
func TestInstances(t *testing.T) {
	everyShared(t, func(t *testing.T, k *services.Kafka) {
		t.Run("three share", func(t *testing.T) { threeShare(t, k) })
		t.Run("static id", func(t *testing.T) { staticID(t, k) })
	})
}

// threeShare lets a second and a third instance come, one shut down, one die and one come back.
func threeShare(t *testing.T, k *services.Kafka) {
	const partitions, perSecond = 6, 200
	topic := services.NewTopic(t, k, partitions, nil)
	admin := kadm.NewClient(services.Franz(t, k))
	hook := &services.Webhook{Partitions: partitions}
	authority, receiver := receiver(t, hook)
	var instances [3]*exporter
	for i := range instances {
		instances[i] = installFor(t, exporterOptions{brokers: k.Brokers(), topic: topic}, authority, receiver)
	}
	a, b, c := instances[0], instances[1], instances[2]
	l := services.StartLoad(t, k, topic, partitions, perSecond)

	hold := func(what string, counts map[*exporter]int) {
		t.Helper()
		begun := time.Now()
		services.Eventually(t, "the partitions are shared out evenly", func() bool {
			for e, want := range counts {
				if s := e.status(t); len(s.Partitions) != want || s.Kafka.State != "stable" {
					return false
				}
			}
			return true
		})
		shared := time.Since(begun)
		more(t, hook, 2*perSecond)
		t.Logf("%s: shared out after %s; longest pause of deliveries %s, of the producers %s", what, shared, hook.Quiet(), l.Quiet())
	}
	a.Start(t)
	hold("the first", map[*exporter]int{a: 6})
	alone := a.status(t).owned()
	b.Start(t)
	hold("the second", map[*exporter]int{a: 3, b: 3})
	c.Start(t)
	hold("the third", map[*exporter]int{a: 2, b: 2, c: 2})
	for _, p := range a.status(t).owned() {
		if !slices.Contains(alone, p) {
			t.Errorf("the first instance got partition %d in exchange for one that it had", p)
		}
	}
	c.ShutDown(t)
	hold("the third shut down", map[*exporter]int{a: 3, b: 3})
	repeated := func() int {
		n := 0
		for _, times := range hook.Sessions() {
			n += times - 1
		}
		return n
	}
	if n := repeated(); n != 0 {
		t.Errorf("%d sessions arrived again although nobody died", n)
	}
	b.Kill(t)
	hold("the second killed", map[*exporter]int{a: 6})
	committedUp(t, admin, topic, a.group)
	killed := repeated()
	t.Logf("the kill repeated %d sessions", killed)
	b.Start(t)
	hold("the second back", map[*exporter]int{a: 3, b: 3})

	l.Stop()
	services.Eventually(t, "everything is committed", func() bool { return services.Finished(t, admin, topic, a.group) })
	a.ShutDown(t)
	b.ShutDown(t)
	if n := delivered(t, hook, l.Written(), true); n != killed {
		t.Errorf("%d sessions arrived again, %d of them after the kill: nobody died any more", n, n-killed)
	}
}

// staticID shuts an instance with a static id down, and kills it. It is back within its session: it gets the partitions
// that it had, and the other instance hears nothing of it.
func staticID(t *testing.T, k *services.Kafka) {
	const partitions, perSecond = 4, 100
	topic := services.NewTopic(t, k, partitions, nil)
	admin := kadm.NewClient(services.Franz(t, k))
	hook := &services.Webhook{Partitions: partitions}
	authority, receiver := receiver(t, hook)
	a := installFor(t, exporterOptions{brokers: k.Brokers(), topic: topic, kafka: "instanceId: a"}, authority, receiver)
	b := installFor(t, exporterOptions{brokers: k.Brokers(), topic: topic, kafka: "instanceId: b"}, authority, receiver)
	l := services.StartLoad(t, k, topic, partitions, perSecond)
	a.Start(t)
	b.Start(t)
	services.Eventually(t, "the partitions are shared out evenly", func() bool {
		sa, sb := a.status(t), b.status(t)
		return len(sa.Partitions) == 2 && len(sb.Partitions) == 2 && sa.Kafka.State == "stable" && sb.Kafka.State == "stable"
	})
	more(t, hook, perSecond)
	before, had := a.status(t).Kafka, b.status(t).owned()

	for _, end := range []struct {
		name string
		do   func(testing.TB)
	}{{"shut down", b.ShutDown}, {"killed", b.Kill}} {
		end.do(t)
		begun := time.Now()
		b.Start(t)
		services.Eventually(t, "the instance has its partitions back", func() bool { return slices.Equal(b.status(t).owned(), had) })
		t.Logf("%s: partitions back %s after the start of the process", end.name, time.Since(begun))
		more(t, hook, 2*perSecond)
	}
	if after := a.status(t).Kafka; after.Generation != before.Generation || after.Rebalances != before.Rebalances {
		t.Errorf("the other instance was in generation %d after %d rebalances, and now in %d after %d",
			before.Generation, before.Rebalances, after.Generation, after.Rebalances)
	}
	l.Stop()
	services.Eventually(t, "everything is committed", func() bool { return services.Finished(t, admin, topic, a.group) })
	a.ShutDown(t)
	b.ShutDown(t)
	delivered(t, hook, l.Written(), true)
}
