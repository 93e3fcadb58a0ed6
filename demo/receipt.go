package demo

import (
	"context"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"
)

// Receipt tells what came of one request.
type Receipt struct {
	Time       time.Time // of its arrival
	Method     string
	Path       string
	Protocol   string      // such as HTTP/2.0
	Headers    http.Header // without its credentials; shared: do not change it
	Format     string
	Bytes      int    // of the body before compression; 0 when it was not read
	Sessions   int    // that were taken
	First      string // the first of them: <tenantId>-<userSessionId>-<startTime>
	Duplicates int    // of them, those that were there already
	Test       bool   // it belongs to a test export
	Status     int    // of the answer; 0: the connection was cut
	Reason     string // why nothing was taken
}

func newReceipt(r *http.Request, format string, headers http.Header) Receipt {
	return Receipt{
		Time: time.Now(), Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, Headers: headers, Format: format,
		Test: r.Header.Get("Session-Export-Test") == "true",
	}
}

func (r *Receipt) enter(ids []identity, g *Generator) {
	r.Sessions = len(ids)
	switch {
	case len(ids) == 0:
	case ids[0].index >= 0:
		r.First = string(g.AppendID(nil, ids[0].index))
	default:
		r.First = ids[0].name
	}
}

// mixed takes every format on one path, and keeps one account of them.
type mixed struct {
	json, ndjson, bulk *endpoint
}

func newMixed(e *endpoint) mixed {
	as := func(format string) *endpoint {
		one := *e
		one.Format = format
		return &one
	}
	return mixed{json: as(FormatJSON), ndjson: as(FormatNDJSON), bulk: as(FormatElasticsearch)}
}

// ServeHTTP takes one body.
func (m mixed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case strings.HasSuffix(r.URL.Path, "/_bulk"):
		m.bulk.ServeHTTP(w, r)
	case err == nil && media == "application/x-ndjson":
		m.ndjson.ServeHTTP(w, r)
	default:
		m.json.ServeHTTP(w, r)
	}
}

// problems passes on what net/http logs.
type problems struct {
	tell func(text string)
}

// Enabled implements slog.Handler.
func (p problems) Enabled(context.Context, slog.Level) bool { return p.tell != nil }

// Handle implements slog.Handler.
func (p problems) Handle(_ context.Context, r slog.Record) error {
	p.tell(r.Message)
	return nil
}

// WithAttrs implements slog.Handler: net/http has no attributes.
func (p problems) WithAttrs([]slog.Attr) slog.Handler { return p }

// WithGroup implements slog.Handler.
func (p problems) WithGroup(string) slog.Handler { return p }
