package deadletter

import (
	"context"
	"encoding/binary"
	"runtime"
	"testing"

	"sessionexport/consumer"
)

// crowd is a topic of one partition in which every record is a letter of its
// own.
type crowd struct {
	records int64
	look    func() // now and then
	turns   int
}

func (c *crowd) Extents(context.Context) ([]consumer.Extent, error) {
	return []consumer.Extent{{End: c.records}}, nil
}

func (c *crowd) Read(_ context.Context, _ int32, from, to int64, each func(*consumer.Record) bool) (consumer.Stretch, error) {
	c.turns++
	var key [8]byte
	for at := from; at < to; at++ {
		binary.BigEndian.PutUint64(key[:], uint64(at))
		if !each(&consumer.Record{Key: key[:], Value: key[:], Offset: at}) {
			break
		}
		if at%200_000 == 0 {
			c.look()
		}
	}
	c.look()
	return consumer.Stretch{From: from, Next: to}, nil
}

// More letters than keys are remembered at once cost another turn, not memory.
func TestLettersInFlatMemory(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most := heap(), uint64(0)
	log := &crowd{records: 1_000_000, look: func() { most = max(most, heap()) }}
	topic := Open(Options{Client: client(t, cluster(t), ""), Topic: topicName})
	snap, err := topic.Snapshot(t.Context(), log, nil)
	if err != nil || snap.Letters() != log.records {
		t.Fatalf("%d letters, error %v", snap.Letters(), err)
	}
	if log.turns != 2 {
		t.Errorf("%d turns, want 2 for not quite twice the keys of one", log.turns)
	}
	// 16 bytes of hash and 8 of offset a key, in a table that is half full at worst.
	const bound = 48 << 20
	if most > before+bound {
		t.Errorf("%d MB of heap", (most-before)>>20)
	}
	t.Logf("at most %d KB of heap", (most-min(most, before))>>10)
}
