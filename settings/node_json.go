package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// readJSON makes a node of a JSON document.
func readJSON(data []byte) (*node, *Problem) {
	if len(data) > maxFile {
		return nil, &Problem{Message: fmt.Sprintf("is larger than %d bytes", maxFile)}
	}
	r := jsonReader{d: json.NewDecoder(bytes.NewReader(data))}
	r.d.UseNumber()
	root, err := r.node(0)
	if err == nil {
		if _, more := r.d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the value")
		}
	}
	var te *tooLarge
	switch {
	case errors.As(err, &te):
		return nil, &Problem{Message: te.message}
	case err != nil: // not quoted: it may name a character of a secret
		return nil, &Problem{Message: "is not JSON"}
	}
	return root, nil
}

type jsonReader struct {
	d     *json.Decoder
	nodes int
}

func (r *jsonReader) node(depth int) (*node, error) {
	t, err := r.d.Token()
	if err != nil {
		return nil, err
	}
	return r.value(t, depth)
}

func (r *jsonReader) value(t json.Token, depth int) (*node, error) {
	r.nodes++
	if r.nodes > maxNodes {
		return nil, &tooLarge{fmt.Sprintf("has more than %d nodes", maxNodes)}
	}
	if depth > maxDepth {
		return nil, &tooLarge{fmt.Sprintf("is nested more than %d levels deep", maxDepth)}
	}
	switch t := t.(type) {
	case bool:
		return &node{kind: truth, text: fmt.Sprint(t)}, nil
	case json.Number:
		if strings.ContainsAny(t.String(), ".eE") {
			return &node{kind: decimal, text: t.String()}, nil
		}
		return &node{kind: whole, text: t.String()}, nil
	case string:
		return &node{kind: text, text: t}, nil
	case json.Delim:
		if t == '[' {
			return r.list(depth)
		}
		return r.mapping(depth)
	default:
		return &node{}, nil
	}
}

func (r *jsonReader) list(depth int) (*node, error) {
	out := &node{kind: list}
	for r.d.More() {
		item, err := r.node(depth + 1)
		if err != nil {
			return nil, err
		}
		out.items = append(out.items, item)
	}
	_, err := r.d.Token()
	return out, err
}

func (r *jsonReader) mapping(depth int) (*node, error) {
	out := &node{kind: mapping}
	for r.d.More() {
		key, err := r.d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok {
			return nil, errors.New("a key is not text")
		}
		value, err := r.node(depth + 1)
		if err != nil {
			return nil, err
		}
		out.entries = append(out.entries, entry{key: name, value: value})
	}
	_, err := r.d.Token()
	return out, err
}
