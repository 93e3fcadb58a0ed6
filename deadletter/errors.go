package deadletter

import (
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// Kind is whose turn it is when the store does not take letters.
type Kind string

// The kinds of an Error.
const (
	Unavailable Kind = "unavailable" // brokers or replicas are away: time may mend it
	Missing     Kind = "missing"     // there is no such topic: an administrator creates it
	Forbidden   Kind = "forbidden"   // a right is missing: an administrator grants it
	Refused     Kind = "refused"     // the broker does not take the record or the request
)

// Error says why letters are not durable, and what an administrator can do.
type Error struct {
	Kind  Kind
	Topic string
	Doing string // such as "writing dead letters"
	Hint  string // what would help, may be empty
	Err   error
}

// Error is one line.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s, topic %q: %v", e.Doing, e.Topic, e.Err)
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Unwrap returns the broker's or the network's error.
func (e *Error) Unwrap() error { return e.Err }

// classify tells the kind of an error of the client.
func classify(err error) Kind {
	var typed *Error
	switch {
	case errors.As(err, &typed):
		return typed.Kind
	case errors.Is(err, protocol.ErrNoTopic), errors.Is(err, kafka.UnknownTopicOrPartition):
		return Missing
	case errors.Is(err, kafka.TopicAuthorizationFailed), errors.Is(err, kafka.ClusterAuthorizationFailed),
		errors.Is(err, kafka.SASLAuthenticationFailed), errors.Is(err, kafka.TransactionalIDAuthorizationFailed):
		return Forbidden
	}
	var code kafka.Error
	if errors.As(err, &code) && !code.Temporary() && !code.Timeout() && !mends(code) {
		return Refused
	}
	return Unavailable
}

// mends lists codes that pass although the client does not call them temporary.
func mends(code kafka.Error) bool {
	return code == kafka.BrokerNotAvailable || code == kafka.ReplicaNotAvailable
}

// tooLarge tells that the broker found the record batch too large.
func tooLarge(err error) bool {
	return errors.Is(err, kafka.MessageSizeTooLarge) || errors.Is(err, kafka.RecordListTooLarge)
}
