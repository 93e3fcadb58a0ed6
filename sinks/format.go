package sinks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"sessionexport/session"
)

// FormatKind is the shape that sessions have on the wire.
type FormatKind uint8

// The formats.
const (
	JSON   FormatKind = iota // application/json: a document a line, or one array of documents
	NDJSON                   // application/x-ndjson: a document a line
	Bulk                     // Elasticsearch and OpenSearch: an action line and a document a session
)

// The operations of a Bulk action line.
const (
	OpIndex  = "index"  // the document overwrites the one that has its id
	OpCreate = "create" // the document is refused with 409 when its id exists; the only one that data streams accept
)

// maxIDLength is what Elasticsearch and OpenSearch accept as "_id", in bytes.
// They refuse the whole request for one that is longer.
const maxIDLength = 512

// FormatOptions choose a format.
type FormatOptions struct {
	Kind    FormatKind
	Array   bool   // JSON only: one array instead of lines
	Index   string // Bulk only: the index or data stream, required
	DocType string // Bulk only: "_type" of the action line; empty leaves it away, as Elasticsearch 8 and OpenSearch demand
	OpType  string // Bulk only: OpIndex (also when empty) or OpCreate
}

// RejectedError says why a format cannot carry a session.
type RejectedError struct {
	Reason string // stable: "missing_tenant_id", "missing_user_session_id", "missing_start_time", "id_too_long"
}

func (e *RejectedError) Error() string { return "session rejected: " + e.Reason }

// One value per reason, so that a rejection does not allocate either.
var (
	errMissingTenantID      = &RejectedError{Reason: "missing_tenant_id"}
	errMissingUserSessionID = &RejectedError{Reason: "missing_user_session_id"}
	errMissingStartTime     = &RejectedError{Reason: "missing_start_time"}
	errIDTooLong            = &RejectedError{Reason: "id_too_long"}
)

// Format frames sessions for the wire. It holds no state of a body: one Format
// serves any number of goroutines.
type Format struct {
	kind   FormatKind
	array  bool
	create bool

	// An action line is head + id + tail. The document that brings its own
	// "@timestamp" gets the id first, so that Document can tell the two apart.
	head, tail       []byte
	ownHead, ownTail []byte
}

// NewFormat returns the format that o describes. Errors name what is missing or
// does not fit together.
func NewFormat(o FormatOptions) (*Format, error) {
	if o.Array && o.Kind != JSON {
		return nil, errors.New("an array body needs the JSON format")
	}
	f := &Format{kind: o.Kind, array: o.Array}
	switch o.Kind {
	case JSON, NDJSON:
		return f, nil
	case Bulk:
	default:
		return nil, fmt.Errorf("unknown format kind %d", o.Kind)
	}
	op := o.OpType
	if op == "" {
		op = OpIndex
	}
	if op != OpIndex && op != OpCreate {
		return nil, fmt.Errorf("unknown operation %q: %q and %q are known", op, OpIndex, OpCreate)
	}
	if o.Index == "" {
		return nil, errors.New("the bulk format needs an index")
	}
	f.create = op == OpCreate
	name, err := json.Marshal(o.Index)
	if err != nil {
		return nil, fmt.Errorf("encoding index name: %w", err)
	}
	docType := ""
	if o.DocType != "" {
		t, err := json.Marshal(o.DocType)
		if err != nil {
			return nil, fmt.Errorf("encoding document type: %w", err)
		}
		docType = `"_type":` + string(t) + `,`
	}
	f.head = []byte(`{"` + op + `":{"_index":` + string(name) + `,` + docType + `"_id":"`)
	f.tail = []byte("\"}}\n")
	f.ownHead = []byte(`{"` + op + `":{"_id":"`)
	f.ownTail = []byte(`","_index":` + string(name) + `,` + docType)
	f.ownTail = append(f.ownTail[:len(f.ownTail)-1], "}}\n"...)
	return f, nil
}

// Name is the format's name in settings, metrics and the summary: "json",
// "ndjson" or "elasticsearch".
func (f *Format) Name() string {
	switch f.kind {
	case NDJSON:
		return "ndjson"
	case Bulk:
		return "elasticsearch"
	default:
		return "json"
	}
}

// ContentType is the media type of a body.
func (f *Format) ContentType() string {
	if f.kind == JSON {
		return "application/json"
	}
	return "application/x-ndjson"
}

// Kind returns the kind that the format was made of.
func (f *Format) Kind() FormatKind { return f.kind }

// Enclosing is how many bytes a body has beyond its framed sessions. An array's
// items are framed as ",document"; the body replaces the first comma by "[" and
// adds "]".
func (f *Format) Enclosing() int {
	if f.array {
		return 1
	}
	return 0
}

// Append appends one framed session to dst and returns the result and the index
// in it at which the session's own line, the document, begins. A session that the
// format cannot carry leaves dst as it was; the error is then a *RejectedError.
// Append allocates nothing but dst's growth.
func (f *Format) Append(dst []byte, s *session.Session) (out []byte, doc int, err error) {
	timestamp := false
	switch {
	case f.array:
		dst = append(dst, ',')
	case f.kind == Bulk:
		if dst, err = f.appendAction(dst, s); err != nil {
			return dst, len(dst), err
		}
		timestamp = f.create && s.Has&session.HasStartTime != 0 && !s.HasTimestamp
	}
	doc = len(dst)
	value := trimSpace(s.Value)
	if timestamp {
		dst = append(dst, `{"@timestamp":`...)
		dst = strconv.AppendInt(dst, s.StartTime, 10)
		// The document's own brace is written over by the comma.
		join := len(dst)
		dst = appendDocument(dst, value, s.LineBreaks)
		if len(dst) > join+1 && dst[join+1] != '}' {
			dst[join] = ','
		} else {
			dst = append(dst[:join], '}')
		}
	} else {
		dst = appendDocument(dst, value, s.LineBreaks)
	}
	if !f.array {
		dst = append(dst, '\n')
	}
	return dst, doc, nil
}

func appendDocument(dst, value []byte, lineBreaks bool) []byte {
	if lineBreaks {
		return session.AppendCompact(dst, value)
	}
	return append(dst, value...)
}

func (f *Format) appendAction(dst []byte, s *session.Session) ([]byte, error) {
	switch {
	case s.Has&session.HasTenantID == 0:
		return dst, errMissingTenantID
	case s.Has&session.HasUserSessionID == 0:
		return dst, errMissingUserSessionID
	case s.Has&session.HasStartTime == 0:
		return dst, errMissingStartTime
	}
	var digits [20]byte
	start := strconv.AppendInt(digits[:0], s.StartTime, 10)
	if len(s.TenantID)+1+len(s.UserSessionID)+1+len(start) > maxIDLength {
		return dst, errIDTooLong
	}
	head, tail := f.head, f.tail
	if f.create && s.HasTimestamp {
		head, tail = f.ownHead, f.ownTail
	}
	dst = append(dst, head...)
	if s.PlainIDs {
		dst = append(dst, s.TenantID...)
		dst = append(dst, '-')
		dst = append(dst, s.UserSessionID...)
	} else {
		dst = appendEscaped(dst, s.TenantID)
		dst = append(dst, '-')
		dst = appendEscaped(dst, s.UserSessionID)
	}
	dst = append(dst, '-')
	dst = append(dst, start...)
	return append(dst, tail...), nil
}

// appendEscaped appends decoded as the inside of a JSON string.
func appendEscaped(dst, decoded []byte) []byte {
	at := len(dst)
	dst = session.AppendJSONString(dst, decoded)
	n := copy(dst[at:], dst[at+1:len(dst)-1])
	return dst[:at+n]
}

// Document returns the session's own document out of one framed session, without
// the "@timestamp" that the create operation put in front. Only in that case does
// it allocate; otherwise the result is a part of framed.
func (f *Format) Document(framed []byte) []byte {
	if f.array {
		return bytes.TrimPrefix(framed, comma)
	}
	doc := framed
	if f.kind == Bulk {
		_, doc, _ = bytes.Cut(framed, newline)
	}
	doc = bytes.TrimSuffix(doc, newline)
	if !f.create || !bytes.HasPrefix(framed, f.head) {
		return doc
	}
	rest := bytes.TrimPrefix(doc, timestampHead)
	for len(rest) > 0 && rest[0] != ',' && rest[0] != '}' {
		rest = rest[1:]
	}
	if len(rest) == 0 || len(rest) == len(doc) {
		return doc
	}
	own := make([]byte, 0, len(rest)+1)
	own = append(own, '{')
	if rest[0] == ',' {
		rest = rest[1:]
	}
	return append(own, rest...)
}

var (
	comma         = []byte(",")
	newline       = []byte("\n")
	timestampHead = []byte(`{"@timestamp":`)
)

// trimSpace drops the white space around a document: producers often end a
// record with a newline, which would make an empty line of its own.
func trimSpace(v []byte) []byte {
	for len(v) > 0 && isSpace(v[0]) {
		v = v[1:]
	}
	for len(v) > 0 && isSpace(v[len(v)-1]) {
		v = v[:len(v)-1]
	}
	return v
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }
