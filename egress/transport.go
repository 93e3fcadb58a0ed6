package egress

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// maxHeaderBytes is how much of an answer's headers is read.
	maxHeaderBytes = 64 << 10

	// DefaultWriteBuffer in bytes, of HTTP/1.1 before TLS. What follows the
	// first buffer bypasses it; BenchmarkBody: 4 KiB to 256 KiB are level but
	// for the one record that the headers take.
	DefaultWriteBuffer = 64 << 10

	handshakeTimeout = 10 * time.Second

	// idleTimeout is below the 60 s after which common load balancers drop an
	// idle connection: a body written into a connection that is being closed
	// costs an attempt.
	idleTimeout = 55 * time.Second

	// A connection of HTTP/2 that carries no frame for so long is asked for a
	// sign of life; without an answer it is given up, or requests that time
	// out would be sent into the same dead connection again.
	pingAfter   = 10 * time.Second
	pingTimeout = 10 * time.Second

	idleConnsPerHost = 8  // when Options.MaxConns does not say
	sessionTickets   = 32 // hosts and protocols of one transport whose TLS sessions are resumed
)

// Options of a transport. The zero value is usable.
type Options struct {
	Rules        Rules
	RootCAs      *x509.CertPool    // nil: the system's
	Certificates []tls.Certificate // shown to servers that ask; also to a proxy that is reached over TLS and asks
	HTTP1Only    bool
	MaxConns     int // connections per host, 0: no limit

	// Proxy chooses a request's proxy; nil: EnvironmentProxy. DirectOnly
	// makes it never a proxy. The address of the proxy is checked by Rules
	// like any other; what the proxy connects to is checked only when the
	// request names it by address, because a name is resolved by the proxy.
	Proxy func(*http.Request) (*url.URL, error)

	Resolver        *net.Resolver // nil: the system's
	WriteBufferSize int           // bytes, 0: DefaultWriteBuffer
	ReadBufferSize  int           // bytes, 0: 4 KiB, as answers are small
	Logger          *slog.Logger  // nil: slog.Default()
}

// NewTransport returns a transport by the house's rules. The caller closes its
// idle connections when it is done with it.
func NewTransport(o Options) *http.Transport {
	logger := o.Logger
	if logger == nil {
		logger = slog.Default()
	}
	proxy := o.Proxy
	if proxy == nil {
		proxy = EnvironmentProxy()
	}
	writeBuffer := o.WriteBufferSize
	if writeBuffer <= 0 {
		writeBuffer = DefaultWriteBuffer
	}
	idle := o.MaxConns
	if idle <= 0 {
		idle = idleConnsPerHost
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(!o.HTTP1Only)

	return &http.Transport{
		Proxy:                  checkedProxy(proxy, o.Rules, logger),
		OnProxyConnectResponse: proxyAnswer,
		DialContext:            gather(NewDialer(o.Rules, o.Resolver).DialContext),
		TLSClientConfig:        tlsConfig(o),
		TLSHandshakeTimeout:    handshakeTimeout,
		Protocols:              protocols,
		ForceAttemptHTTP2:      !o.HTTP1Only,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:  pingAfter,
			PingTimeout:      pingTimeout,
			WriteByteTimeout: pingTimeout,
		},
		DisableCompression:     true, // nothing is ever decompressed without a limit
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxConnsPerHost:        max(o.MaxConns, 0),
		MaxIdleConnsPerHost:    idle,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  time.Second,
		WriteBufferSize:        writeBuffer,
		ReadBufferSize:         o.ReadBufferSize,
	}
}

func tlsConfig(o Options) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            o.RootCAs,
		Certificates:       o.Certificates,
		ClientSessionCache: tls.NewLRUClientSessionCache(sessionTickets),
		// Bodies are large: records of full size from the first byte on.
		DynamicRecordSizingDisabled: true,
	}
}

// NoRedirect is the CheckRedirect of every http.Client of the house: the
// redirecting answer itself is the answer, and credentials go nowhere else.
func NoRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
