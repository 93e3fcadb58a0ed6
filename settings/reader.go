package settings

import (
	"fmt"
	"reflect"
	"strings"
)

// reader fills typed values from a document and collects every mistake. The
// fields of a struct are read in their order in Go, so that a precondition has
// been read before what depends on it.
type reader struct {
	file     string
	place    Place
	variable func(string) (string, bool) // environment variables
	problems Problems
	found    map[string]location // what was given, by path
	export   *Export             // the one that is being read
	exportAt string              // its path
}

// location is where a value was given: in the file or in a variable.
type location struct {
	mark
	variable string
}

func newReader(file string, place Place, variable func(string) (string, bool)) *reader {
	if variable == nil {
		variable = func(string) (string, bool) { return "", false }
	}
	return &reader{file: file, place: place, variable: variable, found: map[string]location{}}
}

// spot is one place of the schema: its path in the document, and its canonical
// path, which has no indexes and is the key of the rules.
type spot struct {
	path, rule string
}

func (s spot) key(name string) spot {
	return spot{join(s.path, name), join(s.rule, name)}
}

func (s spot) item(i int) spot {
	return spot{fmt.Sprintf("%s[%d]", s.path, i), s.rule + "[]"}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// given tells whether the document or the environment has a value.
func (r *reader) given(path string) bool {
	_, ok := r.found[path]
	return ok
}

// problem adds a mistake, at the place of its path or of the nearest ancestor
// that was given.
func (r *reader) problem(path, value, message, want string) *Problem {
	p := Problem{Path: path, File: r.file, Value: value, Message: message, Want: want}
	for at := path; ; at = parent(at) {
		if l, ok := r.found[at]; ok {
			if p.Variable = l.variable; p.Variable == "" {
				p.Line, p.Column = l.line, l.column
			} else {
				p.File = ""
			}
			break
		}
		if at == "" {
			break
		}
	}
	r.problems = append(r.problems, p)
	return &r.problems[len(r.problems)-1]
}

// problemAt adds a mistake at a place of its own.
func (r *reader) problemAt(at mark, path, message, want string) {
	r.problems = append(r.problems, Problem{Path: path, File: r.file, Line: at.line, Column: at.column, Message: message, Want: want})
}

func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return ""
}

// fields lists the keys of a struct.
func fields(t reflect.Type) []reflect.StructField {
	var keyed []reflect.StructField
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("key") != "" {
			keyed = append(keyed, f)
		}
	}
	return keyed
}

// hasTwin tells whether a key may be given as the name of a file.
func hasTwin(t reflect.Type) bool {
	return t == secretType || t.Kind() == reflect.Slice && t.Elem() == secretType
}

// structure reads a mapping; n is nil when there is none, so that defaults,
// variables and requirements still count.
func (r *reader) structure(v reflect.Value, n *node, at spot) {
	if e, ok := v.Addr().Interface().(*Export); ok {
		r.export, r.exportAt = e, at.path
	}
	if n != nil && n.kind != mapping {
		if n.kind != absent {
			r.problem(at.path, "", "is "+n.kind.String(), "a mapping")
			return // what it should hold is not missing besides
		}
		n = nil
	}
	r.names(v.Type(), n, at)
	for i, f := range fields(v.Type()) {
		key := at.key(f.Tag.Get("key"))
		ru := rules[key.rule]
		if r.fileOnly(f.Name, v.Type()) || ru.when != nil && !ru.when(r.export) {
			continue
		}
		child := n.child(f.Tag.Get("key"))
		if child != nil && child.kind != absent {
			r.found[key.path] = location{mark: child.at}
		}
		field := v.FieldByIndex(fields(v.Type())[i].Index)
		switch {
		case hasTwin(f.Type):
			r.secrets(field, n, child, key, ru)
		case scalar(f.Type):
			r.scalar(field, child, key, ru)
		case f.Type.Kind() == reflect.Slice && scalar(f.Type.Elem()):
			r.scalars(field, child, key, ru)
		case f.Type.Kind() == reflect.Slice:
			r.structures(field, child, key, ru)
		default:
			r.structure(field, child, key)
		}
	}
}

// fileOnly tells whether a key of an export belongs to the configuration file
// alone: the API addresses an export by other means.
func (r *reader) fileOnly(name string, t reflect.Type) bool {
	return r.place.Origin == FromAPI && t == reflect.TypeFor[Export]() && (name == "ID" || name == "Name")
}

// names reports the keys of a mapping that are unknown or there twice.
func (r *reader) names(t reflect.Type, n *node, at spot) {
	if n == nil {
		return
	}
	var known []string
	for _, f := range fields(t) {
		if r.fileOnly(f.Name, t) {
			continue
		}
		name := f.Tag.Get("key")
		known = append(known, name)
		if hasTwin(f.Type) && r.place.Origin == FromFile {
			known = append(known, name+"File")
		}
	}
	seen := map[string]mark{}
	for _, e := range n.entries {
		path := at.key(plainKey(e.key)).path
		if !contains(known, e.key) {
			want := "one of " + strings.Join(known, ", ")
			if near := nearest(e.key, known); near != "" {
				want = near
			}
			r.problemAt(e.at, path, "is not a known key", want)
			continue
		}
		if first, twice := seen[e.key]; twice {
			message := "is there twice"
			if first.line > 0 {
				message += fmt.Sprintf(", first on line %d", first.line)
			}
			r.problemAt(e.at, path, message, "one of them")
		}
		seen[e.key] = e.at
	}
}

// plainKey shows a key that may be anything, on one line.
func plainKey(key string) string {
	const most = 64
	if key == "" || len(key) > most || strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return quote(key)
	}
	return key
}

// child returns the value of a key, nil when there is none.
func (n *node) child(key string) *node {
	if n == nil {
		return nil
	}
	if e, ok := n.entry(key); ok {
		if e.value.at.line == 0 {
			e.value.at = e.at
		}
		return e.value
	}
	return nil
}

// structures reads a list of mappings.
func (r *reader) structures(v reflect.Value, n *node, at spot, ru rule) {
	if n != nil && n.kind != list && n.kind != absent {
		r.problem(at.path, "", "is "+n.kind.String(), "a list")
		return
	}
	count := 0
	if n != nil {
		count = len(n.items)
	}
	if int64(count) < ru.min || int64(count) > ru.most() {
		message := fmt.Sprintf("has %d items", count)
		if count == 0 {
			message = "is empty"
			if !r.given(at.path) {
				message = "is missing"
			}
		}
		r.problem(at.path, "", message, span(ru.min, ru.most()))
	}
	if count == 0 {
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), count, count))
	for i, item := range n.items {
		key := at.item(i)
		r.found[key.path] = location{mark: item.at}
		if item.kind == absent {
			r.problem(key.path, "", "is empty", "a mapping")
			continue
		}
		r.structure(v.Index(i), item, key)
	}
}
