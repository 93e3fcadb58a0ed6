// Package auth puts outgoing credentials on requests: Basic and OAuth 2.0
// client credentials, each an http.RoundTripper. No error, log line or figure
// of it shows a secret.
package auth

import "net/http"

// Basic sends every request with a user and a password (RFC 7617) through
// next. The user must not contain a colon.
func Basic(username, password string, next http.RoundTripper) http.RoundTripper {
	return &basic{username: username, password: password, next: next}
}

type basic struct {
	username, password string
	next               http.RoundTripper
}

// RoundTrip sends a copy of the request: a RoundTripper changes no request that
// is not its own.
func (b *basic) RoundTrip(r *http.Request) (*http.Response, error) {
	own := r.Clone(r.Context())
	own.SetBasicAuth(b.username, b.password)
	return b.next.RoundTrip(own)
}

// CloseIdleConnections reaches through to the transport.
func (b *basic) CloseIdleConnections() { closeIdle(b.next) }

func closeIdle(t http.RoundTripper) {
	if c, ok := t.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
