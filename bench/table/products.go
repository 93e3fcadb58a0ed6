package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"bench/harness"
)

// A product stands beside ours in a table of its own.
type product struct {
	peer string
	ours string // what does the same job
}

const (
	webhook = "session-export-http"
	bulk    = "session-export-es"
)

// beside are the programs that an operator could take instead, ours first.
var beside = []product{
	{webhook, webhook},
	{"goscript-http", webhook},
	{"pyscript-http-tuned", webhook},
	{"pyscript-http", webhook},
	{"telegraf-http-json", webhook},
	{"otelcol-otlphttp", webhook},
	{"nodescript-http", webhook},
	{"kcat-curl", webhook},
	{"telegraf-http-each", webhook},
	{bulk, bulk},
	{"rsyslog-es-tuned", bulk},
	{"rsyslog-es", bulk},
	{"rsyslog-es-id", bulk},
	{"telegraf-es", bulk},
	{"goscript-es", bulk},
	{"pyscript-es", bulk},
	{"nodescript-es", bulk},
}

// productTable measures all of them, interleaved.
func (m *measuring) productTable() error {
	began := time.Now()
	left := map[string]string{}
	if err := m.recall(); err != nil {
		return err
	}
	for rep := range *repeat {
		if *recorded != "" {
			break
		}
		for _, p := range beside {
			if why := m.leftOut(p.peer); why != "" {
				left[p.peer] = why
				continue
			}
			if err := m.run(scenario{name: p.peer, peer: p.peer, topic: "6"}, rep); err != nil {
				left[p.peer] = err.Error()
			}
		}
	}
	var b bytes.Buffer
	b.WriteString(heading(began))
	b.WriteString(productLines(m.rows, m.notes(), left))
	return publish(b.Bytes())
}

func (m *measuring) leftOut(peer string) string {
	for _, p := range m.peers {
		if p.Name == peer {
			return harness.LeftOut(p, *n, *bin)
		}
	}
	return "no such peer"
}

func (m *measuring) notes() map[string]string {
	notes := map[string]string{}
	for _, p := range m.peers {
		notes[p.Name] = p.Notes
	}
	return notes
}

// productLines is the table, and under it what is not in it.
func productLines(r rows, notes, left map[string]string) string {
	var s strings.Builder
	s.WriteString("| program | what it is | sessions/s | to ours | CPU s/GB | to ours | peak MB | missing | twice | altered | CPU % of other programs |\n")
	s.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, p := range beside {
		all := r[p.peer]
		if len(all) == 0 {
			continue
		}
		m := func(of func(harness.Row) float64) float64 { v, _ := r.median(p.peer, of); return v }
		to := func(of func(harness.Row) float64) string {
			if v, ok := r.ratio(p.peer, p.ours, of); ok && p.peer != p.ours {
				return fmt.Sprintf("%.2f", v)
			}
			return ""
		}
		missing, twice, altered := 0, 0, 0
		for _, row := range all {
			missing, twice, altered = max(missing, row.Missing), max(twice, row.Duplicates), max(altered, row.Altered)
		}
		fmt.Fprintf(&s, "| `%s` | %s | %.0f | %s | %.2f | %s | %.0f | %d | %d | %d | %.0f |\n", p.peer, strings.ReplaceAll(notes[p.peer], "|", "\\|"), m(rate), to(rate), m(cpu), to(cpu),
			m(func(r harness.Row) float64 { return r.PeakMB }), missing, twice, altered, m(func(r harness.Row) float64 { return r.OtherPct }))
	}
	first := true
	for _, p := range beside {
		if why := left[p.peer]; why != "" && len(r[p.peer]) == 0 {
			if first {
				s.WriteString("\nNot measured:")
			} else {
				s.WriteString(";")
			}
			fmt.Fprintf(&s, " `%s` (%s)", p.peer, why)
			first = false
		}
	}
	if !first {
		s.WriteString(".\n")
	}
	return s.String()
}
