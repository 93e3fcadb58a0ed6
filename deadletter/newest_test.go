package deadletter

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"sessionexport/consumer"
)

// Whatever the order of letters, rewritten letters and tombstones, and however
// few keys may be remembered, exactly the newest records of living keys are
// found.
func TestNewestRecordOfEachKey(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		most := 1 + random.IntN(40)
		keys := 1 + random.IntN(200)
		var log []consumer.Record
		want := map[string]int64{}
		offset := int64(random.IntN(3) * 40_000)
		for range random.IntN(2000) {
			offset += 1 + int64(random.IntN(100))
			r := consumer.Record{Key: fmt.Appendf(nil, "key %d", random.IntN(keys)), Offset: offset}
			switch random.IntN(4) {
			case 0: // a tombstone
				delete(want, string(r.Key))
			case 1:
				r.TooLarge = 1
				want[string(r.Key)] = offset
			default:
				r.Value = []byte{}
				want[string(r.Key)] = offset
			}
			log = append(log, r)
		}
		turns := 0
		n := newest{most: most}
		err := n.find(func(each func(*consumer.Record) bool) error {
			turns++
			for i := range log {
				if !each(&log[i]) {
					t.Fatal("the reading was ended")
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n.live.count != int64(len(want)) {
			t.Errorf("seed %d: %d found, want %d", seed, n.live.count, len(want))
		}
		for key, offset := range want {
			if !n.live.has(offset) {
				t.Errorf("seed %d: %s at %d is missing", seed, key, offset)
			}
		}
		if keys <= most && turns != 1 {
			t.Errorf("seed %d: %d turns for %d keys of at most %d", seed, turns, keys, most)
		}
		members := int64(0)
		for at, ok := n.live.next(0); ok; at, ok = n.live.next(at + 1) {
			if !n.live.has(at) {
				t.Errorf("seed %d: %d is next and no member", seed, at)
			}
			members++
		}
		if members != n.live.count {
			t.Errorf("seed %d: %d members are listed of %d", seed, members, n.live.count)
		}
	}
}

func TestOffsets(t *testing.T) {
	var o offsets
	if _, ok := o.next(0); ok || o.has(7) {
		t.Error("the empty set has members")
	}
	o.remove(7)
	all := []int64{0, 63, 64, chunkSpan - 1, chunkSpan, 9 * chunkSpan, 1 << 40}
	for _, at := range all {
		o.add(at)
		o.add(at)
	}
	if o.count != int64(len(all)) {
		t.Errorf("%d members", o.count)
	}
	from := int64(0)
	for _, want := range all {
		got, ok := o.next(from)
		if !ok || got != want {
			t.Fatalf("behind %d comes %d (%v), want %d", from, got, ok, want)
		}
		from = got + 1
	}
	if at, ok := o.next(from); ok {
		t.Errorf("behind the last one comes %d", at)
	}
	o.remove(64)
	o.remove(64)
	if o.has(64) || o.count != int64(len(all))-1 {
		t.Error("64 is still in")
	}
	if at, _ := o.next(64); at != chunkSpan-1 {
		t.Errorf("behind the removed one comes %d", at)
	}
}

func BenchmarkNewest(b *testing.B) {
	const n = 200_000
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "default/shop-lines/sessions/3/%d", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		find := newest{most: keysAtOnce}
		_ = find.find(func(each func(*consumer.Record) bool) error {
			for i, k := range keys {
				each(&consumer.Record{Key: k, Value: k, Offset: int64(i)})
			}
			return nil
		})
	}
}
