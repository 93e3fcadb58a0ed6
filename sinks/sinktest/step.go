package sinktest

import (
	"net/http"
	"time"
)

// Fault is a way in which an endpoint fails to answer as it should. Faults that
// break a connection need HTTP/1.1; over HTTP/2 they abort the stream.
type Fault uint8

// The faults.
const (
	None          Fault = iota
	ResetUnread         // the connection is reset before the body is read
	ResetRead           // the connection is reset when the body is read, without an answer
	CloseRead           // the same, but closed properly
	HalfStatus          // half a status line, then the connection closes
	HalfAnswer          // headers and half of the announced body, then the connection closes
	HalfChunk           // headers and half of a chunked body, then the connection closes
	ResetAnswer         // headers and half of the announced body, then the connection is reset
	Garbage             // something that is not HTTP
	HangUnread          // the body is not read and nothing is answered
	HangRead            // the body is read and nothing is answered
	HangAnswer          // headers and half of the announced body, then nothing
	EndlessHeader       // headers without end
	EndlessBody         // a body without end, as fast as it is read
	SlowBody            // headers, then a byte now and then, without end
	EarlyClose          // an answer before the body is read, and the connection closes at once
	EarlyKeep           // an answer before the body is read, which is then swallowed
)

// Step is one answer. The zero value accepts: 200, and for _bulk an answer with
// an item for each session.
type Step struct {
	Status int // 0: 200
	Header http.Header
	Body   string        // "" answers _bulk by Item; otherwise it is the answer
	Delay  time.Duration // before the answer; ends when the client leaves or the receiver closes
	Fault  Fault

	// Item judges one session of a _bulk body: its status, and the type of its
	// error for a status of 300 or more. nil accepts each with 201.
	Item func(Session) (status int, errorType string)
}

// Status is a step that answers with a status and nothing else.
func Status(status int) Step { return Step{Status: status} }

// Break is a step that fails in the way of a fault.
func Break(fault Fault) Step { return Step{Fault: fault} }

func (s Step) status() int {
	if s.Status == 0 {
		return http.StatusOK
	}
	return s.Status
}
