//go:build services

package kafka_test

import (
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/services"
)

// TestNodeSurvivesItsOwnTroubles proves the tier's own tools: what was acknowledged is there after each kind of trouble.
func TestNodeSurvivesItsOwnTroubles(t *testing.T) {
	k := services.StartKafka(t, services.KafkaOptions{})
	topic := services.NewTopic(t, k, 1, nil)
	client := services.Franz(t, k, kgo.DefaultProduceTopic(topic), kgo.ConsumeTopics(topic))
	ctx := services.Context(t)
	node := k.Node(1)

	troubles := []struct {
		name    string
		trouble func() error
		mend    func() error
	}{
		{"killed", node.Kill, node.Start},
		{"stopped", node.Stop, node.Start},
		{"frozen", node.Pause, node.Resume},
	}
	for _, tr := range troubles {
		t.Run(tr.name, func(t *testing.T) {
			if err := client.ProduceSync(ctx, kgo.StringRecord(tr.name)).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := tr.trouble(); err != nil {
				t.Fatal(err)
			}
			if err := tr.mend(); err != nil {
				t.Fatal(err)
			}
			for {
				fetches := client.PollFetches(ctx)
				if ctx.Err() != nil {
					t.Fatalf("record not read: %v", fetches.Err())
				}
				if records := fetches.Records(); len(records) == 1 && string(records[0].Value) == tr.name {
					return
				} else if len(records) != 0 {
					t.Fatalf("read %d records, first %q, want one: %q", len(records), records[0].Value, tr.name)
				}
			}
		})
	}
}

func TestThreeNodesFormACluster(t *testing.T) { everyVersion(t, threeNodes) }

func threeNodes(t *testing.T, version string) {
	k := services.StartKafka(t, services.KafkaOptions{Version: version, Nodes: 3})
	topic := services.NewTopic(t, k, 3, nil)
	client := services.Franz(t, k, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ctx := services.Context(t)
	if err := k.Node(2).Kill(); err != nil {
		t.Fatal(err)
	}
	for p := range int32(3) {
		r := kgo.StringRecord(strconv.Itoa(int(p)))
		r.Partition = p
		if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Errorf("partition %d with one of three nodes gone: %v", p, err)
		}
	}
	if err := k.Node(2).Start(); err != nil {
		t.Error(err)
	}
}
