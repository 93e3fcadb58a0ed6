package e2e

import (
	"testing"
	"time"

	"sessionexport/sinks/sinktest"
)

// owned is how many partitions an instance reads for a sink.
func (v *service) owned(sink string) int {
	v.t.Helper()
	return int(v.scrape().sum("kafka_partitions_owned", "sink", sink))
}

// TestPartitionsMoveWithoutDuplicates lets instances come and go in good order
// under load: what is on its way is finished and committed before its partition
// moves, so that nothing is delivered twice.
func TestPartitionsMoveWithoutDuplicates(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4)
	r := s.receiver()
	r.Always(sinktest.Step{Delay: 20 * time.Millisecond})
	config := s.config("", sink{id: "lines", url: r.URL("/").String(), custom: map[string]string{"maxSessions": "20"}})
	one := s.serve(config)
	l := s.startLoad(500)
	until(t, "sessions flow", func() bool { return len(r.Accepted()) > 100 })
	two := s.serve(config)
	until(t, "both read", func() bool { return one.owned("lines") == 2 && two.owned("lines") == 2 })
	so := len(r.Accepted())
	until(t, "sessions flow from both", func() bool { return len(r.Accepted()) > so+200 })
	one.stop()
	until(t, "the second reads all", func() bool { return two.owned("lines") == 4 })
	so = len(r.Accepted())
	until(t, "sessions flow from the second", func() bool { return len(r.Accepted()) > so+200 })
	produced := l.stop()
	until(t, "everything has arrived", func() bool { return len(r.Accepted()) == len(produced) })
	two.scrape().conserve("lines")
	two.stop()
	account(t, "lines", produced, r, nil)
	for key, n := range r.Accepted() {
		if n != 1 {
			t.Errorf("session %s was delivered %d times", key, n)
		}
	}
	if lag := s.lag("lines"); lag != 0 {
		t.Errorf("%d records are not committed", lag)
	}
}

// TestPartitionsMoveOutOfAHold lets an instance join while another holds: it
// gets its share at once, and what the first gave back is delivered once.
func TestPartitionsMoveOutOfAHold(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4)
	r := s.receiver()
	r.Always(sinktest.Status(500))
	config := s.config("", sink{id: "lines", url: r.URL("/").String(), custom: map[string]string{"maxSessions": "100", "maxRetries": "0"}})
	produced := small(0, 400)
	s.produce(produced)
	one := s.serve(config)
	until(t, "the first holds", func() bool { return one.scrape().sum("sink_hold", "sink", "lines") == 1 })
	two := s.serve(config)
	until(t, "both read", func() bool { return one.owned("lines") == 2 && two.owned("lines") == 2 })
	until(t, "the second holds as well", func() bool { return two.scrape().sum("sink_hold", "sink", "lines") == 1 })
	if one.scrape().sum("sessions_handed_back_total") == 0 {
		t.Error("the first gave nothing back: a useless test")
	}
	r.Always(sinktest.Step{})
	until(t, "everything has arrived", func() bool { return len(r.Accepted()) == len(produced) })
	for _, v := range []*service{one, two} {
		until(t, "nothing waits", func() bool { return v.scrape().sum("sessions_waiting") == 0 })
		v.scrape().conserve("lines")
	}
	one.stop()
	two.stop()
	account(t, "lines", produced, r, nil)
	for key, n := range r.Accepted() {
		if n != 1 {
			t.Errorf("session %s was delivered %d times", key, n)
		}
	}
	if lag := s.lag("lines"); lag != 0 {
		t.Errorf("%d records are not committed", lag)
	}
}
