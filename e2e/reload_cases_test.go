package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sessionexport/settings"
	"sessionexport/sinks/sinktest"
)

// reload brings another configuration into force, and returns why not.
func (v *service) reload(s *stage, config []byte) error {
	v.t.Helper()
	file, err := settings.Parse(config, "config.yaml", s.dir, nil)
	if err != nil {
		v.t.Fatalf("%v\n%s", err, config)
	}
	return v.app.Reload(file)
}

// TestReloadMendsAHold gives a sink whose credentials are refused, and which
// probes only every minute or later, the right ones.
func TestReloadMendsAHold(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	wrong, right := s.receiver(), s.receiver()
	wrong.Always(sinktest.Status(401))
	config := func(url string) []byte { return s.config("", sink{id: "lines", url: url}) }
	v := s.serve(config(wrong.URL("/").String()))
	produced := small(0, 3000)
	s.produce(produced)
	until(t, "it holds", func() bool { return statusOf(t, v, "lines").State == "held" })
	probe := statusOf(t, v, "lines").Hold.NextProbe
	if err := v.reload(s, config(right.URL("/").String())); err != nil {
		t.Fatal(err)
	}
	until(t, "everything has arrived", func() bool { return len(right.Accepted()) == len(produced) })
	if time.Now().After(probe) {
		t.Error("the sink waited for its next probe although its settings are others")
	}
	until(t, "its alert is resolved", func() bool { return len(v.journal.with("alert resolved: delivery fails")) == 1 })
	v.scrape().conserve("lines")
	v.stop()
	account(t, "lines", produced, right, nil)
	once(t, "lines", right)
}

// once asserts that nothing came twice.
func once(t *testing.T, id string, r *sinktest.Receiver) {
	t.Helper()
	for key, n := range r.Accepted() {
		if n != 1 {
			t.Errorf("%s: session %s came %d times", id, key, n)
		}
	}
}

// TestReloadRemovesAndResumes takes a sink that holds out of the configuration,
// and puts it back.
func TestReloadRemovesAndResumes(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	stays, goes := s.receiver(), s.receiver()
	one := sink{id: "stays", url: stays.URL("/").String()}
	two := sink{id: "goes", url: goes.URL("/").String(), custom: map[string]string{"maxRetries": "0"}}
	v := s.serve(s.config("", one, two))
	produced := small(0, 900)
	s.produce(produced[:300])
	until(t, "both have the first", func() bool { return len(stays.Accepted()) == 300 && len(goes.Accepted()) == 300 })
	goes.Always(sinktest.Status(404))
	s.produce(produced[300:600])
	until(t, "it holds and is told", func() bool {
		return v.scrape().sum("alerts_open", "sink", "goes", "cause", "delivery_failed") == 1
	})
	before := statusOf(t, v, "stays")
	if err := v.reload(s, s.config("", one)); err != nil {
		t.Fatal(err)
	}
	until(t, "its series are gone and its alert is resolved", func() bool {
		_, body := v.get("/metrics")
		return !strings.Contains(body, `sink="goes"`)
	})
	if status, body := v.get("/readyz"); status != 200 {
		t.Errorf("/readyz answers %d %s", status, body)
	}
	goes.Always(sinktest.Step{})
	s.produce(produced[600:])
	until(t, "the other one goes on", func() bool { return len(stays.Accepted()) == len(produced) })
	if n := len(goes.Accepted()); n != 300 {
		t.Errorf("a sink that was removed has %d sessions", n)
	}
	if err := v.reload(s, s.config("", one, two)); err != nil {
		t.Fatal(err)
	}
	until(t, "it has caught up", func() bool { return len(goes.Accepted()) == len(produced) })
	until(t, "it said how far behind it was", func() bool {
		return strings.Contains(v.journal.String(), `"msg":"reading begins where the group stopped","environment":"default","sink":"goes","partitions":2,"records_behind":600`)
	})
	if after := statusOf(t, v, "stays"); after.Sessions.Delivered != int64(len(produced)) || before.Sessions.Delivered != 600 {
		t.Errorf("the counters of the one that stayed: %+v, then %+v", before.Sessions, after.Sessions)
	}
	v.stop()
	for id, r := range map[string]*sinktest.Receiver{"stays": stays, "goes": goes} {
		account(t, id, produced, r, nil)
		once(t, id, r)
	}
}

// TestReloadTakesRestart changes keys that cannot be reloaded: the rest comes
// into force, and they are named. What both together would break is refused.
func TestReloadTakesRestart(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	r := s.receiver()
	lines := sink{id: "lines", url: r.URL("/").String()}
	v := s.serve(s.config("", lines))
	lines.custom = map[string]string{"maxBytes": "2000"}
	brokers := s.cluster.ListenAddrs()[0]
	other := s.config(fmt.Sprintf("kafka: {brokers: [%q], groupPrefix: other}\ndeadLetters: {topic: others}\nshutdown: {grace: 7s}\n", brokers), lines)
	if err := v.reload(s, other); err != nil {
		t.Fatal(err)
	}
	until(t, "the limit is in force", func() bool { return v.scrape().sum("body_bytes_limit", "sink", "lines") == 2000 })
	m := v.scrape()
	if m.sum("config_reload_restart_keys") != 2 || m.sum("config_reload_successful") != 1 || m.sum("config_reloads_total", "result", "ok") != 1 {
		_, body := v.get("/status")
		t.Errorf("after a reload but for two keys: %s", body)
	}
	if _, body := v.get("/status"); !strings.Contains(body, `"kafka.groupPrefix"`) || !strings.Contains(body, `"deadLetters.topic"`) || strings.Contains(body, "other.lines") {
		t.Errorf("/status: %s", body)
	}
	// A topic that is free in the file, and still the dead letters' one.
	clash := strings.Replace(string(other), "topic: "+topic+"\n", "topic: "+letterTopic+"\n", 1)
	if err := v.reload(s, []byte(clash)); err == nil || !strings.Contains(err.Error(), "deadLetters.topic") {
		t.Errorf("reading the dead letters as sessions: %v", err)
	}
	m = v.scrape()
	if m.sum("config_reload_successful") != 0 || m.sum("config_reloads_total", "result", "failed") != 1 {
		t.Error("the metrics do not show a reload that failed")
	}
	produced := small(0, 50)
	s.produce(produced)
	until(t, "everything has arrived", func() bool { return len(r.Accepted()) == len(produced) })
	if err := v.reload(s, s.config("", lines)); err != nil {
		t.Fatal(err)
	}
	if m = v.scrape(); m.sum("config_reload_restart_keys") != 0 || m.sum("config_reload_successful") != 1 {
		t.Error("the metrics do not show that the file and what is in force are the same again")
	}
	v.stop()
	if lag := s.lag("lines"); lag != 0 {
		t.Errorf("%d records are not committed: the group is another one", lag)
	}
}

// TestWatch lets the program look at its files: a folder behind a link that is
// turned, as Kubernetes does, an authority's certificate, a file with mistakes.
func TestWatch(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	r := s.receiver()
	another := sinktest.NewAuthority(t)
	folder := func(name string, config, ca []byte) {
		s.file(filepath.Join(name, "config.yaml"), string(config))
		s.file(filepath.Join(name, "ca.pem"), string(ca))
	}
	turn := func(name string) {
		t.Helper()
		next := filepath.Join(s.dir, "..next")
		if err := os.Symlink(name, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(s.dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	lines := sink{id: "lines", url: r.URL("/").String(), custom: map[string]string{"caFile": filepath.Join(s.dir, "ca.pem"), "maxRetries": "0"}}
	config := s.config("", lines)
	folder("..one", config, another.PEM())
	turn("..one")
	for _, name := range []string{"config.yaml", "ca.pem"} {
		_ = os.Remove(filepath.Join(s.dir, name))
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := launch(t, s.dir, "serve", "--watch", "--config", "config.yaml")
	p.ready()
	reloads := func(result string) int {
		_, body := get(t, p.address(), "/metrics")
		return int(parseMetrics(t, body).sum("config_reloads_total", "result", result))
	}
	produced := small(0, 20)
	s.produce(produced)
	until(t, "it does not trust the endpoint", func() bool { return len(p.journal.with("holding")) == 1 })

	folder("..two", config, s.authority.PEM())
	turn("..two")
	until(t, "the other authority is in force, and everything has arrived", func() bool { return len(r.Accepted()) == len(produced) })
	if n := reloads("ok"); n != 1 {
		t.Errorf("%d reloads of one change", n)
	}

	bad := strings.Replace(string(config), "maxRetries", "maxRetires", 1)
	bad = strings.Replace(bad, "usePost: true", "usePost: maybe", 1)
	folder("..three", []byte(bad), s.authority.PEM())
	turn("..three")
	until(t, "the mistakes are told", func() bool { return reloads("failed") == 1 })
	said := p.journal.with("reloading the configuration failed")
	if text := p.journal.String(); len(said) != 1 || !strings.Contains(text, "maxRetires") || !strings.Contains(text, "usePost") {
		t.Errorf("the log has %d lines of a file with two mistakes", len(said))
	}

	// The content that is in force, written again in another place.
	folder("..four", config, s.authority.PEM())
	turn("..four")
	until(t, "the good file counts again", func() bool { return reloads("ok") == 2 })
	folder("..five", config, s.authority.PEM())
	turn("..five")
	p.signal(syscall.SIGHUP)
	until(t, "a signal reloads as well", func() bool { return reloads("ok") == 3 })
	if n := len(p.journal.with("other settings are in force")); n != 1 {
		t.Errorf("settings were swapped %d times, they differed once", n)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("the program ends with %d", code)
	}
}

// TestReloadWhileStopping sends SIGHUP while the program waits for an attempt.
func TestReloadWhileStopping(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	r := s.receiver()
	r.Always(sinktest.Break(sinktest.HangUnread))
	p := s.serveProcess(s.config("", sink{id: "lines", url: r.URL("/").String(), custom: map[string]string{"requestTimeout": "30s"}}))
	p.ready()
	s.produce(small(0, 10))
	until(t, "an attempt hangs", func() bool { return len(r.Requests()) > 0 })
	p.signal(syscall.SIGTERM)
	until(t, "the program is stopping", func() bool { return len(p.journal.with("stopping")) == 1 })
	p.signal(syscall.SIGHUP)
	until(t, "the reload is refused", func() bool { return len(p.journal.with("reload ignored")) == 1 })
	if p.ended() {
		t.Error("SIGHUP ended the program")
	}
	p.signal(syscall.SIGTERM)
	if !p.within(secondSignal) {
		t.Error("a second signal does not end it")
	}
}

// TestReloadWithoutKafka changes, stops and starts sinks while no broker
// answers: nothing waits for one, and the program ends in order.
func TestReloadWithoutKafka(t *testing.T) {
	t.Parallel()
	s := newOffline(t)
	one := func(session int) sink {
		return sink{id: "one", url: "https://127.0.0.1:1/", custom: map[string]string{"maxSessions": fmt.Sprint(session)}}
	}
	two := sink{id: "two", url: "https://127.0.0.1:1/"}
	v := s.serve(s.config("", one(10), two))
	for n := range 20 {
		sinks := []sink{one(11 + n)}
		if n%2 == 1 {
			sinks = append(sinks, two)
		}
		if err := v.reload(s, s.config("", sinks...)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "both are there in the end", func() bool {
		return v.scrape().sum("kafka_partitions_owned", "sink", "two") == 0 && strings.Contains(v.journal.String(), `"sink":"two"`)
	})
	until(t, "the last settings are in force", func() bool { return statusOf(t, v, "one").State == "flowing" })
	v.stop()
}

// TestReloadDuringRebalances reloads while another instance joins and leaves.
func TestReloadDuringRebalances(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4)
	w := newStorm(s)
	v := s.serve(w.config())
	until(t, "it is ready", func() bool { status, _ := v.get("/readyz"); return status == 200 })
	l := s.startLoad(stormRate)
	for range 3 {
		peer := s.serve(w.config())
		owned := func(x *service) int { return int(x.scrape().sum("kafka_partitions_owned", "sink", "steady")) }
		for n := 0; owned(peer) != 2 || n < 5; n++ {
			for {
				if config := w.next(); !strings.Contains(string(config), "maxSesions") {
					if err := v.reload(s, config); err != nil {
						t.Fatal(err)
					}
					break
				}
			}
			arrived := len(w.steady.Accepted())
			until(t, "sessions flow on", func() bool { return len(w.steady.Accepted()) > arrived })
		}
		peer.stop()
	}
	w.enabled = true
	if err := v.reload(s, w.config()); err != nil {
		t.Fatal(err)
	}
	produced := l.stop()
	until(t, "steady has everything", func() bool { return len(w.steady.Accepted()) == len(produced) })
	until(t, "toggled has everything", func() bool { return len(w.toggled.Accepted()) == len(produced) })
	until(t, "all is committed", func() bool { return s.lag("steady")+s.lag("moved")+s.lag("toggled") == 0 })
	m := v.scrape()
	for _, id := range []string{"steady", "moved", "toggled"} {
		m.conserve(id)
	}
	v.stop()
	account(t, "steady", produced, w.steady, nil)
	account(t, "toggled", produced, w.toggled, nil)
	moved := w.moved[0].Accepted()
	for key := range w.moved[1].Accepted() {
		moved[key]++
	}
	if len(moved) != len(produced) {
		t.Errorf("moved: %d of %d sessions", len(moved), len(produced))
	}
}

// TestReloadStartsWhatStopped lets another instance with the same static id
// take a sink's place, and leave again: a reload of the same file starts the
// sink that had stopped for good.
func TestReloadStartsWhatStopped(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	r := s.receiver()
	config := s.config(fmt.Sprintf("kafka: {brokers: [%q], instanceId: one}\n", s.cluster.ListenAddrs()[0]), sink{id: "lines", url: r.URL("/").String()})
	v := s.serve(config)
	until(t, "it is ready", func() bool { status, _ := v.get("/readyz"); return status == 200 })
	twin := s.serve(config)
	until(t, "it has stopped for good", func() bool {
		_, body := v.get("/readyz")
		return strings.Contains(body, "stopped for good")
	})
	twin.stop()
	if err := v.reload(s, config); err != nil {
		t.Fatal(err)
	}
	produced := small(0, 100)
	s.produce(produced)
	until(t, "everything has arrived", func() bool { return len(r.Accepted()) == len(produced) })
	if status, body := v.get("/readyz"); status != 200 {
		t.Errorf("/readyz answers %d %s", status, body)
	}
	v.stop()
	once(t, "lines", r)
}
