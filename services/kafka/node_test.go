//go:build services

package kafka_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"sessionexport/services"
)

// TestOnlyNode takes the only node away under load: it dies, and it freezes. The program tells that no broker answers and goes on
// by itself when one does; what Kafka acknowledged is delivered, once.
func TestOnlyNode(t *testing.T) {
	t.Parallel()
	everyVersion(t, func(t *testing.T, version string) {
		const partitions, perSecond = 2, 50
		k := services.StartKafka(t, services.KafkaOptions{Version: version})
		topic := services.NewTopic(t, k, partitions, nil)
		admin := kadm.NewClient(services.Franz(t, k))
		hook := &services.Webhook{Partitions: partitions}
		e := install(t, exporterOptions{brokers: k.Brokers(), topic: topic, handler: hook})
		e.Start(t)
		l := services.StartLoad(t, k, topic, partitions, perSecond)
		more(t, hook, perSecond)
		hook.Quiet()
		l.Quiet()

		node := k.Node(1)
		for _, trouble := range []struct {
			name     string
			do, mend func() error
		}{
			{"killed", node.Kill, node.Start},
			{"frozen", node.Pause, node.Resume},
		} {
			must(t, trouble.do())
			services.Eventually(t, "/readyz says that nothing is read", func() bool {
				status, _, err := e.Get(services.Context(t), "/readyz")
				return err == nil && status == http.StatusServiceUnavailable
			})
			t.Log(trouble.name, ": ", e.status(t).Kafka.Error)
			must(t, trouble.mend())
			begun := time.Now()
			more(t, hook, perSecond)
			services.Eventually(t, "the program is ready again", func() bool {
				status, _, err := e.Get(services.Context(t), "/readyz")
				return err == nil && status == http.StatusOK
			})
			t.Logf("%s: delivered again %s after the node was back; longest pause of deliveries %s, of the producers %s",
				trouble.name, time.Since(begun), hook.Quiet(), l.Quiet())
		}
		l.Stop()
		services.Eventually(t, "everything is committed", func() bool { return services.Finished(t, admin, topic, e.group) })
		e.ShutDown(t)
		delivered(t, hook, l.Written(), true) // frozen for longer than a session, the node may have given the membership up
	})
}
