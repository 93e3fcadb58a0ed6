// Package alerts tells people what is wrong with a sink. A pure tracker turns
// signals into open and resolved alerts, one a sink and cause; notifiers carry
// them to the log, to chats, mail and webhooks, and to Alertmanagers, each in a
// goroutine of its own, so that none of them ever delays a delivery.
package alerts

import (
	"cmp"
	"time"
)

// Cause is what is wrong. The words are stable: they are labels of metrics and
// of Alertmanager's alerts.
type Cause string

// The causes.
const (
	DeliveryFailed     Cause = "delivery_failed"      // the retries are used up, or are no use
	DeadLettersGrow    Cause = "dead_letters"         // sessions were given up
	Poison             Cause = "poison"               // sessions that fail alone while others get through were given up
	LettersUnwritable  Cause = "dead_letters_failing" // dead letters cannot be stored
	SessionsDiscarded  Cause = "discarded"            // onFailure=discard dropped sessions
	OutOfRange         Cause = "out_of_range"         // a position is not in the log
	Unreadable         Cause = "unreadable"           // a partition is not read, because a batch in it cannot be
	TokenServer        Cause = "token_server"         // no access token is to be had
	CertificateExpires Cause = "certificate"          // an endpoint's or a client's certificate is about to expire
	RetentionNear      Cause = "retention"            // Kafka is about to delete what is not delivered
	Stopped            Cause = "stopped"              // the sink ended for good
)

// Key names an alert: there is one a sink and cause.
type Key struct {
	Environment string
	Sink        string
	Cause       Cause
}

func (k Key) compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Environment, o.Environment), cmp.Compare(k.Sink, o.Sink), cmp.Compare(k.Cause, o.Cause))
}

// State is what happened to an alert.
type State string

// The states in which an alert is told.
const (
	Opened   State = "open"
	Repeated State = "repeat" // still open, an hour after it was last told
	Resolved State = "resolved"
	Trial    State = "trial" // nothing is wrong: somebody tries whether notifications arrive
)

// Notification is what is told about an alert.
type Notification struct {
	Key
	State   State
	At      time.Time
	Since   time.Time // when the trouble began
	Waiting int64     // sessions that wait in Kafka; -1: not known
	Lost    int64     // sessions that were given up, dropped or missed since the alert opened
	Error   string    // the last one; never a secret, never a document
	Until   time.Time // when it becomes too late; zero: no such time
	Silent  bool      // the sink's notifications are disabled: for the log alone
}

// Severity says how much hurry an alert has: "critical" when sessions wait or
// are about to be lost, else "warning".
func (c Cause) Severity() string {
	switch c {
	case DeliveryFailed, LettersUnwritable, OutOfRange, Unreadable, RetentionNear, Stopped:
		return "critical"
	default:
		return "warning"
	}
}

// momentary tells whether the cause is something that happens and is over, and
// not a condition that lasts: its alert stays open until it has not happened
// for a while.
func (c Cause) momentary() bool {
	switch c {
	case DeadLettersGrow, Poison, SessionsDiscarded, OutOfRange:
		return true
	default:
		return false
	}
}

// Summary says in a few words what is wrong.
func (c Cause) Summary() string {
	switch c {
	case DeliveryFailed:
		return "delivery fails"
	case DeadLettersGrow:
		return "sessions became dead letters"
	case Poison:
		return "poisonous sessions were given up"
	case LettersUnwritable:
		return "dead letters cannot be written"
	case SessionsDiscarded:
		return "sessions were discarded"
	case OutOfRange:
		return "a position is not in the topic"
	case Unreadable:
		return "a partition cannot be read"
	case TokenServer:
		return "the token server gives no token"
	case CertificateExpires:
		return "a certificate is about to expire"
	case RetentionNear:
		return "Kafka is about to delete undelivered sessions"
	case Stopped:
		return "the sink stopped for good"
	}
	return string(c)
}

// Advice says what to do about it.
func (c Cause) Advice() string {
	switch c {
	case DeliveryFailed:
		return "Look at the endpoint: is it up, does it accept these credentials, did its URL or certificate change? With onFailure=hold nothing is lost meanwhile, and sending goes on by itself."
	case DeadLettersGrow:
		return "Read why with `session-export dead-letters list`; mend the cause at the receiver, then redrive or drop them."
	case Poison:
		return "Find them with `session-export dead-letters list --kind poison`; the receiver fails on exactly these sessions. Redrive them once it is mended."
	case LettersUnwritable:
		return "Look at the dead letters' topic and its rights: the sink commits nothing and holds until they can be stored."
	case SessionsDiscarded:
		return "These sessions are lost, as onFailure=discard asks for. Choose hold or dead-letter if that is not meant."
	case OutOfRange:
		return "Was the topic's retention too short, or the topic made anew? The log names partition, offset and how much was skipped."
	case Unreadable:
		return "The log names partition and offset. Restore the batch from another replica, or move the group past it."
	case TokenServer:
		return "Look at the token server and at the client's id, secret and scope; nothing is delivered without a token."
	case CertificateExpires:
		return "Renew the certificate in time: once it expired, nothing is delivered."
	case RetentionNear:
		return "Lengthen the topic's retention now (retention.ms, retention.bytes), then mend what keeps the sink from delivering."
	case Stopped:
		return "Do two instances share kafka.instanceId? Mend it and restart this instance."
	}
	return ""
}
