package consumer

import (
	"slices"
	"testing"
)

// FuzzRecordBatches reads arbitrary bytes as batches: no panic, no endless
// loop, offsets only grow, and the position never passes what the survey saw.
func FuzzRecordBatches(f *testing.F) {
	f.Add(batchOf{values: []string{"a", "-", "c"}, lastDelta: 9}.bytes(), int64(0), int64(-1))
	f.Add(slices.Concat(batchOf{values: []string{"a"}, producer: 3, attributes: attributeTransactional}.bytes(), control(1, 3, false)), int64(0), int64(3))
	for codec, pack := range map[int16]func([]byte) []byte{codecGzip: packGzip, codecSnappy: packXerial, codecLZ4: packLZ4, codecZstd: packZstd} {
		f.Add(batchOf{base: 7, values: []string{"a", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}, attributes: codec, pack: pack}.bytes(), int64(8), int64(-1))
	}
	f.Fuzz(func(t *testing.T, data []byte, wanted, producer int64) {
		if wanted < 0 {
			return
		}
		data = slices.Clone(data)
		for _, sealed := range []bool{false, true} {
			if sealed { // otherwise hardly any input gets past the checksum
				if len(data) < batchHeader {
					return
				}
				seal(data)
			}
			checkReading(t, data, wanted, producer)
		}
	})
}

func checkReading(t *testing.T, data []byte, wanted, producer int64) {
	t.Helper()
	s := surveyBatches(data, wanted, false)
	if s.sound > len(data) || s.next < wanted {
		t.Fatalf("survey %+v of %d bytes from %d", s, len(data), wanted)
	}
	var count counters
	failed := false
	fetch := newFetch(Claim{}, newReading(&count, func(int64, error) { failed = true }), newBuffer(0), data[:s.sound], wanted, 0,
		[]abortedTransaction{{producer: producer}}, false)
	var r Record
	last := wanted - 1
	for fetch.Next(&r) {
		if r.Offset <= last || r.Offset >= s.next {
			t.Fatalf("offset %d after %d, survey ended at %d", r.Offset, last, s.next)
		}
		last = r.Offset
		if fetch.Position() != r.Offset+1 {
			t.Fatalf("position %d after offset %d", fetch.Position(), r.Offset)
		}
	}
	if next := fetch.Position(); next > s.next || (!failed && next != s.next) {
		t.Fatalf("position %d, the survey said %d, failed %v", next, s.next, failed)
	}
	fetch.Release()
}

// FuzzFetchAnswer decodes arbitrary bytes as the answer to a fetch.
func FuzzFetchAnswer(f *testing.F) {
	var e encoder
	e.int32(5)  // throttle
	e.int16(0)  // code
	e.int32(0)  // session
	e.length(1) // topics
	e.string("records")
	e.length(1)
	e.int32(3)
	e.int16(0)
	e.int64(9)
	e.int64(9)
	e.int64(0)
	e.length(1)
	e.int64(77)
	e.int64(2)
	e.int32(-1)
	data := batchOf{values: []string{"a"}}.bytes()
	e.int32(int32(len(data)))
	e.b = append(e.b, data...)
	f.Add(e.b, int16(11), false)
	f.Add(e.b[:len(e.b)-4], int16(11), true)
	f.Fuzz(func(t *testing.T, b []byte, version int16, cut bool) {
		if version < 4 || version > 11 {
			return
		}
		res, err := decodeFetch(b, version, cut)
		if err != nil {
			return
		}
		total := 0
		for _, p := range res.partitions {
			total += len(p.data)
			surveyBatches(p.data, 0, cut)
		}
		if total > len(b) {
			t.Fatalf("%d bytes of records in an answer of %d", total, len(b))
		}
	})
}

// FuzzGroupWords decodes arbitrary bytes as what another member said: it can
// only come to own nothing.
func FuzzGroupWords(f *testing.F) {
	words, err := encodeSubscription(testTopic, []int32{1, 2}, 7, 9)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(words)
	words, err = encodeAssignment(testTopic, []int32{1, 2}, 9)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(words)
	f.Fuzz(func(t *testing.T, b []byte) {
		c := decodeSubscription("m", testTopic, b)
		assigned := assign([]claimant{c, {id: "other", generation: 1}}, 4)
		if n := len(assigned["m"]) + len(assigned["other"]); n > 4 {
			t.Fatalf("%d partitions assigned of 4: %v", n, assigned)
		}
		if ps, _, err := decodeAssignment(testTopic, b); err == nil && !slices.IsSorted(ps) {
			t.Fatalf("assignment %v is not sorted", ps)
		}
	})
}
