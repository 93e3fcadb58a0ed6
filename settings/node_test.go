package settings

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// outline writes a node on one line, with the places of its keys.
func outline(n *node) string {
	switch n.kind {
	case mapping:
		var parts []string
		for _, e := range n.entries {
			parts = append(parts, fmt.Sprintf("%s@%d:%d=%s", e.key, e.at.line, e.at.column, outline(e.value)))
		}
		return "{" + strings.Join(parts, " ") + "}"
	case list:
		var parts []string
		for _, item := range n.items {
			parts = append(parts, outline(item))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case absent:
		return "-"
	default:
		return fmt.Sprintf("%q/%d", n.text, n.kind)
	}
}

func TestReadYAML(t *testing.T) {
	for config, want := range map[string]string{
		"a: x\nb: 'y'\n":                             `{a@1:1="x"/4 b@2:1="y"/4}`,
		"a: 7\nb: 0x10\nc: 1_000":                    `{a@1:1="7"/2 b@2:1="16"/2 c@3:1="1000"/2}`,
		"a: 1.5\nb: .inf\nc: 1e3":                    `{a@1:1="1.5"/3 b@2:1=".inf"/3 c@3:1="1e3"/4}`,
		"a: true\nb: yes\nc: \"on\"":                 `{a@1:1="true"/1 b@2:1="yes"/4 c@3:1="on"/4}`,
		"a: null\nb: ~\nc:\n":                        `{a@1:1=- b@2:1=- c@3:1=-}`,
		"a: [x, {b: 1}]":                             `{a@1:1=["x"/4 {b@1:9="1"/2}]}`,
		"- a: 1\n  b: 2\n- c":                        `[{a@1:3="1"/2 b@2:3="2"/2} "c"/4]`,
		"a: !!str 7":                                 `{a@1:1="7"/4}`,
		"a: |\n  x=1\n  y=2\n":                       `{a@1:1="x=1\ny=2\n"/4}`,
		"a: >-\n  x\n  y\n":                          `{a@1:1="x y"/4}`,
		"a: 1\na: 2":                                 `{a@1:1="1"/2 a@2:1="2"/2}`,
		"a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n": `{a@1:1={p@1:8="1"/2 q@1:14="2"/2} b@2:1={q@4:3="3"/2 p@1:8="1"/2}}`,
		"a: &x [1]\nb: *x":                           `{a@1:1=["1"/2] b@2:1=["1"/2]}`,
		"7: x\ntrue: y":                              `{7@1:1="x"/4 true@2:1="y"/4}`,
		"k: {b: [kafka-1:9092, a:1:2]}":              `{k@1:1={b@1:5=["kafka-1:9092"/4 "a:1:2"/4]}}`,
		"k: {b: [https://x:9093/y?a=b, 12:30]}":      `{k@1:1={b@1:5=["https://x:9093/y?a=b"/4 "12:30"/4]}}`,
		"k: {b: [fd00::/8, 10.0.0.0/8, fd00::1]}":    `{k@1:1={b@1:5=["fd00::/8"/4 "10.0.0.0/8"/4 "fd00::1"/4]}}`,
		"k: {b: [a: 1, {c: 2}, {d:3}, \"e\":4]}":     `{k@1:1={b@1:5=[{a@1:9="1"/2} {c@1:16="2"/2} {d@1:24="3"/2} {e@1:30="4"/2}]}}`,
		"":                                           "-",
		"# nothing":                                  "-",
		"---\na: 1\n":                                `{a@2:1="1"/2}`,
		"\ufeffa: 1":                                 `{a@1:1="1"/2}`,
	} {
		n, problem := readYAML([]byte(config))
		if problem != nil {
			t.Errorf("%q: %v", config, problem)
		} else if got := outline(n); got != want {
			t.Errorf("%q: %s, want %s", config, got, want)
		}
	}
}

func TestReadYAMLRefuses(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	for what, config := range map[string]string{
		"a bomb of aliases":    bomb,
		"a large file":         "a: " + strings.Repeat("x", maxFile),
		"deep lists":           strings.Repeat("[", 500_000),
		"deep mappings":        strings.Repeat("{a: ", 200_000),
		"deep dashes":          strings.Repeat("- ", 400_000),
		"deep keys":            strings.Repeat("? ", 400_000),
		"deep lists in lines":  strings.Repeat("[\n", 400_000),
		"deep by indentation":  stairs(1000),
		"an alias in itself":   "a: &a [*a]",
		"an unknown alias":     "a: *x",
		"two documents":        "a: 1\n---\nb: 2\n",
		"a tab":                "a:\n\tb: 1\n",
		"an open quote":        "a: \"hunter2\nb: 1",
		"a merge of text":      "a:\n  <<: hunter2\n",
		"an unknown tag":       "a: !!binary aHVudGVyMg==",
		"a key that is a list": "? [a]\n: b\n",
	} {
		start := time.Now()
		n, problem := readYAML([]byte(config))
		if problem == nil {
			t.Errorf("%s: read as %.80s", what, outline(n))
		} else if strings.Contains(problem.String(), "hunter2") {
			t.Errorf("%s: %s", what, problem)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: took %s", what, took)
		}
	}
}

// TestReadYAMLLongLines keeps the limits of depth away from what is only long.
func TestReadYAMLLongLines(t *testing.T) {
	item := `{id: "7", name: "a: b - c ? d", applications: [x, "[y]"]}`
	for what, config := range map[string]string{
		"mappings":   "zones: [" + strings.Repeat(item+", ", 500) + item + "]",
		"texts":      "a: \"" + strings.Repeat("b: c - ", 1000) + "\"",
		"list items": strings.Repeat("- a: [1]\n", 1000),
		"dashes":     "# " + strings.Repeat("- ", 1000) + "\na: 1",
	} {
		if _, problem := readYAML([]byte(config)); problem != nil {
			t.Errorf("%s: %s", what, problem)
		}
	}
}

func stairs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestReadJSON(t *testing.T) {
	for document, want := range map[string]string{
		`{"a":"x","b":7,"c":1.0,"d":true,"e":null,"f":[1,{}]}`: `{a@0:0="x"/4 b@0:0="7"/2 c@0:0="1.0"/3 d@0:0="true"/1 e@0:0=- f@0:0=["1"/2 {}]}`,
		`{"a":1,"a":2}`: `{a@0:0="1"/2 a@0:0="2"/2}`,
		`"x"`:           `"x"/4`,
	} {
		n, problem := readJSON([]byte(document))
		if problem != nil {
			t.Errorf("%s: %v", document, problem)
		} else if got := outline(n); got != want {
			t.Errorf("%s: %s, want %s", document, got, want)
		}
	}
	for _, document := range []string{"", "{", `{"a":1}x`, `{"a":1}{}`, `{"a":}`, `{a:1}`, strings.Repeat("[", 1000), "[" + strings.Repeat("1,", maxNodes) + "1]", strings.Repeat(" ", maxFile) + "1"} {
		if _, problem := readJSON([]byte(document)); problem == nil {
			t.Errorf("%.40s: accepted", document)
		}
	}
}
