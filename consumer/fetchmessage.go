package consumer

import (
	"fmt"
	"io"

	"github.com/segmentio/kafka-go/protocol"
)

// fetchRequest reads from one leader, for all partitions that are read from
// it. It owns the exchange, so that the answer goes into one pooled buffer and
// its batches are decoded by us: kafka-go's reader neither checks checksums
// nor knows aborted transactions.
type fetchRequest struct {
	take       func(n int) *buffer // a buffer for an answer of n bytes
	clientID   string
	topic      string
	partitions []fetchPosition
	maxWait    int32 // milliseconds
	maxBytes   int32
	leader     int32
	version    int16
}

type fetchPosition struct {
	offset    int64
	partition int32
}

// fetchResponse is an answer whose buffer the receiver releases.
type fetchResponse struct {
	answer     *buffer
	partitions []fetchedPartition
	throttle   int32 // milliseconds
	code       int16
	kept       bool // only the beginning of the answer was kept
}

type fetchedPartition struct {
	data      []byte // within the answer
	aborted   []abortedTransaction
	high      int64 // -1 when the broker does not say
	logStart  int64 // -1 when the broker does not say
	partition int32
	code      int16
}

func (r *fetchResponse) ApiKey() protocol.ApiKey { return protocol.Fetch }
func (r *fetchRequest) ApiKey() protocol.ApiKey  { return protocol.Fetch }

func (r *fetchRequest) Broker(c protocol.Cluster) (protocol.Broker, error) {
	return leaderOf(c, r.leader)
}

func (r *fetchRequest) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = min(versions[protocol.Fetch], 10) // from v11 on brokers answer that only follow, after the leader has moved
	return true
}

// leaderOf routes a request to a broker by its id.
func leaderOf(c protocol.Cluster, id int32) (protocol.Broker, error) {
	b, ok := c.Brokers[id]
	if !ok {
		return protocol.Broker{}, fmt.Errorf("broker %d is not part of the cluster at present", id)
	}
	return b, nil
}

func (r *fetchRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if r.version < 4 {
		return nil, fmt.Errorf("broker offers fetch version %d; 4 is needed (Kafka 0.11)", r.version)
	}
	if _, err := rw.Write(r.encode()); err != nil {
		return nil, fmt.Errorf("sending fetch: %w", err)
	}
	n, err := answerHeader(rw)
	if err != nil {
		return nil, err
	}
	kept := min(n, maxKept)
	answer := r.take(kept)
	if _, err := io.ReadFull(rw, answer.b); err != nil {
		answer.release()
		return nil, fmt.Errorf("reading fetch: %w", err)
	}
	if n > kept {
		if _, err := io.CopyN(io.Discard, rw, int64(n-kept)); err != nil {
			answer.release()
			return nil, fmt.Errorf("reading fetch: %w", err)
		}
	}
	res, err := decodeFetch(answer.b, r.version, n > kept)
	if err != nil {
		answer.release()
		return nil, fmt.Errorf("decoding fetch: %w", err)
	}
	res.answer = answer
	return res, nil
}

func (r *fetchRequest) encode() []byte {
	e := requestHeader(protocol.Fetch, r.version, r.clientID)
	e.int32(-1) // no replica
	e.int32(r.maxWait)
	e.int32(1) // answer as soon as there is anything
	e.int32(r.maxBytes)
	e.int8(1) // read committed
	if r.version >= 7 {
		e.int32(0)  // no fetch session:
		e.int32(-1) // each request names all its partitions
	}
	e.length(1)
	e.string(r.topic)
	e.length(len(r.partitions))
	for _, p := range r.partitions {
		e.int32(p.partition)
		if r.version >= 9 {
			e.int32(-1) // leader epoch unknown
		}
		e.int64(p.offset)
		if r.version >= 5 {
			e.int64(-1) // log start, replicas only
		}
		e.int32(r.maxBytes)
	}
	if r.version >= 7 {
		e.length(0) // nothing to forget
	}
	return e.finish()
}

// decodeFetch reads an answer without copying its records. cut says that the
// end of the answer was not kept; then the last partition may end early.
func decodeFetch(b []byte, version int16, cut bool) (*fetchResponse, error) {
	d := &decoder{b: b}
	res := &fetchResponse{throttle: d.int32(), kept: cut}
	if version >= 7 {
		res.code = d.int16()
		d.int32() // fetch session
	}
	for range d.length(6) {
		d.string() // topic: only one was asked for
		n := d.length(30)
		for range n {
			p := fetchedPartition{high: -1, logStart: -1}
			p.partition = d.int32()
			p.code = d.int16()
			p.high = d.int64()
			d.int64() // last stable offset
			if version >= 5 {
				p.logStart = d.int64()
			}
			for range d.length(16) {
				p.aborted = append(p.aborted, abortedTransaction{producer: d.int64(), first: d.int64()})
			}
			if version >= 11 {
				d.int32() // preferred replica
			}
			size := int(d.int32())
			if d.err == nil && cut && size > len(d.b) {
				size = len(d.b)
			}
			if size > 0 {
				p.data = d.take(size)
			}
			if d.err != nil {
				if cut && len(res.partitions) > 0 {
					return res, nil
				}
				return nil, d.err
			}
			res.partitions = append(res.partitions, p)
		}
	}
	if d.err != nil && !cut {
		return nil, d.err
	}
	return res, nil
}

var (
	_ protocol.RawExchanger  = (*fetchRequest)(nil)
	_ protocol.BrokerMessage = (*fetchRequest)(nil)
)
