package trial

import (
	"encoding/json"
	"fmt"
	"strings"

	"sessionexport/session"
	"sessionexport/settings"
)

// Target is the search engine that a mapping is for.
type Target string

// The targets.
const (
	Plain      Target = ""           // whatever understands Elasticsearch 7's mappings: version 7.3 and later
	ES6        Target = "es6"        // Elasticsearch 6: type names, no flattened fields; not proven on a real one
	ES7        Target = "es7"        // Elasticsearch 7.3 and later 7: type names when asked for
	ES8        Target = "es8"        // Elasticsearch 8
	ES9        Target = "es9"        // Elasticsearch 9
	OpenSearch Target = "opensearch" // OpenSearch 2.7 and later
)

// Targets lists the names that ParseTarget knows.
func Targets() []string {
	return []string{string(ES7), string(ES8), string(ES9), string(OpenSearch), string(ES6)}
}

// ParseTarget reads a target's name; "" is Plain.
func ParseTarget(name string) (Target, error) {
	switch t := Target(name); t {
	case Plain, ES6, ES7, ES8, ES9, OpenSearch:
		return t, nil
	}
	return Plain, fmt.Errorf("unknown target %q: %s are known", name, strings.Join(Targets(), ", "))
}

// The shards and replicas of an index; reference: the settings of the index
// that the sample mapping goes into.
const (
	DefaultShards   = 3
	DefaultReplicas = 1
)

// DefaultIndex is the index of a mapping that belongs to no export.
const DefaultIndex = "user-sessions"

// MappingOptions say what a mapping is for. The zero value is the plain one.
type MappingOptions struct {
	Target     Target
	Index      string // index, alias or data stream; "" = DefaultIndex
	DocType    string // "_type" of the export's action lines; only Elasticsearch 6 and 7 know it
	DataStream bool   // Index is a data stream: the export creates documents that carry "@timestamp"

	Template  bool   // wrap the mapping as a complete index template
	Shards    int    // of a template's indices; 0 = DefaultShards
	Replicas  *int   // of a template's indices; nil = DefaultReplicas
	Lifecycle string // name of the index lifecycle policy that a template attaches; "" = none
}

// MappingFor returns the options that reflect an export. A data stream cannot
// be created from a mapping, only from a template, so its export gets one.
func MappingFor(e *settings.Export) MappingOptions {
	o := MappingOptions{}
	if e.SendDirect.Active {
		o.Index, o.DocType = e.SendDirect.IndexName, e.SendDirect.DocType
		o.DataStream = e.Custom.OpType == settings.OpCreate
	}
	o.Template = o.DataStream
	return o
}

// filled returns the options with their defaults, or what does not fit together.
func (o MappingOptions) filled() (MappingOptions, error) {
	if _, err := ParseTarget(string(o.Target)); err != nil {
		return o, err
	}
	if o.Index == "" {
		o.Index = DefaultIndex
	}
	if o.Shards == 0 {
		o.Shards = DefaultShards
	}
	if o.Replicas == nil {
		replicas := DefaultReplicas
		o.Replicas = &replicas
	}
	switch {
	case o.Shards < 1 || o.Shards > 1024: // Elasticsearch: index.number_of_shards
		return o, fmt.Errorf("%d shards: 1 to 1024 are possible", o.Shards)
	case *o.Replicas < 0:
		return o, fmt.Errorf("%d replicas: there cannot be less than none", *o.Replicas)
	case o.DataStream && o.Target == ES6:
		return o, fmt.Errorf("%s has no data streams: they came with Elasticsearch 7.9", o.Target)
	case o.Lifecycle != "" && !o.Template:
		return o, fmt.Errorf("a lifecycle policy needs a template to stand in")
	case o.Lifecycle != "" && o.Target == OpenSearch:
		return o, fmt.Errorf("an OpenSearch template does not name its policy: give the policy an ism_template with the pattern %q", o.patterns()[0])
	}
	return o, nil
}

// typeName is the type that the mappings are nested under; "" = none.
func (o MappingOptions) typeName() string {
	switch {
	case o.Target == ES6 && o.DocType == "":
		return "_doc"
	case o.Target == ES6, o.Target == ES7 && !o.DataStream:
		return o.DocType
	}
	return ""
}

// legacy tells whether a template has the form from before version 7.8, the
// only one that knows type names.
func (o MappingOptions) legacy() bool { return o.typeName() != "" }

// patterns are the indices that a template covers: the one that is written to,
// and those that a rollover numbers.
func (o MappingOptions) patterns() []string {
	if o.DataStream {
		return []string{o.Index}
	}
	return []string{o.Index, o.Index + "-*"}
}

// Request is the line of the request that takes the mapping's JSON as its body,
// such as "PUT /user-sessions".
func (o MappingOptions) Request() (string, error) {
	o, err := o.filled()
	if err != nil {
		return "", err
	}
	line := "PUT /" + o.Index
	switch {
	case o.Template && o.legacy():
		line = "PUT /_template/" + o.Index
	case o.Template:
		line = "PUT /_index_template/" + o.Index
	}
	if o.typeName() != "" {
		line += "?include_type_name=true"
	}
	return line, nil
}

// Notes tell what a person has to know about the mapping besides, a sentence
// each.
func (o MappingOptions) Notes() []string {
	var notes []string
	if o.Target == ES6 {
		notes = append(notes, "the mapping for Elasticsearch 6 is unproven: it was never tried on a real one.",
			"Elasticsearch 6 has no flattened fields: tags are kept in the documents, but not indexed.")
	}
	if o.Target == OpenSearch {
		notes = append(notes, "tags are flat_object fields, which came with OpenSearch 2.7; unlike keywords they cannot leave a value out that is longer than 32,766 bytes, and the session is refused.")
	}
	if o.DocType != "" && o.typeName() == "" {
		notes = append(notes, fmt.Sprintf("the export names the document type %q, and this mapping has none: for Elasticsearch 7 or 6 ask for that target, "+
			"and with later ones or OpenSearch take docType out of the export, for they refuse it.", o.DocType))
	}
	if o.DataStream && !o.Template {
		notes = append(notes, "a data stream cannot be created from a mapping alone: it needs a template.")
	}
	return notes
}

// Mapping returns the mapping as indented JSON: of one index, or wrapped as an
// index template. The same options always make the same bytes. Errors name the
// options that do not fit together.
func Mapping(o MappingOptions) ([]byte, error) {
	o, err := o.filled()
	if err != nil {
		return nil, err
	}
	var document any
	mappings := o.mappings()
	settings := map[string]any{"index.number_of_shards": o.Shards, "index.number_of_replicas": *o.Replicas}
	if o.Lifecycle != "" {
		settings["index.lifecycle.name"] = o.Lifecycle
	}
	switch {
	case o.Template && o.legacy():
		document = legacyTemplate{Order: templatePriority, IndexPatterns: o.patterns(), Settings: settings, Mappings: mappings}
	case o.Template:
		t := indexTemplate{IndexPatterns: o.patterns(), Priority: templatePriority, Meta: o.meta()}
		if o.DataStream {
			t.DataStream = &struct{}{}
		}
		t.Template.Settings, t.Template.Mappings = settings, mappings
		document = t
	default:
		document = struct {
			Mappings any `json:"mappings"`
		}{mappings}
	}
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the mapping: %w", err)
	}
	return append(text, '\n'), nil
}

// templatePriority lets the template win over those that Elasticsearch brings
// along, which have priorities of up to 200.
const templatePriority = 500

// indexTemplate is a template of _index_template.
type indexTemplate struct {
	IndexPatterns []string          `json:"index_patterns"`
	Priority      int               `json:"priority"`
	DataStream    *struct{}         `json:"data_stream,omitempty"`
	Meta          map[string]string `json:"_meta"`
	Template      struct {
		Settings map[string]any `json:"settings"`
		Mappings any            `json:"mappings"`
	} `json:"template"`
}

// legacyTemplate is a template of _template.
type legacyTemplate struct {
	Order         int            `json:"order"`
	IndexPatterns []string       `json:"index_patterns"`
	Settings      map[string]any `json:"settings"`
	Mappings      any            `json:"mappings"`
}

// meta explains the template to whoever finds it in the cluster.
func (o MappingOptions) meta() map[string]string {
	lifecycle := "index.lifecycle.name in the settings names the policy that moves and deletes indices; add it, or ask for --lifecycle NAME, once there is one"
	switch {
	case o.Lifecycle != "":
		lifecycle = "index.lifecycle.name in the settings names the policy that moves and deletes indices; it has to exist"
	case o.Target == OpenSearch:
		lifecycle = "a policy that moves and deletes indices attaches itself: give it an ism_template with these index patterns"
	}
	return map[string]string{"description": "User sessions as Session Export sends them", "lifecycle": lifecycle}
}

// mappings is what stands under "mappings".
func (o MappingOptions) mappings() any {
	m := mappings{
		Templates:  []map[string]dynamicTemplate{{"string_fields": stringFields()}},
		Properties: o.properties(),
	}
	if name := o.typeName(); name != "" {
		return map[string]mappings{name: m}
	}
	return m
}

// properties nests the catalogue's fields.
func (o MappingOptions) properties() map[string]*property {
	top := map[string]*property{}
	if o.DataStream {
		top["@timestamp"] = &property{Type: "date", Format: numericDates}
	}
	for _, f := range session.Catalogue() {
		at := top
		parents := strings.Split(f.Path, ".")
		name := parents[len(parents)-1]
		for _, parent := range parents[:len(parents)-1] {
			p := at[parent]
			if p.Properties == nil {
				p.Properties = map[string]*property{}
			}
			at = p.Properties
		}
		at[name] = o.property(f)
	}
	return top
}
