package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Summary is the outcome of a demo: what was produced, and what became of it
// at each sink.
type Summary struct {
	Produced int           `json:"produced"` // sessions that the broker acknowledged
	Seconds  float64       `json:"seconds"`  // from the first session to the end
	Sinks    []SinkSummary `json:"sinks"`
}

// SinkSummary is one sink's part of a Summary.
type SinkSummary struct {
	ID           string `json:"id"`
	Format       string `json:"format"`       // json, ndjson or elasticsearch
	Delivered    int    `json:"delivered"`    // sessions that the receiver accepted, duplicates included
	Distinct     int    `json:"distinct"`     // of them, different ones
	Missing      int    `json:"missing"`      // produced and in scope, but neither received nor a dead letter
	Duplicates   int    `json:"duplicates"`   // received once more
	DeadLetters  int    `json:"deadLetters"`  // sessions that became dead letters
	Batches      int    `json:"batches"`      // accepted bodies
	LargestBody  int    `json:"largestBody"`  // bytes before compression
	MostSessions int    `json:"mostSessions"` // in one body
}

// SinkOutcome is what a sink's part of a Summary is made from.
type SinkOutcome struct {
	ID          string
	Format      string
	Received    Tally
	DeadLetters *Indexes         // of the sink's dead letters; nil: none
	InScope     func(i int) bool // whether session i is in the sink's scope; nil: every session is
}

// Summarise compares what was produced, sessions 0 to produced-1, with what
// each sink's receiver got. Seconds is how long it took.
func Summarise(produced int, seconds float64, sinks []SinkOutcome) Summary {
	s := Summary{Produced: produced, Seconds: seconds, Sinks: make([]SinkSummary, len(sinks))}
	for k, sink := range sinks {
		s.Sinks[k] = SinkSummary{
			ID:           sink.ID,
			Format:       sink.Format,
			Delivered:    sink.Received.Sessions,
			Distinct:     sink.Received.Distinct,
			Missing:      missing(0, produced, sink.InScope, sink.Received.Indexes, sink.DeadLetters),
			Duplicates:   sink.Received.Duplicates,
			DeadLetters:  sink.DeadLetters.Len(),
			Batches:      sink.Received.Bodies,
			LargestBody:  sink.Received.LargestBody,
			MostSessions: sink.Received.MostSessions,
		}
	}
	return s
}

// OK tells whether nothing is missing at any sink.
func (s Summary) OK() bool {
	for _, sink := range s.Sinks {
		if sink.Missing > 0 {
			return false
		}
	}
	return true
}

// WriteJSON writes the summary as one line of JSON.
func (s Summary) WriteJSON(w io.Writer) error {
	if err := json.NewEncoder(w).Encode(s); err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	return nil
}

// tableWidth is what a row for each sink takes.
const tableWidth = 128

// WriteTable writes the summary for people: the same figures as WriteJSON, in a
// row for each sink, or where fewer characters fit into a line than that takes,
// in a column. Width 0 is a line without end.
func (s Summary) WriteTable(w io.Writer, width int) error {
	table := [][]string{{"sink"}, {"format"}, {"delivered"}, {"distinct"}, {"missing"}, {"duplicates"}, {"dead letters"}, {"batches"}, {"largest body"}, {"most sessions"}}
	for _, k := range s.Sinks {
		for n, cell := range []string{
			k.ID, k.Format, grouped(k.Delivered), grouped(k.Distinct), grouped(k.Missing), grouped(k.Duplicates), grouped(k.DeadLetters),
			grouped(k.Batches), grouped(k.LargestBody), grouped(k.MostSessions),
		} {
			table[n] = append(table[n], cell)
		}
	}
	if width == 0 || width >= tableWidth {
		table = transposed(table)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s sessions produced in %.1f s\n", grouped(s.Produced), s.Seconds)
	tabs := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range table {
		_, _ = fmt.Fprintln(tabs, strings.Join(row, "\t")+"\t") // into memory
	}
	_ = tabs.Flush()
	verdict := "Nothing is missing."
	if !s.OK() {
		verdict = "SESSIONS ARE MISSING."
	}
	fmt.Fprintln(&b, verdict)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	return nil
}

func transposed(table [][]string) [][]string {
	turned := make([][]string, len(table[0]))
	for _, row := range table {
		for n, cell := range row {
			turned[n] = append(turned[n], cell)
		}
	}
	return turned
}

// grouped writes a number with commas between thousands.
func grouped(n int) string {
	if n < 0 {
		return "-" + grouped(-n)
	}
	s := fmt.Sprint(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
