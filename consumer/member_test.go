package consumer

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestMemberReadsAllCodecs(t *testing.T) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, kfake.SeedTopics(2, testTopic))
			produce(t, c, 0, numbered("a", 100), kgo.ProducerBatchCompression(codec))
			produce(t, c, 1, numbered("b", 100), kgo.ProducerBatchCompression(codec))
			h := start(t, testOptions(t, connect(t, c)))
			h.untilRecords(200)
			produce(t, c, 0, numbered("c", 50), kgo.ProducerBatchCompression(codec))
			next := map[int32]int64{}
			for _, r := range h.untilRecords(250) {
				if r.Offset != next[r.Partition] {
					t.Fatalf("partition %d: offset %d after %d", r.Partition, r.Offset, next[r.Partition]-1)
				}
				next[r.Partition]++
			}
			if err := h.stop(); err != nil {
				t.Fatal(err)
			}
			if a, b := committed(t, c, 0), committed(t, c, 1); a != 150 || b != 100 {
				t.Errorf("committed %d and %d, want 150 and 100", a, b)
			}
		})
	}
}
