package alerts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
)

// sketch is a notifier that notes what it is told.
type sketch struct {
	mu    sync.Mutex
	notes []string
}

func (s *sketch) Name() string                            { return "sketch" }
func (s *sketch) Run(ctx context.Context)                 { <-ctx.Done() }
func (s *sketch) Try(context.Context, Notification) error { return nil }

func (s *sketch) Tell(n Notification) {
	if n.Silent {
		return
	}
	s.mu.Lock()
	s.notes = append(s.notes, fmt.Sprintf("%s %s waiting=%d", n.State, n.Cause, n.Waiting))
	s.mu.Unlock()
}

func (s *sketch) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.notes, ", ")
}

// world is what a runner looks at.
type world struct {
	mu      sync.Mutex
	reading Reading
}

func (w *world) set(change func(*Reading)) {
	w.mu.Lock()
	change(&w.reading)
	w.mu.Unlock()
}

func (w *world) poll(context.Context) []Reading {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []Reading{w.reading}
}

func newWorld() *world {
	return &world{reading: Reading{Environment: "default", Sink: "shop", Waiting: 70}}
}

// running runs a runner in a bubble until the returned function is called.
func running(r *Runner) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx) })
	return func() {
		cancel()
		wg.Wait()
	}
}

func TestRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, m := newWorld(), &sketch{}, NewMetrics()
		var log bytes.Buffer
		r := NewRunner(Options{Poll: w.poll, Notifiers: []Notifier{s}, Metrics: m, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer running(r)()
		synctest.Wait()

		r.Signal(Signal{Key: key(DeliveryFailed), Error: "Request timeout"})
		synctest.Wait()
		if s.all() != "open delivery_failed waiting=70" {
			t.Fatalf("told at once: %q", s.all())
		}
		if got := shown(t, m); got != `session_export_alerts_open cause="delivery_failed" environment="default" sink="shop" 1` {
			t.Errorf("metrics: %q", got)
		}
		w.set(func(r *Reading) { r.Waiting, r.Holding = 9000, true })
		time.Sleep(time.Hour + pollEvery)
		w.set(func(r *Reading) { r.Waiting, r.Holding, r.Delivered = 0, false, time.Now() })
		time.Sleep(pollEvery)
		synctest.Wait()
		if s.all() != "open delivery_failed waiting=70, repeat delivery_failed waiting=9000, resolved delivery_failed waiting=0" {
			t.Errorf("told: %q", s.all())
		}
		if got := shown(t, m); got != "" {
			t.Errorf("metrics: %q", got)
		}
		for _, part := range []string{
			`msg="alert opened: delivery fails" environment=default sink=shop cause=delivery_failed`, `error="Request timeout"`, "todo=", "waiting=9000",
			`msg="alert still open: delivery fails"`, `msg="alert resolved: delivery fails"`, "lasted=1h0m",
		} {
			if !strings.Contains(log.String(), part) {
				t.Errorf("the log lacks %s:\n%s", part, log.String())
			}
		}
		if strings.Contains(log.String(), "ALERT") {
			t.Error("the log repeats the line of the pipeline")
		}
	})
}

// A notification tells how many sessions wait at its moment, not at the last look.
func TestRunnerTellsWhatWaitsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(), &sketch{}
		r := NewRunner(Options{Poll: w.poll, Notifiers: []Notifier{s}, Logger: slog.New(slog.DiscardHandler)})
		defer running(r)()
		time.Sleep(pollEvery + 2*time.Second)
		w.set(func(r *Reading) { r.Waiting = 300 })
		r.Signal(Signal{Key: key(DeliveryFailed)})
		synctest.Wait()
		if s.all() != "open delivery_failed waiting=300" {
			t.Errorf("told: %q", s.all())
		}
	})
}

// disableNotification silences notifiers, not the log and the metrics.
func TestRunnerSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s, m := newWorld(), &sketch{}, NewMetrics()
		w.reading.Silent = true
		var log bytes.Buffer
		r := NewRunner(Options{Poll: w.poll, Notifiers: []Notifier{s}, Metrics: m, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer running(r)()
		r.Signal(Signal{Key: key(DeliveryFailed)})
		synctest.Wait()
		if s.all() != "" || !strings.Contains(log.String(), "alert opened") || shown(t, m) == "" {
			t.Errorf("told %q, log %q", s.all(), log.String())
		}
	})
}

// A pipeline is never delayed, not even by a runner that is stuck.
func TestSignalNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(), &sketch{}
		var log bytes.Buffer
		r := NewRunner(Options{Poll: w.poll, Notifiers: []Notifier{s}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		before := time.Now()
		for range waitingSignals + 7 {
			r.Signal(Signal{Key: key(DeadLettersGrow), Lost: 1})
		}
		// One sink in much trouble hides no other one.
		r.Signal(Signal{Key: Key{Environment: "other", Sink: "quiet", Cause: TokenServer}})
		if time.Since(before) != 0 {
			t.Error("it took time")
		}
		defer running(r)()
		synctest.Wait()
		if s.all() != "open dead_letters waiting=70, open token_server waiting=-1, resolved token_server waiting=-1" || !strings.Contains(log.String(), "signals=7") {
			t.Errorf("told %q, log %q", s.all(), log.String())
		}
	})
}

// A process that starts while a problem lasts tells it once.
func TestRestartTellsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(), &sketch{}
		w.reading.Certificates = []Certificate{{Whose: "the endpoint's certificate", From: time.Now().Add(-100 * day), Until: time.Now().Add(day)}}
		for range 2 {
			r := NewRunner(Options{Poll: w.poll, Notifiers: []Notifier{s}, Logger: slog.New(slog.DiscardHandler)})
			end := running(r)
			time.Sleep(30 * time.Minute)
			end()
		}
		if s.all() != "open certificate waiting=70, open certificate waiting=70" {
			t.Errorf("told %q", s.all())
		}
	})
}

// desk is what an outbox sends to.
type desk struct {
	mu    sync.Mutex
	times []time.Duration
	got   []string
	err   error
	hang  bool
	start time.Time
}

func (d *desk) send(ctx context.Context, n Notification) error {
	d.mu.Lock()
	d.times = append(d.times, time.Since(d.start))
	err, hang := d.err, d.hang
	if err == nil && !hang {
		d.got = append(d.got, string(n.State)+" "+n.Sink)
	}
	d.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (d *desk) set(err error, hang bool) {
	d.mu.Lock()
	d.err, d.hang = err, hang
	d.mu.Unlock()
}

func (d *desk) all() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.got, ", ")
}

func (d *desk) attempts() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.times)
}

func posting(t *testing.T, d *desk) (*outbox, *Metrics) {
	t.Helper()
	d.start = time.Now()
	m := NewMetrics()
	o := newOutbox("desk", d.send, slog.New(slog.DiscardHandler), m)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { o.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return o, m
}

func about(sink string, s State) Notification {
	return Notification{Key: Key{Environment: "default", Sink: sink, Cause: DeliveryFailed}, State: s, At: time.Now(), Since: time.Now()}
}

func results(t *testing.T, m *Metrics, sent, failed, dropped int) {
	t.Helper()
	for result, want := range map[string]int{resultSent: sent, resultFailed: failed, resultDropped: dropped} {
		m.mu.Lock()
		got := m.sent[[2]string{"desk", result}]
		m.mu.Unlock()
		if got != float64(want) {
			t.Errorf("%s: %v, want %d", result, got, want)
		}
	}
}

func TestOutboxRepeatsAndReplaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{err: errors.New("away")}
		o, m := posting(t, d)
		o.Tell(about("a", Opened))
		o.Tell(about("b", Opened))
		time.Sleep(30 * time.Second)
		o.Tell(about("a", Resolved)) // replaces what was never told
		d.set(nil, false)
		time.Sleep(10 * time.Minute)
		if d.all() != "open b, resolved a" && d.all() != "resolved a, open b" {
			t.Errorf("sent %q", d.all())
		}
		n := d.attempts()
		if n < 4 || n > 9 {
			t.Errorf("%d attempts", n)
		}
		results(t, m, 2, n-2, 0)
	})
}

// A sink that becomes silent is told no more.
func TestOutboxTakesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{err: errors.New("away")}
		o, _ := posting(t, d)
		o.Tell(about("a", Opened))
		time.Sleep(time.Second)
		silent := about("a", Resolved)
		silent.Silent = true
		o.Tell(silent)
		d.set(nil, false)
		time.Sleep(time.Hour)
		if d.all() != "" {
			t.Errorf("sent %q", d.all())
		}
	})
}

func TestOutboxGivesUpWhatIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{err: errors.New("away")}
		o, m := posting(t, d)
		o.Tell(about("a", Opened))
		time.Sleep(staleAfter + 2*maxBackoff)
		n := d.attempts()
		if n > 40 {
			t.Errorf("%d attempts in an hour", n)
		}
		d.set(nil, false)
		time.Sleep(time.Hour)
		if d.all() != "" {
			t.Errorf("sent %q", d.all())
		}
		results(t, m, 0, n, 1)
	})
}

// A notifier that hangs costs its own time only, and an attempt ends.
func TestOutboxHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{hang: true}
		o, m := posting(t, d)
		before := time.Now()
		for i := range 2 * outboxSize {
			o.Tell(about(fmt.Sprint("sink-", i), Opened))
		}
		if time.Since(before) != 0 {
			t.Error("telling took time")
		}
		time.Sleep(sendTimeout + time.Second)
		d.set(nil, false)
		time.Sleep(time.Minute)
		if got := strings.Count(d.all(), "open"); got != outboxSize {
			t.Errorf("%d were sent, want the latest %d", got, outboxSize)
		}
		results(t, m, outboxSize, 1, outboxSize)
	})
}

// shown is what the metrics show, without what never happened.
func shown(t *testing.T, m *Metrics) string {
	t.Helper()
	var lines []string
	for _, f := range gathered(t, m) {
		for _, metric := range f.Metric {
			value := metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
			if value == 0 {
				continue
			}
			line := f.GetName()
			for _, l := range metric.Label {
				line += fmt.Sprintf(" %s=%q", l.GetName(), l.GetValue())
			}
			lines = append(lines, fmt.Sprint(line, " ", value))
		}
	}
	return strings.Join(lines, ", ")
}

func gathered(t *testing.T, m *Metrics) []*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(m); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func TestMetricsLint(t *testing.T) {
	m := NewMetrics()
	m.known("slack-1")
	m.setOpen([]Notification{about("shop", Opened)})
	families := gathered(t, m)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 || len(families) != 2 {
		t.Errorf("%v, %v, %d families", problems, err, len(families))
	}
}

// Others are told what is open; the ones that stay go on, the ones that go end.
func TestRunnerUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stays, goes, joins := newWorld(), &sketch{}, &sketch{}, &sketch{}
		r := NewRunner(Options{Poll: w.poll, Notifiers: []Notifier{stays, goes}})
		defer running(r)()
		synctest.Wait()
		r.Signal(Signal{Key: Key{Environment: "default", Sink: "shop", Cause: DeliveryFailed}, Error: "no"})
		synctest.Wait()
		r.Use([]Notifier{stays, joins})
		synctest.Wait()
		w.set(func(r *Reading) { r.Delivered = time.Now() })
		time.Sleep(2 * pollEvery)
		synctest.Wait()
		const opened, resolved = "open delivery_failed waiting=70", "resolved delivery_failed waiting=70"
		for name, c := range map[string]struct{ got, want string }{
			"one that stays": {stays.all(), opened + ", " + resolved},
			"one that goes":  {goes.all(), opened},
			"one that joins": {joins.all(), opened + ", " + resolved},
		} {
			if c.got != c.want {
				t.Errorf("%s was told %q, want %q", name, c.got, c.want)
			}
		}
	})
}
