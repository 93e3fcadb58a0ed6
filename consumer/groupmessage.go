package consumer

import (
	"io"

	"github.com/segmentio/kafka-go/protocol"
)

// kafka-go's own Heartbeat goes to any broker and swaps the two fields of the
// answer, and LeaveGroup swaps them too, so these two exchanges are our own.

// heartbeatRequest keeps a member alive and learns of rebalances. Its group
// makes the transport send it to the coordinator.
type heartbeatRequest struct {
	clientID   string
	group      string
	member     string
	instance   string
	generation int32
	version    int16
}

// codeResponse is an answer that consists of one error code.
type codeResponse struct {
	key      protocol.ApiKey
	throttle int32 // milliseconds
	code     int16
}

func (r *codeResponse) ApiKey() protocol.ApiKey { return r.key }

func (r *heartbeatRequest) ApiKey() protocol.ApiKey { return protocol.Heartbeat }
func (r *heartbeatRequest) Group() string           { return r.group }

func (r *heartbeatRequest) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = min(versions[protocol.Heartbeat], 3) // v4 has another encoding and says no more
	return true
}

func (r *heartbeatRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	e := requestHeader(protocol.Heartbeat, r.version, r.clientID)
	e.string(r.group)
	e.int32(r.generation)
	e.string(r.member)
	if r.version >= 3 {
		e.nullable(r.instance)
	}
	return exchangeCode(rw, e, protocol.Heartbeat, r.version)
}

// leaveRequest takes a member out of its group at once.
type leaveRequest struct {
	clientID string
	group    string
	member   string
	version  int16
}

func (r *leaveRequest) ApiKey() protocol.ApiKey { return protocol.LeaveGroup }
func (r *leaveRequest) Group() string           { return r.group }

func (r *leaveRequest) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = min(versions[protocol.LeaveGroup], 2) // v3 adds leaving on behalf of others
	return true
}

func (r *leaveRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	e := requestHeader(protocol.LeaveGroup, r.version, r.clientID)
	e.string(r.group)
	e.string(r.member)
	return exchangeCode(rw, e, protocol.LeaveGroup, r.version)
}

func exchangeCode(rw io.ReadWriter, e *encoder, key protocol.ApiKey, version int16) (protocol.Message, error) {
	d, err := exchange(rw, e)
	if err != nil {
		return nil, err
	}
	res := &codeResponse{key: key}
	if version >= 1 {
		res.throttle = d.int32()
	}
	res.code = d.int16()
	if d.err != nil {
		return nil, d.err
	}
	return res, nil
}

var (
	_ protocol.RawExchanger = (*heartbeatRequest)(nil)
	_ protocol.GroupMessage = (*heartbeatRequest)(nil)
	_ protocol.RawExchanger = (*leaveRequest)(nil)
	_ protocol.GroupMessage = (*leaveRequest)(nil)
)
