package session

// scalar finds the end of a string, number or literal that begins at p with c.
// When it is broken, the position is that of the first wrong byte.
func (sc *Scanner) scalar(p int, c byte) (int, bool) {
	v := sc.value
	switch c {
	case '"':
		end, _, ok := sc.text(p)
		return end, ok
	case 't':
		return literal(v, p, "true")
	case 'f':
		return literal(v, p, "false")
	case 'n':
		return literal(v, p, "null")
	}
	return numeral(v, p)
}

func literal(v []byte, p int, want string) (int, bool) {
	for i := range len(want) {
		if p+i >= len(v) || v[p+i] != want[i] {
			return p + i, false
		}
	}
	return p + len(want), true
}

// text finds the end of the string that begins with the quote at p, behind its
// closing quote.
func (sc *Scanner) text(p int) (end int, escaped, ok bool) {
	v := sc.value
	for {
		p = sc.marks.stop(p + 1)
		if p >= len(v) {
			return len(v), escaped, false
		}
		switch v[p] {
		case '"':
			return p + 1, escaped, true
		case '\\':
			escaped = true
			if p, ok = escape(v, p); !ok {
				return p, escaped, false
			}
		default:
			return p, escaped, false
		}
	}
}

// escape checks the escape whose backslash stands at p and returns its last
// byte, or the first wrong one.
func escape(v []byte, p int) (int, bool) {
	p++
	if p >= len(v) {
		return p, false
	}
	switch v[p] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return p, true
	case 'u':
		for range 4 {
			p++
			if p >= len(v) || hexDigit[v[p]] < 0 {
				return p, false
			}
		}
		return p, true
	}
	return p, false
}

// hexDigit is the value of a hexadecimal digit, -1 for any other byte.
var hexDigit = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i := range 10 {
		t['0'+i] = int8(i)
	}
	for i := range 6 {
		t['a'+i], t['A'+i] = int8(10+i), int8(10+i)
	}
	return t
}()

// numeral finds the end of the number that begins at p.
func numeral(v []byte, p int) (int, bool) {
	if p < len(v) && v[p] == '-' {
		p++
	}
	var ok bool
	if p < len(v) && v[p] == '0' {
		p++
	} else if p, ok = digits(v, p); !ok {
		return p, false
	}
	if p < len(v) && v[p] == '.' {
		if p, ok = digits(v, p+1); !ok {
			return p, false
		}
	}
	if p < len(v) && v[p]|0x20 == 'e' {
		p++
		if p < len(v) && (v[p] == '+' || v[p] == '-') {
			p++
		}
		if p, ok = digits(v, p); !ok {
			return p, false
		}
	}
	return p, true
}

// digits skips digits, of which there must be one.
func digits(v []byte, p int) (int, bool) {
	from := p
	for p < len(v) && v[p]-'0' <= 9 {
		p++
	}
	return p, p > from
}
