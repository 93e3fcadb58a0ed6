package consumer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The layout of a record batch, format 2:
//
//	 0 base offset      8    the offset of the first record ever in it
//	 8 length           4    of what follows
//	12 leader epoch     4
//	16 magic            1    2
//	17 checksum         4    CRC-32C of what follows
//	21 attributes       2    codec, time kind, transactional, control
//	23 last offset delta 4   also when compaction removed that record
//	27 base time        8
//	35 greatest time    8
//	43 producer id      8
//	51 producer epoch   2
//	53 base sequence    4
//	57 records          4
//	61 the records, compressed as a whole
const (
	batchHeader   = 61
	batchPrefix   = 12 // base offset and length
	checksumStart = 21
)

// Limits on what one batch may take.
const (
	// MaxRecord is the largest value that is handed on, bytes. A larger one is
	// reported without its body (Record.TooLarge).
	MaxRecord = 16 << 20
	// maxBatch is the largest batch that is read as it came. The records of a
	// larger one are reported without their bodies.
	maxBatch = 2 * MaxRecord // bytes
	// maxKept is how much of one answer is held: a batch and what surrounds it.
	// Only a single batch can make an answer larger than what was asked for.
	maxKept = maxBatch + 1<<20 // bytes
	// maxUnpacked is how far one batch may unpack.
	maxUnpacked = 128 << 20 // bytes
	// mostReported is the largest number of records that a batch which cannot
	// be held may have.
	mostReported = 1 << 20
)

const (
	attributeCodec         = 0x07
	attributeAppendTime    = 0x08
	attributeTransactional = 0x10
	attributeControl       = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// What a batch can be rejected for. All of them stop the partition.
var (
	errChecksum  = errors.New("checksum of the batch is wrong")
	errOldFormat = errors.New("batch is in a message format older than 2; rewrite the topic with a producer of Kafka 0.11 or later")
	errMalformed = errors.New("batch is malformed")
)

// batch is the header of one record batch and its packed records.
type batch struct {
	records    []byte // packed; incomplete when cut
	base       int64
	last       int64 // offset
	baseTime   int64 // milliseconds
	maxTime    int64 // milliseconds
	producer   int64
	count      int
	size       int // whole, bytes
	attributes int16
	cut        bool // larger than what may be held: only the header can be trusted
}

func (b *batch) codec() int          { return int(b.attributes & attributeCodec) }
func (b *batch) control() bool       { return b.attributes&attributeControl != 0 }
func (b *batch) transactional() bool { return b.attributes&attributeTransactional != 0 }

// errPartial says that data ends within a batch: the broker cut its answer,
// and the batch comes whole with the next one.
var errPartial = errors.New("batch is incomplete")

// nextBatch reads the header of the batch that data starts with, and returns
// what follows it. A batch that is incomplete because the answer was too large
// to be held is returned with cut set when kept says so. The checksum is
// compared unless known says that it was.
func nextBatch(data []byte, kept, known bool) (batch, []byte, error) {
	var b batch
	if len(data) < batchPrefix+5 {
		return b, nil, errPartial
	}
	b.base = int64(binary.BigEndian.Uint64(data))           //nolint:gosec // the wire is two's complement
	length := int(int32(binary.BigEndian.Uint32(data[8:]))) //nolint:gosec // the wire is two's complement
	if data[16] < 2 {
		return b, nil, errOldFormat
	}
	if data[16] > 2 || length < batchHeader-batchPrefix || b.base < 0 {
		return b, nil, errMalformed
	}
	if len(data) < batchHeader {
		return b, nil, errPartial
	}
	b.size = batchPrefix + length
	b.attributes = int16(binary.BigEndian.Uint16(data[21:])) //nolint:gosec // the wire is two's complement
	delta := int32(binary.BigEndian.Uint32(data[23:]))       //nolint:gosec // the wire is two's complement
	b.last = b.base + int64(delta)
	b.baseTime = int64(binary.BigEndian.Uint64(data[27:]))   //nolint:gosec // the wire is two's complement
	b.maxTime = int64(binary.BigEndian.Uint64(data[35:]))    //nolint:gosec // the wire is two's complement
	b.producer = int64(binary.BigEndian.Uint64(data[43:]))   //nolint:gosec // the wire is two's complement
	b.count = int(int32(binary.BigEndian.Uint32(data[57:]))) //nolint:gosec // the wire is two's complement
	valid := delta >= 0 && b.last >= b.base && b.count >= 0 && b.count <= int(delta)+1
	if len(data) < b.size {
		if !kept || b.size <= maxBatch {
			return b, nil, errPartial // it comes whole when its partition is first in an answer
		}
		if !valid {
			return b, nil, errMalformed
		}
		b.cut = true
		b.records = data[batchHeader:]
		return b, nil, nil
	}
	if !known && crc32.Checksum(data[checksumStart:b.size], castagnoli) != binary.BigEndian.Uint32(data[17:]) {
		return b, nil, errChecksum
	}
	if !valid {
		return b, nil, errMalformed
	}
	b.records = data[batchHeader:b.size:b.size]
	return b, data[b.size:], nil
}

// survey checks the batches that an answer holds for one partition and finds
// out where reading goes on, without unpacking anything.
//
// It returns how many bytes of data are sound, the next offset, and, when a
// batch is not sound, its first offset and what is wrong.
type survey struct {
	err     error // what is wrong with the batch at bad
	bad     int64 // offset
	next    int64 // offset
	sound   int   // bytes
	largest int   // size of the largest batch, bytes
}

func surveyBatches(data []byte, wanted int64, kept bool) survey {
	s := survey{next: wanted}
	rest := data
	for len(rest) > 0 {
		b, after, err := nextBatch(rest, kept, false)
		if errors.Is(err, errPartial) {
			break
		}
		if err != nil {
			s.bad = max(b.base, s.next)
			s.err = fmt.Errorf("offset %d: %w", b.base, err)
			break
		}
		s.sound = len(data) - len(after)
		s.next = max(s.next, b.last+1)
		s.largest = max(s.largest, b.size)
		rest = after
	}
	return s
}

// abortedTransaction is a transaction that did not happen: records of the
// producer from first on are skipped until its abort marker.
type abortedTransaction struct {
	producer int64
	first    int64 // offset
}

// abortMarker tells whether a control batch ends an aborted transaction.
func abortMarker(b *batch) bool {
	c := cursor{b: b.records}
	var r Record
	if b.codec() != codecNone || !c.record(b, &r) || len(r.Key) < 4 {
		return false
	}
	return binary.BigEndian.Uint16(r.Key[2:]) == 0
}

// cursor walks the unpacked records of a batch.
type cursor struct{ b []byte }

func (c *cursor) varint() (int64, bool) {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		return 0, false
	}
	c.b = c.b[n:]
	return v, true
}

// bytes reads a length and as many bytes; a length of -1 is nil.
func (c *cursor) bytes() ([]byte, bool) {
	n, ok := c.varint()
	if !ok || n > int64(len(c.b)) || n < -1 {
		return nil, false
	}
	if n < 0 {
		return nil, true
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v, true
}

// record reads the next record. Headers are passed over: nothing reads them.
func (c *cursor) record(b *batch, r *Record) bool {
	body, ok := c.bytes()
	if !ok || len(body) < 1 {
		return false
	}
	in := cursor{b: body[1:]} // the first byte is reserved for attributes
	time, ok1 := in.varint()
	delta, ok2 := in.varint()
	key, ok3 := in.bytes()
	value, ok4 := in.bytes()
	if !ok1 || !ok2 || !ok3 || !ok4 || delta < 0 || b.base+delta > b.last {
		return false
	}
	r.Offset = b.base + delta
	r.Timestamp = b.baseTime + time
	if b.attributes&attributeAppendTime != 0 {
		r.Timestamp = b.maxTime
	}
	r.Key, r.Value, r.TooLarge = key, value, 0
	if len(value) > MaxRecord {
		r.Value, r.TooLarge = nil, len(value)
	}
	return true
}
