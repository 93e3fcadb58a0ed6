package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sessionexport/demo"
)

// TestDemoOfFaults runs the story of those faults that take little time: each
// shows, and in the end nothing is missing, and nothing is there twice but what
// was taken without an answer.
func TestDemoOfFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := launch(t, dir, "demo", "--faults=reset,bulk-items,413", "--rate", "400", "--summary", "summary.json")
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	sum := faultsSummary(t, dir)
	lines, warehouse, search := sum.Sinks[0], sum.Sinks[1], sum.Sinks[2]
	if warehouse.Duplicates == 0 || warehouse.DeadLetters != 0 || warehouse.Distinct != sum.Produced {
		t.Errorf("connections were cut: %+v", warehouse)
	}
	if lines.DeadLetters != 0 || lines.Distinct != sum.Produced {
		t.Errorf("larger bodies were refused: %+v", lines)
	}
	if search.DeadLetters == 0 || search.Distinct+search.DeadLetters != sum.Produced {
		t.Errorf("documents were refused: %+v", search)
	}
	told := p.stdout.String()
	for _, text := range []string{
		"requestTimeout=2s",
		"2 of 4. elasticsearch: _bulk answers 200 with errors inside",
		"ALERT elasticsearch: sessions became dead letters: rejected: document_parsing_exception, answered 400",
		"3 of 4. ndjson: connections are cut", "ndjson: mended",
		"4 of 4. json-lines: 413 to bodies above 300,000 bytes", "json-lines: bodies of up to ", "The story is over",
		" of elasticsearch: rejected, document_parsing_exception, answered 400", "Duplicates come from", "Nothing is missing.",
	} {
		if !strings.Contains(told, text) {
			t.Errorf("the demo does not tell %q", text)
		}
	}
	if t.Failed() {
		t.Log(told)
	}
}

// TestDemoOfFaultsInterrupted ends the story while a sink holds: what is broken
// is mended, and what waits arrives.
func TestDemoOfFaultsInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := launch(t, dir, "demo", "--faults=500", "--rate", "400", "--summary", "summary.json")
	until(t, "a sink holds", func() bool { return strings.Contains(p.stdout.String(), "json-lines: held") })
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, sink := range faultsSummary(t, dir).Sinks {
		if sink.DeadLetters != 0 {
			t.Errorf("sessions were given up: %+v", sink)
		}
	}
	if !strings.Contains(p.stdout.String(), "ALERT json-lines: delivery fails: endpoint answered 500 Internal Server Error") {
		t.Errorf("the alert is not shown:\n%s", p.stdout.String())
	}
}

func faultsSummary(t *testing.T, dir string) demo.Summary {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var sum demo.Summary
	if err := json.Unmarshal(text, &sum); err != nil {
		t.Fatal(err)
	}
	if len(sum.Sinks) != 3 || !sum.OK() || sum.Produced == 0 {
		t.Fatalf("summary %s", text)
	}
	return sum
}
