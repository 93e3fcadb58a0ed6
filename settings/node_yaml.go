package settings

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// readYAML makes a node of a YAML document. A document that cannot be read is
// one problem, without a quotation of it: next to the mistake may stand a
// password.
func readYAML(data []byte) (root *node, problem *Problem) {
	defer func() {
		if r := recover(); r != nil { // the parser's own bug must not end a running process
			root, problem = nil, &Problem{Message: "is not YAML that can be read"}
		}
	}()
	if len(data) > maxFile {
		return nil, &Problem{Message: fmt.Sprintf("is larger than %d bytes", maxFile)}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // some editors put it in front
	if deep(data) {
		return nil, &Problem{Message: fmt.Sprintf("is nested more than %d levels deep", maxDepth)}
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		p := &Problem{Message: "is not YAML"}
		var ye yaml.Error
		if errors.As(err, &ye) {
			p.Message += ": " + withoutQuotations(ye.GetMessage())
			if t := ye.GetToken(); t != nil && t.Position != nil {
				p.Line, p.Column = t.Position.Line, t.Position.Column
			}
		}
		return nil, p
	}
	r := yamlReader{anchors: map[string]ast.Node{}}
	for i, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			return nil, &Problem{Message: fmt.Sprintf("holds %d YAML documents", len(file.Docs)), Want: "one", Line: tokenLine(file.Docs[i].Body)}
		}
		root, err = r.node(doc.Body, 0)
		var te *tooLarge
		switch {
		case errors.As(err, &te):
			return nil, &Problem{Message: te.message}
		case err != nil:
			return nil, &Problem{Message: "is not YAML: " + err.Error(), Line: r.at.line, Column: r.at.column}
		}
	}
	if root == nil {
		root = &node{}
	}
	return root, nil
}

// deep tells whether brackets, or the indicators at the beginning of a line,
// open more levels than a configuration may have, before a recursive parser
// meets them. Indentation cannot: so many levels would not fit into the file.
// Brackets within texts count as well, which at worst refuses a strange one.
func deep(data []byte) bool {
	open := 0
	for line := range bytes.Lines(data) {
		indicators := 0
		for i := 0; i+1 < len(line) && strings.IndexByte("-?: \t", line[i]) >= 0; i++ {
			if next := line[i+1]; line[i] != ' ' && line[i] != '\t' && (next == ' ' || next == '\t') {
				indicators++
			}
		}
		within := 0
		for _, c := range line {
			switch c {
			case '[', '{':
				open, within = open+1, within+1
			case ']', '}':
				open, within = max(0, open-1), within-1
			}
			if within > maxDepth || open > 4*maxDepth {
				return true
			}
		}
		if indicators > maxDepth {
			return true
		}
	}
	return false
}

func withoutQuotations(message string) string {
	if i := strings.IndexAny(message, "\"`"); i >= 0 {
		return strings.TrimSpace(message[:i])
	}
	return message
}

func tokenLine(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// yamlReader turns the parser's tree into nodes: aliases and merges resolved,
// types as YAML 1.2 has them.
type yamlReader struct {
	anchors map[string]ast.Node
	open    []string // aliases that are being resolved: an alias within itself has no end
	nodes   int
	at      mark // of the last node, for errors
}

func markOf(t *token.Token) mark {
	if t == nil || t.Position == nil {
		return mark{}
	}
	return mark{line: t.Position.Line, column: t.Position.Column}
}

func (r *yamlReader) node(n ast.Node, depth int) (*node, error) {
	r.nodes++
	if r.nodes > maxNodes {
		return nil, &tooLarge{fmt.Sprintf("has more than %d nodes once its aliases are resolved", maxNodes)}
	}
	if depth > maxDepth {
		return nil, &tooLarge{fmt.Sprintf("is nested more than %d levels deep", maxDepth)}
	}
	if n == nil {
		return &node{}, nil
	}
	r.at = markOf(n.GetToken())
	out := &node{at: r.at}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.BoolNode:
		out.kind, out.text = truth, fmt.Sprint(n.Value)
	case *ast.IntegerNode:
		out.kind, out.text = whole, fmt.Sprint(n.Value)
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = decimal, n.GetToken().Value
	case *ast.StringNode:
		out.kind, out.text = text, n.Value
	case *ast.LiteralNode:
		out.kind, out.text = text, n.Value.Value
		if strings.HasPrefix(n.Start.Value, "|") {
			out.at.textLine = out.at.line + 1
		}
	case *ast.AnchorNode:
		r.anchors[n.Name.GetToken().Value] = n.Value
		return r.node(n.Value, depth+1)
	case *ast.AliasNode:
		return r.alias(n.Value.GetToken().Value, depth)
	case *ast.TagNode:
		return r.tagged(n, depth)
	case *ast.SequenceNode:
		out.kind = list
		for _, v := range n.Values {
			if word, ok := unsplit(v); ok {
				out.items = append(out.items, &node{kind: text, text: word, at: markOf(v.GetToken())})
				continue
			}
			item, err := r.node(v, depth+1)
			if err != nil {
				return nil, err
			}
			out.items = append(out.items, item)
		}
	case *ast.MappingNode:
		return r.mapping(n.Values, out.at, depth)
	case *ast.MappingValueNode:
		return r.mapping([]*ast.MappingValueNode{n}, out.at, depth)
	default:
		return nil, errors.New("holds something that is no value")
	}
	return out, nil
}

// unsplit mends what the parser makes of {brokers: [kafka:9092]}: within a
// flow mapping it takes every colon for one that ends a key. YAML 1.2 does so
// only before a space (7.3.3, "Plain Style").
func unsplit(n ast.Node) (string, bool) {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) == 1 && m.Start != nil && m.Start.Type != token.MappingStartType {
		n = m.Values[0]
	}
	pair, ok := n.(*ast.MappingValueNode)
	if !ok || pair.Value == nil {
		return "", false
	}
	key, colon, value := pair.Key.GetToken(), pair.Start, pair.Value.GetToken()
	if key == nil || colon == nil || value == nil || key.Indicator == token.QuotedScalarIndicator || value.Indicator == token.QuotedScalarIndicator {
		return "", false
	}
	if _, plain := pair.Value.(ast.ScalarNode); !plain || value.Position.Line != colon.Position.Line || value.Position.Column != colon.Position.Column+1 {
		return "", false
	}
	return key.Value + ":" + value.Value, true
}

func (r *yamlReader) alias(name string, depth int) (*node, error) {
	target, known := r.anchors[name]
	if !known {
		return nil, errors.New("an alias names an anchor that is not defined before it")
	}
	if contains(r.open, name) {
		return nil, errors.New("an alias stands within its own anchor")
	}
	r.open = append(r.open, name)
	defer func() { r.open = r.open[:len(r.open)-1] }()
	return r.node(target, depth+1)
}

func (r *yamlReader) tagged(n *ast.TagNode, depth int) (*node, error) {
	if tag := n.Start.Value; tag != "!!str" {
		return nil, errors.New("a tag other than !!str stands before a value")
	}
	v, err := r.node(n.Value, depth+1)
	if err != nil {
		return nil, err
	}
	if v.kind < list {
		v.kind = text
		if n.Value != nil && n.Value.GetToken() != nil {
			v.text = n.Value.GetToken().Value
		}
	}
	return v, nil
}

func (r *yamlReader) mapping(values []*ast.MappingValueNode, at mark, depth int) (*node, error) {
	out := &node{kind: mapping, at: at}
	var merged []entry
	for _, v := range values {
		keyMark := markOf(v.Key.GetToken())
		value, err := r.node(v.Value, depth+1)
		if err != nil {
			return nil, err
		}
		if value.at.line == 0 {
			value.at = keyMark
		}
		if v.Key.IsMergeKey() {
			more, err := mergeable(value)
			if err != nil {
				return nil, err
			}
			merged = append(merged, more...)
			continue
		}
		key, err := r.node(keyNode(v.Key), depth+1)
		if err != nil {
			return nil, err
		}
		if key.kind >= list {
			return nil, errors.New("a key is not a plain word")
		}
		out.entries = append(out.entries, entry{key: key.text, at: keyMark, value: value})
	}
	if len(out.entries) > 0 {
		out.at = out.entries[0].at
	}
	// A key of the mapping itself wins over a merged one, and of several merged
	// ones the first.
	for _, m := range merged {
		if _, own := out.entry(m.key); !own {
			out.entries = append(out.entries, m)
		}
	}
	return out, nil
}

func keyNode(key ast.MapKeyNode) ast.Node {
	if explicit, ok := key.(*ast.MappingKeyNode); ok {
		return explicit.Value
	}
	return key
}

func mergeable(value *node) ([]entry, error) {
	switch value.kind {
	case mapping:
		return value.entries, nil
	case list:
		var all []entry
		for _, item := range value.items {
			if item.kind != mapping {
				return nil, errors.New("a merge (<<) names something that is no mapping")
			}
			all = append(all, item.entries...)
		}
		return all, nil
	default:
		return nil, errors.New("a merge (<<) names something that is no mapping")
	}
}

// entry returns the last entry of a key.
func (n *node) entry(key string) (entry, bool) {
	for i := len(n.entries) - 1; i >= 0; i-- {
		if n.entries[i].key == key {
			return n.entries[i], true
		}
	}
	return entry{}, false
}
