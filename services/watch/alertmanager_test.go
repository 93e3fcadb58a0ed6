//go:build services

package watch_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sessionexport/services"
)

// message is what Alertmanager tells a webhook.
type message struct {
	Status string
	Alerts []struct {
		Status              string
		Labels, Annotations map[string]string
	}
}

// pager is the webhook of an Alertmanager.
type pager struct {
	mu       sync.Mutex
	messages []message
}

// ServeHTTP implements http.Handler.
func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m message
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages = append(p.messages, m)
}

func (p *pager) all() []message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.messages)
}

// last is the latest message; its status is empty before the first.
func (p *pager) last() message {
	all := p.all()
	if len(all) == 0 {
		return message{}
	}
	return all[len(all)-1]
}

const grouping = `route: {receiver: pager, group_by: [alertname, environment], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers: [{name: pager, webhook_configs: [{url: %q, send_resolved: true}]}]
`

// An endpoint fails two sinks of two instances. Each instance tells of both sinks; Alertmanager makes one alert of what
// both say of a sink, one message of the two alerts, and says that it is over when both instances deliver again.
func TestAlertmanagerMergesGroupsAndResolves(t *testing.T) {
	s := newStage(t)
	p := &pager{}
	hook := httptest.NewServer(p)
	t.Cleanup(hook.Close)
	alertmanager := services.StartAlertmanager(t, services.MonitorOptions{Configuration: fmt.Sprintf(grouping, hook.URL)})
	alerts := fmt.Sprintf("{alertmanager: [%q]}", alertmanager.URL)
	instances := []*services.Program{s.program(t, alerts), s.program(t, alerts)}
	for _, i := range instances {
		i.Start(t)
	}
	services.Eventually(t, "both instances deliver", func() bool {
		for _, i := range instances {
			if !strings.Contains(metrics(t, i), "session_export_last_success_timestamp_seconds{") {
				return false
			}
		}
		return true
	})

	s.endpoint.broken.Store(true)
	for n, i := range instances {
		services.Eventually(t, fmt.Sprintf("instance %d has told Alertmanager of both sinks", n+1), func() bool {
			text := metrics(t, i)
			return strings.Count(text, `session_export_alerts_open{cause="delivery_failed"`) == 2 && sent(t, text) > 0
		})
	}
	services.Eventually(t, "one message has both alerts", func() bool {
		m := p.last()
		return m.Status == "firing" && len(m.Alerts) == 2
	})
	for _, a := range p.last().Alerts {
		want := map[string]string{
			"alertname": "SessionExportDeliveryFailed", "environment": "default", "sink": a.Labels["sink"], "cause": "delivery_failed",
			"service": "session-export", "severity": "critical",
		}
		if fmt.Sprint(a.Labels) != fmt.Sprint(want) {
			t.Errorf("labels %v, want %v", a.Labels, want)
		}
		if !strings.Contains(a.Annotations["description"], "500 Internal Server Error") || a.Annotations["summary"] == "" || a.Annotations["todo"] == "" {
			t.Errorf("annotations %v", a.Annotations)
		}
	}
	if active := active(t, alertmanager); !slices.Equal(active, []string{"alpha", "beta"}) {
		t.Errorf("alerts of the sinks %v, want one of each", active)
	}

	s.endpoint.broken.Store(false)
	services.Eventually(t, "the message says that all is over", func() bool {
		m := p.last()
		return m.Status == "resolved" && len(active(t, alertmanager)) == 0
	})
	for _, i := range instances {
		services.Eventually(t, "the instances have no alert open", func() bool {
			return !strings.Contains(metrics(t, i), "session_export_alerts_open{")
		})
	}
	for _, m := range p.all() {
		if len(m.Alerts) > 2 {
			t.Errorf("a message with %d alerts", len(m.Alerts))
		}
	}
}

// Over TLS an Alertmanager with a private authority is reached where that is trusted, and only there; one that asks for a
// password is not, and the trial says so.
func TestAlertmanagerOverTLS(t *testing.T) {
	authority, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{authority: authority, broker: "127.0.0.1:9", topic: "none", url: "https://127.0.0.1:9"} // a trial asks neither
	_, pem, err := s.authority.Issue("alertmanager")
	if err != nil {
		t.Fatal(err)
	}
	const web = "tls_server_config: {cert_file: server.pem, key_file: server.pem}\n"
	// The password is "secret", in bcrypt with the least cost.
	const login = "basic_auth_users: {export: \"$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\"}\n"
	options := services.MonitorOptions{
		Configuration: fmt.Sprintf(grouping, "http://127.0.0.1:9/"), Files: map[string][]byte{"server.pem": pem}, Web: web,
		Client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.authority.Pool, MinVersion: tls.VersionTLS12}}},
	}
	open := services.StartAlertmanager(t, options)
	options.Web, options.Username, options.Password = web+login, "export", "secret"
	closed := services.StartAlertmanager(t, options)

	try := func(to *services.Monitor, env ...string) (string, error) {
		t.Helper()
		return s.program(t, fmt.Sprintf("{alertmanager: [%q]}", to.URL), env...).Run(services.Context(t), "alerts", "test", "--config", "config.yaml")
	}
	output, err := try(open, "SSL_CERT_FILE=ca.pem")
	if err != nil || !regexp.MustCompile(`alertmanager-1 +sent`).MatchString(output) {
		t.Errorf("trusted: %v\n%s", err, output)
	}
	var all []struct{ Labels map[string]string }
	if err := open.Ask(services.Context(t), "/api/v2/alerts", &all); err != nil || len(all) != 1 || all[0].Labels["alertname"] != "SessionExportTrial" {
		t.Errorf("%v, alerts %v", err, all)
	}
	if _, err = try(open); err == nil || !regexp.MustCompile(`alertmanager-1 +failed: .*certificate signed by unknown authority`).MatchString(err.Error()) {
		t.Errorf("not trusted: %v", err)
	}
	if _, err = try(closed, "SSL_CERT_FILE=ca.pem"); err == nil || !regexp.MustCompile(`alertmanager-1 +failed: .*401`).MatchString(err.Error()) {
		t.Errorf("without a password: %v", err)
	}
	if err := closed.Ask(services.Context(t), "/api/v2/alerts", &all); err != nil || len(all) != 0 {
		t.Errorf("%v, alerts %v", err, all)
	}
}

func metrics(t *testing.T, p *services.Program) string {
	t.Helper()
	status, text, err := p.Get(services.Context(t), "/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatalf("status %d, %v", status, err)
	}
	return text
}

var posts = regexp.MustCompile(`session_export_notifications_total\{notifier="alertmanager-1",result="sent"\} (\d+)`)

// sent is how many posts Alertmanager has taken of an instance.
func sent(t *testing.T, text string) int {
	t.Helper()
	m := posts.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no count of posts in:\n%s", text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// active are the sinks of the active alerts, sorted.
func active(t *testing.T, alertmanager *services.Monitor) []string {
	t.Helper()
	var all []struct{ Labels map[string]string }
	if err := alertmanager.Ask(services.Context(t), "/api/v2/alerts?active=true", &all); err != nil {
		t.Fatal(err)
	}
	sinks := []string{}
	for _, a := range all {
		sinks = append(sinks, a.Labels["sink"])
	}
	slices.Sort(sinks)
	return sinks
}
