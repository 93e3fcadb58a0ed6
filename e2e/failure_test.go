package e2e

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"sessionexport/sinks/sinktest"
)

// TestHold lets an endpoint stop answering while sessions come: its sink
// alerts once, holds, sends probes alone, and delivers everything when the
// endpoint is back. Its sibling notices nothing of it.
func TestHold(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	ill, well := s.receiver(), s.receiver()
	custom := map[string]string{"maxRetries": "1", "maxSessions": "10"}
	v := s.serve(s.config("",
		sink{id: "ill", url: ill.URL("/").String(), custom: with(custom, "requestTimeout", "1s")},
		sink{id: "well", url: well.URL("/").String(), custom: custom},
	))
	produced := small(0, 300)
	s.produce(produced[:100])
	until(t, "the first sessions arrive", func() bool { return len(ill.Accepted()) == 100 })

	ill.Always(sinktest.Break(sinktest.HangUnread))
	s.produce(produced[100:200])
	until(t, "the sink holds", func() bool { return v.scrape().sum("sink_hold", "sink", "ill", "reason", "timeout") == 1 })
	s.produce(produced[200:])
	until(t, "the sibling has everything", func() bool { return len(well.Accepted()) == len(produced) })
	m := v.scrape()
	if m.sum("sink_state", "sink", "ill", "state", "held") != 1 || m.sum("sink_hold", "sink", "well") != 0 {
		t.Error("the metrics show another state than held for the one sink alone")
	}
	if waiting := m.sum("sessions_waiting", "sink", "ill"); waiting <= 0 || waiting > 100 {
		t.Errorf("%v sessions wait in the service, want some and no more than its batches hold", waiting)
	}
	h := statusOf(t, v, "ill")
	if h.State != "held" || h.Hold == nil || h.Hold.Reason != "timeout" || h.Hold.Error != "Request timeout" || h.Hold.NextProbe.IsZero() {
		t.Errorf("/status says %+v of the sink that holds", h)
	}
	if status, body := v.get("/readyz"); status != 200 {
		t.Errorf("/readyz answers %d while a sink holds: %s", status, body)
	}
	until(t, "what was on its way has ended", func() bool { return v.scrape().sum("batches_in_flight", "sink", "ill") == 0 })
	before := len(ill.Requests())
	until(t, "a probe fails", func() bool { return v.scrape().sum("probes_total", "sink", "ill") >= 1 })
	if more := len(ill.Requests()) - before; more > 2 {
		t.Errorf("%d requests in a hold, of which one was a probe", more)
	}

	ill.Always(sinktest.Step{})
	until(t, "everything has arrived", func() bool { return len(ill.Accepted()) == len(produced) })
	until(t, "the hold is over", func() bool { return v.scrape().sum("sink_hold", "sink", "ill") == 0 })
	v.scrape().conserve("ill")
	v.stop()
	account(t, "ill", produced, ill, nil)
	if lag := s.lag("ill"); lag != 0 {
		t.Errorf("%d records are not committed", lag)
	}
	alerts := v.journal.with("ALERT")
	if len(alerts) != 1 || alerts[0].Error != "Request timeout" || alerts[0].Sink != "ill" || alerts[0].Level != "ERROR" {
		t.Errorf("alerts %+v, want one, with the error Request timeout", alerts)
	}
	for _, message := range []string{"holding", "recovered"} {
		if n := len(v.journal.with(message)); n != 1 {
			t.Errorf("%d lines say %q, want one", n, message)
		}
	}
	if n := len(v.journal.lines(slog.LevelWarn)); n > 8 {
		t.Errorf("%d lines about one outage", n)
	}
	if letters := s.letters(); len(letters) != 0 {
		t.Errorf("an outage made %d dead letters", len(letters))
	}
}

// status is what /status says of a sink.
type status struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Sessions struct {
		Delivered int64 `json:"delivered"`
	} `json:"sessions"`
	Hold *struct {
		Reason    string    `json:"reason"`
		Error     string    `json:"error"`
		NextProbe time.Time `json:"nextProbe"`
	} `json:"hold"`
	Kafka struct {
		State string `json:"state"`
		Error string `json:"error"`
		Lag   *int64 `json:"lag"`
	} `json:"kafka"`
}

func statusOf(t *testing.T, v *service, sink string) status {
	t.Helper()
	_, body := v.get("/status")
	var all struct {
		Sinks []status `json:"sinks"`
	}
	if err := json.Unmarshal([]byte(body), &all); err != nil {
		t.Fatalf("/status: %v\n%s", err, body)
	}
	for _, one := range all.Sinks {
		if one.ID == sink {
			return one
		}
	}
	t.Fatalf("/status does not know the sink %s: %s", sink, body)
	return status{}
}

// TestFailurePolicies lets the endpoints of sinks that do not hold fail, and
// get well again.
func TestFailurePolicies(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	kept, dropped := s.receiver(), s.receiver()
	kept.Always(sinktest.Status(500))
	dropped.Always(sinktest.Status(404))
	custom := map[string]string{"maxRetries": "1", "maxSessions": "10"}
	v := s.serve(s.config("",
		sink{id: "kept", url: kept.URL("/").String(), custom: with(custom, "onFailure", "dead-letter")},
		sink{id: "dropped", url: dropped.URL("/").String(), custom: with(custom, "onFailure", "discard")},
	))
	produced := small(0, 100)
	s.produce(produced[:50])
	until(t, "the first sessions are given up", func() bool {
		m := v.scrape()
		return m.sum("sessions_dead_lettered_total", "sink", "kept") == 50 && m.sum("sessions_discarded_total", "sink", "dropped") == 50
	})
	kept.Always(sinktest.Step{})
	dropped.Always(sinktest.Step{})
	s.produce(produced[50:])
	until(t, "the later sessions arrive", func() bool { return len(kept.Accepted()) == 50 && len(dropped.Accepted()) == 50 })
	until(t, "nothing waits", func() bool { return v.scrape().sum("sessions_waiting") == 0 })
	m := v.scrape()
	for _, id := range []string{"kept", "dropped"} {
		if read := m.conserve(id); int(read) != len(produced) {
			t.Errorf("%s: %v sessions read", id, read)
		}
	}
	v.stop()
	if kept, dropped := s.lag("kept"), s.lag("dropped"); kept+dropped != 0 {
		t.Errorf("%d and %d records are not committed", kept, dropped)
	}
	letters := map[string]bool{}
	for id, l := range s.letters() {
		letters[string(l.Body)] = true
		if id.Sink != "kept" || l.Kind != "undelivered" || l.Reason != "status" || l.Status != 500 || l.Attempts < 2 || l.First.IsZero() || l.Last.Before(l.First) {
			t.Errorf("dead letter %s: kind %s, reason %s, status %d, %d attempts from %s to %s", id, l.Kind, l.Reason, l.Status, l.Attempts, l.First, l.Last)
		}
	}
	account(t, "kept", produced, kept, letters)
	if len(letters) != 50 {
		t.Errorf("%d dead letters, want 50", len(letters))
	}
	if n := len(v.journal.with("this sink loses sessions")); n != 1 {
		t.Errorf("%d lines warn that discard loses sessions, want one", n)
	}
}
