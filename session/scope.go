package session

import "bytes"

// scope decides whether a session is in scope while its user actions pass.
type scope struct {
	apps   Applications
	hit    bool
	memory []byte // of values that are written with escapes
	missed []byte // the last value that did not match: actions of a session mostly share theirs
}

// reset begins a session.
func (s *scope) reset(apps Applications) {
	s.apps, s.hit, s.missed = apps, false, nil
}

// again forgets the user actions so far: another array of them has begun.
func (s *scope) again() { s.hit = false }

// open tells whether another user action can still decide.
func (s *scope) open() bool { return s.apps != nil && !s.hit }

func (s *scope) in() bool { return s.apps == nil || s.hit }

// closeAction asks for the applications of the user action that just ended.
func (sc *Scanner) closeAction() {
	for _, n := range [...]name{nameApplication, nameApplicationID} {
		found := sc.found[n]
		sc.found[n] = span{}
		if !sc.scope.open() || found.kind != plain && found.kind != escaped {
			continue
		}
		app := found.decode(sc.value, &sc.scope.memory)
		if found.kind == plain && sc.scope.missed != nil && bytes.Equal(app, sc.scope.missed) {
			continue
		}
		if sc.scope.hit = sc.scope.apps.Match(app); !sc.scope.hit && found.kind == plain {
			sc.scope.missed = app
		}
	}
}
