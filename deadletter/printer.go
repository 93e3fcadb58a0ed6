package deadletter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// Output is how letters are written out.
type Output string

// The outputs.
const (
	Table    Output = "table"    // for people
	JSON     Output = "json"     // one array
	NDJSON   Output = "ndjson"   // an object a line
	Sessions Output = "sessions" // the sessions alone, one a line
	Raw      Output = "raw"      // the bodies alone, byte for byte
)

// Printer writes letters one after the other, in memory that does not grow
// with their number. Close completes what was written; it does not close the
// writer.
type Printer interface {
	Print(l *Letter) error
	Close() error
}

// NewPrinter returns a printer. With bodies, JSON and NDJSON contain the
// sessions; a table never does.
func NewPrinter(w io.Writer, o Output, bodies bool) (Printer, error) {
	switch o {
	case Table:
		return &table{to: w}, nil
	case JSON, NDJSON:
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return &objects{to: w, encoder: e, array: o == JSON, bodies: bodies}, nil
	case Sessions:
		return &bodyPrinter{to: w, lines: true}, nil
	case Raw:
		return &bodyPrinter{to: w}, nil
	}
	return nil, fmt.Errorf("unknown output %q", o)
}

// tableBlock is how many rows are aligned with each other.
const tableBlock = 200

type table struct {
	to    io.Writer
	tabs  *tabwriter.Writer
	rows  int
	namer Namer
}

func (t *table) Print(l *Letter) error {
	if t.tabs == nil {
		t.tabs = newTabs(t.to)
		fmt.Fprintln(t.tabs, "KEY\tKIND\tREASON\tSTATUS\tATTEMPTS\tWHEN\tBYTES\tSESSION")
	}
	_, document := t.namer.Names(l)
	size := strconv.Itoa(l.BodySize)
	if l.BodyOmitted {
		size += " (not kept)"
	}
	row(t.tabs, l.ID().String(), l.Kind, l.Reason, numberOr(l.Status), strconv.Itoa(l.Attempts), moment(l.When()), size, document)
	if t.rows++; t.rows%tableBlock == 0 {
		return t.tabs.Flush()
	}
	return nil
}

func (t *table) Close() error {
	if t.tabs == nil {
		_, err := fmt.Fprintln(t.to, "no dead letters")
		return err
	}
	return t.tabs.Flush()
}

func newTabs(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// row writes cells that cannot break the table; an error shows when it is
// flushed.
func row(w io.Writer, cells ...string) {
	for i, c := range cells {
		if cells[i] = printable(c); cells[i] == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

func numberOr(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// printable replaces what a terminal could take for a command: texts of letters
// come from receivers and from sessions.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '�'
	}, s)
}

type objects struct {
	to      io.Writer
	encoder *json.Encoder
	array   bool
	bodies  bool
	n       int
	namer   Namer
}

func (o *objects) Print(l *Letter) error {
	if o.array {
		separator := ","
		if o.n == 0 {
			separator = "["
		}
		if _, err := io.WriteString(o.to, separator); err != nil {
			return err
		}
	}
	o.n++
	return o.encoder.Encode(ViewOf(l, &o.namer, o.bodies))
}

func (o *objects) Close() error {
	if !o.array {
		return nil
	}
	end := "]\n"
	if o.n == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(o.to, end)
	return err
}

// bodyPrinter writes bodies, as lines or as they are.
type bodyPrinter struct {
	to    io.Writer
	lines bool
	namer Namer
}

// NoBodyError says that a letter has nothing that could be written in the
// chosen form. Its session may still be where it came from.
type NoBodyError struct {
	Key    string
	Source Source
	Reason string
}

// Error names the session's place.
func (e *NoBodyError) Error() string {
	return fmt.Sprintf("letter %s %s; the session was at topic %q, partition %d, offset %d",
		e.Key, e.Reason, e.Source.Topic, e.Source.Partition, e.Source.Offset)
}

func (p *bodyPrinter) Print(l *Letter) error {
	body := l.Body
	switch {
	case l.BodyOmitted:
		return &NoBodyError{Key: l.ID().String(), Source: l.Source, Reason: "was too large to be kept with its body"}
	case p.lines:
		object, ok := p.namer.object(body)
		if !ok {
			return &NoBodyError{Key: l.ID().String(), Source: l.Source, Reason: "is no JSON object"}
		}
		body = append(bytes.Clone(object), '\n')
	}
	_, err := p.to.Write(body)
	return err
}

func (p *bodyPrinter) Close() error { return nil }

// Describe writes all about one letter for a person, its body included.
func Describe(w io.Writer, l *Letter) error {
	var namer Namer
	_, document := namer.Names(l)
	tabs := newTabs(w)
	for _, line := range [][2]string{
		{"key", l.ID().String()},
		{"environment", l.Environment},
		{"sink", l.Sink},
		{"kind", l.Kind},
		{"reason", l.Reason},
		{"status", numberOr(l.Status)},
		{"error", l.Error},
		{"attempts", strconv.Itoa(l.Attempts)},
		{"first attempt", moment(l.First)},
		{"last attempt", moment(l.Last)},
		{"source", fmt.Sprintf("topic %s, partition %d, offset %d", l.Source.Topic, l.Source.Partition, l.Source.Offset)},
		{"source time", moment(l.Source.Timestamp)},
		{"format", l.Format},
		{"session", document},
		{"bytes", strconv.Itoa(l.BodySize)},
	} {
		row(tabs, line[0], line[1])
	}
	if err := tabs.Flush(); err != nil {
		return err
	}
	if l.BodyOmitted {
		_, err := fmt.Fprintln(w, "\nThe session was too large to be kept: it may still be at its source.")
		return err
	}
	text := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '�'
	}, string(l.Body))
	_, err := fmt.Fprintf(w, "\n%s\n", strings.TrimRight(text, "\n"))
	return err
}
