package web

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sessionexport/consumer"
	"sessionexport/dispatcher"
)

var update = flag.Bool("update", false, "write the golden files")

func TestHealthDoesNotDependOnKafka(t *testing.T) {
	s := start(t, Options{Source: &sinks{fresh("search")}})
	if status, body := get(t, "http://"+s.Addr().String()+"/healthz"); status != 200 || body != "ok\n" {
		t.Errorf("%d %q", status, body)
	}
	if status, _ := get(t, "http://"+s.Addr().String()+"/readyz"); status != 503 {
		t.Errorf("ready without Kafka: %d", status)
	}
}

func TestReadyNamesWhatIsMissing(t *testing.T) {
	held := busy("held")
	connecting := fresh("connecting")
	connecting.Member.LastError = "no broker could be reached: kafka-1:9092"
	missing := fresh("missing")
	missing.Member.State = consumer.StateTopicMissing
	joining := busy("joining") // owns partitions that are read on
	joining.Member.State = consumer.StateJoining
	revoking := fresh("revoking")
	revoking.Member.State = consumer.StateRevoking
	lonely := func(id, trouble string, heard time.Duration) dispatcher.SinkStatus {
		s := busy(id)
		s.Member.LastError = "sending a heartbeat: connection refused"
		s.Member.Partitions = slices.Clone(s.Member.Partitions)
		for i := range s.Member.Partitions {
			s.Member.Partitions[i].Trouble, s.Member.Partitions[i].WatermarkAt = trouble, time.Now().Add(-heard)
		}
		return s
	}
	moved := lonely("moved", "", time.Second) // reads on without its coordinator
	alone := lonely("alone", "fetching from broker 0: connection refused", time.Second)
	resting := lonely("resting", "", time.Minute) // fetches nothing, and nothing is heard
	spare := fresh("spare")                       // a member without partitions
	spare.Member.State, spare.Member.LastError = consumer.StateStable, "sending a heartbeat: connection refused"
	fatal := busy("fatal")
	fatal.Member.State, fatal.Fatal = consumer.StateFenced, "another process has the same static id"
	for _, tc := range []struct {
		name  string
		sinks sinks
		want  string
	}{
		{"no sinks", sinks{}, ""},
		{"a hold is the destination's matter", sinks{held}, ""},
		{"joining with partitions", sinks{joining}, ""},
		{"revoking", sinks{revoking}, ""},
		{"no broker", sinks{held, connecting}, "sink connecting: connecting: no broker could be reached: kafka-1:9092"},
		{"the coordinator is away", sinks{moved}, ""},
		{"the brokers went away", sinks{alone}, "sink alone: stable: sending a heartbeat: connection refused"},
		{"the brokers went away during a rest", sinks{resting}, "sink resting: stable: sending a heartbeat: connection refused"},
		{"the brokers went away from a spare member", sinks{spare}, "sink spare: stable: sending a heartbeat: connection refused"},
		{"no topic", sinks{missing}, "sink missing: topic missing"},
		{"fenced", sinks{fatal}, "sink fatal: stopped for good: another process has the same static id"},
		{"all of them", sinks{connecting, missing}, "sink connecting: connecting: no broker could be reached: kafka-1:9092\nsink missing: topic missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &Server{o: Options{Source: &tc.sinks}}
			w := httptest.NewRecorder()
			s.readyz(w, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
			want, code := tc.want, http.StatusServiceUnavailable
			if want == "" {
				want, code = "ok", http.StatusOK
			}
			if w.Code != code || strings.TrimSpace(w.Body.String()) != want {
				t.Errorf("%d %q", w.Code, w.Body)
			}
		})
	}
}

func TestStoppingIsNotReady(t *testing.T) {
	s := start(t, Options{Source: &sinks{busy("shop-lines")}})
	url := "http://" + s.Addr().String()
	if status, _ := get(t, url+"/readyz"); status != 200 {
		t.Fatalf("status %d before", status)
	}
	s.Unready()
	if status, body := get(t, url+"/readyz"); status != 503 || body != "stopping\n" {
		t.Errorf("%d %q", status, body)
	}
	if status, _ := get(t, url+"/healthz"); status != 200 {
		t.Error("stopping is not healthy")
	}
	if status, _ := get(t, url+"/metrics"); status != 200 {
		t.Error("no metrics while stopping")
	}
}

func TestStatusDocument(t *testing.T) {
	s := &Server{started: noon.Add(-time.Hour), o: Options{
		Source: &sinks{busy("shop-lines"), fresh("search")}, Version: "1.2.3", Config: inForce,
	}}
	w := httptest.NewRecorder()
	s.status(w, httptest.NewRequest(http.MethodGet, "/status", http.NoBody))
	if got := w.Header().Get("Content-Type"); w.Code != 200 || got != "application/json" || !json.Valid(w.Body.Bytes()) {
		t.Errorf("%d %s", w.Code, got)
	}
	const golden = "testdata/status.json"
	if *update {
		if err := os.WriteFile(golden, w.Body.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if w.Body.String() != string(want) {
		t.Errorf("not as in %s (write it with -update):\n%s", golden, w.Body)
	}
}

func TestStatusOfNothing(t *testing.T) {
	s := start(t, Options{Source: &sinks{}})
	_, body := get(t, "http://"+s.Addr().String()+"/status")
	var doc struct {
		Ready bool  `json:"ready"`
		Sinks []any `json:"sinks"`
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || doc.Sinks == nil || !doc.Ready {
		t.Errorf("%v: %s", err, body)
	}
}

func TestProfilerHasItsOwnListener(t *testing.T) {
	off := start(t, Options{Source: &sinks{}})
	if off.PprofAddr() != nil {
		t.Error("the profiler listens unasked")
	}
	on := start(t, Options{Source: &sinks{}, PprofAddress: "127.0.0.1:0"})
	if on.PprofAddr() == nil || on.PprofAddr().String() == on.Addr().String() {
		t.Fatalf("the profiler listens on %v", on.PprofAddr())
	}
	for _, s := range []*Server{off, on} {
		if status, _ := get(t, "http://"+s.Addr().String()+"/debug/pprof/"); status != 404 {
			t.Errorf("the profiler answers %d among the metrics", status)
		}
	}
	url := "http://" + on.PprofAddr().String()
	for path, want := range map[string]int{"/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/cmdline": 200, "/metrics": 404, "/status": 404} {
		if status, _ := get(t, url+path); status != want {
			t.Errorf("%s answers %d, want %d", path, status, want)
		}
	}
}

func TestNothingButReading(t *testing.T) {
	s := start(t, Options{Source: &sinks{}})
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/status"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr().String()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s answers %d", path, res.StatusCode)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	s := start(t, Options{Source: &sinks{}})
	taken := s.Addr().String()
	if _, err := Start(Options{Address: taken, Source: &sinks{}, Logger: s.o.Logger}); err == nil || !strings.Contains(err.Error(), "server.address") {
		t.Errorf("error %v", err)
	}
	if _, err := Start(Options{Address: "127.0.0.1:0", PprofAddress: taken, Source: &sinks{}, Logger: s.o.Logger}); err == nil || !strings.Contains(err.Error(), "server.pprofAddress") {
		t.Errorf("error %v", err)
	}
}
