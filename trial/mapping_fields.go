package trial

import (
	"strings"

	"sessionexport/session"
)

// Lucene takes no term of more than 32,766 bytes (IndexWriter.MAX_TERM_LENGTH),
// and a document with one is refused as a whole. Beyond these lengths a value
// stays in the document and is only left out of the index.
const (
	// ignoreAbove bounds keywords: 8,191 characters of at most 4 bytes of UTF-8
	// are 32,764 bytes.
	ignoreAbove = 8191 // characters

	// ignoreAboveFlattened bounds the values of flattened fields. Their terms are
	// the key, a zero byte and the value, so half of the bytes are left to the key.
	ignoreAboveFlattened = 4096 // characters
)

// The formats of dates. The first one is that in which they are written, the
// second one also serves queries.
const (
	numericDates = "epoch_millis||strict_date_optional_time"
	writtenDates = "strict_date_optional_time||epoch_millis"
)

// mappings are those of one index.
type mappings struct {
	// DateDetection off: unknown strings become keywords even when the first one
	// looks like a date, after which every other one would be refused.
	DateDetection bool                         `json:"date_detection"`
	Templates     []map[string]dynamicTemplate `json:"dynamic_templates"`
	Properties    map[string]*property         `json:"properties"`
}

// dynamicTemplate says how fields are mapped that the catalogue does not know.
type dynamicTemplate struct {
	Match   string   `json:"match"`
	Type    string   `json:"match_mapping_type"`
	Mapping property `json:"mapping"`
}

// property is the mapping of one field.
type property struct {
	Type            string               `json:"type"`
	Format          string               `json:"format,omitempty"`
	Norms           *bool                `json:"norms,omitempty"`
	Enabled         *bool                `json:"enabled,omitempty"`
	IgnoreAbove     int                  `json:"ignore_above,omitempty"`
	IgnoreMalformed bool                 `json:"ignore_malformed,omitempty"`
	Properties      map[string]*property `json:"properties,omitempty"`
}

// stringFields is the dynamic template for strings; reference: the beginning of
// the sample mapping.
func stringFields() dynamicTemplate {
	return dynamicTemplate{Match: "*", Type: "string", Mapping: property{Type: "keyword", Norms: new(bool), IgnoreAbove: ignoreAbove}}
}

// property maps a field of the catalogue. What can be left out of the index
// when a value does not fit is mapped so: one odd value must not cost a session.
func (o MappingOptions) property(f session.Field) *property {
	p := &property{Type: f.Type}
	switch f.Type {
	case "keyword":
		p.IgnoreAbove = ignoreAbove
	case "date":
		p.Format, p.IgnoreMalformed = numericDates, true
		if strings.HasPrefix(f.JSON, "string") {
			p.Format = writtenDates
		}
	case "integer", "long", "double", "ip":
		p.IgnoreMalformed = true
	case "flattened":
		switch o.Target {
		case ES6:
			p.Type, p.Enabled = "object", new(bool)
		case OpenSearch:
			p.Type = "flat_object"
		default:
			p.IgnoreAbove = ignoreAboveFlattened
		}
	}
	return p
}
