package alerts

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// The results of a notification.
const (
	resultSent    = "sent"
	resultFailed  = "failed"  // an attempt; it is repeated
	resultDropped = "dropped" // given up
)

// Metrics count alerts and notifications; they are a prometheus.Collector.
type Metrics struct {
	mu   sync.Mutex
	open []Notification
	sent map[[2]string]float64 // by notifier and result

	descOpen, descSent *prometheus.Desc
}

// NewMetrics returns metrics without any alert.
func NewMetrics() *Metrics {
	return &Metrics{
		sent: map[[2]string]float64{},
		descOpen: prometheus.NewDesc("session_export_alerts_open", "1 for each alert that is open; absent otherwise.",
			[]string{"environment", "sink", "cause"}, nil),
		descSent: prometheus.NewDesc("session_export_notifications_total",
			"Notifications by their result: sent, failed (an attempt, repeated), dropped.", []string{"notifier", "result"}, nil),
	}
}

// Describe names the metrics.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.descOpen
	ch <- m.descSent
}

// Collect shows them.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.open {
		ch <- prometheus.MustNewConstMetric(m.descOpen, prometheus.GaugeValue, 1, n.Environment, n.Sink, string(n.Cause))
	}
	for k, v := range m.sent {
		ch <- prometheus.MustNewConstMetric(m.descSent, prometheus.CounterValue, v, k[0], k[1])
	}
}

func (m *Metrics) setOpen(open []Notification) {
	m.mu.Lock()
	m.open = open
	m.mu.Unlock()
}

// known makes a notifier's series appear before anything was sent.
func (m *Metrics) known(notifier string) {
	for _, result := range []string{resultSent, resultFailed, resultDropped} {
		m.add(notifier, result, 0)
	}
}

func (m *Metrics) add(notifier, result string, n float64) {
	m.mu.Lock()
	m.sent[[2]string{notifier, result}] += n
	m.mu.Unlock()
}
