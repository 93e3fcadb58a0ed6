package session

// maxDepth is how many arrays and objects may be open at once; encoding/json
// has the same limit.
const maxDepth = 10_000

// Scanner reads sessions out of records. Its zero value is ready. It is meant
// to be used again and again, by one goroutine at a time.
type Scanner struct {
	value  []byte
	marks  marks
	fault  *Malformed // of this scan, nil while there is none
	breaks bool       // a raw CR or LF was passed

	depth int
	stack [maxDepth/64 + 1]uint64 // one bit for each open container: 1 is an object

	guesses guesses
	hints   *hints      // of the names to look for where the walk is
	found   [names]span // the last value of each name that is watched
	actions bool        // inside the array of the last top-level userActions
	scope   scope

	tenant, user []byte // memory of ids that are written with escapes
}

// Scan checks that value is one JSON object in valid UTF-8 and fills out with
// what identifies it. With apps, a session is in scope when the name or the id
// of the application of one of its user actions matches; with nil every session
// is. Of duplicate keys the last counts, names match exactly.
//
// The error is a *Malformed; out then has only its Value.
func (sc *Scanner) Scan(value []byte, apps Applications, out *Session) error {
	*out = Session{Value: value}
	sc.value, sc.breaks, sc.depth, sc.actions = value, false, 0, false
	sc.found = [names]span{}
	sc.scope.reset(apps)
	sc.marks.mark(value)
	if !sc.walk() {
		return sc.fault
	}
	if at := sc.marks.invalid(value); at >= 0 {
		sc.fail(InvalidUTF8, at)
		return sc.fault
	}
	sc.fill(out)
	return nil
}

// fill resolves what the walk found.
func (sc *Scanner) fill(out *Session) {
	out.LineBreaks = sc.breaks
	out.HasTimestamp = sc.found[nameTimestamp].set()
	out.InScope = sc.scope.in()
	safe := true
	if s := sc.found[nameTenantID]; s.text() {
		out.TenantID = s.decode(sc.value, &sc.tenant)
		out.Has |= HasTenantID
		safe = plainText(out.TenantID)
	}
	if s := sc.found[nameUserSessionID]; s.text() {
		out.UserSessionID = s.decode(sc.value, &sc.user)
		out.Has |= HasUserSessionID
		safe = safe && plainText(out.UserSessionID)
	}
	const both = HasTenantID | HasUserSessionID
	out.PlainIDs = safe && out.Has&both == both
	if s := sc.found[nameStartTime]; s.kind == number {
		if n, ok := integer(sc.value[s.from:s.to]); ok {
			out.StartTime = n
			out.Has |= HasStartTime
		}
	}
}

func (sc *Scanner) fail(r Reason, at int) bool {
	sc.fault = &Malformed{Reason: r, At: at}
	return false
}

// walk goes through the grammar once:
//
//	        ┌──────────── ',' in an object ───────────────┐
//	        ▼                                             │
//	'{' ──▶ key ── ':' ──▶ value ── scalar, '}', ']' ──▶ after ── depth 0 ──▶ end
//	                       ▲   │ '['                      │
//	                       └───┴──── ',' in an array ─────┘
func (sc *Scanner) walk() bool {
	var (
		v     = sc.value
		p     int
		c     byte // v[p], 0 at the end: a raw NUL is as wrong as an end
		name  name
		root  byte
		end   int
		begin int
		ok    bool
		next  next
	)
	p, c = sc.space(0)
	if p == len(v) {
		return sc.fail(Empty, p)
	}
	root, begin = c, p
	goto value

key:
	if c != '"' {
		return sc.fail(NotJSON, p)
	}
	switch p, next = sc.run(p); next {
	case nextValue:
		p, c = sc.space(p)
		goto value
	case nextAfter:
		goto after
	}
	end, _, ok = sc.text(p)
	if !ok {
		return sc.fail(NotJSON, end)
	}
	name = sc.watched(v[p+1 : end-1])
	p, c = sc.space(end)
	if c != ':' {
		return sc.fail(NotJSON, p)
	}
	p, c = sc.space(p + 1)
	if name != nameNone {
		sc.note(name, c, p)
	}

value:
	switch c {
	case '{':
		if !sc.push(1) {
			return sc.fail(TooDeep, p)
		}
		p, c = sc.space(p + 1)
		if c != '}' {
			goto key
		}
		sc.pop()
		p++
		goto after
	case '[':
		if !sc.push(0) {
			return sc.fail(TooDeep, p)
		}
		p, c = sc.space(p + 1)
		if c != ']' {
			goto value
		}
		sc.pop()
		p++
		goto after
	default:
		end, ok = sc.scalar(p, c)
		if !ok {
			return sc.fail(NotJSON, end)
		}
		p = end
	}

after:
	p, c = sc.space(p)
	if sc.depth == 0 {
		goto end
	}
	switch c {
	case ',':
		p, c = sc.space(p + 1)
		if sc.inObject() {
			goto key
		}
		goto value
	case '}':
		if !sc.inObject() {
			return sc.fail(NotJSON, p)
		}
	case ']':
		if sc.inObject() {
			return sc.fail(NotJSON, p)
		}
	default:
		return sc.fail(NotJSON, p)
	}
	sc.pop()
	p++
	goto after

end:
	if p != len(v) {
		return sc.fail(NotJSON, p)
	}
	if root != '{' {
		return sc.fail(NotObject, begin)
	}
	return true
}

// push opens a container; bit is 1 for an object.
func (sc *Scanner) push(bit uint64) bool {
	d := sc.depth
	if d == maxDepth {
		return false
	}
	word := &sc.stack[d/64]
	*word = *word&^(1<<(d%64)) | bit<<(d%64)
	sc.depth = d + 1
	sc.watch()
	return true
}

// pop closes a container.
func (sc *Scanner) pop() {
	sc.depth--
	switch sc.depth {
	case 2:
		if sc.actions {
			sc.closeAction()
		}
	case 1:
		sc.actions = false
	}
	sc.watch()
}

func (sc *Scanner) inObject() bool {
	d := sc.depth - 1
	return sc.stack[d/64]>>(d%64)&1 == 1
}

// space skips whitespace and returns the byte behind it, 0 at the end.
func (sc *Scanner) space(p int) (int, byte) {
	v := sc.value
	for ; p < len(v); p++ {
		switch v[p] {
		case ' ', '\t':
		case '\n', '\r':
			sc.breaks = true
		default:
			return p, v[p]
		}
	}
	return p, 0
}
