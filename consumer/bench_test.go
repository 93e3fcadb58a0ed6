package consumer

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// benchmarkBatches is an answer of some megabytes, of records of 4 KB that
// compress about as well as JSON does.
func benchmarkBatches(codec int16, pack func([]byte) []byte) ([]byte, int64, int64) {
	random := rand.New(rand.NewPCG(1, 2))
	var data []byte
	var records, size int64
	for batch := range 16 {
		b := batchOf{base: int64(batch * 40), attributes: codec, pack: pack}
		for range 40 {
			var v strings.Builder
			for v.Len() < 4000 {
				fmt.Fprintf(&v, `{"name":"action %d","duration":%d,"apdex":"SATISFIED"},`, random.IntN(1000), random.IntN(100_000))
			}
			b.values = append(b.values, v.String())
			size += int64(v.Len())
			records++
		}
		data = append(data, b.bytes()...)
	}
	return data, records, size
}

// BenchmarkFetch surveys and reads an answer: what a record costs once it has
// arrived.
func BenchmarkFetch(b *testing.B) {
	codecs := []struct {
		name  string
		codec int16
		pack  func([]byte) []byte
	}{{"none", codecNone, nil}, {"gzip", codecGzip, packGzip}, {"snappy", codecSnappy, packSnappy}, {"lz4", codecLZ4, packLZ4}, {"zstd", codecZstd, packZstd}}
	for _, c := range codecs {
		b.Run(c.name, func(b *testing.B) {
			data, records, size := benchmarkBatches(c.codec, c.pack)
			r := newReading(new(counters), nil)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				s := surveyBatches(data, 0, false)
				f := newFetch(Claim{}, r, newBuffer(0), data[:s.sound], 0, 0, nil, false)
				var rec Record
				n := int64(0)
				for f.Next(&rec) {
					n++
				}
				f.Release()
				if n != records {
					b.Fatalf("read %d records of %d", n, records)
				}
			}
			b.ReportMetric(float64(records), "records/op")
		})
	}
}

// TestReadingDoesNotAllocate holds what a record costs to nothing.
func TestReadingDoesNotAllocate(t *testing.T) {
	data, records, _ := benchmarkBatches(codecNone, nil)
	r := newReading(new(counters), nil)
	var rec Record
	allocations := testing.AllocsPerRun(20, func() {
		s := surveyBatches(data, 0, false)
		f := newFetch(Claim{}, r, newBuffer(0), data[:s.sound], 0, 0, nil, false)
		for f.Next(&rec) {
		}
		f.Release()
	})
	if allocations > 3 { // the fetch itself
		t.Errorf("%v allocations for %d records", allocations, records)
	}
}
