package alerts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"

	"sessionexport/egress"
)

// A certificate is about to expire when less than a third of its life is left,
// but never more than warnBefore: renewal usually happens at a third, and one
// that lives for a week must not warn all its life.
const warnBefore = 14 * 24 * time.Hour

// Certificate is one whose end ends the delivery.
type Certificate struct {
	Whose string // such as "the endpoint's certificate"
	From  time.Time
	Until time.Time
}

func (c Certificate) near(now time.Time) bool {
	return c.Until.Sub(now) < min(warnBefore, c.Until.Sub(c.From)/3)
}

// nearest returns the first certificate to expire, and whether that is soon.
func nearest(now time.Time, all []Certificate) (until time.Time, text string, near bool) {
	for _, c := range all {
		if !c.near(now) || near && !c.Until.Before(until) {
			continue
		}
		until, near = c.Until, true
		text = c.Whose + " expires at " + c.Until.UTC().Format(time.RFC3339)
		if !c.Until.After(now) {
			text = c.Whose + " expired at " + c.Until.UTC().Format(time.RFC3339)
		}
	}
	return until, text, near
}

// errSeen ends a request when the certificate was seen.
var errSeen = errors.New("the certificate was seen")

// probeTimeout bounds a look at a certificate.
const probeTimeout = 20 * time.Second

// EndpointCertificate looks at the certificate that a server shows, over the
// way that requests take: proxies, rules and trust are those of the options. No
// request is sent: the connection is closed after the handshake. An expired
// certificate is returned like any other.
func EndpointCertificate(ctx context.Context, o egress.Options, target *url.URL) (Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	o.HTTP1Only, o.MaxConns = true, 1
	transport := egress.NewTransport(o)
	defer transport.CloseIdleConnections()
	var leaf *x509.Certificate
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if conn, ok := info.Conn.(*tls.Conn); ok {
			if chain := conn.ConnectionState().PeerCertificates; len(chain) > 0 {
				leaf = chain[0]
			}
		}
		_ = info.Conn.Close() // before the request is written
	}}
	where := url.URL{Scheme: target.Scheme, Host: target.Host, Path: "/"}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodHead, where.String(), nil)
	if err != nil {
		return Certificate{}, fmt.Errorf("looking at the certificate of %s: %w", target.Host, err)
	}
	res, err := transport.RoundTrip(req)
	if err == nil {
		_ = res.Body.Close()
		err = errSeen
	}
	var invalid x509.CertificateInvalidError
	if leaf == nil && errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		leaf = invalid.Cert
	}
	if leaf == nil {
		return Certificate{}, fmt.Errorf("looking at the certificate of %s: %w", target.Host, err)
	}
	return Certificate{Whose: "the endpoint's certificate", From: leaf.NotBefore, Until: leaf.NotAfter}, nil
}

// ClientCertificates returns those that are shown to an endpoint.
func ClientCertificates(pairs []tls.Certificate) []Certificate {
	var all []Certificate
	for _, p := range pairs {
		if p.Leaf != nil {
			all = append(all, Certificate{Whose: "the client's certificate (certFile)", From: p.Leaf.NotBefore, Until: p.Leaf.NotAfter})
		}
	}
	return all
}
