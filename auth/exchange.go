package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// maxTokenAnswer in bytes is how much of a token server's answer is read; a
// token with every claim that fits a header stays below it.
const maxTokenAnswer = 16 << 10

// errAnswerTooLarge is what a longer answer ends in.
var errAnswerTooLarge = fmt.Errorf("the answer is larger than %d bytes", maxTokenAnswer)

// tokenTransport is the way of a token request: it asks for JSON and hands up an
// answer that is read, limited and labelled.
type tokenTransport struct {
	next      http.RoundTripper
	userAgent string
}

func (t *tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	own := r.Clone(r.Context())
	own.Header.Set("Accept", "application/json")
	if t.userAgent != "" {
		own.Header.Set("User-Agent", t.userAgent)
	}
	answer, err := t.next.RoundTrip(own)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxTokenAnswer+1))
	closeErr := answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		// The status says enough: a proxy's error page of any size, or one that
		// was cut short, is still a 502.
		if err != nil || len(body) > maxTokenAnswer {
			body = nil
		}
		err, closeErr = nil, nil
	}
	switch {
	case err != nil:
		return nil, &answerError{status: answer.StatusCode, err: err}
	case len(body) > maxTokenAnswer:
		return nil, &answerError{status: answer.StatusCode, err: errAnswerTooLarge}
	case closeErr != nil:
		return nil, &answerError{status: answer.StatusCode, err: closeErr}
	}
	// Some servers label their JSON as text, which would be read as a form.
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		answer.Header.Set("Content-Type", "application/json")
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	answer.ContentLength = int64(len(body))
	return answer, nil
}

// CloseIdleConnections reaches through to the transport.
func (t *tokenTransport) CloseIdleConnections() { closeIdle(t.next) }

// answerError is an answer that began and could not be read to its end.
type answerError struct {
	status int
	err    error
}

func (e *answerError) Error() string { return fmt.Sprintf("reading the answer: %v", e.err) }
func (e *answerError) Unwrap() error { return e.err }

// checkTokenURL refuses a URL that would carry the secret in the clear.
func checkTokenURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		// The parser's error quotes the URL.
		return &TokenError{Reason: ReasonConfiguration, text: "the token URL does not parse"}
	}
	if u.Scheme != "https" || u.Host == "" {
		return &TokenError{Reason: ReasonConfiguration, text: "the token URL must start with https://"}
	}
	return nil
}

// shownURL is the URL without user, password, query and fragment.
func shownURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// withoutURL takes an http.Client's wrapping off: it quotes the URL with its
// query.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
