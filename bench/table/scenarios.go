package main

import (
	"time"

	"bench/harness"
)

// A scenario is one run that figures are made of, named for what it is.
type scenario struct {
	name     string
	peer     string
	topic    string
	receiver []string // more flags of the receivers
	steady   float64  // sessions a second, produced while the peer runs
	gate     bool     // all instances join before the first fetch
}

const (
	steadyRate    = 2000
	steadySeconds = 20
)

// topics are what the brokers hold. The one of a steady rate is made anew for
// each run, because its sessions are produced once. Where there are many
// partitions the producer waits for longer: its batches would be half as large
// otherwise, which costs whoever reads them more, however many partitions there
// are.
func topics(sessions int) map[string]harness.Topic {
	return map[string]harness.Topic{
		"6":       {Sessions: sessions, Partitions: 6},
		"60":      {Sessions: sessions, Partitions: 60, Linger: "2s"},
		"short":   {Sessions: min(sessions, 16_000), Partitions: 6},
		"large":   {Sessions: max(sessions/10, 1000), Partitions: 6, Median: 30_000},
		"large60": {Sessions: max(sessions/10, 1000), Partitions: 60, Median: 30_000, Linger: "2s"},
		"steady":  {Ahead: steadyRate * steadySeconds, Partitions: 6, Linger: "0s"},
	}
}

// scenarios in the order of a round. References stand beside what is compared with them.
var scenarios = []scenario{
	{name: "reference-lines", peer: "limit-chain-h1-4", topic: "6"},
	{name: "lines", peer: "session-export-http", topic: "6"},
	{name: "lines-h2", peer: "session-export-http2", topic: "6"},
	{name: "ndjson", peer: "session-export-ndjson", topic: "6"},
	{name: "reference-bulk", peer: "limit-bulk-h1-1", topic: "6"},
	{name: "bulk", peer: "session-export-es", topic: "6"},
	{name: "reference-gzip", peer: "limit-gzip-h1-4", topic: "6"},
	{name: "gzip", peer: "session-export-http-gzip", topic: "6"},
	{name: "three-sinks", peer: "session-export-three", topic: "6"},
	{name: "zone-all", peer: "session-export-zone-all", topic: "6"},
	{name: "zone-few", peer: "session-export-zone-few", topic: "6"},
	{name: "three-instances", peer: "session-export-instances", topic: "6", gate: true},
	{name: "partitions-60", peer: "session-export-http", topic: "60"},
	{name: "partitions-60-three-instances", peer: "session-export-instances", topic: "60", gate: true},
	{name: "large-one-sink", peer: "session-export-http", topic: "large", receiver: slow(20)},
	{name: "large-three-sinks", peer: "session-export-formats", topic: "large", receiver: slow(20)},
	{name: "large-60-one-sink", peer: "session-export-http", topic: "large60", receiver: slow(20)},
	{name: "large-60-three-sinks", peer: "session-export-formats", topic: "large60", receiver: slow(20)},
	{name: "slow-one-in-flight", peer: "session-export-http-strict", topic: "short", receiver: slow(100)},
	{name: "slow", peer: "session-export-http", topic: "short", receiver: slow(100)},
	{name: "steady", peer: "session-export-http", topic: "steady", steady: steadyRate},
}

// slow lets receivers wait before each answer.
func slow(ms int) []string {
	return []string{"-latency", (time.Duration(ms) * time.Millisecond).String()}
}

// rows are the runs of each scenario.
type rows map[string][]harness.Row

// median of one figure over the runs of a scenario, and whether there are any.
func (r rows) median(scenario string, of func(harness.Row) float64) (float64, bool) {
	var v []float64
	for _, row := range r[scenario] {
		v = append(v, of(row))
	}
	return median(v), len(v) > 0
}

// ratio of the medians of two scenarios.
func (r rows) ratio(a, b string, of func(harness.Row) float64) (float64, bool) {
	x, ok := r.median(a, of)
	y, ok2 := r.median(b, of)
	if !ok || !ok2 || y == 0 {
		return 0, false
	}
	return x / y, true
}

func rate(r harness.Row) float64       { return r.Rate }
func cpu(r harness.Row) float64        { return r.CPUPerGB }
func cpuPerRead(r harness.Row) float64 { return r.CPU / float64(r.Sessions) }
