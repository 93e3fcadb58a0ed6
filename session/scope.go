package session

import "bytes"

// scope decides whether a session is in scope while its user actions pass.
type scope struct {
	apps   Applications
	hit    bool
	memory []byte // of values that are written with escapes

	// missed are the last values that did not match: the actions of a session
	// mostly share theirs.
	missed [2][]byte
}

// reset begins a session.
func (s *scope) reset(apps Applications) {
	s.apps, s.hit, s.missed = apps, false, [2][]byte{}
}

// again forgets the user actions so far: another array of them has begun.
func (s *scope) again() { s.hit, s.missed = false, [2][]byte{} }

// open tells whether another user action can still decide.
func (s *scope) open() bool { return s.apps != nil && !s.hit }

func (s *scope) in() bool { return s.apps == nil || s.hit }

// closeAction asks for the applications of the user action that just ended.
func (sc *Scanner) closeAction() {
	for i, n := range [...]name{nameApplication, nameApplicationID} {
		found := sc.found[n]
		sc.found[n] = span{}
		if !sc.scope.open() || found.kind != plain && found.kind != escaped {
			continue
		}
		app, missed := found.decode(sc.value, &sc.scope.memory), &sc.scope.missed[i]
		if found.kind == plain && *missed != nil && bytes.Equal(app, *missed) {
			continue
		}
		sc.scope.hit = sc.scope.apps.Match(app)
		if found.kind == plain {
			*missed = app // of no interest after a hit
		}
	}
}
