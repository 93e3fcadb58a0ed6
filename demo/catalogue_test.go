package demo

import (
	"encoding/json"
	"strings"
	"testing"

	"sessionexport/session"
)

func TestEveryFieldIsInTheCatalogue(t *testing.T) {
	types := map[string]string{}
	for _, f := range session.Catalogue() {
		types[f.Path] = f.JSON
	}
	g := NewGenerator(4)
	used := map[string]bool{}
	for i := range 500 {
		var doc map[string]any
		if err := json.Unmarshal(g.Append(nil, i), &doc); err != nil {
			t.Fatal(err)
		}
		checkFields(t, types, used, "", doc)
	}
	if len(used) < 90 {
		t.Errorf("the sessions use %d fields of %d: not realistic", len(used), len(types))
	}
}

func checkFields(t *testing.T, types map[string]string, used map[string]bool, parent string, doc map[string]any) {
	t.Helper()
	for name, value := range doc {
		path := parent + name
		want, ok := types[path]
		if !ok && !used[path] {
			t.Errorf("the catalogue has no field %s", path)
		}
		used[path] = true
		switch v := value.(type) {
		case []any:
			if !strings.HasPrefix(want, "array") {
				t.Fatalf("%s is an array, the catalogue says %s", path, want)
			}
			for _, element := range v {
				if object, ok := element.(map[string]any); ok {
					checkFields(t, types, used, path+".", object)
				}
			}
		case string:
			if !strings.HasPrefix(want, "string") {
				t.Fatalf("%s is a string, the catalogue says %s", path, want)
			}
		case float64:
			if !strings.HasPrefix(want, "integer") && !strings.HasPrefix(want, "number") || strings.HasPrefix(want, "integer") && v != float64(int64(v)) {
				t.Fatalf("%s is %v, the catalogue says %s", path, v, want)
			}
		case bool:
			if want != "boolean" {
				t.Fatalf("%s is a boolean, the catalogue says %s", path, want)
			}
		}
	}
}
