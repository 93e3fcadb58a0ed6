package consumer

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// batchOf describes a batch to build.
type batchOf struct {
	base       int64
	values     []string // "" is a tombstone, "-" a record that compaction removed
	attributes int16
	producer   int64
	baseTime   int64
	maxTime    int64
	pack       func([]byte) []byte
	lastDelta  int // beyond the last value when compaction removed the tail
}

func (b batchOf) bytes() []byte {
	var records []byte
	count := 0
	for i, v := range b.values {
		if v == "-" {
			continue
		}
		count++
		records = appendRecord(records, int64(i), nil, []byte(v), v == "")
	}
	return b.around(records, count)
}

func (b batchOf) around(records []byte, count int) []byte {
	if b.pack != nil {
		records = b.pack(records)
	}
	delta := max(len(b.values)-1, b.lastDelta)
	var e encoder
	e.int64(b.base)
	e.int32(0) // length
	e.int32(7) // leader epoch
	e.int8(2)
	e.int32(0) // checksum
	e.int16(b.attributes)
	e.int32(int32(delta))
	e.int64(b.baseTime)
	e.int64(b.maxTime)
	e.int64(b.producer)
	e.int16(0)
	e.int32(-1)
	e.int32(int32(count))
	e.b = append(e.b, records...)
	return seal(e.b)
}

// seal sets length and checksum.
func seal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-batchPrefix))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[checksumStart:], castagnoli))
	return b
}

func appendRecord(b []byte, delta int64, key, value []byte, tombstone bool) []byte {
	body := []byte{0}
	body = binary.AppendVarint(body, delta*10) // time
	body = binary.AppendVarint(body, delta)
	if key == nil {
		body = binary.AppendVarint(body, -1)
	} else {
		body = binary.AppendVarint(body, int64(len(key)))
		body = append(body, key...)
	}
	if tombstone {
		body = binary.AppendVarint(body, -1)
	} else {
		body = binary.AppendVarint(body, int64(len(value)))
		body = append(body, value...)
	}
	body = binary.AppendVarint(body, 1) // one header, which nobody reads
	body = binary.AppendVarint(body, 1)
	body = append(body, 'h')
	body = binary.AppendVarint(body, -1)
	b = binary.AppendVarint(b, int64(len(body)))
	return append(b, body...)
}

// control is an end of a transaction.
func control(base, producer int64, commit bool) []byte {
	key := []byte{0, 0, 0, 0}
	if commit {
		key[3] = 1
	}
	b := batchOf{base: base, producer: producer, attributes: attributeControl | attributeTransactional, values: []string{"x"}}
	return b.around(appendRecord(nil, 0, key, []byte{0, 0, 0, 0, 0, 0}, false), 1)
}

func packGzip(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func packLZ4(b []byte) []byte {
	var out bytes.Buffer
	w := lz4.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func packSnappy(b []byte) []byte { return snappy.Encode(nil, b) }

func packXerial(b []byte) []byte {
	out := append(slices.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	for len(b) > 0 {
		n := min(len(b), 100)
		block := s2.EncodeSnappy(nil, b[:n])
		out = binary.BigEndian.AppendUint32(out, uint32(len(block)))
		out = append(out, block...)
		b = b[n:]
	}
	return out
}

// packZstdStream is like Java's: the frame does not tell its size.
func packZstdStream(b []byte) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(b[:len(b)/2])
	_ = w.Flush()
	_, _ = w.Write(b[len(b)/2:])
	_ = w.Close()
	return out.Bytes()
}

func packZstd(b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(b, nil)
}
