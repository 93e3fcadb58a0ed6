package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"golang.org/x/oauth2"
)

// Reason is why there is no token: a stable word for metrics and alerts.
type Reason string

// The reasons.
const (
	ReasonConfiguration Reason = "configuration" // the token URL cannot be used
	ReasonConnection    Reason = "connection"    // no answer: network, TLS, name, or an answer cut short
	ReasonTimeout       Reason = "timeout"       // no answer in time
	ReasonStatus        Reason = "status"        // an answer that is no token
	ReasonMalformed     Reason = "malformed"     // a good status with something that cannot be read as a token
)

// TokenError says why no token was to be had. Its text and what it wraps show
// neither the secret nor the answer's body.
type TokenError struct {
	Reason Reason
	Status int    // of the token server's answer, 0 without one
	Code   string // the OAuth 2.0 error code, such as invalid_client; empty without one

	text string
	err  error // of the connection; never the library's, which keeps the answer
}

// Error is one line.
func (e *TokenError) Error() string { return "fetching a token: " + e.text }

// Unwrap returns the error of the connection, so that a certificate that is not
// trusted or a refused address can be told from a network that is down.
func (e *TokenError) Unwrap() error { return e.err }

// TokenStatus is the status of the token server's answer, 0 without one.
func (e *TokenError) TokenStatus() int { return e.Status }

// Timeout tells that no answer came in time.
func (e *TokenError) Timeout() bool { return e.Reason == ReasonTimeout }

// TokenRefused tells that quick retries are no use: the server understood and
// said no, redirects, or is no token server. An outage, a throttle and an
// answer cut short are not.
func (e *TokenError) TokenRefused() bool {
	switch e.Reason {
	case ReasonConfiguration, ReasonMalformed:
		return true
	case ReasonConnection, ReasonTimeout:
		return false
	case ReasonStatus:
	}
	switch e.Code {
	case "temporarily_unavailable", "server_error": // RFC 6749, 4.1.2.1, whatever the status
		return false
	}
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return e.Status < http.StatusInternalServerError
}

// tokenError makes the typed error of whatever the library returns. The
// library's own errors are taken apart and not wrapped: they keep the answer,
// in which a server may echo what it was sent.
func (c *ClientCredentials) tokenError(err error) *TokenError {
	var retrieve *oauth2.RetrieveError
	if errors.As(err, &retrieve) {
		return c.statusError(retrieve)
	}
	var answer *answerError
	if errors.As(err, &answer) && errors.Is(err, errAnswerTooLarge) {
		return c.failure(ReasonMalformed, answer.status, errAnswerTooLarge.Error(), nil)
	}
	var late interface{ Timeout() bool }
	cause := withoutURL(err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(cause, &late) && late.Timeout():
		return c.failure(ReasonTimeout, 0, "no answer in time", cause)
	case errors.Is(err, context.Canceled):
		return c.failure(ReasonConnection, 0, "cancelled", cause)
	case isConnection(err):
		return c.failure(ReasonConnection, 0, cause.Error(), cause)
	}
	// What is left is an answer with a good status that the library could not
	// read as a token. Its text may quote the answer.
	return c.failure(ReasonMalformed, http.StatusOK, "the answer holds no access token", nil)
}

// isConnection tells errors of the request from those of reading its answer:
// the former come through the http.Client.
func isConnection(err error) bool {
	var network net.Error // *url.Error is one
	var answer *answerError
	return errors.As(err, &network) || errors.As(err, &answer)
}

func (c *ClientCredentials) statusError(r *oauth2.RetrieveError) *TokenError {
	status := 0
	if r.Response != nil {
		status = r.Response.StatusCode
	}
	text := fmt.Sprintf("status %d", status)
	code, told := c.scrub.text(r.ErrorCode), r.ErrorDescription
	if isCode(code) {
		text += ", " + code
	} else {
		if told == "" {
			told = r.ErrorCode // some servers have no code and put a sentence there: "Realm does not exist"
		}
		code = ""
	}
	if told != "" {
		text += ": " + told
	}
	e := c.failure(ReasonStatus, status, text, nil)
	e.Code = code
	return e
}

// failure builds an error whose text is scrubbed, printable and short.
func (c *ClientCredentials) failure(reason Reason, status int, text string, cause error) *TokenError {
	text = c.scrub.text(text)
	if host := shownURL(c.options.TokenURL); host != "" {
		text = c.scrub.text(host) + ": " + text
	}
	return &TokenError{Reason: reason, Status: status, text: text, err: cause}
}

// isCode accepts the shape of the codes of RFC 6749, 5.2 and their extensions;
// anything else is no code.
func isCode(s string) bool {
	const longest = 64 // bytes
	if s == "" || len(s) > longest {
		return false
	}
	for _, b := range []byte(s) {
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '_' && b != '-' && b != '.' {
			return false
		}
	}
	return true
}
