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

// target is the mapping's target for an engine.
func target(e *services.Engine) trial.Target {
	if e.Product() == "opensearch" {
		return trial.OpenSearch
	}
	return trial.Target("es" + e.Major())
}

// mappingOf is the mapping of one index.
func mappingOf(e *services.Engine, index string) trial.MappingOptions {
	return trial.MappingOptions{Target: target(e), Index: index}
}

// testMapping puts the mapping into an engine, as an index and as templates, and sends generated sessions and hostile
// ones: every one has to be taken, and the fields have to be what the mapping says.
func testMapping(t *testing.T, e *services.Engine) {
	cases := []struct {
		options trial.MappingOptions
		format  sinks.FormatOptions
	}{
		{trial.MappingOptions{Target: target(e), Index: "mapped"}, sinks.FormatOptions{Index: "mapped"}},
		{trial.MappingOptions{Target: target(e), Index: "templated", Template: true, Replicas: new(int)}, sinks.FormatOptions{Index: "templated"}},
	}
	if e.Product() == "elasticsearch" {
		cases = append(cases, struct {
			options trial.MappingOptions
			format  sinks.FormatOptions
		}{trial.MappingOptions{Index: "plain"}, sinks.FormatOptions{Index: "plain"}})
	}
	if older(e) {
		cases = append(cases, struct {
			options trial.MappingOptions
			format  sinks.FormatOptions
		}{trial.MappingOptions{Target: target(e), Index: "typed-mapped", DocType: "usersession"}, sinks.FormatOptions{Index: "typed-mapped", DocType: "usersession"}})
	} else {
		cases = append(cases, struct {
			options trial.MappingOptions
			format  sinks.FormatOptions
		}{trial.MappingOptions{Target: target(e), Index: "streamed", Template: true, DataStream: true}, sinks.FormatOptions{Index: "streamed", OpType: sinks.OpCreate}})
	}
	for _, c := range cases {
		t.Run(c.format.Index, func(t *testing.T) {
			put(t, e, c.options)
			s := newSender(t, e, "", nil, c.format, true)
			generator, odd := demo.NewGenerator(11), oddSessions(e)
			const generated = 300
			all := generated + len(odd)
			s.deliver(t, all, func(i int) string {
				if i < generated {
					return string(generator.Append(nil, i))
				}
				return odd[i-generated]
			})
			if n := e.Count(t, c.format.Index); n != all {
				t.Errorf("%d documents, want %d", n, all)
			}
			checkMapping(t, e, c.format.Index)

			ignored := 3 // flattened fields are not named in it
			if e.Product() == "opensearch" {
				ignored = 1 // nor keywords that are too long
			}
			for query, want := range map[string]int{
				`{"term":{"hasError":true}}`:                                                                      -1,
				`{"term":{"userSessionId":"odd"}}`:                                                                len(odd),
				`{"range":{"startTime":{"gte":"2026-01-01T00:00:00Z"}}}`:                                          -1,
				`{"range":{"startTime":{"gte":"2023-11-14T22:13:20.003Z","lte":"2023-11-14T22:13:20.004Z"}}}`:     2,
				`{"nested":{"path":"userActions","query":{"range":{"userActions.startTime":{"gt":1767225600}}}}}`: -1,
				`{"term":{"stringTags.colour":"blue"}}`:                                                           1,
				`{"term":{"unknownText":"2026-01-31"}}`:                                                           1,
				`{"range":{"dateProperties.value":{"gte":"2026-01-31"}}}`:                                         1,
				`{"exists":{"field":"_ignored"}}`:                                                                 ignored,
			} {
				n := e.Hits(t, c.format.Index, query)
				if n != want && (want >= 0 || n == 0) {
					t.Errorf("%s finds %d, want %d", query, n, want)
				}
			}
		})
	}
	if e.Product() == "opensearch" {
		t.Run("a tag too long costs its session", func(t *testing.T) { // as the mapping's notes say
			s := newSender(t, e, "", nil, sinks.FormatOptions{Index: "mapped"}, true)
			v := s.send(t, 2, func(i int) string {
				return fmt.Sprintf(`{"tenantId":"t","userSessionId":"tag","startTime":%d,"stringTags":{"colour":"%s"}}`, i, strings.Repeat("b", i*40_000))
			})
			expect(t, v, outcome{sinks.Suspect, http.StatusBadRequest, "", 1})
		})
	}
}

// oddSessions are sessions whose values the mapping has to put up with.
func oddSessions(e *services.Engine) []string {
	long := strings.Repeat("\U0001F600", 20_000) // 4 bytes each
	longTag := long
	if e.Product() == "opensearch" { // flat_object has no limit of length
		longTag = "short"
	}
	var odd []string
	for k, members := range []string{
		fmt.Sprintf(`"userId":%q,"userActions":[{"name":%q}]`, long, long),
		fmt.Sprintf(`"unknownLongText":%q`, long),
		fmt.Sprintf(`"stringTags":{"colour":"blue","%s":%q}`, strings.Repeat("k", 10_000), longTag),
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
func put(t *testing.T, e *services.Engine, o trial.MappingOptions) {
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
	e.Must(t, method, path, string(body))
}

// checkMapping compares the mapping that an index has with the catalogue.
func checkMapping(t *testing.T, e *services.Engine, index string) {
	t.Helper()
	type node struct {
		Type       string          `json:"type"`
		Properties map[string]node `json:"properties"`
	}
	var indices map[string]struct {
		Mappings node `json:"mappings"`
	}
	answer := e.Must(t, http.MethodGet, "/"+index+"/_mapping", "")
	if err := json.Unmarshal([]byte(answer), &indices); err != nil || len(indices) != 1 {
		t.Fatalf("reading %s: %v", answer, err)
	}
	flattened := "flattened"
	if e.Product() == "opensearch" {
		flattened = "flat_object"
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
			want := f.Type
			if want == "flattened" {
				want = flattened
			}
			if at.Type != want {
				t.Errorf("%s has type %q, want %q", f.Path, at.Type, want)
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
