package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/sinks/sinktest"
)

// environment is one of several in a configuration.
func environment(id, topic string, sinks ...sink) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - id: %s\n    topic: %s\n    exports:\n", id, topic)
	for _, k := range sinks {
		b.WriteString(k.yaml())
	}
	return b.String()
}

// measured is the time that an environment takes for so many sessions, of
// which an answer takes measuredAnswer and a batch has measuredBatch: the
// destination sets the pace, not the machine.
const (
	measuredSessions = 2000
	measuredBatch    = 25
	measuredAnswer   = 20 * time.Millisecond
)

// TestEnvironments lets one environment after the other be in trouble: an
// endpoint that hangs, one that refuses with a backlog before it, a topic that
// does not exist, a topic of records that become dead letters. The one that is
// well takes no longer than alone, in the order of magnitude.
func TestEnvironments(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	well, hangs, refuses, missing, poisonous := s.receiver(), s.receiver(), s.receiver(), s.receiver(), s.receiver()
	well.Always(sinktest.Step{Delay: measuredAnswer})
	hangs.Always(sinktest.Break(sinktest.HangRead))
	refuses.Always(sinktest.Status(403))
	if _, err := s.admin.CreateTopics(s.context(), 2, 1, nil, "hangs", "refuses", "poisonous"); err != nil {
		t.Fatal(err)
	}
	fill := func(topic string, n int, value func(i int) string) {
		records := make([]*kgo.Record, n)
		for i := range records {
			records[i] = &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: []byte(value(i))}
		}
		s.write(records...)
	}
	custom := map[string]string{"maxSessions": fmt.Sprint(measuredBatch), "maxInFlight": "1"}
	alone := s.config("", sink{id: "well", url: well.URL("/").String(), custom: custom})
	all := string(alone) +
		environment("hanging", "hangs", sink{id: "hangs", url: hangs.URL("/").String()}) +
		environment("refusing", "refuses", sink{id: "refuses", url: refuses.URL("/_bulk").String(), index: "sessions"}) +
		environment("nowhere", "no-such-topic", sink{id: "missing", url: missing.URL("/").String()}) +
		environment("poisoned", "poisonous", sink{id: "poisonous", url: poisonous.URL("/").String()})

	produced := small(0, 2*measuredSessions)
	v := s.serve(alone)
	until(t, "it is ready", func() bool { status, _ := v.get("/readyz"); return status == 200 })
	took := func(from int) time.Duration {
		t.Helper()
		begin := time.Now()
		s.produce(produced[from : from+measuredSessions])
		until(t, "all is delivered", func() bool { return len(well.Accepted()) == from+measuredSessions })
		return time.Since(begin)
	}
	before := took(0)

	sessions := small(1_000_000, 20_000)
	fill("hangs", len(sessions), func(i int) string { return sessions[i].document })
	fill("refuses", len(sessions), func(i int) string { return sessions[i].document })
	fill("poisonous", 5000, func(i int) string { return fmt.Sprintf("{broken %d", i) })
	if err := v.reload(s, []byte(all)); err != nil {
		t.Fatal(err)
	}
	until(t, "all the others are in trouble", func() bool {
		m := v.scrape()
		return m.sum("sink_hold", "sink", "refuses") == 1 && len(hangs.Requests()) > 0 &&
			m.sum("kafka_member_state", "sink", "missing", "state", "topic missing") == 1 &&
			m.sum("sessions_dead_lettered_total", "sink", "poisonous") > 0
	})
	after := took(measuredSessions)
	t.Logf("%d sessions took %v alone, and %v beside four environments in trouble", measuredSessions, before, after)
	// On a busy machine as much again, and a pause; a sink that waits for one of
	// the others would take 10 s for each of its requests.
	if after > 4*before+10*time.Second {
		t.Errorf("%d sessions took %v alone, and %v beside others in trouble", measuredSessions, before, after)
	}

	if status, body := v.get("/readyz"); status != 503 || !strings.Contains(body, "missing") || strings.Contains(body, "well") {
		t.Errorf("/readyz answers %d %s", status, body)
	}
	for id, want := range map[string]int{"default": 200, "refusing": 200, "nowhere": 503, "elsewhere": 404} {
		if status, body := v.get("/readyz?environment=" + id); status != want {
			t.Errorf("/readyz of %s answers %d %s", id, status, body)
		}
	}
	m := v.scrape()
	for id, environment := range map[string]string{"well": "default", "hangs": "hanging", "refuses": "refusing", "missing": "nowhere", "poisonous": "poisoned"} {
		if m.sum("sink_state", "sink", id, "environment", environment) != 1 {
			t.Errorf("no series of the sink %s in the environment %s", id, environment)
		}
	}
	until(t, "the alerts carry their environment", func() bool {
		m := v.scrape()
		return m.sum("alerts_open", "environment", "refusing", "sink", "refuses", "cause", "delivery_failed") == 1 &&
			m.sum("alerts_open", "environment", "poisoned", "sink", "poisonous", "cause", "dead_letters") == 1
	})
	until(t, "all that is broken is a dead letter", func() bool {
		return v.scrape().sum("sessions_dead_lettered_total", "sink", "poisonous") == 5000
	})
	for id := range s.letters() {
		if id.Environment != "poisoned" || id.Sink != "poisonous" {
			t.Fatalf("a dead letter of %s, %s", id.Environment, id.Sink)
		}
	}
	v.soft()
	v.hard() // an endpoint hangs
	account(t, "well", produced, well, nil)
	once(t, "well", well)
}
