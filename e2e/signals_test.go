package e2e

import (
	"syscall"
	"testing"
	"time"

	"sessionexport/sinks/sinktest"
)

// TestSignals ends the program in the middle of its work: once gracefully,
// while an answer is still on its way, and once at once, while an endpoint
// hangs.
func TestSignals(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	r := s.receiver()
	config := s.config("", sink{id: "lines", url: r.URL("/").String(),
		custom: map[string]string{"maxSessions": "10", "requestTimeout": "30s"}})
	produced := small(0, 200)

	r.Always(sinktest.Step{Delay: 500 * time.Millisecond})
	s.produce(produced[:100])
	p := s.serveProcess(config)
	until(t, "something has been accepted", func() bool { return len(r.Requests()) > 0 })
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("after SIGTERM the program ends with %d", code)
	}
	accepted := r.Accepted()
	if lag := int(s.lag("lines")); lag != 100-len(accepted) {
		t.Errorf("%d sessions were accepted, and %d of 100 are not committed", len(accepted), lag)
	}

	r.Always(sinktest.Break(sinktest.HangUnread))
	p = s.serveProcess(config)
	hanging := len(r.Requests())
	until(t, "an attempt hangs", func() bool { return len(r.Requests()) > hanging })
	p.signal(syscall.SIGTERM)
	until(t, "the program is stopping", func() bool { return len(p.journal.with("stopping")) == 1 })
	if status, _ := get(t, p.address(), "/readyz"); status != 503 {
		t.Errorf("/readyz answers %d while stopping", status)
	}
	if p.ended() {
		t.Error("the program did not wait for the attempt")
	}
	p.signal(syscall.SIGINT)
	if !p.within(secondSignal) {
		t.Error("a second signal does not end the program while an endpoint hangs")
	}

	r.Always(sinktest.Step{})
	s.produce(produced[100:])
	p = s.serveProcess(config)
	until(t, "everything has arrived", func() bool { return len(r.Accepted()) == len(produced) })
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("after SIGTERM the program ends with %d", code)
	}
	if lag := s.lag("lines"); lag != 0 {
		t.Errorf("%d records are not committed", lag)
	}
	for key, n := range r.Accepted() {
		if n != 1 {
			t.Errorf("session %s was delivered %d times, and nothing was killed", key, n)
		}
	}
}
