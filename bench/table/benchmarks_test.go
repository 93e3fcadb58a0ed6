package main

import "testing"

const printed = `goos: linux
pkg: sessionexport/consumer
BenchmarkFetch/lz4-2         	     100	   2345678 ns/op	1100.00 MB/s	       640.0 records/op	     200 B/op	       1 allocs/op
PASS
ok  	sessionexport/consumer	1.234s
pkg: sessionexport/session
BenchmarkScan-2              	  100000	      1234 ns/op	3000.00 MB/s	       0 B/op	       0 allocs/op
PASS
ok  	sessionexport/session	1.234s
`

func TestParseBenchmarks(t *testing.T) {
	all, err := parseBenchmarks([]byte(printed))
	if err != nil || len(all) != 2 || all[0] != (benchmark{"BenchmarkFetch/lz4-2", 1, 640}) || all[1] != (benchmark{"BenchmarkScan-2", 0, 1}) {
		t.Fatalf("%v, %v", all, err)
	}
	for _, bad := range []string{
		"ok  \tsessionexport/batcher\t0.1s\n",               // its benchmark is gone
		"BenchmarkScan-2 \t 10 \t 12 ns/op\n",               // without -benchmem
		"BenchmarkScan-2 \t 10 \t x ns/op \t 0 allocs/op\n", // nonsense
	} {
		if all, err := parseBenchmarks([]byte(bad)); err == nil {
			t.Errorf("%q: %v", bad, all)
		}
	}
}

func TestAllocations(t *testing.T) {
	for _, c := range []struct {
		all  []benchmark
		want float64
		ok   bool
	}{
		{nil, 0, false},
		{[]benchmark{{"Scan", 0, 1}, {"Fetch", 4, 640}}, 0, true},
		{[]benchmark{{"Scan", 0, 1}, {"Fetch", 640, 640}}, 1, true},
		{[]benchmark{{"Scan", 1, 1}, {"Fetch", 4, 640}}, 1, true},
	} {
		if got, ok := allocations(c.all); got != c.want || ok != c.ok {
			t.Errorf("%v: %v, %v", c.all, got, ok)
		}
	}
}
