package sinks

import "time"

// Kind is the verdict's kind; docs/verdicts.md has the table.
type Kind uint8

// The kinds of a verdict.
const (
	Delivered    Kind = iota // every session was accepted
	Retryable                // the destination may recover in seconds: try again
	Throttled                // the destination asks for a pause: not an attempt
	Partial                  // _bulk only: Items tells what became of the sessions that were not accepted
	TooLarge                 // 413: halve
	Unauthorised             // 401 with OAuth 2.0: drop the token, one fresh try
	Refused                  // the destination's fault, quick retries are no use
	Suspect                  // perhaps the session's fault: isolate
	Rejected                 // a session that its format cannot carry; never the verdict of an attempt
	Interrupted              // the caller's context ended: no verdict on anyone
)

// Verdict is the outcome of one attempt. It never quotes a secret, and Err and
// Excerpt never quote a document.
type Verdict struct {
	Kind   Kind
	Status int // HTTP status of the endpoint, 0 without an answer
	// Reason is a stable snake_case word for metrics and alerts: "status", "redirect",
	// "bulk_answer", "bulk_items", "cut_short", "timeout", "reset", "connection", "dns",
	// "tls", "certificate", "proxy", "proxy_credentials", "egress", "token",
	// "token_refused" or "interrupted"; empty when delivered. docs/verdicts.md has the table.
	Reason string
	// Poisonable: a timeout, a reset or broken answer on an established
	// connection, or a 5xx other than 503: what a poisonous session may cause.
	Poisonable bool
	RetryAfter time.Duration // of a throttled verdict, or of throttled items; 0 when none was sent, at most an hour
	Err        error         // nil when delivered; "Request timeout" is its text when the attempt timed out
	Excerpt    string        // of the answer, at most 512 bytes, printable, secrets scrubbed
	Items      []ItemVerdict // Partial: the sessions that were not accepted, by index, ascending; the rest were delivered
	Conflicts  int           // _bulk with opType=create: items that were there already (409), counted as delivered
}

// ItemVerdict is the verdict on one session of a _bulk body.
type ItemVerdict struct {
	Index  int    // of the session in the body
	Kind   Kind   // Throttled, Retryable, Refused or Suspect
	Status int    // the item's status
	Type   string // the item's error type
	Reason string // the item's error reason, at most 256 bytes: for the dead letter only, it may quote the document
}

// Body is what one attempt sends: framed sessions of one batch.
type Body struct {
	ID       string // the batch's id: the same in every attempt of the same sessions
	Bytes    []byte // framed sessions, as Format.Append made them; not kept, not changed
	Sessions int
}
