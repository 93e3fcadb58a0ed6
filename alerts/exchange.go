package alerts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"sessionexport/egress"
)

// maxAnswer is how many bytes of an answer are read; nobody answers a
// notification with more.
const maxAnswer = 64 << 10

// exchangeError says what went wrong with a request, without its URL, which
// carries the secrets of most services.
type exchangeError struct {
	host   string
	status int   // of an answer; 0 without one
	err    error // without an answer
}

// Error names the host, the status, or what kept an answer away.
func (e *exchangeError) Error() string {
	if e.status != 0 {
		return fmt.Sprintf("%s answered %d %s", e.host, e.status, http.StatusText(e.status))
	}
	return e.host + ": " + plain(e.err)
}

// Unwrap returns what kept an answer away.
func (e *exchangeError) Unwrap() error { return e.err }

// plain renders a failed exchange. url.Error quotes the URL: what it wraps
// does not.
func plain(err error) string {
	var quoting *url.Error
	if errors.As(err, &quoting) {
		err = quoting.Err
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer in time"
	}
	return err.Error()
}

// Transport is the way out of notifications: small requests. It bounds an
// exchange in time and its answer in size, follows no redirect, and takes every
// answer but a 2xx for an error. Its errors show no URL.
type Transport struct {
	next    http.RoundTripper
	timeout time.Duration
}

// NewTransport returns a transport by the house's rules. The caller closes its
// idle connections.
func NewTransport(rules egress.Rules) *Transport {
	return &Transport{next: egress.NewTransport(egress.Options{Rules: rules, MaxConns: 2}), timeout: sendTimeout}
}

// CloseIdleConnections closes what is kept open for a next request.
func (x *Transport) CloseIdleConnections() {
	if closing, ok := x.next.(interface{ CloseIdleConnections() }); ok {
		closing.CloseIdleConnections()
	}
}

// RoundTrip sends a request and returns its whole answer.
func (x *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), x.timeout)
	defer cancel()
	host := req.URL.Host
	res, err := x.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, &exchangeError{host: host, err: err}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	_ = res.Body.Close()
	switch {
	case res.StatusCode < 200 || res.StatusCode > 299:
		return nil, &exchangeError{host: host, status: res.StatusCode}
	case err != nil:
		return nil, &exchangeError{host: host, err: fmt.Errorf("reading the answer: %w", err)}
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}
