//go:build services

package watch_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sessionexport/services"
)

// The rules that operators copy are accepted, each fires when it should and not when it should not, and the tool that
// says so notices a rule that does not.
func TestRules(t *testing.T) {
	files := rules(t)
	output, err := services.Promtool(services.Context(t), files, "check", "rules", "alerts.rules.yml")
	if err != nil || !strings.Contains(output, "SUCCESS: 12 rules found") {
		t.Errorf("%v\n%s", err, output)
	}
	if output, err = services.Promtool(services.Context(t), files, "test", "rules", "alerts.rules.test.yml"); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	for name := range strings.Lines(string(files["alerts.rules.yml"])) {
		if _, alert, found := strings.Cut(strings.TrimSpace(name), "- alert: "); found {
			alert, _, _ = strings.Cut(alert, " ")
			if n := strings.Count(string(files["alerts.rules.test.yml"]), "alertname: "+alert+"\n"); n == 0 {
				t.Errorf("no test lets %s fire", alert)
			}
		}
	}
	files["alerts.rules.yml"] = bytes.ReplaceAll(files["alerts.rules.yml"], []byte("> 86400"), []byte("> 186400"))
	if output, err = services.Promtool(services.Context(t), files, "test", "rules", "alerts.rules.test.yml"); err == nil || !strings.Contains(output, "SessionExportHoldsTooLong") {
		t.Errorf("a rule that does not fire is accepted: %s", output)
	}
}

// Prometheus scrapes two instances: both targets are up, it has every series that they show, the rules can be
// evaluated, and its own tool finds nothing wrong with how the metrics are written.
func TestPrometheusScrapes(t *testing.T) {
	s := newStage(t)
	instances := []*services.Program{s.program(t, "{}"), s.program(t, "{}")}
	var targets []string
	for _, p := range instances {
		p.Start(t)
		targets = append(targets, p.Address())
	}
	services.Eventually(t, "sessions arrive", func() bool { return s.endpoint.Count() > 500 })

	prometheus := services.StartPrometheus(t, services.MonitorOptions{
		Configuration: fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [alerts.rules.yml]\n"+
			"scrape_configs:\n  - job_name: session-export\n    static_configs: [{targets: [%s]}]\n", strings.Join(targets, ", ")),
		Files: rules(t),
	})
	var trouble string // a scrape of a busy machine may take longer than its second; a mistake in what is scraped stays
	t.Cleanup(func() {
		if t.Failed() && trouble != "" {
			t.Logf("a target was not up, the last time because of: %s", trouble)
		}
	})
	services.Eventually(t, "both targets are up", func() bool {
		var answer struct {
			Data struct {
				ActiveTargets []struct {
					Health, LastError string
				}
			}
		}
		if err := prometheus.Ask(services.Context(t), "/api/v1/targets", &answer); err != nil {
			t.Fatal(err)
		}
		up := 0
		for _, target := range answer.Data.ActiveTargets {
			if target.Health == "up" {
				up++
			} else if target.LastError != "" {
				trouble = target.LastError
			}
		}
		return up == len(instances)
	})

	for _, p := range instances {
		status, text, err := p.Get(services.Context(t), "/metrics")
		if err != nil || status != http.StatusOK {
			t.Fatalf("status %d, %v", status, err)
		}
		if output, err := services.Promtool(services.Context(t), map[string][]byte{"stdin": []byte(text)}, "check", "metrics"); err != nil || output != "" {
			t.Errorf("promtool: %v\n%s", err, output)
		}
		shown := seriesOf(text)
		if len(shown) < 100 {
			t.Errorf("%d series", len(shown))
		}
		var missing []string
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("Prometheus lacks of %s: %q", p.Address(), missing)
			}
		})
		services.Eventually(t, "Prometheus has every series", func() bool {
			missing = nil
			has := scraped(t, prometheus, p.Address())
			for _, series := range slices.Sorted(maps.Keys(shown)) {
				if !has[series] {
					missing = append(missing, series)
				}
			}
			return len(missing) == 0
		})
		t.Logf("%s: %d series", p.Address(), len(shown))
	}

	services.Eventually(t, "every rule was evaluated", func() bool {
		var answer struct {
			Data struct {
				Groups []struct {
					Rules []struct{ Name, Health, LastError string }
				}
			}
		}
		if err := prometheus.Ask(services.Context(t), "/api/v1/rules", &answer); err != nil {
			t.Fatal(err)
		}
		if len(answer.Data.Groups) != 1 || len(answer.Data.Groups[0].Rules) != 12 {
			t.Fatalf("rules %+v", answer)
		}
		done := 0
		for _, rule := range answer.Data.Groups[0].Rules {
			switch {
			case rule.LastError != "":
				t.Fatalf("%s: %s", rule.Name, rule.LastError)
			case rule.Health == "ok":
				done++
			}
		}
		return done == 12
	})

	// Of what the instances counted since, Prometheus makes the sums that the docs ask for.
	produced := float64(2 * s.produced()) // of two sinks
	services.Eventually(t, "the delivered sessions add up", func() bool {
		return value(t, prometheus, "sum(session_export_sessions_delivered_total)") >= produced
	})
	services.Eventually(t, "the equation holds", func() bool {
		return value(t, prometheus, "sum(abs(session_export_sessions_read_total - session_export_sessions_delivered_total - session_export_sessions_out_of_scope_total"+
			" - session_export_sessions_dead_lettered_total - session_export_sessions_discarded_total - session_export_sessions_handed_back_total - session_export_sessions_waiting))") == 0
	})
}

var (
	sample = regexp.MustCompile(`^(session_export_\w+)(?:\{(.*)\})? `)
	label  = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
)

// seriesOf reads which series a text in Prometheus' form has, but for those of the runtime.
func seriesOf(text string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(text) {
		m := sample.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		labels := map[string]string{}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			labels[l[1]] = l[2]
		}
		all[written(m[1], labels)] = true
	}
	return all
}

// scraped are the series that Prometheus has of an instance.
func scraped(t *testing.T, prometheus *services.Monitor, instance string) map[string]bool {
	t.Helper()
	var answer struct{ Data []map[string]string }
	query := url.Values{"match[]": {fmt.Sprintf(`{__name__=~"session_export_.+", instance=%q}`, instance)}}
	if err := prometheus.Ask(services.Context(t), "/api/v1/series?"+query.Encode(), &answer); err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, labels := range answer.Data {
		name := labels["__name__"]
		for _, own := range []string{"__name__", "instance", "job"} {
			delete(labels, own)
		}
		all[written(name, labels)] = true
	}
	return all
}

// written is a series in a form of our own. Bounds of buckets are numbers: Prometheus scrapes OpenMetrics, which has 1.0
// where the older form has 1.
func written(name string, labels map[string]string) string {
	if le, err := strconv.ParseFloat(labels["le"], 64); err == nil {
		labels["le"] = fmt.Sprint(le)
	}
	var b strings.Builder
	b.WriteString(name)
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		if labels[label] == "" { // to Prometheus the same as a label that is not there
			continue
		}
		fmt.Fprintf(&b, " %s=%q", label, labels[label])
	}
	return b.String()
}

// value is what a query results in; -1 for nothing.
func value(t *testing.T, prometheus *services.Monitor, query string) float64 {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := prometheus.Ask(services.Context(t), "/api/v1/query?"+url.Values{"query": {query}}.Encode(), &answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Data.Result) != 1 {
		return -1
	}
	var v float64
	if _, err := fmt.Sscan(fmt.Sprint(answer.Data.Result[0].Value[1]), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
