package sinks

import (
	"net/http"
	"sync/atomic"
)

// earlyAnswers finds out what an endpoint said before it closed the connection.
//
// Some endpoints answer 413 or 401 without reading the body, and close at once.
// The client is still writing then: the write fails, and the failure often
// overtakes the answer that says why (one in seven bodies of 896 kB, three in four
// of 8 MB, over loopback). So after a connection that broke in the middle of a body
// the next request asks first, with Expect: 100-continue, and sends the body when
// the endpoint says yes, or nothing for a second. Asking always would cost a round
// trip a batch.
type earlyAnswers struct {
	ask     atomic.Bool // the next request asks
	refused atomic.Bool // the endpoint answered 417: it cannot be asked
}

// broke notes how an attempt without an answer ended.
func (e *earlyAnswers) broke(withinBody bool) {
	e.ask.Store(withinBody && !e.refused.Load())
}

// roundTrip is one request on the wire.
func (s *Sink) roundTrip(r *http.Request) (*http.Response, error) {
	asked := s.early.ask.Load()
	if asked {
		r.Header["Expect"] = []string{"100-continue"}
	}
	resp, err := s.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	s.early.ask.Store(false)
	if asked && resp.StatusCode == http.StatusExpectationFailed {
		s.early.refused.Store(true)
	}
	return resp, nil
}
