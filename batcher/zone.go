package batcher

import "strings"

// Zone is a management zone: the applications whose sessions are in scope. A
// session is in scope when at least one of its user actions matches.
type Zone struct {
	exact    map[string]struct{}
	patterns [][]string // the literal parts between the wildcards
}

// NewZone compiles names or ids of applications; * in one stands for any
// characters, none included.
func NewZone(applications []string) *Zone {
	z := &Zone{exact: map[string]struct{}{}}
	for _, a := range applications {
		if strings.Contains(a, "*") {
			z.patterns = append(z.patterns, strings.Split(a, "*"))
		} else {
			z.exact[a] = struct{}{}
		}
	}
	return z
}

// Match tells whether an application's name or id is in the zone. Case counts.
func (z *Zone) Match(application []byte) bool {
	if _, ok := z.exact[string(application)]; ok { // no allocation: the compiler looks the bytes up
		return true
	}
	for _, p := range z.patterns {
		if wild(application, p) {
			return true
		}
	}
	return false
}

// wild matches text against literal parts with anything between them. Taking
// the first place of each part is enough: a later one never helps.
func wild(text []byte, parts []string) bool {
	first, last := parts[0], parts[len(parts)-1]
	if len(text) < len(first)+len(last) || string(text[:len(first)]) != first || string(text[len(text)-len(last):]) != last {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		at := index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return true
}

func index(text []byte, part string) int {
	for i := 0; i+len(part) <= len(text); i++ {
		if string(text[i:i+len(part)]) == part {
			return i
		}
	}
	return -1
}
