// Command ratios reads the rows of bench/run (JSON lines) and prints, for each
// peer, the medians and their ratio to a reference peer of the same rows.
//
//	ratios -rows rows.jsonl session-export-http=limit-chain-h1-4 session-export-es=limit-bulk-h1-1
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
)

type row struct {
	Peer       string  `json:"peer"`
	Rate       float64 `json:"sessions_per_s"`
	CPU        float64 `json:"peer_cpu_s_per_GB"`
	RSS        float64 `json:"peak_rss_MB"`
	Duplicates float64 `json:"duplicates"`
	Missing    float64 `json:"missing"`
	Altered    float64 `json:"altered"`
}

func main() {
	name := flag.String("rows", "rows.jsonl", "what bench/run -o wrote")
	flag.Parse()
	f, err := os.Open(*name)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	rows := map[string][]row{}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var r row
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			log.Fatalf("%s: %v", *name, err)
		}
		rows[r.Peer] = append(rows[r.Peer], r)
	}
	if err := sc.Err(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("| peer | runs | sessions/s | to reference | CPU s/GB | to reference | RSS MB | duplicates | missing | altered |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
	bad := false
	for _, pair := range flag.Args() {
		peer, reference, _ := strings.Cut(pair, "=")
		a, b := rows[peer], rows[reference]
		if len(a) == 0 || len(b) == 0 {
			log.Fatalf("no rows of %s or %s", peer, reference)
		}
		ar, ac := median(a, func(r row) float64 { return r.Rate }), median(a, func(r row) float64 { return r.CPU })
		br, bc := median(b, func(r row) float64 { return r.Rate }), median(b, func(r row) float64 { return r.CPU })
		worst := func(of func(row) float64) float64 {
			return slices.MaxFunc(a, func(x, y row) int { return compare(of(x), of(y)) }).value(of)
		}
		missing, altered := worst(func(r row) float64 { return r.Missing }), worst(func(r row) float64 { return r.Altered })
		fmt.Printf("| %s | %d | %.0f | | %.2f | | %.0f | | | |\n", reference, len(b), br, bc, median(b, func(r row) float64 { return r.RSS }))
		fmt.Printf("| %s | %d | %.0f | %.2f | %.2f | %.2f | %.0f | %.0f | %.0f | %.0f |\n", peer, len(a), ar, ar/br, ac, ac/bc,
			median(a, func(r row) float64 { return r.RSS }), worst(func(r row) float64 { return r.Duplicates }), missing, altered)
		bad = bad || missing > 0 || altered > 0
	}
	if bad {
		log.Fatal("sessions are missing or altered")
	}
}

func (r row) value(of func(row) float64) float64 { return of(r) }

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func median(rows []row, of func(row) float64) float64 {
	var v []float64
	for _, r := range rows {
		v = append(v, of(r))
	}
	slices.Sort(v)
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}
