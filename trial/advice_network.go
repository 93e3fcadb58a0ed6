package trial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"

	"sessionexport/egress"
)

// networkRows are about requests without an answer, to the endpoint or to the
// token server.
var networkRows = []row{
	{"egress_denied", is[*egress.DeniedError](nil),
		"The name {host} leads to an address that this program may not connect to.",
		"Check that {host} is the right host. If it is, an operator can open its network with egress.allow and egress.deny in the configuration file; link-local, multicast and metadata addresses stay closed."},
	{"proxy_setting", is(func(e *egress.ProxyError) bool { return e.Proxy == "" }),
		"The proxy that the environment names (HTTPS_PROXY) is no URL that can be used.",
		"Correct HTTPS_PROXY, or take {host} out of its reach with NO_PROXY."},
	{"proxy_login", is(func(e *egress.ProxyError) bool { return e.Status == http.StatusProxyAuthRequired }),
		"The proxy asks for a user and a password, or does not accept the ones that it got.",
		"Put user and password into the URL in HTTPS_PROXY, or let the proxy pass this machine without them."},
	{"proxy_refused", is(func(e *egress.ProxyError) bool { return e.Status < http.StatusInternalServerError }),
		"The proxy does not allow connections to {host}:{port}.",
		"Ask whoever runs the proxy to allow {host}:{port}, or take {host} out of its reach with NO_PROXY."},
	{"proxy_gateway", is[*egress.ProxyError](nil),
		"The proxy was reached, and could not reach {host}:{port}.",
		"Check the host and port of {key}, and whether the proxy may go there. Internal hosts usually belong into NO_PROXY."},
	{"proxy_unreachable", is(func(e *net.OpError) bool { return e.Op == "proxyconnect" }),
		"The proxy of HTTPS_PROXY cannot be reached.",
		"Check that the proxy runs and that its host and port are right, or take {host} out of its reach with NO_PROXY."},
	{"host_unknown", is(func(e *net.DNSError) bool { return e.IsNotFound }),
		"There is no host {host}: the name is mistyped, or only known to another name server.",
		"Check the host of {key}. Try to resolve {host} on this machine: in a container the name server may be another one."},
	{"name_server", is[*net.DNSError](nil),
		"The name server did not answer the question for {host}.",
		"Check the name servers of this machine and whether it may reach them; try again when they answer."},
	{"certificate_name", is[x509.HostnameError](nil),
		"The server's certificate is for {names}, not for {host}.",
		"Use a name in {key} that stands in the certificate, or get a certificate for {host}. It may also be the wrong server: check host and port."},
	{"certificate_early", both(is(expired), func(s *situation) bool { c := refused(s.err); return c != nil && s.now.Before(c.NotBefore) }),
		"The server's certificate holds from {expires} on: it is too new, or the clock of this machine is slow.",
		"Check the clock of this machine first, then the certificate of {server}."},
	{"certificate_expired", is(expired),
		"The server's certificate, or one of its chain, has expired ({expires}).",
		"Renew the certificate of {server}. If it looks valid, check the clock of this machine and the whole chain."},
	{"certificate_authority_file", both(is[x509.UnknownAuthorityError](nil), func(s *situation) bool { return s.export.Custom.CAFile != "" }),
		"The server's certificate was not issued by an authority in the file of caFile, which replaces the system's.",
		"Put the certificate of the authority that issued the server's one into that file; all of its intermediate certificates should come from the server. The issuer is shown with the step above."},
	{"certificate_authority", is[x509.UnknownAuthorityError](nil),
		"The server's certificate was issued by an authority that this machine does not know: a private one, or the server certified itself, or it does not send its intermediate certificates.",
		"Put the authority's certificate (PEM) into a file and name it with caFile in the custom configuration; for a public authority, let the server send its whole chain. Checks cannot be switched off."},
	{"certificate_client", clientCertificate,
		"The server asks for a client certificate and did not get one that it accepts.",
		"Name the certificate and its key with certFile and keyFile in the custom configuration, and check that the server knows the authority that issued it."},
	{"certificate", func(s *situation) bool { return refused(s.err) != nil },
		"The server's certificate is not accepted: it breaks a rule, for example on what it may be used for.",
		"Look at the error above and let {server} have a certificate for servers, of an authority that this machine trusts."},
	{"plain_http", func(s *situation) bool { return errors.Is(s.err, http.ErrSchemeMismatch) || recordIs(s.err, "HTTP/") },
		"Port {port} of {host} speaks plain HTTP, not HTTPS.",
		"Use the HTTPS port in {key}, or switch HTTPS on at {server}. Sessions and credentials never travel in the clear."},
	{"not_tls", is[tls.RecordHeaderError](nil),
		"What listens on port {port} of {host} does not speak TLS.",
		"Check the port in {key}: another service seems to listen there."},
	{"tls_version", both(inPhase(atTLS), says("protocol version")),
		"{server} offers only versions of TLS older than 1.2.",
		"Switch TLS 1.2 or 1.3 on at {server}, or at the load balancer before it."},
	{"connection_refused", errorIs(syscall.ECONNREFUSED),
		"Nothing listens on port {port} of {host}.",
		"Check the port in {key} and that {server} runs. A firewall may also answer like this."},
	{"network_unreachable", errorIs(syscall.EHOSTUNREACH, syscall.ENETUNREACH),
		"There is no way from this machine to {host}.",
		"Check routes, network policies and firewalls between this machine and {host}; for an address of IPv6, whether this machine has IPv6 at all."},
	{"timeout_connecting", both(timedOut, func(s *situation) bool { return s.phase <= atConnection }),
		"{host}:{port} does not answer at all: usually a firewall drops the packets, or the address is wrong.",
		"Check the host and port of {key} and whether this machine may connect there."},
	{"timeout_tls", both(timedOut, inPhase(atTLS)),
		"{host}:{port} accepted the connection and did not shake hands.",
		"Check that the port in {key} speaks HTTPS, and that {server} or the load balancer before it is not overloaded."},
	{"timeout_writing", both(timedOut, inPhase(atWriting)),
		"{server} did not take the body of {bytes} bytes within {timeout}: it reads too slowly, or the line is slow.",
		"Let {server} read faster, send smaller bodies (maxBytes in the custom configuration), or use compression=gzip."},
	{"timeout_answer", timedOut,
		"{server} took the request and did not answer within {timeout}.",
		"Let it answer at once and work afterwards; the answer is all that is waited for. requestTimeout in the custom configuration allows more time."},
	{"not_http", says("malformed HTTP"),
		"What {host}:{port} answered is not HTTP.",
		"Check the port in {key}: another service seems to listen there. httpVersion=auto in the custom configuration helps with a server that speaks nothing but HTTP/2."},
	{"tls_handshake", inPhase(atTLS),
		"{server} broke off the TLS handshake.",
		"Check that the port in {key} speaks HTTPS, that {server} allows TLS 1.2 or later, and that it knows the host name {host}."},
	{"broken_writing", inPhase(atWriting),
		"{server} closed the connection while the body of {bytes} bytes was being sent: often its limit for bodies, or a login that it refused without reading on.",
		"Look into the log of {server}. Raise its limit for bodies to at least {maxBytes} bytes, or lower maxBytes in the custom configuration."},
	{"broken_answer", func(s *situation) bool { return s.phase >= atAnswer },
		"{server} closed the connection and did not answer.",
		"Look into the log of {server}: it probably failed while it handled the request. A load balancer with a short time limit does the same."},
	{"connection", always,
		"The connection to {host}:{port} failed.",
		"Look at the error above, and at what stands between this machine and {host}."},
}

func expired(e x509.CertificateInvalidError) bool { return e.Reason == x509.Expired }

func errorIs(targets ...error) func(*situation) bool {
	return func(s *situation) bool {
		for _, target := range targets {
			if errors.Is(s.err, target) {
				return true
			}
		}
		return false
	}
}

func inPhase(p phase) func(*situation) bool {
	return func(s *situation) bool { return s.phase == p }
}

// says looks into the text of errors that have no type of their own.
func says(part string) func(*situation) bool {
	return func(s *situation) bool { return s.err != nil && strings.Contains(s.err.Error(), part) }
}

func timedOut(s *situation) bool {
	var timeout net.Error
	return errors.Is(s.err, context.DeadlineExceeded) || errors.As(s.err, &timeout) && timeout.Timeout() || s.verdict.Reason == "timeout" ||
		s.token != nil && s.token.Timeout()
}

// clientCertificate: the server refused ours in an alert. Alerts of the other
// side have no exported type; the sink has told them apart already.
func clientCertificate(s *situation) bool {
	var op *net.OpError
	return s.verdict.Reason == "certificate" && errors.As(s.err, &op) && op.Op == "remote error"
}

// recordIs tells whether what came instead of a TLS record begins like this.
func recordIs(err error, begin string) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record) && strings.HasPrefix(string(record.RecordHeader[:]), begin)
}
