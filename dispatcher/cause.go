package dispatcher

import (
	"net/http"
	"strconv"
	"time"

	"sessionexport/sinks"
)

// Policy is what happens to a batch that could not be delivered.
type Policy string

// The policies.
const (
	Hold       Policy = "hold"        // the sink waits and probes; Kafka keeps the rest
	DeadLetter Policy = "dead-letter" // the batch goes to the dead letters, the sink goes on
	Discard    Policy = "discard"     // the batch is dropped and counted, as in the reference
)

// Cause is why an attempt failed or a session was given up.
type Cause struct {
	Reason  string // stable snake_case word, see sinks.Verdict
	Status  int    // HTTP status of the answer or of the item; 0 without one
	Type    string // the error type of a _bulk item
	Text    string // for people; never a secret, never a document
	Private string // may quote the document: for the dead letter only
}

func causeOf(v sinks.Verdict) Cause {
	c := Cause{Reason: v.Reason, Status: v.Status}
	switch {
	case v.Err != nil:
		c.Text = v.Err.Error()
	case v.Status != 0:
		c.Text = strconv.Itoa(v.Status) + " " + http.StatusText(v.Status)
	}
	c.Private = v.Excerpt
	return c
}

func causeOfItem(v sinks.ItemVerdict) Cause {
	return Cause{Reason: "bulk_item", Status: v.Status, Type: v.Type, Private: v.Reason,
		Text: "item answered " + strconv.Itoa(v.Status) + " " + v.Type}
}

// credentials tells whether the destination, or what stands before it, does not
// accept who we are.
func (c Cause) credentials() bool {
	return c.Status == http.StatusUnauthorized || c.Status == http.StatusProxyAuthRequired ||
		c.Reason == "token_refused" || c.Reason == "proxy_credentials"
}

// EventKind names what happened.
type EventKind string

// The events that a pipeline tells its observer.
const (
	Retry         EventKind = "retry"          // an attempt failed and is repeated after Wait
	Alert         EventKind = "alert"          // delivery failed: the retries are used up, or retrying is no use
	HoldBegan     EventKind = "hold_began"     // the sink sends only probes from now on
	ProbeFailed   EventKind = "probe_failed"   // the next one leaves after Wait
	Recovered     EventKind = "recovered"      // the hold is over: the destination accepts again
	HoldLeft      EventKind = "hold_left"      // the hold ended with its sessions: they were given up or went to other members
	Throttling    EventKind = "throttled"      // the sink pauses for Wait
	LettersStored EventKind = "letters_stored" // Sessions are durable dead letters
	LettersFailed EventKind = "letters_failed" // dead letters could not be written, tried again after Wait
	Discarded     EventKind = "discarded"      // Sessions were dropped, as the policy says
	LimitLearned  EventKind = "limit_learned"  // the destination takes no larger bodies than Bytes
)

// Event is one thing that an operator may want to know.
type Event struct {
	Kind     EventKind
	Cause    Cause
	Batch    string // id of the batch, where there is one
	Sessions int
	Bytes    int
	Attempt  int
	Wait     time.Duration
	Since    time.Time // of a hold
}
