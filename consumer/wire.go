package consumer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go/protocol"
)

// errShort says that an answer ended before its fields did.
var errShort = errors.New("answer is cut short")

// maxAnswer bounds the answers that are not fetches; a group's largest is its
// list of members.
const maxAnswer = 16 << 20 // bytes

// encoder appends the fields of a request in Kafka's classic encoding.
type encoder struct{ b []byte }

func (e *encoder) int8(v int8)   { e.b = append(e.b, byte(v)) }                          //nolint:gosec // the wire is two's complement
func (e *encoder) int16(v int16) { e.b = binary.BigEndian.AppendUint16(e.b, uint16(v)) } //nolint:gosec // the wire is two's complement
func (e *encoder) int32(v int32) { e.b = binary.BigEndian.AppendUint32(e.b, uint32(v)) } //nolint:gosec // the wire is two's complement
func (e *encoder) int64(v int64) { e.b = binary.BigEndian.AppendUint64(e.b, uint64(v)) } //nolint:gosec // the wire is two's complement

func (e *encoder) string(s string) {
	e.int16(int16(len(s))) //nolint:gosec // names of Kafka are at most 249 bytes, ids a few hundred
	e.b = append(e.b, s...)
}

func (e *encoder) nullable(s string) {
	if s == "" {
		e.int16(-1)
		return
	}
	e.string(s)
}

// length writes the length of an array.
func (e *encoder) length(n int) { e.int32(int32(n)) } //nolint:gosec // arrays of partitions are small

// decoder reads the fields of an answer. After the first field that is not
// there every further one is zero and err is set.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || n < 0 || n > len(d.b) {
		if d.err == nil {
			d.err = errShort
		}
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) int16() int16 {
	if v := d.take(2); v != nil {
		return int16(binary.BigEndian.Uint16(v)) //nolint:gosec // the wire is two's complement
	}
	return 0
}

func (d *decoder) int32() int32 {
	if v := d.take(4); v != nil {
		return int32(binary.BigEndian.Uint32(v)) //nolint:gosec // the wire is two's complement
	}
	return 0
}

func (d *decoder) int64() int64 {
	if v := d.take(8); v != nil {
		return int64(binary.BigEndian.Uint64(v)) //nolint:gosec // the wire is two's complement
	}
	return 0
}

func (d *decoder) string() string {
	n := d.int16()
	if n < 0 {
		return ""
	}
	return string(d.take(int(n)))
}

// bytes reads a length and as many bytes; a length of -1 is nil.
func (d *decoder) bytes() []byte {
	n := d.int32()
	if n < 0 {
		return nil
	}
	return d.take(int(n))
}

// length reads the length of an array whose elements take at least size bytes
// each, so that a damaged length cannot ask for more elements than there are
// bytes.
func (d *decoder) length(size int) int {
	n := int(d.int32())
	if n < 0 {
		return 0
	}
	if d.err == nil && n > len(d.b)/size {
		d.err = errShort
		return 0
	}
	return n
}

// correlation is the id every request of ours carries: a connection has one
// request at a time, so that a constant tells as much as a counter.
const correlation = 0x5e55

// requestHeader starts a request; finishRequest sets its length.
func requestHeader(key protocol.ApiKey, version int16, clientID string) *encoder {
	e := &encoder{b: make([]byte, 4, 256)}
	e.int16(int16(key))
	e.int16(version)
	e.int32(correlation)
	e.string(clientID)
	return e
}

func (e *encoder) finish() []byte {
	binary.BigEndian.PutUint32(e.b, uint32(len(e.b)-4)) //nolint:gosec // a request is far below 2 GiB
	return e.b
}

// answerHeader reads the length of an answer and its correlation id, and
// returns how many bytes of body follow.
func answerHeader(r io.Reader) (int, error) {
	var h [8]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, fmt.Errorf("reading answer: %w", err)
	}
	n := int(int32(binary.BigEndian.Uint32(h[:]))) - 4 //nolint:gosec // the wire is two's complement
	if n < 0 {
		return 0, errShort
	}
	if id := binary.BigEndian.Uint32(h[4:]); id != correlation {
		return 0, fmt.Errorf("answer belongs to request %d", id)
	}
	return n, nil
}

// exchange sends a small request and reads its whole answer.
func exchange(rw io.ReadWriter, e *encoder) (*decoder, error) {
	if _, err := rw.Write(e.finish()); err != nil {
		return nil, fmt.Errorf("sending request: %w", err)
	}
	n, err := answerHeader(rw)
	if err != nil {
		return nil, err
	}
	if n > maxAnswer {
		return nil, fmt.Errorf("answer of %d bytes is larger than %d", n, maxAnswer)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(rw, b); err != nil {
		return nil, fmt.Errorf("reading answer: %w", err)
	}
	return &decoder{b: b}, nil
}
