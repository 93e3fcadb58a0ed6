package trial

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"sessionexport/sinks"
)

// NoSessions is the verdict of a test that found nothing to send.
const NoSessions = "no_sessions"

// Report is what a test of an export found out. It holds no secret.
type Report struct {
	Environment string    `json:"environment"`
	Topic       string    `json:"topic"`
	Export      string    `json:"export"`
	Endpoint    string    `json:"endpoint"` // query values redacted
	Method      string    `json:"method"`
	Format      string    `json:"format"`
	Delivered   bool      `json:"delivered"` // every session that was found
	Verdict     string    `json:"verdict"`   // the kind of the first one that is not delivered, or no_sessions
	Sessions    int       `json:"sessions"`  // that were sent
	Bytes       int       `json:"bytes"`     // of all bodies, before compression
	Uncarried   []Count   `json:"uncarried,omitempty"`
	Unsent      int       `json:"unsent"` // sessions of bodies that were not sent after a failure
	Requests    []Request `json:"requests"`
	Advice      []Advice  `json:"advice,omitempty"`
	Search      Looked    `json:"search"`
}

// Count is how often something happened.
type Count struct {
	What  string `json:"what"`
	Times int    `json:"times"`
}

// Request is one body and what became of it.
type Request struct {
	ID       string  `json:"id"` // of the batch, as the receiver sees it
	Sessions int     `json:"sessions"`
	Bytes    int     `json:"bytes"`
	Steps    []Step  `json:"steps"`
	Verdict  Verdict `json:"verdict"`
	Items    []Item  `json:"items,omitempty"`
}

// Verdict is the outcome of a request, by the words of sinks.Verdict.
type Verdict struct {
	Kind       string  `json:"kind"`
	Status     int     `json:"status"`
	Reason     string  `json:"reason,omitempty"`
	Error      string  `json:"error,omitempty"`
	Excerpt    string  `json:"excerpt,omitempty"` // of the answer
	RetryAfter float64 `json:"retryAfterSeconds,omitempty"`
	Conflicts  int     `json:"conflicts,omitempty"` // sessions that were there already
}

// Item is the sessions of a _bulk request that were not accepted for one cause.
type Item struct {
	Status int    `json:"status"`
	Type   string `json:"type"`
	Kind   string `json:"kind"`
	Times  int    `json:"times"`
	Field  string `json:"field,omitempty"` // that the answer names, of the first of them
}

func verdictOf(v sinks.Verdict) Verdict {
	out := Verdict{Kind: v.Kind.String(), Status: v.Status, Reason: v.Reason, Excerpt: v.Excerpt, RetryAfter: v.RetryAfter.Seconds(), Conflicts: v.Conflicts}
	if v.Err != nil {
		out.Error = printable(v.Err.Error())
	}
	return out
}

// itemsOf counts items by cause, the most frequent first.
func itemsOf(all []sinks.ItemVerdict) []Item {
	var items []Item
	for _, v := range all {
		at := slices.IndexFunc(items, func(i Item) bool { return i.Status == v.Status && i.Type == v.Type })
		if at < 0 {
			items = append(items, Item{Status: v.Status, Type: v.Type, Kind: v.Kind.String(), Field: fieldOf(v.Reason)})
			at = len(items) - 1
		}
		items[at].Times++
	}
	slices.SortStableFunc(items, func(a, b Item) int { return cmp.Compare(b.Times, a.Times) })
	return items
}

// WriteJSON writes the report as one JSON document.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// Write writes the report for people.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s %s\n", r.Export, r.Method, r.Endpoint)
	r.Search.write(&b, r.Environment, r.Topic)
	if r.Verdict == NoSessions {
		b.WriteString("nothing was sent\n")
	}
	for _, u := range r.Uncarried {
		fmt.Fprintf(&b, "not sent: %s that the format cannot carry: %s\n", plural(u.Times, "session"), u.What)
	}
	for i := range r.Requests {
		q := &r.Requests[i]
		fmt.Fprintf(&b, "\nrequest %d of %d: %s, %s, %s\n", i+1, len(r.Requests), plural(q.Sessions, "session"), plural(q.Bytes, "byte"), r.Format)
		for _, s := range q.Steps {
			s.write(&b)
		}
		q.Verdict.write(&b)
		for _, it := range q.Items {
			it.write(&b)
		}
	}
	if r.Unsent > 0 {
		fmt.Fprintf(&b, "\nnot sent after that: %s\n", plural(r.Unsent, "session"))
	}
	for _, a := range r.Advice {
		fmt.Fprintf(&b, "\n%s\n", wrapped("likely cause: ", a.Cause))
		fmt.Fprintf(&b, "%s\n", wrapped("what to do:   ", a.Remedy))
	}
	switch {
	case r.Delivered:
		fmt.Fprintf(&b, "\ndelivered: %s\n", plural(r.Sessions, "session"))
	case r.Verdict == sinks.Delivered.String():
		fmt.Fprintf(&b, "\nnot delivered as a whole: %s arrived, the format cannot carry the others\n", plural(r.Sessions, "session"))
	default:
		b.WriteString("\nnot delivered\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func (l *Looked) write(b *strings.Builder, environment, topic string) {
	fmt.Fprintf(b, "looked at %s of topic %s (environment %s, %s), %s\n", plural(l.Records, "record"), topic, environment, plural(l.Partitions, "partition"), size(l.Bytes))
	var passed []string
	for _, c := range []Count{
		{"out of scope", l.OutOfScope}, {"out of the time asked for", l.OutOfWindow}, {"no sessions", l.Malformed}, {"too large", l.TooLarge},
	} {
		if c.Times > 0 {
			passed = append(passed, fmt.Sprintf("%d %s", c.Times, c.What))
		}
	}
	if len(passed) > 0 {
		fmt.Fprintf(b, "of these %s\n", strings.Join(passed, ", "))
	}
	if l.Cut {
		fmt.Fprintf(b, "the search stopped at its bounds (%d records, %s)%s\n", l.MostRecords, size(l.MostBytes), l.reach())
	}
	for _, u := range l.Unread {
		fmt.Fprintf(b, "not read: %s\n", u)
	}
}

// reach is how far back the records were looked at.
func (l *Looked) reach() string {
	if l.Oldest.IsZero() {
		return ""
	}
	return ", at records written " + l.Oldest.Format(time.RFC3339)
}

// nothing says why no session was found.
func (l *Looked) nothing() string {
	text := fmt.Sprintf("no session in scope started between %s and %s", l.From.Format(time.RFC3339), l.To.Format(time.RFC3339))
	if l.Cut {
		text += " among those that were looked at"
	}
	if !l.Latest.IsZero() {
		text += "; the latest one in scope started " + l.Latest.Format(time.RFC3339)
	}
	return text
}

func (s *Step) write(b *strings.Builder) {
	target := ""
	if s.Token && s.Name != StepToken {
		target = "token server: "
	}
	fmt.Fprintf(b, "  %9s  %s%s", duration(s.Took), target, strings.ReplaceAll(s.Name, "_", " "))
	if s.Detail != "" {
		b.WriteString(", " + s.Detail)
	}
	if s.TLS != nil && s.TLS.Version != "" {
		b.WriteString(", " + s.TLS.Version)
	}
	if s.Error != "" {
		b.WriteString(": " + s.Error)
	}
	b.WriteByte('\n')
	if s.TLS != nil {
		const indent = "             "
		fmt.Fprintf(b, "%scertificate of %s (%s)\n", indent, s.TLS.Subject, strings.Join(s.TLS.Names, ", "))
		fmt.Fprintf(b, "%sissued by %s, expires %s\n", indent, s.TLS.Issuer, s.TLS.Expires.Format(time.RFC3339))
	}
}

func (v *Verdict) write(b *strings.Builder) {
	fmt.Fprintf(b, "  verdict: %s", strings.ReplaceAll(v.Kind, "_", " "))
	if v.Status != 0 {
		fmt.Fprintf(b, ", status %s", statusText(v.Status))
	}
	if v.RetryAfter > 0 {
		fmt.Fprintf(b, ", retry after %gs", v.RetryAfter)
	}
	if v.Conflicts > 0 {
		fmt.Fprintf(b, ", %s there already", plural(v.Conflicts, "session"))
	}
	b.WriteByte('\n')
	if v.Error != "" {
		fmt.Fprintf(b, "  error:   %s\n", v.Error)
	}
	if v.Excerpt != "" {
		fmt.Fprintf(b, "  answer:  %s\n", v.Excerpt)
	}
}

func (i *Item) write(b *strings.Builder) {
	fmt.Fprintf(b, "  %s: %d %s (%s)", plural(i.Times, "session"), i.Status, i.Type, strings.ReplaceAll(i.Kind, "_", " "))
	if i.Field != "" {
		fmt.Fprintf(b, ", field %s", i.Field)
	}
	b.WriteByte('\n')
}

func duration(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
}

func size(n int64) string {
	if n < 1<<20 {
		return plural(int(n), "byte")
	}
	return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MiB"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func statusText(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}

// wrapped breaks a text into lines behind a label.
func wrapped(label, text string) string {
	const width = 100
	var b strings.Builder
	b.WriteString(label)
	at := len(label)
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case at+1+len(word) > width:
			b.WriteString("\n" + strings.Repeat(" ", len(label)))
			at = len(label)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String()
}

// printable keeps foreign text from disturbing a terminal.
func printable(t string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(t, "."))
}
