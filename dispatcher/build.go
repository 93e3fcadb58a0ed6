package dispatcher

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"

	"sessionexport/auth"
	"sessionexport/batcher"
	"sessionexport/consumer"
	"sessionexport/egress"
	"sessionexport/session"
	"sessionexport/settings"
	"sessionexport/sinks"
)

// Outgoing is everything that an export sends through: its format, its one
// attempt, its credentials. A pipeline has one, and so has whoever tries an
// export out.
type Outgoing struct {
	format    *sinks.Format
	sink      *sinks.Sink
	transport http.RoundTripper
	headers   http.Header
	tokens    *auth.ClientCredentials // nil without OAuth 2.0
}

// OutgoingOptions make an Outgoing. Export and Logger must be set.
type OutgoingOptions struct {
	Export  *settings.Export
	Rules   egress.Rules
	Version string // of this program
	Logger  *slog.Logger
	Test    bool // marks requests as a test export
	// Watch, when set, is put around the way to the endpoint and around the
	// one to the token server, below the credentials. It must pass
	// CloseIdleConnections on.
	Watch func(way http.RoundTripper, token bool) http.RoundTripper
}

// Format is the shape that sessions get.
func (g *Outgoing) Format() *sinks.Format { return g.format }

// Attempt sends a body once.
func (g *Outgoing) Attempt(ctx context.Context, b sinks.Body) sinks.Verdict {
	return g.sink.Attempt(ctx, b)
}

// RoundTrip sends a request of another kind with the export's headers and
// credentials.
func (g *Outgoing) RoundTrip(r *http.Request) (*http.Response, error) {
	own := r.Clone(r.Context())
	for name, values := range g.headers {
		own.Header[name] = values
	}
	return g.transport.RoundTrip(own)
}

// TokenError is why the latest fetch of a token failed, an *auth.TokenError;
// nil when it did not, and without OAuth 2.0.
func (g *Outgoing) TokenError() error {
	if g.tokens == nil {
		return nil
	}
	return g.tokens.Stats().LastError
}

// Close ends connections and a fetch of a token.
func (g *Outgoing) Close() {
	g.sink.Close()
	if g.tokens != nil {
		g.tokens.Close()
	}
}

func (g *Outgoing) dropToken() {
	if g.tokens != nil {
		g.tokens.Drop()
	}
}

// NewOutgoing builds what an export sends through. It makes no request.
func NewOutgoing(oo OutgoingOptions) (*Outgoing, error) {
	e := oo.Export
	fo := sinks.FormatOptions{Kind: sinks.JSON, Array: e.Custom.BodyFormat == settings.BodyArray}
	switch e.Format() {
	case "ndjson":
		fo = sinks.FormatOptions{Kind: sinks.NDJSON}
	case "elasticsearch":
		fo = sinks.FormatOptions{Kind: sinks.Bulk, Index: e.SendDirect.IndexName, DocType: e.SendDirect.DocType, OpType: e.Custom.OpType}
	}
	format, err := sinks.NewFormat(fo)
	if err != nil {
		return nil, fmt.Errorf("building the format of sink %s: %w", e.ID, err)
	}
	material := e.Custom.Material()
	watch := oo.Watch
	if watch == nil {
		watch = func(way http.RoundTripper, _ bool) http.RoundTripper { return way }
	}
	way := watch(egress.NewTransport(egress.Options{
		Rules: oo.Rules, RootCAs: material.RootCAs(), Certificates: material.Certificates(),
		HTTP1Only: e.Custom.HTTPVersion == settings.HTTP11, MaxConns: e.Custom.MaxInFlight, Logger: oo.Logger,
	}), false)
	built := &Outgoing{format: format, transport: way, headers: http.Header{}}
	switch {
	case e.Authentication.Basic():
		built.transport = auth.Basic(e.Authentication.BasicAuth.Username, e.Authentication.BasicAuth.Password.Reveal(), way)
	case e.Authentication.OAuth():
		o := e.Authentication.OAuth2
		// The token server is another host: it gets connections of its own.
		tokenWay := watch(egress.NewTransport(egress.Options{
			Rules: oo.Rules, RootCAs: material.RootCAs(), Certificates: material.Certificates(), Logger: oo.Logger,
		}), true)
		built.tokens = auth.NewClientCredentials(auth.Options{
			TokenURL: o.AccessTokenURL.Parsed().String(), ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(),
			Scope: o.Scope, InHeader: o.InHeader(), Next: way, TokenTransport: tokenWay,
			Timeout: e.Custom.RequestTimeout, UserAgent: "session-export/" + oo.Version, Logger: oo.Logger,
		})
		built.transport = built.tokens
	}
	for _, h := range e.Custom.Headers {
		built.headers.Set(h.Name, h.Value.Reveal())
	}
	var secrets []string
	for _, s := range e.Secrets() {
		secrets = append(secrets, s.Reveal())
	}
	built.sink, err = sinks.New(sinks.Options{
		Format: format, URL: e.EndpointDefinition.EndpointURL.Parsed(), Method: e.Method(), Transport: built.transport,
		OAuth: built.tokens != nil, Headers: built.headers, Gzip: e.Custom.Compression == settings.CompressionGzip,
		Timeout: e.Custom.RequestTimeout, Version: oo.Version, SigningSecret: e.Custom.SigningKey(), Secrets: secrets, Test: oo.Test,
	})
	if err != nil {
		return nil, fmt.Errorf("building sink %s: %w", e.ID, err)
	}
	return built, nil
}

// ScopeOf returns the applications whose sessions an export wants; nil wants
// every session.
func ScopeOf(e *settings.Export) session.Applications {
	if e.Zone == nil {
		return nil // a nil *batcher.Zone would not be nil
	}
	return batcher.NewZone(e.Zone.Applications)
}

// LimitsOf returns the limits of an export's batches.
func LimitsOf(e *settings.Export) batcher.Limits {
	c := e.Custom
	return batcher.Limits{Sessions: c.MaxSessions, Bytes: c.MaxBytes, Idle: c.IdleTimeout, Age: c.MaxBatchAge}
}

// pipelineOptions are what an export's settings say about its pipeline.
func pipelineOptions(env *settings.Environment, e *settings.Export, built *Outgoing) Options {
	c := e.Custom
	return Options{
		Environment: env.ID, Sink: e.ID, Topic: env.Topic,
		Format: built.format, Endpoint: built.sink, DropToken: built.dropToken,
		Zone: ScopeOf(e), Policy: Policy(c.OnFailure), Limits: LimitsOf(e),
		MaxInFlight: c.MaxInFlight, MaxRetries: c.MaxRetries, InitialBackoff: c.InitialBackoff, MaxBackoff: c.MaxBackoff,
	}
}

// startOf translates the start of an export into the consumer's words.
func startOf(s settings.StartFrom) consumer.Start {
	switch s.Kind {
	case settings.StartEarliest:
		return consumer.Start{Kind: consumer.Earliest}
	case settings.StartAt:
		return consumer.Start{Kind: consumer.At, Time: s.Time}
	default:
		return consumer.Start{Kind: consumer.Latest}
	}
}

// instanceOf makes a static id that is unique within the sink's group; Kafka
// takes at most 249 characters of letters, digits, dots, dashes, underscores.
func instanceOf(instance, sink string) string {
	if instance == "" {
		return ""
	}
	id := instance + "." + sink
	if len(id) <= 249 {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return id[:180] + "." + hex.EncodeToString(sum[:])
}
