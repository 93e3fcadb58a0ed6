package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"bench/harness"
)

// The verdicts on a figure.
const (
	passes     = "pass"
	fails      = "**fail**"
	unmeasured = "**not measured**"
)

// line is a figure with its verdict.
type line struct {
	figure   figure
	measured string
	verdict  string
	detail   string
}

// judge measures a figure and holds it against its bound. What is not
// measured does not pass.
func judge(f figure, r results) line {
	v, ok := f.measure(r)
	if !ok || math.IsNaN(v) {
		return line{figure: f, measured: "–", verdict: unmeasured}
	}
	l := line{figure: f, measured: show(v, f.unit), verdict: passes}
	if f.most && v > f.bound || !f.most && v < f.bound {
		l.verdict = fails
	}
	if f.detail != nil {
		l.detail = f.detail(r)
	}
	return l
}

// show writes a number as precisely as its size deserves.
func show(v float64, unit string) string {
	digits := 2
	switch {
	case v == 0:
		digits = 0
	case unit == " cores":
		digits = 3
	case v >= 100 || v == math.Trunc(v) && v >= 10:
		digits = 0
	case v >= 10:
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + unit
}

func (f figure) limit() string {
	word := "at least "
	if f.most {
		word = "at most "
	}
	s := word + strconv.FormatFloat(f.bound, 'f', -1, 64) + f.unit
	if f.aim != "" {
		s += ", aim " + f.aim
	}
	return s
}

// whole is the figure that nothing makes up for: what came, in every run.
func whole(r rows) line {
	l := line{figure: figure{name: "whole", title: "sessions missing, twice, altered or out of scope, in all runs", most: true}, verdict: passes}
	var missing, twice, altered, unknown, n int
	for _, all := range r {
		for _, row := range all {
			missing, twice, altered, unknown, n = missing+row.Missing, twice+row.Duplicates, altered+row.Altered, unknown+row.Unknown, n+1
		}
	}
	l.measured = fmt.Sprintf("%d, %d, %d, %d", missing, twice, altered, unknown)
	l.detail = fmt.Sprintf("%d runs", n)
	if missing+twice+altered+unknown > 0 {
		l.verdict = fails
	}
	return l
}

// print writes the table and what the runs came to, and tells whether all passed.
func printTable(w io.Writer, lines []line, r rows) (ok bool) {
	ok = true
	fmt.Fprintln(w, "| figure | bound | measured | | verdict |")
	fmt.Fprintln(w, "|---|---|---|---|---|")
	for _, l := range lines {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", l.figure.title, l.figure.limit(), l.measured, l.detail, l.verdict)
		ok = ok && l.verdict == passes
	}
	if len(r) == 0 {
		return ok
	}
	fmt.Fprintln(w, "\nMedians of the runs behind it:")
	fmt.Fprintln(w, "\n| run | program | runs | sessions/s | slowest to fastest | CPU s/GB sent | peak MB | to first byte, ms | CPU % of other programs |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|")
	noisy, n := 0, 0
	for _, s := range scenarios {
		all := r[s.name]
		if len(all) == 0 {
			continue
		}
		m := func(of func(harness.Row) float64) float64 { v, _ := r.median(s.name, of); return v }
		slowest := slices.MinFunc(all, func(a, b harness.Row) int { return int(a.Rate - b.Rate) })
		fastest := slices.MaxFunc(all, func(a, b harness.Row) int { return int(a.Rate - b.Rate) })
		for _, row := range all {
			if n++; disturbed(row) {
				noisy++
			}
		}
		fmt.Fprintf(w, "| %s | `%s` | %d | %.0f | %.0f–%.0f | %.2f | %.0f | %.0f | %.0f |\n", s.name, s.peer, len(all), m(rate), slowest.Rate, fastest.Rate,
			m(cpu), m(func(r harness.Row) float64 { return r.PeakMB }), m(func(r harness.Row) float64 { return r.StartToFirst * 1000 }),
			m(func(r harness.Row) float64 { return r.OtherPct }))
	}
	if noisy > 0 {
		fmt.Fprintf(w, "\nIn %d of %d runs other programs took more than %.0f %% of a core: measure again on a machine that is idle.\n", noisy, n, *calm)
	}
	return ok
}

// median is the middle, NaN of nothing.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// percentile is the smallest value that at least p percent do not exceed, NaN of nothing.
func percentile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Sorted(slices.Values(v))
	return v[max(0, int(math.Ceil(p/100*float64(len(v))))-1)]
}

// chosen are the figures that the patterns name, all of them when there is none.
func chosen(patterns []string) []figure {
	if len(patterns) == 0 {
		return figures
	}
	return slices.DeleteFunc(slices.Clone(figures), func(f figure) bool { return !harness.Selected(strings.Join(patterns, ","), f.name) })
}

// needed are the scenarios of the figures, in the order of a round.
func needed(fs []figure) []scenario {
	return slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool {
		return !slices.ContainsFunc(fs, func(f figure) bool { return slices.Contains(f.scenarios, s.name) })
	})
}
