package alerts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sessionexport/egress"
	"sessionexport/settings"
)

// manager is an Alertmanager as far as its API goes: it keeps alerts by their
// labels, the last post wins, and endsAt decides.
type manager struct {
	mu     sync.Mutex
	alerts map[string]postedAlert
	posts  int
	status int // of the answers; 0: as the API says
	bad    []string
}

func (m *manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.posts++
	if m.status != 0 {
		http.Error(w, "the secret is "+r.URL.RawQuery, m.status)
		return
	}
	var all []postedAlert
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &all)
	}
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/prefix/api/v2/alerts" || r.Header.Get("Content-Type") != "application/json" {
		m.bad = append(m.bad, r.Method+" "+r.URL.Path)
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	if m.alerts == nil {
		m.alerts = map[string]postedAlert{}
	}
	for _, a := range all {
		id, err := json.Marshal(a.Labels)
		if err != nil || len(a.Labels) == 0 || !a.EndsAt.After(a.StartsAt) && !a.EndsAt.Equal(a.StartsAt) {
			m.bad = append(m.bad, string(body))
		}
		m.alerts[string(id)] = a
	}
}

func (m *manager) set(status int) {
	m.mu.Lock()
	m.status = status
	m.mu.Unlock()
}

// firing returns the alerts that fire at a time.
func (m *manager) firing(at time.Time) []postedAlert {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []postedAlert
	for _, a := range m.alerts {
		if a.EndsAt.After(at) {
			all = append(all, a)
		}
	}
	return all
}

func (m *manager) seen() (posts int, alerts int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.posts, len(m.alerts)
}

// inside answers requests without a network, so that time can be virtual.
type inside struct{ handler http.Handler }

func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	i.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

func managed(t *testing.T, m *manager) (*Alertmanager, *Metrics) {
	t.Helper()
	metrics := NewMetrics()
	u := &url.URL{Scheme: "https", Host: "alerts.example", Path: "/prefix/", RawQuery: "key=hunter2-key"}
	a := newAlertmanager("alertmanager-1", u, Outgoing{
		Transport: &Transport{next: inside{m}, timeout: sendTimeout}, Metrics: metrics, Logger: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { a.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if len(m.bad) > 0 {
			t.Errorf("bad requests: %v", m.bad)
		}
	})
	return a, metrics
}

func TestAlertmanagerKeepsAlertsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{}
		a, metrics := managed(t, m)
		began := time.Now()
		n := Notification{Key: key(DeliveryFailed), State: Opened, At: began, Since: began, Waiting: 70, Error: "Request timeout"}
		a.Tell(n)
		for range 60 { // Alertmanager must never think that it is over
			time.Sleep(time.Minute)
			synctest.Wait()
			if got := m.firing(time.Now()); len(got) != 1 {
				t.Fatalf("after %v: %d alerts fire", time.Since(began), len(got))
			}
		}
		labels := map[string]string{"alertname": "SessionExportDeliveryFailed", "environment": "default", "sink": "shop", "cause": "delivery_failed",
			"service": "session-export", "severity": "critical"}
		got := m.firing(time.Now())[0]
		for k, v := range labels {
			if got.Labels[k] != v {
				t.Errorf("label %s is %q", k, got.Labels[k])
			}
		}
		if len(got.Labels) != len(labels) || !got.StartsAt.Equal(began) {
			t.Errorf("got %+v", got)
		}
		if text := got.Annotations["description"]; !strings.Contains(text, "70 sessions wait") || !strings.Contains(text, "Request timeout") || got.Annotations["todo"] == "" {
			t.Errorf("annotations %v", got.Annotations)
		}
		n.State, n.At, n.Error = Repeated, time.Now(), "503" // other words, the same alert
		a.Tell(n)
		synctest.Wait()
		n.State, n.At, n.Waiting = Resolved, time.Now(), 0
		a.Tell(n)
		synctest.Wait()
		posts, alerts := m.seen()
		if len(m.firing(time.Now())) != 0 || alerts != 1 {
			t.Errorf("%d alerts, %d fire", alerts, len(m.firing(time.Now())))
		}
		m.mu.Lock()
		for _, kept := range m.alerts {
			if kept.Annotations["summary"] == "" || kept.Annotations["description"] == "" || kept.Annotations["todo"] == "" {
				t.Errorf("the resolving post has the annotations %v", kept.Annotations)
			}
		}
		m.mu.Unlock()
		time.Sleep(time.Hour)
		if after, _ := m.seen(); after-posts > 7 {
			t.Errorf("%d more posts after it was resolved", after-posts)
		}
		if got := shown(t, metrics); !strings.Contains(got, `notifier="alertmanager-1" result="sent"`) || strings.Contains(got, "failed") {
			t.Errorf("metrics: %s", got)
		}
	})
}

func TestAlertmanagerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{status: 503}
		a, metrics := managed(t, m)
		a.Tell(Notification{Key: key(DeliveryFailed), State: Opened, At: time.Now(), Since: time.Now(), Waiting: -1})
		time.Sleep(10 * time.Minute)
		a.Tell(Notification{Key: key(Poison), State: Opened, At: time.Now(), Since: time.Now(), Waiting: -1})
		posts, _ := m.seen()
		if posts < 8 || posts > 25 {
			t.Errorf("%d posts in ten minutes", posts)
		}
		m.set(0)
		time.Sleep(2 * time.Minute)
		if got := m.firing(time.Now()); len(got) != 2 {
			t.Errorf("%d alerts fire, want both", len(got))
		}
		if got := shown(t, metrics); !strings.Contains(got, `result="failed"`) || !strings.Contains(got, `result="sent"`) {
			t.Errorf("metrics: %s", got)
		}
	})
}

// What goes on while an alert is open is in the next post, not an hour later.
func TestAlertmanagerFollowsWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := &manager{}, newWorld()
		a, _ := managed(t, m)
		r := NewRunner(Options{Poll: w.poll, Notifiers: []Notifier{a}, Logger: slog.New(slog.DiscardHandler)})
		defer running(r)()
		for range 15 { // the first of them opens the alert
			r.Signal(Signal{Key: key(DeadLettersGrow), Lost: 1, Error: "rejected: not_json"})
			synctest.Wait()
		}
		w.set(func(r *Reading) { r.Waiting = 9000 })
		time.Sleep(pollEvery + resendEvery)
		synctest.Wait()
		got := m.firing(time.Now())
		if len(got) != 1 {
			t.Fatalf("%d alerts fire", len(got))
		}
		for _, part := range []string{"15 sessions were given up", "9000 sessions wait"} {
			if text := got[0].Annotations["description"]; !strings.Contains(text, part) {
				t.Errorf("%q lacks %q", text, part)
			}
		}
	})
}

// Two instances that see the same trouble are one alert.
func TestAlertmanagerMergesInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{}
		for i := range 2 {
			a, _ := managed(t, m)
			time.Sleep(time.Second)
			a.Tell(Notification{Key: key(RetentionNear), State: Opened, At: time.Now(), Since: time.Now(), Waiting: int64(i), Error: time.Now().String()})
		}
		synctest.Wait()
		if _, alerts := m.seen(); alerts != 1 {
			t.Errorf("%d alerts", alerts)
		}
	})
}

// An alert of a sink that became silent must not stay open there for ever.
func TestAlertmanagerTakesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{}
		a, _ := managed(t, m)
		n := about("shop", Repeated)
		n.Silent = true
		a.Tell(n)
		time.Sleep(2 * time.Minute)
		if posts, _ := m.seen(); posts != 0 {
			t.Errorf("%d posts of a silent sink", posts)
		}
		a.Tell(about("shop", Opened))
		synctest.Wait()
		if len(m.firing(time.Now())) != 1 {
			t.Error("nothing fires")
		}
		time.Sleep(time.Minute)
		n.At = time.Now()
		a.Tell(n)
		synctest.Wait()
		if got := m.firing(time.Now()); len(got) != 0 {
			t.Errorf("%d alerts fire", len(got))
		}
	})
}

func TestAlertmanagerOverTLS(t *testing.T) {
	m := &manager{}
	server := httptest.NewTLSServer(m)
	defer server.Close()
	transport := trusting(t, server, egress.Rules{})
	address, err := url.Parse(server.URL + "/prefix?key=hunter2-key")
	if err != nil {
		t.Fatal(err)
	}
	a := newAlertmanager("alertmanager-1", address, Outgoing{Transport: transport, Metrics: NewMetrics(), Logger: slog.New(slog.DiscardHandler)})
	now := time.Now()
	trial := Notification{Key: Key{Environment: "trial", Sink: "trial", Cause: "trial"}, State: Trial, At: now, Since: now, Waiting: -1}
	if err := a.Try(t.Context(), trial); err != nil {
		t.Fatal(err)
	}
	if got := m.firing(now); len(got) != 1 || got[0].Labels["alertname"] != "SessionExportTrial" || len(m.bad) > 0 {
		t.Errorf("got %v, bad %v", got, m.bad)
	}
	for _, status := range []int{http.StatusFound, http.StatusUnauthorized, http.StatusInternalServerError} {
		m.set(status)
		err := a.Try(t.Context(), trial)
		var failed *exchangeError
		if !errors.As(err, &failed) || failed.status != status || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("answered %d: %v", status, err)
		}
	}
	if len(m.bad) > 0 {
		t.Errorf("bad requests: %v", m.bad)
	}
	server.Close()
	if err := a.Try(t.Context(), trial); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), address.Host) {
		t.Errorf("closed: %v", err)
	}
}

// The address's key never reaches the log.
func TestAlertmanagerKeepsItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var guard sync.Mutex
		address := &url.URL{Scheme: "https", Host: "alerts.example", RawQuery: "key=hunter2-key"}
		a := newAlertmanager("alertmanager-1", address, Outgoing{
			Transport: &Transport{next: inside{&manager{status: 500}}, timeout: sendTimeout}, Metrics: NewMetrics(),
			Logger: slog.New(slog.NewTextHandler(locked{&guard, &log}, nil)),
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { a.Run(ctx) })
		a.Tell(about("shop", Opened))
		time.Sleep(time.Minute)
		cancel()
		wg.Wait()
		if text := log.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, "https://alerts.example?key="+settings.Mask) {
			t.Errorf("logged %s", text)
		}
	})
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// trusting is the transport of the house that trusts a test's server.
func trusting(t *testing.T, server *httptest.Server, rules egress.Rules) http.RoundTripper {
	t.Helper()
	inner := egress.NewTransport(egress.Options{Rules: rules, RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	t.Cleanup(inner.CloseIdleConnections)
	return &Transport{next: inner, timeout: sendTimeout}
}
