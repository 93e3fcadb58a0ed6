package session

import (
	_ "embed"
	"strings"
	"sync"
)

// Field is one field of a session.
type Field struct {
	Path string // from the top of the document, joined by dots
	Type string // of an Elasticsearch mapping, such as keyword, date or nested
	JSON string // how it is written, such as "string" or "integer (int64)"
}

//go:embed fields.tsv
var fieldsTSV string

var catalogue = sync.OnceValue(func() []Field {
	lines := strings.Split(strings.TrimSpace(fieldsTSV), "\n")[1:] // the first names the columns
	fields := make([]Field, 0, len(lines))
	for _, line := range lines {
		path, rest, _ := strings.Cut(line, "\t")
		typ, json, _ := strings.Cut(rest, "\t")
		fields = append(fields, Field{Path: path, Type: typ, JSON: json})
	}
	return fields
})

// Catalogue returns every field that a session may have, parents before their
// children. It is shared: do not change it.
func Catalogue() []Field { return catalogue() }
