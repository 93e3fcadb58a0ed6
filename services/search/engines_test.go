//go:build services

package search_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"sessionexport/services"
	"sessionexport/session"
	"sessionexport/sinks"
)

// tight are limits of a node that a test can reach.
var tight = []string{
	"thread_pool.write.size=1",
	"thread_pool.write.queue_size=5",
	"indexing_pressure.memory.limit=3mb",
	"http.max_content_length=5mb",
}

// TestEngines runs every promise against every version, as many nodes at a time as there are processors. The parts share
// a node, each with indices of its own; the last one kills it under load.
func TestEngines(t *testing.T) {
	for _, product := range []string{"elasticsearch", "opensearch"} {
		for _, version := range versions(t, product) {
			t.Run(product+" "+version, func(t *testing.T) {
				t.Parallel()
				e := services.StartEngine(t, services.EngineOptions{Product: product, Version: version, Settings: tight})
				for _, part := range []struct {
					name string
					test func(*testing.T, *services.Engine)
				}{
					{"mapping", testMapping},
					{"delivery", testDelivery},
					{"types", testTypes},
					{"data streams", testDataStreams},
					{"answers", testAnswers},
					{"deleted in flight", testDeletedInFlight},
					{"limits", testLimits},
					{"flood stage", testFloodStage},
					{"trial", testTrial},
					{"program", testProgram},
				} {
					t.Run(part.name, func(t *testing.T) { part.test(t, e) })
				}
			})
		}
	}
}

// TestSecureEngines is the same for native TLS with users.
func TestSecureEngines(t *testing.T) {
	authority, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, product := range []string{"elasticsearch", "opensearch"} {
		for _, version := range versions(t, product+"_secure") {
			t.Run(product+" "+version, func(t *testing.T) {
				t.Parallel()
				testSecurity(t, services.StartEngine(t, services.EngineOptions{Product: product, Version: version, Secure: authority}), authority)
			})
		}
	}
}

func versions(t *testing.T, service string) []string {
	t.Helper()
	all, err := services.Versions(service)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// older tells the engine whose index knows document types and whose templates know no data streams.
func older(e *services.Engine) bool { return e.Product() == "elasticsearch" && e.Major() == "7" }

// sender is a sink and its format.
type sender struct {
	format *sinks.Format
	sink   *sinks.Sink
}

// newSender opens a sink of an engine. The query follows /_bulk.
func newSender(t *testing.T, e *services.Engine, query string, transport http.RoundTripper, o sinks.FormatOptions, gzip bool) sender {
	t.Helper()
	o.Kind = sinks.Bulk
	format, err := sinks.NewFormat(o)
	if err != nil {
		t.Fatal(err)
	}
	if transport == nil {
		own := &http.Transport{ExpectContinueTimeout: 10 * time.Second} // a sink that asks first waits for the answer: the program for a second
		t.Cleanup(own.CloseIdleConnections)
		transport = own
	}
	u := e.URL()
	u.Path, u.RawQuery = "/_bulk", query
	sink, err := sinks.New(sinks.Options{Format: format, URL: u, Transport: transport, Gzip: gzip, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Close)
	return sender{format, sink}
}

// send sends sessions 0 to n-1 once.
func (s sender) send(t *testing.T, n int, value func(int) string) sinks.Verdict {
	t.Helper()
	return s.sink.Attempt(services.Context(t), s.body(t, n, value))
}

// body frames sessions 0 to n-1.
func (s sender) body(t *testing.T, n int, value func(int) string) sinks.Body {
	t.Helper()
	var scanner session.Scanner
	var scanned session.Session
	body := sinks.Body{ID: t.Name(), Sessions: n}
	for i := range n {
		if err := scanner.Scan([]byte(value(i)), nil, &scanned); err != nil {
			t.Fatal(err)
		}
		var err error
		if body.Bytes, _, err = s.format.Append(body.Bytes, &scanned); err != nil {
			t.Fatal(err)
		}
	}
	return body
}

// deliver sends sessions that have to be delivered.
func (s sender) deliver(t *testing.T, n int, value func(int) string) sinks.Verdict {
	t.Helper()
	v := s.send(t, n, value)
	if v.Kind != sinks.Delivered {
		t.Fatalf("verdict %s, want delivered", told(v))
	}
	return v
}

// told describes a verdict with what its items say.
func told(v sinks.Verdict) string {
	var b strings.Builder
	b.WriteString(v.Kind.String())
	if v.Err != nil {
		b.WriteString(": " + v.Err.Error())
	}
	if v.Excerpt != "" {
		b.WriteString("; " + v.Excerpt)
	}
	if len(v.Items) > 0 {
		b.WriteString("; first: " + v.Items[0].Kind.String() + " " + v.Items[0].Type + " " + v.Items[0].Reason)
	}
	return b.String()
}
