package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sessionexport/settings"
	"sessionexport/sinks/sinktest"
)

// stormVariable says for how long TestReloadStorm goes on, such as 1m.
const stormVariable = "RELOAD_STORM"

// reloadEvery is how often a storm reloads.
const reloadEvery = 200 * time.Millisecond

// stormRate is how many sessions a second are produced meanwhile.
const stormRate = 500

// storm is a configuration that changes all the time, but for one sink.
type storm struct {
	s        *stage
	head     string // of the configuration
	rnd      *rand.Rand
	steady   *sinktest.Receiver
	moved    []*sinktest.Receiver // two, in turn
	toggled  *sinktest.Receiver
	at       int // of moved
	format   int
	password int
	limit    int
	enabled  bool
	bad      int // files with mistakes until now
	good     int
}

func newStorm(s *stage) *storm {
	w := &storm{
		s: s, rnd: rand.New(rand.NewPCG(7, 7)), steady: s.receiver(), moved: []*sinktest.Receiver{s.receiver(), s.receiver()},
		toggled: s.receiver(), enabled: true,
	}
	for _, r := range append(w.moved, w.steady, w.toggled) {
		r.Always(sinktest.Step{Delay: 5 * time.Millisecond})
	}
	return w
}

// config is the configuration as it is now.
func (w *storm) config() []byte {
	base := map[string]string{"maxSessions": strconv.Itoa(killBatch)}
	moved := with(base, "maxSessions", strconv.Itoa(killBatch+w.limit%7), "maxInFlight", strconv.Itoa(1+w.limit%4), "maxBytes", strconv.Itoa(9000+1000*(w.limit%3)))
	content := "application/json"
	switch w.format % 3 {
	case 1:
		content = "application/x-ndjson"
	case 2:
		moved["bodyFormat"] = "array"
	}
	w.s.file("secrets/moved", fmt.Sprintf("correct horse %d", w.password))
	text := string(w.s.config(w.head,
		sink{id: "steady", url: w.steady.URL("/").String(), custom: base},
		sink{id: "moved", url: w.moved[w.at].URL("/").String(), content: content, custom: moved,
			auth: "{active: true, authType: basic, basicAuth: {username: exporter, passwordFile: moved}}"},
		sink{id: "toggled", url: w.toggled.URL("/_bulk").String(), index: "sessions", custom: base},
	))
	if !w.enabled {
		at := strings.Index(text, "- id: toggled")
		text = text[:at] + strings.Replace(text[at:], "enableUserSessionExport: true", "enableUserSessionExport: false", 1)
	}
	return []byte(text)
}

// next changes something and returns the file; now and then it has mistakes.
func (w *storm) next() []byte {
	switch w.rnd.IntN(8) {
	case 0:
	case 1:
		w.limit++
	case 2:
		w.at = 1 - w.at
	case 3:
		w.format++
	case 4:
		w.password++
	case 5, 6:
		w.enabled = !w.enabled
	default:
		w.bad++
		return []byte(strings.Replace(string(w.config()), "maxSessions", "maxSesions", 1))
	}
	w.good++
	return w.config()
}

// TestReloadStorm reloads every 200 ms under load: the same file, other limits,
// another URL, format or password, a sink disabled and enabled again, files with
// mistakes. Nothing is lost, and nothing is sent twice.
func TestReloadStorm(t *testing.T) {
	t.Parallel()
	length := 8 * time.Second
	if text := os.Getenv(stormVariable); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", stormVariable, err)
		}
	}
	t.Run("in this process", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, 4)
		w := newStorm(s)
		v := s.serve(w.config())
		until(t, "it is ready", func() bool { status, _ := v.get("/readyz"); return status == 200 })
		load := func(config []byte) {
			file, err := settings.Parse(config, "config.yaml", s.dir, nil)
			if err == nil {
				err = v.app.Reload(file)
			}
			if (err != nil) != strings.Contains(string(config), "maxSesions") {
				t.Errorf("reloading: %v", err)
			}
		}
		w.blow(t, length, load, v.scrape, v.get)
		v.stop()
		w.check(t)
	})
	t.Run("the program", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, 4)
		w := newStorm(s)
		w.head = fmt.Sprintf("kafka: {brokers: [%q], instanceId: one}\n", s.cluster.ListenAddrs()[0])
		p := s.serveProcess(w.config())
		p.ready()
		ask := func(path string) (int, string) { return get(t, p.address(), path) }
		scrape := func() metrics { _, body := ask("/metrics"); return parseMetrics(t, body) }
		load := func(config []byte) {
			replace(t, filepath.Join(s.dir, "config.yaml"), config)
			p.signal(syscall.SIGHUP)
		}
		w.blow(t, length, load, scrape, ask)
		p.signal(syscall.SIGTERM)
		if code := p.wait(); code != 0 {
			t.Errorf("after SIGTERM the program ends with %d", code)
		}
		w.check(t)
	})
}

// blow reloads again and again under load, and returns when everything that was
// produced is delivered.
func (w *storm) blow(t *testing.T, length time.Duration, load func([]byte), scrape func() metrics, ask func(string) (int, string)) {
	t.Helper()
	l := w.s.startLoad(stormRate)
	until(t, "sessions flow", func() bool { return len(w.steady.Accepted()) > 100 })
	before := membership(t, ask, "steady")
	over := time.NewTimer(length)
	defer over.Stop()
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for blowing := true; blowing; {
		select {
		case <-tick.C:
			load(w.next())
		case <-over.C:
			blowing = false
		}
	}
	w.enabled = true
	w.good++
	load(w.config())
	w.s.produced = l.stop()
	all := len(w.s.produced)
	until(t, "steady has everything", func() bool { return len(w.steady.Accepted()) >= all })
	until(t, "toggled has everything", func() bool { return len(w.toggled.Accepted()) >= all })
	until(t, "moved has everything", func() bool {
		return len(w.moved[0].Accepted())+len(w.moved[1].Accepted()) >= all
	})
	m := scrape()
	for _, id := range []string{"steady", "moved", "toggled"} {
		m.conserve(id)
	}
	if got := m.sum("sessions_delivered_total", "sink", "moved"); int(got) != all {
		t.Errorf("moved counts %v delivered sessions of %d: its counters must go on when its settings change", got, all)
	}
	if after := membership(t, ask, "steady"); after != before {
		t.Errorf("the unchanged sink was at %+v in its group and is at %+v", before, after)
	}
	// A reload that touched it would open new ones each time. A few are lost for
	// other reasons: of two that are dialled at once one may not be needed.
	if n := w.steady.Connections(); n > 10 {
		t.Errorf("the unchanged sink opened %d connections", n)
	}
	t.Logf("%d good files, %d with mistakes, %v reloads, %v failed; %d sessions; steady %d connections, moved %d and %d, toggled %d",
		w.good, w.bad, m.sum("config_reloads_total", "result", "ok"), m.sum("config_reloads_total", "result", "failed"), all,
		w.steady.Connections(), w.moved[0].Connections(), w.moved[1].Connections(), w.toggled.Connections())
}

// check asserts that each session came once and that all offsets are committed.
func (w *storm) check(t *testing.T) {
	t.Helper()
	moved := w.moved[0].Accepted()
	for key, n := range w.moved[1].Accepted() {
		moved[key] += n
	}
	for id, accepted := range map[string]map[string]int{"steady": w.steady.Accepted(), "moved": moved, "toggled": w.toggled.Accepted()} {
		missing, twice := 0, 0
		for _, one := range w.s.produced {
			switch n := accepted[one.key]; {
			case n == 0:
				missing++
			case n > 1:
				twice += n - 1
			}
		}
		if missing > 0 || twice > 0 || len(accepted) != len(w.s.produced) {
			t.Errorf("%s: of %d sessions %d are missing, %d came twice; it has %d", id, len(w.s.produced), missing, twice, len(accepted))
		}
		if lag := w.s.lag(id); lag != 0 {
			t.Errorf("%s: %d records are not committed", id, lag)
		}
	}
	if letters := w.s.letters(); len(letters) != 0 {
		t.Errorf("%d dead letters", len(letters))
	}
}

// place is where a sink's member is in its group.
type place struct {
	Generation int
	Rebalances int
}

func membership(t *testing.T, ask func(string) (int, string), sink string) place {
	t.Helper()
	var doc struct {
		Sinks []struct {
			ID    string
			Kafka place
		}
	}
	_, body := ask("/status")
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	for _, s := range doc.Sinks {
		if s.ID == sink {
			return s.Kafka
		}
	}
	t.Fatalf("no sink %s in\n%s", sink, body)
	return place{}
}

// replace puts a file into the place of another one, as editors do.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}
