package main

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bench/harness"
)

func TestMedianAndPercentile(t *testing.T) {
	if m := median([]float64{5, 1, 3}); m != 3 {
		t.Errorf("median %v", m)
	}
	if m := median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Errorf("median %v", m)
	}
	if !math.IsNaN(median(nil)) || !math.IsNaN(percentile(nil, 99)) {
		t.Error("nothing has a middle")
	}
	var v []float64
	for i := range 200 {
		v = append(v, float64(200-i))
	}
	for p, want := range map[float64]float64{50: 100, 99: 198, 100: 200, 0: 1} {
		if got := percentile(v, p); got != want {
			t.Errorf("percentile %v: %v, want %v", p, got, want)
		}
	}
	if got := percentile([]float64{7}, 99); got != 7 {
		t.Errorf("of one: %v", got)
	}
}

func row(rate, cpu float64) harness.Row {
	return harness.Row{Rate: rate, CPUPerGB: cpu, CPU: cpu, Sessions: 1000, PeakMB: 60}
}

func TestJudge(t *testing.T) {
	r := results{rows: rows{
		"lines":           {row(80, 2), row(90, 3), row(1000, 9)}, // the median is 90
		"reference-lines": {row(100, 2), row(100, 2)},
		"zone-all":        {row(50, 3.6)}, "zone-few": {row(50, 1)},
	}}
	for name, want := range map[string][2]string{
		"lines-rate":   {"0.90", passes},
		"lines-cpu":    {"1.50", fails},
		"ndjson-rate":  {"–", unmeasured},
		"zone":         {"1.20", passes},
		"allocations":  {"–", unmeasured},
		"memory-three": {"–", unmeasured},
		"latency":      {"–", unmeasured},
	} {
		f := chosen([]string{name})
		if len(f) != 1 {
			t.Fatalf("%d figures %s", len(f), name)
		}
		if l := judge(f[0], r); l.measured != want[0] || l.verdict != want[1] {
			t.Errorf("%s: %s, %s; want %v", name, l.measured, l.verdict, want)
		}
	}
}

func TestBoundsAreInclusive(t *testing.T) {
	for v, want := range map[float64]string{0.85: passes, 0.8499: fails} {
		f := figure{bound: 0.85, measure: func(results) (float64, bool) { return v, true }}
		if l := judge(f, results{}); l.verdict != want {
			t.Errorf("at least 0.85, %v: %s", v, l.verdict)
		}
	}
	for v, want := range map[float64]string{20: passes, 20.1: fails, math.NaN(): unmeasured} {
		f := figure{bound: 20, most: true, unit: " ms", measure: func(results) (float64, bool) { return v, true }}
		if l := judge(f, results{}); l.verdict != want {
			t.Errorf("at most 20, %v: %s", v, l.verdict)
		}
	}
}

func TestMemoryIsThePeakOfEveryRun(t *testing.T) {
	r := rows{}
	for _, s := range oneSink {
		r[s] = []harness.Row{{PeakMB: 50}}
	}
	r["gzip"] = append(r["gzip"], harness.Row{PeakMB: 65})
	f := chosen([]string{"memory-one"})[0]
	if l := judge(f, results{rows: r}); l.verdict != fails || l.measured != "65 MB" || !strings.HasSuffix(l.detail, "gzip") {
		t.Errorf("%+v", l)
	}
	delete(r, "steady")
	if l := judge(f, results{rows: r}); l.verdict != unmeasured {
		t.Errorf("with a run that is missing: %+v", l)
	}
}

func TestScaleTakesTheWorst(t *testing.T) {
	r := rows{"lines": {row(100, 1)}, "partitions-60": {row(97, 1)}, "three-instances": {row(120, 1)}, "partitions-60-three-instances": {row(91, 1)}}
	f := chosen([]string{"scale"})[0]
	if l := judge(f, results{rows: r}); l.measured != "0.91" || l.verdict != passes {
		t.Errorf("%+v", l)
	}
	r["three-instances"] = []harness.Row{row(89, 1)}
	if l := judge(f, results{rows: r}); l.measured != "0.89" || l.verdict != fails {
		t.Errorf("%+v", l)
	}
}

func TestWhole(t *testing.T) {
	good := rows{"lines": {row(1, 1), row(1, 1)}}
	if l := whole(good); l.verdict != passes || l.detail != "2 runs" {
		t.Errorf("%+v", l)
	}
	for _, bad := range []harness.Row{{Missing: 1}, {Duplicates: 1}, {Altered: 1}, {Unknown: 1}} {
		if l := whole(rows{"lines": {row(1, 1)}, "bulk": {bad}}); l.verdict != fails {
			t.Errorf("%+v passes", bad)
		}
	}
}

func TestPrintTable(t *testing.T) {
	r := rows{"lines": {row(90, 2)}, "reference-lines": {row(100, 2)}}
	print := func(lines ...line) (string, bool) {
		var b strings.Builder
		ok := printTable(&b, lines, r)
		return b.String(), ok
	}
	text, ok := print(judge(chosen([]string{"lines-rate"})[0], results{rows: r}), whole(r))
	if !ok || !strings.Contains(text, "| at least 0.85, aim 1.0 | 0.90 | 90.00 to 100.00 | pass |") ||
		!strings.Contains(text, "| lines | `session-export-http` | 1 | 90 |") {
		t.Errorf("%v\n%s", ok, text)
	}
	if text, ok := print(judge(chosen([]string{"ndjson-rate"})[0], results{rows: r})); ok || !strings.Contains(text, unmeasured) {
		t.Errorf("%v\n%s", ok, text)
	}
}

func TestDisturbedRunsAreTold(t *testing.T) {
	for other, want := range map[float64]bool{0: false, 25: false, 26: true} {
		var b strings.Builder
		printTable(&b, nil, rows{"lines": {{OtherPct: other}, {}}})
		const note = "In 1 of 2 runs other programs took more than 25 % of a core"
		if got := strings.Contains(b.String(), note); got != want {
			t.Errorf("other programs took %v %%:\n%s", other, b.String())
		}
	}
}

// TestFiguresAndScenarios: what figures are made of exists, and what exists is used.
func TestFiguresAndScenarios(t *testing.T) {
	peers, err := harness.LoadPeers("../peers")
	if err != nil {
		t.Fatal(err)
	}
	named := func(name string) bool {
		return slices.ContainsFunc(peers, func(p harness.Peer) bool { return p.Name == name })
	}
	all := topics(200_000)
	used := needed(figures)
	for _, s := range scenarios {
		if !named(s.peer) {
			t.Errorf("%s: no peer %s", s.name, s.peer)
		}
		if _, ok := all[s.topic]; !ok {
			t.Errorf("%s: no topic %s", s.name, s.topic)
		}
		if !slices.ContainsFunc(used, func(u scenario) bool { return u.name == s.name }) {
			t.Errorf("no figure is made of %s", s.name)
		}
	}
	for _, f := range figures {
		for _, name := range f.scenarios {
			if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
				t.Errorf("%s: no scenario %s", f.name, name)
			}
		}
	}
	for _, p := range beside {
		if !named(p.peer) || !named(p.ours) {
			t.Errorf("no peer %s or %s", p.peer, p.ours)
		}
	}
	if got := needed(chosen([]string{"latency", "steady-cpu"})); len(got) != 1 || got[0].name != "steady" {
		t.Errorf("the latency needs %v", got)
	}
	if got := chosen([]string{"nothing"}); len(got) != 0 {
		t.Errorf("%d figures are named nothing", len(got))
	}
}

func TestPasted(t *testing.T) {
	const document = "# A\n<!-- begin figures -->\nold\n<!-- end figures -->\nrest\n"
	const want = "# A\n<!-- begin figures -->\n\n| new |\n\n<!-- end figures -->\nrest\n"
	got, err := pasted([]byte(document), []byte("| new |\n"), "figures")
	if err != nil || string(got) != want {
		t.Fatalf("%v\n%s", err, got)
	}
	if again, err := pasted(got, []byte("| new |\n"), "figures"); err != nil || string(again) != want {
		t.Errorf("again: %v\n%s", err, again)
	}
	for _, bad := range []string{"", "<!-- begin figures -->\n", "<!-- end figures --><!-- begin figures -->\n"} {
		if _, err := pasted([]byte(bad), nil, "figures"); err == nil {
			t.Errorf("%q has a place", bad)
		}
	}
}

func TestProductLines(t *testing.T) {
	r := rows{webhook: {row(100, 2)}, "goscript-http": {row(50, 3), row(70, 5)}, "rsyslog-es": {{Rate: 10, Missing: 7}}}
	text := productLines(r, map[string]string{"goscript-http": "a | b"}, map[string]string{"otelcol-otlphttp": "there is no otelcol", "kcat-curl": "no kcat"})
	for _, want := range []string{
		"| `session-export-http` |  | 100 |  | 2.00 |  | 60 | 0 | 0 | 0 | 0 |\n",
		"| `goscript-http` | a \\| b | 60 | 0.60 | 4.00 | 2.00 | 60 | 0 | 0 | 0 | 0 |\n",
		"| `rsyslog-es` |  | 10 |  | 0.00 |  | 0 | 7 | 0 | 0 | 0 |\n", // ours of that kind did not run
		"\nNot measured: `otelcol-otlphttp` (there is no otelcol); `kcat-curl` (no kcat).\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Index(text, webhook) > strings.Index(text, "goscript") {
		t.Error("ours is not first")
	}
}

func TestRecall(t *testing.T) {
	name := filepath.Join(t.TempDir(), "rows")
	*rowsFile, *recorded = name, name+","+name
	t.Cleanup(func() { *rowsFile, *recorded = "", "" })
	for i := range 3 {
		if err := record(harness.Row{Scenario: "steady", Rate: float64(i), Latencies: []float64{1, 2}}); err != nil {
			t.Fatal(err)
		}
	}
	m := &measuring{rows: rows{}}
	if err := m.recall(); err != nil || len(m.rows["steady"]) != 6 || m.rows["steady"][5].Rate != 2 || len(m.rows["steady"][0].Latencies) != 2 {
		t.Errorf("%v, %+v", err, m.rows)
	}
	if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.recall(); err == nil {
		t.Error("half a row is read")
	}
	*recorded = "/no/such/file"
	if err := m.recall(); err == nil {
		t.Error("a file that is not there is read")
	}
}
