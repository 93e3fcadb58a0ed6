package dispatcher

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"sessionexport/consumer"
	"sessionexport/settings"
)

// export is one of a configuration.
type export struct {
	id, environment string
	disabled        bool
	custom          string // a line
}

// fileOf is a configuration with exports, an environment after the other.
func fileOf(t *testing.T, head string, exports ...export) *settings.File {
	t.Helper()
	var b strings.Builder
	b.WriteString("version: 1\nkafka: {brokers: [\"127.0.0.1:1\"]}\n" + head + "environments:\n")
	last := ""
	for _, e := range exports {
		if e.environment != last {
			fmt.Fprintf(&b, "  - id: %s\n    topic: %s-sessions\n    exports:\n", e.environment, e.environment)
			last = e.environment
		}
		fmt.Fprintf(&b, `      - id: %s
        endpointDefinition: {endpointUrl: "https://127.0.0.1:1/", enableUserSessionExport: %t, contentType: application/json, usePost: true}
        authentication: {active: false}
        sendDirect: {active: false}
        exportBehavior: {disableNotification: false, customConfiguration: %q}
`, e.id, !e.disabled, e.custom)
	}
	f, err := settings.Parse([]byte(b.String()), "config.yaml", t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestManagerApply steps through configurations: what each changes, and what
// runs when it has.
func TestManagerApply(t *testing.T) {
	kafka := consumer.Connect(consumer.KafkaOptions{Brokers: []string{"127.0.0.1:1"}, Logger: slog.New(slog.DiscardHandler)})
	defer func() { _ = kafka.Close() }()
	one, two, off := export{id: "one", environment: "a"}, export{id: "two", environment: "a"}, export{id: "off", environment: "b", disabled: true}
	m, err := NewManager(ManagerOptions{
		File: fileOf(t, "", one, two, off), Kafka: kafka, Letters: newBench(), Version: "test", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx, context.WithoutCancel(ctx), func() time.Duration { return time.Second }) }()
	settle := func(what string, want ...string) {
		t.Helper()
		deadline, tick := time.NewTimer(time.Minute), time.NewTicker(5*time.Millisecond)
		defer deadline.Stop()
		defer tick.Stop()
		for {
			m.mu.Lock()
			settled := m.running
			for _, s := range m.slots {
				settled = settled && s.settledLocked() && !s.busy
			}
			m.mu.Unlock()
			var ids []string
			for _, s := range m.Status() {
				ids = append(ids, s.Sink)
			}
			if settled && slices.Equal(ids, want) {
				return
			}
			select {
			case <-tick.C:
			case <-deadline.C:
				t.Fatalf("%s: %v run, want %v", what, ids, want)
			}
		}
	}
	settle("the start", "one", "two")
	steps := []struct {
		what string
		file *settings.File
		want string
		runs []string
	}{
		{"the same", fileOf(t, "", one, two, off), "{[] [] [] [] 2}", []string{"one", "two"}},
		{"a limit", fileOf(t, "", export{id: "one", environment: "a", custom: "maxSessions=7"}, two, off), "{[] [one] [] [] 1}", []string{"one", "two"}},
		{"egress", fileOf(t, "egress: {deny: [\"10.0.0.0/8\"]}\n", one, two, off), "{[] [one two] [] [] 0}", []string{"one", "two"}},
		{"a start", fileOf(t, "egress: {deny: [\"10.0.0.0/8\"]}\n", export{id: "one", environment: "a", custom: "startFrom=earliest"}, two, off), "{[] [] [one] [] 1}", []string{"one", "two"}},
		{"a long request", fileOf(t, "", export{id: "one", environment: "a", custom: "startFrom=earliest\nrequestTimeout=1m"}, two, off), "{[] [two] [one] [] 0}", []string{"one", "two"}},
		{"enabled and disabled", fileOf(t, "", export{id: "one", environment: "a", disabled: true}, two, export{id: "off", environment: "b"}), "{[off] [] [] [one] 1}", []string{"off", "two"}},
		{"another environment", fileOf(t, "", export{id: "two", environment: "b"}), "{[] [] [two] [off] 0}", []string{"two"}},
		{"nothing", fileOf(t, "", off), "{[] [] [] [two] 0}", nil},
		{"all back", fileOf(t, "", one, two), "{[one two] [] [] [] 0}", []string{"one", "two"}},
	}
	for _, step := range steps {
		change, err := m.Prepare(step.file)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(change.Apply()); got != step.want {
			t.Errorf("%s: %s, want %s", step.what, got, step.want)
		}
		settle(step.what, step.runs...)
	}
	m.mu.Lock()
	if len(m.slots) != 2 {
		t.Errorf("%d slots are left of sinks that are gone", len(m.slots)-2)
	}
	m.mu.Unlock()
	if m.Sinks() != 2 {
		t.Errorf("%d sinks", m.Sinks())
	}

	// Many at once: the latest counts, whatever was under way.
	for n := range 50 {
		change, err := m.Prepare(fileOf(t, "", export{id: "one", environment: "a", disabled: n%3 == 0, custom: fmt.Sprintf("maxSessions=%d", n+1)}, two))
		if err != nil {
			t.Fatal(err)
		}
		if n%5 == 4 {
			change.Discard()
			continue
		}
		change.Apply()
	}
	settle("many at once", "two") // the last one that was applied has n = 48
	late, err := m.Prepare(fileOf(t, "", one, two))
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(late.Apply()); got != "{[] [] [] [] 0}" {
		t.Errorf("applied after the end: %s", got)
	}
	if s := m.Status(); len(s) != 1 || s[0].Sink != "two" {
		t.Errorf("at the end %d sinks are shown", len(s))
	}
}
