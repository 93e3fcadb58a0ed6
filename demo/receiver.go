package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// TokenPath is where a Receiver's OAuth 2.0 tokens come from.
const TokenPath = "/oauth2/token"

// Formats of an endpoint, as they stand in the summary.
const (
	FormatJSON          = "json"
	FormatNDJSON        = "ndjson"
	FormatElasticsearch = "elasticsearch"
)

// FormatAny is no format but takes all of them: a path that ends in /_bulk is
// Elasticsearch's, elsewhere the media type decides.
const FormatAny = "any"

// Credentials are a user and a password, or a client's id and secret.
type Credentials struct {
	User     string
	Password string
}

// String hides the password.
func (c Credentials) String() string { return c.User + ":***" }

// Endpoint is one path that a Receiver takes sessions on. At most one of Basic
// and OAuth is set; neither means that everybody may send.
type Endpoint struct {
	Path   string       // a pattern of net/http: one that ends in a slash takes all paths below it
	Format string       // FormatJSON takes lines and arrays alike
	Basic  *Credentials // the user and the password asked for
	OAuth  *Credentials // the client whose tokens are asked for
}

// Arrival is a body that an endpoint has received and not counted yet.
type Arrival struct {
	Path  string
	Bytes int // of the body, before compression
}

// Misbehaviour is what a receiver does instead of taking a body. Its zero
// value means that it behaves.
type Misbehaviour struct {
	Delay      time.Duration // before anything else
	Status     int           // answered instead; 0: the body is taken
	RetryAfter time.Duration // sent with Status, in whole seconds
	Reset      bool          // the connection is cut without an answer
	Lost       bool          // the body is taken and counted, and then the connection is cut
	Items      *ItemFaults   // of a _bulk body: the answers to some of its documents; nil: none
}

// ReceiverOptions describes a Receiver.
type ReceiverOptions struct {
	Address   string        // to listen on; default 127.0.0.1 and a free port
	Hosts     []string      // names in the certificate, besides localhost and the loopback addresses
	Endpoints []Endpoint    // what it takes
	TokenLife time.Duration // of OAuth 2.0 tokens; default 5 minutes
	MaxBody   int64         // larger bodies are answered with 413; default 64 MiB

	// Generator made the sessions that are expected: they are counted by
	// index, in one bit each. nil counts every session by a hash of its ids.
	Generator *Generator
	// Verify compares each document with what the Generator makes: one that
	// differs in a single byte is a foreign session. It costs about as much as
	// making the session; without it the ids and the length decide.
	Verify bool
	// Remember bounds the memory of sessions that the Generator did not make: a
	// duplicate of one of the last so many is known. 0: of all.
	Remember int
	// Misbehave decides what becomes of a body before it is counted. nil:
	// every body is taken.
	Misbehave func(Arrival) Misbehaviour
	// Received is told of every request when it has been dealt with. It is
	// called by several goroutines at once.
	Received func(Receipt)
	// Problem is told what went wrong before there was a request, such as a
	// handshake. nil: nobody is.
	Problem func(text string)
	// Now is the clock that ends tokens; default time.Now.
	Now func() time.Time
}

// Receiver is an HTTPS server that takes sessions in every format, checks and
// counts them. It has an authority of its own.
type Receiver struct {
	options   ReceiverOptions
	authority *authority
	listener  net.Listener
	server    *http.Server
	tokens    *tokenServer
	defect    atomic.Pointer[Defect]
	endpoints map[string]*endpoint
	handlers  map[string]http.Handler
	served    sync.WaitGroup
	problem   error // of Serve; to be read after served
}

// StartReceiver starts a receiver.
func StartReceiver(o ReceiverOptions) (*Receiver, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	if o.TokenLife == 0 {
		o.TokenLife = 5 * time.Minute
	}
	if o.MaxBody == 0 {
		o.MaxBody = 64 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Receiver{options: o, endpoints: map[string]*endpoint{}, handlers: map[string]http.Handler{}}
	r.defect.Store(&Defect{})
	r.tokens = &tokenServer{life: o.TokenLife, now: o.Now, tokens: map[string]issued{}, down: func() bool { return r.defect.Load().Tokens }}
	for _, e := range o.Endpoints {
		switch e.Format {
		case FormatJSON, FormatNDJSON, FormatElasticsearch, FormatAny:
		default:
			return nil, fmt.Errorf("endpoint %s has the format %q: use %s, %s or %s", e.Path, e.Format, FormatJSON, FormatNDJSON, FormatElasticsearch)
		}
		if e.Basic != nil && e.OAuth != nil {
			return nil, fmt.Errorf("endpoint %s asks for Basic and OAuth 2.0 at once", e.Path)
		}
		if e.OAuth != nil {
			r.tokens.clients = append(r.tokens.clients, *e.OAuth)
		}
		one := newEndpoint(e, r)
		r.endpoints[e.Path], r.handlers[e.Path] = one, one
		if e.Format == FormatAny {
			r.handlers[e.Path] = newMixed(one)
		}
	}
	secured, err := r.secure()
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	if r.listener, err = lc.Listen(context.Background(), "tcp", o.Address); err != nil {
		return nil, fmt.Errorf("listening on %s: %w", o.Address, err)
	}
	r.server = &http.Server{
		Handler:           r.routes(),
		TLSConfig:         secured,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(problems{tell: o.Problem}, slog.LevelError),
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerConnection: 16 << 20,
			MaxReceiveBufferPerStream:     4 << 20,
		},
	}
	r.served.Go(func() { r.problem = r.server.ServeTLS(r.listener, "", "") })
	return r, nil
}

func (r *Receiver) routes() http.Handler {
	mux := http.NewServeMux()
	for path, h := range r.handlers {
		mux.Handle(path, h)
	}
	if len(r.tokens.clients) > 0 {
		mux.Handle(TokenPath, r.tokens)
	}
	return mux
}

// URL is the base of the endpoints' addresses, such as https://127.0.0.1:4711.
func (r *Receiver) URL() string { return "https://" + r.listener.Addr().String() }

// CA is the certificate, in PEM, that clients have to trust.
func (r *Receiver) CA() []byte { return r.authority.pem() }

// TokensIssued is the number of OAuth 2.0 tokens issued so far.
func (r *Receiver) TokensIssued() int {
	r.tokens.mu.Lock()
	defer r.tokens.mu.Unlock()
	return r.tokens.count
}

// Tally tells what has arrived on a path; the zero Tally for an unknown one.
func (r *Receiver) Tally(path string) Tally {
	e := r.endpoints[path]
	if e == nil {
		return Tally{}
	}
	return e.tally()
}

// Distinct is the number of different sessions that have arrived on a path: a
// cheaper question than Tally.
func (r *Receiver) Distinct(path string) int {
	e := r.endpoints[path]
	if e == nil {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ledger.distinct()
}

// Close stops listening, cuts what is still under way after the context has
// ended, and returns when every request is done with.
func (r *Receiver) Close(ctx context.Context) error {
	err := r.server.Shutdown(ctx)
	if err != nil {
		err = r.server.Close()
	}
	r.served.Wait()
	if r.problem != nil && !errors.Is(r.problem, http.ErrServerClosed) {
		err = errors.Join(err, r.problem)
	}
	if err != nil {
		return fmt.Errorf("stopping the receiver: %w", err)
	}
	return nil
}
