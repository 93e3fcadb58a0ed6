package consumer

import (
	"io"

	"github.com/segmentio/kafka-go/protocol"
)

// Times that ListOffsets understands as an end of the log.
const (
	timeLatest   = -1
	timeEarliest = -2
)

// listOffsetsRequest asks one leader for the offsets of a time, for all
// partitions it leads. kafka-go's own sends one request for each partition on
// connections of their own.
type listOffsetsRequest struct {
	clientID   string
	topic      string
	partitions []int32
	leader     int32
	time       int64 // milliseconds, or timeLatest, timeEarliest
	version    int16
	committed  bool // the latest is the end of the last finished transaction
}

// listedOffset is one partition's answer; offset is -1 when no record is as
// young as the time asked for.
type listedOffset struct {
	offset    int64
	partition int32
	code      int16
}

type listOffsetsResponse struct {
	offsets  []listedOffset
	throttle int32 // milliseconds
}

func (r *listOffsetsResponse) ApiKey() protocol.ApiKey { return protocol.ListOffsets }
func (r *listOffsetsRequest) ApiKey() protocol.ApiKey  { return protocol.ListOffsets }

func (r *listOffsetsRequest) Broker(c protocol.Cluster) (protocol.Broker, error) {
	return leaderOf(c, r.leader)
}

func (r *listOffsetsRequest) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = min(versions[protocol.ListOffsets], 5)
	return true
}

func (r *listOffsetsRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	e := requestHeader(protocol.ListOffsets, r.version, r.clientID)
	e.int32(-1) // no replica
	if r.version >= 2 {
		e.int8(b2i(r.committed))
	}
	e.length(1)
	e.string(r.topic)
	e.length(len(r.partitions))
	for _, p := range r.partitions {
		e.int32(p)
		if r.version >= 4 {
			e.int32(-1) // leader epoch unknown
		}
		e.int64(r.time)
	}
	d, err := exchange(rw, e)
	if err != nil {
		return nil, err
	}
	return decodeListOffsets(d, r.version)
}

func decodeListOffsets(d *decoder, version int16) (*listOffsetsResponse, error) {
	res := &listOffsetsResponse{}
	if version >= 2 {
		res.throttle = d.int32()
	}
	for range d.length(6) {
		d.string() // topic
		for range d.length(22) {
			var o listedOffset
			o.partition = d.int32()
			o.code = d.int16()
			d.int64() // timestamp
			o.offset = d.int64()
			if version >= 4 {
				d.int32() // leader epoch
			}
			res.offsets = append(res.offsets, o)
		}
	}
	if d.err != nil {
		return nil, d.err
	}
	return res, nil
}

func b2i(b bool) int8 {
	if b {
		return 1
	}
	return 0
}

var (
	_ protocol.RawExchanger  = (*listOffsetsRequest)(nil)
	_ protocol.BrokerMessage = (*listOffsetsRequest)(nil)
)
