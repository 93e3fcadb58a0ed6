package e2e

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestDeadLettersCannotBeWritten lets Kafka refuse dead letters for a while:
// the sink holds for a cause of its own, commits nothing beyond, and goes on
// when the letter is durable.
func TestDeadLettersCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	r := s.receiver()
	v := s.serve(s.config("", sink{id: "lines", url: r.URL("/").String()}))
	produced := small(0, 40)
	s.produce(produced[:20])
	until(t, "the first sessions are committed", func() bool { return s.committed("lines")[0] == 20 })

	var refused atomic.Int64
	var working atomic.Bool
	s.cluster.ControlKey(kmsg.Produce.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		produce, ok := req.(*kmsg.ProduceRequest)
		if !ok || working.Load() || !toLetters(s, produce) {
			return nil, nil, false
		}
		refused.Add(1)
		res := produce.ResponseKind().(*kmsg.ProduceResponse) //nolint:forcetypeassert // the kind of its request
		for _, topic := range produce.Topics {
			answer := kmsg.NewProduceResponseTopic()
			answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				partition := kmsg.NewProduceResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, kerr.NotEnoughReplicas.Code
				answer.Partitions = append(answer.Partitions, partition)
			}
			res.Topics = append(res.Topics, answer)
		}
		return res, nil, true
	})
	s.write(&kgo.Record{Value: []byte("no session")})
	s.produce(produced[20:])
	until(t, "the sink holds", func() bool { return v.scrape().sum("sink_hold", "sink", "lines", "reason", "dead_letters") == 1 })
	if refused.Load() == 0 {
		t.Error("no letter was refused: a useless test")
	}
	if h := statusOf(t, v, "lines"); h.State != "held" || h.Hold == nil || h.Hold.Reason != "dead_letters" || h.Hold.Error == "" {
		t.Errorf("/status says %+v", h)
	}
	if at := s.committed("lines")[0]; at != 20 {
		t.Errorf("committed up to %d, beyond a letter that is not durable", at)
	}
	working.Store(true)
	until(t, "everything is committed", func() bool { return s.lag("lines") == 0 })
	m := v.scrape()
	if m.sum("dead_letter_write_failures_total") == 0 || m.sum("sessions_dead_lettered_total") != 1 {
		t.Error("the metrics do not count the failures, or not the letter")
	}
	m.conserve("lines")
	v.stop()
	account(t, "lines", produced, r, nil)
	if letters := s.letters(); len(letters) != 1 {
		t.Errorf("%d dead letters, want 1", len(letters))
	}
}

// toLetters tells whether a request writes dead letters.
func toLetters(s *stage, req *kmsg.ProduceRequest) bool {
	info := s.cluster.TopicInfo(letterTopic)
	for _, topic := range req.Topics {
		if topic.Topic == letterTopic || info != nil && topic.TopicID == info.TopicID {
			return true
		}
	}
	return false
}

// TestBrokerRestarts stops Kafka under load and starts it again: the service
// waits, and nothing is missing.
func TestBrokerRestarts(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), freePort(t)
	start := func() *kfake.Cluster {
		t.Helper()
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir), kfake.SeedTopics(2, topic),
			kfake.BrokerConfigs(map[string]string{"message.max.bytes": strconv.Itoa(32 << 20)}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	s := newOffline(t)
	s.connect(start())
	r := s.receiver()
	v := s.serve(s.config("", sink{id: "lines", url: r.URL("/").String(), custom: map[string]string{"maxSessions": "20"}}))
	produced := small(0, 400)
	s.produce(produced[:200])
	until(t, "sessions flow", func() bool { return len(r.Accepted()) > 50 })
	s.cluster.Close()
	until(t, "the service notices", func() bool { return statusOf(t, v, "lines").Kafka.Error != "" })
	s.connect(start())
	s.produce(produced[200:])
	until(t, "everything has arrived", func() bool { return len(r.Accepted()) == len(produced) })
	until(t, "everything is committed", func() bool { return s.lag("lines") == 0 })
	until(t, "the trouble is over", func() bool { return statusOf(t, v, "lines").Kafka.Error == "" })
	v.scrape().conserve("lines")
	v.stop()
	account(t, "lines", produced, r, nil)
}
