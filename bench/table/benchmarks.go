package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// hotPath are the benchmarks of what is done for every session: unpack, scan
// with and without a zone, encode, batch, and all of it with its accounting.
const hotPath = "^Benchmark(Fetch|Scan|ScanScopeMiss|ScanScopeHit|Append|Add|Record)$"

// hotPackages are the packages that have them.
var hotPackages = []string{"./consumer", "./session", "./sinks", "./batcher", "./dispatcher"}

// benchmark is a result of go test -bench.
type benchmark struct {
	name     string
	allocs   float64 // per operation
	sessions float64 // in an operation
}

// runBenchmarks runs those of the hot path in the project's folder.
func runBenchmarks(folder string) ([]benchmark, error) {
	cmd := exec.Command("go", append([]string{"test", "-run", "^$", "-bench", hotPath, "-benchmem", "-benchtime", "0.2s"}, hotPackages...)...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("running the Go benchmarks: %w\n%s", err, out)
	}
	return parseBenchmarks(out)
}

// parseBenchmarks reads what go test printed. Every package has to have
// benchmarked something, so that a benchmark which is gone does not pass.
func parseBenchmarks(out []byte) ([]benchmark, error) {
	var all []benchmark
	count := 0
	sc := bufio.NewScanner(bytes.NewReader(out))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		switch {
		case len(f) >= 2 && f[0] == "ok":
			if count == 0 {
				return nil, fmt.Errorf("%s has no benchmark of the hot path", f[1])
			}
			count = 0
		case len(f) >= 4 && strings.HasPrefix(f[0], "Benchmark"):
			b := benchmark{name: f[0], allocs: -1, sessions: 1}
			for i := 2; i+1 < len(f); i += 2 {
				v, err := strconv.ParseFloat(f[i], 64)
				if err != nil {
					return nil, fmt.Errorf("reading %q: %w", sc.Text(), err)
				}
				switch f[i+1] {
				case "allocs/op":
					b.allocs = v
				case "records/op":
					b.sessions = v
				}
			}
			if b.allocs < 0 {
				return nil, fmt.Errorf("%s does not tell its allocations", b.name)
			}
			all = append(all, b)
			count++
		}
	}
	return all, sc.Err()
}

// allocations are the most that any of the benchmarks makes for a session. An
// operation on many sessions may have some of its own, fewer than one for each
// fifty sessions: they do not grow with the sessions.
func allocations(all []benchmark) (float64, bool) {
	most := 0.0
	for _, b := range all {
		n := b.allocs / b.sessions
		if b.sessions > 1 && b.allocs*50 <= b.sessions {
			n = 0
		}
		most = max(most, n)
	}
	return most, len(all) > 0
}
