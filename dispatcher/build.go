package dispatcher

import (
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

// endpoint is everything outgoing of one export.
type endpoint struct {
	format *sinks.Format
	sink   *sinks.Sink
	tokens *auth.ClientCredentials // nil without OAuth 2.0
}

func (e *endpoint) dropToken() {
	if e.tokens != nil {
		e.tokens.Drop()
	}
}

func (e *endpoint) close() {
	e.sink.Close()
	if e.tokens != nil {
		e.tokens.Close()
	}
}

// newEndpoint builds what an export sends through. It makes no request.
func newEndpoint(e *settings.Export, rules egress.Rules, version string, logger *slog.Logger) (*endpoint, error) {
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
	way := egress.NewTransport(egress.Options{
		Rules: rules, RootCAs: material.RootCAs(), Certificates: material.Certificates(),
		HTTP1Only: e.Custom.HTTPVersion == settings.HTTP11, MaxConns: e.Custom.MaxInFlight, Logger: logger,
	})
	var transport http.RoundTripper = way
	built := &endpoint{format: format}
	switch {
	case e.Authentication.Basic():
		transport = auth.Basic(e.Authentication.BasicAuth.Username, e.Authentication.BasicAuth.Password.Reveal(), way)
	case e.Authentication.OAuth():
		o := e.Authentication.OAuth2
		// The token server is another host: it gets connections of its own.
		tokenWay := egress.NewTransport(egress.Options{
			Rules: rules, RootCAs: material.RootCAs(), Certificates: material.Certificates(), Logger: logger,
		})
		built.tokens = auth.NewClientCredentials(auth.Options{
			TokenURL: o.AccessTokenURL.Parsed().String(), ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(),
			Scope: o.Scope, InHeader: o.InHeader(), Next: way, TokenTransport: tokenWay,
			Timeout: e.Custom.RequestTimeout, UserAgent: "session-export/" + version, Logger: logger,
		})
		transport = built.tokens
	}
	headers := http.Header{}
	for _, h := range e.Custom.Headers {
		headers.Set(h.Name, h.Value.Reveal())
	}
	var secrets []string
	for _, s := range e.Secrets() {
		secrets = append(secrets, s.Reveal())
	}
	built.sink, err = sinks.New(sinks.Options{
		Format: format, URL: e.EndpointDefinition.EndpointURL.Parsed(), Method: e.Method(), Transport: transport,
		OAuth: built.tokens != nil, Headers: headers, Gzip: e.Custom.Compression == settings.CompressionGzip,
		Timeout: e.Custom.RequestTimeout, Version: version, SigningSecret: e.Custom.SigningKey(), Secrets: secrets,
	})
	if err != nil {
		return nil, fmt.Errorf("building sink %s: %w", e.ID, err)
	}
	return built, nil
}

// pipelineOptions are what an export's settings say about its pipeline.
func pipelineOptions(env *settings.Environment, e *settings.Export, built *endpoint) Options {
	c := e.Custom
	var zone session.Applications // a nil *batcher.Zone would not be nil
	if e.Zone != nil {
		zone = batcher.NewZone(e.Zone.Applications)
	}
	return Options{
		Environment: env.ID, Sink: e.ID, Topic: env.Topic,
		Format: built.format, Endpoint: built.sink, DropToken: built.dropToken,
		Zone: zone, Policy: Policy(c.OnFailure),
		Limits:      batcher.Limits{Sessions: c.MaxSessions, Bytes: c.MaxBytes, Idle: c.IdleTimeout, Age: c.MaxBatchAge},
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
