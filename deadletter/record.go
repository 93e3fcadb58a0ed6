package deadletter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/segmentio/kafka-go"
)

// Version of the headers below. A reader refuses a version that it does not
// know; new headers that may be ignored do not change it.
const Version = "1"

// Names of the headers. A header without a value is left out.
const (
	HeaderVersion         = "dead-letter-version"
	HeaderEnvironment     = "environment"
	HeaderSink            = "sink"
	HeaderKind            = "kind"
	HeaderReason          = "reason"
	HeaderStatus          = "status"
	HeaderError           = "error"
	HeaderAttempts        = "attempts"
	HeaderFirst           = "first-attempt" // RFC 3339, UTC
	HeaderLast            = "last-attempt"
	HeaderSourceTopic     = "source-topic"
	HeaderSourcePartition = "source-partition"
	HeaderSourceOffset    = "source-offset"
	HeaderSourceTimestamp = "source-timestamp"
	HeaderFormat          = "format"
	HeaderSession         = "session"
	HeaderBodySize        = "body-size"
	HeaderBodyOmitted     = "body-omitted" // "true", or left out
)

const (
	maxError = 1024 // bytes of Letter.Error that are kept

	// timeLayout is RFC 3339 to the microsecond, always of the same length.
	timeLayout = "2006-01-02T15:04:05.000000Z"
)

// ErrTombstone is what Decode returns for a record that says that its letter
// was redriven or dropped. The letter beside it has its identity alone.
var ErrTombstone = errors.New("the dead letter was redriven or dropped")

// DecodeError says which part of a record is not as Encode writes it.
type DecodeError struct {
	Header string // or "key"
	Err    error
}

// Error names the part.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("reading a dead letter's %s: %v", e.Header, e.Err)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// Encode makes the record of a letter. Its value is the letter's body itself,
// never nil: a nil value would delete the letter. The record's time is left to
// when it is written; the letter's own times are headers.
func Encode(l *Letter) kafka.Message {
	body, size := l.Body, len(l.Body)
	if l.BodyOmitted {
		body, size = nil, l.BodySize
	}
	if body == nil {
		body = []byte{}
	}
	h := headers{{Key: HeaderVersion, Value: []byte(Version)}}
	h.text(HeaderEnvironment, l.Environment)
	h.text(HeaderSink, l.Sink)
	h.text(HeaderKind, l.Kind)
	h.text(HeaderReason, l.Reason)
	h.number(HeaderStatus, int64(l.Status))
	h.text(HeaderError, shorten(l.Error))
	h.number(HeaderAttempts, int64(l.Attempts))
	h.time(HeaderFirst, l.First)
	h.time(HeaderLast, l.Last)
	h.text(HeaderSourceTopic, l.Source.Topic)
	h.add(HeaderSourcePartition, strconv.FormatInt(int64(l.Source.Partition), 10))
	h.add(HeaderSourceOffset, strconv.FormatInt(l.Source.Offset, 10))
	h.time(HeaderSourceTimestamp, l.Source.Timestamp)
	h.text(HeaderFormat, l.Format)
	h.text(HeaderSession, l.Session)
	h.add(HeaderBodySize, strconv.Itoa(size))
	if l.BodyOmitted {
		h.add(HeaderBodyOmitted, "true")
	}
	return kafka.Message{Key: []byte(l.ID().String()), Value: body, Headers: h}
}

// Decode reads a record of the topic. For a tombstone it returns ErrTombstone
// and a letter with its identity. The letter's body is the record's value, not
// a copy.
func Decode(m kafka.Message) (Letter, error) {
	id, err := ParseID(string(m.Key))
	if err != nil {
		return Letter{}, &DecodeError{Header: "key", Err: err}
	}
	l := Letter{
		Environment: id.Environment,
		Sink:        id.Sink,
		Source:      Source{Topic: id.Topic, Partition: id.Partition, Offset: id.Offset},
	}
	if m.Value == nil {
		return l, ErrTombstone
	}
	found := make(map[string]string, len(m.Headers))
	for _, h := range m.Headers {
		found[h.Key] = string(h.Value)
	}
	if v := found[HeaderVersion]; v != Version {
		return Letter{}, &DecodeError{Header: HeaderVersion, Err: fmt.Errorf("version %q, this program knows %q", v, Version)}
	}
	p := parser{found: found}
	l.Kind = found[HeaderKind]
	l.Reason = found[HeaderReason]
	l.Status = p.number(HeaderStatus)
	l.Error = found[HeaderError]
	l.Attempts = p.number(HeaderAttempts)
	l.First = p.time(HeaderFirst)
	l.Last = p.time(HeaderLast)
	l.Source.Timestamp = p.time(HeaderSourceTimestamp)
	l.Format = found[HeaderFormat]
	l.Session = found[HeaderSession]
	l.BodySize = p.number(HeaderBodySize)
	l.BodyOmitted = found[HeaderBodyOmitted] == "true"
	l.Body = m.Value
	p.same(HeaderEnvironment, l.Environment)
	p.same(HeaderSink, l.Sink)
	p.same(HeaderSourceTopic, l.Source.Topic)
	p.same(HeaderSourcePartition, strconv.FormatInt(int64(l.Source.Partition), 10))
	p.same(HeaderSourceOffset, strconv.FormatInt(l.Source.Offset, 10))
	if l.BodyOmitted {
		l.Body = nil
	} else if p.err == nil && l.BodySize != len(m.Value) {
		p.fail(HeaderBodySize, fmt.Errorf("%d bytes announced, %d found", l.BodySize, len(m.Value)))
	}
	if p.err != nil {
		return Letter{}, p.err
	}
	return l, nil
}

type headers []kafka.Header

func (h *headers) add(name, value string) {
	*h = append(*h, kafka.Header{Key: name, Value: []byte(value)})
}

func (h *headers) text(name, value string) {
	if value != "" {
		h.add(name, value)
	}
}

func (h *headers) number(name string, value int64) {
	if value != 0 {
		h.add(name, strconv.FormatInt(value, 10))
	}
}

func (h *headers) time(name string, value time.Time) {
	if !value.IsZero() {
		h.add(name, value.UTC().Format(timeLayout))
	}
}

// parser keeps the first error, so that Decode reads like the list that it is.
type parser struct {
	found map[string]string
	err   error
}

func (p *parser) fail(name string, err error) {
	if p.err == nil {
		p.err = &DecodeError{Header: name, Err: err}
	}
}

func (p *parser) number(name string) int {
	text, ok := p.found[name]
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err == nil && n < 0 {
		err = errors.New("negative")
	}
	if err != nil {
		p.fail(name, err)
		return 0
	}
	return n
}

func (p *parser) time(name string) time.Time {
	text, ok := p.found[name]
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(timeLayout, text)
	if err != nil {
		p.fail(name, err)
		return time.Time{}
	}
	return t
}

// same holds a header against the key, which says the same.
func (p *parser) same(name, want string) {
	if got := p.found[name]; got != want {
		p.fail(name, fmt.Errorf("%q, the key says %q", got, want))
	}
}

// shorten cuts a text to maxError bytes of valid UTF-8.
func shorten(s string) string { return cut(s, maxError) }

// cut cuts a text to most bytes of valid UTF-8.
func cut(s string, most int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
