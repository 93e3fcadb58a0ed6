package main

import (
	"fmt"
	"strings"

	"bench/harness"
)

// A figure is a line of the table: what is measured, and the bound that it has to keep.
type figure struct {
	name      string // to choose it by
	title     string
	bound     float64
	most      bool   // the bound is the most, not the least
	aim       string // what to strive for, for the reader
	unit      string
	scenarios []string // what it is made of
	measure   func(results) (float64, bool)
	detail    func(results) string // beside the figure
}

// results are all that was measured.
type results struct {
	rows       rows
	benchmarks []benchmark
}

// oneSink and threeSinks are the runs whose memory counts: every run of one
// process with so many sinks.
var (
	oneSink = []string{"lines", "lines-h2", "ndjson", "bulk", "gzip", "zone-all", "zone-few", "partitions-60", "large-one-sink",
		"large-60-one-sink", "slow-one-in-flight", "slow", "steady"}
	threeSinks = []string{"three-sinks", "large-three-sinks", "large-60-three-sinks"}
)

var figures = []figure{
	ratioOf("lines-rate", "JSON lines to one endpoint, sessions/s to `limit-chain-h1-4`", "lines", "reference-lines", rate, 0.85, false, "1.0"),
	ratioOf("lines-cpu", "JSON lines, CPU seconds per GB to the same", "lines", "reference-lines", cpu, 1.4, true, "1.1"),
	ratioOf("ndjson-rate", "NDJSON, sessions/s to `limit-chain-h1-4`", "ndjson", "reference-lines", rate, 0.85, false, "1.0"),
	ratioOf("ndjson-cpu", "NDJSON, CPU seconds per GB to the same", "ndjson", "reference-lines", cpu, 1.4, true, "1.1"),
	ratioOf("bulk-rate", "`_bulk` with ids, sessions/s to `limit-bulk-h1-1`", "bulk", "reference-bulk", rate, 0.80, false, "0.95"),
	ratioOf("gzip-rate", "gzip bodies, sessions/s to `limit-gzip-h1-4`", "gzip", "reference-gzip", rate, 0.90, false, ""),
	ratioOf("three-rate", "three sinks to three receivers, their rates together to that of one", "three-sinks", "lines", rate, 0.85, false, ""),
	{name: "memory-one", title: "peak resident memory, one sink", bound: 64, most: true, unit: " MB", scenarios: oneSink,
		measure: func(r results) (float64, bool) { return peak(r.rows, oneSink) }, detail: peakAt(oneSink)},
	{name: "memory-three", title: "peak resident memory, three sinks", bound: 96, most: true, unit: " MB", scenarios: threeSinks,
		measure: func(r results) (float64, bool) { return peak(r.rows, threeSinks) }, detail: peakAt(threeSinks)},
	ratioOf("in-flight", "an endpoint that takes 100 ms a request, rate to that with one batch in flight", "slow", "slow-one-in-flight", rate, 3.5, false, ""),
	{name: "latency", title: "2,000 sessions/s: append of the last session of a batch to first byte, 99th percentile", bound: 20, most: true, unit: " ms",
		scenarios: []string{"steady"},
		measure: func(r results) (float64, bool) {
			return r.rows.median("steady", func(r harness.Row) float64 { return percentile(r.Latencies, 99) })
		},
		detail: func(r results) string {
			half, _ := r.rows.median("steady", func(r harness.Row) float64 { return percentile(r.Latencies, 50) })
			ack, _ := r.rows.median("steady", func(r harness.Row) float64 { return percentile(r.AfterAcks, 99) })
			return fmt.Sprintf("median %.1f ms; from the acknowledgement %.1f ms", half, ack)
		}},
	{name: "steady-cpu", title: "2,000 sessions/s: CPU", bound: 0.15, most: true, unit: " cores", scenarios: []string{"steady"},
		measure: func(r results) (float64, bool) {
			return r.rows.median("steady", func(r harness.Row) float64 { return r.Cores })
		}},
	{name: "start", title: "process start to first byte, backlog waiting, the join included", bound: 500, most: true, unit: " ms", scenarios: []string{"lines"},
		measure: func(r results) (float64, bool) {
			return r.rows.median("lines", func(r harness.Row) float64 { return r.StartToFirst * 1000 })
		}},
	{name: "allocations", title: "allocations per session on the hot path", bound: 0, most: true,
		measure: func(r results) (float64, bool) { return allocations(r.benchmarks) },
		detail: func(r results) string {
			return fmt.Sprintf("the most of %d benchmarks, of what grows with the sessions", len(r.benchmarks))
		}},
	{name: "zone", title: "CPU per session with a management zone to that without", bound: 1.3, most: true, scenarios: []string{"lines", "zone-all", "zone-few"},
		measure: func(r results) (float64, bool) {
			all, ok := r.rows.ratio("zone-all", "lines", cpuPerRead)
			few, ok2 := r.rows.ratio("zone-few", "lines", cpuPerRead)
			return max(all, few), ok && ok2
		},
		detail: func(r results) string {
			all, _ := r.rows.ratio("zone-all", "lines", cpuPerRead)
			few, _ := r.rows.ratio("zone-few", "lines", cpuPerRead)
			return fmt.Sprintf("every application %.2f, one in five %.2f", all, few)
		}},
	{name: "scale", title: "60 partitions, three instances, both: rate to one instance and 6 partitions", bound: 0.9,
		scenarios: []string{"lines", "partitions-60", "three-instances", "partitions-60-three-instances"},
		measure: func(r results) (float64, bool) {
			least, all := 0.0, true
			for i, s := range []string{"partitions-60", "three-instances", "partitions-60-three-instances"} {
				v, ok := r.rows.ratio(s, "lines", rate)
				if all = all && ok; i == 0 || v < least {
					least = v
				}
			}
			return least, all
		},
		detail: func(r results) string {
			var parts []string
			for _, s := range []string{"partitions-60", "three-instances", "partitions-60-three-instances"} {
				v, _ := r.rows.ratio(s, "lines", rate)
				parts = append(parts, fmt.Sprintf("%s %.2f", s, v))
			}
			return strings.Join(parts, ", ")
		}},
}

// ratioOf compares the medians of two scenarios.
func ratioOf(name, title, a, b string, of func(harness.Row) float64, bound float64, most bool, aim string) figure {
	return figure{name: name, title: title, bound: bound, most: most, aim: aim, scenarios: []string{a, b},
		measure: func(r results) (float64, bool) { return r.rows.ratio(a, b, of) },
		detail: func(r results) string {
			x, _ := r.rows.median(a, of)
			y, _ := r.rows.median(b, of)
			if x < 100 {
				return fmt.Sprintf("%.2f to %.2f", x, y)
			}
			return fmt.Sprintf("%.0f to %.0f", x, y)
		}}
}

// peak is the most memory of any run, and is known when every scenario has run.
func peak(r rows, scenarios []string) (float64, bool) {
	most := 0.0
	for _, s := range scenarios {
		if len(r[s]) == 0 {
			return 0, false
		}
		for _, row := range r[s] {
			most = max(most, row.PeakMB)
		}
	}
	return most, true
}

// peakAt names the run that took the most.
func peakAt(scenarios []string) func(results) string {
	return func(r results) string {
		at, most := "", 0.0
		for _, s := range scenarios {
			for _, row := range r.rows[s] {
				if row.PeakMB > most {
					at, most = s, row.PeakMB
				}
			}
		}
		return "the most of every run; " + at
	}
}
