package settings

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAdopt changes every key that takes a restart, one by one: it is named and
// stays; and some that do not.
func TestAdopt(t *testing.T) {
	dir := folder(t, nil)
	read := func(config string) *File {
		t.Helper()
		f, err := load(t, dir, config, nil)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	running := read(complete)
	change := func(from, to string) string {
		t.Helper()
		if !strings.Contains(complete, from) {
			t.Fatalf("the complete configuration has no %q", from)
		}
		return strings.Replace(complete, from, to, 1)
	}
	tests := map[string]struct {
		config string
		want   []string
	}{
		"nothing":     {complete, nil},
		"level":       {change("level: info", "level: debug"), nil},
		"brokers":     {change(`brokers: ["127.0.0.1:9092"]`, `brokers: ["127.0.0.1:9093"]`), []string{"kafka.brokers"}},
		"dead letter": {change("topic: session-export.dead-letters", "topic: others"), []string{"deadLetters.topic"}},
		"two": {strings.Replace(change(`brokers: ["127.0.0.1:9092"]`, `brokers: ["127.0.0.1:9093"]`), "format: json", "format: text", 1),
			[]string{"kafka.brokers", "log.format"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			next := read(test.config)
			adopted, restart := running.Adopt(next)
			if !slices.Equal(restart, test.want) {
				t.Errorf("restart for %v, want %v", restart, test.want)
			}
			if adopted.Kafka.Brokers[0] != "127.0.0.1:9092" || adopted.DeadLetters != running.DeadLetters || adopted.Log.Format != "json" {
				t.Errorf("what takes a restart did not stay: %v", adopted.Kafka.Brokers)
			}
			if adopted.Log.Level != next.Log.Level || len(adopted.Environments) != len(next.Environments) {
				t.Error("what reloads was not adopted")
			}
			if ps := adopted.Conflicts(); len(ps) > 0 {
				t.Errorf("conflicts: %v", ps)
			}
		})
	}
	// The content of Kafka's files counts as well.
	swap(t, filepath.Join(dir, "secrets", "kafka.password"), "another")
	cert, key := pair(t)
	next := read(complete)
	if _, restart := running.Adopt(next); !slices.Equal(restart, []string{"kafka.sasl.password"}) {
		t.Errorf("another password: %v", restart)
	}
	for _, name := range []string{"client.pem", "client-key.pem"} {
		content := map[string]string{"client.pem": cert, "client-key.pem": key}[name]
		swap(t, filepath.Join(dir, name), content)
	}
	if _, restart := running.Adopt(read(complete)); len(restart) != 2 || !strings.HasPrefix(restart[1], "kafka.sasl") && !strings.HasPrefix(restart[0], "kafka.sasl") {
		t.Errorf("another certificate and password: %v", restart)
	}
}

// The topic that the dead letters still have cannot be read for sessions.
func TestConflicts(t *testing.T) {
	dir := folder(t, nil)
	running, err := load(t, dir, complete, nil)
	if err != nil {
		t.Fatal(err)
	}
	clash := strings.Replace(complete, "topic: session-export.dead-letters", "topic: others", 1)
	clash = strings.Replace(clash, "topic: sessions", "topic: session-export.dead-letters", 1)
	next, err := load(t, dir, clash, nil)
	if err != nil {
		t.Fatal(err)
	}
	adopted, _ := running.Adopt(next)
	if ps := adopted.Conflicts(); len(ps) != 1 || !strings.Contains(ps[0].String(), "deadLetters.topic") || !strings.Contains(ps[0].String(), ".topic") {
		t.Errorf("conflicts: %v", ps)
	}
}
