package batcher

import (
	"errors"
	"strconv"
	"time"

	"sessionexport/session"
)

// began is when every test begins; the time is the caller's.
var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

var errRefused = errors.New("cannot be carried")

// lines frames a session as head, value and line break, and refuses values
// that begin with "!". Enclosing bytes are those of a body around them.
type lines struct {
	head string
	encl int
}

func (l lines) Append(dst []byte, s *session.Session) (out []byte, doc int, err error) {
	if len(s.Value) > 0 && s.Value[0] == '!' {
		return dst, len(dst), errRefused
	}
	dst = append(dst, l.head...)
	doc = len(dst)
	dst = append(dst, s.Value...)
	return append(dst, '\n'), doc, nil
}

func (l lines) Enclosing() int { return l.encl }

// sized is a session whose frame by lines{} has n bytes.
func sized(n int) *session.Session {
	value := make([]byte, n-1)
	for i := range value {
		value[i] = 'x'
	}
	return &session.Session{Value: value}
}

// numbered is a session that can be recognised.
func numbered(i, n int) *session.Session {
	value := strconv.AppendInt(nil, int64(i), 10)
	for len(value) < n-1 {
		value = append(value, ' ')
	}
	return &session.Session{Value: value}
}

// feeder adds sessions at consecutive offsets of partition 0.
type feeder struct {
	*Batcher
	now    time.Time
	offset int64
}

func feed(enc Encoder, lim Limits) *feeder {
	return &feeder{Batcher: New(enc, lim, 4), now: began}
}

func (f *feeder) add(s *session.Session) uint64 {
	seq, err := f.Add(f.now, s, session.Position{Offset: f.offset}, f.now.UnixMilli())
	if err != nil {
		panic(err)
	}
	f.offset++
	return seq
}

func (f *feeder) after(d time.Duration) *feeder {
	f.now = f.now.Add(d)
	return f
}
