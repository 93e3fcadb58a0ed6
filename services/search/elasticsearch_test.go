//go:build services

package search_test

import (
	"fmt"
	"net/http"
	"testing"

	"sessionexport/services"
	"sessionexport/session"
	"sessionexport/sinks"
)

// TestElasticsearch has one node for all its parts, each with an index of its own.
func TestElasticsearch(t *testing.T) {
	e := services.StartElasticsearch(t)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	open := func(t *testing.T, o sinks.FormatOptions) (*sinks.Format, *sinks.Sink) {
		t.Helper()
		o.Kind = sinks.Bulk
		format, err := sinks.NewFormat(o)
		if err != nil {
			t.Fatal(err)
		}
		sink, err := sinks.New(sinks.Options{Format: format, URL: e.URL(), Transport: transport, Gzip: true, Version: "test"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sink.Close)
		return format, sink
	}

	t.Run("a redelivery overwrites itself", func(t *testing.T) {
		format, sink := open(t, sinks.FormatOptions{Index: "redelivery"})
		body := framed(t, format, 1000, services.Document)
		for range 2 {
			if v := sink.Attempt(services.Context(t), body); v.Kind != sinks.Delivered || v.Status != 200 {
				t.Fatalf("verdict %+v, want delivered", v)
			}
		}
		if n := e.Count(t, "redelivery"); n != 1000 {
			t.Errorf("%d documents, want 1000", n)
		}
	})

	t.Run("one that the mapping refuses spoils nothing", func(t *testing.T) {
		e.Create(t, "strict", `{"mappings":{"properties":{"startTime":{"type":"long"},"duration":{"type":"long"}}}}`)
		format, sink := open(t, sinks.FormatOptions{Index: "strict"})
		v := sink.Attempt(services.Context(t), framed(t, format, 10, func(i int) string {
			if i == 3 {
				return fmt.Sprintf(`{"tenantId":"t","userSessionId":"s-%d","startTime":%d,"duration":"long"}`, i, i)
			}
			return services.Document(i)
		}))
		if v.Kind != sinks.Partial || len(v.Items) != 1 || v.Items[0].Index != 3 || v.Items[0].Kind != sinks.Suspect {
			t.Errorf("verdict %+v, want item 3 alone to be a suspect", v)
		}
		if n := e.Count(t, "strict"); n != 9 {
			t.Errorf("%d documents, want 9", n)
		}
	})

	t.Run("create counts what is there already as delivered", func(t *testing.T) {
		format, sink := open(t, sinks.FormatOptions{Index: "created", OpType: sinks.OpCreate})
		if v := sink.Attempt(services.Context(t), framed(t, format, 5, services.Document)); v.Kind != sinks.Delivered || v.Conflicts != 0 {
			t.Errorf("verdict %+v, want delivered without a conflict", v)
		}
		if v := sink.Attempt(services.Context(t), framed(t, format, 8, services.Document)); v.Kind != sinks.Delivered || v.Conflicts != 5 {
			t.Errorf("verdict %+v, want delivered with 5 conflicts", v)
		}
		if n := e.Count(t, "created"); n != 8 {
			t.Errorf("%d documents, want 8", n)
		}
	})

	t.Run("a closed index is the destination's fault", func(t *testing.T) {
		e.Create(t, "closed", "")
		if _, err := e.Do(services.Context(t), http.MethodPost, "/closed/_close", ""); err != nil {
			t.Fatal(err)
		}
		format, sink := open(t, sinks.FormatOptions{Index: "closed"})
		v := sink.Attempt(services.Context(t), framed(t, format, 2, services.Document))
		if v.Kind != sinks.Partial || len(v.Items) != 2 || v.Items[0].Kind != sinks.Refused || v.Items[1].Kind != sinks.Refused {
			t.Errorf("verdict %+v, want both items refused", v)
		}
	})

	t.Run("a type in the action line is refused as a whole", func(t *testing.T) {
		format, sink := open(t, sinks.FormatOptions{Index: "typed", DocType: "_doc"})
		if v := sink.Attempt(services.Context(t), framed(t, format, 2, services.Document)); v.Kind != sinks.Refused || v.Status != 400 {
			t.Errorf("verdict %+v, want refused with 400", v)
		}
	})

	t.Run("a node that is gone may come back", func(t *testing.T) { // the last part: it stays gone
		format, sink := open(t, sinks.FormatOptions{Index: "gone"})
		if err := e.Kill(); err != nil {
			t.Fatal(err)
		}
		if v := sink.Attempt(services.Context(t), framed(t, format, 2, services.Document)); v.Kind != sinks.Retryable || v.Err == nil {
			t.Errorf("verdict %+v, want retryable", v)
		}
	})
}

// framed makes the body of sessions 0 to n-1.
func framed(t *testing.T, format *sinks.Format, n int, value func(int) string) sinks.Body {
	t.Helper()
	var scanner session.Scanner
	var s session.Session
	body := sinks.Body{ID: t.Name(), Sessions: n}
	for i := range n {
		if err := scanner.Scan([]byte(value(i)), nil, &s); err != nil {
			t.Fatal(err)
		}
		var err error
		if body.Bytes, _, err = format.Append(body.Bytes, &s); err != nil {
			t.Fatal(err)
		}
	}
	return body
}
