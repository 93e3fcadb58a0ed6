package web

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
)

// gather collects what a source shows at noon.
func gather(t *testing.T, source Source) []*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	c := &collector{source: source, version: "1.2.3", config: inForce, now: func() time.Time { return noon }}
	if err := r.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// described writes a family as docs/metrics.md does: type and labels.
func described(f *dto.MetricFamily) string {
	labels := make([]string, 0, len(f.Metric[0].Label))
	for _, l := range f.Metric[0].Label {
		labels = append(labels, "`"+l.GetName()+"`")
	}
	return strings.ToLower(f.GetType().String()) + " " + strings.Join(labels, ", ")
}

// documented reads the tables of docs/metrics.md; labels come out sorted, as
// Prometheus gives them. "sink" in the table stands for environment and sink.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `(session_export_[a-z_]+)` \\| ([a-z]+) \\| ([^|]*) \\| [^|]+ \\|$")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		labels := strings.Fields(strings.ReplaceAll(m[3], ",", " "))
		if slices.Contains(labels, "`sink`") {
			labels = append(labels, "`environment`")
		}
		slices.Sort(labels)
		if _, twice := out[m[1]]; twice {
			t.Errorf("%s is documented twice", m[1])
		}
		out[m[1]] = m[2] + " " + strings.Join(labels, ", ")
	}
	return out
}

func TestMetricsAreDocumented(t *testing.T) {
	got := map[string]string{}
	for _, f := range gather(t, &sinks{busy("shop-lines")}) {
		got[f.GetName()] = described(f)
	}
	want := documented(t)
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if want[name] != got[name] {
			t.Errorf("docs/metrics.md has %s as %q, it is %q", name, want[name], got[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] == "" {
			t.Errorf("docs/metrics.md has %s, which nothing shows", name)
		}
	}
	// What the code can show must have been shown here.
	source, err := os.ReadFile("metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\bdesc\("([a-z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		if got[namespace+m[1]] == "" {
			t.Errorf("%s is not among what the test collects", m[1])
		}
	}
}

// The queries of the docs name metrics that there are.
func TestQueriesNameMetrics(t *testing.T) {
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile("../deploy/alerts.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, rules...)
	known := documented(t)
	for _, name := range regexp.MustCompile(`session_export_[a-z_]+`).FindAllString(string(text), -1) {
		base := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if cut, ok := strings.CutSuffix(name, suffix); ok && strings.HasPrefix(known[cut], "histogram") {
				base = cut
			}
		}
		if known[base] == "" {
			t.Errorf("docs/metrics.md or deploy/alerts.rules.yml asks for %s", name)
		}
	}
	// The tables of the docs have every rule.
	for _, doc := range []string{"../docs/metrics.md", "../docs/operations.md"} {
		table, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
			if !strings.Contains(string(table), m[1]) {
				t.Errorf("%s lacks %s", doc, m[1])
			}
		}
	}
}

func TestMetricsLint(t *testing.T) {
	problems, err := promlint.NewWithMetricFamilies(gather(t, &sinks{busy("shop-lines"), fresh("search")})).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// value finds one series, or fails.
func value(t *testing.T, families []*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, f := range families {
		if f.GetName() != namespace+name {
			continue
		}
		for _, m := range f.Metric {
			has := map[string]string{}
			for _, l := range m.Label {
				has[l.GetName()] = l.GetValue()
			}
			match := true
			for i := 0; i < len(labels); i += 2 {
				match = match && has[labels[i]] == labels[i+1]
			}
			if !match {
				continue
			}
			if m.Counter != nil {
				return m.Counter.GetValue()
			}
			return m.Gauge.GetValue()
		}
	}
	t.Fatalf("no series %s %v", name, labels)
	return 0
}

func TestMetricValues(t *testing.T) {
	families := gather(t, &sinks{busy("shop-lines"), fresh("search")})
	for _, tc := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"build_info", []string{"version", "1.2.3", "config", "0a1b2c3d"}, 1},
		{"config_reload_successful", nil, 0},
		{"config_reload_success_timestamp_seconds", nil, float64(noon.Add(-time.Hour).Unix())},
		{"config_reloads_total", []string{"result", "ok"}, 3},
		{"config_reloads_total", []string{"result", "failed"}, 2},
		{"config_reload_restart_keys", nil, 1},
		{"sessions_waiting", []string{"partition", "0"}, 100 - 70 - 10 - 4 - 3 - 2},
		{"attempts_total", []string{"verdict", "retryable", "status", "0", "reason", "timeout"}, 2},
		{"sink_state", []string{"sink", "shop-lines", "state", "held"}, 1},
		{"sink_state", []string{"sink", "shop-lines", "state", "flowing"}, 0},
		{"sink_state", []string{"sink", "search", "state", "flowing"}, 1},
		{"sink_hold", []string{"sink", "shop-lines", "reason", "connection"}, 1},
		{"sink_hold_seconds", []string{"sink", "shop-lines"}, 60},
		{"sink_hold_seconds", []string{"sink", "search"}, 0},
		{"oldest_undelivered_age_seconds", []string{"sink", "shop-lines"}, 90},
		{"oldest_undelivered_age_seconds", []string{"sink", "search"}, 0},
		{"last_success_timestamp_seconds", []string{"sink", "shop-lines"}, float64(noon.Unix() - 120)},
		{"token_fetches_total", []string{"result", "failed"}, 2},
		{"kafka_lag_records", []string{"partition", "0"}, 45},
		{"kafka_uncommitted_seconds", []string{"partition", "0"}, 3},
		{"kafka_uncommitted_seconds", []string{"partition", "3"}, 0},
		{"kafka_member_state", []string{"sink", "shop-lines", "state", "stable"}, 1},
		{"kafka_member_state", []string{"sink", "search", "state", "connecting"}, 1},
		{"kafka_member_state", []string{"sink", "search", "state", "stable"}, 0},
		{"kafka_throttled_seconds_total", []string{"sink", "shop-lines"}, 1.5},
	} {
		if got := value(t, families, tc.name, tc.labels...); got != tc.want {
			t.Errorf("%s%v is %v, want %v", tc.name, tc.labels, got, tc.want)
		}
	}
	// Unknown is absent, never a number that looks like one.
	for name, labels := range map[string]string{
		"kafka_lag_records": "3", "kafka_position": "3", "kafka_commit_age_seconds": "3",
	} {
		if shows(families, name, "partition", labels) {
			t.Errorf("%s is shown although it is unknown", name)
		}
	}
	for _, name := range []string{"last_success_timestamp_seconds", "sink_hold", "tokens_dropped_total"} {
		if shows(families, name, "sink", "search") {
			t.Errorf("%s is shown of a sink that has none", name)
		}
	}
}

func shows(families []*dto.MetricFamily, name, label, value string) bool {
	for _, f := range families {
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if (name == "" || f.GetName() == namespace+name) && l.GetName() == label && l.GetValue() == value {
					return true
				}
			}
		}
	}
	return false
}

// The equation that an operator may rely on, from the metrics alone.
func TestMetricsConserveSessions(t *testing.T) {
	families := gather(t, &sinks{busy("shop-lines")})
	sum := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == "partition" {
					sum[f.GetName()] += m.Counter.GetValue() + m.Gauge.GetValue()
				}
			}
		}
	}
	parts := 0.0
	for _, name := range []string{"delivered_total", "out_of_scope_total", "dead_lettered_total", "discarded_total", "handed_back_total", "waiting"} {
		parts += sum[namespace+"sessions_"+name]
	}
	if read := sum[namespace+"sessions_read_total"]; read != parts || read != 109 {
		t.Errorf("read %v, of that known %v", read, parts)
	}
}

func TestSeriesVanishWithTheirSink(t *testing.T) {
	source := &sinks{busy("shop-lines"), busy("search")}
	s := start(t, Options{Source: source})
	url := fmt.Sprintf("http://%s/metrics", s.Addr())
	if status, body := get(t, url); status != 200 || !strings.Contains(body, `sink="search"`) || !strings.Contains(body, `sink="shop-lines"`) {
		t.Fatalf("%d: %s", status, body)
	}
	*source = sinks{busy("shop-lines")}
	if status, body := get(t, url); status != 200 || strings.Contains(body, "search") || !strings.Contains(body, `sink="shop-lines"`) {
		t.Errorf("%d: a removed sink is shown: %s", status, body)
	}
}
