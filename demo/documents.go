package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
)

// documents finds out which sessions a webhook's body holds.
func (e *endpoint) documents(ids []identity, body []byte) ([]identity, error) {
	if e.Format == FormatJSON && bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
		var elements []json.RawMessage
		if err := json.Unmarshal(body, &elements); err != nil {
			return ids, &refusedError{http.StatusBadRequest, "parse_exception", "the body is not a JSON array"}
		}
		for k, element := range elements {
			id, err := e.identify(element)
			if err != nil {
				return ids, &refusedError{http.StatusBadRequest, "parse_exception", fmt.Sprintf("element %d: %v", k+1, err)}
			}
			ids = append(ids, id)
		}
		return ids, nil
	}
	if e.Format == FormatNDJSON && len(body) > 0 && body[len(body)-1] != '\n' {
		return ids, &refusedError{http.StatusBadRequest, "parse_exception", "the last line has no newline"}
	}
	for number := 1; len(body) > 0; number++ {
		var line []byte
		line, body, _ = bytes.Cut(body, []byte{'\n'})
		id, err := e.identify(line)
		if err != nil {
			return ids, &refusedError{http.StatusBadRequest, "parse_exception", fmt.Sprintf("line %d: %v", number, err)}
		}
		ids = append(ids, id)
	}
	return ids, nil
}

var (
	tenantStart = []byte(`{"tenantId":"`)
	idStart     = []byte(`","userSessionId":"`)
)

// identify tells which session a document is. The generator's own documents
// are known by how they begin and end; all others are parsed.
func (e *endpoint) identify(doc []byte) (identity, error) {
	if g := e.ledger.generator; g != nil {
		if i, ok := g.Recognise(doc); ok && (!e.receiver.options.Verify || g.makes(i, doc)) {
			return identity{index: i}, nil
		}
	}
	var s struct {
		TenantID      string      `json:"tenantId"`
		UserSessionID string      `json:"userSessionId"`
		StartTime     json.Number `json:"startTime"`
	}
	if err := json.Unmarshal(doc, &s); err != nil {
		return identity{}, fmt.Errorf("not a session: %w", err)
	}
	return identity{index: -1, name: s.TenantID + "-" + s.UserSessionID + "-" + s.StartTime.String()}, nil
}

// Recognise tells which of the generator's sessions a document is, without
// parsing it: it begins with the session's ids and has its length.
func (g *Generator) Recognise(doc []byte) (int, bool) {
	rest, ok := bytes.CutPrefix(doc, tenantStart)
	if !ok || len(rest) == 0 || doc[len(doc)-1] != '}' {
		return 0, false
	}
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return 0, false
	}
	if rest, ok = bytes.CutPrefix(rest[end:], idStart); !ok {
		return 0, false
	}
	if end = bytes.IndexByte(rest, '"'); end < 0 {
		return 0, false
	}
	i, ok := g.Index(rest[:end])
	return i, ok && g.Size(i) == len(doc)
}

var remade = sync.Pool{New: func() any { return new([]byte) }}

// makes tells whether doc is session i to the byte.
func (g *Generator) makes(i int, doc []byte) bool {
	again, _ := remade.Get().(*[]byte) // the pool holds nothing else.
	defer remade.Put(again)
	*again = g.Append((*again)[:0], i)
	return bytes.Equal(*again, doc)
}
