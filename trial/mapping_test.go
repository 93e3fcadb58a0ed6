package trial

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sessionexport/session"
	"sessionexport/settings"
)

var update = flag.Bool("update", false, "write golden files and generated documents anew")

// golden compares text with a file, or writes the file.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./trial -update writes it)", err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is out of date (go test ./trial -update): got\n%s", path, got)
	}
}

func none() *int { return new(int) }

// mappingCases are every target and every option.
var mappingCases = []struct {
	name    string
	options MappingOptions
	request string
	notes   []string // a part of each
}{
	{"plain", MappingOptions{}, "PUT /user-sessions", nil},
	{"es7", MappingOptions{Target: ES7, Index: "cdr"}, "PUT /cdr", nil},
	{"es7-type", MappingOptions{Target: ES7, Index: "cdr", DocType: "session"}, "PUT /cdr?include_type_name=true", nil},
	{"es7-type-template", MappingOptions{Target: ES7, Index: "cdr", DocType: "_doc", Template: true}, "PUT /_template/cdr?include_type_name=true", nil},
	{"es7-stream-template", MappingOptions{Target: ES7, Index: "cdr", DocType: "_doc", DataStream: true, Template: true}, "PUT /_index_template/cdr", []string{`type "_doc"`}},
	{"es8", MappingOptions{Target: ES8, DocType: "_doc"}, "PUT /user-sessions", []string{`type "_doc"`}},
	{"es8-stream", MappingOptions{Target: ES8, DataStream: true}, "PUT /user-sessions", []string{"needs a template"}},
	{"es8-stream-template", MappingOptions{Target: ES8, Index: "cdr", DataStream: true, Template: true, Lifecycle: "keep-90-days"}, "PUT /_index_template/cdr", nil},
	{"es9", MappingOptions{Target: ES9}, "PUT /user-sessions", nil},
	{"es9-template", MappingOptions{Target: ES9, Template: true, Shards: 1, Replicas: none()}, "PUT /_index_template/user-sessions", nil},
	{"opensearch", MappingOptions{Target: OpenSearch}, "PUT /user-sessions", []string{"flat_object"}},
	{"opensearch-stream-template", MappingOptions{Target: OpenSearch, Index: "cdr", DataStream: true, Template: true}, "PUT /_index_template/cdr", []string{"flat_object"}},
	{"es6", MappingOptions{Target: ES6, Index: "cdr"}, "PUT /cdr?include_type_name=true", []string{"unproven", "not indexed"}},
	{"es6-type-template", MappingOptions{Target: ES6, Index: "cdr", DocType: "session", Template: true}, "PUT /_template/cdr?include_type_name=true", []string{"unproven", "not indexed"}},
}

func TestMapping(t *testing.T) {
	for _, c := range mappingCases {
		t.Run(c.name, func(t *testing.T) {
			got, err := Mapping(c.options)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", "mapping", c.name+".json"), got)
			for range 20 {
				if again, _ := Mapping(c.options); string(again) != string(got) {
					t.Fatal("the same options make other bytes")
				}
			}
			if request, err := c.options.Request(); err != nil || request != c.request {
				t.Errorf("request %q, %v; want %q", request, err, c.request)
			}
			notes := c.options.Notes()
			if len(notes) != len(c.notes) {
				t.Fatalf("notes %q, want %q", notes, c.notes)
			}
			for k, part := range c.notes {
				if !strings.Contains(notes[k], part) {
					t.Errorf("note %q does not say %q", notes[k], part)
				}
			}
		})
	}
}

// TestMappingHasEveryField walks the JSON by the paths of the catalogue.
func TestMappingHasEveryField(t *testing.T) {
	for _, target := range []Target{Plain, ES6, ES7, ES8, ES9, OpenSearch} {
		text, err := Mapping(MappingOptions{Target: target})
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Mappings map[string]json.RawMessage `json:"mappings"`
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		if inner, typed := doc.Mappings["_doc"]; typed {
			if err := json.Unmarshal(inner, &doc.Mappings); err != nil {
				t.Fatal(err)
			}
		}
		type node struct {
			Type       string          `json:"type"`
			Properties map[string]node `json:"properties"`
		}
		var top map[string]node
		if err := json.Unmarshal(doc.Mappings["properties"], &top); err != nil {
			t.Fatal(err)
		}
		count := 0
		for _, f := range session.Catalogue() {
			at := node{Properties: top}
			for name := range strings.SplitSeq(f.Path, ".") {
				at = at.Properties[name]
			}
			want := f.Type
			if f.Type == "flattened" {
				want = map[Target]string{OpenSearch: "flat_object", ES6: "object"}[target]
				if want == "" {
					want = "flattened"
				}
			}
			if at.Type != want {
				t.Errorf("%s: %s has type %q, want %q", target, f.Path, at.Type, want)
			}
			count++
		}
		if got := strings.Count(string(text), `"type": "`) - 1; got != count { // one more is the dynamic template's
			t.Errorf("%s: %d fields in the mapping, %d in the catalogue", target, got, count)
		}
	}
}

func TestMappingRefuses(t *testing.T) {
	minus := -1
	for _, c := range []struct {
		options MappingOptions
		want    string
	}{
		{MappingOptions{Target: "es5"}, `unknown target "es5"`},
		{MappingOptions{Template: true, Shards: 1025}, "1025 shards"},
		{MappingOptions{Template: true, Shards: -1}, "-1 shards"},
		{MappingOptions{Template: true, Replicas: &minus}, "-1 replicas"},
		{MappingOptions{Target: ES6, DataStream: true}, "no data streams"},
		{MappingOptions{Lifecycle: "p"}, "needs a template"},
		{MappingOptions{Target: OpenSearch, Template: true, Lifecycle: "p"}, "ism_template"},
	} {
		if text, err := Mapping(c.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %s, %v; want an error with %q", c.options, text, err, c.want)
		}
		if _, err := c.options.Request(); err == nil {
			t.Errorf("%+v: a request", c.options)
		}
	}
}

func TestParseTarget(t *testing.T) {
	for _, name := range append(Targets(), "") {
		if got, err := ParseTarget(name); err != nil || string(got) != name {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	if _, err := ParseTarget("ES8"); err == nil || !strings.Contains(err.Error(), "es8") {
		t.Errorf("an unknown target: %v does not list the known ones", err)
	}
}

func TestMappingReflectsTheExport(t *testing.T) {
	direct := settings.SendDirect{Active: true, IndexName: "cdr", DocType: "session"}
	ignored := direct
	ignored.Active = false
	for _, c := range []struct {
		name   string
		export settings.Export
		want   MappingOptions
	}{
		{"webhook", settings.Export{SendDirect: ignored}, MappingOptions{}},
		{"index", settings.Export{SendDirect: direct, Custom: settings.Custom{OpType: settings.OpIndex}}, MappingOptions{Index: "cdr", DocType: "session"}},
		{"data stream", settings.Export{SendDirect: direct, Custom: settings.Custom{OpType: settings.OpCreate}},
			MappingOptions{Index: "cdr", DocType: "session", DataStream: true, Template: true}},
	} {
		if got := MappingFor(&c.export); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
