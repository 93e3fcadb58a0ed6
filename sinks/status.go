package sinks

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// What is read of a webhook's answer. Its verdict is the status line; the rest is
// read for the excerpt, and so that the connection can be used again.
const (
	maxWebhookAnswer  = 64 << 10 // bytes
	maxWebhookReading = time.Second
)

// judgeStatus is the table of status codes: what an answer's status and
// Retry-After say about the attempt. A 2xx is Delivered here; _bulk looks further.
func judgeStatus(status int, retryAfterHeader string, bulk, oauth bool, now time.Time) Verdict {
	v := Verdict{Status: status, Reason: "status"}
	switch {
	case status >= 200 && status < 300:
		return Verdict{Kind: Delivered, Status: status}
	case status >= 300 && status < 400:
		v.Kind, v.Reason = Refused, "redirect"
	case status == http.StatusTooManyRequests:
		v.Kind = Throttled
		v.RetryAfter, _ = retryAfter(retryAfterHeader, now)
	case status == http.StatusServiceUnavailable:
		v.Kind = Retryable
		if wait, ok := retryAfter(retryAfterHeader, now); ok {
			v.Kind, v.RetryAfter = Throttled, wait
		}
	case status >= 500 && status < 600:
		v.Kind, v.Poisonable = Retryable, true
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusExpectationFailed:
		v.Kind = Retryable
	case status == http.StatusRequestEntityTooLarge:
		v.Kind = TooLarge
	case status == http.StatusUnauthorized && oauth:
		v.Kind = Unauthorised
	case !bulk && (status == http.StatusBadRequest || status == http.StatusUnprocessableEntity):
		v.Kind = Suspect
	default:
		v.Kind = Refused
	}
	v.Err = &AttemptError{Reason: v.Reason, text: "endpoint answered " + statusText(status)}
	return v
}

func statusText(status int) string {
	if text := http.StatusText(status); text != "" {
		return strconv.Itoa(status) + " " + text
	}
	return strconv.Itoa(status)
}

// judgeWebhook judges an answer by its status line. stop ends the request.
func (s *Sink) judgeWebhook(resp *http.Response, b Body, stop func()) Verdict {
	v := judgeStatus(resp.StatusCode, resp.Header.Get("Retry-After"), false, s.oauth, time.Now())
	answer, done := s.limitAnswer(resp.Body, stop)
	defer done()
	if v.Kind != Delivered {
		v.Excerpt = s.scrub.sent(resp.Request).read(answer, b.Bytes)
	}
	return v
}

// limitAnswer returns the part of an answer that is read although the status line
// has decided already. done reads what is left of it.
func (s *Sink) limitAnswer(body io.Reader, stop func()) (answer io.Reader, done func()) {
	timer := time.AfterFunc(s.reading, stop)
	answer = io.LimitReader(body, maxWebhookAnswer)
	return answer, func() {
		_, _ = io.Copy(io.Discard, answer)
		timer.Stop()
	}
}

// AttemptError is the error of a verdict: what went wrong, in a text without
// secrets and documents.
type AttemptError struct {
	Reason string // as Verdict.Reason
	text   string
}

func (e *AttemptError) Error() string { return e.text }

func interrupted(ctx context.Context) Verdict {
	return Verdict{
		Kind:   Interrupted,
		Reason: "interrupted",
		Err:    &AttemptError{Reason: "interrupted", text: fmt.Sprintf("attempt interrupted: %v", ctx.Err())},
	}
}

func unixSeconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
