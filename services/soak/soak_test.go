//go:build services && soak

package soak_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/services"
)

func TestMain(m *testing.M) { services.Main(m) }

var (
	length = flag.Duration("soak", 10*time.Minute, "how long the load lasts")
	seed   = flag.Uint64("seed", 1, "of the faults")
)

const (
	share    = 0.8              // of the maximum
	warmUp   = 40 * time.Second // in which the maximum is measured, its second half counting
	every    = 25 * time.Second // between the beginnings of two faults, half of it at random
	growth   = 1.25             // of the memory, from the second quarter to the last
	slack    = 16 << 20         // bytes
	ahead    = 30_000           // sessions that wait while the maximum is measured
	draining = 10 * time.Minute // at most, after the load
)

var engines = []string{"elasticsearch", "opensearch"}

// soak is the program between three brokers and two search engines, under load.
type soak struct {
	kafka    *services.Kafka
	engines  map[string]*services.Engine
	links    map[string]*services.Link
	stage    *services.Stage
	producer *kgo.Client
	numbers  atomic.Int64 // sessions given to the producer, for each topic
}

// TestSoak delivers at four fifths of the maximum to two search engines while brokers and the ways to the engines fail at
// random. Nothing is missing: every session is a document or a dead letter. The memory stays flat.
func TestSoak(t *testing.T) {
	s := open(t)
	s.stage.Program.Start(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()

	limit, end := context.WithTimeout(ctx, warmUp)
	rate := make(chan float64, 1)
	go func() { rate <- s.measure(limit, t) }()
	s.produce(limit, t, 0)
	end()
	most := <-rate
	t.Logf("maximum: %.0f sessions a second to each engine; the load is %.0f", most, share*most)
	s.drained(t)

	soaking, end := context.WithTimeout(ctx, *length)
	defer end()
	memory := make(chan []int, 1)
	go func() { memory <- s.watch(soaking, t) }()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		s.produce(soaking, t, share*most)
	}()
	s.suffer(soaking, t)
	<-loaded
	t.Logf("the load ended; %d sessions wait", s.waiting(t))
	took := s.drained(t)

	produced := int(s.numbers.Load())
	for _, name := range engines {
		status, _ := s.stage.Sink(t, name)
		documents := s.engines[name].Count(t, "sessions")
		again := int(status.Sessions.Delivered) - documents
		t.Logf("%s: produced %d, documents %d, dead letters %d, delivered again %d, the rest drained in %s",
			s.engines[name], produced, documents, status.Sessions.DeadLetters, again, took.Round(time.Millisecond))
		if documents+int(status.Sessions.DeadLetters) != produced {
			t.Errorf("%s: %d documents and %d dead letters of %d sessions", name, documents, status.Sessions.DeadLetters, produced)
		}
	}
	flat(t, <-memory)
}

func open(t *testing.T) *soak {
	t.Helper()
	authority, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	s := &soak{
		kafka:   services.StartKafka(t, services.KafkaOptions{Nodes: 3}),
		engines: map[string]*services.Engine{}, links: map[string]*services.Link{},
	}
	toxics := services.StartToxiproxy(t)
	var exports []services.Export
	for _, name := range engines {
		e := services.StartEngine(t, services.EngineOptions{Product: name})
		u, err := url.Parse(services.Secure(t, authority, e.Proxy()))
		if err != nil {
			t.Fatal(err)
		}
		s.engines[name], s.links[name] = e, toxics.Link(t, name, "", u.Host)
		exports = append(exports, services.Export{
			ID: name, URL: "https://" + s.links[name].Address + "/_bulk", SendDirect: "{active: true, indexName: sessions}",
			Custom: []string{"requestTimeout=5s", "idleTimeout=500ms"},
		})
	}
	s.stage = services.NewStage(t, services.StageOptions{Kafka: s.kafka, Authority: authority, Exports: exports, Partitions: 6})
	s.producer = services.Franz(t, s.kafka, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.MaxBufferedRecords(20_000))
	return s
}

// produce writes sessions to all topics until ctx ends, at a rate for each or, with 0, so many that the engines are never
// short of them, and waits until all are acknowledged.
func (s *soak) produce(ctx context.Context, t *testing.T, perSecond float64) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began, from := time.Now(), s.numbers.Load()
	for ctx.Err() == nil {
		due := from + int64(time.Since(began).Seconds()*perSecond)
		if perSecond == 0 {
			due = s.slowest(t) + ahead
		}
		for s.numbers.Load() < due {
			value := []byte(services.Document(int(s.numbers.Add(1) - 1)))
			for _, name := range engines {
				r := &kgo.Record{Topic: s.stage.Topic(name), Value: value}
				s.producer.Produce(context.WithoutCancel(ctx), r, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Errorf("producing: %v", err)
					}
				})
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	flushing, cancel := context.WithTimeout(context.WithoutCancel(ctx), services.Patience)
	defer cancel()
	if err := s.producer.Flush(flushing); err != nil {
		t.Errorf("waiting for the last acknowledgements: %v", err)
	}
}

// measure returns how many sessions a second the slower engine took, in the second half of the time until ctx ends.
func (s *soak) measure(ctx context.Context, t *testing.T) float64 {
	pause(ctx, warmUp/2)
	began, before := time.Now(), s.slowest(t)
	<-ctx.Done()
	return float64(s.slowest(t)-before) / time.Since(began).Seconds()
}

// slowest is how many sessions that engine has taken which took the fewest.
func (s *soak) slowest(t *testing.T) int64 {
	least := s.delivered(t, engines[0])
	for _, name := range engines[1:] {
		least = min(least, s.delivered(t, name))
	}
	return least
}

func (s *soak) delivered(t *testing.T, name string) int64 {
	status, _ := s.stage.Sink(t, name)
	return status.Sessions.Delivered
}

// waiting is how many sessions are acknowledged and neither delivered nor given up.
func (s *soak) waiting(t *testing.T) int {
	left := len(engines) * int(s.numbers.Load())
	for _, name := range engines {
		status, _ := s.stage.Sink(t, name)
		left -= int(status.Sessions.Delivered + status.Sessions.DeadLetters)
	}
	return left
}

// drained waits until nothing is left to do, and returns for how long. The counts come first, which a long backlog takes
// down; what counts is the end of each topic, committed.
func (s *soak) drained(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for s.waiting(t) > 0 {
		if <-tick.C; time.Since(began) > draining {
			t.Fatalf("%d sessions still wait after %s", s.waiting(t), draining)
		}
	}
	for _, name := range engines {
		s.stage.Finished(t, name)
	}
	return time.Since(began)
}

// suffer lets things fail, one after the other, until ctx ends.
func (s *soak) suffer(ctx context.Context, t *testing.T) {
	random := rand.New(rand.NewPCG(*seed, 0))
	counts := map[string]int{}
	for {
		pause(ctx, every/2+time.Duration(random.Int64N(int64(every))))
		if ctx.Err() != nil {
			break
		}
		name, recovered := s.one(ctx, t, random)
		counts[name]++
		if ctx.Err() != nil {
			t.Logf("%s: not over when the load ended", name)
			break
		}
		t.Logf("%s: both engines took sessions again %s after it was over", name, recovered.Round(time.Millisecond))
	}
	t.Logf("seed %d: %v", *seed, counts)
}

// one lets one thing fail for three to eight seconds and returns how long it took after that until both engines took
// something. When ctx ends, and with it the load, an engine may have nothing left to take.
func (s *soak) one(ctx context.Context, t *testing.T, random *rand.Rand) (name string, recovered time.Duration) {
	lasting := 3*time.Second + time.Duration(random.Int64N(int64(5*time.Second)))
	node := s.kafka.Node(1 + int32(random.IntN(3)))
	engine := engines[random.IntN(len(engines))]
	link := s.links[engine]
	both := func(kind string, attributes map[string]int) []services.Toxic {
		return []services.Toxic{{Type: kind, Stream: "upstream", Attributes: attributes}, {Type: kind, Stream: "downstream", Attributes: attributes}}
	}
	spoilt := func(what string, toxics []services.Toxic) string {
		link.Spoil(t, toxics...)
		pause(ctx, lasting)
		link.Cure(t, toxics...)
		return what + " before a search engine"
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	switch random.IntN(8) {
	case 0:
		name = "a broker killed"
		must(node.Kill())
		pause(ctx, lasting)
		must(node.Start())
	case 1:
		name = "a broker frozen"
		must(node.Pause())
		pause(ctx, lasting)
		must(node.Resume())
	case 2:
		name = "a search engine killed"
		must(s.engines[engine].Kill())
		must(s.engines[engine].Start())
	case 3:
		name = "nobody listens before a search engine"
		link.Cut(t)
		pause(ctx, lasting)
		link.Mend(t)
	case 4:
		name = spoilt("resets", both("reset_peer", map[string]int{"timeout": 100}))
	case 5:
		name = spoilt("a black hole", both("timeout", map[string]int{"timeout": 0}))
	case 6:
		name = spoilt("answers vanish", both("timeout", map[string]int{"timeout": 0})[1:])
	case 7:
		name = spoilt("jitter", both("latency", map[string]int{"latency": 200, "jitter": 200}))
	}
	over := time.Now()
	for _, e := range engines {
		before := s.delivered(t, e)
		services.Eventually(t, e+" takes sessions after "+name, func() bool { return s.delivered(t, e) > before || ctx.Err() != nil })
	}
	return name, time.Since(over)
}

// watch notes the program's memory in bytes every two seconds until ctx ends.
func (s *soak) watch(ctx context.Context, t *testing.T) []int {
	var samples []int
	for ctx.Err() == nil {
		resident, err := residentBytes(s.stage.Program.Process().ID())
		if err != nil {
			t.Error(err)
			return samples
		}
		samples = append(samples, resident)
		pause(ctx, 2*time.Second)
	}
	return samples
}

func residentBytes(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			kilobytes, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("no VmRSS of process %d", pid)
}

// flat fails the test when the memory of the last quarter is above that of the second.
func flat(t *testing.T, samples []int) {
	t.Helper()
	quarter := len(samples) / 4
	if quarter == 0 {
		t.Fatalf("only %d samples of the memory", len(samples))
	}
	second, last := median(samples[quarter:2*quarter]), median(samples[3*quarter:])
	t.Logf("memory: %d MB in the second quarter, %d MB in the last, %d MB at most", second>>20, last>>20, slices.Max(samples)>>20)
	if float64(last) > growth*float64(second)+slack {
		t.Errorf("the memory grew from %d to %d MB", second>>20, last>>20)
	}
}

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
