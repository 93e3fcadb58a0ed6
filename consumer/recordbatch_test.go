package consumer

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// readAll surveys and reads data as a member would, and describes the records.
func readAll(data []byte, wanted int64, aborted []abortedTransaction, kept bool) (lines []string, next int64, failed error) {
	return readUpTo(maxUnpacked, data, wanted, aborted, kept)
}

func readUpTo(unpack int, data []byte, wanted int64, aborted []abortedTransaction, kept bool) (lines []string, next int64, failed error) {
	s := surveyBatches(data, wanted, kept)
	var count counters
	var fail error
	answer := newBuffer(0)
	f := newFetch(Claim{}, newReading(&count, func(_ int64, err error) { fail = err }), answer, data[:s.sound], wanted, 0, aborted, kept)
	f.unpack = unpack
	var r Record
	for f.Next(&r) {
		switch {
		case r.TooLarge > 0:
			lines = append(lines, fmt.Sprintf("%d too large %d", r.Offset, r.TooLarge))
		case r.Value == nil:
			lines = append(lines, fmt.Sprintf("%d@%d tombstone", r.Offset, r.Timestamp))
		default:
			lines = append(lines, fmt.Sprintf("%d@%d %s", r.Offset, r.Timestamp, r.Value))
		}
	}
	next = f.Position()
	f.Release()
	if fail == nil {
		fail = s.err
		if next != s.next {
			panic(fmt.Sprintf("position is %d after reading, the survey said %d", next, s.next))
		}
	}
	return lines, next, fail
}

// batchTest is what is read from where, and what comes of it.
type batchTest struct {
	data    [][]byte
	aborted []abortedTransaction
	wanted  int64
	want    []string
	next    int64
	err     error
}

func TestReadingBatches(t *testing.T) {
	big := strings.Repeat("0123456789", 1000)
	tests := map[string]batchTest{
		"two batches": {
			data: [][]byte{batchOf{base: 5, baseTime: 100, values: []string{"a", "b"}}.bytes(), batchOf{base: 7, values: []string{"c"}}.bytes()},
			want: []string{"5@100 a", "6@110 b", "7@0 c"}, next: 8, wanted: 5,
		},
		"a position within a batch": {
			data: [][]byte{batchOf{base: 5, values: []string{"a", "b", "c"}}.bytes()}, wanted: 7, want: []string{"7@20 c"}, next: 8,
		},
		"a batch before the position": {
			data: [][]byte{batchOf{base: 1, values: []string{"a"}}.bytes(), batchOf{base: 5, values: []string{"b"}}.bytes()}, wanted: 5, want: []string{"5@0 b"}, next: 6,
		},
		"tombstone": {data: [][]byte{batchOf{values: []string{"", "b"}}.bytes()}, want: []string{"0@0 tombstone", "1@10 b"}, next: 2},
		"append time": {
			data: [][]byte{batchOf{values: []string{"a"}, baseTime: 5, maxTime: 99, attributes: attributeAppendTime}.bytes()}, want: []string{"0@99 a"}, next: 1,
		},
		"holes of compaction": {
			data: [][]byte{batchOf{values: []string{"-", "b", "-", "d", "-"}}.bytes(), batchOf{base: 9, values: []string{"e"}}.bytes()},
			want: []string{"1@10 b", "3@30 d", "9@0 e"}, next: 10,
		},
		"a hole at the tail": {data: [][]byte{batchOf{values: []string{"a"}, lastDelta: 20}.bytes()}, want: []string{"0@0 a"}, next: 21},
		"empty batches": {
			data: [][]byte{batchOf{base: 3, lastDelta: 6}.bytes(), batchOf{base: 10, lastDelta: 2}.bytes()}, wanted: 3, next: 13,
		},
		"an empty compressed batch": {data: [][]byte{batchOf{lastDelta: 6, attributes: codecZstd}.bytes()}, next: 7},
		"a cut tail": {
			data: [][]byte{batchOf{values: []string{"a"}}.bytes(), batchOf{base: 1, values: []string{"b"}}.bytes()[:70]}, want: []string{"0@0 a"}, next: 1,
		},
		"a tail cut in the header": {
			data: [][]byte{batchOf{values: []string{"a"}}.bytes(), batchOf{base: 1, values: []string{"b"}}.bytes()[:11]}, want: []string{"0@0 a"}, next: 1,
		},
		"a wrong checksum": {
			data: [][]byte{batchOf{values: []string{"a"}}.bytes(), damage(batchOf{base: 1, values: []string{"b"}}.bytes())},
			want: []string{"0@0 a"}, next: 1, err: errChecksum,
		},
		"an old format": {data: [][]byte{oldFormat()}, err: errOldFormat},
		"committed": {
			data: [][]byte{batchOf{values: []string{"a"}, producer: 1, attributes: attributeTransactional}.bytes(), control(1, 1, true)},
			want: []string{"0@0 a"}, next: 2,
		},
		"aborted": {
			data: [][]byte{
				batchOf{values: []string{"bad"}, producer: 1, attributes: attributeTransactional}.bytes(),
				batchOf{base: 1, values: []string{"plain"}}.bytes(),
				batchOf{base: 2, values: []string{"good"}, producer: 2, attributes: attributeTransactional}.bytes(),
				control(3, 1, false),
				batchOf{base: 4, values: []string{"again"}, producer: 1, attributes: attributeTransactional}.bytes(),
				control(5, 2, true), control(6, 1, true),
			},
			aborted: []abortedTransaction{{producer: 1, first: 0}},
			want:    []string{"1@0 plain", "2@0 good", "4@0 again"}, next: 7,
		},
		"aborted twice, listed out of order": {
			data: [][]byte{
				batchOf{values: []string{"bad"}, producer: 1, attributes: attributeTransactional}.bytes(), control(1, 1, false),
				batchOf{base: 2, values: []string{"good"}, producer: 1, attributes: attributeTransactional}.bytes(), control(3, 1, true),
				batchOf{base: 4, values: []string{"bad"}, producer: 1, attributes: attributeTransactional}.bytes(), control(5, 1, false),
			},
			aborted: []abortedTransaction{{producer: 1, first: 4}, {producer: 1, first: 0}},
			want:    []string{"2@0 good"}, next: 6,
		},
		"aborted before the position": {
			data: [][]byte{
				batchOf{base: 4, values: []string{"bad", "bad"}, producer: 1, attributes: attributeTransactional}.bytes(), control(6, 1, false),
			},
			aborted: []abortedTransaction{{producer: 1, first: 1}}, wanted: 5, next: 7,
		},
		"gzip":                        packed(codecGzip, packGzip, big),
		"snappy":                      packed(codecSnappy, packSnappy, big),
		"xerial":                      packed(codecSnappy, packXerial, big),
		"lz4":                         packed(codecLZ4, packLZ4, big),
		"zstd":                        packed(codecZstd, packZstd, big),
		"zstd of unknown size":        packed(codecZstd, packZstdStream, big),
		"zstd of many blocks":         packed(codecZstd, packZstd, strings.Repeat(big, 100)),
		"zstd of many blocks, Java":   packed(codecZstd, packZstdStream, strings.Repeat(big, 100)),
		"gzip of many times itself":   packed(codecGzip, packGzip, strings.Repeat(big, 100)),
		"lz4 of many blocks":          packed(codecLZ4, packLZ4, strings.Repeat(big, 100)),
		"snappy of many times itself": packed(codecSnappy, packSnappy, strings.Repeat(big, 100)),
		"a codec that does not exist": {
			data: [][]byte{batchOf{values: []string{"a"}, attributes: 5}.bytes()}, err: errUnknownCodec,
		},
		"records that end early": {
			data: [][]byte{batchOf{values: []string{"a", "b"}}.around(appendRecord(nil, 0, nil, []byte("a"), false), 2)},
			want: []string{"0@0 a"}, next: 1, err: errMalformed,
		},
		"more records than offsets": {data: [][]byte{batchOf{values: []string{"a"}}.around(nil, 9)}, err: errMalformed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			lines, next, err := readAll(slices.Concat(test.data...), test.wanted, test.aborted, false)
			if !slices.Equal(lines, test.want) {
				t.Errorf("read %.200q, want %.200q", lines, test.want)
			}
			if next != test.next {
				t.Errorf("position %d, want %d", next, test.next)
			}
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
		})
	}
}

func packed(codec int16, pack func([]byte) []byte, big string) batchTest {
	return batchTest{
		data: [][]byte{
			batchOf{values: []string{"a", big, "c"}, attributes: codec, pack: pack}.bytes(),
			batchOf{base: 3, values: []string{"d"}, attributes: codec, pack: pack}.bytes(),
		},
		want: []string{"0@0 a", "1@10 " + big, "2@20 c", "3@0 d"}, next: 4,
	}
}

func damage(b []byte) []byte {
	b[len(b)-3] ^= 1
	return b
}

func oldFormat() []byte {
	b := batchOf{values: []string{"a"}}.bytes()
	b[16] = 1
	return b
}

// The bytes of a batch, written down once: whatever changes them changes what
// is read from Kafka.
func TestBatchBytes(t *testing.T) {
	golden := filepath.Join("testdata", "batch.hex")
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got := hex.Dump(slices.Concat(
		batchOf{base: 300, baseTime: 1_700_000_000_000, maxTime: 1_700_000_000_010, producer: 9, attributes: attributeTransactional, values: []string{"one", ""}}.bytes(),
		control(302, 9, true),
	))
	if got != string(want) {
		t.Errorf("bytes are\n%s", got)
	}
	lines, next, err := readAll(mustUndump(t, string(want)), 300, nil, false)
	if err != nil || next != 303 || !slices.Equal(lines, []string{"300@1700000000000 one", "301@1700000000010 tombstone"}) {
		t.Errorf("read %q up to %d, %v", lines, next, err)
	}
}

func mustUndump(t *testing.T, dump string) []byte {
	t.Helper()
	var out []byte
	for line := range strings.Lines(dump) {
		digits := strings.ReplaceAll(line[10:58], " ", "")
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

func TestBatchesThatCannotBeHeld(t *testing.T) {
	t.Run("a bomb", func(t *testing.T) {
		const limit = 1 << 20
		zeros := bytes.Repeat([]byte{0}, limit+1)
		for codec, pack := range map[int16]func([]byte) []byte{codecGzip: packGzip, codecSnappy: packSnappy, codecLZ4: packLZ4, codecZstd: packZstd} {
			data := batchOf{base: 10, values: []string{"x", "y"}, attributes: codec}.around(pack(zeros), 2)
			lines, next, err := readUpTo(limit, data, 10, nil, false)
			want := []string{fmt.Sprintf("10 too large %d", len(data)), fmt.Sprintf("11 too large %d", len(data))}
			if err != nil || next != 12 || !slices.Equal(lines, want) {
				t.Errorf("codec %d: read %q up to %d, %v", codec, lines, next, err)
			}
			if b, err := decompress(int(codec), pack(zeros[:limit]), limit); err != nil || len(b.b) != limit {
				t.Errorf("codec %d: what is just within the limit: %v", codec, err)
			} else {
				b.release()
			}
		}
	})
	t.Run("a bomb that claims a billion records", func(t *testing.T) {
		b := batchOf{base: 10, lastDelta: 1_000_000_000, attributes: codecZstd}.around(packZstd(make([]byte, 1<<20+1)), 1_000_000_000)
		if lines, next, err := readUpTo(1<<20, b, 10, nil, false); !errors.Is(err, errMalformed) || next != 10 || len(lines) != 0 {
			t.Errorf("read %d records up to %d, %v", len(lines), next, err)
		}
	})
	t.Run("a record above the limit", func(t *testing.T) {
		data := batchOf{values: []string{"a", strings.Repeat("x", MaxRecord+1), "c"}}.bytes()
		lines, next, err := readAll(data, 0, nil, false)
		if want := []string{"0@0 a", fmt.Sprintf("1 too large %d", MaxRecord+1), "2@20 c"}; err != nil || next != 3 || !slices.Equal(lines, want) {
			t.Errorf("read %.100q up to %d, %v", lines, next, err)
		}
	})
	t.Run("a record at the limit", func(t *testing.T) {
		data := batchOf{values: []string{strings.Repeat("x", MaxRecord)}}.bytes()
		lines, _, err := readAll(data, 0, nil, false)
		if err != nil || len(lines) != 1 || len(lines[0]) != MaxRecord+len("0@0 ") {
			t.Errorf("read %d records, %v", len(lines), err)
		}
	})
	t.Run("an answer that was not kept whole", func(t *testing.T) {
		whole := batchOf{base: 4, values: []string{"a", strings.Repeat("b", maxBatch)}}.bytes()
		lines, next, err := readAll(whole[:len(whole)-1], 4, nil, true)
		want := []string{fmt.Sprintf("4 too large %d", len(whole)), fmt.Sprintf("5 too large %d", len(whole))}
		if err != nil || next != 6 || !slices.Equal(lines, want) {
			t.Errorf("read %.100q up to %d, %v", lines, next, err)
		}
		// Where the end of such an answer falls says nothing about a smaller batch.
		small := batchOf{base: 4, values: []string{"a", "b"}}.bytes()
		if lines, next, err = readAll(small[:len(small)-1], 4, nil, true); err != nil || next != 4 || len(lines) != 0 {
			t.Errorf("read %q up to %d, %v", lines, next, err)
		}
	})
}

// A fetch that was fetched ahead must not be returned once the one before it
// could not be read to its end.
func TestReadingEndsWhereItStopped(t *testing.T) {
	var count counters
	var failedAt []int64
	r := newReading(&count, func(at int64, _ error) { failedAt = append(failedAt, at) })
	fetch := func(base int64, values ...string) *Fetch {
		return newFetch(Claim{}, r, newBuffer(0), batchOf{base: base, values: values}.bytes(), base, 0, nil, false)
	}
	bad := batchOf{base: 2, values: []string{"c"}, attributes: codecGzip}.bytes()
	first := newFetch(Claim{}, r, newBuffer(0), slices.Concat(batchOf{values: []string{"a", "b"}}.bytes(), bad), 0, 0, nil, false)
	second := fetch(3, "d")
	var rec Record
	n := 0
	for first.Next(&rec) {
		n++
	}
	if n != 2 || first.Position() != 2 || !slices.Equal(failedAt, []int64{2}) {
		t.Errorf("read %d records up to %d, failed at %v", n, first.Position(), failedAt)
	}
	if second.Next(&rec) || second.Position() != 2 {
		t.Errorf("the next fetch went on, position %d", second.Position())
	}

	r = newReading(&count, nil)
	first, second = fetch(0, "a", "b"), fetch(2, "c")
	if !first.Next(&rec) {
		t.Fatal("no record")
	}
	r.stop() // revoked
	if first.Next(&rec) || first.Position() != 1 || second.Next(&rec) || second.Position() != 1 {
		t.Errorf("positions %d and %d after a revocation, want 1", first.Position(), second.Position())
	}

	// What is given up unread further on leaves the earlier ones as they are.
	r = newReading(&count, func(at int64, _ error) { failedAt = append(failedAt, at) })
	first, second = fetch(0, "a", "b"), fetch(2, "c")
	second.Release()
	for n = 0; first.Next(&rec); n++ {
	}
	if n != 2 || first.Position() != 2 || failedAt[len(failedAt)-1] != 2 {
		t.Errorf("read %d records up to %d, failed at %v", n, first.Position(), failedAt)
	}
}

func TestFetchOf(t *testing.T) {
	records := []Record{{Offset: 3, Value: []byte("a")}, {Offset: 5}, {Offset: 6, TooLarge: 99}}
	f := FetchOf(Claim{Partition: 4, Epoch: 2}, records, 9)
	if f.Claim() != (Claim{Partition: 4, Epoch: 2}) || f.HighWatermark() != 9 || f.Position() != 3 {
		t.Errorf("claim %v, high watermark %d, position %d", f.Claim(), f.HighWatermark(), f.Position())
	}
	var r Record
	for i, want := range []int64{4, 6, 7} {
		if !f.Next(&r) || r.Offset != records[i].Offset || f.Position() != want {
			t.Errorf("record %d: %+v, position %d", i, r, f.Position())
		}
	}
	if f.Next(&r) || f.Position() != 9 {
		t.Errorf("position %d at the end", f.Position())
	}
	f.Release()
	f.Release() // harmless
	if f.Position() != 9 {
		t.Error("the position is gone after the release")
	}
}
