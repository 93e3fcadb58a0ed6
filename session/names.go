package session

// name is a key that the scanner looks for.
type name uint8

const (
	nameNone name = iota
	nameTenantID
	nameUserSessionID
	nameStartTime
	nameTimestamp
	nameUserActions
	nameApplication   // of a user action
	nameApplicationID // of a user action
	names
)

// kind is what a watched name had as its value.
type kind uint8

const (
	absent  kind = iota
	plain        // a string without escapes
	escaped      // a string with escapes
	number
	other
)

// span is where the value of a watched name stands. A string's span is
// without its quotes.
type span struct {
	from, to int
	kind     kind
}

func (s span) set() bool { return s.kind != absent }

// text tells whether s is a string that is not empty.
func (s span) text() bool { return (s.kind == plain || s.kind == escaped) && s.to > s.from }

// decode returns the string at s, in memory when it has escapes.
func (s span) decode(value []byte, memory *[]byte) []byte {
	raw := value[s.from:s.to]
	if s.kind == plain {
		return raw
	}
	*memory = unescape((*memory)[:0], raw)
	return *memory
}

var (
	noHints     = hint()
	topHints    = hint("tenantId", "userSessionId", "startTime", "@timestamp", "userActions")
	actionHints = hint("application", "internalApplicationId")
)

// watch chooses the names to look for at this depth.
func (sc *Scanner) watch() {
	switch {
	case sc.depth == 1:
		sc.hints = topHints
	case sc.depth == 3 && sc.actions && sc.scope.open():
		sc.hints = actionHints
	default:
		sc.hints = noHints
	}
}

// watched tells which name the raw key is, if it is one that counts here.
func (sc *Scanner) watched(raw []byte) name {
	switch sc.hints {
	case topHints:
		return topLevel(sc.key(raw))
	case actionHints:
		return ofAction(sc.key(raw))
	}
	return nameNone
}

// key is the key without escapes.
func (sc *Scanner) key(raw []byte) []byte {
	for _, c := range raw {
		if c == '\\' {
			sc.tenant = unescape(sc.tenant[:0], raw)
			return sc.tenant
		}
	}
	return raw
}

func topLevel(key []byte) name {
	switch string(key) {
	case "tenantId":
		return nameTenantID
	case "userSessionId":
		return nameUserSessionID
	case "startTime":
		return nameStartTime
	case "@timestamp":
		return nameTimestamp
	case "userActions":
		return nameUserActions
	}
	return nameNone
}

func ofAction(key []byte) name {
	switch string(key) {
	case "application":
		return nameApplication
	case "internalApplicationId":
		return nameApplicationID
	}
	return nameNone
}

// note keeps what stands at p, where the value of a watched name begins with c.
// A value that is broken is left to the walk to find.
func (sc *Scanner) note(n name, c byte, p int) {
	s := span{kind: other}
	switch {
	case c == '"':
		if end, esc, ok := sc.text(p); ok {
			s = span{from: p + 1, to: end - 1, kind: plain}
			if esc {
				s.kind = escaped
			}
		}
	case c == '-' || c-'0' <= 9:
		if end, ok := sc.scalar(p, c); ok {
			s = span{from: p, to: end, kind: number}
		}
	}
	if n == nameUserActions {
		sc.actions = c == '['
		sc.scope.again()
	}
	sc.found[n] = s
}
