package settings

import (
	"strings"
	"testing"
)

func TestChecks(t *testing.T) {
	for _, c := range []struct {
		name      string
		check     func(string) string
		good, bad []string
	}{
		{"broker", checkBroker,
			[]string{"a:1", "kafka-1.example:9092", "127.0.0.1:65535", "[::1]:9092", "under_score:9092"},
			[]string{"", "a", ":9092", "a:", "a:0", "a:65536", "a:x", "a:+1", "a b:1", "::1:9092", "[x]:1/", "http://a:1", "u:hunter2@a:1", "a:1,b:2", strings.Repeat("x", 254) + ":1"}},
		{"listen", checkListen,
			[]string{":8080", "127.0.0.1:0", "[::]:8080", "localhost:1", "0.0.0.0:8080"},
			[]string{"", "8080", "a", "a:", "a:65536", "a:-1", "http://a:1", "a b:1"}},
		{"loopback", checkLoopback,
			[]string{"127.0.0.1:6060", "127.1.2.3:0", "[::1]:6060", "localhost:6060"},
			[]string{":6060", "0.0.0.0:6060", "[::]:6060", "10.0.0.1:6060", "example.com:6060", "6060"}},
		{"sink", checkSinkID, []string{"a", "0", "-", "shop-lines-2"}, []string{"A", "a_b", "a.b", "a b", "ä", "a/b", "a\n"}},
		{"topic", checkTopic, []string{"a", "A.b_c-1", "..."}, []string{".", "..", "a b", "a/b", "ä", "a:b"}},
		{"user", checkUsername, []string{"a", "a b", "ä", "a@b"}, []string{"a:b", "a\tb", "a\nb"}},
		{"type", checkDocType, []string{"", "_doc", "session"}, []string{"_doc ", "a\nb"}},
		{"service", checkService, []string{"slack://a@b", "generic+https://x/y"}, []string{"slack", "://x", "slack:a", "%%://"}},
	} {
		for _, s := range c.good {
			if message := c.check(s); message != "" {
				t.Errorf("%s %q: %s", c.name, s, message)
			}
		}
		for _, s := range c.bad {
			if message := c.check(s); message == "" || strings.Contains(message, "hunter2") {
				t.Errorf("%s %q: %q", c.name, s, message)
			}
		}
	}
}

// TestFileRanges sets the numbers of the file to the ends of their ranges and
// one step beyond, and lists and texts to their lengths.
func TestFileRanges(t *testing.T) {
	dir := folder(t, nil)
	exports := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString("\n      - {id: e" + strings.Repeat("x", i) + ", endpointDefinition: {endpointUrl: \"https://a.example\", enableUserSessionExport: false, usePost: true}, authentication: {active: false}, sendDirect: {active: false}, exportBehavior: {disableNotification: false}}")
		}
		return "version: 1\nkafka: {brokers: [a:1]}\nenvironments:\n  - id: a\n    topic: t\n    exports:" + b.String() + "\n"
	}
	plain := exports(0)
	with := func(line string) string { return plain + line + "\n" }
	kafka := func(rest string) string { return strings.Replace(plain, "brokers: [a:1]", "brokers: [a:1], "+rest, 1) }
	for config, good := range map[string]bool{
		plain: true, exports(1): true, exports(3): true, exports(4): false,
		kafka("fetchBytes: 1048575"): false, kafka("fetchBytes: 1048576"): true, kafka("fetchBytes: 1073741824"): true, kafka("fetchBytes: 1073741825"): false,
		kafka("groupPrefix: " + strings.Repeat("x", 100)): true, kafka("groupPrefix: " + strings.Repeat("x", 101)): false, kafka(`groupPrefix: ""`): false,
		kafka(`instanceId: ""`): true, kafka("instanceId: a-1"): true,
		with("shutdown: {grace: 999ms}"): false, with("shutdown: {grace: 1s}"): true, with("shutdown: {grace: 10m}"): true, with("shutdown: {grace: 601s}"): false,
		with("deadLetters: {topic: " + strings.Repeat("x", 249) + "}"): true, with("deadLetters: {topic: " + strings.Repeat("x", 250) + "}"): false,
		with("deadLetters: {topic: t}"): false, with("deadLetters:"): true, with("log: {level: warn}"): true, with("log: {level: warning}"): false,
		strings.Replace(plain, "- id: a", "- id: "+strings.Repeat("x", 64), 1): true, strings.Replace(plain, "- id: a", "- id: "+strings.Repeat("x", 65), 1): false,
		strings.Replace(exports(1), "id: e,", "id: "+strings.Repeat("x", 64)+",", 1): true, strings.Replace(exports(1), "id: e,", "id: "+strings.Repeat("x", 65)+",", 1): false,
		strings.Replace(plain, "version: 1", "version: 0", 1): false, strings.Replace(plain, "version: 1", `version: "1"`, 1): false,
		plain + "  - {id: a, topic: u}\n": false, plain + "  - {id: b, topic: t}\n": false, plain + "  - {id: b, topic: u}\n": true, plain + "  -\n": false,
	} {
		if _, err := load(t, dir, config, nil); (err == nil) != good {
			t.Errorf("%s\n%v, want good: %v", config, err, good)
		}
	}
}

func TestNearest(t *testing.T) {
	known := CustomKeys()
	for name, want := range map[string]string{
		"maxSesions": "maxSessions", "MAXBYTES": "maxBytes", "max_bytes": "maxBytes", "idletimeout": "idleTimeout", "onFail": "onFailure",
		"cafile": "caFile", "zzzzzz": "", "": "", strings.Repeat("z", 1000): "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
