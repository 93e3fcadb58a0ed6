package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/sinks/sinktest"
)

// load produces sessions at a steady rate until it is stopped.
type load struct {
	s        *stage
	cancel   context.CancelFunc
	ended    chan struct{}
	mu       sync.Mutex
	produced []session
	err      error
}

// startLoad produces so many sessions a second, in bursts.
func (s *stage) startLoad(rate int) *load {
	s.t.Helper()
	const bursts = 50 // a second
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{s: s, cancel: cancel, ended: make(chan struct{})}
	partitions := s.partitions()
	go func() {
		defer close(l.ended)
		tick := time.NewTicker(time.Second / bursts)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			burst := small(len(l.produced), rate/bursts)
			var records []*kgo.Record
			for i, one := range burst {
				records = append(records, &kgo.Record{Value: []byte(one.document), Partition: int32(i) % partitions})
			}
			err := s.client.ProduceSync(context.Background(), records...).FirstErr()
			l.mu.Lock()
			l.produced = append(l.produced, burst...)
			l.err = err
			l.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	s.t.Cleanup(func() { l.stop() })
	return l
}

// stop ends the load and returns what was produced.
func (l *load) stop() []session {
	l.s.t.Helper()
	l.cancel()
	<-l.ended
	if l.err != nil {
		l.s.t.Fatal(l.err)
	}
	return l.produced
}

// killSinks are the sinks of the tests that kill.
func killSinks(receivers map[string]*sinktest.Receiver) []sink {
	custom := map[string]string{"maxSessions": strconv.Itoa(killBatch), "maxInFlight": strconv.Itoa(killInFlight)}
	return []sink{
		{id: "lines", url: receivers["lines"].URL("/").String(), custom: custom},
		{id: "search", url: receivers["search"].URL("/_bulk").String(), index: "sessions", custom: custom},
	}
}

const (
	killBatch    = 25
	killInFlight = 2
)

// TestKill kills the program again and again under load. Nothing is missing,
// and what is delivered twice had been delivered and not committed: no more
// than what a commit interval delivers.
func TestKill(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(5, 5))
	s := newStage(t, 4)
	receivers := map[string]*sinktest.Receiver{"lines": s.receiver(), "search": s.receiver()}
	for _, r := range receivers {
		r.Always(sinktest.Step{Delay: 5 * time.Millisecond})
	}
	// A static member is back at once; others wait until its session is over.
	config := s.config(fmt.Sprintf("kafka: {brokers: [%q], instanceId: one}\n", s.cluster.ListenAddrs()[0]), killSinks(receivers)...)
	l := s.startLoad(1000)
	again := map[string]int{} // delivered and not committed at the kills
	for kill := range 5 {
		p := s.serveProcess(config)
		p.ready()
		if kill%2 == 0 { // otherwise it may be killed before its first commit
			committed := s.sumCommitted("lines")
			until(t, "something is committed", func() bool { return s.sumCommitted("lines") > committed })
		}
		target := len(receivers["lines"].Accepted()) + rnd.IntN(1000)
		until(t, fmt.Sprintf("it is time for kill %d", kill), func() bool { return len(receivers["lines"].Accepted()) >= target })
		p.kill()
		for id, r := range receivers {
			committed := s.sumCommitted(id) // first: an endpoint may still be busy with the last request
			again[id] += len(r.Accepted()) - committed
		}
	}
	p := s.serveProcess(config)
	p.ready()
	produced := l.stop()
	for id, r := range receivers {
		until(t, id+" has everything", func() bool { return len(r.Accepted()) >= len(produced) })
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("after SIGTERM the program ends with %d", code)
	}
	for id, r := range receivers {
		account(t, id, produced, r, nil)
		if lag := s.lag(id); lag != 0 {
			t.Errorf("%s: %d records are not committed", id, lag)
		}
		duplicates := 0
		for _, n := range r.Accepted() {
			duplicates += n - 1
		}
		if duplicates > again[id] {
			t.Errorf("%s: %d duplicates, and only %d sessions had been delivered and not committed", id, duplicates, again[id])
		}
		t.Logf("%s: %d sessions, %d duplicates, %d delivered and not committed at the kills", id, len(produced), duplicates, again[id])
	}
	if letters := s.letters(); len(letters) != 0 {
		t.Errorf("%d dead letters", len(letters))
	}
}

// sumCommitted is how many records a sink's group has committed.
func (s *stage) sumCommitted(sink string) int {
	s.t.Helper()
	sum := int64(0)
	for _, at := range s.committed(sink) {
		sum += at
	}
	return int(sum)
}

// TestTwoInstances runs two programs in the same groups, kills one of them
// under load, and lets another join.
func TestTwoInstances(t *testing.T) {
	t.Parallel()
	s := newStage(t, 6)
	receivers := map[string]*sinktest.Receiver{"lines": s.receiver(), "search": s.receiver()}
	config := s.config("", killSinks(receivers)...)
	one, two := s.serveProcess(config), s.serveProcess(config)
	shared := func(p *process, least, most int) bool {
		_, body := get(t, p.address(), "/metrics")
		owned := parseMetrics(t, body).sum("kafka_partitions_owned", "sink", "lines")
		return int(owned) >= least && int(owned) <= most
	}
	one.ready()
	two.ready()
	until(t, "both read", func() bool { return shared(one, 3, 3) && shared(two, 3, 3) })
	l := s.startLoad(500)
	until(t, "sessions flow", func() bool { return len(receivers["lines"].Accepted()) > 200 })
	one.kill()
	three := s.serveProcess(config)
	three.ready()
	until(t, "the third took over", func() bool { return shared(two, 3, 3) && shared(three, 3, 3) })
	arrived := len(receivers["lines"].Accepted())
	until(t, "sessions flow again", func() bool { return len(receivers["lines"].Accepted()) > arrived+200 })
	two.signal(syscall.SIGTERM)
	if code := two.wait(); code != 0 {
		t.Errorf("after SIGTERM the program ends with %d", code)
	}
	until(t, "the third has all", func() bool { return shared(three, 6, 6) })
	produced := l.stop()
	for id, r := range receivers {
		until(t, id+" has everything", func() bool { return len(r.Accepted()) >= len(produced) })
	}
	_, body := get(t, three.address(), "/metrics")
	for id := range receivers {
		parseMetrics(t, body).conserve(id)
	}
	three.signal(syscall.SIGTERM)
	if code := three.wait(); code != 0 {
		t.Errorf("after SIGTERM the program ends with %d", code)
	}
	for id, r := range receivers {
		account(t, id, produced, r, nil)
		if lag := s.lag(id); lag != 0 {
			t.Errorf("%s: %d records are not committed", id, lag)
		}
	}
}
