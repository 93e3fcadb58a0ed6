package sinks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strconv"
)

// textTimeout is what alerts say; reference: "Request timeout" error message.
const textTimeout = "Request timeout"

// reasonReset is a connection that broke when the request was being written or
// its answer awaited.
const reasonReset = "reset"

// What the errors of other rooms look like from here. Those rooms are not
// imported: a sink knows a transport only as http.RoundTripper.
type (
	// tokenError: no token was to be had, so no request was sent.
	tokenError interface {
		error
		TokenRefused() bool // the token endpoint said no; otherwise it could not be reached or was ill
		TokenStatus() int   // its HTTP status, 0 without an answer
	}
	// egressError: a rule of ours forbids the address.
	egressError interface {
		error
		EgressDenied() bool
	}
	// proxyError: the proxy did not open the way.
	proxyError interface {
		error
		ProxyStatus() int
	}
)

// failed judges an attempt that ended without a whole answer. ctx is the caller's,
// attempt the one with the deadline.
func (s *Sink) failed(ctx, attempt context.Context, p *payload, err error) Verdict {
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	var token tokenError
	if attempt.Err() != nil && !errors.As(err, &token) {
		// What a transport says of a request that it has given up is not always the reason.
		err = attempt.Err()
	}
	begun, drained := p.progress()
	v := s.judgeError(err, begun)
	s.early.broke(v.Reason == reasonReset && !drained)
	return v
}

// judgeError is the table of errors. begun tells that the request was being
// written: what the endpoint has seen of it may be what broke the connection.
func (s *Sink) judgeError(err error, begun bool) Verdict {
	var (
		token  tokenError
		egress egressError
		proxy  proxyError
		dns    *net.DNSError
	)
	v := Verdict{Kind: Retryable}
	text := ""
	switch {
	case errors.As(err, &egress) && egress.EgressDenied():
		v.Kind, v.Reason = Refused, "egress"
	case errors.As(err, &proxy) && refusesTunnel(proxy.ProxyStatus()): // on the way to the token endpoint as well
		v.Kind, v.Reason = Refused, "proxy"
		if status := proxy.ProxyStatus(); status == http.StatusUnauthorized || status == http.StatusProxyAuthRequired {
			v.Reason = "proxy_credentials"
		}
	case errors.As(err, &token) && token.TokenRefused():
		v.Kind, v.Reason = Refused, "token_refused"
	case isCertificate(err): // the token endpoint's as well
		v.Kind, v.Reason = Refused, "certificate"
	case errors.As(err, &token):
		v.Reason = "token"
	case errors.As(err, &dns):
		v.Reason = "dns"
	case isTimeout(err):
		v.Reason, v.Poisonable, text = "timeout", begun, textTimeout
	case errors.As(err, &proxy), isProxyDial(err):
		v.Reason = "proxy"
	case isTLS(err):
		v.Reason = "tls"
	case begun:
		v.Reason, v.Poisonable = reasonReset, true
	default:
		v.Reason = "connection"
	}
	if text == "" {
		text = s.scrub.text(err.Error())
	}
	v.Err = &AttemptError{Reason: v.Reason, text: text}
	return v
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// refusesTunnel tells of a proxy's answer to CONNECT whether quick retries are no
// use.
func refusesTunnel(status int) bool {
	return status >= 300 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests
}

func isProxyDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "proxyconnect"
}

// Alerts by which an endpoint says that it does not accept our certificate or
// misses one; RFC 8446 section 6.2.
var certificateAlerts = []tls.AlertError{
	42,  // bad_certificate
	43,  // unsupported_certificate
	44,  // certificate_revoked
	45,  // certificate_expired
	46,  // certificate_unknown
	48,  // unknown_ca
	49,  // access_denied
	116, // certificate_required
}

// isCertificate: one side does not accept the other's certificate. Quick retries
// are no use.
func isCertificate(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
		roots        x509.SystemRootsError
	)
	if errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.As(err, &invalid) || errors.As(err, &roots) {
		return true
	}
	alert, ok := remoteAlert(err)
	if !ok {
		return false
	}
	for _, known := range certificateAlerts {
		// Outside QUIC the alert's type is not exported. Both texts come from the same table of crypto/tls.
		if alert == known.Error() {
			return true
		}
	}
	return false
}

func isTLS(err error) bool {
	var (
		record tls.RecordHeaderError
		ech    *tls.ECHRejectionError
	)
	if errors.As(err, &record) || errors.As(err, &ech) {
		return true
	}
	_, ok := remoteAlert(err)
	return ok
}

// remoteAlert returns the text of the TLS alert that the endpoint sent.
func remoteAlert(err error) (string, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" || op.Err == nil {
		return "", false
	}
	return op.Err.Error(), true
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}
