package trial

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sessionexport/session"
)

// TestFieldsDocument holds docs/fields.md against the catalogue.
func TestFieldsDocument(t *testing.T) {
	golden(t, filepath.Join("..", "docs", "fields.md"), fieldsDocument())
}

// fieldsDocument is the catalogue for people: the fields of the session itself
// first, then those of each object within it.
func fieldsDocument() []byte {
	var b bytes.Buffer
	b.WriteString(`# Fields of a session

<!-- Generated from session/fields.tsv: go test ./trial -run TestFieldsDocument -update -->

Every field that a completed session may have, with its type in the [mapping](mapping.md) for Elasticsearch and the one it has in JSON. No session has all of them: which ones
it has depends on whether a browser, a mobile application or a monitor made it. A field may be null or missing. Dates that are integers are
milliseconds since 1970, UTC. Documents travel as they came, fields that are not listed here included.
`)
	groups := map[string][]session.Field{}
	var order []string
	for _, f := range session.Catalogue() {
		group := ""
		if at := strings.LastIndexByte(f.Path, '.'); at >= 0 {
			group = f.Path[:at]
		}
		if groups[group] == nil {
			order = append(order, group)
		}
		groups[group] = append(groups[group], f)
	}
	slices.Sort(order)
	for _, group := range order {
		title, shown := "The session", ""
		if group != "" {
			title, shown = "`"+group+"[]`", group+"."
		}
		fmt.Fprintf(&b, "\n## %s\n\n| field | Elasticsearch | JSON |\n|---|---|---|\n", title)
		fields := groups[group]
		slices.SortFunc(fields, func(a, c session.Field) int { return strings.Compare(a.Path, c.Path) })
		for _, f := range fields {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.TrimPrefix(f.Path, shown), f.Type, described(f.JSON))
		}
	}
	return b.Bytes()
}

// described writes a JSON type for people: what an array holds, without the
// name of its class.
func described(json string) string {
	of, isArray := strings.CutPrefix(json, "array<")
	if !isArray {
		return json
	}
	of = strings.TrimSuffix(of, ">")
	of, _, _ = strings.Cut(of, ":")
	return "array of " + of + "s"
}
