//go:build services

package search_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sessionexport/demo"
	"sessionexport/services"
	"sessionexport/session"
	"sessionexport/sinks"
	"sessionexport/trial"
)

// TestMapping puts the mapping into a real Elasticsearch, as an index and as the template of a data stream, and sends
// generated sessions and hostile ones: every one has to be taken, and the fields have to be what the mapping says.
func TestMapping(t *testing.T) {
	e := services.StartElasticsearch(t)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	for _, c := range []struct {
		name    string
		options trial.MappingOptions
		format  sinks.FormatOptions
	}{
		{"index", trial.MappingOptions{Index: "mapped"}, sinks.FormatOptions{Index: "mapped"}},
		{"index template", trial.MappingOptions{Target: trial.ES8, Index: "templated", Template: true, Replicas: new(int)}, sinks.FormatOptions{Index: "templated"}},
		{"data stream", trial.MappingOptions{Target: trial.ES8, Index: "streamed", Template: true, DataStream: true},
			sinks.FormatOptions{Index: "streamed", OpType: sinks.OpCreate}},
	} {
		t.Run(c.name, func(t *testing.T) {
			put(t, e, c.options)
			c.format.Kind = sinks.Bulk
			format, err := sinks.NewFormat(c.format)
			if err != nil {
				t.Fatal(err)
			}
			sink, err := sinks.New(sinks.Options{Format: format, URL: e.URL(), Transport: transport, Version: "test"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(sink.Close)

			generator, odd := demo.NewGenerator(11), oddSessions()
			const generated = 500
			all := generated + len(odd)
			v := sink.Attempt(services.Context(t), framed(t, format, all, func(i int) string {
				if i < generated {
					return string(generator.Append(nil, i))
				}
				return odd[i-generated]
			}))
			if v.Kind != sinks.Delivered {
				t.Fatalf("verdict %+v, want delivered", v)
			}
			if n := e.Count(t, c.format.Index); n != all {
				t.Errorf("%d documents, want %d", n, all)
			}
			checkMapping(t, e, c.format.Index)

			for query, want := range map[string]int{
				`{"term":{"hasError":true}}`:                             -1,
				`{"term":{"userSessionId":"odd"}}`:                       len(odd),
				`{"range":{"startTime":{"gte":"2026-01-01T00:00:00Z"}}}`: -1,
				`{"nested":{"path":"userActions","query":{"range":{"userActions.startTime":{"gt":1767225600}}}}}`: -1,
				`{"term":{"stringTags.colour":"blue"}}`:                                                           1,
				`{"term":{"unknownText":"2026-01-31"}}`:                                                           1,
				`{"range":{"dateProperties.value":{"gte":"2026-01-31"}}}`:                                         1,
				`{"exists":{"field":"_ignored"}}`:                                                                 3, // flattened fields are not named in it
			} {
				n := hits(t, e, c.format.Index, query)
				if n != want && (want >= 0 || n == 0) {
					t.Errorf("%s finds %d, want %d", query, n, want)
				}
			}
		})
	}
}

// oddSessions are sessions whose values the mapping has to put up with.
func oddSessions() []string {
	long := strings.Repeat("\U0001F600", 20_000) // 4 bytes each
	var odd []string
	for k, members := range []string{
		fmt.Sprintf(`"userId":%q,"userActions":[{"name":%q}]`, long, long),
		fmt.Sprintf(`"unknownLongText":%q`, long),
		fmt.Sprintf(`"stringTags":{"colour":"blue","%s":%q}`, strings.Repeat("k", 10_000), long),
		`"ip":"masked","duration":"long","screenHeight":99999999999,"endTime":"soon","dateProperties":[{"key":"k","value":"never"}]`,
		`"unknownText":"2026-01-31"`,
		`"unknownText":"no date"`,
		`"dateProperties":[{"key":"paid","value":"2026-02-01T08:00:00.000+01:00"}],"longProperties":[],"numTags":{"a":1,"b":{"c":2.5}},"dateTags":{}`,
		`"speedIndex":null,"userActions":[],"errors":[],"events":null,"unknownNumber":1.5`,
	} {
		odd = append(odd, fmt.Sprintf(`{"tenantId":"t","userSessionId":"odd","startTime":%d,%s}`, 1_700_000_000_000+k, members))
	}
	return odd
}

// put creates what the options describe.
func put(t *testing.T, e *services.Elasticsearch, o trial.MappingOptions) {
	t.Helper()
	body, err := trial.Mapping(o)
	if err != nil {
		t.Fatal(err)
	}
	request, err := o.Request()
	if err != nil {
		t.Fatal(err)
	}
	method, path, _ := strings.Cut(request, " ")
	if _, err := e.Do(services.Context(t), method, path, string(body)); err != nil {
		t.Fatal(err)
	}
}

// checkMapping compares the mapping that an index has with the catalogue.
func checkMapping(t *testing.T, e *services.Elasticsearch, index string) {
	t.Helper()
	type node struct {
		Type       string          `json:"type"`
		Properties map[string]node `json:"properties"`
	}
	var indices map[string]struct {
		Mappings node `json:"mappings"`
	}
	answer, err := e.Do(services.Context(t), http.MethodGet, "/"+index+"/_mapping", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(answer), &indices); err != nil || len(indices) != 1 {
		t.Fatalf("reading %s: %v", answer, err)
	}
	for _, found := range indices {
		dates := 0
		for _, f := range session.Catalogue() {
			at := found.Mappings
			for name := range strings.SplitSeq(f.Path, ".") {
				at = at.Properties[name]
			}
			if at.Type == "" && len(at.Properties) > 0 {
				at.Type = "object" // which is not shown
			}
			if at.Type != f.Type {
				t.Errorf("%s has type %q, want %q", f.Path, at.Type, f.Type)
			}
			if at.Type == "date" {
				dates++
			}
		}
		if dates < 10 {
			t.Errorf("only %d dates", dates)
		}
		for name, want := range map[string]string{"unknownText": "keyword", "unknownLongText": "keyword", "unknownNumber": "float"} {
			if got := found.Mappings.Properties[name].Type; got != want {
				t.Errorf("%s has type %q, want %q", name, got, want)
			}
		}
	}
}

// hits counts the documents that a query finds.
func hits(t *testing.T, e *services.Elasticsearch, index, query string) int {
	t.Helper()
	answer, err := e.Do(services.Context(t), http.MethodPost, "/"+index+"/_count", `{"query":`+query+`}`)
	if err != nil {
		t.Fatal(err)
	}
	var counted struct {
		Count int `json:"count"`
	}
	if err := json.Unmarshal([]byte(answer), &counted); err != nil {
		t.Fatalf("reading %s: %v", answer, err)
	}
	return counted.Count
}
