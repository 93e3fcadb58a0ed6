package alerts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"sessionexport/egress"
	"sessionexport/settings"
)

const (
	// resendEvery is how often an open alert is posted: Alertmanager resolves
	// by itself what it has not heard of until its endsAt.
	resendEvery = time.Minute

	// lease is how long Alertmanager keeps an alert after the last post: a
	// process that is gone leaves no alert behind for longer.
	lease = 5 * time.Minute

	// tellResolved is how long a resolved alert is posted again, in case
	// Alertmanager was restarted in between.
	tellResolved = 5 * time.Minute

	// serviceLabel is the label `service` of every alert.
	serviceLabel = "session-export"
)

// Alertmanager posts alerts to one Alertmanager. Where others send messages,
// it sends how things are, again and again: what a failed post missed the next
// one says.
type Alertmanager struct {
	name    string
	shown   string // the address without secrets
	target  string
	client  *http.Client
	log     *slog.Logger
	metrics *Metrics

	mu     sync.Mutex
	alerts map[Key]Notification
	news   chan struct{} // of capacity 1
}

// NewAlertmanagers returns a notifier for each address.
func NewAlertmanagers(addresses []settings.URL, o Outgoing) []Notifier {
	var all []Notifier
	for i, address := range addresses {
		u := address.Parsed()
		if u == nil {
			continue
		}
		all = append(all, newAlertmanager("alertmanager-"+strconv.Itoa(i+1), u, o))
	}
	return all
}

func newAlertmanager(name string, u *url.URL, o Outgoing) *Alertmanager {
	o.Metrics.known(name)
	target := *u
	target.Path = strings.TrimSuffix(u.Path, "/") + "/api/v2/alerts"
	target.RawPath = ""
	return &Alertmanager{
		name: name, shown: settings.RedactURL(u), target: target.String(), log: o.Logger, metrics: o.Metrics,
		client: &http.Client{Transport: o.Transport, CheckRedirect: egress.NoRedirect},
		alerts: map[Key]Notification{}, news: make(chan struct{}, 1),
	}
}

// Name tells notifiers apart.
func (m *Alertmanager) Name() string { return m.name }

// Tell notes how an alert is now.
func (m *Alertmanager) Tell(n Notification) {
	m.mu.Lock()
	before, known := m.alerts[n.Key]
	if n.Silent {
		if !known || before.State == Resolved {
			m.mu.Unlock()
			return
		}
		n.State = Resolved // here
	}
	m.alerts[n.Key] = n
	m.mu.Unlock()
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// Keep notes how alerts that it was told of stand by now, for the next post: how
// many sessions wait or were lost, the last error, the time left.
func (m *Alertmanager) Keep(open []Notification) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range open {
		if before, known := m.alerts[n.Key]; known && before.State != Resolved && !n.Silent {
			n.State = before.State
			m.alerts[n.Key] = n
		}
	}
}

// Run posts the alerts until ctx is done: when one changed, and every minute.
func (m *Alertmanager) Run(ctx context.Context) {
	waits := newBackoff()
	timer := time.NewTimer(resendEvery)
	defer timer.Stop()
	news := m.news
	for {
		select {
		case <-news:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		wait, ok := m.round(ctx, waits)
		timer.Reset(wait)
		if news = m.news; !ok {
			news = nil // a change waits for the next attempt as well
		}
	}
}

// round posts all alerts once and says when to do so again.
func (m *Alertmanager) round(ctx context.Context, waits *backoff.ExponentialBackOff) (wait time.Duration, ok bool) {
	now := time.Now()
	all := m.current(now)
	if len(all) == 0 {
		return resendEvery, true
	}
	err := m.post(ctx, now, all)
	switch {
	case err == nil:
		m.metrics.add(m.name, resultSent, 1)
		waits.Reset()
		return resendEvery, true
	case ctx.Err() != nil:
		return resendEvery, false
	}
	m.metrics.add(m.name, resultFailed, 1)
	wait = min(waits.NextBackOff(), resendEvery)
	m.log.Warn("notification failed, will be repeated", "notifier", m.name, "url", m.shown, "error", err, "wait", wait.Round(time.Millisecond).String())
	return wait, false
}

// current returns the alerts in a fixed order, and forgets those that were
// resolved long enough ago.
func (m *Alertmanager) current(now time.Time) []Notification {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Notification
	for k, n := range m.alerts {
		if n.State == Resolved && now.Sub(n.At) > tellResolved {
			delete(m.alerts, k)
			continue
		}
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b Notification) int { return a.Key.compare(b.Key) })
	return all
}

// Try posts a trial alert, which ends after a minute.
func (m *Alertmanager) Try(ctx context.Context, n Notification) error {
	return m.post(ctx, n.At, []Notification{n})
}

// postedAlert is an alert in the form of Alertmanager's API, version 2.
type postedAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

func posted(now time.Time, n Notification) postedAlert {
	p := postedAlert{
		// The same for every instance and every time, or one problem would be
		// several alerts.
		Labels: map[string]string{
			"alertname": alertName(n.Cause), "environment": n.Environment, "sink": n.Sink, "cause": string(n.Cause),
			"service": serviceLabel, "severity": n.Cause.Severity(),
		},
		// The post that resolves replaces them: they are always all there.
		Annotations: map[string]string{"summary": n.Title(), "description": n.Facts()},
		StartsAt:    n.Since.UTC(), EndsAt: now.Add(lease).UTC(),
	}
	if advice := n.Cause.Advice(); advice != "" {
		p.Annotations["todo"] = advice
	}
	switch n.State {
	case Resolved:
		p.EndsAt = n.At.UTC()
	case Trial:
		p.Labels["alertname"], p.Labels["severity"] = "SessionExportTrial", "none"
		p.EndsAt = now.Add(time.Minute).UTC()
	case Opened, Repeated:
	}
	return p
}

// alertName makes SessionExportDeliveryFailed of delivery_failed.
func alertName(c Cause) string {
	var b strings.Builder
	b.WriteString("SessionExport")
	for word := range strings.SplitSeq(string(c), "_") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

func (m *Alertmanager) post(ctx context.Context, now time.Time, all []Notification) error {
	list := make([]postedAlert, len(all))
	for i, n := range all {
		list[i] = posted(now, n)
	}
	body, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encoding alerts: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.target, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making the request to %s failed", m.shown)
	}
	req.Header.Set("Content-Type", "application/json") // Alertmanager takes nothing else
	res, err := m.client.Do(req)
	if err != nil {
		return fmt.Errorf("posting alerts: %w", unquoted(err))
	}
	return res.Body.Close()
}

// unquoted is the error without the URL that net/http puts before it.
func unquoted(err error) error {
	var inner *exchangeError
	if errors.As(err, &inner) {
		return inner
	}
	return errors.New(plain(err))
}
