package settings

import (
	"fmt"
	"path/filepath"
	"reflect"
)

// Load reads the configuration file and the environment variables that
// override it, fills in defaults, reads the secrets and certificates that it
// names, and validates all of it. variable looks up an environment variable
// (os.LookupEnv); nil = none.
//
// The error is Problems, with every mistake at once, or that of reading the
// file. A File is returned only without mistakes.
func Load(path string, variable func(string) (string, bool)) (*File, error) {
	return loadFrom(path, variable, nil)
}

func loadFrom(path string, variable func(string) (string, bool), s *Sources) (*File, error) {
	data, err := readMain(path, s)
	if err != nil {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("finding the folder of the configuration: %w", err)
	}
	return parse(data, path, Place{Origin: FromFile, Folder: folder, sources: s}, variable)
}

// Parse is Load of a configuration that was read already. name is that of the
// file in problems, folder where relative names of files start.
func Parse(data []byte, name, folder string, variable func(string) (string, bool)) (*File, error) {
	return parse(data, name, Place{Origin: FromFile, Folder: folder}, variable)
}

func parse(data []byte, name string, p Place, variable func(string) (string, bool)) (*File, error) {
	root, problem := readYAML(data)
	if problem != nil {
		problem.File = name
		return nil, Problems{*problem}
	}
	r := newReader(name, p, variable)
	out := &File{folder: p.Folder}
	r.found[""] = location{mark: mark{line: 1, column: 1}}
	// Before everything else: where secrets are.
	r.place.SecretsDir = r.secretsDir(root)
	r.structure(reflect.ValueOf(out).Elem(), root, spot{})
	out.SecretsDir = r.place.SecretsDir
	r.validate(out)
	if len(r.problems) > 0 {
		r.problems.sort()
		return nil, r.problems
	}
	return out, nil
}

// secretsDir finds the folder of secrets ahead of the reading proper, which
// reports what is wrong with it.
func (r *reader) secretsDir(root *node) string {
	dir := rules["secretsDir"].def
	if value, ok := r.variable(Variable("secretsDir")); ok && value != "" {
		dir = value
	} else if n := root.child("secretsDir"); n != nil && n.kind == text && n.text != "" {
		dir = n.text
	}
	return resolve(r.place.Folder, dir)
}

// ParseExport reads and validates the value of one export in JSON, by the
// rules of the configuration file. From the API it has neither id nor name.
// The problems' paths start at the value; Problem.Pointer has the API's form.
func ParseExport(value []byte, p Place) (Export, Problems) {
	root, problem := readJSON(value)
	if problem != nil {
		return Export{}, Problems{*problem}
	}
	if root.kind != mapping {
		return Export{}, Problems{{Message: "is " + root.kind.String(), Want: "a mapping"}}
	}
	var out Export
	r := newReader("", p, nil)
	r.structure(reflect.ValueOf(&out).Elem(), root, spot{rule: exportRule})
	r.validateExport(&out, "")
	r.problems.sort()
	return out, r.problems
}

// ValidateExport returns the mistakes in the value of one export, in JSON.
func ValidateExport(value []byte, p Place) Problems {
	_, problems := ParseExport(value, p)
	return problems
}
