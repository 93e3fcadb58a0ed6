package settings

import (
	"reflect"
	"regexp"
	"strings"
)

// Key describes one key for the documentation.
type Key struct {
	Path     string // "environments[].exports[].name"; a bare name in the custom configuration
	Type     string
	Default  string // "" = none
	Required bool   // always, or when what it belongs to is active
	Range    string // what it accepts, in words
	Variable string // the environment variable that overrides it; "" = none
	Doc      string
}

// Keys lists every key of the configuration file that holds a value, in the
// order of the file.
func Keys() []Key {
	var all []Key
	walk(reflect.TypeFor[File](), "", &all)
	return all
}

func walk(t reflect.Type, path string, all *[]Key) {
	for _, f := range fields(t) {
		at := join(path, f.Tag.Get("key"))
		ru := rules[at]
		switch {
		case scalar(f.Type), f.Type.Kind() == reflect.Slice && scalar(f.Type.Elem()):
			*all = append(*all, key(f.Type, at, ru))
			if hasTwin(f.Type) {
				*all = append(*all, Key{
					Path: at + "File", Type: "file", Range: "the name of a secret file", Variable: Variable(at + "File"),
					Doc: "Instead of `" + lastKey(at) + "`: the file that holds it. A line break at its end does not count.",
				})
			}
		case f.Type.Kind() == reflect.Slice:
			*all = append(*all, Key{Path: at, Type: "list", Required: ru.min > 0, Range: span(ru.min, ru.most()) + " items", Doc: ru.doc})
			walk(f.Type.Elem(), at+"[]", all)
		default:
			walk(f.Type, at, all)
		}
	}
}

func key(t reflect.Type, path string, ru rule) Key {
	isList := t.Kind() == reflect.Slice
	word := typeWord(t)
	if t == stringType && strings.HasSuffix(path, "File") {
		word = "file"
	}
	return Key{
		Path: path, Type: word, Default: ru.def, Required: ru.required || isList && ru.min > 0,
		Range: ru.wanted(t), Variable: Variable(path), Doc: ru.doc,
	}
}

// CustomTable lists every key of the custom configuration.
func CustomTable() []Key {
	var all []Key
	for _, f := range fields(reflect.TypeFor[Custom]()) {
		name := f.Tag.Get("key")
		k := key(f.Type, name, customRules[name])
		k.Variable = ""
		all = append(all, k)
	}
	return append(all, Key{
		Path: "header.<Name>", Type: "text", Range: "up to 32 headers of 1 to 4096 bytes",
		Doc: "A header of every request. `@name` as the value reads the secret file `name`. Not for headers of the connection or the body (Host, Content-*, Transfer-Encoding, Connection, …) and those that the service sets itself (webhook-*, Idempotency-Key). `header.Authorization` must name a file and needs `authentication` to be inactive.",
	})
}

// clusterVariable matches what Kubernetes puts into the environment of every
// container about a service named session-export.
var clusterVariable = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)$`)

// UnknownVariables returns a line about each environment variable that has
// the service's prefix and no key: most likely a misspelt one, which would be
// ignored in silence. environ is as os.Environ gives it.
func UnknownVariables(environ []string) []string {
	var known []string
	for _, k := range Keys() {
		if k.Variable != "" {
			known = append(known, k.Variable)
		}
	}
	var lines []string
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, VariablePrefix) || contains(known, name) || clusterVariable.MatchString(name) {
			continue
		}
		line := name + " is set, and no key has this variable"
		if near := nearest(name, known); near != "" {
			line += "; is " + near + " meant?"
		}
		lines = append(lines, line)
	}
	return lines
}
