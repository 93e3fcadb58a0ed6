package consumer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/segmentio/kafka-go"
)

// ErrorKind tells what an operator can do about an Error.
type ErrorKind uint8

// The kinds of errors.
const (
	ErrKafka         ErrorKind = iota // Kafka answered with an error; it is retried
	ErrUnreachable                    // no broker answered
	ErrCredentials                    // Kafka does not accept the user or the certificate
	ErrAccessRefused                  // an access rule is missing; the message names it
	ErrTopicMissing                   // the topic does not exist
	ErrFenced                         // another process uses the same static instance id
	ErrForeignGroup                   // the group is used by consumers of another kind
)

// Error is what keeps a member from working. Its text is one line and never
// contains a secret.
type Error struct {
	Err   error
	Doing string // a gerund
	Hint  string // what would help; may be empty
	Kind  ErrorKind
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %v", e.Doing, e.Err)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// codeError is the error of a code in an answer; nil for 0.
func (m *Member) codeError(doing string, code int16) *Error {
	if code == 0 {
		return nil
	}
	return explain(doing, kafka.Error(code), m.o.Topic, m.o.Group)
}

// explain sorts an error and adds what would help.
func explain(doing string, err error, topic, group string) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	e := &Error{Err: err, Doing: doing, Kind: ErrUnreachable}
	var code kafka.Error
	if errors.As(err, &code) {
		e.Kind = ErrKafka
	}
	switch {
	case errors.Is(err, kafka.TopicAuthorizationFailed):
		e.Kind, e.Hint = ErrAccessRefused, fmt.Sprintf("the user needs the operations Describe and Read on topic %q", topic)
	case errors.Is(err, kafka.GroupAuthorizationFailed):
		e.Kind, e.Hint = ErrAccessRefused, fmt.Sprintf("the user needs the operation Read on group %q", group)
	case errors.Is(err, kafka.ClusterAuthorizationFailed):
		e.Kind, e.Hint = ErrAccessRefused, "the user has no access to the cluster"
	case errors.Is(err, kafka.SASLAuthenticationFailed):
		e.Kind, e.Hint = ErrCredentials, "user or password is wrong, or the mechanism is not enabled for the user"
	case errors.Is(err, kafka.UnsupportedSASLMechanism):
		e.Kind, e.Hint = ErrCredentials, "the broker does not offer this SASL mechanism"
	case errors.Is(err, kafka.UnknownTopicOrPartition):
		e.Kind, e.Hint = ErrTopicMissing, fmt.Sprintf("topic %q does not exist or is hidden from the user; it is used as soon as it appears", topic)
	case errors.Is(err, kafka.FencedInstanceID):
		e.Kind, e.Hint = ErrFenced, "another process uses the same instance id"
	case errors.Is(err, kafka.InconsistentGroupProtocol):
		e.Kind, e.Hint = ErrForeignGroup, fmt.Sprintf("group %q is used by consumers of another kind", group)
	case errors.Is(err, context.DeadlineExceeded):
		e.Hint = "no answer in time"
	case strings.Contains(err.Error(), "EOF"):
		e.Hint = "the broker closed the connection; it may ask for TLS or SASL"
	case strings.Contains(err.Error(), "tls: "), strings.Contains(err.Error(), "x509: "):
		e.Kind, e.Hint = ErrCredentials, "the TLS handshake failed: "+tlsHint(err)
	}
	return e
}

// tlsHint says whose certificate is not accepted and why.
func tlsHint(err error) string {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &authority):
		return "the broker's certificate is not signed by the authority that is trusted; is caFile the one of these brokers?"
	case errors.As(err, &host):
		return "the broker's certificate is for another name than the one it is reached by"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the broker's certificate has expired or is not valid yet"
	case errors.As(err, &invalid):
		return "the broker's certificate is not valid"
	case errors.As(err, &record):
		return "the broker does not speak TLS on this port"
	case strings.Contains(err.Error(), "remote error: tls: ") && strings.Contains(err.Error(), "certificate"):
		return "the broker does not accept the client certificate, or asks for one; see certFile and keyFile"
	default:
		return "version or ciphers do not fit, or something else than the broker answers"
	}
}
