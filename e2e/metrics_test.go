package e2e

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// metrics is one scrape.
type metrics struct {
	t       *testing.T
	samples []sample
}

type sample struct {
	name   string
	labels map[string]string
	value  float64
}

var (
	samplePattern = regexp.MustCompile(`^(\w+)(?:\{(.*)\})? (\S+)$`)
	labelPattern  = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
)

// scrape reads /metrics.
func (v *service) scrape() metrics {
	v.t.Helper()
	status, body := v.get("/metrics")
	if status != 200 {
		v.t.Fatalf("/metrics answers %d", status)
	}
	return parseMetrics(v.t, body)
}

func parseMetrics(t *testing.T, body string) metrics {
	t.Helper()
	m := metrics{t: t}
	for text := range strings.Lines(body) {
		text = strings.TrimSpace(text)
		if !strings.HasPrefix(text, "session_export_") || strings.Contains(text, "_bucket{") {
			continue
		}
		parts := samplePattern.FindStringSubmatch(text)
		if parts == nil {
			t.Fatalf("/metrics has a line %q", text)
		}
		value, err := strconv.ParseFloat(parts[3], 64)
		if err != nil {
			t.Fatalf("/metrics has a line %q: %v", text, err)
		}
		one := sample{name: strings.TrimPrefix(parts[1], "session_export_"), labels: map[string]string{}, value: value}
		for _, l := range labelPattern.FindAllStringSubmatch(parts[2], -1) {
			one.labels[l[1]] = l[2]
		}
		m.samples = append(m.samples, one)
	}
	return m
}

// sum adds the samples of a name whose labels are as given: name, value, ….
func (m metrics) sum(name string, labels ...string) float64 {
	total := 0.0
	for _, s := range m.samples {
		if s.name == name && s.is(labels) {
			total += s.value
		}
	}
	return total
}

func (s sample) is(labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		if s.labels[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}

// finished are the ways in which a session that was read is done with.
var finished = []string{
	"sessions_delivered_total", "sessions_out_of_scope_total", "sessions_dead_lettered_total", "sessions_discarded_total",
	"sessions_handed_back_total",
}

// conserve checks the conservation equation of every partition of a sink, and
// returns what was read of all of them.
func (m metrics) conserve(sink string) (read float64) {
	m.t.Helper()
	partitions := 0
	for _, s := range m.samples {
		if s.name != "sessions_read_total" || s.labels["sink"] != sink {
			continue
		}
		partitions++
		read += s.value
		of := []string{"sink", sink, "partition", s.labels["partition"]}
		waiting := m.sum("sessions_waiting", of...)
		done := 0.0
		for _, name := range finished {
			done += m.sum(name, of...)
		}
		if waiting < 0 || s.value != done+waiting {
			m.t.Errorf("sink %s, partition %s: %v read, %v finished, %v waiting", sink, s.labels["partition"], s.value, done, waiting)
		}
	}
	if partitions == 0 {
		m.t.Errorf("sink %s: no partition in /metrics", sink)
	}
	return read
}
