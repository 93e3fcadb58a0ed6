//go:build services

package kafka_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"sessionexport/services"
)

// exporterOptions say what the program under test reads and where it delivers.
type exporterOptions struct {
	brokers []string
	topic   string            // also the prefix of its group, and of its topic of dead letters
	handler http.Handler      // that receives
	custom  string            // lines of the custom configuration, before quick
	kafka   string            // more of the key kafka, as members of a flow mapping
	files   map[string][]byte // beside the configuration
}

// quick is a custom configuration with small batches and short waits.
const quick = "caFile=receiver.pem\nstartFrom=earliest\nmaxSessions=10\nidleTimeout=100ms\nmaxBatchAge=1s\n" +
	"initialBackoff=100ms\nmaxBackoff=500ms\n"

// exporter is the program with one sink, "lines".
type exporter struct {
	*services.Program
	group   string
	letters string // topic of dead letters
}

// install prepares the program with a receiver of its own; it is not started yet.
func install(t *testing.T, o exporterOptions) *exporter {
	t.Helper()
	authority, url := receiver(t, o.handler)
	return installFor(t, o, authority, url)
}

// receiver serves a handler and returns its authority and its URL.
func receiver(t *testing.T, handler http.Handler) (*services.Authority, string) {
	t.Helper()
	authority, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return authority, services.Secure(t, authority, handler)
}

// installFor is install for a receiver that exists already.
func installFor(t *testing.T, o exporterOptions, authority *services.Authority, url string) *exporter {
	t.Helper()
	ports, err := services.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	e := &exporter{group: o.topic + ".lines", letters: o.topic + ".letters"}
	files := map[string][]byte{"receiver.pem": authority.PEM}
	maps.Copy(files, o.files)
	var lines strings.Builder
	for line := range strings.Lines(o.custom + quick) {
		key, _, _ := strings.Cut(line, "=")
		if !strings.Contains(lines.String(), " "+key+"=") { // the first counts
			lines.WriteString("            " + line)
		}
	}
	if o.kafka != "" {
		o.kafka = ", " + o.kafka
	}
	address := services.Loopback(ports[0])
	e.Program = services.InstallProgram(t, services.ProgramOptions{
		Configuration: fmt.Sprintf(`version: 1
secretsDir: secrets
kafka: {brokers: ["%s"], groupPrefix: %s%s}
deadLetters: {topic: %s}
environments:
  - id: default
    topic: %s
    exports:
      - id: lines
        name: Lines
        endpointDefinition: {endpointUrl: "%s/sessions", enableUserSessionExport: true, contentType: application/json, usePost: true}
        authentication: {active: false}
        sendDirect: {active: false}
        exportBehavior:
          disableNotification: true
          customConfiguration: |
%sserver: {address: "%s"}
log: {level: info, format: text}
`, strings.Join(o.brokers, `", "`), o.topic, o.kafka, e.letters, o.topic, url, lines.String(), address),
		Address: address,
		Files:   files,
	})
	return e
}

// sinkStatus is what /status says about the sink.
type sinkStatus struct {
	State string
	Fatal string
	Hold  *struct{ Reason, Error string }
	Kafka struct {
		State, Error string
		Generation   int32
		Rebalances   int64
		Lag          *int64
	}
	Sessions struct {
		Read, Delivered, DeadLetters, Waiting, HandedBack int64
	}
	Partitions []struct {
		Partition int32
		Committed int64
		Trouble   string
	}
}

// owned lists the partitions that the program reads.
func (s sinkStatus) owned() []int32 {
	var all []int32
	for _, p := range s.Partitions {
		all = append(all, p.Partition)
	}
	return all
}

// status asks the program how its sink is; the zero status when it does not answer.
func (e *exporter) status(t *testing.T) sinkStatus {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, body, err := e.Get(ctx, "/status")
	if err != nil {
		return sinkStatus{}
	}
	var doc struct{ Sinks []sinkStatus }
	if err := json.Unmarshal([]byte(body), &doc); err != nil || len(doc.Sinks) != 1 {
		t.Fatalf("reading the status: %v\n%s", err, body)
	}
	return doc.Sinks[0]
}

// metric returns the sum of a metric's series.
func (e *exporter) metric(t *testing.T, name string) float64 {
	t.Helper()
	_, body, err := e.Get(services.Context(t), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	sum, found := 0.0, false
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		var value float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' '):], &value); err != nil {
			t.Fatalf("reading %q: %v", line, err)
		}
		sum, found = sum+value, true
	}
	if !found {
		t.Fatalf("no metric %s in\n%s", name, body)
	}
	return sum
}

// more waits until a webhook has received some sessions more.
func more(t *testing.T, hook *services.Webhook, sessions int) {
	t.Helper()
	target := hook.Count() + sessions
	services.Eventually(t, fmt.Sprintf("%d more sessions arrive", sessions), func() bool { return hook.Count() >= target })
}

// committedUp waits until the group has committed all that the topic holds now, and returns how long that took.
func committedUp(t *testing.T, admin *kadm.Client, topic, group string) time.Duration {
	t.Helper()
	begun := time.Now()
	ends, err := admin.ListEndOffsets(services.Context(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	services.Eventually(t, "what was there is committed", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		commits, err := admin.FetchOffsets(ctx, group)
		if err != nil {
			return false // the coordinator may be on its way
		}
		for partition, end := range ends[topic] {
			if commit, found := commits.Lookup(topic, partition); !found || commit.At < end.Offset {
				return false
			}
		}
		return true
	})
	return time.Since(begun)
}

// delivered compares what a webhook received with what was acknowledged to the producers. It returns how many sessions
// came more than once, which is an error unless they may.
func delivered(t *testing.T, hook *services.Webhook, written map[services.Place]string, mayRepeat bool) (duplicates int) {
	t.Helper()
	received := hook.Sessions()
	want := map[string]bool{}
	var missing, again, strange []string
	for at, value := range written {
		id, err := services.SessionID(value)
		if err != nil {
			t.Fatal(err)
		}
		want[id] = true
		switch n := received[id]; {
		case n == 0:
			missing = append(missing, fmt.Sprintf("%s of %v", id, at))
		case n > 1:
			duplicates += n - 1
			again = append(again, fmt.Sprintf("%s of %v", id, at))
		}
	}
	for id := range received {
		if !want[id] {
			strange = append(strange, id)
		}
	}
	const shown = 10
	for _, list := range []struct {
		what  string
		wrong bool
		ids   []string
	}{{"did not arrive", true, missing}, {"arrived more than once", !mayRepeat, again}, {"were never produced", true, strange}} {
		if list.wrong && len(list.ids) > 0 {
			slices.Sort(list.ids)
			t.Errorf("%d of %d sessions %s, among them %v", len(list.ids), len(written), list.what, list.ids[:min(len(list.ids), shown)])
		}
	}
	t.Logf("%d sessions produced, %d arrived more than once", len(written), duplicates)
	return duplicates
}
