package sinks

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxAnswerDepth bounds recursion. Chains of "caused_by" are some ten deep.
const maxAnswerDepth = 256

// fill reads more of the answer; the buffer must be empty or not full.
func (a *answerReader) fill() error {
	if a.pos == a.end {
		if a.end > 0 {
			a.fills++
		}
		a.pos, a.end = 0, 0
	}
	for range 100 {
		n, err := a.src.Read(a.buf[a.end:])
		a.beginLen += copy(a.begin[a.beginLen:], a.buf[a.end:a.end+n])
		a.end += n
		a.total += n
		switch {
		case a.total > maxBulkAnswer:
			return errTooLong
		case n > 0:
			return nil // an error comes again
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			if a.total == 0 {
				return errNotBulk
			}
			return errCutShort
		case errors.Is(err, io.ErrUnexpectedEOF):
			return errCutShort
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// peek returns the next byte.
func (a *answerReader) peek() (byte, error) {
	if a.pos == a.end {
		if err := a.fill(); err != nil {
			return 0, err
		}
	}
	return a.buf[a.pos], nil
}

// next skips white space and returns the byte behind it, which stays.
func (a *answerReader) next() (byte, error) {
	for {
		c, err := a.peek()
		if err != nil || !isSpace(c) {
			return c, err
		}
		a.pos++
	}
}

func (a *answerReader) expect(want byte) error {
	c, err := a.next()
	if err != nil {
		return err
	}
	if c != want {
		return errNotBulk
	}
	a.pos++
	return nil
}

// list reads "open element, element close".
func (a *answerReader) list(open, end byte, element func() error) error {
	if err := a.expect(open); err != nil {
		return err
	}
	c, err := a.next()
	if err != nil {
		return err
	}
	if c == end {
		a.pos++
		return nil
	}
	for {
		if _, err := a.next(); err != nil {
			return err
		}
		if err := element(); err != nil {
			return err
		}
		switch c, err := a.next(); {
		case err != nil:
			return err
		case c == end:
			a.pos++
			return nil
		case c != ',':
			return errNotBulk
		}
		a.pos++
	}
}

func (a *answerReader) array(element func() error) error { return a.list('[', ']', element) }

// object calls value with each name; value reads what belongs to it. The name is
// the reader's own memory and holds until the next name.
func (a *answerReader) object(value func(name []byte) error) error {
	return a.list('{', '}', func() error {
		n, err := a.text(a.token[:len(a.token)/2])
		if err != nil {
			return err
		}
		if err := a.expect(':'); err != nil {
			return err
		}
		return value(a.token[:n])
	})
}

// skip reads over one value.
func (a *answerReader) skip(depth int) error {
	if depth > maxAnswerDepth {
		return errNotBulk
	}
	c, err := a.next()
	switch {
	case err != nil:
		return err
	case c == '{':
		return a.object(func([]byte) error { return a.skip(depth + 1) })
	case c == '[':
		return a.array(func() error { return a.skip(depth + 1) })
	case c == '"':
		from := a.pos + 1
		_, err := a.text(nil)
		a.like.passed(from, a.pos-1, true)
		return err
	default:
		from := a.pos
		token, err := a.scalar()
		if err == nil && digits(token) == len(token) {
			a.like.passed(from, a.pos, false)
		}
		return err
	}
}

// scalar reads a number, true, false or null.
func (a *answerReader) scalar() ([]byte, error) {
	if _, err := a.next(); err != nil {
		return nil, err
	}
	token := a.token[: 0 : len(a.token)/2] // the other half may hold an error's type
	for {
		c, err := a.peek()
		if err != nil {
			return nil, err
		}
		if c == ',' || c == '}' || c == ']' || isSpace(c) {
			break
		}
		if c == '"' || c == '{' || c == '[' || len(token) == cap(token) {
			return nil, errNotBulk
		}
		token = append(token, c)
		a.pos++
	}
	if !json.Valid(token) {
		return nil, errNotBulk
	}
	return token, nil
}

func (a *answerReader) boolean() (bool, error) {
	token, err := a.scalar()
	switch {
	case err != nil:
		return false, err
	case string(token) == "true":
		return true, nil
	case string(token) == "false":
		return false, nil
	}
	return false, errNotBulk
}

// integer reads a status: three digits.
func (a *answerReader) integer() (int, error) {
	token, err := a.scalar()
	if err != nil {
		return 0, err
	}
	if len(token) != 3 {
		return 0, errNotBulk
	}
	n, err := strconv.Atoi(string(token))
	if err != nil || n < 100 {
		return 0, errNotBulk
	}
	return n, nil
}

func (a *answerReader) optionalText(to []byte) (int, error) {
	c, err := a.next()
	if err != nil {
		return 0, err
	}
	if c != '"' {
		return 0, a.skip(0)
	}
	return a.text(to)
}

// text reads a string and stores what fits of it, decoded, in to. It returns how
// many bytes that are.
func (a *answerReader) text(to []byte) (int, error) {
	if err := a.expect('"'); err != nil {
		return 0, err
	}
	n := 0
	for {
		if plain := plainText(a.buf[a.pos:a.end]); plain > 0 {
			n += copy(to[n:], a.buf[a.pos:a.pos+plain])
			a.pos += plain
		}
		c, err := a.peek()
		if err != nil {
			return 0, err
		}
		a.pos++
		switch {
		case c == '"':
			return n, nil
		case c < ' ':
			return 0, errNotBulk
		case c != '\\':
			if n < len(to) {
				to[n] = c
				n++
			}
		default:
			r, err := a.escape()
			if err != nil {
				return 0, err
			}
			var encoded [utf8.UTFMax]byte
			size := utf8.EncodeRune(encoded[:], r)
			if n+size > len(to) {
				to = to[:n] // nothing after it may fill the gap
				continue
			}
			n += copy(to[n:], encoded[:size])
		}
	}
}

// plainText is how many bytes at the beginning stand for themselves in a string.
func plainText(b []byte) int {
	for i, c := range b {
		if c == '"' || c == '\\' || c < ' ' {
			return i
		}
	}
	return len(b)
}

// escape reads what follows a backslash.
func (a *answerReader) escape() (rune, error) {
	c, err := a.peek()
	if err != nil {
		return 0, err
	}
	a.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return a.unicode()
	}
	return 0, errNotBulk
}

// unicode reads four hexadecimal digits. Halves of a surrogate pair become the
// replacement character each: these texts are only shown.
func (a *answerReader) unicode() (rune, error) {
	var r rune
	for range 4 {
		c, err := a.peek()
		if err != nil {
			return 0, err
		}
		a.pos++
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, errNotBulk
		}
		r = r<<4 | rune(c)
	}
	if utf16.IsSurrogate(r) {
		return utf8.RuneError, nil
	}
	return r, nil
}

// cutRune drops a character that the end of a buffer has cut.
func cutRune(t []byte) []byte {
	for i := len(t) - 1; i >= 0 && i >= len(t)-utf8.UTFMax; i-- {
		if utf8.RuneStart(t[i]) {
			if !utf8.FullRune(t[i:]) {
				return t[:i]
			}
			break
		}
	}
	return t
}
