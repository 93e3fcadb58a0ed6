package settings

import "reflect"

// unsavedID is the id of an export that brings none: it becomes part of no
// group and no metric.
const unsavedID = "unsaved"

// ParseUnsaved reads one export that no configuration holds, in YAML or JSON,
// by the rules of the configuration file: its value, with or without id and
// name, or a list of one. name is that of the file in problems.
//
// A secret that is needed and neither given nor named as a file, or given as
// the mask that the API shows, is asked for; ask returns false when nobody can
// answer, and may be nil. The error is Problems.
func ParseUnsaved(data []byte, name string, p Place, ask func(path string) (Secret, bool)) (Export, error) {
	root, problem := readYAML(data)
	if problem != nil {
		problem.File = name
		return Export{}, Problems{*problem}
	}
	if root.kind == list && len(root.items) == 1 {
		root = root.items[0]
	}
	if root.kind != mapping {
		return Export{}, Problems{{File: name, Message: "is " + root.kind.String(), Want: "a mapping: one export"}}
	}
	if p.Origin == FromFile && root.child("id") == nil {
		root.entries = append(root.entries, entry{key: "id", value: &node{kind: text, text: unsavedID}})
	}
	if ask != nil {
		root.askSecret(ask)
	}
	var out Export
	r := newReader(name, p, nil)
	r.found[""] = location{mark: mark{line: 1, column: 1}}
	r.structure(reflect.ValueOf(&out).Elem(), root, spot{rule: exportRule})
	r.validateExport(&out, "")
	if len(r.problems) > 0 {
		r.problems.sort()
		return Export{}, r.problems
	}
	return out, nil
}

// askSecret completes an export's authentication.
func (n *node) askSecret(ask func(path string) (Secret, bool)) {
	authentication := n.child("authentication")
	if active := authentication.child("active"); active == nil || active.text != "true" {
		return
	}
	section, key := "", ""
	switch authType := authentication.child("authType"); {
	case authType == nil:
		return
	case authType.text == AuthBasic:
		section, key = "basicAuth", "password"
	case authType.text == AuthOAuth2:
		section, key = "oAuth2", "clientSecret"
	}
	in := authentication.child(section)
	if in == nil || in.kind != mapping || in.child(key+"File") != nil {
		return
	}
	given := in.child(key)
	if given != nil && given.kind != absent && given.text != "" && !masked.MatchString(given.text) {
		return
	}
	secret, ok := ask("authentication." + section + "." + key)
	if !ok {
		return
	}
	answer := node{kind: text, text: secret.Reveal(), at: in.at}
	if given != nil {
		*given = answer
		return
	}
	in.entries = append(in.entries, entry{key: key, at: in.at, value: &answer})
}
