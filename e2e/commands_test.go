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

// TestDemo runs the demo as a newcomer does and holds its summary against what
// it has to be.
func TestDemo(t *testing.T) {
	t.Parallel()
	p := launch(t, t.TempDir(), "demo", "--sessions", "3000", "--max", "--summary", "-")
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	checkSummary(t, p.stdout.String(), 3000)
}

// TestDemoInterrupted ends the demo with a signal: what was produced until
// then is accounted for.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := launch(t, dir, "demo", "--rate", "500", "--summary", "summary.json")
	until(t, "sessions have arrived", func() bool { return strings.Contains(p.stdout.String(), "00:01") })
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	text, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	checkSummary(t, string(text), -1)
	for _, part := range []string{"version: 1", "produced in", "Nothing is missing."} {
		if !strings.Contains(p.stdout.String(), part) {
			t.Errorf("the demo does not print %q", part)
		}
	}
}

// checkSummary checks a demo's summary; produced -1 is any number of sessions.
func checkSummary(t *testing.T, text string, produced int) {
	t.Helper()
	var keys struct {
		Sinks []map[string]any `json:"sinks"`
	}
	var got demo.Summary
	for _, into := range []any{&keys, &got} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("the summary is no JSON: %v\n%s", err, text)
		}
	}
	if produced < 0 {
		produced = got.Produced
	}
	if got.Produced != produced || produced == 0 || got.Seconds <= 0 || len(got.Sinks) != 3 {
		t.Errorf("summary %+v", got)
	}
	formats := map[string]bool{}
	for i, k := range got.Sinks {
		formats[k.Format] = true
		if k.ID == "" || k.Delivered != produced || k.Distinct != produced || k.Missing+k.Duplicates+k.DeadLetters != 0 ||
			k.Batches == 0 || k.LargestBody == 0 || k.LargestBody > 896_000 || k.MostSessions == 0 || k.MostSessions > 1000 {
			t.Errorf("summary of a sink %+v", k)
		}
		for _, key := range []string{"id", "format", "delivered", "distinct", "missing", "duplicates", "deadLetters", "batches", "largestBody", "mostSessions"} {
			if _, ok := keys.Sinks[i][key]; !ok {
				t.Errorf("the summary of %s has no %s", k.ID, key)
			}
		}
	}
	if !formats["json"] || !formats["ndjson"] || !formats["elasticsearch"] {
		t.Errorf("formats %v", formats)
	}
}

// TestGenerate produces to a broker, and fails without one.
func TestGenerate(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	p := launch(t, s.dir, "generate", "--brokers", s.cluster.ListenAddrs()[0], "--topic", topic, "--count", "100", "--seed", "9")
	if code := p.wait(); code != 0 || !strings.Contains(p.stdout.String(), "100") {
		t.Errorf("exit code %d, output %q", code, p.stdout.String())
	}
	want := map[string]bool{}
	for i := range 100 {
		want[string(demo.NewGenerator(9).Append(nil, i))] = true
	}
	messages := s.messages(topic)
	for _, m := range messages {
		if !want[string(m.Value)] {
			t.Errorf("record %s is none of the generator's", m.Key)
		}
	}
	if len(messages) != len(want) {
		t.Errorf("%d records, want %d", len(messages), len(want))
	}

	p = launch(t, s.dir, "generate", "--brokers", s.cluster.ListenAddrs()[0], "--topic", topic, "--count", "10", "--compression", "rar")
	if code := p.wait(); code == 0 || !strings.Contains(p.journal.String(), "rar") {
		t.Errorf("with an unknown compression: exit code %d, said %q", code, p.journal.String())
	}
}
